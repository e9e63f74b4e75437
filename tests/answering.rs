//! Whether a file is shown and what caches may do with it, as its publisher chose: told by what stands on the wire.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;
use std::net::SocketAddr;

use beneath_tests::api::Api;
use beneath_tests::{Beneathd, House, http};

const INLINE: [&str; 1] = ["--inline"];
const REVALIDATE: [&str; 2] = ["--caching", "revalidate"];
const BOTH: [&str; 3] = ["--inline", "--caching", "revalidate"];

/// A service with a reader `ann`.
struct Shop {
    house: House,
    service: Beneathd,
    ann: Api,
}

impl Shop {
    fn open() -> Self {
        let house = House::build();
        for (name, content) in [("page.html", "<script>alert(1)</script>"), ("dot.png", "png")] {
            fs::write(house.path(&format!("files/{name}")), content).unwrap();
        }
        house.add_user("ann");
        let service = house.serve();
        let ann = Api::basic(service.address(), "ann", "secret");
        Self { house, service, ann }
    }

    /// Publishes a file to `ann`.
    fn publish(&self, name: &str, how: &[&str]) -> String {
        let place = format!("files:{name}");
        let publish = ["publish", &place, "--to", "user:ann", "--json"];
        self.house.run(&[&publish[..], how].concat()).published().id
    }

    fn link(&self, id: &str) -> String {
        let made = self.house.json(&["link", "create", id, "--uses", "9"]);
        format!(
            "/l/{}",
            made["url"].as_str().unwrap().split_once("/l/").unwrap().1
        )
    }

    fn server(&self) -> SocketAddr {
        self.service.address()
    }
}

/// Everything that is said of how to show and to keep it.
fn said(answer: &http::Answer) -> [Option<&str>; 5] {
    [
        "content-disposition",
        "cache-control",
        "vary",
        "x-content-type-options",
        "content-security-policy",
    ]
    .map(|name| answer.field(name))
}

const SANDBOX: &str =
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox";

#[test]
fn a_file_is_shown_and_kept_as_its_publisher_chose_and_by_links_never_kept() {
    let shop = Shop::open();
    let choices: [(&[&str], &str, &str); 4] = [
        (&[], "attachment", "private, no-store"),
        (&INLINE, "inline", "private, no-store"),
        (&REVALIDATE, "attachment", "private, no-cache"),
        (&BOTH, "inline", "private, no-cache"),
    ];
    for (how, disposition, caching) in choices {
        let id = shop.publish("dot.png", how);
        let disposition = format!("{disposition}; filename=\"dot.png\"");
        let expected = |caching| {
            [
                Some(&*disposition),
                Some(caching),
                Some("authorization"),
                Some("nosniff"),
                Some(SANDBOX),
            ]
        };
        let link = shop.link(&id);
        for method in ["GET", "HEAD"] {
            // The second is answered from memory.
            for _ in 0..2 {
                let answer = shop.ann.call(method, &format!("/f/{id}"), None);
                assert_eq!(
                    (answer.status, said(&answer)),
                    (200, expected(caching)),
                    "{how:?}"
                );
            }
            let answer = http::ask(shop.server(), method, &link, "");
            assert_eq!(
                (answer.status, said(&answer)),
                (200, expected("private, no-store")),
                "{how:?}"
            );
        }
        let part = shop
            .ann
            .send("GET", &format!("/f/{id}"), "Range: bytes=1-\r\n", "");
        assert_eq!((part.status, said(&part)), (206, expected(caching)), "{how:?}");
    }
}

#[test]
fn what_could_run_script_is_saved_whatever_its_publisher_chose() {
    let shop = Shop::open();
    let id = shop.publish("page.html", &BOTH);
    let link = shop.link(&id);
    for answer in [
        shop.ann.call("GET", &format!("/f/{id}"), None),
        http::ask(shop.server(), "GET", &link, ""),
    ] {
        let [disposition, _, _, sniffing, policy] = said(&answer);
        assert_eq!(disposition, Some("attachment; filename=\"page.html\""));
        assert_eq!((sniffing, policy), (Some("nosniff"), Some(SANDBOX)));
        assert_eq!(answer.field("content-type"), Some("application/octet-stream"));
    }
}

