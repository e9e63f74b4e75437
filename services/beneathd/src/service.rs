//! [`Service`]: the catalog as the routes see it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use beneath_catalog::{Catalog, Credentials, FileId, Lease, LinkRequest, LinkUse, Refusal, RefusalKind};
use tokio::sync::Semaphore;

use crate::rejection::Rejection;
use crate::telemetry::{Log, Metrics};

/// How many threads may wait for the disk or hash a password at once; the hashing bound is the catalog's and lower, so
/// that logins never take all of them.
pub(crate) const BLOCKING_THREADS: usize = 128;
/// How many requests may wait for one of them. Beyond it: 503, which costs nothing.
const BLOCKING_QUEUE: usize = 1024;

/// What the routes need.
pub(crate) struct Service {
    catalog: Arc<Catalog>,
    /// Permits for a thread that may block, and for a place in the queue for one.
    threads: Semaphore,
    places: Semaphore,
    pub(crate) metrics: Metrics,
}

impl Service {
    pub(crate) fn new(catalog: Catalog, log: &Log) -> Self {
        Self {
            catalog: Arc::new(catalog),
            threads: Semaphore::new(BLOCKING_THREADS),
            places: Semaphore::new(BLOCKING_QUEUE),
            metrics: Metrics::new(log),
        }
    }

    /// Who is this, may they, open it: one step in the catalog. In place when nothing blocks, which is almost always.
    pub(crate) async fn open(&self, credentials: Credentials, id: FileId) -> Result<Lease, Rejection> {
        match self.catalog.try_open(&credentials, &id) {
            Err(refusal) if refusal.kind() == RefusalKind::WouldBlock => {}
            decided => return decided.map_err(|refusal| refuse(&refusal, &id)),
        }
        let catalog = Arc::clone(&self.catalog);
        self.blocking(move || {
            catalog
                .open(&credentials, &id)
                .map_err(|refusal| refuse(&refusal, &id))
        })
        .await?
    }

    /// As [`open`](Self::open), for whoever has a link: always a question to the store, which counts.
    pub(crate) async fn open_link(
        &self,
        secret: Vec<u8>,
        client: Vec<u8>,
        address: Option<IpAddr>,
        wants: LinkUse,
    ) -> Result<Lease, Rejection> {
        let catalog = Arc::clone(&self.catalog);
        self.blocking(move || {
            let mut request = LinkRequest::new(&secret, &client, wants);
            if let Some(address) = address {
                request = request.from_address(address);
            }
            catalog
                .open_link(&request)
                .map_err(|refusal| refuse(&refusal, &"a link"))
        })
        .await?
    }

    /// Whether the catalog can be asked.
    pub(crate) async fn is_ready(&self) -> Result<(), Rejection> {
        let catalog = Arc::clone(&self.catalog);
        self.blocking(move || catalog.revision().map(drop).map_err(|_| Rejection::Unavailable))
            .await?
    }

    /// Runs `work` on a thread that may block: a bounded number of them, behind a bounded queue.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let busy = Rejection::Busy(Duration::from_secs(1));
        let _place = self.places.try_acquire().map_err(|_| busy)?;
        let _thread = self.threads.acquire().await.map_err(|_| Rejection::Unavailable)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Rejection::Unavailable)
    }
}

/// The one place where the true reason is written down; the client gets a constant.
fn refuse(refusal: &Refusal, what: &dyn fmt::Display) -> Rejection {
    tracing::info!(%what, reason = ?refusal.reason(), "refused");
    match refusal.kind() {
        RefusalKind::Unauthenticated => Rejection::Unauthorized,
        RefusalKind::NotFound => Rejection::NotFound,
        RefusalKind::Busy { retry_after } => Rejection::Busy(retry_after),
        RefusalKind::Unavailable | RefusalKind::WouldBlock => Rejection::Unavailable,
    }
}
