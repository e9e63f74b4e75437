//! The body as a transport sees it that sends from the file.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use beneath::{File, Source, Stopped};
use beneath_http::{BodyErrorKind, FileBody, FileResponse, FileSlice, Segment, SegmentBody as _};
use http::Request;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use crate::events::{EVENTS, Outcome};
use crate::support::{Age, Fixture, NEW, OLD};

/// Several slices, the last of them short.
const LEN: usize = (1 << 20) + 300_007;
const FROM: u64 = 16 * 1024;

fn body(source: impl Source) -> FileBody {
    FileResponse::new(source).respond(&Request::new(())).into_body()
}

async fn segment(body: &mut FileBody) -> Option<Result<Segment, BodyErrorKind>> {
    let segment = poll_fn(|cx| Pin::new(&mut *body).poll_segment(cx, FROM)).await;
    segment.map(|segment| segment.map_err(|error| error.kind()))
}

/// What sendfile does, `most` bytes at a time.
async fn send(slice: &mut FileSlice, most: usize, into: &mut Vec<u8>) -> Result<(), BodyErrorKind> {
    let bytes = poll_fn(|cx| {
        slice.poll_next(cx, most).map_ok(|next| {
            let mut bytes = vec![0; next.count];
            let read = next.file.read_at(&mut bytes, next.offset).unwrap();
            bytes.truncate(read);
            bytes
        })
    });
    let bytes = bytes.await.map_err(|error| error.kind())?;
    slice.advance(bytes.len() as u64);
    into.extend(bytes);
    Ok(())
}

async fn rest(body: &mut FileBody, into: &mut Vec<u8>) -> Result<(), BodyErrorKind> {
    while let Some(next) = segment(body).await {
        match next? {
            Segment::Frame(frame) => into.extend(frame.into_data().unwrap()),
            Segment::Slice(mut slice) => {
                while slice.len() > 0 {
                    send(&mut slice, 100_000, into).await?;
                }
            }
        }
    }
    Ok(())
}

/// Whatever happens while a slice is on its way. What was appended to a file that rested is not known to be that, at this pace.
#[tokio::test]
async fn whatever_happens_in_the_middle_the_body_is_the_old_file_or_fails() {
    for event in EVENTS.iter().filter(|event| event.age == Age::Settled) {
        let fixture = Fixture::new(LEN, event.age);
        let mut body = body(fixture.open());
        let Some(Ok(Segment::Slice(mut slice))) = segment(&mut body).await else {
            panic!("no slice of a file that rests");
        };
        let mut bytes = Vec::new();
        send(&mut slice, 100_000, &mut bytes).await.unwrap();
        (event.happen)(&fixture);
        let mut ended = Ok(());
        while slice.len() > 0 && ended.is_ok() {
            ended = send(&mut slice, 100_000, &mut bytes).await;
        }
        if ended.is_ok() {
            ended = rest(&mut body, &mut bytes).await;
        }
        if event.outcome == Outcome::Old && event.name != "an old file is appended to" {
            assert_eq!(ended, Ok(()), "{}", event.name);
            assert_eq!(bytes, vec![OLD; LEN], "{}", event.name);
            assert!(body.is_end_stream());
        } else {
            assert!(ended.is_err(), "{}: {} bytes", event.name, bytes.len());
            assert!(bytes.len() < LEN, "{}: the last bytes must stay", event.name);
            assert!(!bytes.contains(&NEW), "{}", event.name);
        }
    }
}

#[tokio::test]
async fn an_accepted_change_does_not_hide_the_next_one() {
    let fixture = Fixture::new(3 << 20, Age::Settled);
    fixture.link();
    let mut body = body(fixture.open());
    let Some(Ok(Segment::Slice(mut slice))) = segment(&mut body).await else {
        panic!("no slice");
    };
    let mut bytes = Vec::new();
    send(&mut slice, 100_000, &mut bytes).await.unwrap();
    fixture.unlink_other_name();
    while slice.len() > 0 {
        send(&mut slice, 1 << 20, &mut bytes).await.unwrap();
    }
    fixture.overwrite_and_put_mtime_back();
    assert_eq!(rest(&mut body, &mut bytes).await, Err(BodyErrorKind::Changed));
    assert!(!bytes.contains(&NEW));
}

/// What can only be kept by looking at the bytes is read, as ever.
#[tokio::test]
async fn what_has_to_be_looked_at_is_not_sliced() {
    let fixture = Fixture::new(100_000, Age::Settled);
    let fresh = Fixture::new(100_000, Age::Fresh);
    let digest = Request::get("/")
        .version(http::Version::HTTP_2)
        .header("want-content-digest", "sha-256=5")
        .body(())
        .unwrap();
    let several = Request::get("/")
        .header("range", "bytes=0-49999,60000-")
        .body(())
        .unwrap();
    let small = Request::get("/")
        .header("range", "bytes=0-16382")
        .body(())
        .unwrap();
    let large = Request::get("/")
        .header("range", "bytes=1-16384")
        .body(())
        .unwrap();
    let of = |fixture: &Fixture, request: &Request<()>| {
        FileResponse::new(fixture.open()).respond(request).into_body()
    };
    let verified = FileResponse::new(fixture.open())
        .verified_sha256([0; 32])
        .respond(&Request::new(()));
    for (what, mut body, sliced) in [
        ("a file that rests", of(&fixture, &Request::new(())), true),
        ("a long range", of(&fixture, &large), true),
        ("a short range", of(&fixture, &small), false),
        (
            "a file that may be being written",
            of(&fresh, &Request::new(())),
            false,
        ),
        ("a digest is to follow", of(&fixture, &digest), false),
        ("several ranges", of(&fixture, &several), false),
        ("content that is pinned", verified.into_body(), false),
    ] {
        let segment = segment(&mut body).await;
        let is_slice = matches!(segment, Some(Ok(Segment::Slice(_))));
        assert_eq!(is_slice, sliced, "{what}");
    }
}

