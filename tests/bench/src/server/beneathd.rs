//! `beneathd quickstart`: what somebody gets who configures nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Paths, Server, basic};
use crate::process::{Cpu, Program};

/// The line that `quickstart --json` prints.
#[derive(Deserialize)]
struct Started {
    url: String,
    user: String,
    password: String,
    files: Vec<Published>,
}

#[derive(Deserialize)]
struct Published {
    name: String,
    url: String,
}

pub(super) fn start(root: &Path, program: &Command) -> Result<Server> {
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
    command
        .arg("--state")
        .arg(folder.path().join("state"))
        .stdout(Stdio::piped());
    let mut program = Program::start(command)?;
    let line = program.first_line()?;
    let started: Started = serde_json::from_str(&line).with_context(|| line.clone())?;
    let address = started
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()?;
    let urls = started
        .files
        .into_iter()
        .map(|file| (file.name, path_of(&file.url)))
        .collect();
    Ok(Server {
        name: String::new(),
        address,
        authorization: basic(&started.user, &started.password),
        paths: Paths::Published(urls),
        program,
        _configuration: folder,
    })
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
