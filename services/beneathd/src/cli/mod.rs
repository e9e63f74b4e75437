//! The command line: one file per command, and the words they share.

mod audit;
mod catalog;
mod check;
mod completions;
mod files;
mod group;
mod import;
mod link;
mod output;
mod publish;
mod quickstart;
mod serve;
mod terminal;
mod token;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::process::ProcessError;
use output::Output;

/// A download server: gives files opaque IDs, and users, groups and short-lived links the right to them.
#[derive(Debug, Parser)]
#[command(
    name = "beneathd",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Start with:\n  beneathd quickstart ~/Documents\n\nExit codes: 0 done, 1 refused or not found, 2 wrong usage or configuration."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Quickstart),
    Serve(serve::Serve),
    Check(check::Check),
    User(user::User),
    Group(group::Group),
    Publish(publish::Publish),
    Unpublish(files::Unpublish),
    Grant(files::Grant),
    Revoke(files::Revoke),
    List(files::List),
    Show(files::Show),
    Link(link::LinkCommand),
    Token(token::Token),
    ImportHtpasswd(import::ImportHtpasswd),
    Audit(audit::Audit),
    Completions(completions::Completions),
}

/// What every command that reads the configuration takes.
#[derive(Args, Debug)]
struct Common {
    /// Configuration file [default: ./beneathd.toml, then /etc/beneath/beneathd.toml]
    #[arg(long, value_name = "FILE", env = "BENEATHD_CONFIG")]
    config: Option<PathBuf>,
    /// Print data as JSON, one object per line
    #[arg(long)]
    json: bool,
}

impl Common {
    fn output(&self) -> Output {
        Output::new(self.json)
    }

    fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.config.as_deref())?)
    }
}

/// Why a command did not do what was asked: an exit code and a sentence for a person.
#[derive(Debug)]
enum Failure {
    /// Exit code 1: understood, but refused or not found.
    Refused(String),
    /// Exit code 2: the command line or the configuration is wrong.
    Usage(String),
}

impl Arguments {
    /// Does what the command says.
    pub fn run(&self) -> ExitCode {
        let done = match &self.command {
            Command::Quickstart(command) => command.run(),
            Command::Serve(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::User(command) => command.run(),
            Command::Group(command) => command.run(),
            Command::Publish(command) => command.run(),
            Command::Unpublish(command) => command.run(),
            Command::Grant(command) => command.run(),
            Command::Revoke(command) => command.run(),
            Command::List(command) => command.run(),
            Command::Show(command) => command.run(),
            Command::Link(command) => command.run(),
            Command::Token(command) => command.run(),
            Command::ImportHtpasswd(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Completions(command) => command.run(),
        };
        match done.and_then(|()| output::arrived()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Refused(sentence)) => output::complain(&sentence, 1),
            Err(Failure::Usage(sentence)) => output::complain(&sentence, 2),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<ProcessError> for Failure {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Configuration(sentence) => Self::Usage(sentence),
            ProcessError::Failed(sentence) => Self::Refused(sentence),
        }
    }
}

impl Failure {
    fn sentence(&self) -> &str {
        let (Self::Refused(sentence) | Self::Usage(sentence)) = self;
        sentence
    }
}

/// A time of at least a moment and at most `longest`.
fn up_to(longest: Duration, text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(lasts) if lasts.is_zero() || lasts > longest => Err(format!(
            "not between a moment and {}",
            humantime::format_duration(longest)
        )),
        Ok(lasts) => Ok(lasts),
        Err(error) => Err(format!("not a duration, such as \"15m\": {error}")),
    }
}
