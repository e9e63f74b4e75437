//! A client that stops reading costs what is stated, however large the file. In a program of its own: it measures itself.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::convert::Infallible;
use std::time::{Duration, UNIX_EPOCH};

use beneath::{RelPath, Root, ambient_authority};
use beneath_http::FileResponse;
use http::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CLIENTS: usize = 150;
const FILE: u64 = 1 << 30;

/// hyper's smallest write buffer would do; this is what a server for many slow clients sets.
const WRITE_BUFFER: usize = 64 * 1024;

/// One chunk of 64 KiB handed over, the task and both heads. hyper asks for the next chunk when less than `WRITE_BUFFER` are
/// queued, so at most two chunks are there at a time.
const PER_CLIENT: usize = 2 * 64 * 1024 + 32 * 1024;

#[test]
fn a_client_that_stops_reading_costs_at_most_two_chunks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(FILE).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
        .unwrap();
    let root = Root::open_ambient(directory.path(), ambient_authority()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, std::sync::Arc::new(root)));
        let mut clients = vec![ask(address).await];
        settle().await;
        let before = resident();
        for _ in 0..CLIENTS {
            clients.push(ask(address).await);
        }
        settle().await;
        let each = resident().saturating_sub(before) / CLIENTS;
        println!("{each} bytes for each client that stopped reading");
        assert!(each <= PER_CLIENT, "{each} bytes each");
        // They are not dead: each goes on where it stopped.
        let mut buffer = vec![0; 1 << 20];
        for client in &mut clients {
            client.read_exact(&mut buffer).await.unwrap();
        }
    });
}

async fn accept(listener: TcpListener, root: std::sync::Arc<Root>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let root = root.clone();
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let file = root.open(&RelPath::parse("file").unwrap()).unwrap();
            let response = FileResponse::new(file).respond(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.max_buf_size(WRITE_BUFFER);
        tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
    }
}

/// Asks for the file, and reads no further than the first line of the answer.
async fn ask(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut line = [0; 15];
    stream.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 200 OK");
    stream
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Bytes of memory this process has, by statm of proc(5). Socket buffers are the kernel's and not in it.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}
