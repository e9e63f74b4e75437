//! [`Server`]: listeners, the accept loop, and the staged drain.

use std::error::Error as StdError;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beneath_http::SegmentBody;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::net::{TcpListener, ToSocketAddrs, UnixListener, lookup_host};
use tokio::time::timeout;
use tower_service::Service;

use crate::admission::Admission;
use crate::connection::{self, Shared};
use crate::error::Error;
use crate::limits::Limits;
use crate::listener::{Listener, Listeners, WhenExhausted};
use crate::plain::Plain;
use crate::request_body::RequestBody;
use crate::tls::Tls;
use crate::watchdog::{Order, Watchdog};

/// How long connections that were told to end at once may take for it. They do not ask the client.
const ABORTING: Duration = Duration::from_secs(1);

/// Listeners and limits, ready to serve an application.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use beneath_serve::Server;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), beneath_serve::Error> {
/// let app = Router::new().route("/", get(|| async { "hello" }));
/// let drained = Server::bind("127.0.0.1:8080").await?
///     .serve(app, async { let _ = tokio::signal::ctrl_c().await; })
///     .await?;
/// std::process::exit(if drained.aborted == 0 { 0 } else { 1 });
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    limits: Limits,
    tls: Option<Tls>,
    when_exhausted: WhenExhausted,
}

/// How the drain went: what a service chooses its exit code by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that were open when the shutdown signal came, and have all they asked for.
    pub finished: usize,
    /// Connections that had to be cut at the deadline, [`Limits::drain`], in the middle of an answer.
    pub aborted: usize,
}

