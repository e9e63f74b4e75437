//! The smallest hyper service behind a `Server`: no router, no framework.

use std::convert::Infallible;

use beneath_serve::{RequestBody, Server};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Bytes;

async fn hello(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello\n")))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind("127.0.0.1:8080").await?;
    let shutdown = async { drop(tokio::signal::ctrl_c().await) };
    server.serve(tower::service_fn(hello), shutdown).await?;
    Ok(())
}
