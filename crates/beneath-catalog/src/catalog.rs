//! [`Catalog`]: who may have which file, as of when.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use beneath::{ErrorKind, File, RelPath, Root};
use rusqlite::Connection;

use crate::authentication::{Authenticator, Identified, Rehashed};
use crate::credential::Credentials;
use crate::entry::Sealed;
use crate::error::{ConnectError, ConnectErrorKind};
use crate::file_id::FileId;
use crate::lease::{Decision, Lease};
use crate::options::Options;
use crate::pin::{Patience, Pins};
use crate::refusal::{Reason, Refusal, RefusalKind};
use crate::revocation::Feed;
use crate::revocation::memory::{Login, Memory};
use crate::roots::Roots;
use crate::serving::Serving;
use crate::store::decide::{self, Decided};
use crate::store::retention::Retention;
use crate::store::{Millis, Missing, Revision, Store, StoreError, StoreUrl, lock, place, users};
use crate::subject::{Principal, RootName, UserId};
use crate::trail::{Actor, Denied};

/// Who may have which file, as of when.
///
/// `Send + Sync`; share it in an `Arc`. Calls block (on the disk, on password hashing, on a change becoming
/// effective) unless they say otherwise; there is no async runtime in here.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # std::fs::create_dir(dir.path().join("files"))?;
/// # std::fs::write(dir.path().join("files/q3.pdf"), "%PDF")?;
/// use std::sync::Arc;
/// use beneath::{RelPath, Root, Source as _, ambient_authority};
/// use beneath_catalog::{Catalog, Credentials, Options, Publication, RefusalKind, Role, StoreUrl};
///
/// let root = Arc::new(Root::open_ambient(dir.path().join("files"), ambient_authority())?);
/// let store = StoreUrl::sqlite(dir.path().join("catalog.db"));
/// let catalog = Catalog::create(&store, [("reports".parse()?, root)], Options::default())?;
///
/// let operator = catalog.operator(ambient_authority());
/// operator.add_user(&"ann".parse()?, &"correct horse".parse()?, Role::Reader)?;
/// let publication = Publication::new("reports".parse()?, RelPath::parse("q3.pdf")?).to("user:ann".parse()?, None);
/// let entry = operator.publish(&publication)?.into_value();
///
/// let ann = Credentials::basic(b"ann", b"correct horse");
/// let lease = catalog.open(&ann, entry.id())?;
/// assert_eq!(lease.file().metadata().len(), 4);
///
/// operator.revoke(entry.id(), &"user:ann".parse()?)?;
/// assert!(lease.still_held().is_err());
/// assert_eq!(catalog.open(&ann, entry.id()).unwrap_err().kind(), RefusalKind::NotFound);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Catalog {
    pub(crate) store: Arc<Store>,
    pub(crate) roots: Roots,
    pub(crate) authenticator: Authenticator,
    pub(crate) bound: Duration,
    pins: Pins,
    pub(crate) link_grace: Duration,
    remembered: usize,
    kept_open: usize,
    audit_retention: Retention,
    serving: OnceLock<Serving>,
    starting: Mutex<()>,
}

impl Catalog {
    /// Opens the catalog that is there.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], which names the file: missing, unreadable, locked, not a catalog, of a newer version, in the
    /// directory of a root. A file that is not a catalog is never written to.
    pub fn connect(
        store: &StoreUrl,
        roots: impl IntoIterator<Item = (RootName, Arc<Root>)>,
        options: Options,
    ) -> Result<Self, ConnectError> {
        Self::open_store(store, roots, options, Missing::Fail)
    }

