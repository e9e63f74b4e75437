//! `beneathd user`: who there is.

use std::io::{IsTerminal as _, Read as _};

use beneath_catalog::{Account, GroupName, ParseError, Password, Role, UserName};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::output::Output;
use super::terminal::Confirmation;
use super::{Common, Failure, catalog};

/// Manage users
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd user add alice\n  \
    head -c 18 /dev/urandom | base64 | tee password | beneathd user add bob --password-stdin")]
pub(super) struct User {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Add a user
    Add(Add),
    /// Change a password; whoever was logged in with the old one is not any more
    Passwd(Passwd),
    /// Give a user another role
    Role(SetRole),
    /// Take all of a user's rights away, until they are enabled again
    #[command(after_help = "Example:\n  beneathd user disable alice")]
    Disable(Named),
    /// Give a disabled user their rights back
    #[command(after_help = "Example:\n  beneathd user enable alice")]
    Enable(Named),
    /// Remove a user and all that was granted to them
    Remove(Remove),
    /// List users
    List(List),
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd user add alice --role publisher")]
struct Add {
    /// What they log in with
    name: UserName,
    /// What they may do besides downloading what was granted: reader, publisher or admin
    #[arg(long, default_value = "reader")]
    role: Role,
    #[command(flatten)]
    password: PasswordFrom,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd user passwd alice")]
struct Passwd {
    /// What they log in with
    name: UserName,
    #[command(flatten)]
    password: PasswordFrom,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd user role alice publisher")]
struct SetRole {
    /// What they log in with
    name: UserName,
    /// reader, publisher or admin
    role: Role,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Named {
    /// What they log in with
    name: UserName,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd user remove alice")]
struct Remove {
    /// What they log in with
    name: UserName,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd user list --json")]
struct List {
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct PasswordFrom {
    /// Read the password from standard input, up to the first line break
    #[arg(long)]
    password_stdin: bool,
}

impl User {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match &self.act {
            Act::Add(add) => add.run(),
            Act::Passwd(passwd) => passwd.run(),
            Act::Role(role) => role.run(),
            Act::Disable(user) => user.disable(),
            Act::Enable(user) => user.enable(),
            Act::Remove(user) => user.run(),
            Act::List(list) => list.run(),
        }
    }
}

/// A user, as they are printed.
#[derive(Serialize)]
struct Printed<'a> {
    name: &'a str,
    role: &'a str,
    enabled: bool,
    groups: Vec<&'a str>,
    created: String,
}

impl Add {
    fn run(&self) -> Result<(), Failure> {
        let password = self.password.read()?;
        let catalog = catalog::with_roots(&self.common.config()?, [])?;
        let change = catalog::operator(&catalog).add_user(&self.name, &password, self.role)?;
        self.common.output().done("user", &self.name, "added", &change);
        Ok(())
    }
}

impl Passwd {
    fn run(&self) -> Result<(), Failure> {
        let password = self.password.read()?;
        let change = catalog::act(&self.common, |operator| {
            operator.set_password(&self.name, &password)
        })?;
        self.common
            .output()
            .done("user", &self.name, "has a new password", &change);
        Ok(())
    }
}

impl SetRole {
    fn run(&self) -> Result<(), Failure> {
        let change = catalog::act(&self.common, |operator| operator.set_role(&self.name, self.role))?;
        self.common
            .output()
            .done("user", &self.name, &format!("is {}", self.role), &change);
        Ok(())
    }
}

impl Named {
    fn disable(&self) -> Result<(), Failure> {
        let change = catalog::act(&self.common, |operator| operator.disable_user(&self.name))?;
        self.common.output().done("user", &self.name, "disabled", &change);
        Ok(())
    }

    fn enable(&self) -> Result<(), Failure> {
        let change = catalog::act(&self.common, |operator| operator.enable_user(&self.name))?;
        self.common.output().done("user", &self.name, "enabled", &change);
        Ok(())
    }
}

impl Remove {
    fn run(&self) -> Result<(), Failure> {
        let question = format!("Remove user {}, with all that was granted to them?", self.name);
        self.confirmation.ask(&question)?;
        let change = catalog::act(&self.common, |operator| operator.remove_user(&self.name))?;
        self.common.output().done("user", &self.name, "removed", &change);
        Ok(())
    }
}

impl List {
    fn run(&self) -> Result<(), Failure> {
        let catalog = catalog::existing(&self.common.config()?)?;
        let operator = catalog::operator(&catalog);
        catalog::all_pages(
            |page| operator.users(page),
            |account| show(&account, self.common.output()),
        )
    }
}

fn show(account: &Account, output: Output) {
    let printed = Printed {
        name: account.name().as_str(),
        role: account.role().as_str(),
        enabled: account.enabled(),
        groups: account.groups().iter().map(GroupName::as_str).collect(),
        created: catalog::rfc3339(account.created()),
    };
    output.result(&printed, || {
        let state = if printed.enabled { "" } else { "  disabled" };
        format!(
            "{}  {}{state}  {}",
            printed.name,
            printed.role,
            printed.groups.join(",")
        )
    });
}

impl PasswordFrom {
    /// From standard input, or from a person who types it twice.
    fn read(&self) -> Result<Password, Failure> {
        let text = if self.password_stdin {
            first_line()?
        } else if std::io::stdin().is_terminal() {
            typed_twice()?
        } else {
            return Err(Failure::Usage(
                "standard input is not a terminal: give the password with --password-stdin".to_owned(),
            ));
        };
        text.parse()
            .map_err(|error: ParseError| Failure::Refused(error.to_string()))
    }
}

fn first_line() -> Result<String, Failure> {
    let mut input = Vec::new();
    let read = std::io::stdin().take(MAX_INPUT).read_to_end(&mut input);
    read.map_err(|error| Failure::Refused(format!("standard input cannot be read: {error}")))?;
    let line = input.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = std::str::from_utf8(line);
    Ok(line
        .map_err(|_| Failure::Refused("the password is not UTF-8".to_owned()))?
        .to_owned())
}

fn typed_twice() -> Result<String, Failure> {
    let ask = |prompt| {
        let typed = rpassword::prompt_password(prompt);
        typed.map_err(|error| Failure::Refused(format!("the terminal cannot be read: {error}")))
    };
    let password = ask("Password: ")?;
    if ask("Again: ")? != password {
        return Err(Failure::Refused("the two passwords differ".to_owned()));
    }
    Ok(password)
}

const MAX_INPUT: u64 = 64 * 1024;
