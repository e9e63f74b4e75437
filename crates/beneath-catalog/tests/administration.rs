//! Acts that change who may have what: all or nothing, by whoever may, and written down.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use beneath::RelPath;
use beneath_catalog::{
    AdminErrorKind, Administration, Amendment, Credentials, Entry, Page, Pin, Principal, Publication, Role,
};
use common::{Place, basic, group, password, publication, root_name, subject, user};

/// Somebody who came with a bearer token, as changes need.
fn logged_in(place: &Place, name: &str) -> Principal {
    let shown = place.bearer(name, Duration::from_secs(60));
    place.catalog.authenticate(&shown).unwrap()
}

#[test]
fn no_two_users_differ_in_letter_case_only() {
    let place = Place::new();
    place.add_user("Ann");
    for other in ["Ann", "ann", "ANN"] {
        let error = place
            .operator()
            .add_user(&user(other), &password("x"), Role::Reader)
            .unwrap_err();
        assert_eq!(error.kind(), AdminErrorKind::AlreadyExists);
        assert!(error.to_string().contains("user:Ann"), "{error}");
    }
    let _ = place.operator().add_group(&group("Ann")).unwrap();
    assert_eq!(
        place.operator().add_group(&group("aNN")).unwrap_err().kind(),
        AdminErrorKind::AlreadyExists
    );
}

#[test]
fn of_many_who_add_the_same_user_at_once_one_succeeds() {
    let place = Place::new();
    let names = ["x-y", "X-Y", "x-Y", "X-y"];
    let added: usize = std::thread::scope(|scope| {
        let threads = names.map(|name| {
            let place = &place;
            scope.spawn(move || {
                place
                    .operator()
                    .add_user(&user(name), &password("x"), Role::Reader)
                    .is_ok()
            })
        });
        threads
            .into_iter()
            .map(|thread| usize::from(thread.join().unwrap()))
            .sum()
    });
    assert_eq!(added, 1);
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new();
    let (nobody, nothing) = (user("nobody"), group("nothing"));
    let operator = place.operator();
    let id = place.publish("a", &[]);
    let errors = [
        operator.set_password(&nobody, &password("x")).unwrap_err(),
        operator.set_role(&nobody, Role::Admin).unwrap_err(),
        operator.disable_user(&nobody).unwrap_err(),
        operator.enable_user(&nobody).unwrap_err(),
        operator.remove_user(&nobody).unwrap_err(),
        operator.user(&nobody).unwrap_err(),
        operator.remove_group(&nothing).unwrap_err(),
        operator.join_group(&nothing, &nobody).unwrap_err(),
        operator.grant(&id, &subject("user:nobody"), None).unwrap_err(),
        operator.revoke(&id, &subject("group:nothing")).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), AdminErrorKind::NotFound);
        let named = error.to_string();
        assert!(named.contains("nobody") || named.contains("nothing"), "{named}");
    }
}

#[test]
fn what_cannot_be_opened_is_not_published() {
    let place = Place::new();
    std::fs::create_dir(place.files().join("directory")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.files().join("link")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(place.files().join("fifo"))
        .status()
        .unwrap();
    assert!(made.success());
    for name in ["directory", "link", "fifo", "missing", "missing/too"] {
        let error = place.operator().publish(&publication(name)).unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (AdminErrorKind::Invalid, Some("path")),
            "{name}"
        );
        assert!(error.to_string().contains(name), "{error}");
    }
    let elsewhere = Publication::new(root_name("elsewhere"), RelPath::parse("a").unwrap());
    let error = place.operator().publish(&elsewhere).unwrap_err();
    assert_eq!(error.field(), Some("root"));
    assert!(place.operator().files(Page::default()).unwrap().items.is_empty());
}

