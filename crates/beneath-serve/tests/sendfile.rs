//! Files that leave by sendfile, over real sockets: every byte, in its place, or a connection that visibly failed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]

mod support;

use std::convert::Infallible;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use beneath::{File, RelPath, Root, Source, Stopped, ambient_authority};
use beneath_http::{BodyError, FileBody, FileResponse, Segment, SegmentBody};
use beneath_serve::{Abort, Limits, RequestBody, Server};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use support::Client;
use tempfile::TempDir;

/// A folder whose files are served, each by its name.
struct Site {
    directory: TempDir,
    address: SocketAddr,
    held: Arc<AtomicBool>,
    /// How many answers the kernel has taken whole.
    completed: Arc<AtomicUsize>,
    /// Of the last request.
    abort: Arc<Mutex<Option<Abort>>>,
    slices: Arc<AtomicUsize>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// What stands between the file and the connection.
#[derive(Clone, Copy, PartialEq)]
enum Middle {
    Nothing,
    /// Drops the first slice it is given.
    Thief,
    /// Hands out a slice of another file first, which is longer.
    Swap,
}

struct Leased(File, Arc<AtomicBool>, Arc<AtomicUsize>);

impl Source for Leased {
    fn file(&self) -> &File {
        &self.0
    }

    fn still_held(&self) -> Result<(), Stopped> {
        match self.1.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(Stopped::new()),
        }
    }

    fn completed(&self) {
        self.2.fetch_add(1, Ordering::SeqCst);
    }
}

struct Watched {
    body: FileBody,
    middle: Middle,
    slices: Arc<AtomicUsize>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl SegmentBody for Watched {
    fn poll_segment(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slice_from: u64,
    ) -> Poll<Option<Result<Segment, BodyError>>> {
        loop {
            let segment = ready!(Pin::new(&mut self.body).poll_segment(cx, slice_from));
            if let Some(Ok(Segment::Slice(slice))) = &segment {
                let stolen = self.slices.fetch_add(1, Ordering::SeqCst) == 0 && self.middle == Middle::Thief;
                if stolen {
                    continue;
                }
                if self.middle == Middle::Swap {
                    let zeros = Bytes::from(vec![b'!'; usize::try_from(slice.len()).unwrap()]);
                    return Poll::Ready(Some(Ok(Segment::Frame(Frame::data(zeros)))));
                }
            }
            return Poll::Ready(segment);
        }
    }
}

impl Site {
    fn new(limits: Limits, middle: Middle) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Arc::new(Root::open_ambient(directory.path(), ambient_authority()).unwrap());
        let (held, slices) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (completed, abort) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
        let service = {
            let (held, slices) = (Arc::clone(&held), Arc::clone(&slices));
            let (completed, abort) = (Arc::clone(&completed), Arc::clone(&abort));
            tower::service_fn(move |request: Request<RequestBody>| {
                let path = RelPath::parse(request.uri().path().trim_start_matches('/')).unwrap();
                let file = Leased(
                    root.open(&path).unwrap(),
                    Arc::clone(&held),
                    Arc::clone(&completed),
                );
                *abort.lock().unwrap() = Some(request.body().abort());
                let slices = Arc::clone(&slices);
                let response = FileResponse::new(file).respond(&request);
                let response: Response<Watched> = response.map(|body| Watched { body, middle, slices });
                async { Ok::<_, Infallible>(response) }
            })
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(Server::bind("127.0.0.1:0")).unwrap();
        let unix = directory.path().join("socket");
        let _guard = runtime.enter();
        let server = server.and(Server::bind_unix(unix).unwrap()).limits(limits);
        let address = server.local_addr();
        runtime.spawn(async { server.serve_files(service, std::future::pending()).await });
        drop(_guard);
        Self {
            directory,
            address,
            held,
            completed,
            abort,
            slices,
            runtime: Some(runtime),
        }
    }

