//! [`Lookup`]: which file answers, found by opening it.

use beneath::{Error, ErrorKind, File, RelPath};

use super::coding::{Accepted, Coding};
use super::refusal::Refusal;

/// What to open for one request, and in which order.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The published name: the media type comes from it, whichever candidate is sent.
    pub(super) published: RelPath,
    /// In which forms the request would have it.
    pub(super) accepted: Accepted,
    /// Where the index file would be if the published name turns out to be a directory's.
    pub(super) index: Option<RelPath>,
}

/// The file that answers. Everything said about it is asked of this handle.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    /// The coding it is stored in.
    pub(super) coding: Option<Coding>,
    /// The name it was asked for by.
    pub(super) published: RelPath,
}

/// Why no file answers.
#[derive(Debug)]
pub(super) enum Miss {
    /// The name is that of a directory with an index file: the path lacks its slash.
    Directory(RelPath),
    /// The file is there, in no form that the request accepts.
    NotAcceptable,
    /// It could not be opened.
    Unopened(ErrorKind),
}

impl Lookup {
    /// Opens the first candidate that is there. `open` is both the check and the use; nothing is looked at first.
    ///
    /// Only "no such file" passes the turn to the next candidate: when descriptors run out or a disk fails, the
    /// answer says so and does not change its form.
    pub(super) fn run(&self, open: impl Fn(&RelPath) -> Result<File, Error>) -> Result<Found, Miss> {
        for &coding in &self.accepted.codings {
            match self.sibling(coding).and_then(|sibling| open(&sibling)) {
                Ok(file) => return Ok(self.found(file, Some(coding))),
                Err(error) if is_missing(error.kind()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match open(&self.published) {
            Ok(file) if self.accepted.identity => Ok(self.found(file, None)),
            Ok(_) => Err(Miss::NotAcceptable),
            Err(error) if error.kind() == ErrorKind::NotRegular => Err(self.directory(open)),
            Err(error) => Err(error.into()),
        }
    }

    /// A directory without an index file looks like nothing at all.
    fn directory(&self, open: impl Fn(&RelPath) -> Result<File, Error>) -> Miss {
        match self.index.as_ref().map(open) {
            Some(Ok(_)) => Miss::Directory(self.published.clone()),
            Some(Err(error)) => error.into(),
            None => Miss::Unopened(ErrorKind::NotRegular),
        }
    }

    fn found(&self, file: File, coding: Option<Coding>) -> Found {
        Found {
            file,
            coding,
            published: self.published.clone(),
        }
    }

    fn sibling(&self, coding: Coding) -> Result<RelPath, Error> {
        RelPath::parse([self.published.as_bytes(), coding.suffix()].concat())
    }
}

fn is_missing(kind: ErrorKind) -> bool {
    Refusal::from(kind) == Refusal::NotFound
}

impl From<Error> for Miss {
    fn from(error: Error) -> Self {
        Self::Unopened(error.kind())
    }
}
