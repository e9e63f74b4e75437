//! One spelling for each thing, and no text carried on unparsed.

use beneath_catalog::{FileId, GroupName, Password, Role, RootName, StoreUrl, Subject, UserName};

#[test]
fn a_file_id_has_exactly_one_spelling() {
    let canonical = "AAECAwQFBgcICQoLDA0ODw";
    assert_eq!(canonical.parse::<FileId>().unwrap().to_string(), canonical);
    for other in [
        "",
        "AAECAwQFBgcICQoLDA0OD",
        "AAECAwQFBgcICQoLDA0ODw=",
        "AAECAwQFBgcICQoLDA0ODw==",
        "AAECAwQFBgcICQoLDA0ODx", // the last character carries bits that are no part of the ID
        "AAECAwQFBgcICQoLDA0OD/",
        "AAECAwQFBgcICQoLDA0OD+",
        " AAECAwQFBgcICQoLDA0OD",
        "AAECAwQFBgcICQoLDA0O\n\n",
        "AAECAwQFBgcICQoLDA0ODé",
        "%41AECAwQFBgcICQoLDA0OD",
        "' OR 1=1 --           ",
    ] {
        assert!(other.parse::<FileId>().is_err(), "{other:?}");
    }
}

#[test]
fn a_user_name_can_be_carried_by_rfc_7617() {
    for legal in [
        "a",
        "ann",
        "Ann Müller",
        "a/b",
        "ünïcode",
        "名前",
        "' OR 1=1",
        &"x".repeat(128),
    ] {
        assert_eq!(legal.parse::<UserName>().unwrap().as_str(), legal);
    }
    for illegal in [
        "",
        "a:b",
        "a\nb",
        "a\0",
        "\u{85}",
        " a",
        "a ",
        "\u{a0}a",
        "a\u{ad}b",
        "a\u{61c}b",
        "a\u{180e}b",
        "a\u{200b}b",
        "a\u{200f}b",
        "a\u{2028}b",
        "a\u{202e}b",
        "a\u{2060}b",
        "a\u{206f}b",
        "a\u{feff}b",
        "a\u{fff9}b",
        "a\u{fffb}b",
        "a\u{e0000}b",
        "a\u{e007f}b",
        &"x".repeat(129),
        &"é".repeat(65),
    ] {
        assert!(illegal.parse::<UserName>().is_err(), "{illegal:?}");
        assert!(illegal.parse::<GroupName>().is_err(), "{illegal:?}");
    }
}

#[test]
fn the_same_letters_from_two_keyboards_are_one_name() {
    let composed: UserName = "ren\u{e9}".parse().unwrap();
    let decomposed: UserName = "rene\u{301}".parse().unwrap();
    assert_eq!(composed, decomposed);
}

#[test]
fn a_subject_says_which_kind_it_is() {
    for legal in ["user:ann", "group:finance", "group:a b"] {
        assert_eq!(legal.parse::<Subject>().unwrap().to_string(), legal);
    }
    for illegal in [
        "ann",
        "User:ann",
        "user:",
        "group:",
        ":ann",
        "role:admin",
        "user:a:b",
        "user: ann",
    ] {
        assert!(illegal.parse::<Subject>().is_err(), "{illegal:?}");
    }
}

#[test]
fn a_root_name_fits_before_a_colon_and_into_a_key() {
    for legal in ["reports", "r", "a.b-c_d", "2026", &"x".repeat(64)] {
        assert_eq!(legal.parse::<RootName>().unwrap().as_str(), legal);
    }
    for illegal in ["", ".", "..", "-a", "a:b", "a/b", "a b", "é", &"x".repeat(65)] {
        assert!(illegal.parse::<RootName>().is_err(), "{illegal:?}");
    }
}

#[test]
fn a_password_is_text_without_control_characters() {
    for legal in ["a", " ", "a:b", "pässword", &"x".repeat(1024)] {
        assert_eq!(legal.parse::<Password>().unwrap().reveal(), legal);
    }
    for illegal in ["", "a\0", "a\nb", &"x".repeat(1025)] {
        assert!(illegal.parse::<Password>().is_err(), "{illegal:?}");
    }
}

#[test]
fn no_secret_is_shown_by_debug() {
    let shown = format!(
        "{:?} {:?} {:?}",
        "hunter2".parse::<Password>().unwrap(),
        beneath_catalog::Credentials::basic(b"ann", b"hunter2"),
        beneath_catalog::Credentials::bearer(b"hunter2"),
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn roles_are_ordered_by_what_they_may() {
    assert!(Role::Reader < Role::Publisher && Role::Publisher < Role::Admin);
    for role in [Role::Reader, Role::Publisher, Role::Admin] {
        assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
    }
    assert!("root".parse::<Role>().is_err());
}

#[test]
fn a_store_that_this_build_does_not_have_is_said_to_be_one() {
    let error = "postgres://localhost/x".parse::<StoreUrl>().unwrap_err();
    assert!(error.to_string().contains("PostgreSQL"), "{error}");
    for illegal in ["", "catalog.db", "sqlite:", "mysql:x"] {
        assert!(illegal.parse::<StoreUrl>().is_err(), "{illegal:?}");
    }
}