#[test]
fn names_and_media_types_that_no_client_could_use_are_refused() {
    let place = Place::new();
    place.write("a", "x");
    for name in [b"".as_slice(), b"a/b", b"a\0b", &[b'x'; 256]] {
        let error = place
            .operator()
            .publish(&publication("a").named(name))
            .unwrap_err();
        assert_eq!(error.field(), Some("name"), "{name:?}");
    }
    for media_type in [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain\r\nX: y",
        "tëxt/plain",
        "a b/c",
    ] {
        let error = place
            .operator()
            .publish(&publication("a").media_type(media_type))
            .unwrap_err();
        assert_eq!(error.field(), Some("media_type"), "{media_type:?}");
    }
    let publication = publication("a")
        .named(b"q3 \xff\n.pdf".as_slice())
        .media_type("text/plain; charset=utf-8");
    let entry = place.operator().publish(&publication).unwrap().into_value();
    assert_eq!(entry.name(), b"q3 \xff\n.pdf");
    assert_eq!(entry.media_type(), Some("text/plain; charset=utf-8"));
}

#[test]
fn a_publication_that_fails_half_way_leaves_nothing() {
    let place = Place::new();
    place.write("a", "x");
    let publication = publication("a").to(subject("user:nobody"), None);
    assert_eq!(
        place.operator().publish(&publication).unwrap_err().kind(),
        AdminErrorKind::NotFound
    );
    assert!(place.operator().files(Page::default()).unwrap().items.is_empty());
}

#[test]
fn a_password_changes_nothing_but_a_token_does() {
    let place = Place::new();
    place.add_user_as("root", Role::Admin);
    let with_password = place.catalog.authenticate(&basic("root")).unwrap();
    let refused = place
        .catalog
        .administration(&with_password)
        .add_group(&group("g"))
        .unwrap_err();
    assert_eq!(refused.kind(), AdminErrorKind::TokenRequired);
    assert!(
        place
            .catalog
            .administration(&with_password)
            .groups(Page::default())
            .unwrap()
            .items
            .is_empty(),
        "reading is allowed"
    );
    let with_token = logged_in(&place, "root");
    let _ = place
        .catalog
        .administration(&with_token)
        .add_group(&group("g"))
        .unwrap();
}

