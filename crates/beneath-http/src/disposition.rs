//! Content-Disposition (RFC 6266), with names that a client may safely save under.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest name that is sent, in bytes of UTF-8: what file systems hold.
const MAX_NAME: usize = 255;

/// Whether a browser shows a file, saves it, or is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth")]
pub enum Disposition {
    /// `attachment`: to be saved, never shown within the site. The default.
    Attachment,
    /// `inline`: shown, in a sandbox, if its media type is on a short list of those that cannot run script; an attachment
    /// otherwise. Some browsers do not start their PDF viewer in a sandbox.
    Inline,
    /// No field at all: for a web root, whose files are the site. Anything in them runs as the site.
    None,
}

/// The field value of a kind (`attachment`, `inline`) with the name to save under.
///
/// A plain name stands in `filename` alone. Any other stands in `filename*` as UTF-8 (RFC 8187), with an ASCII likeness of
/// it in `filename` for old clients.
pub(crate) fn header_value(kind: &'static str, name: Option<&[u8]>) -> HeaderValue {
    let Some(name) = name else {
        return HeaderValue::from_static(kind);
    };
    let name = safe_name(name);
    let mut value = String::with_capacity(kind.len() + name.len() + 14);
    let _ = write!(value, "{kind}; filename=\"");
    value.extend(name.chars().map(ascii_likeness));
    value.push('"');
    if name.chars().any(|c| ascii_likeness(c) != c) {
        value.push_str("; filename*=UTF-8''");
        value.extend(utf8_percent_encode(&name, &NO_ATTR_CHAR));
    }
    // Only visible ASCII was written, so this cannot fail; if it did, the kind alone would be right.
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(kind))
}

/// A name no client can be hurt by: one path component, no control or bidirectional characters, not `.` or `..`, no
/// device of Windows, no dot or blank at its end, not too long. Bytes that are not UTF-8 become U+FFFD.
fn safe_name(name: &[u8]) -> Cow<'_, str> {
    let name = String::from_utf8_lossy(name);
    if is_safe(&name) {
        return name;
    }
    let mut safe: String = name.chars().map(|c| if is_unsafe(c) { '_' } else { c }).collect();
    if is_windows_device(&safe) {
        safe.insert(0, '_');
    }
    shorten(&mut safe);
    let end = trim_end(&safe).len();
    let cut = safe.len() - end;
    safe.truncate(end);
    if safe.is_empty() {
        return Cow::Borrowed("download");
    }
    safe.extend(std::iter::repeat_n('_', cut));
    Cow::Owned(safe)
}

/// Almost every name is, and then nothing is copied.
fn is_safe(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && trim_end(name).len() == name.len()
        && !name.contains(is_unsafe)
        && !is_windows_device(name)
}

/// Windows drops these, and so turns `x.` into `x`.
fn trim_end(name: &str) -> &str {
    name.trim_end_matches(['.', ' '])
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\')
        // The bidirectional controls, which make `exe.gpj` out of `jpg.exe`, and other characters that are not seen.
        || matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Cuts a long name, and keeps its extension, by which systems choose a program.
fn shorten(name: &mut String) {
    if name.len() <= MAX_NAME {
        return;
    }
    let extension = match name.rfind('.') {
        Some(dot) if name.len() - dot <= 32 => name.split_off(dot),
        _ => String::new(),
    };
    let mut end = MAX_NAME - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name.push_str(&extension);
}

/// Whether the part before the first dot names a device on Windows, whatever follows.
fn is_windows_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let is = |device: &str| stem.eq_ignore_ascii_case(device);
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
        .into_iter()
        .any(is)
    {
        return true;
    }
    let Some((port, number)) = stem.split_at_checked(3) else {
        return false;
    };
    let mut digits = number.chars();
    ["COM", "LPT"].iter().any(|kind| port.eq_ignore_ascii_case(kind))
        && matches!(digits.next(), Some('0'..='9' | '¹' | '²' | '³'))
        && digits.next().is_none()
}

/// What may stand in a quoted string without an escape that some client would read wrongly (RFC 6266, appendix D), or a
/// semicolon, at which a careless one would see another parameter.
const fn ascii_likeness(c: char) -> char {
    match c {
        '"' | '\\' | '%' | ';' => '_',
        ' '..='~' => c,
        _ => '_',
    }
}

