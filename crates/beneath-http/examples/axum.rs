//! Serves a directory on an address: `ServeRoot` in axum, behind a listener that cannot be exhausted, and without a copy where
//! the connection can.
//!
//! ```sh
//! cargo run --release -p beneath-http --all-features --example axum -- DIR ADDR
//! ```
//!
//! HTTP/1.1 and HTTP/2 (with prior knowledge). `a.css.br`, `a.css.zst` and `a.css.gz` are sent for `a.css` to whoever
//! accepts them.

use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use beneath::{Root, ambient_authority};
use beneath_http::{Coding, ServeRoot, direct};
use beneath_serve::Server;
use tower::ServiceExt;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [directory, address] = arguments.as_slice() else {
        return complain(2, "usage: axum DIR ADDR (such as: axum ./public 127.0.0.1:8080)");
    };
    match run(directory, address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(1, &error.to_string()),
    }
}

async fn run(directory: &OsStr, address: &OsStr) -> Result<(), Box<dyn Error>> {
    let app = app(Path::new(directory)).map_err(|error| format!("{}: {error}", directory.display()))?;
    let address = address.to_str().ok_or("the address is not text")?;
    let server = Server::bind(address)
        .await
        .map_err(|error| format!("{address}: {error}"))?;
    server.serve(app, interrupted()).await?;
    Ok(())
}

/// All there is to it: a root, opened once, and a service over it.
///
/// # Errors
///
/// If the directory cannot be opened.
pub fn app(directory: &Path) -> Result<Router, beneath::Error> {
    let root = Arc::new(Root::open_ambient(directory, ambient_authority())?);
    let files = ServeRoot::new(root)
        .precompressed([Coding::Brotli, Coding::Zstd, Coding::Gzip])
        .digests_up_to(256 * 1024 * 1024);
    let files = ServiceExt::<Request>::map_response(files, direct);
    Ok(Router::new().fallback_service(files))
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // No signals to be had here: serve until killed.
        std::future::pending::<()>().await;
    }
}

#[expect(clippy::print_stderr, reason = "a program speaks to its user")]
fn complain(code: u8, message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(code)
}
