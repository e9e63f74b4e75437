//! [`Server`]: listeners, the accept loop, and the staged drain.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::Notify;
use tower_service::Service;

use crate::limits::Limits;
use crate::peer::{Abort, Peer};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Listeners and limits, ready to serve an application.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    limits: Limits,
}

/// How the drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that ended by themselves after the shutdown signal.
    pub finished: usize,
    /// Connections that were cut at the deadline.
    pub aborted: usize,
}

/// Why the server could not start or had to stop.
#[derive(Debug)]
pub struct Error(io::Error);

impl Server {
    /// Listens on a TCP address; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn bind(address: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::new(TcpListener::bind(address).await.map_err(Error)?)
    }

    /// Serves on a socket that is already bound and listening, such as one handed over by the service manager.
    ///
    /// # Errors
    ///
    /// If the socket cannot be made non-blocking.
    pub fn from_listener(listener: std::net::TcpListener) -> Result<Self, Error> {
        listener.set_nonblocking(true).map_err(Error)?;
        Self::new(TcpListener::from_std(listener).map_err(Error)?)
    }

    fn new(listener: TcpListener) -> Result<Self, Error> {
        let local_addr = listener.local_addr().map_err(Error)?;
        Ok(Self {
            listener,
            local_addr,
            limits: Limits::default(),
        })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Replaces the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Serves until `shutdown` completes, then drains.
    ///
    /// # Errors
    ///
    /// If listening fails for good.
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Result<Drained, Error>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError> + Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout);
        builder.http2().timer(TokioTimer::new());
        let graceful = GracefulShutdown::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let (stream, address) = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(_) => {
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let _ = stream.set_nodelay(true);
            let service = service.clone();
            let abort = Abort(Arc::new(Notify::new()));
            let notified = Arc::clone(&abort.0);
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer::Tcp(address));
                request.extensions_mut().insert(abort.clone());
                service.clone().call(request)
            });
            let connection = graceful.watch(
                builder
                    .serve_connection(TokioIo::new(stream), service)
                    .into_owned(),
            );
            tokio::spawn(async move {
                tokio::select! { _ = connection => {}, () = notified.notified() => {} }
            });
        }
        let open = graceful.count();
        drop(self.listener);
        let aborted = usize::from(
            tokio::time::timeout(self.limits.drain, graceful.shutdown())
                .await
                .is_err(),
        );
        Ok(Drained {
            finished: open.saturating_sub(aborted),
            aborted,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen: {}", self.0)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
