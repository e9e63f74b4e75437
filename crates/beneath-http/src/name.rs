//! [`Name`]: what a file is published as.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::disposition;
use crate::media_type::MediaType;

/// A published name: what the client saves under, and what tells the media type. Any bytes; what a client could be hurt by is
/// replaced.
///
/// Made of bytes wherever a [`FileResponse`](crate::FileResponse) is named. Who answers with the same file again and again keeps
/// one and clones it, which costs nothing:
///
/// ```
/// use beneath_http::Name;
///
/// let name = Name::from("q3.pdf");
/// assert_eq!(name.media_type().to_string(), "application/pdf");
/// ```
#[derive(Clone)]
pub struct Name {
    bytes: Arc<[u8]>,
    attachment: HeaderValue,
    media_type: MediaType,
}

impl Name {
    /// What its extension says the content is; `application/octet-stream` if it says nothing.
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// Content-Disposition of an attachment.
    pub(crate) fn attachment(&self) -> HeaderValue {
        self.attachment.clone()
    }

    /// Content-Disposition of what is shown.
    pub(crate) fn inline(&self) -> HeaderValue {
        disposition::header_value("inline", Some(&self.bytes))
    }
}

impl<T: AsRef<[u8]> + ?Sized> From<&T> for Name {
    fn from(name: &T) -> Self {
        let name = name.as_ref();
        Self {
            bytes: name.into(),
            attachment: disposition::header_value("attachment", Some(name)),
            media_type: MediaType::of_name(name),
        }
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self::from(&name)
    }
}

impl From<Vec<u8>> for Name {
    fn from(name: Vec<u8>) -> Self {
        Self::from(&name)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name(\"{}\")", self.bytes.escape_ascii())
    }
}
