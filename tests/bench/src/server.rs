//! [`Server`]: one of the servers under comparison, running; and [`Kind`], the list of them.

mod beneathd;
mod lighttpd;
mod nginx;
mod peers;
mod serve_dir;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
pub use peers::Peer;

use crate::client::{self, Connection};
use crate::process::{Program, Usage};
use crate::tls::Certificate;

/// A server, or a way to configure one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The standard of comparison: sendfile, no authentication, no access log.
    Nginx,
    /// With `auth_basic` and {SHA}.
    NginxAuth,
    /// With `open_file_cache`: answers from descriptors it keeps.
    NginxCache,
    /// With `disable_symlinks on`, the nearest it has to what beneathd always does.
    NginxNoSymlinks,
    /// No authentication.
    Lighttpd,
    /// With `mod_auth` and a plain password file.
    LighttpdAuth,
    /// axum with tower-http's `ServeDir` behind Basic authentication.
    ServeDir,
    /// Ours: `quickstart`, so with Basic authentication, a catalog decision and symlinks refused.
    Beneathd,
    /// nginx with TLS, no authentication: the standard of comparison for TLS.
    NginxTls,
    /// Ours with TLS.
    BeneathdTls,
    /// A server that others wrote, from a registry.
    Peer(&'static Peer),
    /// Another build or configuration of ours, to be compared in the same round: a name and a command.
    Build(String, Vec<String>),
}

/// A running server. Stopped when dropped.
#[derive(Debug)]
pub struct Server {
    /// How it is called in tables.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it speaks there.
    pub scheme: Scheme,
    /// The value of `Authorization` that every request carries; servers without authentication ignore it.
    pub authorization: String,
    paths: Paths,
    program: Program,
    _configuration: tempfile::TempDir,
}

/// With or without TLS.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum Scheme {
    /// Without.
    Http,
    /// With this certificate.
    Https(Certificate),
}

#[derive(Debug)]
enum Paths {
    /// The URL is the name.
    Names,
    /// The URL has an opaque ID.
    Published(std::collections::HashMap<String, String>),
}

const USER: &str = "bench";
const PASSWORD: &str = "a password of some length";

impl Kind {
    /// Those that are compared unless others are asked for.
    pub const USUAL: [Self; 6] = [
        Self::Nginx,
        Self::Lighttpd,
        Self::ServeDir,
        Self::Beneathd,
        Self::NginxTls,
        Self::BeneathdTls,
    ];
    /// Every one of which a configuration is here.
    pub const OWN: [Self; 10] = [
        Self::Nginx,
        Self::NginxAuth,
        Self::NginxCache,
        Self::NginxNoSymlinks,
        Self::Lighttpd,
        Self::LighttpdAuth,
        Self::ServeDir,
        Self::Beneathd,
        Self::NginxTls,
        Self::BeneathdTls,
    ];

    /// Every one.
    pub fn all() -> impl Iterator<Item = Self> {
        let peers = peers::PEERS.iter().map(Self::Peer);
        Self::OWN.into_iter().chain(peers)
    }

