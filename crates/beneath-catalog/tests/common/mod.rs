//! A catalog over a real directory and a real SQLite file, and the acts that tests are made of.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "part of the tests: each test file uses its own part of it"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use beneath::{RelPath, Root, ambient_authority};
use beneath_catalog::{
    AdminErrorKind, Administration, Catalog, Credentials, FileId, GroupName, Lease, Options, Password,
    Publication, Role, RootName, StoreUrl, Subject, UserName,
};

/// The directory `files` is the root called `files`; the catalog lies beside it.
pub struct Place {
    pub directory: tempfile::TempDir,
    pub catalog: Catalog,
}

pub const PASSWORD: &str = "correct horse";

impl Place {
    /// With a bound that no pause of a busy machine exceeds: then nothing would be decided from memory.
    pub fn new() -> Self {
        Self::with(bound(10_000))
    }

    pub fn with(options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("files")).unwrap();
        let catalog = connect(directory.path(), options);
        Self { directory, catalog }
    }

    pub fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    pub fn database(&self) -> PathBuf {
        self.directory.path().join("catalog.db")
    }

    /// What another process would have: its own connections, memory and feed.
    pub fn another(&self, options: Options) -> Catalog {
        connect(self.directory.path(), options)
    }

    pub fn operator(&self) -> Administration<'_> {
        self.catalog.operator(ambient_authority())
    }

    pub fn add_user(&self, name: &str) {
        self.add_user_as(name, Role::Reader);
    }

    pub fn add_user_as(&self, name: &str, role: Role) {
        let _ = self
            .operator()
            .add_user(&user(name), &password(PASSWORD), role)
            .unwrap();
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.files().join(name), content).unwrap();
    }

    /// Writes a file and publishes it to `subjects`.
    pub fn publish(&self, name: &str, subjects: &[&str]) -> FileId {
        self.write(name, "content");
        let mut publication = publication(name);
        for subject in subjects {
            publication = publication.to(self::subject(subject), None);
        }
        *self.operator().publish(&publication).unwrap().value().id()
    }

    /// What memory gives. Asked again, for the kernel does not always find at once what it has in memory (openat2(2), EAGAIN).
    pub fn recall(&self, credentials: &Credentials, id: &FileId) -> Option<Lease> {
        (0..20).find_map(|_| {
            let recalled = self.catalog.try_open(credentials, id);
            if recalled.is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            recalled
        })
    }

    /// A fresh token of somebody.
    pub fn bearer(&self, name: &str, ttl: Duration) -> Credentials {
        let token = self.operator().create_token(&user(name), ttl).unwrap();
        Credentials::bearer(token.value().reveal().as_bytes())
    }

    /// Grants a file to somebody, and waits until that has ended.
    pub fn grant_that_ended(&self, id: &FileId, to: &str) {
        grant_that_ended(&self.operator(), id, to);
    }
}

/// The same by whoever administers it, for as short a time as suffices to make the grant in: one that is over by then is refused.
pub fn grant_that_ended(administration: &Administration<'_>, id: &FileId, to: &str) {
    let mut moment = Duration::from_millis(10);
    let end = loop {
        let end = SystemTime::now() + moment;
        match administration.grant(id, &subject(to), Some(end)) {
            Ok(_) => break end,
            Err(error) => assert_eq!(
                (error.kind(), error.field()),
                (AdminErrorKind::Invalid, Some("expires"))
            ),
        }
        moment *= 2;
        assert!(moment < Duration::from_secs(20), "not even in {moment:?}");
    };
    while SystemTime::now() < end + Duration::from_millis(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until this is so; fails if it does not become so on a machine however busy.
#[track_caller]
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(20), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn connect(directory: &Path, options: Options) -> Catalog {
    let root = Root::open_ambient(directory.join("files"), ambient_authority()).unwrap();
    let store = StoreUrl::sqlite(directory.join("catalog.db"));
    Catalog::create(&store, [(root_name("files"), Arc::new(root))], options).unwrap()
}

pub fn publication(path: &str) -> Publication {
    Publication::new(root_name("files"), RelPath::parse(path).unwrap())
}

pub fn bound(milliseconds: u64) -> Options {
    Options::default().revocation_bound(Duration::from_millis(milliseconds))
}

pub fn basic(user: &str) -> Credentials {
    Credentials::basic(user.as_bytes(), PASSWORD.as_bytes())
}

pub fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

pub fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

pub fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

pub fn root_name(name: &str) -> RootName {
    name.parse().unwrap()
}

pub fn password(text: &str) -> Password {
    text.parse().unwrap()
}