#[test]
fn each_role_does_what_it_may_and_no_more() {
    let place = Place::new();
    for (name, role) in [
        ("root", Role::Admin),
        ("pub", Role::Publisher),
        ("ann", Role::Reader),
    ] {
        place.add_user_as(name, role);
    }
    let foreign = place.publish("foreign", &[]);
    place.write("own", "x");
    type Done = Result<(), AdminErrorKind>;
    type Act = fn(&Administration<'_>, &beneath_catalog::FileId) -> Done;
    fn done<T>(result: Result<T, beneath_catalog::AdminError>) -> Done {
        result.map(drop).map_err(|error| error.kind())
    }
    let (refused, not_found) = (Err(AdminErrorKind::Refused), Err(AdminErrorKind::NotFound));
    let acts: [(&str, Act, [Done; 3]); 8] = [
        (
            "publish",
            |a, _| done(a.publish(&publication("own"))),
            [Ok(()), Ok(()), refused],
        ),
        (
            "grant",
            |a, id| done(a.grant(id, &subject("user:ann"), None)),
            [Ok(()), not_found, refused],
        ),
        ("show", |a, id| done(a.file(id)), [Ok(()), not_found, refused]),
        (
            "change",
            |a, id| done(a.change(id, &Amendment::default().named("n"))),
            [Ok(()), not_found, refused],
        ),
        (
            "add user",
            |a, _| done(a.add_user(&user("new"), &password("x"), Role::Admin)),
            [Ok(()), refused, refused],
        ),
        (
            "promote self",
            |a, _| done(a.set_role(&user("ann"), Role::Admin)),
            [Ok(()), refused, refused],
        ),
        (
            "others' password",
            |a, _| done(a.set_password(&user("new"), &password("y"))),
            [Ok(()), not_found, not_found],
        ),
        (
            "unpublish",
            |a, id| done(a.unpublish(id)),
            [Ok(()), not_found, refused],
        ),
    ];
    for (who, name) in ["pub", "ann", "root"].into_iter().enumerate() {
        let principal = logged_in(&place, name);
        for (what, act, expected) in &acts {
            let expected = expected[[1, 2, 0][who]];
            let did = act(&place.catalog.administration(&principal), &foreign);
            // "others' password" needs the user that only the administrator adds.
            if *what == "others' password" && name != "root" {
                assert!(did.is_err(), "{name}: {what}");
                continue;
            }
            assert_eq!(did, expected, "{name}: {what}");
        }
    }
}

#[test]
fn users_groups_and_the_trail_are_for_administrators_only() {
    let place = Place::new();
    for (name, role) in [("pub", Role::Publisher), ("ann", Role::Reader)] {
        place.add_user_as(name, role);
    }
    let _ = place.operator().add_group(&group("g")).unwrap();
    type Act = fn(&Administration<'_>) -> Option<AdminErrorKind>;
    fn refused<T>(result: Result<T, beneath_catalog::AdminError>) -> Option<AdminErrorKind> {
        result.err().map(|error| error.kind())
    }
    let acts: [(&str, Act); 16] = [
        ("add user", |a| {
            refused(a.add_user(&user("new"), &password("x"), Role::Reader))
        }),
        ("import", |a| {
            refused(a.import_htpasswd("new:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=", Role::Reader))
        }),
        ("role", |a| refused(a.set_role(&user("ann"), Role::Reader))),
        ("enable", |a| refused(a.enable_user(&user("ann")))),
        ("disable", |a| refused(a.disable_user(&user("ann")))),
        ("remove user", |a| refused(a.remove_user(&user("ann")))),
        ("users", |a| refused(a.users(Page::default()))),
        ("add group", |a| refused(a.add_group(&group("new")))),
        ("join", |a| refused(a.join_group(&group("g"), &user("ann")))),
        ("leave", |a| refused(a.leave_group(&group("g"), &user("ann")))),
        ("remove group", |a| refused(a.remove_group(&group("g")))),
        ("groups", |a| refused(a.groups(Page::default()))),
        ("group", |a| refused(a.group(&group("g")))),
        ("members", |a| refused(a.members(&group("g"), Page::default()))),
        ("trail", |a| refused(a.audit(None, None, 1))),
        ("files of a path", |a| {
            refused(a.files_at(&root_name("files"), &RelPath::parse("a").unwrap()))
        }),
    ];
    for name in ["pub", "ann"] {
        let principal = logged_in(&place, name);
        for (what, act) in acts {
            let did = act(&place.catalog.administration(&principal));
            assert_eq!(did, Some(AdminErrorKind::Refused), "{name}: {what}");
        }
    }
}

#[test]
fn nobody_but_an_administrator_sees_another_user_or_ends_their_tokens() {
    let place = Place::new();
    for (name, role) in [("pub", Role::Publisher), ("ann", Role::Reader)] {
        place.add_user_as(name, role);
    }
    place.add_user("bob");
    let (bob, hour) = (user("bob"), Duration::from_secs(3600));
    let token = place.operator().create_token(&bob, hour).unwrap().into_value();
    for name in ["pub", "ann"] {
        let principal = logged_in(&place, name);
        let acting = place.catalog.administration(&principal);
        for (what, error) in [
            ("see", acting.user(&bob).unwrap_err()),
            ("one token", acting.revoke_token(token.reveal()).unwrap_err()),
            ("all tokens", acting.revoke_tokens(&bob).unwrap_err()),
        ] {
            assert_eq!(error.kind(), AdminErrorKind::NotFound, "{name}: {what}");
        }
        let created = acting.create_token(&bob, hour).unwrap_err();
        assert_eq!(created.kind(), AdminErrorKind::Refused, "{name}");
    }
    let shown = Credentials::bearer(token.reveal().as_bytes());
    place.catalog.authenticate(&shown).unwrap();
}

#[test]
fn a_role_counts_as_it_is_when_the_act_is_done_not_when_somebody_logged_in() {
    let place = Place::new();
    place.add_user_as("pub", Role::Publisher);
    place.write("a", "x");
    let principal = logged_in(&place, "pub");
    let administration = place.catalog.administration(&principal);
    let _ = administration.publish(&publication("a")).unwrap();
    let _ = place.operator().set_role(&user("pub"), Role::Reader).unwrap();
    assert_eq!(
        administration.publish(&publication("a")).unwrap_err().kind(),
        AdminErrorKind::Refused
    );
    let _ = place.operator().set_role(&user("pub"), Role::Publisher).unwrap();
    let _ = administration.publish(&publication("a")).unwrap();
    let _ = place
        .operator()
        .set_password(&user("pub"), &password("another"))
        .unwrap();
    assert_eq!(
        administration.publish(&publication("a")).unwrap_err().kind(),
        AdminErrorKind::Refused
    );
}

#[test]
fn a_user_who_was_disabled_has_no_tokens_when_they_are_enabled_again() {
    let place = Place::new();
    place.add_user("ann");
    let bearer = place.bearer("ann", Duration::from_secs(60));
    assert!(place.catalog.authenticate(&bearer).is_ok());
    drop(place.operator().disable_user(&user("ann")).unwrap());
    drop(place.operator().enable_user(&user("ann")).unwrap());
    assert!(place.catalog.authenticate(&bearer).is_err());
    assert!(place.catalog.authenticate(&basic("ann")).is_ok());
}

#[test]
fn of_too_many_tokens_of_one_user_those_go_that_would_end_first() {
    let place = Place::new();
    place.add_user("ann");
    let soonest = place.bearer("ann", Duration::from_secs(60));
    let store = rusqlite::Connection::open(place.database()).unwrap();
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) \
                INSERT INTO tokens (digest, user, created, expires) \
                SELECT randomblob(32), user, created, expires + 1000000 + i FROM n, (SELECT * FROM tokens LIMIT 1)";
    assert_eq!(store.execute(many, []).unwrap(), 999);
    assert!(place.catalog.authenticate(&soonest).is_ok());
    let newest = place.bearer("ann", Duration::from_secs(3600));
    assert!(place.catalog.authenticate(&soonest).is_err());
    assert!(place.catalog.authenticate(&newest).is_ok());
    let alive: u64 = store
        .query_row("SELECT count(*) FROM tokens", [], |row| row.get(0))
        .unwrap();
    assert_eq!(alive, 1000);
}

#[test]
fn a_token_that_expired_since_somebody_logged_in_counts_no_more() {
    let place = Place::new();
    place.add_user_as("pub", Role::Publisher);
    place.write("a", "x");
    let ttl = Duration::from_secs(3);
    let shown = place.bearer("pub", ttl);
    let principal = place.catalog.authenticate(&shown).unwrap();
    let administration = place.catalog.administration(&principal);
    let _ = administration.publish(&publication("a")).unwrap();
    std::thread::sleep(ttl);
    assert_eq!(
        administration.publish(&publication("a")).unwrap_err().kind(),
        AdminErrorKind::Refused
    );
}

#[test]
fn whoever_publishes_owns_and_an_owner_is_not_removed() {
    let place = Place::new();
    place.add_user_as("pub", Role::Publisher);
    place.write("a", "x");
    let principal = logged_in(&place, "pub");
    let administration = place.catalog.administration(&principal);
    let entry = administration.publish(&publication("a")).unwrap().into_value();
    assert_eq!(entry.owner(), Some(&user("pub")));
    let for_another = publication("a").owned_by(user("root"));
    assert_eq!(
        administration.publish(&for_another).unwrap_err().kind(),
        AdminErrorKind::Refused
    );

    assert_eq!(
        place.operator().remove_user(&user("pub")).unwrap_err().kind(),
        AdminErrorKind::InUse
    );
    let _ = place.operator().unpublish(entry.id()).unwrap();
    let _ = place.operator().remove_user(&user("pub")).unwrap();
}

#[test]
fn of_two_changes_to_one_version_the_second_is_stale() {
    let place = Place::new();
    let id = place.publish("a", &[]);
    let version = place.operator().file(&id).unwrap().entry.version();
    let changed = place
        .operator()
        .at_version([version])
        .change(&id, &Amendment::default().named("b"))
        .unwrap()
        .into_value();
    assert!(changed.version() > version);
    let stale = place
        .operator()
        .at_version([version])
        .change(&id, &Amendment::default().named("c"))
        .unwrap_err();
    assert_eq!(stale.kind(), AdminErrorKind::Stale);
    place.add_user("ann");
    let _ = place.operator().grant(&id, &subject("user:ann"), None).unwrap();
    let stale = place
        .operator()
        .at_version([0, changed.version()])
        .change(&id, &Amendment::default().named("c"))
        .unwrap_err();
    assert_eq!(stale.kind(), AdminErrorKind::Stale, "grants are part of it");
    let stale = place.operator().at_version([version]);
    for refused in [
        stale.unpublish(&id).unwrap_err(),
        stale.grant(&id, &subject("user:ann"), None).unwrap_err(),
        stale.revoke(&id, &subject("user:ann")).unwrap_err(),
    ] {
        assert_eq!(refused.kind(), AdminErrorKind::Stale);
    }
    let version = || place.operator().file(&id).unwrap().entry.version();
    let before = version();
    let _ = place.operator().revoke(&id, &subject("user:ann")).unwrap();
    assert!(version() > before, "what is taken back is part of it");
    drop(place.operator().at_version([version()]).unpublish(&id).unwrap());
}

#[test]
fn grants_that_end_with_their_user_or_group_are_a_change_of_the_file() {
    let place = Place::new();
    place.add_user("ann");
    let _ = place.operator().add_group(&group("g")).unwrap();
    let id = place.publish("a", &["user:ann", "group:g"]);
    let version = || place.operator().file(&id).unwrap().entry.version();
    let before = version();
    let _ = place.operator().remove_group(&group("g")).unwrap();
    let without_group = version();
    assert!(without_group > before);
    let _ = place.operator().remove_user(&user("ann")).unwrap();
    assert!(version() > without_group);
}

#[test]
fn everybody_lists_what_they_may_see_page_by_page() {
    let place = Place::new();
    for (name, role) in [
        ("root", Role::Admin),
        ("pub", Role::Publisher),
        ("ann", Role::Reader),
    ] {
        place.add_user_as(name, role);
    }
    let _ = place.operator().add_group(&group("g")).unwrap();
    let _ = place.operator().join_group(&group("g"), &user("ann")).unwrap();
    for number in 0..30 {
        let to: &[&str] = match number % 3 {
            0 => &["user:ann"],
            1 => &["group:g", "user:ann"],
            _ => &[],
        };
        place.publish(&format!("{number:02}"), to);
    }
    place.write("own", "x");
    let _ = place
        .operator()
        .publish(&publication("own").owned_by(user("pub")))
        .unwrap();

    let all = |administration: Administration<'_>| {
        let (mut page, mut names) = (Page::first(7), Vec::new());
        loop {
            let listing = administration.files(page).unwrap();
            names.extend(
                listing
                    .items
                    .iter()
                    .map(|entry: &Entry| String::from_utf8_lossy(entry.name()).into_owned()),
            );
            match listing.next {
                Some(next) => page = page.at(next.to_string().parse().unwrap()),
                None => return names,
            }
        }
    };
    let principal = |name| place.catalog.authenticate(&basic(name)).unwrap();
    assert_eq!(all(place.operator()).len(), 31);
    assert_eq!(all(place.catalog.administration(&principal("root"))).len(), 31);
    assert_eq!(all(place.catalog.administration(&principal("pub"))), ["own"]);
    let granted = all(place.catalog.administration(&principal("ann")));
    let expected: Vec<_> = (0..30)
        .rev()
        .filter(|number| number % 3 != 2)
        .map(|n| format!("{n:02}"))
        .collect();
    assert_eq!(granted, expected);
}

