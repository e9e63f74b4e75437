//! Files that are not in memory: the read that would wait is made elsewhere.

use std::future::Future as _;
use std::task::Poll;
use std::time::Duration;

use beneath_http::{FileBody, FileResponse};
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
