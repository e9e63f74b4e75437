//! A service with a large file, and three who change what is granted of it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beneath::{Root, ambient_authority};
use beneath_catalog::{Catalog, Options, Password, StoreUrl};
use beneath_tests::http::Connection;
use beneath_tests::{Api, Beneathd, House};

/// Who makes the change.
#[derive(Clone, Copy, Debug)]
pub enum By {
    Api,
    CommandLine,
    /// Another program through the library.
    Library,
}

/// What takes a right away, and gives it again.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Grant,
    Group,
    User,
    /// Slow, since passwords are hashed.
    Password,
    /// Given once, by publishing; taken for good.
    Publication,
}

pub struct Scene {
    pub service: Beneathd,
    pub house: House,
    api: Api,
    library: Catalog,
    granted: String,
    grouped: String,
    by_user: String,
}

pub const LARGE: u64 = 64 << 30;
const SECRET: &str = "correct horse";
const SUBJECT: &str = "user:alice";

impl Scene {
    pub fn new(bound: Duration) -> Self {
        let house = House::build();
        house.configure(&format!(
            "listen = \"127.0.0.1:0\"\nrevocation_bound = \"{}ms\"\n[limits]\nfailed_logins = 1000000\n\
             [roots.files]\npath = \"files\"\n",
            bound.as_millis()
        ));
        let large = fs::File::create(house.path("files/large")).unwrap();
        large.set_len(LARGE).unwrap();
        for (user, role) in [("alice", "reader"), ("admin", "admin")] {
            let add = ["user", "add", user, "--role", role, "--password-stdin"];
            house.run_with(&add, &format!("{SECRET}\n")).succeeds();
        }
        let service = house.serve();
        let api = Api::login(service.address(), "admin", SECRET);
        api.add_group("readers");
        api.join("readers", "alice");
        let publish = |to: &str| {
            let id = api.publish("files", "large");
            api.grant(&id, to);
            id
        };
        let (granted, grouped, by_user) = (publish(SUBJECT), publish("group:readers"), publish(SUBJECT));
        // The first login waits for hashing, and of a hundred at once most would be told to come again.
        let look = request(&granted, "Range: bytes=0-0\r\n");
        assert_eq!(Connection::open(service.address()).ask(&look).status, 206);
        let root = Root::open_ambient(house.path("files"), ambient_authority()).unwrap();
        let roots = [("files".parse().unwrap(), Arc::new(root))];
        let store = StoreUrl::sqlite(house.path("catalog.db"));
        let library = Catalog::connect(&store, roots, Options::default()).unwrap();
        Self {
            service,
            house,
            api,
            library,
            granted,
            grouped,
            by_user,
        }
    }

    pub fn file(&self, kind: Kind) -> String {
        match kind {
            Kind::Grant => self.granted.clone(),
            Kind::Group => self.grouped.clone(),
            Kind::User | Kind::Password => self.by_user.clone(),
            Kind::Publication => {
                let id = self.api.publish("files", "large");
                self.api.grant(&id, SUBJECT);
                id
            }
        }
    }

    /// Returns when whoever makes the change says that it is made.
    pub fn act(&self, kind: Kind, by: By, id: &str, take: bool) {
        match by {
            By::Api => self.by_api(kind, id, take),
            By::CommandLine => self.by_command(kind, id, take),
            By::Library => self.by_library(kind, id, take),
        }
    }

    fn by_api(&self, kind: Kind, id: &str, take: bool) {
        let api = &self.api;
        let effect = match (kind, take) {
            (Kind::Grant, true) => api.revoke(id, SUBJECT),
            (Kind::Grant, false) => api.grant(id, SUBJECT),
            (Kind::Group, true) => api.leave("readers", "alice"),
            (Kind::Group, false) => api.join("readers", "alice"),
            (Kind::User, true) => api.disable("alice"),
            (Kind::User, false) => api.enable("alice"),
            (Kind::Password, true) => api.set_password("alice", "another"),
            (Kind::Password, false) => api.set_password("alice", SECRET),
            (Kind::Publication, _) => api.unpublish(id),
        };
        assert_eq!(effect.effective, "acknowledged");
    }

    fn by_command(&self, kind: Kind, id: &str, take: bool) {
        let passwd = ["user", "passwd", "alice", "--password-stdin"];
        let outcome = match (kind, take) {
            (Kind::Grant, true) => self.house.run(&["revoke", id, SUBJECT]),
            (Kind::Grant, false) => self.house.run(&["grant", id, SUBJECT]),
            (Kind::Group, true) => self.house.run(&["group", "leave", "readers", "alice"]),
            (Kind::Group, false) => self.house.run(&["group", "join", "readers", "alice"]),
            (Kind::User, true) => self.house.run(&["user", "disable", "alice"]),
            (Kind::User, false) => self.house.run(&["user", "enable", "alice"]),
            (Kind::Password, true) => self.house.run_with(&passwd, "another\n"),
            (Kind::Password, false) => self.house.run_with(&passwd, &format!("{SECRET}\n")),
            (Kind::Publication, _) => self.house.run(&["unpublish", id]),
        };
        outcome.succeeds();
    }

    fn by_library(&self, kind: Kind, id: &str, take: bool) {
        let operator = self.library.operator(ambient_authority());
        let (id, subject) = (id.parse().unwrap(), SUBJECT.parse().unwrap());
        let (alice, readers) = ("alice".parse().unwrap(), "readers".parse().unwrap());
        let password = |text: &str| text.parse::<Password>().unwrap();
        let done = match (kind, take) {
            (Kind::Grant, true) => operator.revoke(&id, &subject),
            (Kind::Grant, false) => operator.grant(&id, &subject, None),
            (Kind::Group, true) => operator.leave_group(&readers, &alice),
            (Kind::Group, false) => operator.join_group(&readers, &alice),
            (Kind::User, true) => operator.disable_user(&alice),
            (Kind::User, false) => operator.enable_user(&alice),
            (Kind::Password, true) => operator.set_password(&alice, &password("another")),
            (Kind::Password, false) => operator.set_password(&alice, &password(SECRET)),
            (Kind::Publication, _) => operator.unpublish(&id),
        };
        drop(done.unwrap());
    }
}

/// A GET by alice, with more field lines.
pub fn request(id: &str, more: &str) -> String {
    let pair = STANDARD.encode(format!("alice:{SECRET}"));
    format!("GET /f/{id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {pair}\r\n{more}\r\n")
}
