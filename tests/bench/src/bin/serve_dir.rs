//! A peer: axum and tower-http's `ServeDir` behind Basic authentication, with nothing tuned.
//! `serve_dir DIRECTORY AUTHORIZATION` prints the address it listens on.

#![allow(clippy::print_stdout, reason = "it prints its address")]

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;
use tower_http::services::ServeDir;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = arguments.next().context("DIRECTORY")?;
    let expected = arguments.next().context("AUTHORIZATION")?;
    let expected = HeaderValue::from_str(&expected.to_string_lossy())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let files = Router::new().fallback_service(ServeDir::new(directory));
        let application = files.layer(from_fn_with_state(expected, authenticate));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        Ok(axum::serve(
            axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))),
            application,
        )
        .await?)
    })
}

async fn authenticate(State(expected): State<HeaderValue>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(expected.as_bytes()))) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"files\"")];
    (StatusCode::UNAUTHORIZED, challenge).into_response()
}
