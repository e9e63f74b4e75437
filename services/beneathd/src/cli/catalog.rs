//! The catalog as the commands use it, and what they print of it.

use std::net::SocketAddr;
use std::sync::Arc;

use beneath::{ErrorKind, Root, ambient_authority};
use beneath_catalog::{
    AdminError, Administration, Catalog, Change, ConnectError, ConnectErrorKind, Entry, Listing, Page,
    RootName,
};
use serde::Serialize;

use super::{Common, Failure};
use crate::config::Config;
pub(super) use crate::notation::rfc3339;
use crate::notation::segment;

/// The catalog that is there, for commands that need no root.
pub(super) fn existing(config: &Config) -> Result<Catalog, Failure> {
    Ok(Catalog::connect(&config.catalog, [], config.options)?)
}

/// The catalog, made if there is none, with the roots that `wanted` names.
pub(super) fn with_roots<'a>(
    config: &Config,
    wanted: impl IntoIterator<Item = &'a RootName>,
) -> Result<Catalog, Failure> {
    let roots = open_roots(config, wanted)?;
    Ok(Catalog::create(&config.catalog, roots, config.options)?)
}

fn open_roots<'a>(
    config: &Config,
    wanted: impl IntoIterator<Item = &'a RootName>,
) -> Result<Vec<(RootName, Arc<Root>)>, Failure> {
    let open = |name: &'a RootName| Ok((name.clone(), Arc::new(open_root(config, name)?)));
    wanted.into_iter().map(open).collect()
}

/// The same with every configured root, ready to serve.
pub(super) fn serving(config: &Config) -> Result<Catalog, Failure> {
    let roots = open_roots(config, config.roots.keys())?;
    let catalog = Catalog::connect(&config.catalog, roots.clone(), config.options).or_else(|error| {
        if error.kind() != ConnectErrorKind::Missing {
            return Err(error);
        }
        // Nobody can log in to a new catalog: whoever runs this must hear of it, for it may be that the file system of the real
        // one is not mounted.
        tracing::warn!(catalog = %config.catalog, "there is no catalog here; a new, empty one is made");
        Catalog::create(&config.catalog, roots, config.options)
    })?;
    catalog.start()?;
    Ok(catalog)
}

/// What is wrong with the catalog, if anything; makes none.
pub(super) fn problem(config: &Config) -> Option<Failure> {
    // What is wrong with the others is said elsewhere.
    let roots = config.roots.keys().filter_map(|name| {
        let root = open_root(config, name).ok()?;
        Some((name.clone(), Arc::new(root)))
    });
    match Catalog::connect(&config.catalog, roots, config.options) {
        Ok(catalog) => catalog.examine().err().map(Failure::from),
        // The first command that writes makes one.
        Err(error) if error.kind() == ConnectErrorKind::Missing => {
            config.catalog.may_be_made().err().map(Failure::from)
        }
        Err(error) => Some(error.into()),
    }
}

pub(super) fn open_root(config: &Config, name: &RootName) -> Result<Root, Failure> {
    let root = config.roots.get(name).ok_or_else(|| {
        let known = config
            .roots
            .keys()
            .map(RootName::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        Failure::Refused(format!(
            "there is no root {name} in the configuration; there are: {known}"
        ))
    })?;
    root.open().map_err(|error| {
        let sentence = format!("roots.{name}: {}: {error}", root.path.display());
        match error.kind() {
            // Another time it could be opened as it is named.
            ErrorKind::Busy | ErrorKind::Exhausted | ErrorKind::Io => Failure::Refused(sentence),
            _ => Failure::Usage(sentence),
        }
    })
}

/// Whoever may run the command may write the catalog: the operating system decides.
pub(super) fn operator(catalog: &Catalog) -> Administration<'_> {
    catalog.operator(ambient_authority())
}

/// One act of the operator on the catalog that is there.
pub(super) fn act<T>(
    common: &Common,
    act: impl FnOnce(&Administration<'_>) -> Result<Change<T>, AdminError>,
) -> Result<Change<T>, Failure> {
    let catalog = existing(&common.config()?)?;
    Ok(act(&operator(&catalog))?)
}

/// Everything there is of a list, page by page.
pub(super) fn all_pages<T>(
    list: impl Fn(Page) -> Result<Listing<T>, AdminError>,
    mut each: impl FnMut(T),
) -> Result<(), Failure> {
    let mut page = Page::first(Page::MAX);
    loop {
        let listing = list(page)?;
        listing.items.into_iter().for_each(&mut each);
        match listing.next {
            Some(next) => page = page.at(next),
            None => return Ok(()),
        }
    }
}

/// A published file, as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct PublishedFile {
    pub(super) id: String,
    /// As text; what is not UTF-8 in it is replaced. The URL holds the very bytes.
    pub(super) name: String,
    /// Length in bytes when it was published.
    pub(super) size: u64,
    pub(super) url: String,
    pub(super) disposition: &'static str,
    pub(super) caching: &'static str,
}

impl PublishedFile {
    pub(super) fn new(entry: &Entry, base: &str) -> Self {
        let name = segment(entry.name());
        Self {
            id: entry.id().to_string(),
            name: String::from_utf8_lossy(entry.name()).into_owned(),
            size: entry.size(),
            url: format!("{base}/f/{}/{name}", entry.id()),
            disposition: entry.disposition().as_str(),
            caching: entry.caching().as_str(),
        }
    }

    /// As a person reads it. A name must not be able to draw on the terminal.
    pub(super) fn line(&self) -> String {
        format!(
            "{}  {:>12}  {}  {}",
            self.id,
            self.size,
            self.name.escape_debug(),
            self.url
        )
    }
}

/// What comes before `/f/…` in a URL.
pub(super) fn base_url(config: &Config, listening: SocketAddr) -> String {
    config.public_url.clone().unwrap_or_else(|| {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{listening}")
    })
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error.kind() {
            // Whatever happens, there is none at this place.
            ConnectErrorKind::NoDirectory | ConnectErrorKind::Served => Self::Usage(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::Refused(error.to_string())
    }
}
