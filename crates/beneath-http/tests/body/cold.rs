//! Files that are not in memory: the read that would wait is made elsewhere.

use std::future::Future as _;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use beneath_http::{FileBody, FileResponse, Segment, SegmentBody as _};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;

use crate::support::{Age, Fixture, OLD};

const LEN: usize = 1 << 20;

/// A body whose first poll had to wait for the disk. The kernel is asked to forget the file, until it does: it may decline
/// for a while.
async fn waiting_body(fixture: &Fixture) -> FileBody {
    for _ in 0..100 {
        let file = fixture.open();
        std::fs::File::open(fixture.path()).unwrap().sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let mut body = FileResponse::new(file).respond(&Request::new(())).into_body();
        if first_poll(&mut body).await.is_none() {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the file system keeps the file in memory (tmpfs?): this test needs TMPDIR on a disk");
}

/// What the body gives without waiting.
async fn first_poll(body: &mut FileBody) -> Option<Bytes> {
    let mut frame = std::pin::pin!(body.frame());
    let polled = std::future::poll_fn(|cx| Poll::Ready(frame.as_mut().poll(cx))).await;
    match polled {
        Poll::Ready(frame) => Some(frame.unwrap().unwrap().into_data().unwrap()),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_cold_file_is_read_on_a_thread_that_may_wait() {
    let fixture = Fixture::new(LEN, Age::Settled);
    let body = waiting_body(&fixture).await;
    assert_eq!(body.collect().await.unwrap().to_bytes(), vec![OLD; LEN]);
}

#[tokio::test]
async fn a_body_dropped_in_the_middle_of_a_read_gives_its_turn_back() {
    let fixture = Fixture::new(LEN, Age::Settled);
    // More than there are turns.
    for _ in 0..40 {
        drop(waiting_body(&fixture).await);
    }
    let body = waiting_body(&fixture).await;
    let whole = tokio::time::timeout(Duration::from_secs(10), body.collect())
        .await
        .unwrap();
    assert_eq!(whole.unwrap().to_bytes(), vec![OLD; LEN]);
}

/// The first byte of a piece of a longer transfer says nothing of its last: pieces end where a socket was full, and what is read ahead
/// somewhere else.
#[tokio::test]
async fn a_piece_of_which_only_the_beginning_is_in_memory_is_waited_for_elsewhere() {
    const PIECE: usize = 64 * 1024;
    let fixture = Fixture::new(LEN, Age::Settled);
    std::fs::File::open(fixture.path()).unwrap().sync_all().unwrap();
    for _ in 0..100 {
        let file = fixture.open();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        // Nothing is read ahead.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random).unwrap();
        file.read_at(&mut [0; 4096], 0).unwrap();
        let [begins, others] = [0, 2 * PIECE as u64].map(|at| file.try_read_at(&mut [0], at).is_ok());
        if !begins || others {
            continue;
        }
        let mut body = FileResponse::new(file).respond(&Request::new(())).into_body();
        let segment = std::future::poll_fn(|cx| Pin::new(&mut body).poll_segment(cx, 1)).await;
        let Some(Ok(Segment::Slice(mut slice))) = segment else {
            panic!("no slice of a file that rests");
        };
        let first = std::future::poll_fn(|cx| Poll::Ready(slice.poll_next(cx, PIECE).is_ready())).await;
        assert!(!first, "who sends it would wait for the disk");
        let next = std::future::poll_fn(|cx| slice.poll_next(cx, PIECE).map_ok(|next| next.count)).await;
        assert_eq!(next.unwrap(), PIECE);
        return;
    }
    panic!("the file system keeps the file in memory (tmpfs?): this test needs TMPDIR on a disk");
}
