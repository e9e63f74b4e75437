//! Users, groups, tokens and the audit trail.

use beneath_tests::api::{Api, ok};
use beneath_tests::http;
use serde_json::{Value, json};

use super::{World, password, problem, publish, text};

#[test]
fn a_user_is_added_changed_disabled_and_removed() {
    let world = World::new();
    let admin = world.api("admin");
    let user = "/api/v1/users/J%C3%BCrgen%20%2F%20%3F";
    let body = json!({"name": "Jürgen / ?", "password": "one"});
    let added = admin.call("POST", "/api/v1/users", Some(&body));
    assert_eq!((added.status, added.field("location")), (201, Some(user)));
    assert_eq!(admin.get(user)["role"], "reader");
    let again = json!({"name": "JÜRGEN / ?", "password": "one"});
    let _ = problem(&admin.call("POST", "/api/v1/users", Some(&again)), 409);

    let login = |password: &str| {
        Api::basic(world.service.address(), "Jürgen / ?", password)
            .call("GET", user, None)
            .status
    };
    assert_eq!((login("one"), login("two")), (200, 401));
    let _ = admin.set_password("Jürgen / ?", "two");
    assert_eq!((login("one"), login("two")), (401, 200));
    for _ in 0..2 {
        let _ = admin.disable("Jürgen / ?");
        assert_eq!(login("two"), 401);
    }
    for _ in 0..2 {
        let _ = admin.enable("Jürgen / ?");
        assert_eq!(login("two"), 200);
    }
    for _ in 0..2 {
        let _ = admin.set_role("Jürgen / ?", "publisher");
        assert_eq!(admin.get(user)["role"], "publisher");
    }
    let names = |list: &Value| -> Vec<String> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| text(&it["name"]))
            .collect()
    };
    let first = admin.get("/api/v1/users?limit=4");
    let rest = admin.get(&format!("/api/v1/users?limit=4&cursor={}", text(&first["next"])));
    let all = ["Jürgen / ?", "stranger", "granted", "publisher", "owner", "admin"];
    assert_eq!([names(&first), names(&rest)].concat(), all);
    let _ = admin.change("DELETE", user, None);
    assert_eq!(login("two"), 401);
    let _ = problem(&admin.call("DELETE", user, None), 404);
}

#[test]
fn an_owner_is_not_removed() {
    let world = World::new();
    let owner = world.api("owner");
    let id = publish(&owner);
    let admin = world.api("admin");
    let refused = problem(&admin.call("DELETE", "/api/v1/users/owner", None), 409);
    assert!(text(&refused["detail"]).contains("1 published file"), "{refused}");
    let _ = owner.unpublish(&id);
    let _ = admin.change("DELETE", "/api/v1/users/owner", None);
    assert_eq!(
        owner.call("GET", "/api/v1/files", None).status,
        401,
        "their tokens are gone with them"
    );
}

#[test]
fn a_token_is_got_with_a_password_and_ends_when_it_is_told_to() {
    let world = World::new();
    let server = world.service.address();
    let basic = world.basic("granted");
    let answer = basic.call("POST", "/api/v1/tokens", None);
    let made = ok(&answer);
    assert_eq!((answer.status, &made["user"]), (201, &json!("granted")));
    let token = text(&made["token"]);
    assert_eq!(token.len(), 43);
    let bearer = Api::bearer(server, &token);
    let itself = "/api/v1/users/granted";
    assert_eq!(bearer.get(itself)["name"], "granted");
    let by_token = problem(&bearer.call("POST", "/api/v1/tokens", None), 401);
    assert!(
        text(&by_token["detail"]).contains("Basic"),
        "a token does not beget another"
    );

    let _ = bearer.change("DELETE", "/api/v1/tokens/current", None);
    let _ = problem(&bearer.call("GET", itself, None), 401);
    let _ = problem(&bearer.call("DELETE", "/api/v1/tokens/current", None), 401);

    let tokens: Vec<_> = (0..3).map(|_| world.api("granted")).collect();
    let revoked = ok(&tokens[0].call("DELETE", "/api/v1/users/granted/tokens", None));
    assert_eq!(revoked["revoked"], 3);
    for token in &tokens {
        let _ = problem(&token.call("GET", itself, None), 401);
    }

    let token = world.api("granted");
    let own = format!("{itself}/password");
    for body in [
        json!({"password": "another"}),
        json!({"password": "another", "current_password": "guessed"}),
    ] {
        let refused = problem(&token.call("PUT", &own, Some(&body)), 422);
        assert_eq!(
            refused["pointer"], "/current_password",
            "a token alone is not enough"
        );
    }
    let _ = token.set_own_password("granted", &password("granted"), "another");
    let _ = problem(&token.call("GET", itself, None), 401);
    let _ = problem(&world.basic("granted").call("GET", itself, None), 401);
    assert_eq!(
        Api::basic(server, "granted", "another").get(itself)["name"],
        "granted"
    );
}

