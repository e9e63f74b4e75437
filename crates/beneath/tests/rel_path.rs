//! What `RelPath` holds and refuses, for any bytes at all. The table's own paths are in `cases.rs`.

#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use beneath::{ErrorKind, RelPath};
use proptest::prelude::*;

/// The rules once more, told another way: as a grammar instead of a list of refusals.
fn is_a_path(bytes: &[u8]) -> bool {
    let is_a_name =
        |name: &[u8]| (1..=255).contains(&name.len()) && name != b"." && name != b".." && !name.contains(&0);
    bytes.len() <= 4095 && bytes.split(|&byte| byte == b'/').all(is_a_name)
}

/// Bytes that are near a path: few letters, so that slashes, dots and NULs meet.
fn near_paths() -> impl Strategy<Value = Vec<u8>> {
    let letter =
        prop_oneof![4 => Just(b'/'), 4 => Just(b'.'), 1 => Just(0), 4 => Just(b'a'), 1 => any::<u8>()];
    let short = prop::collection::vec(letter, 0..24);
    let names = prop::collection::vec((Just(b'a'), 250_usize..260), 1..20).prop_map(|names| {
        let names: Vec<Vec<u8>> = names.into_iter().map(|(letter, len)| vec![letter; len]).collect();
        names.join(&b'/')
    });
    prop_oneof![8 => short, 1 => names]
}

fn paths() -> impl Strategy<Value = RelPath> {
    let letter = prop_oneof![4 => Just(b'.'), 4 => Just(b'a'), 1 => 1..b'/', 1 => b'0'..=255];
    let short = prop::collection::vec(letter, 1..5);
    let long = (0..=255_usize).prop_map(|len| vec![b'a'; len.max(1)]);
    let name = prop_oneof![20 => short, 1 => long].prop_map(|name| match name.as_slice() {
        b"." | b".." => b"...".to_vec(),
        _ => name,
    });
    let few = prop::collection::vec(name, 1..8).prop_map(|names| names.join(&b'/'));
    let many = (1..2040_usize).prop_map(|count| vec![&b"a"[..]; count].join(&b'/'));
    prop_oneof![8 => few, 1 => many].prop_map(|bytes| RelPath::parse(bytes).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_grammar_parses(bytes in near_paths()) {
        prop_assert_eq!(RelPath::parse(&bytes).is_ok(), is_a_path(&bytes));
    }

    #[test]
    fn any_bytes_parse_or_are_an_invalid_path(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        match RelPath::parse(&bytes) {
            Ok(path) => prop_assert_eq!(path.as_bytes(), bytes),
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::InvalidPath);
                prop_assert_eq!(error.raw_os_error(), None, "the kernel was not asked");
            }
        }
    }

    #[test]
    fn what_parsed_is_held_byte_for_byte_and_parses_again(path in paths()) {
        prop_assert_eq!(RelPath::parse(path.as_bytes()).unwrap(), path);
    }

    #[test]
    fn no_component_is_empty_or_dots_or_leads_anywhere_but_down(path in paths()) {
        let components: Vec<&[u8]> = path.components().collect();
        prop_assert!(!components.is_empty());
        for component in &components {
            prop_assert!(!component.is_empty() && component.len() <= RelPath::MAX_COMPONENT);
            prop_assert!(*component != b"." && *component != b"..");
            prop_assert!(!component.contains(&b'/') && !component.contains(&0));
        }
        prop_assert_eq!(components.join(&b'/'), path.as_bytes());
        prop_assert_eq!(components.last().copied(), Some(path.file_name()));
    }

    #[test]
    fn joining_is_one_after_the_other_or_too_long(above in paths(), below in paths()) {
        let whole = above.as_bytes().len() + 1 + below.as_bytes().len();
        match above.join(&below) {
            Ok(joined) => {
                let expected: Vec<&[u8]> = above.components().chain(below.components()).collect();
                prop_assert_eq!(joined.components().collect::<Vec<_>>(), expected);
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::InvalidPath);
                prop_assert!(whole > RelPath::MAX_LEN);
            }
        }
    }

    #[test]
    fn equal_exactly_when_the_bytes_are(one in paths(), other in paths()) {
        prop_assert_eq!(one == other, one.as_bytes() == other.as_bytes());
    }

    #[test]
    fn debug_text_is_one_line_of_printable_characters(path in paths()) {
        let text = format!("{path:?}");
        prop_assert!(!text.chars().any(char::is_control), "{text}");
    }
}

#[test]
fn ordinary_if_unusual_names_are_kept() {
    let names: [&[u8]; 10] = [
        b"..data",
        b"...",
        b"..2026_11_22",
        b" ",
        b"a\nb",
        b"-rf",
        b"C:\\x",
        b"\xff\xfe",
        b"%2e%2e",
        b"a. .",
    ];
    for name in names {
        assert_eq!(RelPath::parse(name).unwrap().as_bytes(), name);
    }
}

#[test]
fn each_rule_has_its_own_reason() {
    let long = "a".repeat(256);
    let deep = vec!["a"; 2049].join("/");
    let table = [
        ("", "the path is empty"),
        ("/a", "the path is absolute"),
        ("a/", "the path ends with a slash"),
        ("a//b", "the path has an empty component"),
        ("a/./b", "the path has a `.` component"),
        ("a/../b", "the path has a `..` component"),
        ("a\0b", "the path holds a NUL byte"),
        (&long, "a component is longer than 255 bytes"),
        (&deep, "the path is longer than 4095 bytes"),
    ];
    for (text, reason) in table {
        assert_eq!(RelPath::parse(text).unwrap_err().reason(), reason, "{text:?}");
    }
}

#[test]
fn the_longest_path_and_the_longest_component_parse() {
    assert!(RelPath::parse("a".repeat(255)).is_ok());
    let longest = vec!["a"; 2048].join("/");
    assert_eq!(longest.len(), RelPath::MAX_LEN);
    assert!(RelPath::parse(longest).is_ok());
}