#[test]
fn imported_users_log_in_and_their_records_are_replaced_then() {
    let place = Place::new();
    let bcrypt = "bcrypt:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";
    let file = format!("# users\n\n{bcrypt}\r\nsha1:{}\n", openssl_sha1());
    let names = place
        .operator()
        .import_htpasswd(&file, Role::Reader)
        .unwrap()
        .into_value();
    assert_eq!(names, [user("bcrypt"), user("sha1")]);
    let id = place.publish("a", &["user:bcrypt", "user:sha1"]);

    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    let record = |name: &str| -> String {
        let sql = "SELECT password FROM users WHERE name = ?1";
        foreign.query_row(sql, [name], |row| row.get(0)).unwrap()
    };
    for name in ["bcrypt", "sha1"] {
        let wrong = Credentials::basic(name.as_bytes(), b"wrong");
        assert!(place.catalog.open(&wrong, &id).is_err());
        assert!(!record(name).starts_with("$argon2id$"));
        let right = Credentials::basic(name.as_bytes(), b"myPassword");
        let lease = place.catalog.open(&right, &id).unwrap();
        assert!(record(name).starts_with("$argon2id$"), "{}", record(name));
        let another = place.another(beneath_catalog::Options::default());
        assert!(another.open(&right, &id).is_ok(), "with the new record");
        assert!(another.open(&wrong, &id).is_err());
        assert!(
            beneath::Source::still_held(&lease).is_ok(),
            "re-hashing revokes nothing"
        );
    }
}

