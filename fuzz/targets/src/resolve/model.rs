//! A tree in memory, and how path_resolution(7) goes through it beneath a root.

use std::collections::BTreeMap;
use std::ffi::CString;

use beneath::{ErrorKind, RelPath};

/// How many links the kernel follows in one path.
const MAX_LINKS: usize = 40;

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Directory,
    File,
    Fifo,
    Link(CString),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Refuse,
    Follow,
}

/// What has been planted, by its path. The root itself is the empty path.
#[derive(Default)]
pub(crate) struct Model(BTreeMap<Vec<u8>, Kind>);

impl Model {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The names in the root.
    pub(crate) fn names(&self) -> Vec<Vec<u8>> {
        self.0
            .keys()
            .filter(|path| !path.contains(&b'/'))
            .cloned()
            .collect()
    }

    /// Plants a node with the directories above it, and returns those that are new; `None` where the place is taken.
    pub(crate) fn plant(&mut self, path: &RelPath, kind: Kind) -> Option<Vec<Vec<u8>>> {
        if self.0.contains_key(path.as_bytes()) {
            return None;
        }
        let names: Vec<&[u8]> = path.components().collect();
        let mut missing = Vec::new();
        for count in 1..names.len() {
            let above = names[..count].join(&b'/');
            match self.0.get(&above) {
                Some(Kind::Directory) => {}
                Some(_) => return None,
                None => missing.push(above),
            }
        }
        for above in &missing {
            self.0.insert(above.clone(), Kind::Directory);
        }
        self.0.insert(path.as_bytes().to_vec(), kind);
        Some(missing)
    }

    /// What opening a path for reading answers.
    pub(crate) fn resolve(&self, path: &[u8], links: Links) -> Result<(), ErrorKind> {
        if path.is_empty() {
            return Err(ErrorKind::NotFound);
        }
        if path.len() > RelPath::MAX_LEN {
            return Err(ErrorKind::InvalidPath);
        }
        let mut walk = Walk {
            model: self,
            here: Vec::new(),
            ahead: Vec::new(),
            followed: 0,
        };
        walk.expect(path)?;
        while let Some(name) = walk.ahead.pop() {
            walk.step(&name, links)?;
        }
        match walk.kind() {
            Some(Kind::File) => Ok(()),
            _ => Err(ErrorKind::NotRegular),
        }
    }
}

struct Walk<'a> {
    model: &'a Model,
    /// Names from the root to where the walk stands.
    here: Vec<Vec<u8>>,
    /// Names that are still to be walked, the next one last. An empty one asks for a directory.
    ahead: Vec<Vec<u8>>,
    followed: usize,
}

impl Walk<'_> {
    fn expect(&mut self, path: &[u8]) -> Result<(), ErrorKind> {
        if path.starts_with(b"/") {
            return Err(ErrorKind::Escape);
        }
        self.ahead
            .extend(path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
        Ok(())
    }

    fn step(&mut self, name: &[u8], links: Links) -> Result<(), ErrorKind> {
        if !matches!(self.kind(), None | Some(Kind::Directory)) {
            return Err(ErrorKind::NotADirectory);
        }
        match name {
            b"" | b"." => return Ok(()),
            b".." => return self.here.pop().map(drop).ok_or(ErrorKind::Escape),
            long if long.len() > RelPath::MAX_COMPONENT => return Err(ErrorKind::InvalidPath),
            _ => self.here.push(name.to_vec()),
        }
        match self.kind() {
            None => Err(ErrorKind::NotFound),
            Some(Kind::Link(_)) if links == Links::Refuse => Err(ErrorKind::Symlink),
            Some(Kind::Link(target)) => {
                let target = target.clone();
                self.followed += 1;
                if self.followed > MAX_LINKS {
                    return Err(ErrorKind::Symlink);
                }
                self.here.pop();
                self.expect(target.as_bytes())
            }
            Some(_) => Ok(()),
        }
    }

    /// What stands here; `None` for the root, and for what is missing.
    fn kind(&self) -> Option<&Kind> {
        self.model.0.get(&self.here.join(&b'/'))
    }
}
