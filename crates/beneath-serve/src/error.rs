//! [`Error`].

use std::error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a server could not start, or had to stop; or why a certificate, or the name of a proxy, cannot be used.
#[derive(Debug)]
pub struct Error(Kind);

#[derive(Debug)]
enum Kind {
    Listen(io::Error),
    ListenAt(String, io::Error),
    File(PathBuf, io::Error),
    Tls(Box<dyn error::Error + Send + Sync>),
    Pem(PathBuf, Box<dyn error::Error + Send + Sync>),
    Proxy(String, &'static str),
}

impl Error {
    pub(crate) const fn listen(error: io::Error) -> Self {
        Self(Kind::Listen(error))
    }

    pub(crate) fn listen_at(place: impl fmt::Display, error: io::Error) -> Self {
        Self(Kind::ListenAt(place.to_string(), error))
    }

    pub(crate) fn file(path: &Path, error: io::Error) -> Self {
        Self(Kind::File(path.to_owned(), error))
    }

    pub(crate) fn pem(path: &Path, error: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self(Kind::Pem(path.to_owned(), error.into()))
    }

    pub(crate) fn proxy(text: &str, what: &'static str) -> Self {
        Self(Kind::Proxy(text.to_owned(), what))
    }

    pub(crate) fn tls(error: impl error::Error + Send + Sync + 'static) -> Self {
        Self(Kind::Tls(error.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Listen(error) => write!(f, "cannot listen: {error}"),
            Kind::ListenAt(place, error) => write!(f, "cannot listen on {place}: {error}"),
            Kind::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Kind::Pem(path, error) => write!(f, "cannot use {}: {error}", path.display()),
            Kind::Proxy(text, what) => write!(f, "{text:?} {what}"),
            Kind::Tls(error) => write!(f, "cannot use the TLS certificate: {error}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.0 {
            Kind::Listen(error) | Kind::ListenAt(_, error) | Kind::File(_, error) => Some(error),
            Kind::Tls(error) | Kind::Pem(_, error) => Some(error.as_ref()),
            Kind::Proxy(..) => None,
        }
    }
}
