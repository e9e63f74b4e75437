//! The process: from the first socket to the last byte.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use beneath_catalog::Catalog;
use beneath_serve::{Drained, Limits, Server};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::service::{BLOCKING_THREADS, Service};
use crate::{routes, telemetry};

/// Why the service did not start, or what it left behind when it stopped.
#[derive(Debug)]
pub(crate) enum ProcessError {
    /// What the configuration names cannot be used, now or later.
    Configuration(String),
    /// What this machine did, or whoever stopped it.
    Failed(String),
}

impl ProcessError {
    pub(crate) fn tls(error: &beneath_serve::Error) -> Self {
        Self::Configuration(format!("tls: {error}"))
    }

    pub(crate) fn cannot_listen(address: SocketAddr, error: &io::Error) -> Self {
        Self::Failed(format!("cannot listen on {address}: {error}"))
    }
}

impl From<beneath_serve::Error> for ProcessError {
    fn from(error: beneath_serve::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Takes the address, before anything that takes long: a taken port is known at once.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, ProcessError> {
    TcpListener::bind(address).map_err(|error| ProcessError::cannot_listen(address, &error))
}

/// Prepares the catalog, then serves until SIGTERM or SIGINT, then drains; a second signal cuts what is left. Calls
/// `listening`, with what else was prepared, as soon as connections are accepted. A signal during the preparation ends
/// it, too, so that whoever made a temporary folder gets to remove it.
pub(crate) fn run<T: Send + 'static, E: From<ProcessError> + Send + 'static>(
    listener: TcpListener,
    config: &Config,
    prepare: impl FnOnce() -> Result<(Catalog, T), E> + Send + 'static,
    listening: impl FnOnce(SocketAddr, T),
) -> Result<(), E> {
    let log = telemetry::start();
    enough_descriptors()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| ProcessError::Failed(format!("cannot start threads: {error}")))?;
    let mut abandoned = false;
    let done = runtime.block_on(async {
        let mut stop =
            Stop::new().map_err(|error| ProcessError::Failed(format!("cannot wait for signals: {error}")))?;
        let prepared = tokio::select! {
            prepared = tokio::task::spawn_blocking(prepare) => prepared,
            () = stop.asked() => {
                abandoned = true;
                return Ok(());
            }
        };
        let (catalog, more) = prepared
            .map_err(|error| ProcessError::Failed(format!("the catalog was not prepared: {error}")))??;
        let listening = |address| listening(address, more);
        Ok(serve(
            listener,
            Service::new(catalog, config.limits.proxies.clone(), &log),
            config,
            stop,
            listening,
        )
        .await?)
    });
    // Whatever hangs, in a file system that does not answer: nobody waits for it any more.
    runtime.shutdown_timeout(if abandoned { Duration::ZERO } else { AT_THE_END });
    done
}

async fn serve(
    listener: TcpListener,
    service: Service,
    config: &Config,
    mut stop: Stop,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), ProcessError> {
    let service = Arc::new(service);
    // The counters are served until the last download ended.
    let stopped = CancellationToken::new();
    let _stops = stopped.clone().drop_guard();
    let mut server = Server::from_listener(listener)?.limits(config.limits.clone());
    if let Some(tls) = &config.tls {
        server = server.tls(tls.load().map_err(|error| ProcessError::tls(&error))?);
    }
    if let Some(address) = config.metrics {
        // Who asks there is one program: descriptors are for downloads.
        let mut few = Limits::default();
        few.connections = METRICS_CONNECTIONS;
        let metrics = Server::from_listener(bind(address)?)?.limits(few);
        let stop = stopped.clone().cancelled_owned();
        let metrics = metrics.serve(routes::metrics(Arc::clone(&service)), stop);
        tokio::spawn(async move {
            if let Err(error) = metrics.await {
                tracing::error!(%error, "the counters are not served any more");
            }
        });
    }
    let catalog = service.catalog();
    server = server.when_exhausted(move || catalog.let_go());
    listening(server.local_addr());
    tell_manager(NotifyState::Ready);
    let drain = CancellationToken::new();
    let insisted = async {
        stop.asked().await;
        tell_manager(NotifyState::Stopping);
        drain.cancel();
        stop.asked().await;
    };
    let drained = tokio::select! {
        drained = server.serve_files(routes::App::new(service), drain.clone().cancelled_owned()) => drained?,
        () = insisted => {
            return Err(ProcessError::Failed("stopped at the second signal; open connections were cut".to_owned()));
        }
    };
    match drained {
        Drained { aborted: 0, .. } => Ok(()),
        Drained { aborted, .. } => Err(ProcessError::Failed(format!(
            "stopped; {aborted} connections were cut at limits.drain_timeout"
        ))),
    }
}

/// Where a service manager started this and wants to know (sd_notify(3), `Type=notify`).
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

/// With fewer it would start, and could not even tell clients that it cannot serve them.
fn enough_descriptors() -> Result<(), ProcessError> {
    const LEAST: u64 = 32;
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(few) if few < LEAST => Err(ProcessError::Failed(format!(
            "this process may open {few} files at once (ulimit -n), and needs {LEAST} at least; by default there are 1024"
        ))),
        _ => Ok(()),
    }
}

/// How many may ask for the counters at once.
const METRICS_CONNECTIONS: usize = 16;

/// For so long what was asked of the disk may still be answered when everything else has ended.
const AT_THE_END: Duration = Duration::from_secs(2);

/// SIGTERM, SIGINT, and SIGHUP from a terminal that is closed. Registered when it is made, so that no signal is missed before
/// it is awaited.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    /// None under nohup(1), which ignores it.
    hangup: Option<Signal>,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: match hangup_is_ignored() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// Completes at the next signal.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            Some(()) = async { self.hangup.as_mut()?.recv().await } => {}
        }
    }
}

/// By the mask of what is ignored, in which SIGHUP is the lowest bit (proc_pid_status(5)).
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}
