//! What a person at a terminal gets and a script does not: how far it is, and the question whether it is meant.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;

use beneath_tests::terminal::at_terminal;
use beneath_tests::{House, beneathd};

/// The same command at a terminal.
fn typed(house: &House, arguments: &[&str], prompt: &str, typed: &str) -> (Option<i32>, String) {
    let mut command = beneathd();
    command
        .args(arguments)
        .arg("--config")
        .arg(house.path("beneathd.toml"))
        .env("TERM", "xterm");
    at_terminal(command, prompt, typed)
}

#[test]
fn what_cannot_be_undone_is_asked_for_at_a_terminal_and_nowhere_else() {
    let house = House::build();
    house.add_user("alice");
    house.run(&["group", "add", "finance"]).succeeds();
    let file = house.run(&["publish", "files:report.txt", "--json"]).published();
    let again = |word: &str| match word {
        "unpublish" => vec!["show", &file.id],
        "user" => vec!["user", "list"],
        _ => vec!["group", "list"],
    };
    let acts: [(&[&str], &str); 3] = [
        (&["unpublish", &file.id], &file.id),
        (&["user", "remove", "alice"], "alice"),
        (&["group", "remove", "finance"], "finance"),
    ];
    for (act, named) in acts {
        let is_there = || house.run(&again(act[0])).stdout.contains(named);
        let (code, seen) = typed(&house, act, "?", "n\n");
        assert_eq!(code, Some(1), "{seen}");
        assert!(seen.contains(named), "the question says what it is about: {seen}");
        assert!(
            !seen.contains("\u{1b}[?25l"),
            "whoever interrupts the question would have no cursor: {seen}"
        );
        assert!(is_there(), "{act:?} was done against the answer: {seen}");
        let (code, seen) = typed(&house, act, "?", "y\n");
        assert_eq!(code, Some(0), "{seen}");
        assert!(!is_there(), "{act:?} was not done: {seen}");
    }
    // A script is not asked, and need not say that it is none.
    let more = house.run(&["publish", "files:report.txt", "--json"]).published();
    house.run(&["unpublish", &more.id]).succeeds();
    let more = house.run(&["publish", "files:report.txt", "--json"]).published();
    let (code, seen) = typed(&house, &["unpublish", &more.id, "--yes"], "?", "");
    assert_eq!(code, Some(0), "{seen}");
    assert!(!seen.contains('?'), "{seen}");
}

#[test]
fn a_folder_is_published_after_a_question_that_says_how_many_files_and_to_whom() {
    let house = House::build();
    house.add_user("alice");
    for number in 0..5 {
        fs::write(house.path(&format!("files/{number}")), "content").unwrap();
    }
    let publish = ["publish", "files:", "--recursive", "--to", "user:alice"];
    let question = "Publish 6 files to user:alice?";
    let (code, seen) = typed(&house, &publish, question, "n\n");
    assert_eq!(code, Some(1), "{seen}");
    assert_eq!(house.run(&["list"]).succeeds().stdout, "");
    let (code, seen) = typed(&house, &publish, question, "y\n");
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("/6 files"), "how far it is: {seen}");
    assert_eq!(house.run(&["list"]).succeeds().stdout.lines().count(), 6);
}

#[test]
fn hashing_shows_how_far_it_is_at_a_terminal_and_nothing_elsewhere() {
    let house = House::build();
    let large = fs::File::create(house.path("files/large")).unwrap();
    large.set_len(64 << 20).unwrap();
    let publish = ["publish", "files:large", "--pin", "content"];
    let (code, seen) = typed(&house, &publish, "?", "");
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("/64.00 MiB hashed"), "{seen}");
    let outcome = house.run(&publish);
    assert_eq!(outcome.succeeds().stderr, "");

    fs::write(house.path("files/empty"), "").unwrap();
    for arguments in [
        &["publish", "files:empty", "--pin", "content"] as &[_],
        &["publish", "files:", "--recursive", "--yes"],
    ] {
        let (code, seen) = typed(&house, arguments, "?", "");
        assert_eq!(code, Some(0), "{seen}");
        assert!(!seen.contains("hashed"), "there was nothing to hash: {seen}");
    }
}
