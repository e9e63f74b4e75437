//! The body alone, frame by frame.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use beneath::{File, Source, Stopped};
use beneath_http::{BodyErrorKind, FileBody, FileResponse};
use http::Request;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use crate::events::{EVENTS, Outcome};
use crate::support::{Age, Fixture, NEW, OLD};

/// Not a multiple of any buffer, and more than leaves at once.
const LEN: usize = (1 << 20) + 300_007;

fn body(source: impl Source) -> FileBody {
    FileResponse::new(source).respond(&Request::new(())).into_body()
}

fn range(source: impl Source, range: &str) -> FileBody {
    let request = Request::get("/").header("range", range).body(()).unwrap();
    FileResponse::new(source).respond(&request).into_body()
}

async fn rest(body: &mut FileBody, into: &mut Vec<u8>) -> Result<(), BodyErrorKind> {
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => into.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => {
                assert!(body.frame().await.is_none(), "nothing follows an error");
                return Err(error.kind());
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn whatever_happens_in_the_middle_the_body_is_the_old_file_or_fails() {
    for event in EVENTS {
        let fixture = Fixture::new(LEN, event.age);
        let mut body = body(fixture.open());
        assert_eq!(body.size_hint().exact(), Some(LEN as u64));
        let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
        (event.happen)(&fixture);
        let ended = rest(&mut body, &mut bytes).await;
        match event.outcome {
            Outcome::Old => {
                assert_eq!(ended, Ok(()), "{}", event.name);
                assert_eq!(bytes, vec![OLD; LEN], "{}", event.name);
                assert!(body.is_end_stream());
            }
            Outcome::Failure => {
                assert!(ended.is_err(), "{}: {} bytes", event.name, bytes.len());
                assert!(bytes.len() < LEN, "{}: the last bytes must stay", event.name);
            }
        }
    }
}

#[test]
fn the_control_a_server_that_only_counts_would_have_sent_a_mixture() {
    for event in EVENTS {
        let fixture = Fixture::new(LEN, event.age);
        let mut file = std::fs::File::open(fixture.path()).unwrap();
        let mut bytes = vec![0; 64 * 1024];
        file.read_exact(&mut bytes).unwrap();
        (event.happen)(&fixture);
        file.take((LEN - bytes.len()) as u64)
            .read_to_end(&mut bytes)
            .unwrap();
        let mixture = bytes.len() == LEN && bytes.iter().any(|byte| *byte != OLD) && bytes[0] == OLD;
        assert_eq!(mixture, event.naive_mixes, "{}", event.name);
    }
}

#[tokio::test]
async fn a_small_file_that_is_swapped_before_it_is_read_is_still_sent() {
    for (happen, whole) in [
        (Fixture::rename_away as fn(&Fixture), true),
        (Fixture::append, true),
        (Fixture::replace_by_rename, true),
        (Fixture::overwrite, false),
        (Fixture::truncate, false),
    ] {
        let fixture = Fixture::new(4096, Age::Settled);
        let mut body = body(fixture.open());
        happen(&fixture);
        let mut bytes = Vec::new();
        let ended = rest(&mut body, &mut bytes).await;
        assert_eq!(ended.is_ok(), whole);
        assert_eq!(bytes, vec![OLD; if whole { 4096 } else { 0 }]);
    }
}

/// Its strong tag was promised of what was opened, and a second reading would show only what is there now.
#[tokio::test]
async fn an_old_file_that_changed_before_it_was_read_is_not_sent_under_the_tag_of_what_it_was() {
    let happens = [
        (Fixture::replace_by_rename as fn(&Fixture), true),
        (Fixture::overwrite_and_put_mtime_back, false),
        (Fixture::rewrite_longer, false),
    ];
    let mut cases = Vec::new();
    for len in [4096, 20_000, 200_000, LEN] {
        for requested in ["bytes=0-", "bytes=0-9,20-29"] {
            for version in [http::Version::HTTP_11, http::Version::HTTP_2] {
                let fixture = |happen| (Fixture::new(len, Age::Settled), requested, version, happen);
                cases.extend(happens.map(fixture));
            }
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (fixture, requested, version, (happen, whole)) in cases {
        let mut request = Request::get("/").header("range", requested).body(()).unwrap();
        *request.version_mut() = version;
        let mut body = FileResponse::new(fixture.open()).respond(&request).into_body();
        happen(&fixture);
        let mut bytes = Vec::new();
        let ended = rest(&mut body, &mut bytes).await;
        let what = format!("{} bytes, {requested}, {version:?}", fixture.len);
        let expected = if whole {
            Ok(())
        } else {
            Err(BodyErrorKind::Changed)
        };
        assert_eq!(ended, expected, "{what}");
        assert!(!bytes.windows(10).any(|ten| ten == [NEW; 10]), "{what}");
    }
}

/// As a client of so many bytes a second would: after each pause that comes of it.
async fn read_at_pace(body: &mut FileBody, until: usize, pause: Duration) -> usize {
    let mut read = 0;
    while read < until {
        read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        tokio::time::sleep(pause).await;
    }
    read
}

#[tokio::test]
async fn a_slow_client_of_an_old_log_gets_it_though_it_grows_far_behind_the_beginning() {
    let len = 66 << 20;
    let fixture = Fixture::new(len, Age::Settled);
    let mut body = body(fixture.open());
    let read = read_at_pace(&mut body, 65 << 20, Duration::from_millis(2)).await;
    fixture.append();
    let mut bytes = vec![OLD; read];
    assert_eq!(rest(&mut body, &mut bytes).await, Ok(()));
    assert_eq!(bytes, vec![OLD; len]);
}

#[tokio::test]
async fn what_was_rewritten_behind_the_client_and_grew_fails_however_slow_it_is() {
    let fixture = Fixture::new(66 << 20, Age::Settled);
    let mut body = body(fixture.open());
    let read = read_at_pace(&mut body, 65 << 20, Duration::from_millis(2)).await;
    fixture.rewrite_longer();
    let mut bytes = vec![OLD; read];
    assert_eq!(rest(&mut body, &mut bytes).await, Err(BodyErrorKind::Changed));
    assert!(bytes.len() <= read + (1 << 20), "{}: not much later", bytes.len());
}

#[tokio::test]
async fn what_is_rewritten_after_it_had_grown_fails_before_the_last_bytes() {
    let fixture = Fixture::new(3 << 20, Age::Fresh);
    let mut body = body(fixture.open());
    let mut bytes = Vec::new();
    fixture.append();
    while bytes.len() < 3 << 19 {
        bytes.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    fixture.overwrite();
    fixture.append();
    assert_eq!(rest(&mut body, &mut bytes).await, Err(BodyErrorKind::Changed));
    assert!(bytes.len() < 3 << 20);
}

#[tokio::test]
async fn growth_of_a_small_old_file_is_failure() {
    let fixture = Fixture::new(300_007, Age::Settled);
    let mut body = body(fixture.open());
    let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    fixture.append();
    assert_eq!(rest(&mut body, &mut bytes).await, Err(BodyErrorKind::Changed));
}

#[tokio::test]
async fn a_cut_file_says_so() {
    let fixture = Fixture::new(LEN, Age::Settled);
    let mut body = body(fixture.open());
    body.frame().await.unwrap().unwrap();
    fixture.truncate();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), BodyErrorKind::Truncated);
}

#[tokio::test]
async fn a_change_in_a_large_file_is_noticed_long_before_its_end() {
    let fixture = Fixture::new(16 << 20, Age::Settled);
    let mut body = body(fixture.open());
    body.frame().await.unwrap().unwrap();
    fixture.overwrite();
    let mut bytes = Vec::new();
    assert_eq!(rest(&mut body, &mut bytes).await, Err(BodyErrorKind::Changed));
    assert!(bytes.len() <= 1 << 20, "{}", bytes.len());
}

#[tokio::test]
async fn several_ranges_are_framed_and_watched_like_one() {
    let fixture = Fixture::new(LEN, Age::Settled);
    let mut body = range(fixture.open(), "bytes=0-99,1000-200000");
    let promised = body.size_hint().exact().unwrap();
    let mut bytes = Vec::new();
    rest(&mut body, &mut bytes).await.unwrap();
    assert_eq!(bytes.len() as u64, promised);
    let text = String::from_utf8(bytes).unwrap();
    let parts: Vec<&str> = text
        .split("\r\n\r\n")
        .skip(1)
        .map(|part| part.split("\r\n--").next().unwrap())
        .collect();
    assert_eq!(parts, ["o".repeat(100), "o".repeat(199_001)]);

    let mut body = range(fixture.open(), "bytes=0-99,1000-200000");
    let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    bytes.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
    fixture.overwrite();
    assert_eq!(rest(&mut body, &mut bytes).await, Err(BodyErrorKind::Changed));
}

/// A right that falls when it is told to.
struct Lease(File, Arc<AtomicBool>);

impl Source for Lease {
    fn file(&self) -> &File {
        &self.0
    }

    fn still_held(&self) -> Result<(), Stopped> {
        if self.1.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err(Stopped::new())
        }
    }
}

#[tokio::test]
async fn not_a_byte_leaves_after_the_right_fell() {
    let fixture = Fixture::new(LEN, Age::Settled);
    for frames in 0..3 {
        let held = Arc::new(AtomicBool::new(true));
        let mut body = body(Lease(fixture.open(), held.clone()));
        for _ in 0..frames {
            body.frame().await.unwrap().unwrap();
        }
        held.store(false, Ordering::SeqCst);
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), BodyErrorKind::Stopped);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn nor_the_framing_between_ranges() {
    let fixture = Fixture::new(LEN, Age::Settled);
    let held = Arc::new(AtomicBool::new(false));
    let mut body = range(Lease(fixture.open(), held), "bytes=0-0,9-9");
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().kind(),
        BodyErrorKind::Stopped
    );
}

#[tokio::test]
async fn a_file_that_is_not_what_it_should_be_never_completes() {
    let fixture = Fixture::new(LEN, Age::Settled);
    let digest: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        vec![OLD; LEN],
    ))
    .into();
    for (digest, whole) in [(digest, true), ([0; 32], false)] {
        let response = FileResponse::new(fixture.open()).verified_sha256(digest);
        let mut body = response.respond(&Request::new(())).into_body();
        let mut bytes = Vec::new();
        let ended = rest(&mut body, &mut bytes).await;
        assert_eq!(
            ended,
            if whole {
                Ok(())
            } else {
                Err(BodyErrorKind::Changed)
            }
        );
        assert_eq!(bytes.len() == LEN, whole);
    }
}

