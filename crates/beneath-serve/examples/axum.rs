//! The smallest axum application behind a `Server`.

use axum::{Router, routing::get};
use beneath_serve::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = Router::new().route("/", get(|| async { "hello\n" }));
    let server = Server::bind("127.0.0.1:8080").await?;
    server
        .serve(app, async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
