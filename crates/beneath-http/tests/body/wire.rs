//! The same table over real sockets, HTTP/1.1 and HTTP/2, with a client that reads slowly.

use std::convert::Infallible;
use std::sync::Arc;

use beneath_http::FileResponse;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpSocket, TcpStream};

use crate::events::{EVENTS, Outcome};
use crate::support::{Age, Fixture, OLD};

/// Far more than the sockets and the server hold between them.
const LEN: usize = 6 << 20;

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http1,
    Http2,
}

#[tokio::test]
async fn over_http_1_the_client_gets_the_old_file_or_sees_the_failure() {
    every_event(Protocol::Http1).await;
}

#[tokio::test]
async fn over_http_2_the_client_gets_the_old_file_or_sees_the_failure() {
    every_event(Protocol::Http2).await;
}

#[tokio::test]
async fn over_http_2_the_digest_of_a_part_follows_it_beside_a_known_length() {
    let fixture = Arc::new(Fixture::new(10, Age::Settled));
    let stream = connect(serve(fixture, Protocol::Http2).await).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://a/file")
        .header("range", "bytes=0-4")
        .header("want-content-digest", "sha-256=1")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers()["content-length"], "5");
    assert_eq!(response.headers()["trailer"], "content-digest");
    let body = response.into_body().collect().await.unwrap();
    // SHA-256 of `ooooo`.
    assert_eq!(
        body.trailers().unwrap()["content-digest"],
        "sha-256=:iyhaoJjyCSK8Cn5jILXieFYoWJcovCtS95pY3HZy7us=:"
    );
    assert_eq!(body.to_bytes(), "ooooo");
}

async fn every_event(protocol: Protocol) {
    for event in EVENTS {
        let fixture = Arc::new(Fixture::new(LEN, event.age));
        let stream = connect(serve(fixture.clone(), protocol).await).await;
        let mut body = request(stream, protocol).await;
        let mut seen = first_bytes(&mut body).await;
        (event.happen)(&fixture);
        let mut failed = false;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => seen.extend(frame.into_data().unwrap_or_default()),
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
        match event.outcome {
            Outcome::Old => {
                assert!(
                    !failed,
                    "{protocol:?}, {}: after {} bytes",
                    event.name,
                    seen.len()
                );
                assert!(
                    seen == vec![OLD; LEN],
                    "{protocol:?}, {}: {} bytes",
                    event.name,
                    seen.len()
                );
            }
            Outcome::Failure => {
                assert!(
                    failed,
                    "{protocol:?}, {}: looked whole at {} bytes",
                    event.name,
                    seen.len()
                );
                assert!(seen.len() < LEN, "{protocol:?}, {}", event.name);
            }
        }
    }
}

/// The head, and enough of the body to be in its middle.
async fn first_bytes(body: &mut Incoming) -> Vec<u8> {
    let mut seen = Vec::new();
    while seen.len() < 100_000 {
        seen.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    // Until the server is blocked on this client.
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    seen
}

async fn serve(fixture: Arc<Fixture>, protocol: Protocol) -> std::net::SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(64 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let response = FileResponse::new(fixture.open()).respond(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let io = TokioIo::new(stream);
        // A failed body is an error of the connection; that is what this is about.
        let _ = match protocol {
            Protocol::Http1 => {
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service)
                    .await
            }
            Protocol::Http2 => {
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(io, service)
                    .await
            }
        };
    });
    address
}

async fn connect(address: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(address).await.unwrap()
}

async fn request(stream: TcpStream, protocol: Protocol) -> Incoming {
    let io = TokioIo::new(stream);
    let request = Request::get("http://a/file")
        .header("host", "a")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = match protocol {
        Protocol::Http1 => {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
        Protocol::Http2 => {
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
    };
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-length"], LEN.to_string());
    response.into_body()
}