#[tokio::test]
async fn a_range_that_is_the_whole_is_verified_as_the_whole_is() {
    let fixture = Fixture::new(LEN, Age::Settled);
    for (range, completes) in [("bytes=0-", false), ("bytes=0-0", true)] {
        let request = Request::get("/").header("range", range).body(()).unwrap();
        let response = FileResponse::new(fixture.open())
            .verified_sha256([0; 32])
            .respond(&request);
        assert_eq!(response.status(), 206);
        let ended = rest(&mut response.into_body(), &mut Vec::new()).await;
        assert_eq!(ended.is_ok(), completes, "{range}");
    }
}

#[test]
fn a_file_that_was_emptied_has_not_the_digest_it_should_have() {
    let fixture = Fixture::new(0, Age::Settled);
    let nothing: [u8; 32] = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new()).into();
    for (digest, status) in [(nothing, 200), ([0; 32], 500)] {
        let response = FileResponse::new(fixture.open()).verified_sha256(digest);
        let response = response.respond(&Request::new(()));
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().contains_key("etag"), status == 200);
    }
}

#[tokio::test]
async fn a_known_digest_settles_what_happens_to_a_file_of_any_age() {
    let len = 300_007;
    let digest: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        vec![OLD; len],
    ))
    .into();
    for (happen, whole) in [
        (Fixture::append as fn(&Fixture), true),
        (Fixture::rename_away, true),
        (Fixture::rewrite_longer, false),
        (Fixture::overwrite_and_put_mtime_back, false),
    ] {
        for age in [Age::Settled, Age::Fresh] {
            let fixture = Fixture::new(len, age);
            let response = FileResponse::new(fixture.open()).verified_sha256(digest);
            let mut body = response.respond(&Request::new(())).into_body();
            let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
            happen(&fixture);
            assert_eq!(rest(&mut body, &mut bytes).await.is_ok(), whole, "{age:?}");
            assert_eq!(bytes.len() == len, whole, "{age:?}");
        }
    }
}

