//! `beneathd publish`: a file beneath a root gets an ID.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use beneath::{EntryKind, RelPath, Root};
use beneath_catalog::{
    AdminErrorKind, Administration, Caching, Disposition, Pin, Publication, RootName, Subject,
};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::catalog::PublishedFile;
use super::output::{not_published, remark};
use super::terminal::{Confirmation, Progress};
use super::{Common, Failure, catalog, files};
use crate::config::Config;

/// Publish files beneath a configured root, and print an ID and URL for each
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  beneathd publish reports:2026/q3.pdf --to user:alice --expires 7d\n  \
    beneathd publish reports:2026 --recursive --to group:finance\n  \
    beneathd publish reports:map.png --inline --caching revalidate --to group:finance"
)]
pub(super) struct Publish {
    /// Root and path of a file, as ROOT:PATH
    #[arg(required = true, value_name = "ROOT:PATH", value_parser = OsStringValueParser::new().try_map(Place::parse))]
    places: Vec<Place>,
    /// PATH is a folder: publish every regular file in it and below; `ROOT:` is the whole root
    #[arg(long)]
    recursive: bool,
    /// Leave out what is published already with this pin, by whomever and to whomever: for going on where this was interrupted
    #[arg(long, requires = "recursive")]
    skip_published: bool,
    /// Grant it to user:NAME or group:NAME; may be given more than once
    #[arg(long, value_name = "SUBJECT")]
    to: Vec<Subject>,
    /// Grant it for this long only, such as 7d or 12h
    #[arg(long, value_name = "DURATION", requires = "to")]
    expires: Option<humantime::Duration>,
    /// What it is bound to: its path, the file itself, or its content
    #[arg(long, default_value = "path", value_name = "path|identity|content")]
    pin: Pin,
    /// A browser shows it, in a sandbox, if its type can run no script; without this it is saved
    #[arg(long)]
    inline: bool,
    /// What caches may do: nothing, or keep it in the client and ask before each use, so that it can be revoked (not for links)
    #[arg(long, default_value = "no-store", value_name = "no-store|revalidate")]
    caching: Caching,
    /// What a person should save it as, if not its own name
    #[arg(long, conflicts_with = "recursive")]
    name: Option<OsString>,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    common: Common,
}

/// ROOT:PATH, as typed. The path is parsed later: a bad one is refused, not misused.
#[derive(Clone, Debug)]
struct Place {
    root: RootName,
    path: OsString,
}

impl Place {
    /// The path need not be UTF-8: a name is bytes.
    fn parse(text: OsString) -> Result<Self, String> {
        let text = text.into_vec();
        let mut parts = text.splitn(2, |&byte| byte == b':');
        let (Some(root), Some(path)) = (parts.next(), parts.next()) else {
            return Err("it is not ROOT:PATH".to_owned());
        };
        let root = String::from_utf8_lossy(root).parse::<RootName>();
        Ok(Self {
            root: root.map_err(|error| error.to_string())?,
            path: OsString::from_vec(path.to_vec()),
        })
    }

    fn path(&self) -> Result<RelPath, Failure> {
        self.parsed(self.path.as_bytes())
    }

    /// That of a folder may end with a slash, as shells complete it.
    fn folder(&self) -> Result<RelPath, Failure> {
        let path = self.path.as_bytes();
        self.parsed(path.strip_suffix(b"/").unwrap_or(path))
    }

    fn parsed(&self, path: &[u8]) -> Result<RelPath, Failure> {
        RelPath::parse(path)
            .map_err(|error| Failure::Refused(format!("{}:{}: {error}", self.root, self.path.display())))
    }
}