    /// As it is written on the command line.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Nginx => "nginx",
            Self::NginxAuth => "nginx-auth",
            Self::NginxCache => "nginx-cache",
            Self::NginxNoSymlinks => "nginx-nosymlinks",
            Self::Lighttpd => "lighttpd",
            Self::LighttpdAuth => "lighttpd-auth",
            Self::ServeDir => "servedir",
            Self::Beneathd => "beneathd",
            Self::NginxTls => "nginx-tls",
            Self::BeneathdTls => "beneathd-tls",
            Self::Peer(peer) => peer.name,
            Self::Build(name, _) => name,
        }
    }

    /// The Debian packages it needs.
    #[must_use]
    pub fn packages(&self) -> &'static [&'static str] {
        match self {
            Self::Nginx | Self::NginxAuth | Self::NginxCache | Self::NginxNoSymlinks | Self::NginxTls => {
                &["nginx"]
            }
            Self::Peer(peer) => peer.packages(),
            Self::Lighttpd | Self::LighttpdAuth => &["lighttpd"],
            Self::ServeDir | Self::Beneathd | Self::BeneathdTls | Self::Build(..) => &[],
        }
    }

    /// Builds what has to be built from this workspace, as it ships.
    pub fn build(&self) -> Result<()> {
        match self {
            Self::ServeDir => cargo_build(&["--package", "beneath-bench", "--bin", "serve_dir"]),
            Self::Beneathd | Self::BeneathdTls => cargo_build(&["--package", "beneathd"]),
            Self::Peer(peer) => peer.build(),
            _ => Ok(()),
        }
    }

    /// Starts it over `root` and waits until it listens. Who speaks TLS shows this certificate.
    pub fn start(&self, root: &Path, certificate: &Certificate) -> Result<Server> {
        let server = match self {
            Self::Nginx => nginx::start(root, "", None),
            Self::NginxAuth => nginx::start(root, nginx::AUTH, None),
            Self::NginxCache => nginx::start(root, nginx::CACHE, None),
            Self::NginxNoSymlinks => nginx::start(root, nginx::NO_SYMLINKS, None),
            Self::NginxTls => nginx::start(root, "", Some(certificate)),
            Self::Lighttpd => lighttpd::start(root, ""),
            Self::LighttpdAuth => lighttpd::start(root, lighttpd::AUTH),
            Self::ServeDir => serve_dir::start(root),
            Self::Beneathd => beneathd::quickstart(root, &Command::new(built("beneathd")?)),
            Self::BeneathdTls => {
                beneathd::serve(root, &Command::new(built("beneathd")?), "", Some(certificate))
            }
            Self::Peer(peer) => peer.start(root),
            Self::Build(_, words) => beneathd::quickstart(root, &command_of(words)?),
        };
        let mut server = server.with_context(|| format!("{} does not start", self.name()))?;
        self.name().clone_into(&mut server.name);
        Ok(server)
    }

    /// The same with room for this many connections, where it has to be told.
    pub fn start_for(&self, root: &Path, certificate: &Certificate, connections: u64) -> Result<Server> {
        let program = match self {
            Self::Beneathd => Command::new(built("beneathd")?),
            Self::Build(_, words) => command_of(words)?,
            _ => return self.start(root, certificate),
        };
        let limits = format!("[limits]\nconnections = {connections}");
        let mut server = beneathd::serve(root, &program, &limits, None)?;
        self.name().clone_into(&mut server.name);
        Ok(server)
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    /// A name, or `NAME=COMMAND WITH ARGUMENTS` for another build of `beneathd`.
    fn from_str(text: &str) -> Result<Self> {
        if let Some((name, command)) = text.split_once('=') {
            let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            ensure!(
                !words.is_empty() && !name.is_empty(),
                "{text:?}: NAME=PROGRAM [ARGUMENTS]"
            );
            return Ok(Self::Build(name.to_owned(), words));
        }
        let names = || Self::all().map(|kind| kind.name().to_owned()).collect::<Vec<_>>();
        match Self::all().find(|kind| kind.name() == text) {
            Some(kind) => Ok(kind),
            None => bail!("no server {text:?}: {}", names().join(", ")),
        }
    }
}

impl Server {
    /// Where this file is.
    pub fn path(&self, file: &str) -> Result<String> {
        match &self.paths {
            Paths::Names => Ok(format!("/{file}")),
            Paths::Published(urls) => urls
                .get(file)
                .cloned()
                .with_context(|| format!("{} has not published {file}", self.name)),
        }
    }

    /// A GET for this file.
    pub fn request(&self, file: &str) -> Result<String> {
        Ok(client::request(&self.path(file)?, &self.authorization))
    }

    /// Asks for this file and compares every byte.
    pub fn verify(&self, file: &str, size: u64) -> Result<()> {
        let (request, connection) = (self.request(file)?, Connection::open(self.address)?);
        match &self.scheme {
            Scheme::Http => client::verify(connection, &request, file, size),
            Scheme::Https(certificate) => {
                let stream = certificate.connect(connection.into_stream())?;
                client::verify(Connection::over(stream), &request, file, size)
            }
        }
        .map(drop)
        .with_context(|| format!("{} answers wrongly", self.name))
    }

    /// Where it is, as a URL without a path.
    #[must_use]
    pub fn origin(&self) -> String {
        match self.scheme {
            Scheme::Http => format!("http://{}", self.address),
            Scheme::Https(_) => format!("https://{}", self.address),
        }
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme, Scheme::Https(_))
    }

    /// What it has used until now.
    pub fn usage(&self) -> Result<Usage> {
        self.program.usage()
    }

    /// Process ID.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.program.id()
    }
}

/// `Authorization` of the one user.
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// A port that was free a moment ago: these servers cannot be asked which one they took.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn await_listener(program: &mut Program, address: SocketAddr) -> Result<()> {
    for _ in 0..500 {
        program.still_runs()?;
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    bail!("does not listen on {address} after five seconds")
}

fn command_of(words: &[String]) -> Result<Command> {
    let (program, arguments) = words.split_first().context("a program")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// A program that cargo built, beside this one.
fn built(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

fn cargo_build(what: &[&str]) -> Result<()> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("target/PROFILE/program")?;
    eprintln!("building: cargo build --release {}", what.join(" "));
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--quiet", "--release"])
        .args(what)
        .arg("--target-dir")
        .arg(target);
    command.args([
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    let status = command.status()?;
    ensure!(
        program.parent() == Some(&target.join("release")),
        "measure with `cargo run --release`"
    );
    ensure!(status.success(), "{what:?} does not build");
    Ok(())
}