#[tokio::test]
async fn a_file_younger_than_the_clock_is_read_when_it_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let root = beneath::Root::open_ambient(directory.path(), beneath::ambient_authority()).unwrap();
    std::fs::write(directory.path().join("file"), "x").unwrap();
    let file = root.open(&beneath::RelPath::parse("file").unwrap()).unwrap();
    let modified = file.metadata().modified().to_system_time().unwrap();
    body(file).frame().await.unwrap().unwrap();
    assert!(modified.elapsed().unwrap() >= Duration::from_millis(20));
}

/// Its length is that of what was opened, and nothing of that is left.
#[tokio::test]
async fn a_file_that_is_written_again_and_longer_while_the_clock_is_waited_for_is_not_sent_cut() {
    for len in [1, 4000, 4096, 20_000] {
        // On a busy machine it may be too late for it.
        let mut attempts = 0..100;
        while attempts.next().is_some() {
            let fixture = Fixture::new(len, Age::Fresh);
            let begin = Instant::now();
            fixture.write_again();
            let mut body = body(fixture.open());
            let mut bytes = Vec::new();
            let rewritten = async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                fixture.rewrite_longer();
                begin.elapsed() < Duration::from_millis(15)
            };
            let (sent, in_time) = tokio::join!(rest(&mut body, &mut bytes), rewritten);
            if in_time {
                assert_eq!(sent, Err(BodyErrorKind::Changed), "{len} bytes");
                assert_eq!(bytes, [], "{len} bytes");
                break;
            }
        }
        assert!(!attempts.is_empty(), "it never was in time");
    }
}

