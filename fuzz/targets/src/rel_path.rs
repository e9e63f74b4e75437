//! The parser, against its rules told as a grammar.

use beneath::{ErrorKind, RelPath};

/// Any bytes are a path by the grammar and parse, or are none and are refused.
pub fn rel_path(bytes: &[u8]) {
    match RelPath::parse(bytes) {
        Ok(path) => {
            assert!(is_a_path(bytes), "parsed: {path:?}");
            holds_its_promise(&path, bytes);
        }
        Err(error) => {
            assert!(!is_a_path(bytes), "refused: {error}");
            assert_eq!(error.kind(), ErrorKind::InvalidPath);
            assert_eq!(error.raw_os_error(), None, "the kernel was asked");
        }
    }
}

fn is_a_path(bytes: &[u8]) -> bool {
    let is_a_name =
        |name: &[u8]| (1..=255).contains(&name.len()) && name != b"." && name != b".." && !name.contains(&0);
    bytes.len() <= 4095 && bytes.split(|&byte| byte == b'/').all(is_a_name)
}

fn holds_its_promise(path: &RelPath, bytes: &[u8]) {
    assert_eq!(path.as_bytes(), bytes);
    assert_eq!(path.components().collect::<Vec<_>>().join(&b'/'), bytes);
    assert_eq!(path.components().next_back(), Some(path.file_name()));
    assert!(!format!("{path:?}").chars().any(char::is_control));
    match path.join(path) {
        Ok(twice) => assert_eq!(twice.components().count(), 2 * path.components().count()),
        Err(_) => assert!(2 * bytes.len() + 1 > RelPath::MAX_LEN),
    }
}
