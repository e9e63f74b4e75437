//! [`Refusal`]: every answer that is not a file, and the one table from [`ErrorKind`] to status.

use beneath::{ErrorKind, RelPath};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::lookup::Miss;
use super::target::Unnamed;
use crate::body::FileBody;

/// An answer that is not a file. Its text is a constant: nothing of the request, the path or the error is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The file system failed. The client is told that, and no more.
    Failed,
    /// The path is not one (RFC 9112 §3.2).
    Malformed,
    /// Neither GET nor HEAD.
    MethodNotAllowed,
    /// The path lacks the slash of the directory it names.
    MissingSlash(HeaderValue),
    /// In no content coding that the request accepts.
    NotAcceptable,
    /// There is nothing, or nothing that is served: the same bytes for each.
    NotFound,
    /// Not now: out of descriptors, or the file is locked.
    Unavailable,
}

impl From<ErrorKind> for Refusal {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            // Which of these it was is for the log. On the wire they are one, or an answer tells what exists.
            ErrorKind::Denied
            | ErrorKind::Escape
            | ErrorKind::InvalidPath
            | ErrorKind::NotADirectory
            | ErrorKind::NotFound
            | ErrorKind::NotPermitted
            | ErrorKind::NotRegular
            | ErrorKind::Refused
            | ErrorKind::Symlink => Self::NotFound,
            ErrorKind::Busy | ErrorKind::Exhausted | ErrorKind::WouldBlock => Self::Unavailable,
            ErrorKind::Io | ErrorKind::Unsupported => Self::Failed,
        }
    }
}

impl From<Miss> for Refusal {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Directory(name) => Self::missing_slash(&name),
            Miss::NotAcceptable => Self::NotAcceptable,
            Miss::Unopened(kind) => Self::from(kind),
        }
    }
}

impl From<Unnamed> for Refusal {
    fn from(unnamed: Unnamed) -> Self {
        match unnamed {
            Unnamed::Malformed => Self::Malformed,
            Unnamed::Nothing => Self::NotFound,
        }
    }
}

impl Refusal {
    /// The way to the directory of this name.
    ///
    /// # Security
    ///
    /// The reference is relative to the path that was asked for (RFC 3986 §4.2: `./name/`) and so can lead to no other
    /// place, whatever prefix a router or proxy has cut off. It is made from the name that was opened, escaped
    /// afresh; nothing of the request is echoed, its query neither.
    fn missing_slash(directory: &RelPath) -> Self {
        let location = format!("./{}/", percent_encode(directory.file_name(), &RESERVED));
        HeaderValue::try_from(location).map_or(Self::NotFound, Self::MissingSlash)
    }

    /// The answer. Its length is that of the text also for HEAD (RFC 9110 §9.3.2), where the text is left out.
    pub(super) fn respond(&self, method: &Method) -> Response<FileBody> {
        let text = self.text();
        let body = if *method == Method::HEAD { "" } else { text };
        let mut response = Response::new(FileBody::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // What is not there now may be there with the next request.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.field());
        response
    }

    const fn text(&self) -> &'static str {
        match self {
            Self::Failed => "The file cannot be read.\n",
            Self::Malformed => "The path is malformed.\n",
            Self::MethodNotAllowed => "Files are for GET and HEAD.\n",
            Self::MissingSlash(_) => "The path of a directory ends with a slash.\n",
            Self::NotAcceptable => "The file is in none of the content codings accepted.\n",
            Self::NotFound => "There is nothing here.\n",
            Self::Unavailable => "The file cannot be opened now.\n",
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            // Not a permanent one, which a client remembers when the directory has become a file.
            Self::MissingSlash(_) => StatusCode::TEMPORARY_REDIRECT,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn field(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::MethodNotAllowed => Some((ALLOW, HeaderValue::from_static("GET, HEAD"))),
            Self::MissingSlash(location) => Some((LOCATION, location.clone())),
            Self::Unavailable => Some((RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        }
    }
}

/// All but what RFC 3986 leaves unreserved (§2.3).
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::{ErrorKind, LOCATION, Method, RETRY_AFTER, Refusal, RelPath, StatusCode};

    #[test]
    fn every_kind_of_error_has_its_status() {
        for (kind, status) in [
            (ErrorKind::Busy, StatusCode::SERVICE_UNAVAILABLE),
            (ErrorKind::Denied, StatusCode::NOT_FOUND),
            (ErrorKind::Escape, StatusCode::NOT_FOUND),
            (ErrorKind::Exhausted, StatusCode::SERVICE_UNAVAILABLE),
            (ErrorKind::InvalidPath, StatusCode::NOT_FOUND),
            (ErrorKind::Io, StatusCode::INTERNAL_SERVER_ERROR),
            (ErrorKind::NotADirectory, StatusCode::NOT_FOUND),
            (ErrorKind::NotFound, StatusCode::NOT_FOUND),
            (ErrorKind::NotPermitted, StatusCode::NOT_FOUND),
            (ErrorKind::NotRegular, StatusCode::NOT_FOUND),
            (ErrorKind::Refused, StatusCode::NOT_FOUND),
            (ErrorKind::Symlink, StatusCode::NOT_FOUND),
            (ErrorKind::Unsupported, StatusCode::INTERNAL_SERVER_ERROR),
            (ErrorKind::WouldBlock, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let response = Refusal::from(kind).respond(&Method::GET);
            assert_eq!(response.status(), status, "{kind:?}");
            let come_again = response.headers().contains_key(RETRY_AFTER);
            assert_eq!(come_again, status == StatusCode::SERVICE_UNAVAILABLE, "{kind:?}");
        }
    }

    #[test]
    fn a_location_is_relative_whatever_the_name() {
        for (name, location) in [
            ("d", "./d/"),
            ("a/b", "./b/"),
            ("x:y", "./x%3Ay/"),
            ("a?b#c", "./a%3Fb%23c/"),
            ("\r\nSet-Cookie: x", "./%0D%0ASet-Cookie%3A%20x/"),
            ("\u{fc}", "./%C3%BC/"),
            ("...", "./.../"),
        ] {
            let response = Refusal::missing_slash(&RelPath::parse(name).unwrap()).respond(&Method::GET);
            assert_eq!(response.headers()[LOCATION], location);
        }
    }
}
