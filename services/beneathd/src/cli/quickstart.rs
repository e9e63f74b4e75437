//! `beneathd quickstart`: from a folder to a download, with nothing to configure.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use beneath::{RelPath, Root, ambient_authority};
use beneath_catalog::{
    AdminErrorKind, Catalog, Entry, Password, Publication, Role, RootName, StoreUrl, Subject, UserName,
};
use clap::Args;
use serde::Serialize;
use tempfile::TempDir;

use super::Failure;
use super::catalog::{self, PublishedFile};
use super::output::{Output, not_published};
use super::publish::Found;
use crate::config::{Config, RootConfig};
use crate::process;

/// Make a user with a fresh password, publish the regular files of a folder, and serve them
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd quickstart ~/Documents\n\n\
    Links, FIFOs and devices are not published, nor are folders within the folder unless --recursive is given.")]
pub(super) struct Quickstart {
    /// The folder whose regular files are published
    directory: PathBuf,
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Keep the catalog and a configuration here; by default a temporary folder, removed at the end
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Publish the files of folders within the folder too
    #[arg(long)]
    recursive: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// The one line that `--json` prints.
#[derive(Serialize)]
struct Started<'a> {
    url: &'a str,
    user: &'a str,
    password: &'a str,
    files: &'a [PublishedFile],
}

const CONFIGURATION: &str = "beneathd.toml";
const CATALOG: &str = "catalog.db";
const USER: &str = "guest";
const ROOT: &str = "files";

impl Quickstart {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if !self.listen.ip().is_loopback() {
            return Err(Failure::Usage(format!(
                "--listen {}: is not a loopback address, and quickstart has no TLS, so the password would cross the \
                 network readable; configure TLS and use `beneathd serve`",
                self.listen
            )));
        }
        let listener = process::bind(self.listen)?;
        let root = self.root()?;
        let state = State::at(self.state.as_deref(), &root)?;
        let config = state.config(&self.directory, &root, self.listen)?;
        let password = Password::random()?;

        let prepare = {
            let (config, password) = (config.clone(), password.clone());
            let recursive = self.recursive;
            move || prepare(&config, &root, &password, recursive)
        };
        process::run(listener, &config, prepare, |address, entries| {
            let base = catalog::base_url(&config, address);
            let files: Vec<_> = entries
                .iter()
                .map(|entry| PublishedFile::new(entry, &base))
                .collect();
            let started = Started {
                url: &base,
                user: USER,
                password: password.reveal(),
                files: &files,
            };
            Output::new(self.json).result(&started, || started.lines());
        })
    }

    /// Says what is wrong with the folder before anything is made.
    fn root(&self) -> Result<Root, Failure> {
        Root::open_ambient(&self.directory, ambient_authority())
            .map_err(|error| Failure::Refused(format!("{}: {error}", self.directory.display())))
    }
}

/// Where the catalog is kept; removed at the end unless the user named the place.
struct State {
    folder: PathBuf,
    /// Locked for as long as this is held: a second quickstart would change the first one's password.
    configuration: fs::File,
    _temporary: Option<TempDir>,
}

impl State {
    fn at(named: Option<&Path>, served: &Root) -> Result<Self, Failure> {
        let failed = |error| Failure::Refused(format!("the state folder cannot be made: {error}"));
        if let Some(folder) = named {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| Failure::Refused(format!("{}: {error}", folder.display())))?;
            return Self::in_folder(folder.to_path_buf(), None, served);
        }
        let temporary = tempfile::Builder::new()
            .prefix("beneathd-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(failed)?;
        Self::in_folder(temporary.path().to_path_buf(), Some(temporary), served)
    }