    /// A file that has rested for an hour, and no eight bytes of which are the same.
    fn file(&self, name: &str, len: usize) -> Vec<u8> {
        let content: Vec<u8> = (0..len as u64 / 8 + 1)
            .flat_map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).to_le_bytes())
            .take(len)
            .collect();
        let path = self.directory.path().join(name);
        std::fs::write(&path, &content).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
        // What was changed in this very tick of the clock is read when that is over.
        std::thread::sleep(Duration::from_millis(25));
        content
    }

    fn writer(&self, name: &str) -> std::fs::File {
        let path = self.directory.path().join(name);
        std::fs::File::options().write(true).open(path).unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One whose kernel takes little before it reads.
    fn narrow(&self) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Client::new(socket.into())
    }

    /// Until the kernel has taken so many answers whole.
    fn await_completed(&self, count: usize) {
        let begin = Instant::now();
        while self.completed.load(Ordering::SeqCst) < count {
            assert!(begin.elapsed() < support::PATIENCE, "it never took all");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// As a lease that falls does it.
    fn fall(&self) {
        self.held.store(false, Ordering::SeqCst);
        self.abort.lock().unwrap().take().unwrap().abort();
        // `revocation_bound`, and half of it would do.
        std::thread::sleep(Duration::from_millis(500));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn get(name: &str) -> String {
    format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// A head, or what came of it.
fn head(stream: &mut impl std::io::Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

/// Head, and as much of the body as comes; whether that was all.
fn answer(stream: &mut impl std::io::Read) -> (String, Vec<u8>, bool) {
    let head = head(stream);
    if !head.ends_with("\r\n\r\n") {
        return (head, Vec::new(), false);
    }
    let length = head.split("content-length: ").nth(1).unwrap();
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while body.len() < length {
        let room = buffer.len().min(length - body.len());
        match stream.read(&mut buffer[..room]) {
            Ok(0) | Err(_) => return (head, body, false),
            Ok(read) => body.extend_from_slice(&buffer[..read]),
        }
    }
    (head, body, true)
}

#[test]
fn every_byte_of_files_of_every_size_arrives_in_its_place() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    let sizes = [
        0,
        1,
        4095,
        16_383,
        16_384,
        16_385,
        65_536,
        (1 << 20) - 1,
        1 << 20,
        (1 << 20) + 1,
        9_999_999,
    ];
    let mut tcp = site.client().0;
    let mut unix = std::os::unix::net::UnixStream::connect(site.directory.path().join("socket")).unwrap();
    for size in sizes {
        let content = site.file("file", size);
        let before = site.slices.load(Ordering::SeqCst);
        tcp.write_all(get("file").as_bytes()).unwrap();
        let (_, body, whole) = answer(&mut tcp);
        assert!(whole && body == content, "{size} over TCP");
        let sliced = site.slices.load(Ordering::SeqCst) > before;
        assert_eq!(sliced, size >= 16_384, "{size}");
        unix.write_all(get("file").as_bytes()).unwrap();
        let (_, body, whole) = answer(&mut unix);
        assert!(whole && body == content, "{size} over a unix socket");
    }
}

#[test]
fn requests_that_do_not_wait_for_answers_get_all_of_them_in_order() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    let large = site.file("large", 3_000_001);
    let small = site.file("small", 100);
    let medium = site.file("medium", 50_000);
    let mut client = site.client();
    client.send(get("large") + &get("small") + &get("medium") + &get("small") + &get("large"));
    for content in [&large, &small, &medium, &small, &large] {
        let (_, body, whole) = answer(&mut client.0);
        assert!(whole && body == *content);
    }
}

#[test]
fn ranges_and_heads_are_what_they_are_without() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    let content = site.file("file", 3_000_001);
    let mut client = site.client();
    client.send("HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.0.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert_eq!(site.slices.load(Ordering::SeqCst), 0);
    for (first, last) in [
        (0, 99_999),
        (1, 2_000_000),
        (1_048_577, 3_000_000),
        (2_999_999, 3_000_000),
    ] {
        client.send(format!(
            "GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes={first}-{last}\r\n\r\n"
        ));
        let (head, body, whole) = answer(&mut client.0);
        assert!(head.contains(&format!("content-range: bytes {first}-{last}/3000001")));
        assert!(whole && body == content[first..=last], "{first}-{last}");
    }
}

#[test]
fn no_stand_in_reaches_a_client_when_a_slice_is_dropped_unsent() {
    let site = Site::new(Limits::default(), Middle::Thief);
    let content = site.file("file", 3_000_001);
    let mut client = site.client();
    client.send(get("file"));
    let (_, body, whole) = answer(&mut client.0);
    // What was stolen is missing, so the rest is not what belongs there, and the promised length is never reached.
    assert!(!whole);
    assert!(
        body.is_empty()
            || content
                .windows(body.len().min(64))
                .any(|part| body.starts_with(part))
    );
    assert!(!body.windows(16).any(|part| part == [0; 16]), "stand-ins");
}

#[test]
fn a_middleware_that_sends_other_bytes_instead_sends_these_and_nothing_else() {
    let site = Site::new(Limits::default(), Middle::Swap);
    site.file("file", 100_000);
    let mut client = site.client();
    client.send(get("file"));
    let (_, body, whole) = answer(&mut client.0);
    assert!(whole && body == vec![b'!'; 100_000]);
}

/// Takes a little, lets something happen, and takes the rest.
fn interrupted(site: &Site, happen: impl FnOnce()) -> (Vec<u8>, bool) {
    let mut client = site.client();
    client.send(get("file"));
    let mut start = vec![0; 1000];
    client.0.read_exact(&mut start).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    happen();
    let mut all = start;
    let whole = loop {
        let mut buffer = vec![0; 64 * 1024];
        match client.0.read(&mut buffer) {
            Ok(0) => break true,
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break false,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break true,
            Err(error) => panic!("{error}"),
        }
    };
    (all, whole)
}

/// More than all buffers on the way take in.
const LONG: usize = 64 << 20;

#[test]
fn a_right_that_falls_cuts_what_is_under_way() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    site.file("file", LONG);
    let (body, whole) = interrupted(&site, || site.held.store(false, Ordering::SeqCst));
    assert!(!whole && body.len() < LONG, "{} bytes", body.len());
}

/// More than a narrow client's kernel takes, and less than the server's does.
const MEDIUM: usize = 700_000;

#[test]
fn what_the_kernel_has_taken_and_not_delivered_is_taken_back_when_the_right_falls() {
    for more in ["", "Connection: close\r\n"] {
        let site = Site::new(Limits::default(), Middle::Nothing);
        site.file("file", MEDIUM);
        let mut client = site.narrow();
        client.send(format!("GET /file HTTP/1.1\r\nHost: a\r\n{more}\r\n"));
        site.await_completed(1);
        site.fall();
        let (_, body, whole) = answer(&mut client.0);
        assert!(!whole && body.len() < MEDIUM / 2, "{more} {} bytes", body.len());
    }
}

#[test]
fn it_is_taken_back_as_well_after_a_while_in_which_nothing_happened() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    site.file("file", MEDIUM);
    let mut client = site.narrow();
    client.send(get("file"));
    site.await_completed(1);
    std::thread::sleep(Duration::from_millis(700));
    site.fall();
    let (_, body, whole) = answer(&mut client.0);
    assert!(!whole && body.len() < MEDIUM / 2, "{} bytes", body.len());
}

#[test]
fn a_request_that_was_sent_ahead_does_not_keep_it_from_being_taken_back() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    site.file("file", MEDIUM);
    site.file("small", 100);
    let mut client = site.narrow();
    client.send(get("file") + &get("small"));
    site.await_completed(1);
    std::thread::sleep(Duration::from_millis(50));
    site.fall();
    let (_, body, whole) = answer(&mut client.0);
    assert!(!whole && body.len() < MEDIUM / 2, "{} bytes", body.len());
}

