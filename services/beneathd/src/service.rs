//! [`Service`]: the catalog as the routes see it.

mod administration;
mod threads;

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use beneath_catalog::{Catalog, Claim, Credentials, FileId, Lease, LinkRequest, Refusal, RefusalKind};
use beneath_http::BLOCKING_READS;
use beneath_serve::{Peer, Proxies};
use http::HeaderMap;

use crate::rejection::Rejection;
use crate::telemetry::{Log, Metrics};
use threads::{SharedThreads, Threads};

/// How many threads may wait for the disk or hash a password at once.
const DOWNLOAD_THREADS: usize = 128;
/// How many of them may wait for one file system.
pub(crate) const OPENS_AT_ONCE: usize = DOWNLOAD_THREADS / 2;
/// How many may wait to be told who they are, to administer: when all downloads wait for a disk, somebody can still revoke something.
/// More than the catalog lets wait for a hash, so that it says itself when there are too many.
const LOGIN_THREADS: usize = 128;
/// Tokens are not hashed slowly, and wait for no password of somebody else's.
const TOKEN_THREADS: usize = 16;
/// How many requests may wait for one of them. Beyond it: 503, which costs nothing.
const DOWNLOAD_QUEUE: usize = 1024;
/// How many administrative acts may be under way, each of which may wait for another process; never the threads of downloads. One
/// user has half of them, so that somebody else can revoke something.
const ADMINISTRATION_THREADS: usize = 16;
/// How many of them may wait.
const ADMINISTRATION_QUEUE: usize = 256;
/// How many files may be hashed at once to be published, which may take long: no revocation waits for that. One publisher has one of
/// these threads.
const PUBLISHING_THREADS: usize = 4;
/// How many publications may wait.
const PUBLISHING_QUEUE: usize = 64;
/// Threads of the runtime that may block: these, those that read what is sent, and a few that nobody counts (a certificate that is
/// read again).
pub(crate) const BLOCKING_THREADS: usize = DOWNLOAD_THREADS
    + LOGIN_THREADS
    + TOKEN_THREADS
    + ADMINISTRATION_THREADS
    + PUBLISHING_THREADS
    + BLOCKING_READS
    + 4;

/// What the routes need.
pub(crate) struct Service {
    catalog: Arc<Catalog>,
    downloads: Threads,
    logins: Threads,
    tokens: Threads,
    administration: SharedThreads,
    publishing: SharedThreads,
    pub(crate) metrics: Metrics,
    proxies: Proxies,
}

impl Service {
    pub(crate) fn new(catalog: Catalog, proxies: Proxies, log: &Log) -> Self {
        Self {
            catalog: Arc::new(catalog),
            downloads: Threads::new(DOWNLOAD_THREADS, DOWNLOAD_QUEUE),
            logins: Threads::new(LOGIN_THREADS, ADMINISTRATION_QUEUE),
            tokens: Threads::new(TOKEN_THREADS, ADMINISTRATION_QUEUE),
            administration: SharedThreads::new(ADMINISTRATION_THREADS, ADMINISTRATION_QUEUE, 2),
            publishing: SharedThreads::new(PUBLISHING_THREADS, PUBLISHING_QUEUE, PUBLISHING_THREADS),
            metrics: Metrics::new(log),
            proxies,
        }
    }

    /// The address that guesses, uses of a link and the audit trail go by: of the client, not of a trusted proxy.
    pub(crate) fn address(&self, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
        self.proxies.client(peer, headers)
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    /// Who is this, may they, open it: one step in the catalog. `None` where that has to wait for something:
    /// [`open`](Self::open).
    pub(crate) fn try_open(&self, credentials: &Credentials, id: &FileId) -> Option<Lease> {
        self.catalog.try_open(credentials, id)
    }

    /// As [`try_open`](Self::try_open), on a thread that may wait.
    pub(crate) async fn open(&self, credentials: Credentials, id: FileId) -> Result<Lease, Rejection> {
        let catalog = Arc::clone(&self.catalog);
        self.downloads
            .run(move || {
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
    ) -> Result<(Lease, Claim), Rejection> {
        let catalog = Arc::clone(&self.catalog);
        self.downloads
            .run(move || {
                let request = LinkRequest::new(&secret, &client).from_address(address);
                catalog
                    .open_link(&request)
                    .map_err(|refusal| refuse(&refusal, &"a link"))
            })
            .await?
    }

    /// Takes a use of the link, so that these bytes may be sent.
    pub(crate) async fn take_use(&self, claim: Claim, bytes: Range<u64>) -> Result<(), Rejection> {
        let catalog = Arc::clone(&self.catalog);
        self.downloads
            .run(move || {
                catalog
                    .take_use(&claim, bytes)
                    .map_err(|refusal| refuse(&refusal, &"a link"))
            })
            .await?
    }

    /// Whether files can be had.
    pub(crate) async fn is_ready(&self) -> Result<(), Rejection> {
        let catalog = Arc::clone(&self.catalog);
        self.downloads
            .run(move || catalog.ready().map_err(|_| Rejection::Unavailable))
            .await?
    }
}

/// The one place where the true reason is written down; the client gets a constant.
fn refuse(refusal: &Refusal, what: &dyn fmt::Display) -> Rejection {
    // Whoever is not heard goes on for as long as they like.
    match refusal.kind() {
        RefusalKind::TooManyAttempts { .. } => tracing::debug!(%what, "too many attempts"),
        _ => tracing::info!(%what, reason = ?refusal.reason(), "refused"),
    }
    refusal.kind().into()
}
