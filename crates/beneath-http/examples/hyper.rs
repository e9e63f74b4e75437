//! Serves a directory with hyper alone: no axum, no router, and none of the limits of `beneath_serve::Server`.
//!
//! ```sh
//! cargo run --release -p beneath-http --all-features --example hyper -- DIR ADDR
//! ```
//!
//! For the public Internet use the listener of the example `axum`: hyper alone waits for slow clients and answers
//! requests that RFC 9112 §3.2 wants refused.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beneath::{Root, ambient_authority};
use beneath_http::{Coding, ServeRoot};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [directory, address] = arguments.as_slice() else {
        return Err("usage: hyper DIR ADDR".into());
    };
    let files = files(Path::new(directory))?;
    let address = address.to_str().ok_or("the address is not text")?;
    serve(TcpListener::bind(address).await?, files).await;
    Ok(())
}

/// A root, opened once, and a service over it.
///
/// # Errors
///
/// If the directory cannot be opened.
pub fn files(directory: &Path) -> Result<ServeRoot, beneath::Error> {
    let root = Arc::new(Root::open_ambient(directory, ambient_authority())?);
    Ok(ServeRoot::new(root).precompressed([Coding::Brotli, Coding::Zstd, Coding::Gzip]))
}

/// One task per connection, HTTP/1.1 or HTTP/2.
pub async fn serve(listener: TcpListener, files: ServeRoot) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: some will be given back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let service = TowerToHyperService::new(files.clone());
        tokio::spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10));
            builder.http2().timer(TokioTimer::new());
            // A connection that ends in an error is the client's to notice.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