#[test]
fn a_right_that_falls_when_the_client_has_everything_cuts_nothing() {
    for rest in [0, 20, 300] {
        let site = Site::new(Limits::default(), Middle::Nothing);
        let content = site.file("file", MEDIUM);
        let mut client = site.client();
        client.send(get("file"));
        let (_, body, whole) = answer(&mut client.0);
        assert!(whole && body == content);
        std::thread::sleep(Duration::from_millis(rest));
        site.fall();
        site.held.store(true, Ordering::SeqCst);
        client.send(get("file"));
        let (_, body, whole) = answer(&mut client.0);
        assert!(whole && body == content, "after {rest} ms");
    }
}

/// The kernel takes all of the file at once, and what it has taken says nothing of the client.
#[test]
fn a_slow_client_is_judged_by_what_it_takes_and_not_by_what_the_kernel_does() {
    for (minimum_rate, is_cut) in [(10_000, false), (10_000_000, true)] {
        let mut limits = Limits::default();
        limits.stall_timeout = Duration::from_secs(1);
        limits.minimum_rate = minimum_rate;
        let site = Site::new(limits, Middle::Nothing);
        let content = site.file("file", MEDIUM);
        let mut client = site.narrow();
        client.send("GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let begin = Instant::now();
        let (_, body, whole) = answer(&mut Sipping(client.0));
        assert!(whole != is_cut, "{minimum_rate}: {} bytes", body.len());
        if whole {
            assert!(body == content);
            support::not_before(Duration::from_secs(2), begin); // Faster, it would prove nothing.
        }
    }
}

/// Takes some 200 KB a second.
struct Sipping(std::net::TcpStream);

impl std::io::Read for Sipping {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let most = buf.len().min(2048);
        std::thread::sleep(Duration::from_millis(most as u64 / 205));
        self.0.read(&mut buf[..most])
    }
}

