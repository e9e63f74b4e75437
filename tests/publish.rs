//! `beneathd publish` and `show`: what may be named, and what is said of it afterwards.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;

use beneath_tests::House;

#[test]
fn a_folder_may_end_with_the_slash_that_shells_complete_and_nothing_else_may() {
    let house = House::build();
    fs::create_dir(house.path("files/sub")).unwrap();
    fs::write(house.path("files/sub/a.txt"), "a").unwrap();
    let publish = |place: &str| house.run(&["publish", place, "--recursive"]);
    assert!(publish("files:sub/").succeeds().stdout.contains("a.txt"));
    for (place, why) in [
        ("files:sub//", "slash"),
        ("files:/", "empty"),
        ("files:/sub/", "absolute"),
        ("files:sub/a.txt/", "not a directory"),
    ] {
        publish(place).fails(1, &[why]);
    }
}

#[test]
fn what_is_shown_of_a_file_says_whose_it_is_and_what_its_content_is() {
    let house = House::build();
    let publish = |pin: &str| {
        house
            .run(&["publish", "files:report.txt", "--pin", pin, "--json"])
            .published()
            .id
    };
    // Of "up".
    let digest = "75a288c0d6898c5f7b054590845978a82a3ad79fcce3d43ff68a7501e5a91ee9";
    for (pin, expected) in [("content", Some(digest)), ("path", None)] {
        let id = publish(pin);
        let shown = house.run(&["show", &id]);
        let line = expected.map(|digest| format!("\nSHA-256 {digest}\n"));
        let line = line.as_deref();
        assert_eq!(line.is_some(), shown.succeeds().stdout.contains("SHA-256"));
        assert!(shown.stdout.contains(line.unwrap_or_default()), "{shown:?}");
        assert!(shown.stdout.contains("by the operator"), "{shown:?}");
        let shown = house.json(&["show", &id]);
        assert_eq!(shown["sha256"].as_str(), expected);
        assert!(shown["owner"].is_null());
    }
}