fn openssl_sha1() -> String {
    let command = "printf myPassword | openssl dgst -sha1 -binary | openssl base64";
    let output = std::process::Command::new("sh")
        .args(["-c", command])
        .output()
        .unwrap();
    assert!(output.status.success());
    format!("{{SHA}}{}", String::from_utf8(output.stdout).unwrap().trim_end())
}

#[test]
fn a_line_that_cannot_be_imported_is_named_and_nobody_is_added() {
    let place = Place::new();
    place.add_user("ann");
    let good = "bob:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";
    for (bad, expected) in [
        ("eve:secret", "line 2"),
        ("eve", "line 2"),
        (
            ":$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
            "line 2",
        ),
        (
            "ann:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
            "user:ann",
        ),
        (
            "BOB:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
            "user:bob",
        ),
        (good, "line 2: user:bob is there twice"),
    ] {
        let error = place
            .operator()
            .import_htpasswd(&format!("{good}\n{bad}"), Role::Reader)
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(place.operator().users(Page::default()).unwrap().items.len(), 1);
    }
}

#[test]
fn whoever_may_not_act_learns_nothing_from_how_they_are_refused() {
    let place = Place::new();
    place.add_user_as("ann", Role::Reader);
    place.add_user_as("bob", Role::Reader);
    place.write("there", "x");
    let ann = logged_in(&place, "ann");
    let administration = place.catalog.administration(&ann);
    for path in ["there", "missing", "there/below", "sub/missing"] {
        let error = administration.publish(&publication(path)).unwrap_err();
        assert_eq!(error.kind(), AdminErrorKind::Refused, "{path}");
    }
    let password = password("another");
    let others = [user("bob"), user("nobody")];
    let refusals = others.map(|name| administration.set_password(&name, &password).unwrap_err().kind());
    assert_eq!(refusals, [AdminErrorKind::NotFound; 2]);
}

