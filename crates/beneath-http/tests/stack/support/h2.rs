//! A client that speaks HTTP/2 with prior knowledge (RFC 9113 §3.3).

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// One answer over HTTP/2. `body` is what arrived; `complete` is whether the stream ended as it should.
#[derive(Debug)]
pub(crate) struct H2Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) complete: bool,
}

/// Sends one request, does `meanwhile` once the first piece of the body is there, and reads the rest.
pub(crate) fn h2_with(addr: SocketAddr, request: Request<Empty<Bytes>>, meanwhile: impl FnOnce()) -> H2Reply {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let exchange = async {
        let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let (head, mut body) = sender.send_request(request).await.unwrap().into_parts();
        let (mut meanwhile, mut bytes) = (Some(meanwhile), Vec::new());
        let complete = loop {
            match body.frame().await {
                None => break true,
                Some(Err(_)) => break false,
                Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            }
            if let Some(meanwhile) = meanwhile.take() {
                meanwhile();
            }
        };
        H2Reply {
            status: head.status,
            headers: head.headers,
            body: bytes,
            complete,
        }
    };
    runtime.block_on(async { tokio::time::timeout(super::PATIENCE * 3, exchange).await.unwrap() })
}

/// `GET target` over HTTP/2.
pub(crate) fn h2_get(addr: SocketAddr, target: &str, fields: &[(&str, &str)]) -> H2Reply {
    h2_with(addr, h2_request("GET", target, fields), || ())
}

/// A request for [`h2_with`].
pub(crate) fn h2_request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let uri = format!("http://files.example.org{target}");
    let mut request = Request::builder().method(method).uri(uri);
    for &(name, value) in fields {
        request = request.header(name, value);
    }
    request.body(Empty::new()).unwrap()
}
