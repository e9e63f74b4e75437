//! What the operator sees: structured events on standard error, and counters on a listener of their own.
//!
//! Events are for a person on a terminal, JSON otherwise. Never a password, never a whole `Authorization` field, and
//! every text from outside escaped.

use std::io::IsTerminal as _;

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
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES)
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
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
    let _ = if std::io::stderr().is_terminal() {
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
    dropped: ErrorCounter,
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

/// Log lines that found the queue full.
#[derive(Debug)]
struct DroppedLines(ErrorCounter);

impl Collector for DroppedLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let dropped = ConstCounter::new(u64::try_from(self.0.dropped_lines()).unwrap_or(u64::MAX));
        let metric = encoder.encode_descriptor(
            "log_lines_dropped",
            "Log lines nobody read in time",
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
        registry.register_collector(Box::new(DroppedLines(log.dropped.clone())));
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
