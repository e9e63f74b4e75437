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
            match sibling(&self.published, coding).and_then(|sibling| open(&sibling)) {
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

    /// A directory without an index file, in any form that the request accepts, looks like nothing at all.
    fn directory(&self, open: impl Fn(&RelPath) -> Result<File, Error>) -> Miss {
        let Some(index) = &self.index else {
            return Miss::Unopened(ErrorKind::NotRegular);
        };
        let coded = self.accepted.codings.iter().map(|coding| sibling(index, *coding));
        let mut last = ErrorKind::NotFound;
        for index in std::iter::once(Ok(index.clone())).chain(coded) {
            match index.and_then(|index| open(&index)) {
                Ok(_) => return Miss::Directory(self.published.clone()),
                Err(error) if is_missing(error.kind()) => last = error.kind(),
                Err(error) => return error.into(),
            }
        }
        Miss::Unopened(last)
    }

    fn found(&self, file: File, coding: Option<Coding>) -> Found {
        Found {
            file,
            coding,
            published: self.published.clone(),
        }
    }
}

fn sibling(of: &RelPath, coding: Coding) -> Result<RelPath, Error> {
    RelPath::parse([of.as_bytes(), coding.suffix()].concat())
}

fn is_missing(kind: ErrorKind) -> bool {
    Refusal::from(kind) == Refusal::NotFound
}

impl From<Error> for Miss {
    fn from(error: Error) -> Self {
        Self::Unopened(error.kind())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use beneath::{Root, ambient_authority};

    use super::{Accepted, Coding, ErrorKind, Lookup, Miss, RelPath};

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    fn lookup(published: &str, codings: &[Coding]) -> Lookup {
        Lookup {
            published: path(published),
            accepted: Accepted {
                codings: codings.to_vec(),
                identity: true,
            },
            index: Some(path(&format!("{published}/index.html"))),
        }
    }

    /// What is opened, in order, and what comes of it.
    fn run(lookup: &Lookup, files: &[&str]) -> (Vec<String>, Result<Option<Coding>, Miss>) {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let root = Root::open_ambient(directory.path(), ambient_authority()).unwrap();
        let opened = RefCell::new(Vec::new());
        let found = lookup.run(|path| {
            opened
                .borrow_mut()
                .push(String::from_utf8_lossy(path.as_bytes()).into_owned());
            root.open(path)
        });
        (opened.into_inner(), found.map(|found| found.coding))
    }

    #[test]
    fn one_lookup_where_the_first_candidate_is_there() {
        let (opened, found) = run(&lookup("x", &[]), &["x"]);
        assert_eq!(opened, ["x"]);
        assert_eq!(found.unwrap(), None);
        let (opened, found) = run(
            &lookup("x", &[Coding::Brotli, Coding::Gzip]),
            &["x", "x.br", "x.gz"],
        );
        assert_eq!(opened, ["x.br"]);
        assert_eq!(found.unwrap(), Some(Coding::Brotli));
    }

    #[test]
    fn a_missing_sibling_passes_the_turn_on() {
        let (opened, found) = run(
            &lookup("x", &[Coding::Brotli, Coding::Zstd, Coding::Gzip]),
            &["x", "x.gz"],
        );
        assert_eq!(opened, ["x.br", "x.zst", "x.gz"]);
        assert_eq!(found.unwrap(), Some(Coding::Gzip));
    }

    #[test]
    fn a_directory_is_told_by_its_index_alone() {
        let (opened, found) = run(&lookup("d", &[]), &["d/index.html"]);
        assert_eq!(opened, ["d", "d/index.html"]);
        assert!(matches!(found, Err(Miss::Directory(name)) if name == path("d")));
        let (opened, found) = run(&lookup("d", &[Coding::Gzip]), &["d/index.html.gz"]);
        assert_eq!(opened, ["d.gz", "d", "d/index.html", "d/index.html.gz"]);
        assert!(matches!(found, Err(Miss::Directory(_))));
        let (_, found) = run(&lookup("d", &[]), &["d/other"]);
        assert!(matches!(found, Err(Miss::Unopened(ErrorKind::NotFound))));
    }

    #[test]
    fn a_name_too_long_for_a_suffix_is_a_name_all_the_same() {
        let name = "n".repeat(254);
        let (opened, found) = run(&lookup(&name, &[Coding::Gzip]), &[&name]);
        assert_eq!((opened.len(), found.unwrap()), (1, None));
    }
}