    /// As [`connect`](Self::connect), but makes an empty catalog, readable by its owner only (mode 0600), where there
    /// is no file.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn create(
        store: &StoreUrl,
        roots: impl IntoIterator<Item = (RootName, Arc<Root>)>,
        options: Options,
    ) -> Result<Self, ConnectError> {
        Self::open_store(store, roots, options, Missing::Create)
    }

    fn open_store(
        store: &StoreUrl,
        roots: impl IntoIterator<Item = (RootName, Arc<Root>)>,
        options: Options,
        missing: Missing,
    ) -> Result<Self, ConnectError> {
        let failed =
            |error: &dyn fmt::Display| ConnectError::new(store.path(), ConnectErrorKind::Failed, error);
        let roots: Vec<_> = roots.into_iter().collect();
        for (name, root) in &roots {
            store.keep_apart(name, root)?;
        }
        Ok(Self {
            store: Arc::new(
                Store::open(store.path(), missing).map_err(|error| place::explain(error, store.path()))?,
            ),
            roots: Roots::new(roots, options.opens_at_once).map_err(|error| failed(&error))?,
            authenticator: Authenticator::new(&options).map_err(|error| failed(&error))?,
            bound: options.revocation_bound,
            pins: Pins::default(),
            link_grace: options.link_grace,
            remembered: options.remembered,
            kept_open: options.kept_open,
            audit_retention: options.audit_retention,
            serving: OnceLock::new(),
            starting: Mutex::default(),
        })
    }

    /// Who is this, may they, open it: **one step**, decided in one snapshot of the store and dated with its revision.
    ///
    /// The first call registers this process among those that serve from the catalog.
    ///
    /// Blocks: for some 20 ms where a password has to be hashed, on the disk.
    ///
    /// # Errors
    ///
    /// [`Refusal`]. Unknown, forbidden, expired, vanished and replaced files are one and the same to a client, and so
    /// are unknown users, disabled users and wrong passwords, also in the time they take.
    ///
    /// # Security
    ///
    /// A call that begins after a revocation returned does not succeed because of what was revoked. If a change
    /// comes between decision and open, the decision is made again.
    pub fn open(&self, credentials: &Credentials, id: &FileId) -> Result<Lease, Refusal> {
        let serving = self.serving()?;
        let opened = self.decide_and_open(serving, credentials, id);
        let asked = (credentials.claims(), credentials.address, Some(*id));
        opened.map_err(|denied| serving.refuse(asked, denied))
    }

    fn decide_and_open(
        &self,
        serving: &Serving,
        credentials: &Credentials,
        id: &FileId,
    ) -> Result<Lease, Denied> {
        // Once only: while a change is being passed, memory gives decisions that are out of date, and only the store waits for it.
        if let Some(lease) = self.recall_and_open(serving, credentials, id, Patience::MayRead) {
            return Ok(lease);
        }
        // Also every "no" is the store's, so that all take the same time.
        for _ in 0..ATTEMPTS {
            let decided = self
                .decide_known(&serving.feed, credentials, id)
                .and_then(|known| known.map_or_else(|| self.decide(&serving.feed, credentials, id), Ok))
                .inspect_err(|denied| self.open_in_vain(&denied.refusal));
            let (decision, revision) = decided?;
            let file = self
                .open_file(&decision, Patience::MayRead)
                .map_err(|refusal| Denied::to(decision.actor(), *id, refusal))?;
            if let Ok(lease) = Lease::new(file, decision, revision, credentials.address, serving) {
                return Ok(lease.recorded());
            }
        }
        Err(Refusal::busy(Reason::Overtaken).into())
    }

    /// What has vanished was looked for in vain: without blocking, from memory, and when the store had decided; and to
    /// remember that it was allowed takes as long again. So nobody is told "no" sooner, or the time would tell which it is
    /// (`tests/timing.rs`).
    fn open_in_vain(&self, refusal: &Refusal) {
        if refusal.kind() != RefusalKind::NotFound {
            return;
        }
        if let (Some(served), Ok(nothing)) = (self.roots.any(), RelPath::parse(NOTHING)) {
            // Without the disk: the root of somebody else's file may be on one that hangs.
            (0..OPENED_IN_VAIN).for_each(|_| drop(served.root.try_open(&nothing)));
        }
    }

    /// As [`open`](Self::open), but from memory or not at all: never hashes, asks the store, or waits for the disk.
    /// For an async thread. Where it gives nothing call [`open`](Self::open) on a thread that may block: memory never says no.
    pub fn try_open(&self, credentials: &Credentials, id: &FileId) -> Option<Lease> {
        self.recall_and_open(self.serving.get()?, credentials, id, Patience::None)
    }

    fn recall_and_open(
        &self,
        serving: &Serving,
        credentials: &Credentials,
        id: &FileId,
        patience: Patience,
    ) -> Option<Lease> {
        let (decision, revision) = self.recall(&serving.feed, credentials, id)?;
        let file = self.open_file(&decision, patience).ok()?;
        let lease = Lease::new(file, decision, revision, credentials.address, serving).ok()?;
        Some(lease.recorded())
    }

    /// Shows who somebody is, and nothing of what they may.
    ///
    /// Blocks, as [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// [`Refusal`], never "not found".
    pub fn authenticate(&self, credentials: &Credentials) -> Result<Principal, Refusal> {
        let serving = self.serving()?;
        let shown = self.in_snapshot(credentials, |_, login| Ok(login));
        let asked = (credentials.claims(), credentials.address, None);
        let login = shown.map_err(|refusal| serving.refuse(asked, refusal.into()))?;
        Ok(Principal {
            user: login.user,
            name: login.name,
            epoch: login.epoch,
            token: login.token,
            address: credentials.address,
        })
    }

    /// Registers this process among those that serve, which the first [`open`](Self::open) does otherwise: so that what is in the
    /// way of it is known at once.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: the disk is full, no descriptors or threads are left.
    pub fn start(&self) -> Result<(), ConnectError> {
        let failed = |error| ConnectError::new(self.store.path(), ConnectErrorKind::Failed, error);
        self.serving().map(drop).map_err(failed)
    }

    /// Reads all of the store, to see whether it is damaged: some seconds for a million files.
    ///
    /// # Errors
    ///
    /// [`Failed`](ConnectErrorKind::Failed), with what is wrong first.
    pub fn examine(&self) -> Result<(), ConnectError> {
        let failed =
            |why: &dyn fmt::Display| ConnectError::new(self.store.path(), ConnectErrorKind::Failed, why);
        let found: Result<String, StoreError> = self
            .store
            .ask(|connection| Ok(connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?));
        match found.map_err(|error| failed(&error))?.as_str() {
            "ok" => Ok(()),
            damage => Err(failed(&damage)),
        }
    }

    /// Whether there are decisions to be had: the store answers what it is asked for one, and this process has not lost the
    /// right to rely on what it knows. Cheap.
    ///
    /// # Errors
    ///
    /// [`RefusalKind::Unavailable`](crate::RefusalKind::Unavailable).
    pub fn ready(&self) -> Result<(), Refusal> {
        let feed = &self.serving()?.feed;
        let (nobody, nothing) = ((UserId(0), 0, None), FileId::from_bytes([0; 16]));
        let question = |connection: &_| decide::user_may(connection, nobody, &nothing, Millis::now());
        self.store.ask(question).map(drop)?;
        match feed.is_current() {
            true => Ok(()),
            false => Err(Refusal::UNAVAILABLE),
        }
    }

    /// Puts another directory in a root's place, for trees that are replaced as a whole; leases under way keep the
    /// file they opened.
    ///
    /// # Errors
    ///
    /// [`Served`](ConnectErrorKind::Served) if the catalog lies in it.
    pub fn set_root(&self, name: RootName, root: Arc<Root>) -> Result<(), ConnectError> {
        place::keep_apart(self.store.path(), &name, &root)?;
        let before = self
            .roots
            .set(name, root)
            .map_err(|error| ConnectError::new(self.store.path(), ConnectErrorKind::Failed, error))?;
        if let (Some(before), Some(serving)) = (before, self.serving.get()) {
            serving.handles.forget(&before);
        }
        Ok(())
    }

    /// Closes the files that are kept open, and keeps none for some seconds: for when descriptors run short elsewhere in the
    /// process. Where one is missing here, that is done by itself.
    pub fn let_go(&self) {
        if let Some(serving) = self.serving.get() {
            serving.handles.let_go();
        }
    }

    /// From memory, while this process may rely on it: who, may they, as of when.
    fn recall(&self, feed: &Feed, credentials: &Credentials, id: &FileId) -> Option<(Decision, Revision)> {
        feed.note_use();
        if !feed.is_current() {
            return None;
        }
        let digest = &self.authenticator.digest(credentials)?;
        let (as_of, decision) = feed.registry.recall(|memory| {
            let login = memory.login(digest, Millis::now)?;
            memory.decision(login, id)
        })?;
        (!decision.has_expired(feed)).then_some((decision, Revision(as_of)))
    }

    /// By the store, for somebody whom memory knows.
    fn decide_known(
        &self,
        feed: &Feed,
        credentials: &Credentials,
        id: &FileId,
    ) -> Result<Option<(Decision, Revision)>, Denied> {
        let Some(digest) = self.authenticator.digest(credentials) else {
            return Ok(None);
        };
        let login = feed
            .registry
            .recall(|memory| memory.login(&digest, Millis::now).cloned());
        let Some((_, login)) = login else {
            return Ok(None);
        };
        let now = Millis::now();
        let decided = self
            .store
            .ask(|connection| decide::user_may(connection, login.who(), id, now))?;
        feed.catch_up(decided.0)?;
        match decided {
            // Another password, another state, no token.
            (_, Err(refusal)) if refusal.kind() == RefusalKind::Unauthenticated => Ok(None),
            decided => self.conclude(feed, login, id, decided, now).map(Some),
        }
    }

    fn decide(
        &self,
        feed: &Feed,
        credentials: &Credentials,
        id: &FileId,
    ) -> Result<(Decision, Revision), Denied> {
        let (login, decided, now) = self.in_snapshot(credentials, |snapshot, login| {
            let now = Millis::now();
            let decided = decide::user_may(snapshot, login.who(), id, now)?;
            Ok((login, decided, now))
        })?;
        self.conclude(feed, login, id, decided, now)
    }

    /// What the store says becomes a decision, and is remembered.
    fn conclude(
        &self,
        feed: &Feed,
        login: Login,
        id: &FileId,
        (revision, decided): (Revision, Decided<Sealed>),
        now: Millis,
    ) -> Result<(Decision, Revision), Denied> {
        let (sealed, permit) =
            decided.map_err(|refusal| Denied::to(Actor::User(login.name.clone()), *id, refusal))?;
        let deadline = feed.deadline(permit.until(), now);
        let entry = sealed.unseal(&permit);
        let decision = Decision::new(login.ground(), Some(login.name), entry, &permit, deadline);
        let remember = |memory: &mut Memory| memory.add_decision(&decision);
        drop(feed.registry.remember(revision.as_u64(), remember));
        Ok((decision, revision))
    }

    pub(crate) fn open_file(&self, decision: &Decision, patience: Patience) -> Result<File, Refusal> {
        let entry = &decision.entry;
        let served = self
            .roots
            .get(entry.root())
            .ok_or(Refusal::not_found(Reason::UnknownRoot))?;
        let root = &served.root;
        let _turn = match patience {
            Patience::MayRead => Some(served.turn()?),
            Patience::None => None,
        };
        let handles = self.serving.get().map(|serving| &serving.handles);
        let file = match handles.and_then(|handles| handles.open(root, entry)) {
            Some(file) => file,
            None => {
                let file = self.open_anew(root, entry.path(), patience)?;
                if let Some(handles) = handles {
                    handles.opened(root, entry);
                }
                file
            }
        };
        self.pins.judge(entry, &file, patience)?;
        Ok(file)
    }

    /// What is held for speed gives way to what is needed.
    fn open_anew(&self, root: &Root, path: &RelPath, patience: Patience) -> Result<File, beneath::Error> {
        patience.open(root, path).or_else(|error| match error.kind() {
            ErrorKind::Exhausted => {
                self.let_go();
                patience.open(root, path)
            }
            _ => Err(error),
        })
    }

    /// Authenticates and asks, of one snapshot. Where a password has to be hashed, that is done between two
    /// snapshots, and only the second counts.
    fn in_snapshot<T>(
        &self,
        credentials: &Credentials,
        ask: impl Fn(&Connection, Login) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let feed = self.serving.get().map(|serving| &*serving.feed);
        for _ in 0..ATTEMPTS {
            let (revision, answer) = self.store.read(|snapshot| {
                let revision = crate::store::revision(snapshot)?;
                let identified = self.authenticator.identify(snapshot, credentials, revision, feed);
                let answer = identified.and_then(|identified| match identified {
                    Identified::As(login) => ask(snapshot, login).map(Ok),
                    Identified::Unverified(unverified) => Ok(Err(unverified)),
                });
                Ok::<_, StoreError>((revision, answer))
            })?;
            if let Some(feed) = feed {
                feed.catch_up(revision)?;
            }
            match answer? {
                Ok(decided) => return Ok(decided),
                Err(unverified) => {
                    if let Some(rehashed) = self.authenticator.verify(credentials, &unverified)? {
                        self.replace_record(&rehashed);
                    }
                }
            }
        }
        Err(Refusal::busy(Reason::Overtaken))
    }

    /// If that fails the old record stays, until its user is verified anew.
    fn replace_record(&self, rehashed: &Rehashed) {
        let Rehashed { user, old, new, .. } = rehashed;
        let written = self
            .store
            .write(|writing| Ok(users::rehash(writing, *user, old, new)?));
        if written.is_ok() {
            self.authenticator.replaced(rehashed);
        }
    }

    /// What serving needs, started by whoever needs it first.
    pub(crate) fn serving(&self) -> Result<&Serving, StoreError> {
        if let Some(serving) = self.serving.get() {
            return Ok(serving);
        }
        let _starting = lock(&self.starting);
        if self.serving.get().is_none() {
            let serving = Serving::start(
                &self.store,
                self.bound,
                self.remembered,
                self.kept_open,
                self.audit_retention,
            )?;
            let _ = self.serving.set(serving);
        }
        self.serving
            .get()
            .ok_or_else(|| StoreError::unreachable("it is not started"))
    }

    /// If this process serves.
    pub(crate) fn running(&self) -> Option<&Serving> {
        self.serving.get()
    }

    pub(crate) fn running_feed(&self) -> Option<&Arc<Feed>> {
        self.serving.get().map(|serving| &serving.feed)
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

/// A name that no file has.
const NOTHING: &str = ".beneath-nothing";

/// How often it is opened: as long as that takes, what vanished takes longer than what never was.
const OPENED_IN_VAIN: usize = 5;

/// How often a decision that was overtaken is made again.
pub(crate) const ATTEMPTS: usize = 8;
