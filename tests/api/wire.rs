//! What holds for every answer: methods, conditions, the document, who is let in at all.

use beneath_tests::api::{Api, ok};
use serde_json::Value;

use super::{World, problem, publish, text};

#[test]
fn a_method_that_is_not_there_is_told_which_ones_are() {
    let world = World::new();
    let admin = world.api("admin");
    for (method, path, allow) in [
        ("PUT", "/api/v1/files", "GET,HEAD,POST"),
        (
            "POST",
            "/api/v1/files/AAAAAAAAAAAAAAAAAAAAAA",
            "GET,HEAD,PATCH,DELETE",
        ),
        ("GET", "/api/v1/tokens", "POST"),
        ("POST", "/api/v1/audit", "GET,HEAD"),
        ("OPTIONS", "/api/v1/files", "GET,HEAD,POST"),
        ("PROPFIND", "/api/v1/users", "GET,HEAD,POST"),
    ] {
        let answer = admin.call(method, path, None);
        let _ = problem(&answer, 405);
        assert_eq!(answer.field("allow"), Some(allow), "{method} {path}");
    }
    let other_site = "Origin: https://evil.example\r\nAccess-Control-Request-Method: DELETE\r\n";
    let answer = admin.send("OPTIONS", "/api/v1/files", other_site, "");
    assert_eq!(answer.fields("access-control-allow-origin").count(), 0, "no CORS");
}

#[test]
fn a_client_that_has_what_there_is_gets_nothing_again() {
    let world = World::new();
    let admin = world.api("admin");
    let id = publish(&world.api("owner"));
    let _ = admin.add_group("team");
    for path in [
        format!("/api/v1/files/{id}"),
        format!("/api/v1/files/{id}/grants"),
        format!("/api/v1/files/{id}/grants/user:granted"),
        "/api/v1/users/granted".to_owned(),
        "/api/v1/groups/team".to_owned(),
    ] {
        let whole = admin.call("GET", &path, None);
        let etag = whole.field("etag").expect("every resource has one").to_owned();
        for condition in [etag.clone(), format!("W/{etag}, \"x\""), "*".to_owned()] {
            let answer = admin.send("GET", &path, &format!("If-None-Match: {condition}\r\n"), "");
            assert_eq!(
                (answer.status, answer.field("etag")),
                (304, Some(&*etag)),
                "{path} {condition}"
            );
            assert_eq!(
                answer.fields("content-length").count(),
                0,
                "{path}: that of the 200 would be another"
            );
            assert_eq!(answer.fields("transfer-encoding").count(), 0, "{path}");
        }
        for condition in ["\"x\"", "nonsense"] {
            let answer = admin.send("GET", &path, &format!("If-None-Match: {condition}\r\n"), "");
            assert_eq!(
                (answer.status, answer.body),
                (200, whole.body.clone()),
                "{path} {condition}"
            );
        }
        let head = admin.send("HEAD", &path, "", "");
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.field("content-length"), whole.field("content-length"));
    }
    let reader = world.basic("granted");
    let path = format!("/api/v1/files/{id}");
    let managed = admin.call("GET", &path, None);
    let granted = reader.call("GET", &path, None);
    assert_ne!(
        granted.field("etag"),
        managed.field("etag"),
        "they see different things"
    );
}