#[test]
fn what_a_browser_kept_is_good_while_it_would_be_sent_and_no_longer() {
    let shop = Shop::open();
    let id = shop.publish("report.txt", &BOTH);
    let path = format!("/f/{id}");
    let first = shop.ann.call("GET", &path, None);
    let condition = format!("If-None-Match: {}\r\n", first.field("etag").unwrap());
    let again = || shop.ann.send("GET", &path, &condition, "");
    let kept = again();
    assert_eq!(
        (kept.status, kept.field("cache-control"), kept.field("vary")),
        (304, Some("private, no-cache"), Some("authorization"))
    );
    assert_eq!(kept.body, b"");
    // Who asks without the right learns nothing of what others keep.
    let stranger = Api::anonymous(shop.server()).send("GET", &path, &condition, "");
    assert_eq!(
        (stranger.status, stranger.field("cache-control")),
        (401, Some("no-store"))
    );

    let link = shop.link(&id);
    let kept = http::ask(shop.server(), "GET", &link, &condition);
    assert_eq!(
        (kept.status, kept.field("cache-control")),
        (304, Some("private, no-store"))
    );

    shop.house.run(&["revoke", &id, "user:ann"]).succeeds();
    let revoked = again();
    assert_eq!(
        (
            revoked.status,
            revoked.field("cache-control"),
            revoked.field("etag")
        ),
        (404, Some("no-store"), None)
    );
    shop.house.run(&["grant", &id, "user:ann"]).succeeds();
    assert_eq!(again().status, 304);
    fs::write(shop.house.path("files/new"), "other").unwrap();
    fs::rename(shop.house.path("files/new"), shop.house.path("files/report.txt")).unwrap();
    let replaced = again();
    assert_eq!((replaced.status, &*replaced.body), (200, &b"other"[..]));
    shop.house.run(&["unpublish", &id, "--yes"]).succeeds();
    let gone = again();
    assert_eq!(
        (gone.status, gone.field("cache-control")),
        (404, Some("no-store"))
    );
    assert_eq!(http::ask(shop.server(), "GET", &link, &condition).status, 404);
}

/// A cache that is told that it may keep a refusal gives it to whoever may have the file.
#[test]
fn what_could_not_be_met_is_not_kept_to_be_given_without_asking() {
    let shop = Shop::open();
    let id = shop.publish("report.txt", &REVALIDATE);
    for (more, status) in [("Range: bytes=9-\r\n", 416), ("If-Match: \"other\"\r\n", 412)] {
        let refused = shop.ann.send("GET", &format!("/f/{id}"), more, "");
        assert_eq!(
            (
                refused.status,
                refused.field("cache-control"),
                refused.field("vary")
            ),
            (status, Some("private, no-cache"), Some("authorization"))
        );
    }
}

#[test]
fn commands_show_how_a_file_is_shown_and_kept() {
    let shop = Shop::open();
    let (plain, chosen) = (shop.publish("report.txt", &[]), shop.publish("dot.png", &BOTH));
    for (id, disposition, caching) in [
        (&plain, "attachment", "no-store"),
        (&chosen, "inline", "revalidate"),
    ] {
        let shown = shop.house.json(&["show", id]);
        assert_eq!(
            (&shown["disposition"], &shown["caching"]),
            (&disposition.into(), &caching.into())
        );
        let lines = shop.house.run(&["show", id]);
        let line = format!("sent as {disposition}, caching {caching}");
        assert!(
            lines.succeeds().stdout.lines().any(|shown| shown == line),
            "{lines:?}"
        );
        let list = shop.house.run(&["list", "--json"]);
        let mut lines = list.succeeds().stdout.lines();
        let listed = lines.find(|line| line.contains(id.as_str())).unwrap();
        let listed: serde_json::Value = serde_json::from_str(listed).unwrap();
        assert_eq!(
            (&listed["disposition"], &listed["caching"]),
            (&disposition.into(), &caching.into())
        );
    }
    let publish = ["publish", "files:report.txt", "--caching"];
    for wrong in ["public", "max-age=60", ""] {
        shop.house
            .run(&[&publish[..], &[wrong]].concat())
            .fails(2, &["--caching", "no-store, revalidate"]);
    }
    let help = shop.house.run(&["publish", "--help"]);
    assert!(
        help.succeeds().stdout.contains("--inline --caching revalidate"),
        "{help:?}"
    );
}
