//! The process: from the first socket to the last byte.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use beneath_catalog::Catalog;
use beneath_serve::{Drained, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::service::{BLOCKING_THREADS, Service};
use crate::{routes, telemetry};

/// Why the service did not start, or what it left behind when it stopped.
#[derive(Debug)]
pub(crate) struct ProcessError(String);

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<beneath_serve::Error> for ProcessError {
    fn from(error: beneath_serve::Error) -> Self {
        Self(error.to_string())
    }
}

/// Takes the address, before anything that takes long: a taken port is known at once.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, ProcessError> {
    TcpListener::bind(address).map_err(|error| ProcessError(format!("cannot listen on {address}: {error}")))
}

/// Serves until SIGTERM or SIGINT, then drains. Calls `listening` as soon as connections are accepted.
pub(crate) fn run(
    listener: TcpListener,
    catalog: Catalog,
    config: &Config,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), ProcessError> {
    let log = telemetry::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| ProcessError(format!("cannot start threads: {error}")))?;
    runtime.block_on(serve(listener, Service::new(catalog, &log), config, listening))
}

async fn serve(
    listener: TcpListener,
    service: Service,
    config: &Config,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), ProcessError> {
    let service = Arc::new(service);
    // The counters are served until the last download ended.
    let stopped = CancellationToken::new();
    let _stops = stopped.clone().drop_guard();
    let mut server = Server::from_listener(listener)?.limits(config.limits.clone());
    if let Some(tls) = &config.tls {
        server = server.tls(tls.load()?);
    }
    if let Some(address) = config.metrics {
        let metrics = Server::bind(address).await?;
        let stop = stopped.clone().cancelled_owned();
        tokio::spawn(metrics.serve(routes::metrics(Arc::clone(&service)), stop));
    }
    let stop = shutdown().map_err(|error| ProcessError(format!("cannot wait for signals: {error}")))?;
    listening(server.local_addr());
    match server.serve(routes::app(service), stop).await? {
        Drained { aborted: 0, .. } => Ok(()),
        Drained { aborted, .. } => Err(ProcessError(format!(
            "stopped; {aborted} connections were cut at limits.drain_timeout"
        ))),
    }
}

/// Completes at the first SIGTERM or SIGINT. Registered before it is awaited, so that no signal is missed.
fn shutdown() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