impl Publish {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let config = self.common.config()?;
        let expires = files::expiry(self.expires)?;
        let base = catalog::base_url(&config, config.listen);
        let catalog = catalog::with_roots(&config, self.places.iter().map(|place| &place.root))?;
        let operator = catalog::operator(&catalog);
        let output = self.common.output();
        let mut places = self.found(&config)?;
        if self.skip_published {
            self.leave_out_published(&operator, &mut places)?;
        }
        let count = places.iter().map(|(_, found)| found.files.len()).sum();
        if self.recursive {
            self.confirmation.ask(&self.question(count))?;
        }
        let mut progress = Progress::of(count);
        let mut refused = 0;
        for (root, found) in places {
            for path in found.files {
                progress.begin(&path);
                let publication = self.publication(root.clone(), path.clone(), expires);
                let done = operator.publish_with_progress(&publication, |bytes, of| {
                    progress.hashed(bytes, of);
                    ControlFlow::Continue(())
                });
                let change = match done {
                    // One that cannot be opened does not keep the others back.
                    Err(error) if self.recursive && error.kind() == AdminErrorKind::Invalid => {
                        refused += 1;
                        progress.end(|| not_published(&path, &error));
                        continue;
                    }
                    done => done?,
                };
                progress.end(|| {
                    let file = PublishedFile::new(change.value(), &base);
                    output.changed(&file, || file.line(), &change);
                });
            }
            for (path, why) in found.skipped {
                progress.beside(|| not_published(&path, &why));
            }
        }
        match refused {
            0 => Ok(()),
            refused => Err(Failure::Refused(format!("{refused} files were not published"))),
        }
    }

    /// All of what is to be published, before any of it is.
    fn found(&self, config: &Config) -> Result<Vec<(RootName, Found)>, Failure> {
        let found = self.places.iter().map(|place| {
            let found = if self.recursive {
                below(&catalog::open_root(config, &place.root)?, place)?
            } else {
                Found {
                    files: vec![place.path()?],
                    skipped: Vec::new(),
                }
            };
            Ok((place.root.clone(), found))
        });
        found.collect()
    }

    fn leave_out_published(
        &self,
        operator: &Administration<'_>,
        places: &mut [(RootName, Found)],
    ) -> Result<(), Failure> {
        let mut left_out = 0;
        for (root, found) in places {
            let mut files = Vec::with_capacity(found.files.len());
            for path in found.files.drain(..) {
                let published = operator.files_at(root, &path)?;
                match published.iter().any(|entry| entry.pin() == self.pin) {
                    true => left_out += 1,
                    false => files.push(path),
                }
            }
            found.files = files;
        }
        if left_out > 0 {
            remark(&format!("{left_out} files are published already"));
        }
        Ok(())
    }

    fn question(&self, files: usize) -> String {
        let subjects: Vec<_> = self.to.iter().map(ToString::to_string).collect();
        match subjects.as_slice() {
            [] => format!("Publish {files} files, to nobody yet?"),
            subjects => format!("Publish {files} files to {}?", subjects.join(", ")),
        }
    }

    fn publication(
        &self,
        root: RootName,
        path: RelPath,
        expires: Option<std::time::SystemTime>,
    ) -> Publication {
        let mut publication = Publication::new(root, path)
            .pinned(self.pin)
            .caching(self.caching);
        if self.inline {
            publication = publication.disposition(Disposition::Inline);
        }
        if let Some(name) = &self.name {
            publication = publication.named(name.as_bytes());
        }
        for subject in &self.to {
            publication = publication.to(subject.clone(), expires);
        }
        publication
    }
}

/// What lies in a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<RelPath>,
    /// Links, FIFOs, devices; folders that are not wanted or cannot be read; and why.
    pub(super) skipped: Vec<(RelPath, String)>,
}

fn below(root: &Root, place: &Place) -> Result<Found, Failure> {
    if place.path.is_empty() {
        return Found::in_folder(root, None, true);
    }
    let path = place.folder()?;
    let folder = root
        .open_root(&path)
        .map_err(|error| Failure::Refused(format!("{path:?}: {error}")))?;
    Found::in_folder(&folder, Some(&path), true)
}

impl Found {
    /// The files of `folder`, which lies at `at` beneath its root, in the order of their names.
    pub(super) fn in_folder(folder: &Root, at: Option<&RelPath>, recursive: bool) -> Result<Self, Failure> {
        let mut found = Self::default();
        found.add(folder, at, recursive)?;
        Ok(found)
    }

    fn add(&mut self, folder: &Root, at: Option<&RelPath>, recursive: bool) -> Result<(), Failure> {
        for (path, name, kind) in listed(folder, at)? {
            // The hint saves opening what is none; publishing opens, and decides.
            match kind {
                EntryKind::File | EntryKind::Unknown => self.files.push(path),
                EntryKind::Directory if recursive => match inner(folder, &name) {
                    Ok(inner) => self.add(&inner, Some(&path), recursive)?,
                    Err(why) => self.skipped.push((path, why)),
                },
                _ => self.skipped.push((path, "not a regular file".to_owned())),
            }
        }
        Ok(())
    }
}

/// What a folder holds: path beneath the root, name in the folder, kind; in the order of the names.
fn listed(folder: &Root, at: Option<&RelPath>) -> Result<Vec<(RelPath, RelPath, EntryKind)>, Failure> {
    let shown = at.map_or_else(|| "the folder".to_owned(), |at| format!("{at:?}"));
    let refused = |error| Failure::Refused(format!("{shown}: {error}"));
    let entries = folder.entries(MAX_ENTRIES).map_err(refused)?;
    if !entries.is_complete() {
        return Err(Failure::Refused(format!(
            "{shown}: has more than {MAX_ENTRIES} entries, or one with a name longer than 255 bytes"
        )));
    }
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_by(|one, other| one.name().cmp(other.name()));
    let placed = entries.into_iter().map(|entry| {
        let name = entry.name();
        let path = at
            .map_or_else(|| Ok(name.clone()), |at| at.join(name))
            .map_err(refused)?;
        Ok((path, name.clone(), entry.kind()))
    });
    placed.collect()
}

/// A folder in a folder, or why it is left out.
fn inner(folder: &Root, name: &RelPath) -> Result<Root, String> {
    let inner = folder.open_root(name).map_err(|error| error.to_string())?;
    // Held without the right to read it, so far.
    inner.entries(0).map_err(|error| error.to_string())?;
    Ok(inner)
}

/// The longest folder that is listed in one go.
const MAX_ENTRIES: usize = 1_000_000;
