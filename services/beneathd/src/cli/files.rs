//! `beneathd unpublish`, `grant`, `revoke`, `list`, `show`: what is published, and to whom.

use std::time::{SystemTime, UNIX_EPOCH};

use beneath_catalog::{FileId, Published, Subject};
use clap::Args;
use serde::Serialize;

use super::catalog::PublishedFile;
use super::terminal::Confirmation;
use super::{Common, Failure, catalog};
use crate::notation::{YEAR_10000, hex};

/// Take files out of the catalog, with their grants; the files themselves stay
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd unpublish 8kRXzGkFyVE0Y1u3rEJ2Vg")]
pub(super) struct Unpublish {
    /// IDs of files, as `list` shows them
    #[arg(required = true)]
    id: Vec<FileId>,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    common: Common,
}

/// Let a user or group download a file
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd grant 8kRXzGkFyVE0Y1u3rEJ2Vg user:alice --expires 7d")]
pub(super) struct Grant {
    /// The ID of a file, as `list` shows it
    id: FileId,
    /// user:NAME or group:NAME
    subject: Subject,
    /// For this long only, such as 7d or 12h
    #[arg(long, value_name = "DURATION")]
    expires: Option<humantime::Duration>,
    #[command(flatten)]
    common: Common,
}

/// Take a grant back; when this returns, nobody who rested on it is sent another byte
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd revoke 8kRXzGkFyVE0Y1u3rEJ2Vg user:alice")]
pub(super) struct Revoke {
    /// The ID of a file, as `list` shows it
    id: FileId,
    /// user:NAME or group:NAME
    subject: Subject,
    #[command(flatten)]
    common: Common,
}

/// List what is published, newest first
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd list --json | jq -r .url")]
pub(super) struct List {
    #[command(flatten)]
    common: Common,
}

/// Show a published file and to whom it is granted
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd show 8kRXzGkFyVE0Y1u3rEJ2Vg")]
pub(super) struct Show {
    /// The ID of a file, as `list` shows it
    id: FileId,
    #[command(flatten)]
    common: Common,
}

impl Unpublish {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let catalog = catalog::existing(&self.common.config()?)?;
        let ids: Vec<_> = self.id.iter().map(ToString::to_string).collect();
        self.confirmation.ask(&format!(
            "Unpublish {}, with all grants and links?",
            ids.join(", ")
        ))?;
        // A takedown that was tried before goes on where that stopped.
        let mut failed = Vec::new();
        for id in &self.id {
            match catalog::operator(&catalog).unpublish(id) {
                Ok(change) => self.common.output().done("file", id, "unpublished", &change),
                Err(error) => failed.push(error.to_string()),
            }
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(Failure::Refused(failed.join("\n"))),
        }
    }
}

impl Grant {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let expires = expiry(self.expires)?;
        let change = catalog::act(&self.common, |operator| {
            operator.grant(&self.id, &self.subject, expires)
        })?;
        self.common
            .output()
            .done("file", &self.id, &format!("granted to {}", self.subject), &change);
        Ok(())
    }
}

impl Revoke {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let change = catalog::act(&self.common, |operator| operator.revoke(&self.id, &self.subject))?;
        self.common.output().done(
            "file",
            &self.id,
            &format!("revoked from {}", self.subject),
            &change,
        );
        Ok(())
    }
}

impl List {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let config = self.common.config()?;
        let base = catalog::base_url(&config, config.listen);
        let catalog = catalog::existing(&config)?;
        let operator = catalog::operator(&catalog);
        catalog::all_pages(
            |page| operator.files(page),
            |entry| {
                let file = PublishedFile::new(&entry, &base);
                self.common.output().result(&file, || file.line());
            },
        )
    }
}

/// A published file, whole, as it is printed.
#[derive(Serialize)]
struct Printed {
    #[serde(flatten)]
    file: PublishedFile,
    root: String,
    path: String,
    owner: Option<String>,
    pin: &'static str,
    sha256: Option<String>,
    media_type: Option<String>,
    created: String,
    grants: Vec<PrintedGrant>,
}

#[derive(Serialize)]
struct PrintedGrant {
    subject: String,
    expires: Option<String>,
}

impl Show {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let config = self.common.config()?;
        let catalog = catalog::existing(&config)?;
        let published = catalog::operator(&catalog).file(&self.id)?;
        let printed = Printed::new(&published, &catalog::base_url(&config, config.listen));
        self.common.output().result(&printed, || printed.lines());
        Ok(())
    }
}

impl Printed {
    fn new(published: &Published, base: &str) -> Self {
        let entry = &published.entry;
        let grants = published.grants.iter().map(|grant| PrintedGrant {
            subject: grant.subject.to_string(),
            expires: grant.expires.map(catalog::rfc3339),
        });
        Self {
            file: PublishedFile::new(entry, base),
            root: entry.root().to_string(),
            path: String::from_utf8_lossy(entry.path().as_bytes()).into_owned(),
            owner: entry.owner().map(ToString::to_string),
            pin: entry.pin().as_str(),
            sha256: entry.digest().map(hex),
            media_type: entry.media_type().map(ToOwned::to_owned),
            created: catalog::rfc3339(entry.created()),
            grants: grants.collect(),
        }
    }

    fn lines(&self) -> String {
        let Self {
            file,
            root,
            path,
            owner,
            pin,
            created,
            ..
        } = self;
        let mut lines = vec![
            file.line(),
            format!(
                "{root}:{}  pinned by {pin}, published {created} by {}",
                path.escape_debug(),
                owner.as_deref().unwrap_or("the operator"),
            ),
            format!("sent as {}, caching {}", file.disposition, file.caching),
        ];
        lines.extend(self.sha256.iter().map(|digest| format!("SHA-256 {digest}")));
        lines.extend(self.grants.iter().map(|grant| match &grant.expires {
            Some(expires) => format!("granted to {} until {expires}", grant.subject),
            None => format!("granted to {}", grant.subject),
        }));
        lines.join("\n")
    }
}

/// When something ends that lasts this long from now.
pub(super) fn expiry(lasts: Option<humantime::Duration>) -> Result<Option<SystemTime>, Failure> {
    let Some(lasts) = lasts else {
        return Ok(None);
    };
    let expires = SystemTime::now().checked_add(*lasts).filter(|_| !lasts.is_zero());
    // Beyond it RFC 3339 has no way to write the time.
    let expires = expires.filter(|expires| *expires < UNIX_EPOCH + YEAR_10000);
    let expires = expires.ok_or_else(|| {
        Failure::Usage(format!(
            "--expires {lasts}: not a time between now and the year 9999"
        ))
    })?;
    Ok(Some(expires))
}
