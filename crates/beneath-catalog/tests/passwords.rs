//! Passwords that are changed: to hash one is work, which is done for nobody who may not have it done.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use beneath_catalog::AdminErrorKind::{Busy, NotFound, Refused, TokenRequired};
use beneath_catalog::{
    AdminError, Administration, Change, Credentials, Options, Principal, RefusalKind, Role,
};
use common::{Place, basic, eventually, password, user};

/// Takes the one place to hash on, and does not give it back for seconds: to what is as expensive as an imported record may be,
/// somebody shows the longest password there is.
fn keep_hashing(place: &Arc<Place>) {
    let record = format!("slow:$6$rounds=1000000$salt${}.", "a".repeat(85));
    drop(place.operator().import_htpasswd(&record, Role::Reader).unwrap());
    let slow = Arc::clone(place);
    // Nobody waits for it.
    std::thread::spawn(move || {
        let shown = Credentials::basic(b"slow", &[b'x'; 1024]);
        // Whoever looks whether it has begun may be in its way.
        while let Err(refusal) = slow.catalog.authenticate(&shown)
            && matches!(refusal.kind(), RefusalKind::Busy { .. })
        {}
    });
    let nobody = || place.catalog.authenticate(&basic("nobody")).unwrap_err();
    eventually("nothing else is hashed", || {
        matches!(nobody().kind(), RefusalKind::Busy { .. })
    });
}

#[test]
fn whose_password_it_is_is_asked_before_any_is_hashed() {
    let place = Arc::new(Place::with(Options::default().hashing(1, 0)));
    place.add_user_as("root", Role::Admin);
    place.add_user("ann");
    place.add_user("bob");
    let by_token = |name: &str| {
        let token = place.bearer(name, Duration::from_secs(600));
        place.catalog.authenticate(&token).unwrap()
    };
    let by_password = |name: &str| place.catalog.authenticate(&basic(name)).unwrap();
    let [root, ann] = ["root", "ann"].map(by_token);
    let [ann_shown, bob_shown] = ["ann", "bob"].map(by_password);
    let new = password("another");
    let act = |by: &Principal, act: &dyn Fn(Administration<'_>) -> Result<Change<()>, AdminError>| {
        act(place.catalog.administration(by)).unwrap_err().kind()
    };
    let set = |by: &Principal, whose: &str| act(by, &|it| it.set_password(&user(whose), &new));
    let set_own = |by: &Principal, shown: &Principal| act(by, &|it| it.set_own_password(shown, &new));
    let add = |by: &Principal| act(by, &|it| it.add_user(&user("new"), &new, Role::Reader));
    keep_hashing(&place);
    for (whose, told, expected) in [
        ("somebody else's", set(&ann, "bob"), NotFound),
        ("nobody's", set(&root, "nobody"), NotFound),
        ("one's own, by a token alone", set(&ann, "ann"), Refused),
        ("an administrator's own", set(&root, "root"), Refused),
        ("by showing that of another", set_own(&ann, &bob_shown), Refused),
        ("by showing a token again", set_own(&ann, &ann), Refused),
        (
            "somebody else's, by no token",
            set(&ann_shown, "bob"),
            TokenRequired,
        ),
        (
            "one's own, by no token",
            set_own(&ann_shown, &ann_shown),
            TokenRequired,
        ),
        ("a new user's, by a reader", add(&ann), Refused),
        // Who may would have it hashed. Last, so that nobody could have had that before.
        ("somebody else's, by an administrator", set(&root, "bob"), Busy),
        ("one's own", set_own(&ann, &ann_shown), Busy),
        ("a new user's, by an administrator", add(&root), Busy),
    ] {
        assert_eq!(told, expected, "{whose}");
    }
    // Whatever is hashed still keeps the place.
    std::fs::remove_dir_all(place.directory.path()).unwrap();
}
