//! Behind a reverse proxy: each client is told from the others by the address that a trusted proxy says, and by nothing that
//! anybody else says.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests stop at the first surprise"
)]

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beneath_tests::{Beneathd, House, Published, http};

/// A service that trusts these, one file that ann and bob may have, and two uses of a link to it.
struct Scene {
    house: House,
    service: Beneathd,
    file: Published,
    link: String,
}

impl Scene {
    fn trusting(proxies: &str) -> Self {
        let house = House::build();
        house.configure(&format!(
            "listen = \"127.0.0.1:0\"\ntrusted_proxies = [{proxies}]\n[limits]\nfailed_logins = 3\n[roots.files]\npath = \"files\"\n"
        ));
        house.add_user("ann");
        house.add_user("bob");
        let publish = [
            "publish",
            "files:report.txt",
            "--to",
            "user:ann",
            "--to",
            "user:bob",
            "--json",
        ];
        let file = house.run(&publish).published();
        let link = house.json(&["link", "create", &file.id, "--uses", "2"]);
        let link = link["url"].as_str().unwrap();
        let link = link[link.find("/l/").unwrap()..].to_owned();
        let service = house.serve();
        Self {
            house,
            service,
            file,
            link,
        }
    }

    fn login(&self, user: &str, password: &str, forwarded_for: &str) -> u16 {
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let path = format!("/f/{}", self.file.id);
        let more = format!("X-Forwarded-For: {forwarded_for}\r\n");
        http::get(self.address(), &path, &authorization, &more).status
    }

    fn follow(&self, forwarded_for: &str) -> u16 {
        let fields = format!("X-Forwarded-For: {forwarded_for}\r\n");
        http::ask(self.address(), "GET", &self.link, &fields).status
    }

    fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// Guesses as ann until it is told to wait.
    fn guess_from(&self, forwarded_for: &str) {
        let mut answers = (0..10).map(|_| self.login("ann", "wrong", forwarded_for));
        assert!(answers.any(|status| status == 429), "guessing is not held back");
    }

    /// Whether guessing as ann from one address holds bob back at another. Every other second one more guess is heard, and bob's may
    /// be that one: then it is tried again, and once is too few for bob to be held back by guesses of his own.
    fn guesses_hold_bob_back(&self, guesses_from: &str, bob_from: &str) -> bool {
        (0..2).any(|_| {
            self.guess_from(guesses_from);
            self.login("bob", "wrong", bob_from) == 429
        })
    }

    /// The addresses in the audit trail, once it has one of a download.
    fn audited_addresses(&self) -> Vec<String> {
        for _ in 0..100 {
            let trail = self.house.run(&["audit", "--json"]).succeeds().stdout.clone();
            let records = trail
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let mut addresses: Vec<_> = records
                .filter_map(|it| it["address"].as_str().map(str::to_owned))
                .collect();
            if !addresses.is_empty() {
                addresses.sort();
                addresses.dedup();
                return addresses;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Vec::new()
    }
}

#[test]
fn guesses_of_one_client_behind_a_trusted_proxy_do_not_hold_back_another() {
    let scene = Scene::trusting("\"127.0.0.1\"");
    assert!(scene.guesses_hold_bob_back("203.0.113.9", "203.0.113.9"));
    assert_eq!(scene.login("bob", "secret", "192.0.2.7"), 200);
    assert_eq!(scene.login("ann", "secret", "192.0.2.7"), 200);
}

#[test]
fn an_address_that_the_client_itself_wrote_before_the_proxys_is_not_its_own() {
    let scene = Scene::trusting("\"127.0.0.1\"");
    for guess in 0..10 {
        if scene.login("ann", "wrong", &format!("198.51.100.{guess}, 203.0.113.9")) == 429 {
            return;
        }
    }
    panic!("whoever makes up addresses guesses freely");
}

#[test]
fn who_is_no_trusted_proxy_cannot_say_who_they_are() {
    for proxies in ["", "\"10.0.0.0/8\""] {
        let scene = Scene::trusting(proxies);
        assert!(scene.guesses_hold_bob_back("203.0.113.9", "192.0.2.7"));
        assert_eq!(scene.audited_addresses(), ["127.0.0.1"]);
    }
}

#[test]
fn the_audit_trail_has_the_address_of_the_client() {
    let scene = Scene::trusting("\"127.0.0.1\"");
    assert_eq!(scene.login("ann", "secret", "192.0.2.7"), 200);
    assert_eq!(scene.audited_addresses(), ["192.0.2.7"]);
}

#[test]
fn two_clients_behind_a_trusted_proxy_take_a_use_of_a_link_each() {
    let scene = Scene::trusting("\"127.0.0.1\"");
    assert_eq!(scene.follow("192.0.2.7"), 200);
    assert_eq!(scene.follow("203.0.113.9"), 200);
    assert_eq!(scene.follow("198.51.100.1"), 404);
}
