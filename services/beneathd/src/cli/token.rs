//! `beneathd token`: short-lived bearer tokens.

use std::time::Duration;

use beneath_catalog::{NewToken, UserName};
use clap::{Args, Subcommand};

use super::{Common, Failure, catalog, up_to};

/// Manage short-lived bearer tokens
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd token create alice --ttl 15m")]
pub(super) struct Token {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make a token with which its bearer acts as a user; it is shown once
    Create(Create),
    /// Revoke all tokens of a user
    Revoke(Revoke),
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  curl -H \"Authorization: Bearer $(beneathd token create alice)\" URL")]
struct Create {
    /// What the user logs in with
    user: UserName,
    /// How long it lasts, one day at most
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = |text: &str| up_to(NewToken::MAX_TTL, text))]
    ttl: Duration,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd token revoke alice")]
struct Revoke {
    /// What the user logs in with
    user: UserName,
    #[command(flatten)]
    common: Common,
}

impl Token {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match &self.act {
            Act::Create(create) => create.run(),
            Act::Revoke(revoke) => revoke.run(),
        }
    }
}

impl Create {
    fn run(&self) -> Result<(), Failure> {
        let change = catalog::act(&self.common, |operator| {
            operator.create_token(&self.user, self.ttl)
        })?;
        let token = change.value();
        let printed = serde_json::json!({
            "token": token.reveal(), "user": self.user.as_str(), "expires": catalog::rfc3339(token.expires()),
        });
        self.common
            .output()
            .changed(&printed, || token.reveal().to_owned(), &change);
        Ok(())
    }
}

impl Revoke {
    fn run(&self) -> Result<(), Failure> {
        let change = catalog::act(&self.common, |operator| operator.revoke_tokens(&self.user))?;
        self.common.output().done(
            "user",
            &self.user,
            &format!("lost {} tokens", change.value()),
            &change,
        );
        Ok(())
    }
}
