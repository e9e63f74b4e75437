//! What the tests share: a tree to serve, a server over it, and a client that sends any bytes it is given.

mod client;
mod h2;
mod tree;

#[path = "../../../examples/axum.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the tests serve the very application of the example, without its main"
)]
mod axum_example;
#[path = "../../../examples/handler.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the tests serve the very application of the example, without its main"
)]
mod handler_example;
#[path = "../../../examples/hyper.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the tests serve the very application of the example, without its main"
)]
mod hyper_example;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;

use axum::Router;
use beneath::{Root, ambient_authority};
use beneath_serve::{Limits, Server};
use tokio::net::TcpListener;

pub(crate) use client::{PATIENCE, Reply, connect, exchange, get, raw, request, until_closed};
pub(crate) use h2::{h2_get, h2_request, h2_with};
pub(crate) use tree::{SECRET, Tree};

/// Which of the examples answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stack {
    /// `examples/axum.rs`: axum behind `beneath_serve::Server`.
    Axum,
    /// `examples/hyper.rs`: hyper alone.
    Hyper,
}

impl Stack {
    /// Serves a directory on a port of its own until the test program ends.
    pub(crate) fn serve(self, directory: &Path) -> SocketAddr {
        match self {
            Self::Axum => serve(app(directory)),
            Self::Hyper => {
                let files = hyper_example::files(directory).unwrap();
                in_background(async move |told| {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    told.send(listener.local_addr().unwrap()).unwrap();
                    hyper_example::serve(listener, files).await;
                })
            }
        }
    }
}

/// Serves any application behind the listener of the example `axum`, on a port of its own.
pub(crate) fn serve(app: Router) -> SocketAddr {
    serve_with(app, Limits::default())
}

/// The application of the example `axum`.
pub(crate) fn app(directory: &Path) -> Router {
    axum_example::app(directory).unwrap()
}

/// The application of the example `handler`: downloads at `/reports/…`.
pub(crate) fn handler(directory: &Path) -> Router {
    handler_example::app(Root::open_ambient(directory, ambient_authority()).unwrap())
}

/// As [`serve`], with other limits.
pub(crate) fn serve_with(app: Router, limits: Limits) -> SocketAddr {
    in_background(async move |told| {
        let server = Server::bind("127.0.0.1:0").await.unwrap().limits(limits);
        told.send(server.local_addr()).unwrap();
        server.serve(app, std::future::pending()).await.unwrap();
    })
}

/// Runs a server on a thread of its own, which tells where it listens.
fn in_background<F>(serve: F) -> SocketAddr
where
    F: AsyncFnOnce(mpsc::Sender<SocketAddr>) + Send + 'static,
{
    let (told, listens) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(serve(told));
    });
    listens.recv().unwrap()
}
