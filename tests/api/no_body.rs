//! Operations that take no body: one that is sent is refused, for it would not be heard.

use beneath_tests::api::Api;
use beneath_tests::http::{self, Answer};

use super::{World, problem, publish, text};

const JSON: &str = "Content-Type: application/json\r\n";

/// Of every operation whose document has no body, so that none is forgotten.
#[test]
fn a_body_where_none_is_taken_is_refused_and_nothing_is_done() {
    let world = World::new();
    let admin = world.api("admin");
    let _ = admin.add_group("team");
    let file = publish(&world.api("owner"));
    let _ = admin.change("POST", &format!("/api/v1/files/{file}/links"), None);
    let before = admin.get("/api/v1/links");
    let link_id = text(&before["items"][0]["id"]);
    let names = [
        ("{id}", &*file),
        ("{subject}", "user:granted"),
        ("{link}", &*link_id),
        ("{user}", "stranger"),
        ("{group}", "team"),
    ];
    let document = admin.get("/openapi.json");
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = names
            .iter()
            .fold(path.clone(), |path, (name, value)| path.replace(name, value));
        for (method, operation) in item.as_object().unwrap() {
            if method == "get" || operation.get("requestBody").is_some() {
                continue;
            }
            tried += 1;
            let method = method.to_uppercase();
            for (fields, body) in [
                (JSON, "{}"),
                ("", " "),
                ("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
            ] {
                let answer = send((&world, &admin), &method, &path, fields, body);
                let refused = problem(&answer, 400);
                assert_eq!(refused["detail"], "this takes no body", "{method} {path}");
            }
        }
    }
    assert_eq!(tried, 9);
    let ignored = admin.send("GET", "/api/v1/users/stranger", JSON, "{}");
    assert_eq!(ignored.status, 200, "in a GET it means nothing (RFC 9110 §9.3.1)");
    assert_eq!(admin.get("/api/v1/links"), before);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let member = "/api/v1/groups/team/members/stranger";
    assert_eq!(
        send((&world, &admin), "PUT", member, chunked, "0\r\n\r\n").status,
        200
    );
    assert_eq!(send((&world, &admin), "DELETE", member, JSON, "").status, 200);
}

/// One request that says by itself how long its body is, if that is in chunks.
fn send((world, api): (&World, &Api), method: &str, path: &str, fields: &str, body: &str) -> Answer {
    let authorization = api.authorization().unwrap();
    let length = match fields.starts_with("Transfer-Encoding") {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\
         Connection: close\r\n{length}{fields}\r\n{body}"
    );
    http::exchange(world.service.address(), request)
}