#[test]
fn an_expired_token_is_none() {
    let world = World::new();
    let made = ok(&world
        .basic("granted")
        .call("POST", "/api/v1/tokens", Some(&json!({"ttl_seconds": 1}))));
    let bearer = Api::bearer(world.service.address(), &text(&made["token"]));
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let _ = problem(&bearer.call("GET", "/api/v1/files", None), 401);
}

#[test]
fn a_group_gives_its_members_what_was_granted_to_it() {
    let world = World::new();
    let admin = world.api("admin");
    let owner = world.api("owner");
    let id = publish(&owner);
    let stranger = world.basic("stranger");
    let status = || {
        http::get(
            world.service.address(),
            &format!("/f/{id}"),
            stranger.authorization().unwrap(),
            "",
        )
        .status
    };
    let team = json!({"name": "team"});
    let added = admin.call("POST", "/api/v1/groups", Some(&team));
    assert_eq!(
        (added.status, added.field("location")),
        (201, Some("/api/v1/groups/team"))
    );
    let _ = problem(
        &admin.call("POST", "/api/v1/groups", Some(&json!({"name": "Team"}))),
        409,
    );
    let _ = owner.grant(&id, "group:team");
    assert_eq!(status(), 404);
    for _ in 0..2 {
        let _ = admin.join("team", "stranger");
        assert_eq!(status(), 200);
    }
    let members = admin.get("/api/v1/groups/team/members");
    assert_eq!(members, json!({"items": [{"user": "stranger"}], "next": null}));
    assert_eq!(admin.get("/api/v1/users/stranger")["groups"], json!(["team"]));
    for _ in 0..2 {
        let _ = admin.leave("team", "stranger");
        assert_eq!(status(), 404);
    }
    let _ = admin.join("team", "stranger");
    assert_eq!(admin.get("/api/v1/groups/team")["name"], "team");
    let _ = admin.change("DELETE", "/api/v1/groups/team", None);
    assert_eq!(status(), 404);
    for (method, path) in [
        ("GET", "/api/v1/groups/team"),
        ("DELETE", "/api/v1/groups/team"),
        ("GET", "/api/v1/groups/team/members"),
        ("PUT", "/api/v1/groups/team/members/stranger"),
        ("DELETE", "/api/v1/groups/team/members/stranger"),
    ] {
        let _ = problem(&admin.call(method, path, None), 404);
    }
    assert_eq!(admin.get("/api/v1/groups"), json!({"items": [], "next": null}));
}

#[test]
fn what_was_done_over_the_api_is_in_the_audit_trail_page_by_page() {
    let world = World::new();
    let owner = world.api("owner");
    let admin = world.api("admin");
    let id = publish(&owner);
    let effect = owner.revoke(&id, "user:granted");
    let mut records = Vec::new();
    let mut path = "/api/v1/audit?limit=3".to_owned();
    loop {
        let page = admin.get(&path);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        records.extend(items.iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/audit?limit=3&cursor={next}");
    }
    let place = |record: &Value| text(&record["place"]).parse::<u64>().unwrap();
    assert!(records.is_sorted_by_key(place), "in the order it was written");
    let revoked = records.iter().find(|record| record["event"] == "revoke").unwrap();
    assert_eq!(revoked["actor"], "user:owner");
    assert_eq!(revoked["object"], format!("{id} user:granted"));
    assert_eq!(revoked["revision"], effect.revision);
    assert_eq!(revoked["outcome"], "done");
    let trail = serde_json::to_string(&records).unwrap();
    assert!(!trail.contains(&password("owner")), "no password is written down");
    assert_eq!(
        admin.get("/api/v1/audit?since=2099-01-01T00:00:00Z")["items"],
        json!([])
    );
}
