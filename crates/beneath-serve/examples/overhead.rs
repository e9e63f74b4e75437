//! What a `Server` costs beside hyper alone: CPU per small request, and memory per idle connection.
//!
//! `cargo run --release -p beneath-serve --example overhead`

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use std::convert::Infallible;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use beneath_serve::{Limits, Server};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::oneshot;

const REQUESTS: u32 = 100_000;
const IDLE: usize = 5000;
const GET: &[u8] =
    b"GET /f/AAAAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.14.1\r\n\
    Accept: */*\r\nAuthorization: Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==\r\n\r\n";

fn main() {
    for round in 1..=5 {
        for (name, serve) in [
            ("hyper alone", hyper_alone as Serve),
            ("with Server", with_server),
        ] {
            let (cpu, memory) = measure(serve);
            println!(
                "round {round}, {name}: {cpu:.2} µs CPU per request, {memory:.1} KiB per idle connection"
            );
        }
    }
}

type Serve = fn(&mpsc::Sender<SocketAddr>, oneshot::Receiver<()>);

async fn answer<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(&[b'x'; 100]))))
}

fn with_server(told: &mpsc::Sender<SocketAddr>, stopped: oneshot::Receiver<()>) {
    block_on(async {
        let mut limits = Limits::default();
        limits.connections = 2 * IDLE;
        let server = Server::bind("127.0.0.1:0").await.expect("a port").limits(limits);
        told.send(server.local_addr()).expect("somebody listens");
        server
            .serve(tower::service_fn(answer), async { drop(stopped.await) })
            .await
            .expect("a drain");
    });
}

fn hyper_alone(told: &mpsc::Sender<SocketAddr>, mut stopped: oneshot::Receiver<()>) {
    block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        told.send(listener.local_addr().expect("an address"))
            .expect("somebody listens");
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new());
        loop {
            let (stream, _) = tokio::select! {
                accepted = listener.accept() => accepted.expect("a connection"),
                _ = &mut stopped => return,
            };
            stream.set_nodelay(true).expect("a socket");
            let service = TowerToHyperService::new(tower::service_fn(answer));
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future);
}

/// CPU µs of the server's thread per request, and KiB of this process per idle connection.
fn measure(serve: Serve) -> (f64, f64) {
    let (told, listens) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let (thread, threads) = mpsc::channel();
    let server = std::thread::spawn(move || {
        thread
            .send(rustix::thread::gettid().as_raw_nonzero().get())
            .expect("somebody listens");
        serve(&told, stopped);
    });
    let thread = threads.recv().expect("a thread");
    let address = listens.recv().expect("an address");
    let before = resident();
    let idle: Vec<TcpStream> = (0..IDLE)
        .map(|_| ask(TcpStream::connect(address).expect("a connection")))
        .collect();
    let memory = (resident() - before) as f64 / IDLE as f64 / 1024.0;
    drop(idle);
    let mut stream = ask(TcpStream::connect(address).expect("a connection"));
    std::thread::sleep(Duration::from_secs(1));
    let before = cpu(thread);
    for _ in 0..REQUESTS {
        stream = ask(stream);
    }
    let cpu = cpu(thread) - before;
    drop((stream, stop));
    server.join().expect("an end");
    (cpu / f64::from(REQUESTS), memory)
}

/// CPU time of a thread in µs: /proc/PID/task/TID/schedstat.
fn cpu(thread: i32) -> f64 {
    let schedstat = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).expect("procfs");
    schedstat
        .split(' ')
        .next()
        .and_then(|ns| ns.parse::<f64>().ok())
        .expect("nanoseconds")
        / 1000.0
}

fn ask(mut stream: TcpStream) -> TcpStream {
    stream.write_all(GET).expect("sent");
    let mut buf = [0; 1024];
    assert_ne!(stream.read(&mut buf).expect("an answer"), 0);
    stream
}

/// proc_pid_statm(5).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .expect("pages")
        * 4096
}