#[test]
fn a_request_sent_ahead_of_a_slow_answer_is_answered_after_it_and_the_connection_goes_on() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    let large = site.file("large", 5_000_001);
    let small = site.file("small", 100);
    let mut client = site.narrow();
    client.send(get("large"));
    std::thread::sleep(Duration::from_millis(200));
    // One whole, one in two pieces.
    client.send(get("small") + "GET /large HTTP/1.1\r\nHo");
    std::thread::sleep(Duration::from_millis(200));
    client.send("st: a\r\n\r\n");
    for content in [&large, &small, &large] {
        let (_, body, whole) = answer(&mut client.0);
        assert!(whole && body == *content);
    }
    client.send(get("small"));
    assert_eq!(answer(&mut client.0).1, small);
}

#[test]
fn a_connection_that_is_to_be_closed_is_closed_after_the_file() {
    for (version, more) in [("1.1", "Connection: close\r\n"), ("1.0", "")] {
        let site = Site::new(Limits::default(), Middle::Nothing);
        let content = site.file("file", 20_000_000);
        let mut client = site.client();
        client.send(format!("GET /file HTTP/{version}\r\nHost: a\r\n{more}\r\n"));
        let (_, body, whole) = answer(&mut client.0);
        assert!(whole && body == content);
        assert_eq!(client.0.read(&mut [0]).unwrap(), 0, "{version}");
    }
}

#[test]
fn while_a_file_is_sent_there_is_no_hyper_also_if_the_connection_is_closed_afterwards() {
    let heads = [("1.1", ""), ("1.1", "Connection: close\r\n"), ("1.0", "")];
    let holders = heads.map(|(version, more)| {
        let site = Site::new(Limits::default(), Middle::Nothing);
        site.file("file", LONG);
        let before = Arc::strong_count(&site.held);
        let mut client = site.narrow();
        client.send(format!("GET /file HTTP/{version}\r\nHost: a\r\n{more}\r\n"));
        std::thread::sleep(Duration::from_millis(300));
        Arc::strong_count(&site.held) - before
    });
    // hyper would hold a copy of the service. What else does is the same for all.
    assert_eq!(holders, [holders[0]; 3]);
}

#[test]
fn what_is_left_of_a_request_body_is_never_taken_for_a_request() {
    for (here, wait) in [(0, 0), (0, 200), (10, 200), (1000, 200)] {
        let site = Site::new(Limits::default(), Middle::Nothing);
        let content = site.file("file", 5_000_001);
        let small = site.file("small", 100);
        let rest = get("small").repeat(10);
        let mut client = site.narrow();
        let head = format!(
            "GET /file HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            rest.len()
        );
        let here = here.min(rest.len());
        client.send(head + &rest[..here]);
        std::thread::sleep(Duration::from_millis(wait));
        let _ = client.0.write_all(&rest.as_bytes()[here..]);
        let (_, body, _) = answer(&mut client.0);
        assert!(
            !body.is_empty() && content.starts_with(&body),
            "{here} bytes at once"
        );
        client
            .0
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        let mut after = Vec::new();
        let _ = client.0.read_to_end(&mut after);
        assert!(!after.windows(small.len()).any(|part| part == small));
        assert!(
            !after.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&after)
        );
    }
}

/// hyper answers so many requests in one go; what is left is handed to the next hyper, and to the one after it.
#[test]
fn hundreds_of_requests_that_were_sent_ahead_are_all_answered_in_order() {
    for heads in 14..=16 {
        let site = Site::new(Limits::default(), Middle::Nothing);
        let large = site.file("l", 1_500_003);
        site.file("s", 100);
        let group = "HEAD /s HTTP/1.1\r\nHost: a\r\n\r\n".repeat(heads) + &get("l");
        let groups = 16_300 / group.len();
        let mut client = site.narrow();
        client.send(group.repeat(groups));
        for at in 0..groups {
            for _ in 0..heads {
                let head = head(&mut client.0);
                assert!(
                    head.contains("content-length: 100\r\n"),
                    "{heads}, group {at}: {head}"
                );
            }
            let (_, body, whole) = answer(&mut client.0);
            assert!(
                whole && body == large,
                "{heads}, group {at}: {} bytes",
                body.len()
            );
        }
        client.send(get("s"));
        assert!(answer(&mut client.0).2, "{heads}");
    }
}

