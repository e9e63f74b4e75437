//! Files, grants and links: what is published, changed and taken back.

use beneath_tests::api::{Api, ok};
use beneath_tests::http;
use serde_json::{Value, json};

use super::{World, problem, publish, text};

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn a_file_goes_from_publish_to_download_to_unpublish() {
    let world = World::new();
    let owner = world.api("owner");
    let granted = world.basic("granted");
    let body = json!({
        "root": "files", "path": "report.txt", "name": "Grüße.txt", "media_type": "text/plain", "pin": "content",
        "grants": [{"subject": "user:granted", "expires": "2099-01-01T00:00:00Z"}],
    });
    let answer = owner.call("POST", "/api/v1/files", Some(&body));
    assert_eq!((answer.status, answer.field("etag")), (201, Some("\"1\"")));
    let published = ok(&answer);
    let id = text(&published["file"]["id"]);
    let path = format!("/api/v1/files/{id}");
    assert_eq!(answer.field("location"), Some(path.as_str()));
    assert_eq!(published["change"]["effective"], "acknowledged");
    let file = json!({
        "id": id, "name": "Grüße.txt", "media_type": "text/plain", "size": 2, "pin": "content",
        "disposition": "attachment", "caching": "no-store",
        "sha256": "75a288c0d6898c5f7b054590845978a82a3ad79fcce3d43ff68a7501e5a91ee9",
        "created": published["file"]["created"], "href": format!("/f/{id}/Gr%C3%BC%C3%9Fe.txt"),
    });
    let mut managed = file.clone();
    managed["managed"] = json!({"root": "files", "path": "report.txt", "owner": "owner", "version": 1});
    assert_eq!(published["file"], managed);
    assert_eq!(owner.get(&path), managed);
    assert_eq!(granted.get(&path), file, "a reader does not learn where it lies");
    for list in [granted.get("/api/v1/files"), owner.get("/api/v1/files")] {
        assert_eq!(list, json!({"items": [file], "next": null}));
    }
    assert_eq!(
        world.basic("stranger").get("/api/v1/files"),
        json!({"items": [], "next": null})
    );

    let download = || {
        http::get(
            world.service.address(),
            &text(&file["href"]),
            granted.authorization().unwrap(),
            "",
        )
    };
    assert_eq!(download().body, b"up");
    let effect = owner.unpublish(&id);
    assert_eq!(effect.effective, "acknowledged");
    assert!(effect.revision > published["change"]["revision"].as_u64().unwrap());
    assert_eq!(download().status, 404);
    let _ = problem(&owner.call("GET", &path, None), 404);
    let _ = problem(&owner.call("DELETE", &path, None), 404);
}

#[test]
fn no_update_is_lost() {
    let world = World::new();
    let owner = world.api("owner");
    let id = publish(&owner);
    let path = format!("/api/v1/files/{id}");
    let patch = |if_match: &str, name: &str| {
        let head = format!("{JSON}{if_match}");
        owner.send("PATCH", &path, &head, json!({ "name": name }).to_string())
    };
    let missing = patch("", "a");
    assert!(text(&problem(&missing, 428)["detail"]).contains("If-Match"));
    let first = patch("If-Match: \"1\"\r\n", "first");
    assert_eq!((first.status, first.field("etag")), (200, Some("\"2\"")));
    // Whoever saw version 1, too.
    assert_eq!(
        problem(&patch("If-Match: \"1\"\r\n", "second"), 412)["parameter"],
        "If-Match"
    );
    for (never, status) in [
        ("W/\"2\"", 412),
        ("\"02\"", 412),
        ("\"\"", 412),
        ("\"1\", \"3\"", 412),
        ("2", 400),
        ("", 400),
        ("\"2", 400),
        ("*, \"2\"", 400),
    ] {
        let _ = problem(&patch(&format!("If-Match: {never}\r\n"), "never"), status);
    }
    assert_eq!(owner.get(&path)["name"], "first");
    for (tags, version) in [("\"1\", \"2\"", "\"3\""), ("*", "\"4\"")] {
        let answer = patch(&format!("If-Match: {tags}\r\n"), "again");
        assert_eq!(answer.field("etag"), Some(version));
    }
    // A grant is part of what a version stands for, and honours it.
    let grant = format!("{path}/grants/user:stranger");
    let tag = |path: &str| owner.call("GET", path, None).field("etag").map(str::to_owned);
    assert_eq!(tag(&format!("{path}/grants")).as_deref(), Some("\"4\""));
    let _ = problem(&owner.send("PUT", &grant, "If-Match: \"1\"\r\n", ""), 412);
    assert_eq!(owner.send("PUT", &grant, "If-Match: \"4\"\r\n", "").status, 200);
    assert_eq!(tag(&grant).as_deref(), Some("\"5\""));
    let _ = problem(&owner.send("DELETE", &grant, "If-Match: \"4\"\r\n", ""), 412);
    let _ = problem(&owner.send("DELETE", &path, "If-Match: \"4\"\r\n", ""), 412);
    assert_eq!(owner.send("DELETE", &path, "If-Match: \"5\"\r\n", "").status, 200);
}