#[test]
fn ones_own_password_is_changed_by_whoever_shows_it_and_not_by_a_token_alone() {
    let place = Place::new();
    for (name, role) in [
        ("ann", Role::Reader),
        ("bob", Role::Reader),
        ("root", Role::Admin),
    ] {
        place.add_user_as(name, role);
    }
    let shown = |name: &str| place.catalog.authenticate(&basic(name)).unwrap();
    for name in ["ann", "root"] {
        let token = logged_in(&place, name);
        let administration = place.catalog.administration(&token);
        let refused = |change: Result<_, beneath_catalog::AdminError>| change.map(drop).unwrap_err().kind();
        let another = password("another");
        for change in [
            administration.set_password(&user(name), &another),
            administration.set_own_password(&token, &another),
            administration.set_own_password(&shown("bob"), &another),
        ] {
            assert_eq!(refused(change), AdminErrorKind::Refused, "{name}");
        }
        let before = shown(name);
        let _ = administration.set_own_password(&before, &another).unwrap();
        let again = logged_in(&place, name);
        let stale = place
            .catalog
            .administration(&again)
            .set_own_password(&before, &password("third"));
        assert_eq!(refused(stale), AdminErrorKind::Refused, "{name}");
    }
}

#[test]
fn to_grant_what_is_granted_changes_nothing() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let operator = place.operator();
    let before = operator.file(&id).unwrap();
    let _ = operator.grant(&id, &subject("user:ann"), None).unwrap();
    assert_eq!(operator.file(&id).unwrap(), before);
    place.grant_that_ended(&id, "user:ann");
    let _ = operator.grant(&id, &subject("user:ann"), None).unwrap();
    let after = operator.file(&id).unwrap();
    assert!(after.entry.version() > before.entry.version());
    assert!(
        after.grants[0].created > before.grants[0].created,
        "it was not granted in between"
    );
}