/// An old log of which a slow client has the beginning, and which is appended to while it waits for the rest.
#[tokio::test]
async fn a_slow_client_gets_a_log_that_grows_whole() {
    let fixture = Fixture::new(3 << 20, Age::Settled);
    let mut body = body(fixture.open());
    let mut bytes = Vec::new();
    let mut slices = 0;
    while let Some(next) = segment(&mut body).await {
        match next.unwrap() {
            Segment::Frame(frame) => bytes.extend(frame.into_data().unwrap()),
            Segment::Slice(mut slice) => {
                while slice.len() > 0 {
                    send(&mut slice, 1 << 20, &mut bytes).await.unwrap();
                }
                slices += 1;
                match slices {
                    1 => tokio::time::sleep(Duration::from_millis(1100)).await,
                    2 => fixture.append(),
                    _ => {}
                }
            }
        }
    }
    assert_eq!(bytes, vec![OLD; 3 << 20]);
}

#[tokio::test]
async fn a_slow_client_never_gets_a_mixture() {
    let fixture = Fixture::new(3 << 20, Age::Settled);
    let mut body = body(fixture.open());
    let mut bytes = Vec::new();
    let Some(Ok(Segment::Slice(mut slice))) = segment(&mut body).await else {
        panic!("no slice");
    };
    send(&mut slice, 1 << 20, &mut bytes).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let Some(Ok(Segment::Slice(mut slice))) = segment(&mut body).await else {
        panic!("no second slice");
    };
    send(&mut slice, 1 << 20, &mut bytes).await.unwrap();
    fixture.overwrite_the_end_and_append();
    assert!(rest(&mut body, &mut bytes).await.is_err());
    assert!(bytes.len() < 3 << 20);
}

/// A right that lasts for so many questions, and counts.
struct Lasting {
    file: File,
    questions: AtomicU64,
    sent: Arc<AtomicU64>,
    completed: Arc<AtomicU64>,
}

impl Source for Lasting {
    fn file(&self) -> &File {
        &self.file
    }

    fn still_held(&self) -> Result<(), Stopped> {
        let left = self
            .questions
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| Stopped::new())
    }

    fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::SeqCst);
    }

    fn completed(&self) {
        self.completed.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_right_is_asked_for_before_every_call_that_sends_and_what_left_is_counted() {
    let fixture = Fixture::new(LEN, Age::Settled);
    for questions in [0, 1, 5, 1000] {
        let (sent, completed) = (Arc::default(), Arc::default());
        let mut body = body(Lasting {
            file: fixture.open(),
            questions: AtomicU64::new(questions),
            sent: Arc::clone(&sent),
            completed: Arc::clone(&completed),
        });
        let mut bytes = Vec::new();
        let ended = rest(&mut body, &mut bytes).await;
        let most = usize::try_from(questions * 100_000).unwrap();
        if most < LEN {
            assert_eq!(ended, Err(BodyErrorKind::Stopped));
            assert_eq!(bytes.len(), most);
        } else {
            assert_eq!(ended, Ok(()));
            assert_eq!(bytes.len(), LEN);
        }
        assert_eq!(sent.load(Ordering::SeqCst), bytes.len() as u64);
        assert_eq!(completed.load(Ordering::SeqCst), u64::from(bytes.len() == LEN));
    }
}

#[tokio::test]
async fn what_leaves_as_frames_is_counted_too() {
    let fixture = Fixture::new(LEN, Age::Settled);
    let digest = Request::get("/").header("want-content-digest", "sha-256=10");
    for (request, trailers) in [(Request::get("/"), 0), (digest.header("te", "trailers"), 1)] {
        let (sent, completed) = (Arc::default(), Arc::default());
        let source = Lasting {
            file: fixture.open(),
            questions: AtomicU64::new(1000),
            sent: Arc::clone(&sent),
            completed: Arc::clone(&completed),
        };
        let mut body = FileResponse::new(source)
            .respond(&request.body(()).unwrap())
            .into_body();
        let (mut left, mut ends) = (0, 0);
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(bytes) => left += bytes.len() as u64,
                Err(_) => ends += 1,
            }
            assert_eq!(sent.load(Ordering::SeqCst), left);
        }
        assert_eq!((left, ends), (LEN as u64, trailers));
        assert_eq!(completed.load(Ordering::SeqCst), 1);
    }
}