#[test]
fn of_two_who_change_the_same_version_one_is_told() {
    let world = World::new();
    let owner = world.api("owner");
    let path = format!("/api/v1/files/{}", publish(&owner));
    for version in 1..=20 {
        let head = format!("{JSON}If-Match: \"{version}\"\r\n");
        let change = |name: &str| {
            owner
                .send("PATCH", &path, &head, json!({ "name": name }).to_string())
                .status
        };
        let mut statuses = std::thread::scope(|scope| {
            let both = [scope.spawn(|| change("one")), scope.spawn(|| change("other"))];
            both.map(|thread| thread.join().unwrap())
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
    }
}

#[test]
fn nobody_sets_what_is_the_servers() {
    let world = World::new();
    let owner = world.api("owner");
    let id = publish(&owner);
    let path = format!("/api/v1/files/{id}");
    let before = owner.get(&path);
    for api in [&owner, &world.api("admin")] {
        for field in [
            "id",
            "owner",
            "root",
            "path",
            "created",
            "size",
            "pin",
            "sha256",
            "version",
            "managed",
            "grants",
            "__proto__",
        ] {
            let body = json!({"name": "x", field: before["id"]}).to_string();
            let answer = api.send("PATCH", &path, &format!("{JSON}If-Match: *\r\n"), body);
            assert_eq!(problem(&answer, 422)["pointer"], format!("/{field}"));
        }
    }
    assert_eq!(owner.get(&path), before);
}

#[test]
fn grants_are_put_and_deleted_as_often_as_one_likes() {
    let world = World::new();
    let owner = world.api("owner");
    let stranger = world.basic("stranger");
    let id = publish(&owner);
    let grants = format!("/api/v1/files/{id}/grants");
    let grant = format!("{grants}/user:stranger");
    let status = || {
        http::get(
            world.service.address(),
            &format!("/f/{id}"),
            stranger.authorization().unwrap(),
            "",
        )
        .status
    };
    for _ in 0..2 {
        let _ = owner.grant(&id, "user:stranger");
        assert_eq!(status(), 200);
    }
    let terms = json!({"expires": "2099-01-01T00:00:00Z"});
    let _ = owner.change("PUT", &grant, Some(&terms));
    let shown = owner.get(&grant);
    assert_eq!(
        (&shown["subject"], &shown["expires"]),
        (&json!("user:stranger"), &terms["expires"])
    );
    let all = owner.get(&grants);
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    for _ in 0..2 {
        let _ = owner.revoke(&id, "user:stranger");
        assert_eq!(status(), 404);
    }
    let _ = problem(&owner.call("GET", &grant, None), 404);
    let _ = problem(&owner.call("PUT", &format!("{grants}/user:unknown"), None), 404);
    let _ = problem(
        &owner.call("DELETE", &format!("{grants}/group:unknown"), None),
        404,
    );
}

#[test]
fn a_link_is_shown_once_listed_and_revoked() {
    let world = World::new();
    let owner = world.api("owner");
    let id = publish(&owner);
    let links = format!("/api/v1/files/{id}/links");
    let made = ok(&owner.call("POST", &links, Some(&json!({"ttl_seconds": 60, "uses": 2}))));
    let href = text(&made["href"]);
    let follow = || Api::anonymous(world.service.address()).call("GET", &href, None);
    assert_eq!(follow().body, b"up");
    for list in [&links, "/api/v1/links"] {
        let list = owner.get(list);
        let link = &list["items"][0];
        assert_eq!(
            (&link["id"], &link["file"], &link["uses"]),
            (&made["id"], &json!(id), &json!(2))
        );
        assert!(!list.to_string().contains(&href[3..]), "the secret is shown once");
    }
    assert_eq!(world.api("publisher").get("/api/v1/links")["items"], json!([]));
    let link = format!("/api/v1/links/{}", text(&made["id"]));
    let _ = problem(&world.api("publisher").call("DELETE", &link, None), 404);
    let _ = owner.change("DELETE", &link, None);
    assert_eq!(follow().status, 404);
    let _ = problem(&owner.call("DELETE", &link, None), 404);
}

#[test]
fn a_cursor_stays_good_while_things_are_added_and_removed() {
    let world = World::new();
    let owner = world.api("owner");
    let mut ids: Vec<_> = (0..7).map(|_| publish(&owner)).collect();
    ids.reverse();
    let page = |cursor: &Value| {
        let cursor = cursor
            .as_str()
            .map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        owner.get(&format!("/api/v1/files?limit=3{cursor}"))
    };
    let seen = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| text(&file["id"]))
            .collect()
    };
    let first = page(&Value::Null);
    let newer = publish(&owner);
    let second = page(&first["next"]);
    let _ = owner.unpublish(&ids[6]);
    let _ = owner.unpublish(&ids[0]);
    let third = page(&second["next"]);
    assert_eq!([seen(&first), seen(&second)].concat(), ids[..6]);
    assert_eq!((seen(&third), &third["next"]), (vec![], &Value::Null));
    assert_eq!(seen(&page(&Value::Null))[0], newer);
}