    fn in_folder(folder: PathBuf, temporary: Option<TempDir>, served: &Root) -> Result<Self, Failure> {
        let name = ROOT.parse().map_err(refused)?;
        StoreUrl::sqlite(folder.join(CATALOG))
            .keep_apart(&name, served)
            .map_err(|error| Failure::Refused(format!("{error}, named with --state")))?;
        let path = folder.join(CONFIGURATION);
        let failed = |error: &dyn Display| Failure::Refused(format!("{}: {error}", path.display()));
        #[expect(
            clippy::disallowed_methods,
            reason = "not a served file: the operator named the folder"
        )]
        let opened = fs::OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path);
        let configuration = opened.map_err(|error| failed(&error))?;
        configuration.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => failed(&"another quickstart is using this state folder"),
            fs::TryLockError::Error(error) => failed(&error),
        })?;
        Ok(Self {
            folder,
            configuration,
            _temporary: temporary,
        })
    }

    /// The configuration that `beneathd serve` would take: the one that is there, if it is for this directory, or a
    /// new one. Nothing is overwritten, and no ID comes to mean a file of another folder.
    fn config(&self, directory: &Path, root: &Root, listen: SocketAddr) -> Result<Config, Failure> {
        let path = self.folder.join(CONFIGURATION);
        let failed = |error: &dyn Display| Failure::Refused(format!("{}: {error}", path.display()));
        let written = self.configuration.metadata().map_err(|error| failed(&error))?;
        if written.len() == 0 {
            self.write(directory, listen).map_err(|error| failed(&error))?;
        }
        let config = Config::load(Some(&path))?;
        let serves = |configured: &RootConfig| {
            let configured = configured.open()?.metadata()?;
            Ok::<_, beneath::Error>(configured.identity() == root.metadata()?.identity())
        };
        let name: RootName = ROOT.parse().map_err(refused)?;
        match config.roots.get(&name).map(serves) {
            Some(Ok(true)) => Ok(Config { listen, ..config }),
            _ => Err(failed(&format!(
                "is not for {}: name another folder with --state",
                directory.display()
            ))),
        }
    }

    fn write(&self, directory: &Path, listen: SocketAddr) -> io::Result<()> {
        let directory = std::path::absolute(directory)?;
        let directory = directory
            .to_str()
            .ok_or_else(|| io::Error::other("the name of the folder is not UTF-8"))?;
        let text = toml::to_string(&Written {
            listen,
            catalog: &StoreUrl::sqlite(CATALOG).to_string(),
            roots: Roots {
                files: WrittenRoot { path: directory },
            },
        });
        (&self.configuration).write_all(text.map_err(io::Error::other)?.as_bytes())
    }
}

#[derive(Serialize)]
struct Written<'a> {
    listen: SocketAddr,
    catalog: &'a str,
    roots: Roots<'a>,
}

#[derive(Serialize)]
struct Roots<'a> {
    files: WrittenRoot<'a>,
}

#[derive(Serialize)]
struct WrittenRoot<'a> {
    path: &'a str,
}

/// The catalog with its user and what is published in it.
fn prepare(
    config: &Config,
    root: &Root,
    password: &Password,
    recursive: bool,
) -> Result<(Catalog, Vec<Entry>), Failure> {
    let catalog = catalog::with_roots(config, config.roots.keys())?;
    catalog.start()?;
    let user: UserName = USER.parse().map_err(refused)?;
    let user_is = set_up_user(&catalog, &user, password)?;
    let found = Found::in_folder(root, None, recursive)?;
    let mut skipped = found.skipped;
    let entries = publish(&catalog, (&user, user_is), found.files, &mut skipped)?;
    for (path, why) in &skipped {
        not_published(path, why);
    }
    Ok((catalog, entries))
}

/// Whether an earlier run made the user.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UserIs {
    New,
    Known,
}

/// The password is fresh each time; only its record is kept.
fn set_up_user(catalog: &Catalog, user: &UserName, password: &Password) -> Result<UserIs, Failure> {
    let operator = catalog::operator(catalog);
    match operator.add_user(user, password, Role::Reader) {
        Err(error) if error.kind() == AdminErrorKind::AlreadyExists => {
            if !operator.user(user)?.enabled() {
                return Err(Failure::Refused(format!(
                    "user {user} of this state folder is disabled: enable them, or use another --state"
                )));
            }
            operator.set_password(user, password)?.into_value();
            Ok(UserIs::Known)
        }
        added => {
            added?.into_value();
            Ok(UserIs::New)
        }
    }
}

/// A file that an earlier run published keeps its ID. One that cannot be opened does not keep the others back.
fn publish(
    catalog: &Catalog,
    (user, user_is): (&UserName, UserIs),
    paths: Vec<RelPath>,
    skipped: &mut Vec<(RelPath, String)>,
) -> Result<Vec<Entry>, Failure> {
    let operator = catalog::operator(catalog);
    let root: RootName = ROOT.parse().map_err(refused)?;
    let to = Subject::User(user.clone());
    let mut entries = Vec::new();
    for path in paths {
        if let Some(known) = operator.files_at(&root, &path)?.into_iter().next() {
            // They were removed since, and their grants with them.
            if user_is == UserIs::New {
                operator.grant(known.id(), &to, None)?.into_value();
            }
            entries.push(known);
            continue;
        }
        let publication = Publication::new(root.clone(), path.clone()).to(to.clone(), None);
        match operator.publish(&publication) {
            Ok(published) => entries.push(published.into_value()),
            Err(error) if error.kind() == AdminErrorKind::Invalid => skipped.push((path, error.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(entries)
}

fn refused(error: beneath_catalog::ParseError) -> Failure {
    Failure::Refused(error.to_string())
}

impl Started<'_> {
    fn lines(&self) -> String {
        let Self {
            url,
            user,
            password,
            files,
        } = self;
        let mut lines = vec![
            format!("listening on {url}"),
            format!("user {user}, password {password}"),
        ];
        lines.extend(files.iter().map(PublishedFile::line));
        if let Some(file) = files.first() {
            lines.push(format!("try: curl -u {user}:{password} -OJ '{}'", file.url));
        }
        lines.push("Ctrl-C stops it.".to_owned());
        lines.join("\n")
    }
}
