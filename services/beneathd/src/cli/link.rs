//! `beneathd link`: downloads without a name or password, so many and for so long.

use std::time::Duration;

use beneath_catalog::{FileId, Link, LinkId, NewLink};
use clap::{Args, Subcommand};

use super::{Common, Failure, catalog, up_to};

/// Manage short-lived links
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd link create 8kRXzGkFyVE0Y1u3rEJ2Vg --ttl 1h --uses 1")]
pub(super) struct LinkCommand {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make a link to a file; it is shown once
    Create(Create),
    /// List links by their numbers
    List(List),
    /// Revoke a link by its number; downloads over it are cut
    Revoke(Revoke),
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd link create 8kRXzGkFyVE0Y1u3rEJ2Vg --ttl 1h --uses 1")]
struct Create {
    /// The ID of a file, as `list` shows it
    id: FileId,
    /// How long it lasts, 30 days at most
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = |text: &str| up_to(NewLink::MAX_TTL, text))]
    ttl: Duration,
    /// How many completed downloads it is good for
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd link list --json")]
struct List {
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd link revoke 7")]
struct Revoke {
    /// The number that `link list` shows
    number: LinkId,
    #[command(flatten)]
    common: Common,
}

impl LinkCommand {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match &self.act {
            Act::Create(create) => create.run(),
            Act::List(list) => list.run(),
            Act::Revoke(revoke) => revoke.run(),
        }
    }
}

impl Create {
    fn run(&self) -> Result<(), Failure> {
        let config = self.common.config()?;
        let change = catalog::act(&self.common, |operator| {
            operator.create_link(&self.id, self.ttl, self.uses)
        })?;
        let link = change.value();
        let url = format!(
            "{}/l/{}",
            catalog::base_url(&config, config.listen),
            link.reveal()
        );
        let expires = catalog::rfc3339(link.expires());
        let printed = serde_json::json!({ "link": link.id().to_string(), "url": url, "expires": expires });
        let sentence = || format!("{url}\nlink {}, until {expires}", link.id());
        self.common.output().changed(&printed, sentence, &change);
        Ok(())
    }
}

impl List {
    fn run(&self) -> Result<(), Failure> {
        let catalog = catalog::existing(&self.common.config()?)?;
        let operator = catalog::operator(&catalog);
        catalog::all_pages(|page| operator.links(None, page), |link| self.show(&link))
    }

    fn show(&self, link: &Link) {
        let Link {
            id,
            file,
            uses,
            completed,
            ..
        } = link;
        let expires = catalog::rfc3339(link.expires);
        let printed = serde_json::json!({
            "link": id.to_string(), "file": file.to_string(), "uses": uses, "completed": completed, "expires": expires,
        });
        self.common.output().result(&printed, || {
            format!("{id}  {file}  {completed} of {uses}  until {expires}")
        });
    }
}

impl Revoke {
    fn run(&self) -> Result<(), Failure> {
        let change = catalog::act(&self.common, |operator| operator.revoke_link(self.number))?;
        self.common
            .output()
            .done("link", &self.number, "revoked", &change);
        Ok(())
    }
}
