//! [`Name`]: what a file is published as.

use std::fmt;
use std::sync::{Arc, OnceLock};

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
    said: Arc<Said>,
    media_type: MediaType,
}

/// The name, and the fields it stands in: each made when it is first said, and then for all clones.
struct Said {
    bytes: Box<[u8]>,
    attachment: OnceLock<HeaderValue>,
    inline: OnceLock<HeaderValue>,
}

impl Name {
    /// What its extension says the content is; `application/octet-stream` if it says nothing.
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// Content-Disposition of an attachment.
    pub(crate) fn attachment(&self) -> HeaderValue {
        self.said.of_kind(&self.said.attachment, "attachment")
    }

    /// Content-Disposition of what is shown.
    pub(crate) fn inline(&self) -> HeaderValue {
        self.said.of_kind(&self.said.inline, "inline")
    }
}

impl Said {
    fn of_kind(&self, field: &OnceLock<HeaderValue>, kind: &'static str) -> HeaderValue {
        let made = || disposition::header_value(kind, Some(&self.bytes));
        field.get_or_init(made).clone()
    }
}

impl<T: AsRef<[u8]> + ?Sized> From<&T> for Name {
    fn from(name: &T) -> Self {
        let name = name.as_ref();
        let said = Said {
            bytes: name.into(),
            attachment: OnceLock::new(),
            inline: OnceLock::new(),
        };
        Self {
            said: Arc::new(said),
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
        write!(f, "Name(\"{}\")", self.said.bytes.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_name_is_made_once_for_all_clones() {
        let name = Name::from("q3.pdf");
        let clone = name.clone();
        for (field, again, text) in [
            (
                name.attachment(),
                clone.attachment(),
                "attachment; filename=\"q3.pdf\"",
            ),
            (name.inline(), clone.inline(), "inline; filename=\"q3.pdf\""),
        ] {
            assert_eq!(field, text);
            assert_eq!(field.as_bytes().as_ptr(), again.as_bytes().as_ptr(), "{text}");
        }
    }
}
