//! Versions of users and groups: of two changes to one state, the second is not made.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use beneath_catalog::{AdminErrorKind, Administration, Catalog, Change, Role};
use common::{Place, basic, group, password, user};

type Act = fn(&Administration<'_>) -> Result<Change<()>, beneath_catalog::AdminError>;

fn version(catalog: &Catalog) -> u64 {
    let operator = catalog.operator(beneath::ambient_authority());
    operator.user(&user("ann")).unwrap().version()
}

fn group_version(catalog: &Catalog) -> u64 {
    let operator = catalog.operator(beneath::ambient_authority());
    operator.group_version(&group("team")).unwrap()
}

/// Each act is refused at a version that was, made at the one that is, and makes another.
fn are_made_at_the_version_that_is(place: &Place, version: fn(&Catalog) -> u64, acts: &[(&str, Act)]) {
    let mut seen = vec![version(&place.catalog)];
    for (what, act) in acts {
        let now = *seen.last().unwrap();
        let others = seen[..seen.len() - 1].iter().copied().chain([0, u64::MAX]);
        let stale = act(&place.operator().at_version(others)).unwrap_err();
        assert_eq!(stale.kind(), AdminErrorKind::Stale, "{what}");
        assert_eq!(version(&place.catalog), now, "{what}: nothing was changed");
        drop(act(&place.operator().at_version([0, now])).unwrap());
        let after = version(&place.catalog);
        assert!(!seen.contains(&after), "{what}");
        assert!((1..=i64::MAX as u64).contains(&after), "as those of files");
        seen.push(after);
    }
}

#[test]
fn a_user_is_changed_only_in_the_state_that_was_named() {
    let place = Place::new();
    place.add_user("ann");
    drop(place.operator().add_group(&group("team")).unwrap());
    are_made_at_the_version_that_is(
        &place,
        version,
        &[
            ("role", |it| it.set_role(&user("ann"), Role::Publisher)),
            ("password", |it| {
                it.set_password(&user("ann"), &password("another"))
            }),
            ("disable", |it| it.disable_user(&user("ann"))),
        ],
    );
    let before = version(&place.catalog);
    drop(place.operator().join_group(&group("team"), &user("ann")).unwrap());
    assert_ne!(version(&place.catalog), before, "the groups are part of it");
    let disabled = version(&place.catalog);
    let enable: Act = |it| it.enable_user(&user("ann"));
    assert!(enable(&place.operator().at_version([before])).is_err());
    drop(enable(&place.operator().at_version([disabled])).unwrap());

    let last = version(&place.catalog);
    let remove: Act = |it| it.remove_user(&user("ann"));
    assert!(remove(&place.operator().at_version([disabled])).is_err());
    drop(remove(&place.operator().at_version([last])).unwrap());
    place.add_user("ann");
    assert_ne!(
        version(&place.catalog),
        last,
        "it is somebody else of the same name"
    );
}

#[test]
fn ones_own_password_is_changed_only_in_the_state_that_was_named() {
    let place = Place::new();
    place.add_user("ann");
    let token = place.bearer("ann", std::time::Duration::from_secs(60));
    let ann = place.catalog.authenticate(&token).unwrap();
    let shown = place.catalog.authenticate(&basic("ann")).unwrap();
    let itself = || place.catalog.administration(&ann);
    let now = itself().user(&user("ann")).unwrap().version();
    let change = |at| {
        itself()
            .at_version([at])
            .set_own_password(&shown, &password("another"))
    };
    assert_eq!(change(now + 1).unwrap_err().kind(), AdminErrorKind::Stale);
    drop(change(now).unwrap());
}

#[test]
fn whoever_may_not_know_of_a_user_does_not_learn_by_a_version_that_there_is_one() {
    let place = Place::new();
    place.add_user("ann");
    place.add_user("bob");
    let token = place.bearer("ann", std::time::Duration::from_secs(60));
    let ann = place.catalog.authenticate(&token).unwrap();
    let stale = place.catalog.administration(&ann).at_version([1]);
    for other in ["bob", "nobody"] {
        let refused = stale.set_password(&user(other), &password("another"));
        assert_eq!(refused.unwrap_err().kind(), AdminErrorKind::NotFound, "{other}");
    }
}

#[test]
fn a_group_is_changed_only_in_the_state_that_was_named() {
    let place = Place::new();
    place.add_user("ann");
    place.add_user("bob");
    drop(place.operator().add_group(&group("team")).unwrap());
    are_made_at_the_version_that_is(
        &place,
        group_version,
        &[
            ("join", |it| it.join_group(&group("team"), &user("ann"))),
            ("join", |it| it.join_group(&group("team"), &user("bob"))),
            ("leave", |it| it.leave_group(&group("team"), &user("ann"))),
        ],
    );
    let last = group_version(&place.catalog);
    drop(place.operator().remove_user(&user("bob")).unwrap());
    let remove: Act = |it| it.remove_group(&group("team"));
    assert!(
        remove(&place.operator().at_version([last])).is_err(),
        "who was removed is in no group"
    );
    let empty = group_version(&place.catalog);
    drop(remove(&place.operator().at_version([empty])).unwrap());
    drop(place.operator().add_group(&group("team")).unwrap());
    assert_ne!(
        group_version(&place.catalog),
        empty,
        "it is another of the same name"
    );
}
