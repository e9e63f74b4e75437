//! Bodies: exactly the schema, or a problem that names the field.

use serde_json::json;

use super::{World, problem, publish, text};

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn what_is_not_of_the_schema_is_refused_and_the_field_is_named() {
    let world = World::new();
    let admin = world.api("admin");
    let long = format!(
        r#"{{"root":"files","path":"report.txt","name":"{}"}}"#,
        "x".repeat(256)
    );
    let many = format!(
        r#"{{"root":"files","path":"report.txt","grants":[{}]}}"#,
        vec![r#"{"subject":"user:granted"}"#; 101].join(",")
    );
    let deep = format!(r#"{{"root":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    for (body, status, pointer, words) in [
        (
            r#"{"root":"files","path":"report.txt","owner":"admin"}"#,
            422,
            "/owner",
            "unknown field",
        ),
        (
            r#"{"root":"files","path":"report.txt","id":"AAAAAAAAAAAAAAAAAAAAAA"}"#,
            422,
            "/id",
            "unknown field",
        ),
        (
            r#"{"root":"files","path":"report.txt","created":"2026-01-01T00:00:00Z"}"#,
            422,
            "/created",
            "unknown",
        ),
        (
            r#"{"root":"files","path":"report.txt","version":9}"#,
            422,
            "/version",
            "unknown field",
        ),
        (
            r#"{"root":"files","path":"report.txt","a~/b":9}"#,
            422,
            "/a~0~1b",
            "unknown field",
        ),
        (
            r#"{"root":"files","root":"files","path":"report.txt"}"#,
            422,
            "/root",
            "duplicate field",
        ),
        (
            r#"{"root":"files","path":"report.txt","path":"other.txt"}"#,
            422,
            "/path",
            "duplicate field",
        ),
        (r#"{"root":"files"}"#, 422, "/path", "missing field"),
        (
            r#"{"root":7,"path":"report.txt"}"#,
            422,
            "/root",
            "expected a string",
        ),
        (
            r#"{"root":"files","path":["report.txt"]}"#,
            422,
            "/path",
            "expected a string",
        ),
        (
            r#"{"root":"files","path":"report.txt","name":null}"#,
            422,
            "/name",
            "null",
        ),
        (
            r#"{"root":"files","path":"report.txt","pin":"nowhere"}"#,
            422,
            "/pin",
            "path, identity, content",
        ),
        (
            r#"{"root":"files","path":"report.txt","pin":{"path":null}}"#,
            422,
            "/pin",
            "expected a string",
        ),
        (r#"{"root":"files","path":"../report.txt"}"#, 422, "/path", "`..`"),
        (r#"{"root":"files","path":"/etc/passwd"}"#, 422, "/path", "path"),
        (r#"{"root":"files","path":"a\u0000b"}"#, 422, "/path", "NUL"),
        (r#"{"root":"files","path":""}"#, 422, "/path", "empty"),
        (
            r#"{"root":"files","path":"missing"}"#,
            422,
            "/path",
            "no such file",
        ),
        (
            r#"{"root":"other","path":"report.txt"}"#,
            422,
            "/root",
            "no root other",
        ),
        (
            r#"{"root":"files","path":"report.txt","name":"a/b"}"#,
            422,
            "/name",
            "slash",
        ),
        (
            r#"{"root":"files","path":"report.txt","name":""}"#,
            422,
            "/name",
            "empty",
        ),
        (&*long, 422, "/name", "longer than 255"),
        (
            r#"{"root":"files","path":"report.txt","media_type":"text"}"#,
            422,
            "/media_type",
            "media type",
        ),
        (
            r#"{"root":"files","path":"report.txt","media_type":"a/b\r\nX: y"}"#,
            422,
            "/media_type",
            "media type",
        ),
        (
            r#"{"root":"files","path":"report.txt","grants":{}}"#,
            422,
            "/grants",
            "sequence",
        ),
        (
            r#"{"root":"files","path":"report.txt","grants":[["user:granted"]]}"#,
            422,
            "/grants/0",
            "an object",
        ),
        (
            r#"{"root":"files","path":"report.txt","grants":[{"subject":"granted"}]}"#,
            422,
            "/grants/0/subject",
            "user:NAME",
        ),
        (
            r#"{"root":"files","path":"report.txt","grants":[{"subject":"user:granted","x":1}]}"#,
            422,
            "/grants/0/x",
            "unknown",
        ),
        (
            r#"{"root":"files","path":"report.txt","grants":[{"subject":"user:granted","expires":"soon"}]}"#,
            422,
            "/grants/0/expires",
            "2026-12-31T23:59:59Z",
        ),
        (
            r#"{"root":"files","path":"report.txt","grants":[{"subject":"user:granted","expires":"2001-01-01T00:00:00Z"}]}"#,
            422,
            "/grants/0/expires",
            "in the past",
        ),
        (
            r#"{"root":"files","path":"report.txt","grants":[{"subject":"user:granted"},{"subject":"user:granted","expires":"2999-01-01T00:00:00Z"}]}"#,
            422,
            "/grants/1/subject",
            "named twice",
        ),
        (
            r#"{"root":"files","path":"report.txt","grants":[{"subject":"user:granted"},{"subject":"user:unknown"}]}"#,
            422,
            "/grants/1/subject",
            "user:unknown",
        ),
        (&*many, 422, "/grants", "more than 100"),
        (r#"["files","report.txt"]"#, 422, "", "an object"),
        ("null", 422, "", "an object"),
        ("\"x\"", 422, "", "an object"),
        ("", 400, "-", "not JSON"),
        ("{", 400, "-", "not JSON"),
        (r#"{"root":"files","path":"report.txt"} x"#, 400, "-", "trailing"),
        (r#"{"root":"files","path":"report.txt"}{}"#, 400, "-", "trailing"),
        (r#"{"root":"files","path":"report.txt",}"#, 400, "-", "not JSON"),
        ("\u{feff}{}", 400, "-", "not JSON"),
        (&*deep, 422, "/root", "expected a string"),
    ] {
        let answer = admin.send("POST", "/api/v1/files", JSON, body);
        let problem = problem(&answer, status);
        assert_eq!(
            problem["pointer"].as_str().unwrap_or("-"),
            pointer,
            "{body}: {problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{body}: {problem}"
        );
    }
    let files = admin.get("/api/v1/files");
    assert_eq!(files["items"], json!([]), "none of them published anything");
}

#[test]
fn bytes_that_are_no_text_are_no_json() {
    let world = World::new();
    let admin = world.api("admin");
    for body in [
        &b"{\"name\":\"\xff\"}"[..],
        b"\xff\xfe{\0}\0",
        b"\0",
        &[0xc0; 1000],
    ] {
        let _ = problem(&admin.send("POST", "/api/v1/groups", JSON, body), 400);
    }
}

#[test]
fn every_body_of_the_api_takes_its_own_fields_only() {
    let world = World::new();
    let admin = world.api("admin");
    let _ = admin.add_group("team");
    let file = publish(&world.api("owner"));
    let grant = format!("/api/v1/files/{file}/grants/user:granted");
    let links = format!("/api/v1/files/{file}/links");
    for (method, path, body, pointer) in [
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x", "password": "x", "enabled": false}),
            "/enabled",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x", "password": "x", "created": "x"}),
            "/created",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x", "password": "x", "groups": ["team"]}),
            "/groups",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x", "password": "x", "role": "root"}),
            "/role",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "a:b", "password": "x"}),
            "/name",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "", "password": "x"}),
            "/name",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x".repeat(129), "password": "x"}),
            "/name",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x\u{202e}", "password": "x"}),
            "/name",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x", "password": ""}),
            "/password",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x", "password": "x".repeat(1025)}),
            "/password",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x", "password": "a\u{0}b"}),
            "/password",
        ),
        (
            "POST",
            "/api/v1/users",
            json!({"name": "x", "password": 12_345_678}),
            "/password",
        ),
        (
            "PUT",
            "/api/v1/users/granted/role",
            json!({"role": "admin", "name": "x"}),
            "/name",
        ),
        (
            "PUT",
            "/api/v1/users/granted/enabled",
            json!({"enabled": "no"}),
            "/enabled",
        ),
        (
            "PUT",
            "/api/v1/users/granted/enabled",
            json!({"enabled": 0}),
            "/enabled",
        ),
        ("PUT", "/api/v1/users/granted/enabled", json!({}), "/enabled"),
        (
            "PUT",
            "/api/v1/users/granted/password",
            json!({"password": "x", "role": "admin"}),
            "/role",
        ),
        (
            "POST",
            "/api/v1/groups",
            json!({"name": "x", "members": ["granted"]}),
            "/members",
        ),
        ("PUT", &grant, json!({"subject": "user:stranger"}), "/subject"),
        (
            "PUT",
            &grant,
            json!({"expires": "2026-02-31T00:00:00Z"}),
            "/expires",
        ),
        (
            "PUT",
            &grant,
            json!({"expires": "2026-02-03T00:00:00+01:00"}),
            "/expires",
        ),
        ("PUT", &grant, json!({"expires": 1_800_000_000}), "/expires"),
        (
            "PUT",
            &grant,
            json!({"expires": "2001-01-01T00:00:00Z"}),
            "/expires",
        ),
        ("POST", &links, json!({"uses": 0}), "/uses"),
        ("POST", &links, json!({"uses": -1}), "/uses"),
        ("POST", &links, json!({"uses": 2_147_483_648_u64}), "/uses"),
        ("POST", &links, json!({"ttl_seconds": 0}), "/ttl_seconds"),
        ("POST", &links, json!({"ttl_seconds": 2_592_001}), "/ttl_seconds"),
        ("POST", &links, json!({"ttl_seconds": 1.5}), "/ttl_seconds"),
        ("POST", &links, json!({"creator": "granted"}), "/creator"),
    ] {
        let problem = problem(&admin.call(method, path, Some(&body)), 422);
        assert_eq!(problem["pointer"], pointer, "{method} {path} {body}: {problem}");
    }
    for (body, pointer) in [
        (json!({"ttl_seconds": 86_401}), "/ttl_seconds"),
        (json!({"ttl_seconds": 0}), "/ttl_seconds"),
        (json!({"user": "admin"}), "/user"),
        (json!({"expires": "2099-01-01T00:00:00Z"}), "/expires"),
    ] {
        let answer = world
            .basic("stranger")
            .call("POST", "/api/v1/tokens", Some(&body));
        assert_eq!(problem(&answer, 422)["pointer"], pointer, "{body}");
    }
}

#[test]
fn only_json_is_taken_and_not_much_of_it() {
    let world = World::new();
    let admin = world.api("admin");
    let body = r#"{"name":"team"}"#;
    for head in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: application/json-patch+json\r\n",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
    ] {
        let _ = problem(&admin.send("POST", "/api/v1/groups", head, body), 415);
    }
    for (size, status) in [(64 * 1024, 422), (64 * 1024 + 1, 413), (1024 * 1024, 413)] {
        let body = format!("{{\"name\":\"{}\"}}", "x".repeat(size - 11));
        assert_eq!(body.len(), size);
        let _ = problem(&admin.send("POST", "/api/v1/groups", JSON, body), status);
    }
    for (head, name) in [
        ("Content-Type: application/json; charset=utf-8\r\n", "one"),
        ("Content-Type: Application/JSON ;x=y\r\n", "two"),
    ] {
        let body = format!("{{\"name\":\"{name}\"}}");
        assert_eq!(admin.send("POST", "/api/v1/groups", head, body).status, 201);
    }
}

#[test]
fn a_parameter_that_is_not_what_it_has_to_be_is_named() {
    let world = World::new();
    let admin = world.api("admin");
    for (query, parameter, what) in [
        ("/files?limit=0", Some("limit"), "must be 1 to 1000"),
        ("/users?cursor=x", Some("cursor"), ""),
        ("/audit?since=yesterday", Some("since"), ""),
        ("/files?offset=5", Some("offset"), "unknown field `offset`"),
    ] {
        let answer = admin.call("GET", &format!("/api/v1{query}"), None);
        let problem = problem(&answer, 400);
        assert_eq!(problem["parameter"].as_str(), parameter, "{problem}");
        let detail = text(&problem["detail"]);
        assert!(detail.starts_with(what), "{problem}");
        assert!(!detail.contains("deserialize"), "{problem}");
    }
}

#[test]
fn what_stands_in_a_path_or_a_query_is_parsed_too() {
    let world = World::new();
    let admin = world.api("admin");
    for (path, status) in [
        ("/files?limit=0", 400),
        ("/files?limit=1001", 400),
        ("/files?limit=+5", 400),
        ("/files?limit=5&limit=6", 400),
        ("/files?limit=", 400),
        ("/files?cursor=x", 400),
        ("/files?cursor=-1", 400),
        ("/files?cursor=007", 400),
        ("/files?cursor=99999999999999999999", 400),
        ("/files?offset=5", 400),
        ("/files?%ff=1", 400),
        ("/audit?since=yesterday", 400),
        ("/audit?since=2026-01-01T00:00:00Z", 200),
        ("/audit?cursor=9223372036854775807", 200),
        ("/users?limit=1000", 200),
        ("/files/short", 404),
        ("/files/AAAAAAAAAAAAAAAAAAAAAB", 404),
        ("/files/%ff", 404),
        ("/users/%00", 404),
        ("/users/a:b", 404),
        ("/groups/..%2f..", 404),
        ("/nothing", 404),
        ("/", 404),
        ("", 404),
    ] {
        let answer = admin.call("GET", &format!("/api/v1{path}"), None);
        assert_eq!(
            answer.status,
            status,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        if status >= 400 {
            let _ = problem(&answer, status);
        }
    }
    for link in ["0", "-1", "+1", "x", "9223372036854775808"] {
        let _ = problem(&admin.call("DELETE", &format!("/api/v1/links/{link}"), None), 404);
    }
}
