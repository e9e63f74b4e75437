//! `beneathd`: by `quickstart`, what somebody gets who configures nothing; or by `serve`, where a limit or TLS is wanted.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use super::{PASSWORD, Paths, Scheme, Server, USER, basic};
use crate::process::{Cpu, Program};
use crate::tls::Certificate;

/// The line that `quickstart --json` and `serve --json` print.
#[derive(Deserialize)]
struct Started {
    url: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    files: Vec<Published>,
}

#[derive(Deserialize)]
struct Published {
    name: String,
    url: String,
}

pub(super) fn quickstart(root: &Path, program: &Command) -> Result<Server> {
    let folder = crate::corpus::temporary()?;
    let mut command = Cpu::Server.command(program.get_program());
    command
        .arg("quickstart")
        .arg(root)
        .args(["--listen", "127.0.0.1:0", "--json"]);
    command
        .args(program.get_args())
        .current_dir(folder.path())
        .env_remove("BENEATHD_CONFIG");
    command.arg("--state").arg(folder.path().join("state"));
    let (program, started) = start(command)?;
    Ok(Server {
        name: String::new(),
        address: address_of(&started.url)?,
        scheme: Scheme::Http,
        authorization: basic(&started.user, &started.password),
        paths: Paths::Published(paths_of(started.files)),
        program,
        _configuration: folder,
    })
}

/// The same files for one user, with more in the configuration.
pub(super) fn serve(root: &Path, program: &Command, more: &str, tls: Option<&Certificate>) -> Result<Server> {
    let folder = crate::corpus::temporary()?;
    let mut configuration = format!("listen = \"127.0.0.1:0\"\n{more}\n[roots.files]\npath = {root:?}\n");
    if let Some(tls) = tls {
        tls.write_to(folder.path())?;
        configuration.push_str("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    }
    std::fs::write(folder.path().join("beneathd.toml"), configuration)?;
    administer(
        &folder,
        program,
        &["user", "add", USER, "--password-stdin"],
        PASSWORD,
    )?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name();
        let place = format!("files:{}", name.to_string_lossy());
        let line = administer(
            &folder,
            program,
            &["publish", &place, "--to", &format!("user:{USER}"), "--json"],
            "",
        )?;
        files.push(serde_json::from_str(line.trim()).with_context(|| line.clone())?);
    }
    let mut command = Cpu::Server.command(program.get_program());
    command.args(["serve", "--json", "--config"]);
    command.arg(folder.path().join("beneathd.toml"));
    let (program, started) = start(command)?;
    Ok(Server {
        name: String::new(),
        address: address_of(&started.url)?,
        scheme: tls.map_or(Scheme::Http, |tls| Scheme::Https(tls.clone())),
        authorization: basic(USER, PASSWORD),
        paths: Paths::Published(paths_of(files)),
        program,
        _configuration: folder,
    })
}

fn start(mut command: Command) -> Result<(Program, Started)> {
    command.stdout(Stdio::piped());
    let mut program = Program::start(command)?;
    let line = program.first_line()?;
    let started = serde_json::from_str(&line).with_context(|| line.clone())?;
    Ok((program, started))
}

/// Runs a command on the configuration in a folder; what it printed.
fn administer(folder: &TempDir, program: &Command, arguments: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new(program.get_program());
    command.args(arguments).arg("--config");
    command.arg(folder.path().join("beneathd.toml"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    writeln!(child.stdin.take().context("piped")?, "{input}")?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn paths_of(files: Vec<Published>) -> HashMap<String, String> {
    let pairs = files.into_iter().map(|file| (file.name, path_of(&file.url)));
    pairs.collect()
}

fn address_of(url: &str) -> Result<std::net::SocketAddr> {
    let (_, authority) = url.split_once("://").with_context(|| url.to_owned())?;
    Ok(authority.trim_end_matches('/').parse()?)
}

/// The path of a URL that may have a scheme and an authority.
fn path_of(url: &str) -> String {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    after
        .find('/')
        .and_then(|at| after.get(at..))
        .unwrap_or("/")
        .to_owned()
}
