//! The administration API of a running service: each operation, each refusal, who may what.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

mod bodies;
mod files;
mod no_body;
mod people;
mod publishing;
mod roles;
mod wire;

use std::fs;
use std::sync::OnceLock;

use beneath_tests::api::{Api, ok};
use beneath_tests::{Beneathd, House, beneathd};
use serde_json::{Value, json};

/// A running service with a user of each kind, whose password is their name and `-secret`.
struct World {
    house: House,
    service: Beneathd,
}

impl World {
    fn new() -> Self {
        let house = House::build();
        fs::write(house.path("files/other.txt"), "other").unwrap();
        fs::write(house.path("catalog.db"), people()).unwrap();
        let mut serve = beneathd();
        serve
            .args(["serve", "--json", "--config"])
            .arg(house.path("beneathd.toml"));
        let service = Beneathd::start(serve);
        Self { house, service }
    }

    /// Somebody with a token, or without credentials for `nobody`.
    fn api(&self, user: &str) -> Api {
        match user {
            "nobody" => Api::anonymous(self.service.address()),
            user => Api::login(self.service.address(), user, &password(user)),
        }
    }

    fn basic(&self, user: &str) -> Api {
        Api::basic(self.service.address(), user, &password(user))
    }
}

/// The catalog with everybody in it: to hash their passwords takes a while.
fn people() -> &'static [u8] {
    static CATALOG: OnceLock<Vec<u8>> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let house = House::build();
        for (user, role) in [
            ("admin", "admin"),
            ("owner", "publisher"),
            ("publisher", "publisher"),
            ("granted", "reader"),
            ("stranger", "reader"),
        ] {
            house
                .run_with(
                    &["user", "add", user, "--role", role, "--password-stdin"],
                    &format!("{}\n", password(user)),
                )
                .succeeds();
        }
        fs::read(house.path("catalog.db")).unwrap()
    })
}

fn password(user: &str) -> String {
    format!("{user}-secret")
}

/// A file of the owner, granted to `granted`.
fn publish(owner: &Api) -> String {
    let body = json!({"root": "files", "path": "report.txt", "grants": [{"subject": "user:granted"}]});
    let answer = ok(&owner.call("POST", "/api/v1/files", Some(&body)));
    text(&answer["file"]["id"])
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// What a refusal says, and that it is a problem.
#[track_caller]
fn problem(answer: &beneath_tests::http::Answer, status: u16) -> Value {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, status, "{}\n{body}", answer.head);
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    let problem: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(problem["status"], status);
    problem
}