#[test]
fn a_file_is_not_hashed_on_for_whoever_gives_it_up_or_may_not_publish_any_more() {
    let place = Place::new();
    place.add_user_as("pub", Role::Publisher);
    place.write("a", &"x".repeat(1 << 20));
    let principal = logged_in(&place, "pub");
    let administration = place.catalog.administration(&principal);
    let content = publication("a").pinned(Pin::Content);
    let given_up = administration.publish_with_progress(&content, |_, _| ControlFlow::Break(()));
    assert_eq!(given_up.unwrap_err().kind(), AdminErrorKind::Busy);
    let mut heard = 0;
    let disabled = administration.publish_with_progress(&content, |_, _| {
        heard += 1;
        if heard == 1 {
            let _ = place.operator().disable_user(&user("pub")).unwrap();
            std::thread::sleep(Duration::from_millis(1100));
        }
        ControlFlow::Continue(())
    });
    assert_eq!(disabled.unwrap_err().kind(), AdminErrorKind::Refused);
    assert_eq!(heard, 1, "hashed on for somebody who is disabled");
}

#[test]
fn a_grant_shows_the_file_to_whoever_has_it_and_to_nobody_else() {
    let place = Place::new();
    for name in ["ann", "bob", "eve"] {
        place.add_user(name);
    }
    let operator = place.operator();
    let _ = operator.add_group(&group("team")).unwrap();
    let _ = operator.join_group(&group("team"), &user("bob")).unwrap();
    let id = place.publish("a", &["user:ann", "group:team"]);
    let sees = |name: &str| {
        let principal = logged_in(&place, name);
        let seen = place.catalog.administration(&principal).granted_file(&id);
        seen.map(|entry| *entry.id()).map_err(|error| error.kind())
    };
    let not_found = Err(AdminErrorKind::NotFound);
    assert_eq!(
        [sees("ann"), sees("bob"), sees("eve")],
        [Ok(id), Ok(id), not_found]
    );
    let past = SystemTime::now() - Duration::from_secs(1);
    let refused = operator.grant(&id, &subject("user:ann"), Some(past)).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.field()),
        (AdminErrorKind::Invalid, Some("expires"))
    );
    assert_eq!(sees("ann"), Ok(id), "nothing was changed");
    place.grant_that_ended(&id, "user:ann");
    let _ = operator.leave_group(&group("team"), &user("bob")).unwrap();
    assert_eq!([sees("ann"), sees("bob")], [not_found, not_found]);
}

