//! Where the catalog lies: never in a directory that is served.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use beneath::Root;
use rustix::fs::{Access, AtFlags, CWD};

use crate::error::{ConnectError, ConnectErrorKind};
use crate::subject::RootName;

/// As [`StoreUrl::keep_apart`](super::StoreUrl::keep_apart).
pub(crate) fn keep_apart(catalog: &Path, name: &RootName, root: &Root) -> Result<(), ConnectError> {
    let failed = |error: &dyn fmt::Display| ConnectError::new(catalog, ConnectErrorKind::Failed, error);
    let served = root.metadata().map_err(|error| failed(&error))?;
    let served = (served.identity().device(), served.identity().inode());
    match lies_in(catalog, served) {
        Ok(false) => Ok(()),
        Ok(true) => Err(ConnectError::new(
            catalog,
            ConnectErrorKind::Served,
            format_args!("it lies in the directory of the root {name}; keep it in another one"),
        )),
        // It cannot be opened either, and that says why.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(&error)),
    }
}

/// As [`StoreUrl::may_be_made`](super::StoreUrl::may_be_made).
pub(crate) fn may_be_made(catalog: &Path) -> Result<(), ConnectError> {
    let directory = directory_of(catalog).unwrap_or(Path::new("."));
    let access = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(CWD, directory, access, AtFlags::EACCESS).map_err(|errno| {
        let detail = format_args!("nothing can be made in its directory: {errno}");
        ConnectError::new(catalog, ConnectErrorKind::Denied, detail)
    })
}

/// As it is named: none where that is the name alone.
fn directory_of(catalog: &Path) -> Option<&Path> {
    catalog.parent().filter(|parent| !parent.as_os_str().is_empty())
}

/// What else is missing, if the catalog is.
#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own directory, to say what is wrong"
)]
pub(crate) fn explain(error: ConnectError, catalog: &Path) -> ConnectError {
    match directory_of(catalog) {
        Some(directory) if error.kind() == ConnectErrorKind::Missing && !directory.is_dir() => {
            let detail = format_args!("there is no directory {}", directory.display());
            ConnectError::new(catalog, ConnectErrorKind::NoDirectory, detail)
        }
        _ => error,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own directories, looked at once; to open the catalog is what must not be done"
)]
fn lies_in(catalog: &Path, served: (u64, u64)) -> io::Result<bool> {
    let catalog = std::path::absolute(catalog)?;
    let directory = catalog.parent().unwrap_or(&catalog).canonicalize()?;
    // SQLite follows links, and keeps its other files beside what they lead to.
    let behind = match catalog.canonicalize() {
        Ok(file) => file.parent().unwrap_or(&file).to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => directory.clone(),
        Err(error) => return Err(error),
    };
    for above in directory.ancestors().chain(behind.ancestors()) {
        let metadata = above.metadata()?;
        if (metadata.dev(), metadata.ino()) == served {
            return Ok(true);
        }
    }
    Ok(false)
}