#[test]
fn files_that_the_client_has_are_not_held_while_it_takes_another() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    let small = site.file("small", 20_000);
    site.file("large", LONG);
    let before = Arc::strong_count(&site.held);
    let mut client = site.client();
    client.send(get("small").repeat(100) + &get("large"));
    for _ in 0..100 {
        assert!(answer(&mut client.0).1 == small);
    }
    let begin = Instant::now();
    while Arc::strong_count(&site.held) > before + 8 {
        assert!(begin.elapsed() < support::PATIENCE, "they are held");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_is_taken_back_from_a_client_that_began_another_request_and_went_silent() {
    let mut limits = Limits::default();
    limits.header_timeout = Duration::from_millis(300);
    let site = Site::new(limits, Middle::Nothing);
    site.file("file", MEDIUM);
    let mut client = site.narrow();
    client.send(get("file"));
    site.await_completed(1);
    client.send("GE");
    std::thread::sleep(Duration::from_secs(1));
    site.fall();
    let (_, body, whole) = answer(&mut client.0);
    assert!(!whole && body.len() < MEDIUM / 2, "{} bytes", body.len());
}

#[test]
fn a_client_that_goes_away_takes_with_it_what_was_held_for_it() {
    for after in [0, 200] {
        let site = Site::new(Limits::default(), Middle::Nothing);
        site.file("file", MEDIUM);
        let before = Arc::strong_count(&site.held);
        let mut client = site.narrow();
        client.send(get("file"));
        site.await_completed(1);
        std::thread::sleep(Duration::from_millis(after));
        assert!(Arc::strong_count(&site.held) > before, "nothing was held");
        drop(client); // With something unread: a reset.
        let begin = Instant::now();
        while Arc::strong_count(&site.held) > before {
            assert!(begin.elapsed() < support::PATIENCE, "it is held for nobody");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_client_that_closes_its_half_gets_all_it_asked_for() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    let large = site.file("large", 5_000_001);
    let mut client = site.narrow();
    client.send(get("large"));
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let (_, body, whole) = answer(&mut client.0);
    assert!(whole && body == large);
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_file_that_is_cut_or_written_to_ends_in_a_reset() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    site.file("file", LONG);
    let (body, whole) = interrupted(&site, || site.writer("file").set_len(LONG as u64 / 2).unwrap());
    assert!(!whole && body.len() < LONG);

    site.file("file", LONG);
    let (body, whole) = interrupted(&site, || {
        site.writer("file")
            .write_all_at(&[0xff; 4096], LONG as u64 - 4096)
            .unwrap();
    });
    assert!(!whole && body.len() < LONG);
    assert!(!body.windows(16).any(|part| part == [0xff; 16]));
}

#[test]
fn a_file_that_is_replaced_is_sent_whole() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    let content = site.file("file", LONG);
    let mut client = site.client();
    client.send(get("file"));
    let mut start = [0];
    client.0.read_exact(&mut start).unwrap();
    site.file("other", LONG / 2);
    let of = |name| site.directory.path().join(name);
    std::fs::rename(of("other"), of("file")).unwrap();
    let (_, body, whole) = answer(&mut (&start[..]).chain(client.0));
    assert!(whole && body == content);
}

/// Truncating and writing anew, as `cp` and editors do, leaves what is in the sockets alone: these pages are the file's no more.
#[test]
fn what_is_in_the_sockets_survives_a_file_that_is_written_anew() {
    let site = Site::new(Limits::default(), Middle::Nothing);
    let content = site.file("file", 200_000);
    let mut client = site.client();
    client.send(get("file"));
    // It is all in the sockets by then.
    std::thread::sleep(Duration::from_millis(300));
    std::fs::write(site.directory.path().join("file"), vec![0xff; 200_000]).unwrap();
    let (_, body, whole) = answer(&mut client.0);
    assert!(whole && body == content);
}

#[test]
fn with_a_limit_beyond_all_files_nothing_is_sliced() {
    let mut limits = Limits::default();
    limits.sendfile_from = u64::MAX;
    let site = Site::new(limits, Middle::Nothing);
    let content = site.file("file", 3_000_001);
    let mut client = site.client();
    client.send(get("file"));
    let (_, body, whole) = answer(&mut client.0);
    assert!(whole && body == content);
    assert_eq!(site.slices.load(Ordering::SeqCst), 0);
}