#[test]
fn without_a_runtime_the_bytes_are_read_in_place() {
    let fixture = Fixture::new(LEN, Age::Fresh);
    let mut body = body(fixture.open());
    fixture.append();
    let mut bytes = Vec::new();
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    loop {
        match std::pin::Pin::new(&mut body).poll_frame(&mut context) {
            std::task::Poll::Ready(Some(frame)) => bytes.extend(frame.unwrap().into_data().unwrap()),
            std::task::Poll::Ready(None) => break,
            std::task::Poll::Pending => {}
        }
    }
    assert_eq!(bytes, vec![OLD; LEN]);
}

#[tokio::test]
async fn a_body_of_bytes_is_what_it_was_made_from() {
    let mut hello = FileBody::from("hello");
    assert_eq!(hello.size_hint().exact(), Some(5));
    assert!(!hello.is_end_stream());
    assert_eq!(
        hello.frame().await.unwrap().unwrap().into_data().unwrap(),
        "hello"
    );
    assert!(hello.is_end_stream() && hello.frame().await.is_none());
    assert!(FileBody::empty().is_end_stream());
    assert_eq!(FileBody::from(String::new()).size_hint().exact(), Some(0));
}

#[test]
fn bodies_and_answers_go_where_servers_put_them() {
    fn is_movable<T: Send + Sync + Unpin + 'static>() {}
    is_movable::<FileBody>();
    is_movable::<FileResponse>();
    is_movable::<beneath_http::BodyError>();
}

#[tokio::test]
async fn a_file_that_is_open_once_is_sent_to_several_clients() {
    let fixture = Fixture::new(LEN, Age::Settled);
    let file = Arc::new(fixture.open());
    for mut body in [body(Arc::clone(&file)), body(file)] {
        let mut bytes = Vec::new();
        assert_eq!(rest(&mut body, &mut bytes).await, Ok(()));
        assert_eq!(bytes, vec![OLD; LEN]);
    }
}

/// It is read before the window of the stream is known, and a connection has a hundred streams.
#[tokio::test]
async fn of_an_http_2_stream_little_is_read_before_the_client_has_taken_any() {
    let fixture = Fixture::new(LEN, Age::Settled);
    let mut request = Request::new(());
    *request.version_mut() = http::Version::HTTP_2;
    let mut body = FileResponse::new(fixture.open()).respond(&request).into_body();
    let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    assert_eq!(bytes.len(), 8 * 1024);
    assert_eq!(rest(&mut body, &mut bytes).await, Ok(()));
    assert_eq!(bytes, vec![OLD; LEN]);
}

#[tokio::test]
async fn two_hundred_bodies_at_once_share_the_pool_and_each_is_whole() {
    let fixture = Arc::new(Fixture::new(LEN, Age::Fresh));
    let transfers: Vec<_> = (0..200)
        .map(|_| tokio::spawn(body(fixture.open()).collect()))
        .collect();
    for transfer in transfers {
        assert_eq!(transfer.await.unwrap().unwrap().to_bytes(), vec![OLD; LEN]);
    }
}
