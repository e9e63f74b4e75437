//! What the operator sees: structured events on standard error, and counters on a listener of their own.
//!
//! Events are for a person on a terminal, JSON otherwise. Never a password, never a whole `Authorization` field, and
//! every text from outside escaped.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Starts the log. `RUST_LOG` chooses what is written; `info` by default.
///
/// Lines are written by a thread of their own, behind a bounded queue: a log that nobody reads must not stop
/// downloads. Lines that find the queue full are dropped, and counted. Keep the guard: dropping it writes what is left.
pub(crate) fn start() -> Log {
    let failed = Arc::default();
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES)
        .finish(Counted {
            failed: Arc::clone(&failed),
        });
    let dropped = DroppedLines {
        unread: writer.error_counter(),
        failed,
    };
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).map(EnvFilter::try_new);
    let misunderstood = matches!(wanted, Ok(Err(_)));
    let filter = wanted
        .ok()
        .and_then(Result::ok)
        .unwrap_or_else(|| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    // A second start (in tests) keeps the first.
    let _ = if io::stderr().is_terminal() {
        log.with_target(false).try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
    if misunderstood {
        tracing::warn!("RUST_LOG is no filter: `info` holds");
    }
    Log {
        dropped,
        _guard: guard,
    }
}

/// The log, for as long as this is held.
pub(crate) struct Log {
    dropped: DroppedLines,
    _guard: WorkerGuard,
}

/// How many lines may wait to be written.
const LINES: usize = 10_000;

/// Counters of what was answered, for Prometheus.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Looked up once: counting an answer is one atomic addition.
    downloads: [(StatusCode, Counter); 11],
    other: Counter,
}

/// Log lines that nobody will read.
#[derive(Clone, Debug)]
struct DroppedLines {
    /// Found the queue full.
    unread: ErrorCounter,
    /// Could not be written.
    failed: Arc<AtomicU64>,
}

/// Standard error; what cannot be written to it, on a full disk, is counted.
struct Counted {
    failed: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = io::stderr().write(line);
        if written
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted)
        {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl Collector for DroppedLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let unread = u64::try_from(self.unread.dropped_lines()).unwrap_or(u64::MAX);
        let dropped = ConstCounter::new(unread.saturating_add(self.failed.load(Ordering::Relaxed)));
        let metric = encoder.encode_descriptor(
            "log_lines_dropped",
            "Log lines that nobody read in time, or that could not be written",
            None,
            MetricType::Counter,
        )?;
        dropped.encode(metric)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: String,
}

impl Metrics {
    pub(crate) fn new(log: &Log) -> Self {
        let answers = Family::<Code, Counter>::default();
        let mut registry = Registry::with_prefix("beneathd");
        registry.register(
            "downloads",
            "Answers to requests for a file, by status code",
            answers.clone(),
        );
        registry.register_collector(Box::new(log.dropped.clone()));
        let counter = |code: &str| {
            answers
                .get_or_create(&Code {
                    code: code.to_owned(),
                })
                .clone()
        };
        let downloads = [200, 206, 304, 400, 401, 404, 405, 412, 416, 429, 503].map(|code| {
            let status = StatusCode::from_u16(code).unwrap_or_default();
            (status, counter(status.as_str()))
        });
        Self {
            downloads,
            other: counter("other"),
            registry,
        }
    }

    /// Counts one answer to a request for a file.
    pub(crate) fn answered(&self, status: StatusCode) {
        let known = self.downloads.iter().find(|(code, _)| *code == status);
        known.map_or(&self.other, |(_, counter)| counter).inc();
    }

    /// The text that Prometheus scrapes (OpenMetrics 1.0).
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
