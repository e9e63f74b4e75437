//! A handler that returns a file from a [`Root`], in five lines: the caller decides who may have which file, and the
//! answer is the complete one of RFC 9110.
//!
//! ```sh
//! cargo run --release -p beneath-http --all-features --example handler -- DIR ADDR
//! ```

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use beneath::{RelPath, Root, ambient_authority};
use beneath_http::{FileBody, FileResponse};
use beneath_serve::Server;
use http::request::Parts;
use http::{Response, StatusCode};

async fn report(
    State(reports): State<Arc<Root>>,
    Path(name): Path<String>,
    head: Parts,
) -> Result<Response<FileBody>, StatusCode> {
    let path = RelPath::parse(&name).map_err(|_| StatusCode::NOT_FOUND)?;
    let file = beneath_http::open(&reports, &path)
        .await
        .map_err(|_| StatusCode::NOT_FOUND)?;
    Ok(FileResponse::new(file).named(path.file_name()).respond(&head))
}

/// `/reports/2026/q3.pdf` is the file `2026/q3.pdf` beneath the root, as a download.
pub fn app(reports: Root) -> Router {
    Router::new()
        .route("/reports/{*name}", get(report))
        .with_state(Arc::new(reports))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [directory, address] = arguments.as_slice() else {
        return Err("usage: handler DIR ADDR".into());
    };
    let reports = Root::open_ambient(directory, ambient_authority())?;
    let address = address.to_str().ok_or("the address is not text")?;
    Server::bind(address)
        .await?
        .serve(app(reports), std::future::pending())
        .await?;
    Ok(())
}