impl Server {
    /// Listens on a TCP address, IPv4 or IPv6. With port 0 the system chooses one: see
    /// [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn bind(address: impl ToSocketAddrs) -> Result<Self, Error> {
        let addresses = lookup_host(address).await.map_err(Error::listen)?;
        let addresses: Vec<_> = addresses.collect();
        let listener = TcpListener::bind(&addresses[..]).await.map_err(|error| {
            let names: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            Error::listen_at(names.join(", "), error)
        })?;
        Ok(Self::on(Listener::Tcp(listener)))
    }

    /// Listens on a unix socket that it makes at `path`. Who may connect is decided by the permissions of the
    /// directory (unix(7)). A socket left over from an earlier run has to be removed before, by
    /// whoever knows that nobody listens on it.
    ///
    /// # Errors
    ///
    /// If there is something at `path` already, or if nothing can be made there.
    pub fn bind_unix(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let listener = UnixListener::bind(path).map_err(|error| Error::listen_at(path.display(), error))?;
        Ok(Self::on(Listener::Unix(listener)))
    }

    /// Serves on a socket that is already bound and listening, such as one that the service manager hands over.
    ///
    /// # Errors
    ///
    /// If the socket cannot be made non-blocking.
    pub fn from_listener(listener: std::net::TcpListener) -> Result<Self, Error> {
        listener.set_nonblocking(true).map_err(Error::listen)?;
        let listener = TcpListener::from_std(listener).map_err(Error::listen)?;
        Ok(Self::on(Listener::Tcp(listener)))
    }

    /// As [`from_listener`](Self::from_listener), for a unix socket.
    ///
    /// # Errors
    ///
    /// If the socket cannot be made non-blocking.
    pub fn from_unix_listener(listener: std::os::unix::net::UnixListener) -> Result<Self, Error> {
        listener.set_nonblocking(true).map_err(Error::listen)?;
        let listener = UnixListener::from_std(listener).map_err(Error::listen)?;
        Ok(Self::on(Listener::Unix(listener)))
    }

    fn on(listener: Listener) -> Self {
        Self {
            listeners: vec![listener],
            limits: Limits::default(),
            tls: None,
            when_exhausted: WhenExhausted::default(),
        }
    }

    /// Listens on what another server listens on, too. The limits and TLS are those of this one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.listeners.extend(other.listeners);
        self
    }

    /// Replaces the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Calls when no descriptor is left for a new connection, before anybody is turned away: for an application that holds some it
    /// can do without. Must not block.
    #[must_use]
    pub fn when_exhausted(mut self, give_back: impl Fn() + Send + Sync + 'static) -> Self {
        self.when_exhausted = WhenExhausted::calls(give_back);
        self
    }

    /// Speaks TLS on every connection, and reloads the certificate when it changes. To answer on a port without TLS, too, there is a
    /// second `Server`, with half of the [connections](Limits::connections) for each.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The address of the first TCP listener; `0.0.0.0:0` if there are only unix sockets.
    pub fn local_addr(&self) -> SocketAddr {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        self.listeners
            .iter()
            .find_map(Listener::local_addr)
            .unwrap_or(nowhere)
    }

    /// Serves until `shutdown` completes, then drains: accepts no more, lets what is under way finish while
    /// telling the clients (`Connection: close`, GOAWAY), and after [`Limits::drain`] cuts what is left.
    ///
    /// What was answered [`direct`](beneath_http::direct)ly is sent as by [`serve_files`](Self::serve_files).
    ///
    /// `service` is cloned for each connection and each request; an axum `Router` is one. In the extensions of
    /// each request it finds the [`Peer`](crate::Peer) (where `axum::serve` has `ConnectInfo`) and an [`Abort`](crate::Abort).
    ///
    /// An `Err` of the service ends the connection, or the HTTP/2 stream, without an answer: what a client should know is a
    /// response. So does a panic, which ends no other stream.
    ///
    /// Dropping the future stops accepting, and leaves the open connections to themselves and their limits.
    ///
    /// # Errors
    ///
    /// If listening becomes impossible. Want of descriptors or memory is not such a case.
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Result<Drained, Error>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.serve_files(Plain(service), shutdown).await
    }

    /// As [`serve`](Self::serve), for an application that answers with files: a [`SegmentBody`], such as
    /// [`FileBody`](beneath_http::FileBody). Over HTTP/1 without TLS what is [large enough](Limits::sendfile_from) leaves by
    /// sendfile(2), without a copy in this process. Everywhere else, nothing is different.
    ///
    /// The body has to arrive here as it is. An axum `Router`, and a layer that wraps bodies, make another type of it: their handlers
    /// answer [`direct`](beneath_http::direct)ly, and [`serve`](Self::serve) does the rest. For an application that has other
    /// bodies besides, an enum of its own implements [`SegmentBody`].
    ///
    /// [`Peer`](crate::Peer) and [`Abort`](crate::Abort) are with the [`RequestBody`]; see [`RequestBody::extend`].
    ///
    /// ```no_run
    /// # use beneath::{RelPath, Root, ambient_authority};
    /// use beneath_http::{FileBody, FileResponse};
    /// use beneath_serve::{RequestBody, Server};
    /// use http::{Request, Response, StatusCode};
    ///
    /// async fn report(request: Request<RequestBody>) -> Result<Response<FileBody>, beneath::Error> {
    ///     # let root = Root::open_ambient("/srv/reports", ambient_authority())?;
    ///     Ok(match root.open(&RelPath::parse("q3.pdf")?) {
    ///         Ok(file) => FileResponse::new(file).named("q3.pdf").respond(&request),
    ///         Err(_) => {
    ///             let mut none = Response::new(FileBody::empty());
    ///             *none.status_mut() = StatusCode::NOT_FOUND;
    ///             none
    ///         }
    ///     })
    /// }
    ///
    /// # async fn example() -> Result<(), beneath_serve::Error> {
    /// Server::bind("[::]:8080").await?.serve_files(tower::service_fn(report), std::future::pending()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub async fn serve_files<S, B>(
        self,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Drained, Error>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: SegmentBody + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let admission = Arc::new(Admission::new(&self.limits));
        let drain = self.limits.drain;
        let renewal = keep_current(self.tls.clone());
        let listeners = Listeners::new(self.listeners, self.tls.is_some(), self.when_exhausted);
        let shared = Arc::new(Shared::new(self.limits, self.tls));
        tokio::select! {
            () = shutdown => {}
            result = accept(listeners, shared, &admission, service) => result?,
            () = renewal => {}
        }
        Ok(finish(&admission, drain).await)
    }
}

/// Accepts for as long as it is polled.
async fn accept<S, B>(
    mut listeners: Listeners,
    shared: Arc<Shared>,
    admission: &Arc<Admission>,
    service: S,
) -> Result<(), Error>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: SegmentBody + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    loop {
        admission.room().await;
        let (stream, peer) = listeners.accept().await.map_err(Error::listen)?;
        let watchdog = Arc::new(Watchdog::new(Arc::clone(&shared.rules)));
        let Some(admitted) = admission.admit(peer, &watchdog) else {
            tracing::debug!(?peer, "an address has its share of connections");
            listeners.turn_away(&stream);
            continue;
        };
        let connection = connection::serve(Arc::clone(&shared), watchdog, stream, peer, service.clone());
        tokio::spawn(async move {
            connection.await;
            drop(admitted);
        });
    }
}

async fn keep_current(tls: Option<Tls>) {
    if let Some(tls) = tls {
        tls.keep_current().await;
    }
    pending::<()>().await;
}

async fn finish(admission: &Admission, deadline: Duration) -> Drained {
    let open = admission.open();
    admission.order(Order::Drain);
    if timeout(deadline, admission.empty()).await.is_ok() {
        return Drained {
            finished: open,
            aborted: 0,
        };
    }
    // Who owes nothing and was told to go, and did not, has lost nothing.
    let aborted = admission.busy();
    admission.order(Order::Abort);
    let _ = timeout(ABORTING, admission.empty()).await;
    Drained {
        finished: open.saturating_sub(aborted),
        aborted,
    }
}