#[test]
fn users_and_groups_are_changed_only_in_the_state_that_was_seen() {
    let world = World::new();
    let admin = world.api("admin");
    let _ = admin.add_group("team");
    let etag = |path: &str| admin.call("GET", path, None).field("etag").unwrap().to_owned();
    let (user, group) = ("/api/v1/users/stranger", "/api/v1/groups/team");
    for (of, method, path, body) in [
        (user, "PUT", "/role", r#"{"role": "publisher"}"#),
        (user, "PUT", "/enabled", r#"{"enabled": false}"#),
        (user, "PUT", "/password", r#"{"password": "another"}"#),
        (group, "PUT", "/members/granted", ""),
        (group, "DELETE", "/members/granted", ""),
        (user, "DELETE", "", ""),
        (group, "DELETE", "", ""),
    ] {
        let seen = etag(of);
        let json = "Content-Type: application/json\r\n";
        let send = |tags: &str| {
            let head = format!("{json}If-Match: {tags}\r\n");
            admin.send(method, &format!("{of}{path}"), &head, body)
        };
        for other in ["\"1\"".to_owned(), format!("W/{seen}")] {
            let refused = problem(&send(&other), 412);
            assert_eq!(refused["parameter"], "If-Match", "{method} {of}{path}");
        }
        assert_eq!(etag(of), seen, "{method} {of}{path}: nothing was changed");
        assert_eq!(send(&seen).status, 200, "{method} {of}{path}");
        let again = send(&seen).status;
        let gone = path.is_empty();
        assert_eq!(again, if gone { 404 } else { 412 }, "{method} {of}{path}");
        assert_eq!(
            send("*").status,
            if gone { 404 } else { 200 },
            "{method} {of}{path}"
        );
    }
}

#[test]
fn a_condition_that_cannot_be_kept_is_refused_not_ignored() {
    let world = World::new();
    let admin = world.api("admin");
    for (field, path) in [
        ("If-Match: \"1\"", "/api/v1/users/granted/tokens"),
        ("If-None-Match: *", "/api/v1/users/granted"),
        (
            "If-Unmodified-Since: Mon, 23 Nov 2026 08:00:00 GMT",
            "/api/v1/files/AAAAAAAAAAAAAAAAAAAAAA",
        ),
    ] {
        let refused = problem(&admin.send("DELETE", path, &format!("{field}\r\n"), ""), 400);
        assert_eq!(refused["parameter"], field.split(':').next().unwrap());
    }
    assert_eq!(admin.get("/api/v1/users/granted")["name"], "granted");
}

#[test]
fn credentials_that_are_none_all_look_the_same() {
    let world = World::new();
    let server = world.service.address();
    let none = Api::anonymous(server)
        .call("GET", "/api/v1/files", None)
        .without_date();
    assert_eq!(problem(&none, 401)["title"], "Unauthorized");
    for authorization in [
        "",
        "Basic",
        "Basic !",
        "Bearer",
        "Bearer a b",
        "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Digest username=\"admin\"",
        "Basic YWRtaW46d3Jvbmc=",
        "Basic bm9ib2R5Ondyb25n",
    ] {
        let answer = Api::with(server, authorization.to_owned()).call("GET", "/api/v1/files", None);
        assert_eq!(answer.without_date(), none, "{authorization}");
    }
    let twice = world
        .basic("admin")
        .send("GET", "/api/v1/files", "Authorization: Bearer x\r\n", "");
    assert_eq!(problem(&twice, 400)["parameter"], "Authorization");
}

#[test]
fn too_many_wrong_passwords_are_told_to_wait_and_a_token_goes_on() {
    let world = World::new();
    let server = world.service.address();
    let admin = world.api("admin");
    let guess = || Api::basic(server, "stranger", "guess").call("GET", "/api/v1/files", None);
    let slowed = (0..60)
        .map(|_| guess())
        .find(|answer| answer.status != 401)
        .expect("guessing is slowed down");
    let _ = problem(&slowed, 429);
    assert!(slowed.field("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(admin.call("GET", "/api/v1/files", None).status, 200);
}

#[test]
fn the_document_names_every_operation_and_what_each_can_answer() {
    let world = World::new();
    let document = ok(&Api::anonymous(world.service.address()).call("GET", "/openapi.json", None));
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let statuses: Vec<_> = operation["responses"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            for status in ["400", "401", "403", "429", "503"] {
                assert!(
                    statuses.contains(&status),
                    "{method} {path} does not say {status}"
                );
            }
            assert_eq!(path.contains('{'), statuses.contains(&"404"), "{method} {path}");
            let schemes: Vec<_> = operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|scheme| scheme.as_object().unwrap().keys().map(String::as_str))
                .collect();
            let expected: &[&str] = match (method.as_str(), path.as_str()) {
                ("get", _) => &["basic", "bearer"],
                (_, "/api/v1/tokens") => &["basic"],
                _ => &["bearer"],
            };
            assert_eq!(schemes, expected, "{method} {path}");
            operations.push(text(&operation["operationId"]));
        }
    }
    operations.sort_unstable();
    let count = operations.len();
    operations.dedup();
    assert_eq!((operations.len(), count), (31, 31), "each has an ID of its own");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "NewFile",
        "FileChange",
        "NewGrant",
        "GrantTerms",
        "NewLink",
        "NewUser",
        "NewPassword",
        "NewRole",
        "NewGroup",
        "NewToken",
        "Enabled",
    ] {
        assert_eq!(
            schemas[name]["additionalProperties"],
            Value::Bool(false),
            "{name}"
        );
    }
}