#[test]
fn a_new_type_is_what_is_served_once_the_change_was_answered() {
    let world = World::new();
    let owner = world.api("owner");
    let id = publish(&owner);
    let granted = world.basic("granted");
    let media_type = || {
        let answer = granted.call("GET", &format!("/f/{id}"), None);
        answer.field("content-type").map(ToOwned::to_owned)
    };
    for round in 0..20 {
        let new = format!("application/x-{round}");
        let _ = media_type();
        let path = format!("/api/v1/files/{id}");
        let fields = "If-Match: *\r\nContent-Type: application/json\r\n";
        let change = json!({"media_type": new}).to_string();
        assert_eq!(owner.send("PATCH", &path, fields, change).status, 200);
        assert_eq!(media_type(), Some(new));
    }
}

#[test]
fn whether_a_file_is_shown_and_kept_is_chosen_and_changed_like_its_name() {
    let world = World::new();
    let owner = world.api("owner");
    let granted = world.basic("granted");
    let body = json!({
        "root": "files", "path": "report.txt", "disposition": "inline", "caching": "revalidate",
        "grants": [{"subject": "user:granted"}],
    });
    let answer = ok(&owner.call("POST", "/api/v1/files", Some(&body)));
    let id = text(&answer["file"]["id"]);
    let path = format!("/api/v1/files/{id}");
    let kind = |file: &Value| (text(&file["disposition"]), text(&file["caching"]));
    let seen = || {
        let [shown, listed] = [granted.get(&path), owner.get("/api/v1/files")["items"][0].clone()];
        assert_eq!(kind(&shown), kind(&listed));
        kind(&shown)
    };
    let said = || {
        let answer = granted.call("GET", &format!("/f/{id}"), None);
        let fields = ["content-disposition", "cache-control"];
        fields.map(|name| answer.field(name).unwrap_or_default().to_owned())
    };
    let (inline, attachment) = (
        "inline; filename=\"report.txt\"",
        "attachment; filename=\"report.txt\"",
    );
    let (keep, forget) = ("private, no-cache", "private, no-store");
    assert_eq!(kind(&answer["file"]), ("inline".into(), "revalidate".into()));
    assert_eq!(seen(), ("inline".into(), "revalidate".into()));
    assert_eq!(said(), [inline, keep]);
    for (version, change, expected) in [
        (1, json!({"disposition": "attachment"}), [attachment, keep]),
        (2, json!({"caching": "no-store"}), [attachment, forget]),
        (3, json!({"media_type": "text/plain"}), [attachment, forget]),
        (
            4,
            json!({"disposition": "inline", "caching": "revalidate"}),
            [inline, keep],
        ),
    ] {
        let fields = format!("{JSON}If-Match: \"{version}\"\r\n");
        let answer = owner.send("PATCH", &path, &fields, change.to_string());
        let next = format!("\"{}\"", version + 1);
        assert_eq!((answer.status, answer.field("etag")), (200, Some(next.as_str())));
        assert_eq!(kind(&ok(&answer)["file"]), seen());
        assert_eq!(said(), expected, "{change}");
        let _ = problem(&owner.send("PATCH", &path, &fields, change.to_string()), 412);
    }
}

#[test]
fn no_other_way_to_show_or_keep_a_file_can_be_asked_for() {
    let world = World::new();
    let owner = world.api("owner");
    let path = format!("/api/v1/files/{}", publish(&owner));
    let before = owner.get(&path);
    for (field, wrong, words) in [
        ("disposition", json!("none"), "attachment, inline"),
        ("disposition", json!("Inline"), "attachment, inline"),
        ("disposition", json!(null), "null"),
        ("disposition", json!(true), "expected a string"),
        ("caching", json!("public"), "no-store, revalidate"),
        ("caching", json!("max-age=60"), "no-store, revalidate"),
        ("caching", json!(null), "null"),
        ("caching", json!(60), "expected a string"),
    ] {
        let published = json!({"root": "files", "path": "report.txt", field: wrong}).to_string();
        for refused in [
            owner.send("POST", "/api/v1/files", JSON, published),
            owner.send(
                "PATCH",
                &path,
                &format!("{JSON}If-Match: *\r\n"),
                json!({ field: wrong }).to_string(),
            ),
        ] {
            let problem = problem(&refused, 422);
            assert_eq!(problem["pointer"], format!("/{field}"), "{problem}");
            assert!(text(&problem["detail"]).contains(words), "{problem}");
        }
    }
    let nothing = owner.send("PATCH", &path, &format!("{JSON}If-Match: *\r\n"), "{}");
    assert!(text(&problem(&nothing, 422)["detail"]).contains("disposition or caching"));
    assert_eq!(owner.get(&path), before);
    assert_eq!(owner.get("/api/v1/files")["items"].as_array().unwrap().len(), 1);
}
