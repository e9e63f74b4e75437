//! Who may what: every operation, asked for by everybody.

use beneath_tests::api::{Api, ok};
use serde_json::{Value, json};

use super::{World, publish};

/// Who asks, in the order of the columns.
const CALLERS: [&str; 6] = ["nobody", "stranger", "granted", "publisher", "owner", "admin"];

struct Row(&'static str, &'static str, Option<Value>, [u16; 6]);

/// `FILE` is a file of the owner granted to `granted`, `LINK` a link of the owner to it.
fn rows() -> Vec<Row> {
    let publication = json!({"root": "files", "path": "other.txt"});
    let not_there = json!({"root": "files", "path": "missing.txt"});
    let user = json!({"name": "new", "password": "secret"});
    let admins = [401, 403, 403, 403, 403, 200];
    let publishers = [401, 403, 403, 200, 200, 200];
    let managers = [401, 403, 403, 404, 200, 200];
    let may =
        |statuses: [u16; 6], done: u16| statuses.map(|status| if status == 200 { done } else { status });
    vec![
        Row("GET", "/files", None, [401, 200, 200, 200, 200, 200]),
        Row("GET", "/files/FILE", None, [401, 404, 200, 404, 200, 200]),
        Row(
            "GET",
            "/files/AAAAAAAAAAAAAAAAAAAAAA",
            None,
            [401, 404, 404, 404, 404, 404],
        ),
        Row("GET", "/files/FILE/grants", None, managers),
        Row("GET", "/files/FILE/grants/user:granted", None, managers),
        Row("GET", "/files/FILE/links", None, managers),
        Row("GET", "/links", None, publishers),
        Row("GET", "/users", None, admins),
        Row("GET", "/users/granted", None, [401, 404, 200, 404, 404, 200]),
        Row("GET", "/groups", None, admins),
        Row("GET", "/groups/team", None, admins),
        Row("GET", "/groups/team/members", None, admins),
        Row("GET", "/audit", None, admins),
        Row("POST", "/files", Some(publication), may(publishers, 201)),
        Row("POST", "/files", Some(not_there), may(publishers, 422)),
        Row(
            "PUT",
            "/files/FILE/grants/user:stranger",
            Some(json!({})),
            managers,
        ),
        Row("DELETE", "/files/FILE/grants/user:granted", None, managers),
        Row(
            "POST",
            "/files/FILE/links",
            Some(json!({"uses": 2})),
            may(managers, 201),
        ),
        Row("DELETE", "/links/LINK", None, managers),
        Row("DELETE", "/files/FILE", None, managers),
        Row("POST", "/users", Some(user), may(admins, 201)),
        Row("PUT", "/users/new/role", Some(json!({"role": "admin"})), admins),
        Row(
            "PUT",
            "/users/new/enabled",
            Some(json!({"enabled": false})),
            admins,
        ),
        Row(
            "PUT",
            "/users/new/password",
            Some(json!({"password": "x"})),
            [401, 404, 404, 404, 404, 200],
        ),
        Row(
            "DELETE",
            "/users/new/tokens",
            None,
            [401, 404, 404, 404, 404, 200],
        ),
        Row("DELETE", "/users/new", None, admins),
        Row(
            "POST",
            "/groups",
            Some(json!({"name": "fresh"})),
            may(admins, 201),
        ),
        Row("DELETE", "/groups/fresh", None, admins),
        Row("PUT", "/groups/team/members/granted", None, admins),
        Row("DELETE", "/groups/team/members/granted", None, admins),
    ]
}