#[test]
fn what_is_gone_already_may_be_taken_away_again() {
    let place = Place::new();
    place.add_user("ann");
    let operator = place.operator();
    let _ = operator.add_group(&group("team")).unwrap();
    let id = place.publish("a", &["user:ann"]);
    let again = operator.clone().absent_is_done();
    for _ in 0..2 {
        let _ = again.revoke(&id, &subject("user:ann")).unwrap();
        let _ = again.leave_group(&group("team"), &user("ann")).unwrap();
    }
    let missing = again.revoke(&id, &subject("user:nobody")).unwrap_err();
    assert_eq!(missing.kind(), AdminErrorKind::NotFound);
    assert_eq!(
        operator.revoke(&id, &subject("user:ann")).unwrap_err().kind(),
        AdminErrorKind::NotFound
    );
}

#[test]
fn groups_and_their_members_are_listed_page_by_page() {
    let place = Place::new();
    let operator = place.operator();
    for number in 0..5 {
        place.add_user(&format!("user{number}"));
        let _ = operator.add_group(&group(&format!("group{number}"))).unwrap();
        let _ = operator
            .join_group(&group("group0"), &user(&format!("user{number}")))
            .unwrap();
    }
    let mut page = Page::first(2);
    let (mut groups, mut members) = (Vec::new(), Vec::new());
    loop {
        let listing = operator.groups(page).unwrap();
        groups.extend(listing.items.into_iter().map(|group| group.name.to_string()));
        let Some(next) = listing.next else { break };
        page = page.at(next);
    }
    page = Page::first(2);
    loop {
        let listing = operator.members(&group("group0"), page).unwrap();
        members.extend(listing.items.into_iter().map(|user| user.to_string()));
        let Some(next) = listing.next else { break };
        page = page.at(next);
    }
    assert_eq!(groups, ["group4", "group3", "group2", "group1", "group0"]);
    assert_eq!(members, ["user4", "user3", "user2", "user1", "user0"]);
    assert_eq!(operator.group(&group("group3")).unwrap().name, group("group3"));
    assert_eq!(
        operator.group(&group("none")).unwrap_err().kind(),
        AdminErrorKind::NotFound
    );
}

#[test]
fn nobody_is_called_by_a_name_that_urls_do_not_keep() {
    let place = Place::new();
    let operator = place.operator();
    for name in [".", ".."] {
        for error in [
            operator
                .add_user(&user(name), &password("x"), Role::Reader)
                .map(drop)
                .unwrap_err(),
            operator.add_group(&group(name)).map(drop).unwrap_err(),
            operator
                .import_htpasswd(
                    &format!("{name}:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
                    Role::Reader,
                )
                .map(drop)
                .unwrap_err(),
        ] {
            assert_eq!(
                (error.kind(), error.field()),
                (AdminErrorKind::Invalid, Some("name")),
                "{error}"
            );
        }
    }
    drop(
        operator
            .add_user(&user("..."), &password("x"), Role::Reader)
            .unwrap(),
    );
}

#[test]
fn whoever_is_named_twice_in_a_publication_is_granted_what_both_say_or_nothing() {
    let place = Place::new();
    place.add_user("ann");
    place.write("a", "content");
    let soon = SystemTime::now() + Duration::from_secs(60);
    let twice = |ends: [Option<SystemTime>; 2]| {
        let publication = ends
            .into_iter()
            .fold(publication("a"), |it, end| it.to(subject("user:ann"), end));
        place.operator().publish(&publication)
    };
    for ends in [[None, Some(soon)], [Some(soon), None]] {
        let refused = twice(ends).unwrap_err();
        assert_eq!(refused.field(), Some("grants"));
        assert!(refused.to_string().contains("user:ann"), "{refused}");
    }
    let past = SystemTime::now() - Duration::from_secs(1);
    let refused = twice([Some(past); 2]).unwrap_err();
    assert_eq!(refused.field(), Some("grants"), "it ended before it began");
    let published = twice([Some(soon); 2]).unwrap().into_value();
    assert_eq!(place.operator().file(published.id()).unwrap().grants.len(), 1);
}
