//! axum with tower-http's `ServeDir`: what a Rust service does when it writes nothing of its own.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::{PASSWORD, Paths, Scheme, Server, USER, basic, built};
use crate::process::{Cpu, Program};

pub(super) fn start(root: &Path) -> Result<Server> {
    let authorization = basic(USER, PASSWORD);
    let mut command = Cpu::Server.command(built("serve_dir")?);
    command.arg(root).arg(&authorization).stdout(Stdio::piped());
    let mut program = Program::start(command)?;
    let address = program
        .first_line()?
        .trim()
        .parse()
        .context("serve_dir prints its address")?;
    Ok(Server {
        name: String::new(),
        address,
        scheme: Scheme::Http,
        authorization,
        paths: Paths::Names,
        program,
        _configuration: crate::corpus::temporary()?,
    })
}
