//! [`MediaType`]: what the bytes are, from the published name or from who knows; never from the bytes.

use std::fmt;

use http::HeaderValue;

/// A media type, such as `application/pdf` or `text/plain; charset=utf-8`.
///
/// Source: RFC 9110 §8.3.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    value: HeaderValue,
}

/// Text that is not a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidMediaType;

impl MediaType {
    /// What to call bytes of which nothing is known.
    pub const OCTET_STREAM: Self = Self {
        value: HeaderValue::from_static("application/octet-stream"),
    };

    /// Reads `type/subtype`, with parameters if there are any.
    ///
    /// # Errors
    ///
    /// [`InvalidMediaType`] unless type, subtype and parameter names are tokens and values tokens or quoted strings of
    /// visible ASCII: nothing else can come to stand in a header field.
    ///
    /// ```
    /// use beneath_http::MediaType;
    ///
    /// assert!(MediaType::parse("text/html; charset=utf-8").is_ok());
    /// assert!(MediaType::parse("text/html\r\nSet-Cookie: x").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, InvalidMediaType> {
        let mut pieces = text.split(';');
        let essence = pieces.next().unwrap_or_default().trim_matches([' ', '\t']);
        let (kind, subtype) = essence.split_once('/').ok_or(InvalidMediaType)?;
        if !is_token(kind) || !is_token(subtype) || !pieces.all(is_parameter) {
            return Err(InvalidMediaType);
        }
        let value = text.trim_matches([' ', '\t']);
        HeaderValue::from_str(value)
            .map(|value| Self { value })
            .map_err(|_| InvalidMediaType)
    }

    /// Guesses by the extension of a published name, [`OCTET_STREAM`](Self::OCTET_STREAM) where that says nothing.
    ///
    /// Without a charset: an extension does not know it.
    pub fn of_name(name: &[u8]) -> Self {
        let extension = name
            .iter()
            .rposition(|&byte| byte == b'.')
            .map(|dot| &name[dot + 1..]);
        extension
            .and_then(|extension| std::str::from_utf8(extension).ok())
            .and_then(|extension| mime_guess::from_ext(extension).first_raw())
            .map_or(Self::OCTET_STREAM, |text| Self {
                value: HeaderValue::from_static(text),
            })
    }

    /// The field value.
    pub const fn as_header_value(&self) -> &HeaderValue {
        &self.value
    }

    /// The same with `charset=utf-8`, if it is a text type that does not say its charset yet.
    #[must_use]
    pub fn with_utf8(self) -> Self {
        let text = self.text();
        if !self.is_text() || text.to_ascii_lowercase().contains("charset=") {
            return self;
        }
        HeaderValue::try_from(format!("{text}; charset=utf-8")).map_or(self, |value| Self { value })
    }

    /// Whether a browser shows this without running anything that is in it.
    pub(crate) fn is_inert(&self) -> bool {
        is_one_of(self.essence(), INERT)
    }

    /// Whether a browser that shows this runs script that is in it, or might.
    pub(crate) fn is_active(&self) -> bool {
        let essence = self.essence();
        let ends_with_xml = essence
            .len()
            .checked_sub(4)
            .and_then(|start| essence.get(start..))
            .is_some_and(|end| end.eq_ignore_ascii_case("+xml"));
        ends_with_xml || is_one_of(essence, ACTIVE)
    }

    fn is_text(&self) -> bool {
        let essence = self.essence();
        let kind = essence.split('/').next().unwrap_or_default();
        kind.eq_ignore_ascii_case("text") || essence.eq_ignore_ascii_case("application/javascript")
    }

    fn essence(&self) -> &str {
        let text = self.text();
        text.split(';').next().unwrap_or(text).trim_end()
    }

    fn text(&self) -> &str {
        self.value.to_str().unwrap_or_default()
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for InvalidMediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a media type")
    }
}

impl std::error::Error for InvalidMediaType {}

/// Shown inline where that was asked for, in a sandbox all the same. SVG, HTML and XML are not here and must not be.
const INERT: &[&str] = &[
    "application/pdf",
    "audio/aac",
    "audio/flac",
    "audio/m4a",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/opus",
    "audio/wav",
    "audio/webm",
    "image/apng",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/x-icon",
    "text/plain",
    "video/mp4",
    "video/mpeg",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// Sent as octets when it is only an extension that says so: a client that ignores Content-Disposition still runs nothing.
const ACTIVE: &[&str] = &[
    "application/ecmascript",
    "application/javascript",
    "application/x-javascript",
    "application/x-shockwave-flash",
    "application/xml",
    "multipart/related",
    "message/rfc822",
    "text/cache-manifest",
    "text/html",
    "text/javascript",
    "text/xml",
    "text/xsl",
];

fn is_one_of(essence: &str, list: &[&str]) -> bool {
    list.iter().any(|listed| essence.eq_ignore_ascii_case(listed))
}

/// RFC 9110 §5.6.6. A quoted string holds no quote, escape or semicolon here: no registered parameter needs one, and
/// clients disagree about them.
fn is_parameter(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    let Some((name, value)) = text.split_once('=') else {
        return false;
    };
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let is_plain = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    is_token(name) && quoted.map_or_else(|| is_token(value), |inside| inside.chars().all(is_plain))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_and_nothing_is_sniffed() {
        for (name, media_type) in [
            ("q3.pdf", "application/pdf"),
            ("Q3.PDF", "application/pdf"),
            ("a.tar.gz", "application/gzip"),
            ("notes.txt", "text/plain"),
            ("noext", "application/octet-stream"),
            ("x.nosuchextension", "application/octet-stream"),
            ("dot.", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(
                MediaType::of_name(name.as_bytes()).to_string(),
                media_type,
                "{name}"
            );
        }
        assert_eq!(MediaType::of_name(b"\xff.\xff"), MediaType::OCTET_STREAM);
    }

    #[test]
    fn only_media_types_parse() {
        for text in [
            "text/plain",
            "text/html; charset=utf-8",
            "a/b;c=\"d e\"",
            "x/y ; z=1",
        ] {
            assert!(MediaType::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "text",
            "/",
            "a/",
            "/b",
            "a/b/c",
            "a/b;",
            "a/b; c",
            "a b/c",
            "a/b\r\nX: y",
            "a/b; c=\"",
            "a/ö",
        ] {
            assert!(MediaType::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_charset_is_added_to_text_once() {
        for (from, to) in [
            ("text/plain", "text/plain; charset=utf-8"),
            ("text/html; charset=koi8-r", "text/html; charset=koi8-r"),
            ("image/png", "image/png"),
        ] {
            assert_eq!(MediaType::parse(from).unwrap().with_utf8().to_string(), to);
        }
    }

    #[test]
    fn nothing_is_both_inert_and_active() {
        for text in INERT {
            assert!(!MediaType::parse(text).unwrap().is_active(), "{text}");
        }
        for text in ["image/svg+xml", "TEXT/HTML; charset=x", "application/xhtml+xml"] {
            let media_type = MediaType::parse(text).unwrap();
            assert!(media_type.is_active() && !media_type.is_inert(), "{text}");
        }
    }
}