#[test]
fn each_role_may_what_it_may_and_nothing_more() {
    let world = World::new();
    let callers = CALLERS.map(|name| world.api(name));
    let [.., owner, admin] = &callers;
    let _ = admin.add_group("team");
    for Row(method, path, body, expected) in rows() {
        for ((name, caller), expected) in CALLERS.iter().zip(&callers).zip(expected) {
            let path = fresh(owner, path);
            let answer = caller.call(method, &path, body.as_ref());
            let said = String::from_utf8_lossy(&answer.body);
            assert_eq!(answer.status, expected, "{name}: {method} {path}: {said}");
            assert_eq!(answer.field("cache-control"), Some("private, no-store"), "{path}");
            assert_eq!(answer.field("vary"), Some("authorization"), "{path}");
            assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{path}");
            let challenges: Vec<_> = answer.fields("www-authenticate").collect();
            let expected: &[&str] = match (expected, method) {
                (401, "GET") => &[
                    r#"Basic realm="beneath", charset="UTF-8""#,
                    r#"Bearer realm="beneath""#,
                ],
                (401, _) => &[r#"Bearer realm="beneath""#],
                _ => &[],
            };
            assert_eq!(challenges, expected, "{name}: {method} {path}");
        }
    }
}

#[test]
fn a_password_changes_nothing_whoever_it_is_from() {
    let world = World::new();
    let admin = world.api("admin");
    let owner = world.api("owner");
    let _ = admin.add_group("team");
    let file = publish(&owner);
    let basic = world.basic("admin");
    let revision = |api: &Api| {
        api.get("/api/v1/audit?limit=1000")["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|record| record["outcome"] == "done")
            .count()
    };
    let before = revision(&admin);
    for Row(method, path, body, _) in rows() {
        if method == "GET" {
            continue;
        }
        let path = format!("/api/v1{}", path.replace("FILE", &file).replace("LINK", "1"));
        let answer = basic.call(method, &path, body.as_ref());
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(
            answer.field("www-authenticate"),
            Some(r#"Bearer realm="beneath""#)
        );
        let wrong = Api::basic(world.service.address(), "admin", "wrong").call(method, &path, body.as_ref());
        assert_eq!(
            wrong.without_date(),
            answer.without_date(),
            "no password is tried here"
        );
    }
    assert_eq!(revision(&admin), before, "nothing was done");
}

#[test]
fn what_is_not_theirs_looks_like_what_is_not_there() {
    let world = World::new();
    let file = publish(&world.api("owner"));
    let nothing = "AAAAAAAAAAAAAAAAAAAAAA";
    let publisher = world.api("publisher");
    for (method, path, body) in [
        ("GET", "/files/FILE", None),
        ("GET", "/files/FILE/grants", None),
        ("DELETE", "/files/FILE", None),
        ("PUT", "/files/FILE/grants/user:publisher", Some(json!({}))),
        ("DELETE", "/files/FILE/grants/user:nobody", None),
        ("POST", "/files/FILE/links", Some(json!({}))),
    ] {
        let ask = |id: &str| {
            let path = format!("/api/v1{}", path.replace("FILE", id));
            let mut answer = publisher.call(method, &path, body.as_ref()).without_date();
            answer.body = String::from_utf8(answer.body).unwrap().replace(id, "ID").into();
            answer
        };
        assert_eq!(ask(&file), ask(nothing), "{method} {path}");
    }
    let path = format!("/api/v1/files/{file}");
    let stale = publisher.send(
        "PATCH",
        &path,
        "If-Match: \"77\"\r\nContent-Type: application/json\r\n",
        "{\"name\":\"x\"}",
    );
    assert_eq!(stale.status, 404, "not even that it was changed since");
}

/// Something to act on.
fn fresh(owner: &Api, path: &str) -> String {
    let mut path = format!("/api/v1{path}");
    if path.contains("FILE") || path.contains("LINK") {
        let file = publish(owner);
        if path.contains("LINK") {
            let link = ok(&owner.call("POST", &format!("/api/v1/files/{file}/links"), None));
            path = path.replace("LINK", link["id"].as_str().unwrap());
        }
        path = path.replace("FILE", &file);
    }
    path
}

#[test]
fn a_page_of_another_site_gets_no_token_for_the_password_that_a_browser_attaches() {
    let world = World::new();
    let reader = world.basic("granted");
    for (fields, status) in [
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Sec-Fetch-Site: same-site\r\n", 403),
        ("Sec-Fetch-Site: same-origin\r\n", 201),
        ("Sec-Fetch-Site: none\r\n", 201),
        // What some browsers say instead.
        ("Origin: http://elsewhere\r\n", 403),
        ("Origin: http://elsewhere/localhost\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: http://localhost\r\n", 201),
        ("Origin: http://elsewhere\r\nSec-Fetch-Site: same-origin\r\n", 201),
    ] {
        let answer = reader.send("POST", "/api/v1/tokens", fields, "");
        assert_eq!(answer.status, status, "{fields}");
    }
}
