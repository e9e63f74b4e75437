//! `beneathd quickstart`: from a folder to a download, with nothing to configure.

use std::fmt::Display;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use beneath::{RelPath, Root, ambient_authority};
use beneath_catalog::{
    AdminErrorKind, Catalog, Entry, Password, Publication, Role, RootName, Subject, UserName,
};
use clap::Args;
use serde::Serialize;
use tempfile::TempDir;

use super::catalog::{self, PublishedFile};
use super::output::Output;
use super::publish::Found;
use super::{Failure, random};
use crate::config::{self, Config};
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

const USER: &str = "guest";
const ROOT: &str = "files";

impl Quickstart {
    pub(super) fn run(&self) -> Result<(), Failure> {
        config::refuse_plaintext(self.listen).map_err(Failure::Usage)?;
        let listener = process::bind(self.listen)?;
        let root = self.root()?;
        let state = State::at(self.state.as_deref())?;
        let config = state.config(&self.directory, self.listen)?;
        let password = random::password()?;

        let catalog = catalog::serving(&config)?;
        let user: UserName = USER.parse().map_err(refused)?;
        set_up_user(&catalog, &user, &password)?;
        let found = Found::in_folder(&root, None, self.recursive)?;
        let output = Output::new(self.json);
        for path in &found.skipped {
            output.remark(&format!("not published: {path:?} is not a regular file"));
        }
        let entries = publish(&catalog, &user, found.files)?;

        process::run(listener, catalog, &config, |address| {
            let base = catalog::base_url(&config, address);
            let files: Vec<_> = entries
                .iter()
                .map(|entry| PublishedFile::new(entry, &base))
                .collect();
            let started = Started {
                url: &base,
                user: USER,
                password: &password,
                files: &files,
            };
            output.result(&started, || started.lines());
        })?;
        Ok(())
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
    _temporary: Option<TempDir>,
}

impl State {
    fn at(named: Option<&Path>) -> Result<Self, Failure> {
        let failed = |error| Failure::Refused(format!("the state folder cannot be made: {error}"));
        if let Some(folder) = named {
            let made = std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder);
            made.map_err(|error| Failure::Refused(format!("{}: {error}", folder.display())))?;
            return Ok(Self {
                folder: folder.to_path_buf(),
                _temporary: None,
            });
        }
        let temporary = tempfile::Builder::new()
            .prefix("beneathd-")
            .tempdir()
            .map_err(failed)?;
        Ok(Self {
            folder: temporary.path().to_path_buf(),
            _temporary: Some(temporary),
        })
    }

    /// Writes the configuration that `beneathd serve` would take, and reads it back.
    fn config(&self, directory: &Path, listen: SocketAddr) -> Result<Config, Failure> {
        let path = self.folder.join("beneathd.toml");
        let failed = |error: &dyn Display| Failure::Refused(format!("{}: {error}", path.display()));
        let directory = std::path::absolute(directory).map_err(|error| failed(&error))?;
        let directory = directory
            .to_str()
            .ok_or_else(|| failed(&"the name of the folder is not UTF-8"))?;
        let text = toml::to_string(&Written {
            listen,
            catalog: "sqlite:catalog.db",
            roots: Roots {
                files: WrittenRoot { path: directory },
            },
        });
        let text = text.map_err(|error| failed(&error))?;
        std::fs::write(&path, text).map_err(|error| failed(&error))?;
        Ok(Config::load(Some(&path))?)
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

/// The password is fresh each time; only its record is kept.
fn set_up_user(catalog: &Catalog, user: &UserName, password: &str) -> Result<(), Failure> {
    let password: Password = password.parse().map_err(refused)?;
    let operator = catalog::operator(catalog);
    let change = match operator.add_user(user, &password, Role::Reader) {
        Err(error) if error.kind() == AdminErrorKind::AlreadyExists => operator.set_password(user, &password),
        added => added,
    };
    change?.into_value();
    Ok(())
}

/// A file that an earlier run published keeps its ID.
fn publish(catalog: &Catalog, user: &UserName, paths: Vec<RelPath>) -> Result<Vec<Entry>, Failure> {
    let operator = catalog::operator(catalog);
    let root: RootName = ROOT.parse().map_err(refused)?;
    let to = Subject::User(user.clone());
    let publish = |path: RelPath| {
        if let Some(known) = operator.files_at(&root, &path)?.into_iter().next() {
            return Ok(known);
        }
        let publication = Publication::new(root.clone(), path).to(to.clone(), None);
        Ok::<_, Failure>(operator.publish(&publication)?.into_value())
    };
    paths.into_iter().map(publish).collect()
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
