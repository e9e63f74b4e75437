//! `beneathd publish`: a file beneath a root gets an ID.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use beneath::{EntryKind, RelPath, Root};
use beneath_catalog::{Entry, Pin, Publication, RootName, Subject};
use clap::Args;

use super::catalog::PublishedFile;
use super::{Common, Failure, catalog, files};

/// Publish files beneath a configured root, and print an ID and URL for each
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  beneathd publish reports:2026/q3.pdf --to user:alice --expires 7d\n  \
    beneathd publish reports:2026 --recursive --to group:finance"
)]
pub(super) struct Publish {
    /// Root and path of a file, as ROOT:PATH
    #[arg(required = true, value_name = "ROOT:PATH", value_parser = Place::parse)]
    places: Vec<Place>,
    /// PATH is a folder: publish every regular file in it and below; `ROOT:` is the whole root
    #[arg(long)]
    recursive: bool,
    /// Grant it to user:NAME or group:NAME; may be given more than once
    #[arg(long, value_name = "SUBJECT")]
    to: Vec<Subject>,
    /// Grant it for this long only, such as 7d or 12h
    #[arg(long, value_name = "DURATION", requires = "to")]
    expires: Option<humantime::Duration>,
    /// What it is bound to: its path, the file itself, or its content
    #[arg(long, default_value = "path", value_name = "path|identity|content")]
    pin: Pin,
    /// What a person should save it as, if not its own name
    #[arg(long, conflicts_with = "recursive")]
    name: Option<OsString>,
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
    fn parse(text: &str) -> Result<Self, String> {
        let (root, path) = text.split_once(':').ok_or("it is not ROOT:PATH")?;
        let root = root.parse::<RootName>().map_err(|error| error.to_string())?;
        Ok(Self {
            root,
            path: path.into(),
        })
    }

    fn path(&self) -> Result<RelPath, Failure> {
        RelPath::parse(self.path.as_bytes())
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
        for place in &self.places {
            let found = if self.recursive {
                let root = catalog::open_root(&config, &place.root)?;
                below(&root, place)?
            } else {
                Found {
                    files: vec![place.path()?],
                    skipped: Vec::new(),
                }
            };
            for path in found.files {
                let publication = self.publication(place.root.clone(), path, expires);
                let entry: Entry = catalog::settled(operator.publish(&publication)?, self.common.output());
                let file = PublishedFile::new(&entry, &base);
                self.common.output().result(&file, || file.line());
            }
            for path in found.skipped {
                self.common
                    .output()
                    .remark(&format!("not a regular file, not published: {path:?}"));
            }
        }
        Ok(())
    }

    fn publication(
        &self,
        root: RootName,
        path: RelPath,
        expires: Option<std::time::SystemTime>,
    ) -> Publication {
        let mut publication = Publication::new(root, path).pinned(self.pin);
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
    /// Links, FIFOs, devices; and folders, where those are not wanted.
    pub(super) skipped: Vec<RelPath>,
}

fn below(root: &Root, place: &Place) -> Result<Found, Failure> {
    if place.path.is_empty() {
        return Found::in_folder(root, None, true);
    }
    let path = place.path()?;
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
        let refused = |path: &RelPath, error| Failure::Refused(format!("{path:?}: {error}"));
        let entries = folder
            .entries(MAX_ENTRIES)
            .map_err(|error| Failure::Refused(error.to_string()))?;
        if !entries.is_complete() {
            return Err(Failure::Refused(format!(
                "a folder has more than {MAX_ENTRIES} entries: {at:?}"
            )));
        }
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by(|one, other| one.name().cmp(other.name()));
        for entry in entries {
            let name = entry.name();
            let path = match at {
                Some(at) => at.join(name).map_err(|error| refused(name, error))?,
                None => name.clone(),
            };
            // The hint saves opening what is none; publishing opens, and decides.
            match entry.kind() {
                EntryKind::File | EntryKind::Unknown => self.files.push(path),
                EntryKind::Directory if recursive => {
                    let inner = folder.open_root(name).map_err(|error| refused(&path, error))?;
                    self.add(&inner, Some(&path), recursive)?;
                }
                _ => self.skipped.push(path),
            }
        }
        Ok(())
    }
}

/// The longest folder that is listed in one go.
const MAX_ENTRIES: usize = 1_000_000;