/// All but `attr-char` (RFC 8187 §3.2.1).
const NO_ATTR_CHAR: AsciiSet = NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_and_stays_the_name() {
        for (name, value) in [
            (&b"q3.pdf"[..], r#"attachment; filename="q3.pdf""#),
            (
                b"annual report.pdf",
                r#"attachment; filename="annual report.pdf""#,
            ),
            (
                br#"x.txt"; filename*=UTF-8''evil.bat; a=""#,
                "attachment; filename=\"x.txt__ filename*=UTF-8''evil.bat_ a=_\"; \
                 filename*=UTF-8''x.txt%22%3B%20filename%2A%3DUTF-8%27%27evil.bat%3B%20a%3D%22",
            ),
            (
                "café €.txt".as_bytes(),
                "attachment; filename=\"caf_ _.txt\"; filename*=UTF-8''caf%C3%A9%20%E2%82%AC.txt",
            ),
            (
                "😀.png".as_bytes(),
                "attachment; filename=\"_.png\"; filename*=UTF-8''%F0%9F%98%80.png",
            ),
            (
                b"100%.txt",
                "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt",
            ),
            (
                b"a\r\nSet-Cookie: x",
                r#"attachment; filename="a__Set-Cookie: x""#,
            ),
            (b"a\0b\x7f", r#"attachment; filename="a_b_""#),
            (b"..\\..\\x", r#"attachment; filename=".._.._x""#),
            (b"../../etc/passwd", r#"attachment; filename=".._.._etc_passwd""#),
            (
                "a\u{202e}gpj.exe".as_bytes(),
                r#"attachment; filename="a_gpj.exe""#,
            ),
            (
                b"\xff\xfe.txt",
                "attachment; filename=\"__.txt\"; filename*=UTF-8''%EF%BF%BD%EF%BF%BD.txt",
            ),
            (b"trailing. . ", r#"attachment; filename="trailing____""#),
            (b"", r#"attachment; filename="download""#),
            (b"..", r#"attachment; filename="download""#),
            (b"con", r#"attachment; filename="_con""#),
            (b"NUL.txt", r#"attachment; filename="_NUL.txt""#),
            (b"com1.log", r#"attachment; filename="_com1.log""#),
            (
                "LPT²".as_bytes(),
                "attachment; filename=\"_LPT_\"; filename*=UTF-8''_LPT%C2%B2",
            ),
            (b"com10", r#"attachment; filename="com10""#),
            (b"console", r#"attachment; filename="console""#),
            (b".bashrc", r#"attachment; filename=".bashrc""#),
        ] {
            assert_eq!(header_value("attachment", Some(name)), value, "{name:?}");
        }
        assert_eq!(header_value("inline", None), "inline");
    }

    #[test]
    fn every_device_of_windows_and_nothing_like_one_is_renamed() {
        for name in [
            "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "COM0", "COM9", "LPT1", "COM¹", "COM²", "COM³",
            "aux .txt",
        ] {
            assert_eq!(safe_name(name.as_bytes()), format!("_{name}"));
        }
        for name in ["COM", "COMx", "COM1x", "LPT²2", "xCOM1", "a.con", "nu l"] {
            assert_eq!(safe_name(name.as_bytes()), name);
        }
    }

    #[test]
    fn a_character_that_is_not_seen_or_turns_the_text_around_is_replaced() {
        for c in
            "\u{61c}\u{200b}\u{200f}\u{2028}\u{202a}\u{202e}\u{2060}\u{2066}\u{206f}\u{feff}\u{ad}\u{180e}\u{fff9}\u{fffb}\u{e0000}\u{e007f}\u{85}/\\".chars()
        {
            assert_eq!(safe_name(format!("a{c}b").as_bytes()), "a_b", "{c:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_before_its_extension() {
        let long = format!("{}.tar", "ä".repeat(300));
        let name = safe_name(long.as_bytes());
        assert!(name.len() <= MAX_NAME);
        assert!(name.ends_with("ä.tar"), "{name}");
    }

    #[test]
    fn a_long_name_of_a_device_is_cut_too() {
        for long in [
            format!("con.{}", "x".repeat(251)),
            format!("con.{}.txt", "x".repeat(300)),
            format!("con{}.txt", " ".repeat(300)),
            format!("con{}", ".".repeat(300)),
        ] {
            let name = safe_name(long.as_bytes());
            assert!(name.len() <= MAX_NAME && name.starts_with("_con"), "{name}");
        }
    }
}
