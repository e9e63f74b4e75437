//! Lists: what is on a page, and what is on it for whom.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::time::Duration;

use beneath_catalog::{AdminErrorKind, Administration, FileId, LinkId, Page, Role};
use common::{Place, user};

/// How many groups there are on a page of this length, and how many on the one after it.
fn pages(operator: &Administration<'_>, limit: usize) -> (usize, Option<usize>) {
    let first = operator.groups(Page::first(limit)).unwrap();
    let second = first.next.map(|next| {
        let page = Page::first(limit).at(next);
        operator.groups(page).unwrap().items.len()
    });
    (first.items.len(), second)
}

#[test]
fn a_page_has_as_much_as_was_asked_for_and_never_nothing_or_more_than_the_most() {
    const THERE: usize = Page::MAX + 7;
    let place = Place::new();
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {THERE})
         INSERT INTO subjects (id, kind) SELECT i, 'group' FROM n;
         INSERT INTO groups (id, name, uniqueness, created) SELECT id, 'group' || id, 'group' || id, 0 FROM subjects;"
    );
    foreign.execute_batch(&sql).unwrap();
    let operator = place.operator();
    assert_eq!(Page::MAX, 1000, "as is documented");
    for (limit, first, second) in [
        (0, 1, 1),
        (1, 1, 1),
        (999, 999, 8),
        (1000, 1000, 7),
        (1001, 1000, 7),
        (THERE, 1000, 7),
        (usize::MAX, 1000, 7),
    ] {
        assert_eq!(pages(&operator, limit), (first, Some(second)), "{limit}");
    }
    foreign.execute("DELETE FROM groups WHERE id <= 7", []).unwrap();
    assert_eq!(pages(&operator, usize::MAX), (1000, None), "there is no more");
}

#[test]
fn the_links_of_a_file_are_everybodys_and_the_links_of_all_files_are_ones_own() {
    let place = Place::new();
    for (name, role) in [
        ("root", Role::Admin),
        ("ann", Role::Publisher),
        ("bob", Role::Publisher),
        ("eve", Role::Reader),
    ] {
        place.add_user_as(name, role);
    }
    let principals = ["root", "ann", "bob", "eve"].map(|name| {
        let token = place.bearer(name, Duration::from_secs(600));
        place.catalog.authenticate(&token).unwrap()
    });
    let [root, ann, bob, eve] = principals.each_ref().map(|it| place.catalog.administration(it));
    let publish = |who: &Administration<'_>, name: &str| -> FileId {
        place.write(name, "content");
        *who.publish(&common::publication(name)).unwrap().value().id()
    };
    let (one, two, other) = (publish(&ann, "one"), publish(&ann, "two"), publish(&bob, "other"));
    let link = |who: &Administration<'_>, file: &FileId| -> LinkId {
        let made = who.create_link(file, Duration::from_secs(600), 1).unwrap();
        made.value().id()
    };
    let operator = place.operator();
    let [ann_one, root_one, ann_two, bob_other, operator_one] = [
        link(&ann, &one),
        link(&root, &one),
        link(&ann, &two),
        link(&bob, &other),
        link(&operator, &one),
    ];
    let everything = vec![operator_one, bob_other, ann_two, root_one, ann_one];
    let of_one = vec![operator_one, root_one, ann_one];
    let (not_found, refused) = (Err(AdminErrorKind::NotFound), Err(AdminErrorKind::Refused));
    for (who, name, file, expected) in [
        (&operator, "operator", None, Ok(everything.clone())),
        (&root, "root", None, Ok(everything)),
        (&ann, "ann", None, Ok(vec![ann_two, ann_one])),
        (&bob, "bob", None, Ok(vec![bob_other])),
        (&eve, "eve", None, refused.clone()),
        (&operator, "operator", Some(&one), Ok(of_one.clone())),
        (&root, "root", Some(&one), Ok(of_one.clone())),
        // Also what others made: who manages the file may revoke it.
        (&ann, "ann", Some(&one), Ok(of_one)),
        (&ann, "ann", Some(&two), Ok(vec![ann_two])),
        (&bob, "bob", Some(&other), Ok(vec![bob_other])),
        (&bob, "bob", Some(&one), not_found.clone()),
        (&ann, "ann", Some(&other), not_found),
        (&eve, "eve", Some(&one), refused),
    ] {
        let seen = who.links(file, Page::default());
        let seen = seen.map(|links| links.items.iter().map(|link| link.id).collect::<Vec<_>>());
        assert_eq!(seen.map_err(|error| error.kind()), expected, "{name} {file:?}");
    }
    let creators = operator.links(Some(&one), Page::default()).unwrap().items;
    let creators: Vec<_> = creators.into_iter().map(|link| link.creator).collect();
    assert_eq!(creators, [None, Some(user("root")), Some(user("ann"))]);
}
