//! `ServeRoot` as a web server: what it answers where nothing is wrong, in axum and in bare hyper, over HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use crate::support::{
    PATIENCE, Reply, Stack, Tree, get, h2_get, h2_request, h2_with, handler, request, serve,
};
use axum::Router;
use beneath::{Policy, RelPath, Root, Symlinks, ambient_authority};
use beneath_http::{BareRanges, Coding, FileResponse, ServeRoot};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Empty};
use tower::ServiceExt as _;

const BOTH: [Stack; 2] = [Stack::Axum, Stack::Hyper];

fn root(tree: &Tree) -> Arc<Root> {
    Arc::new(Root::open_ambient(tree.root(), ambient_authority()).unwrap())
}

fn site(files: ServeRoot) -> SocketAddr {
    serve(Router::new().fallback_service(files))
}

#[track_caller]
fn assert_file(reply: &Reply, media_type: &str, body: &str) {
    assert_eq!(reply.status, 200, "{}", reply.head);
    assert_eq!(reply.field("content-type"), media_type, "{}", reply.head);
    assert_eq!(reply.field("content-length"), body.len().to_string());
    assert_eq!(reply.body, body.as_bytes());
}

#[test]
fn a_path_names_a_file_and_a_slash_its_index() {
    let tree = Tree::new();
    tree.file("index.html", "home")
        .file("a/index.html", "a")
        .file("a/b.css", "b")
        .file("café 1+1.txt", "c");
    for stack in BOTH {
        let addr = stack.serve(&tree.root());
        assert_file(&get(addr, "/", &[]), "text/html", "home");
        assert_file(&get(addr, "/index.html", &[]), "text/html", "home");
        assert_file(&get(addr, "/?query=/../x", &[]), "text/html", "home");
        assert_file(&get(addr, "/a/", &[]), "text/html", "a");
        assert_file(&get(addr, "/a/b.css?v=2", &[]), "text/css", "b");
        assert_file(&get(addr, "/caf%C3%A9%201+1.txt", &[]), "text/plain", "c");
        assert_file(&get(addr, "/%61/%62.css", &[]), "text/css", "b");
        get(addr, "/caf%C3%A9%201%201.txt", &[]).assert_refused("a plus is a plus");
    }
}

#[test]
fn a_web_page_is_shown_and_may_run() {
    let tree = Tree::new();
    tree.file("index.html", "<script src=x.js></script>")
        .file("x.js", "x")
        .file("x.svg", "<svg/>");
    let addr = Stack::Axum.serve(&tree.root());
    for (target, media_type) in [
        ("/", "text/html"),
        ("/x.js", "text/javascript"),
        ("/x.svg", "image/svg+xml"),
    ] {
        let reply = get(addr, target, &[]);
        assert_eq!(reply.field("content-type"), media_type);
        assert_eq!(reply.field("content-disposition"), "");
        assert_eq!(reply.field("content-security-policy"), "");
        assert_eq!(reply.field("x-content-type-options"), "nosniff");
    }
}

#[test]
fn text_is_said_to_be_utf8_where_the_operator_knows() {
    let tree = Tree::new();
    tree.file("index.html", "é")
        .file("x.png", "png")
        .file("x.js", "x");
    let addr = site(ServeRoot::new(root(&tree)).text_is_utf8());
    for (target, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/x.png", "image/png"),
        ("/x.js", "text/javascript; charset=utf-8"),
    ] {
        assert_eq!(get(addr, target, &[]).field("content-type"), media_type);
    }
}

#[test]
fn the_index_is_of_any_name_or_of_none() {
    let tree = Tree::new();
    tree.file("index.html", "html")
        .file("default.htm", "htm")
        .file("d/default.htm", "d");
    let addr = site(ServeRoot::new(root(&tree)).index(RelPath::parse("default.htm").unwrap()));
    assert_file(&get(addr, "/", &[]), "text/html", "htm");
    assert_eq!(get(addr, "/d", &[]).field("location"), "./d/");
    let addr = site(ServeRoot::new(root(&tree)).index(None));
    for target in ["/", "/d", "/d/"] {
        get(addr, target, &[]).assert_refused(target);
    }
    assert_file(&get(addr, "/index.html", &[]), "text/html", "html");
}

#[test]
fn the_redirect_to_a_directory_works_under_any_prefix() {
    let tree = Tree::new();
    tree.file("d/index.html", "d");
    let addr = serve(Router::new().nest_service("/files", ServeRoot::new(root(&tree))));
    let reply = request(addr, "HEAD", "/files/d", &[]);
    // RFC 3986 §5.2: relative to `/files/d` this is `/files/d/`, which the service never saw.
    assert_eq!((reply.status, reply.field("location")), (307, "./d/"));
    assert_file(&get(addr, "/files/d/", &[]), "text/html", "d");
}

#[test]
fn a_precompressed_sibling_is_sent_to_whom_accepts_it() {
    let tree = Tree::new();
    tree.file("a.css", "identity")
        .file("a.css.gz", "gz")
        .file("a.css.br", "br")
        .file("a.css.zst", "zst")
        .file("d/index.html", "page")
        .file("d/index.html.gz", "gz page");
    for stack in BOTH {
        let addr = stack.serve(&tree.root());
        for (accept, coding, body) in [
            ("gzip", "gzip", "gz"),
            ("br, gzip, zstd", "br", "br"),
            ("zstd;q=1, br;q=0.9", "zstd", "zst"),
            ("gzip;q=0, *;q=0.5", "br", "br"),
            ("gzip;q=0", "", "identity"),
            ("identity, gzip;q=0.9", "", "identity"),
            ("deflate, compress", "", "identity"),
            ("", "", "identity"),
            ("gzip;q=junk", "", "identity"),
        ] {
            let reply = get(addr, "/a.css", &[&format!("Accept-Encoding: {accept}")]);
            assert_eq!(reply.field("content-encoding"), coding, "{accept}");
            assert_file(&reply, "text/css", body);
        }
        assert_file(
            &get(addr, "/d/", &["Accept-Encoding: gzip"]),
            "text/html",
            "gz page",
        );
        // A sibling asked for by its own name is itself.
        let reply = get(addr, "/a.css.gz", &["Accept-Encoding: gzip"]);
        assert_eq!(
            (reply.field("content-encoding"), reply.field("content-type")),
            ("", "application/gzip")
        );
    }
}

#[test]
fn siblings_are_not_looked_for_unasked() {
    let tree = Tree::new();
    tree.file("a.css", "identity")
        .file("a.css.gz", "gz")
        .file("only.css.br", "br");
    let reply = get(
        site(ServeRoot::new(root(&tree))),
        "/a.css",
        &["Accept-Encoding: gzip"],
    );
    assert_eq!((reply.field("vary"), reply.field("content-encoding")), ("", ""));
    let gzip = site(ServeRoot::new(root(&tree)).precompressed([Coding::Gzip]));
    assert_eq!(
        get(gzip, "/a.css", &["Accept-Encoding: br, gzip"]).field("content-encoding"),
        "gzip"
    );
    get(gzip, "/only.css", &["Accept-Encoding: br"]).assert_refused("a coding that is not offered");
}

#[test]
fn what_no_coding_fits_is_406_and_what_is_not_there_404() {
    let tree = Tree::new();
    tree.file("a.css", "identity");
    let addr = Stack::Axum.serve(&tree.root());
    for accept in ["identity;q=0", "*;q=0", "gzip, identity;q=0", "br, *;q=0"] {
        let field = format!("Accept-Encoding: {accept}");
        assert_eq!(get(addr, "/a.css", &[&field]).status, 406, "{accept}");
        assert_eq!(get(addr, "/missing.css", &[&field]).status, 404, "{accept}");
    }
}

#[test]
fn cache_control_is_said_of_files_and_not_of_refusals() {
    let tree = Tree::new();
    tree.file("x", "x");
    let value = HeaderValue::from_static("public, max-age=3600, immutable");
    let addr = site(ServeRoot::new(root(&tree)).cache_control(value));
    let reply = get(addr, "/x", &[]);
    assert_eq!(reply.field("cache-control"), "public, max-age=3600, immutable");
    assert_eq!(
        get(addr, "/x", &["If-None-Match: *"]).field("cache-control"),
        "public, max-age=3600, immutable"
    );
    assert_eq!(get(addr, "/missing", &[]).field("cache-control"), "no-store");
    // Whoever asks without them must not be given these from a cache.
    for (line, status) in [("If-Match: \"x\"", 412), ("Range: bytes=1-", 416)] {
        let reply = get(addr, "/x", &[line]);
        assert_eq!(
            (reply.status, reply.field("cache-control")),
            (status, "no-store"),
            "{line}"
        );
        assert_ne!(reply.field("etag"), "", "{line}");
    }
}

#[test]
fn a_directory_is_told_by_its_index_in_any_form_that_is_accepted() {
    let tree = Tree::new();
    tree.file("d/index.html.br", "b");
    let addr = site(ServeRoot::new(root(&tree)).precompressed([Coding::Brotli]));
    assert_eq!(get(addr, "/d", &["Accept-Encoding: br"]).status, 307);
    assert_eq!(get(addr, "/d/", &["Accept-Encoding: br"]).status, 200);
    get(addr, "/d", &[]).assert_refused("in no form that is accepted");
}

#[test]
fn what_has_no_length_is_not_sent_as_empty() {
    let proc = Root::open_ambient("/proc", ambient_authority()).unwrap();
    let reply = get(site(ServeRoot::new(Arc::new(proc))), "/version", &[]);
    assert_eq!((reply.status, reply.field("etag")), (500, ""), "{}", reply.head);
}

#[test]
fn several_ranges_of_what_has_to_be_decoded_are_the_whole() {
    let tree = Tree::new();
    tree.file("x", "0123456789").file("x.gz", "0123456789");
    let addr = site(ServeRoot::new(root(&tree)).precompressed([Coding::Gzip]));
    let range = "Range: bytes=0-1,5-6";
    assert_eq!(get(addr, "/x", &[range]).status, 206, "the control");
    let reply = get(addr, "/x", &[range, "Accept-Encoding: gzip"]);
    assert_eq!((reply.status, reply.field("content-encoding")), (200, "gzip"));
    let one = get(addr, "/x", &["Range: bytes=0-1", "Accept-Encoding: gzip"]);
    assert_eq!((one.status, &*one.body), (206, &b"01"[..]));
}

#[test]
fn who_only_changed_attributes_replaced_nothing_and_players_seek_whatever_happened() {
    const FROM: &str = "Range: bytes=3-";
    let tree = Tree::new();
    tree.file("v.mp4", "version one");
    let [strict, lenient] = [BareRanges::FromTheStart, BareRanges::Serve]
        .map(|bare_ranges| site(ServeRoot::new(root(&tree)).bare_ranges(bare_ranges)));
    for addr in [strict, lenient] {
        assert_eq!(get(addr, "/v.mp4", &[]).status, 200);
    }
    let path = tree.root().join("v.mp4");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::hard_link(&path, tree.root().join("backup")).unwrap();
    assert_eq!(get(strict, "/v.mp4", &[FROM]).status, 206);
    tree.file("new", "version two");
    std::fs::rename(tree.root().join("new"), &path).unwrap();
    assert_eq!(get(strict, "/v.mp4", &[FROM]).status, 428, "the control");
    assert_eq!(
        get(strict, "/v.mp4", &[FROM, "Sec-Fetch-Dest: video"]).status,
        206
    );
    assert_eq!(
        get(strict, "/v.mp4", &[FROM, "Sec-Fetch-Dest: document"]).status,
        428
    );
    assert_eq!(get(lenient, "/v.mp4", &[FROM]).status, 206);
}

#[test]
fn the_policy_of_the_root_decides_about_links() {
    let tree = Tree::new();
    tree.file("x", "x")
        .link("inside", "x")
        .link("outside", tree.secret());
    let policy = Policy::default().symlinks(Symlinks::Beneath);
    let root = Root::open_ambient_with(tree.root(), policy, ambient_authority()).unwrap();
    let addr = site(ServeRoot::new(Arc::new(root)));
    assert_eq!(get(addr, "/inside", &[]).body, b"x");
    get(addr, "/outside", &[]).assert_refused("/outside");
}

#[test]
fn a_directory_that_may_only_be_searched_is_served_and_found() {
    let tree = Tree::new();
    tree.file("d/index.html", "d");
    std::fs::set_permissions(tree.root().join("d"), std::fs::Permissions::from_mode(0o711)).unwrap();
    let addr = Stack::Axum.serve(&tree.root());
    assert_eq!(get(addr, "/d/", &[]).body, b"d");
    assert_eq!(get(addr, "/d", &[]).status, 307);
}

#[test]
fn http_2_gets_the_same_answers() {
    let tree = Tree::new();
    tree.file("index.html", "home")
        .file("a.css", "identity")
        .file("a.css.gz", "gz")
        .link("l", tree.secret())
        .file("empty", "");
    for stack in BOTH {
        let addr = stack.serve(&tree.root());
        let whole = h2_get(addr, "/", &[]);
        assert_eq!(
            (whole.status, &*whole.body, whole.complete),
            (StatusCode::OK, &b"home"[..], true)
        );
        let part = h2_get(
            addr,
            "/a.css",
            &[("accept-encoding", "gzip"), ("range", "bytes=-1")],
        );
        assert_eq!(
            (part.status, &*part.body),
            (StatusCode::PARTIAL_CONTENT, &b"z"[..])
        );
        assert_eq!(part.headers["vary"], "accept-encoding");
        let not_modified = h2_get(addr, "/a.css", &[("if-none-match", "*")]);
        assert_eq!(
            (not_modified.status, not_modified.body.len()),
            (StatusCode::NOT_MODIFIED, 0)
        );
        assert_eq!(h2_get(addr, "/empty", &[]).headers["content-length"], "0");
        for target in [
            "/l",
            "/../outside/secret.txt",
            "/%2e%2e/outside/secret.txt",
            "//",
            "/%00",
            "/%zz",
        ] {
            let refused = h2_get(addr, target, &[]);
            assert!(
                matches!(refused.status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST),
                "{target}: {refused:?}"
            );
            assert_eq!(refused.headers["x-content-type-options"], "nosniff");
        }
        let head = h2_with(
            addr,
            h2_request("HEAD", "/a.css", &[("range", "bytes=0-0")]),
            || (),
        );
        assert_eq!(
            (head.status, &head.headers["content-length"], head.body.len()),
            (StatusCode::OK, &HeaderValue::from(8), 0)
        );
        let post = h2_with(addr, h2_request("POST", "/a.css", &[]), || ());
        assert_eq!(
            (post.status, &post.headers["allow"]),
            (
                StatusCode::METHOD_NOT_ALLOWED,
                &HeaderValue::from_static("GET, HEAD")
            )
        );
    }
}

#[test]
fn a_handler_of_five_lines_gives_the_complete_answer() {
    let tree = Tree::new();
    tree.file("2026/q3.pdf", "%PDF").link("evil", tree.secret());
    let addr = serve(handler(&tree.root()));
    let reply = get(addr, "/reports/2026/q3.pdf", &["Range: bytes=1-2"]);
    assert_eq!((reply.status, &*reply.body), (206, &b"PD"[..]));
    assert_eq!(
        reply.field("content-disposition"),
        "attachment; filename=\"q3.pdf\""
    );
    for target in [
        "/reports/evil",
        "/reports/..%2foutside%2fsecret.txt",
        "/reports/%2fetc%2fpasswd",
        "/reports/%00",
        "/reports/2026",
        "/reports/2026//q3.pdf",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

/// RFC 9110 §8.6: a 304 says no length but that of the 200. axum says 0 where nothing is said of a body without bytes, and a layer
/// that compresses makes some out of a body that may have any.
#[test]
fn what_was_not_modified_has_no_bytes_and_no_length_of_zero() {
    let tree = Tree::new();
    tree.file("x", "content");
    let root = Root::open_ambient(tree.root(), ambient_authority()).unwrap();
    let unmodified = Request::get("/x").header("if-none-match", "*").body(()).unwrap();
    let file = root.open(&RelPath::parse("x").unwrap()).unwrap();
    let answer = FileResponse::new(file).respond(&unmodified);
    assert_eq!(answer.body().size_hint().exact(), Some(0));
    let addr = serve(handler(&tree.root()));
    for method in ["GET", "HEAD"] {
        let reply = request(addr, method, "/reports/x", &["If-None-Match: *"]);
        assert_eq!(reply.status, 304);
        // hyper leaves it out of HTTP/1.
        assert!(reply.fields("content-length").is_empty(), "{}", reply.head);
        assert!(reply.fields("transfer-encoding").is_empty(), "{}", reply.head);
    }
    let reply = h2_get(addr, "/reports/x", &[("if-none-match", "*")]);
    assert_eq!(reply.status, 304);
    assert_eq!(reply.headers["content-length"], "7");
    assert!(reply.complete && reply.body.is_empty());
}

#[test]
fn it_answers_without_a_runtime() {
    let tree = Tree::new();
    tree.file("x", "content");
    let mut answer = std::pin::pin!(
        ServeRoot::new(root(&tree)).oneshot(Request::get("/x").body(Empty::<Bytes>::new()).unwrap())
    );
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Ok(response)) = answer.as_mut().poll(&mut context) else {
        panic!("it waits for a runtime that is not there");
    };
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn a_file_that_is_not_in_memory_is_opened_on_another_thread() {
    // A name nobody has asked for yet: the directory entry is not cached, so the answer needs the disk (or, on a file
    // system that is memory, comes at once). Either way it comes.
    let tree = Tree::new();
    for index in 0..50 {
        tree.file(format!("deep/{index}/x"), "content");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let files = ServeRoot::new(root(&tree)).precompressed([Coding::Zstd, Coding::Gzip]);
    runtime.block_on(async {
        for index in 0..50 {
            for name in ["x", "missing"] {
                let request =
                    Request::get(format!("/deep/{index}/{name}")).header("accept-encoding", "gzip, zstd");
                let response = files
                    .clone()
                    .oneshot(request.body(Empty::<Bytes>::new()).unwrap())
                    .await
                    .unwrap();
                let expected = if name == "x" {
                    StatusCode::OK
                } else {
                    StatusCode::NOT_FOUND
                };
                assert_eq!(response.status(), expected);
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body == "content", name == "x");
            }
        }
    });
}

/// `sha-256` of `abc` (FIPS 180-2, appendix B.1), as RFC 9530 writes it.
const ABC: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
const WANTED: &str = "Want-Repr-Digest: sha-512=3, sha-256=10";

#[test]
fn a_digest_is_sent_to_who_wants_it_and_is_of_the_whole_file() {
    let tree = Tree::new();
    tree.file("abc", "abc").file("long", "abcd");
    let tree = tree.settle();
    let addr = site(ServeRoot::new(root(&tree)).digests_up_to(3));
    for _ in 0..2 {
        assert_eq!(get(addr, "/abc", &[WANTED]).field("repr-digest"), ABC);
        assert_eq!(request(addr, "HEAD", "/abc", &[WANTED]).field("repr-digest"), ABC);
        let part = get(addr, "/abc", &[WANTED, "Range: bytes=1-1"]);
        assert_eq!((part.status, part.field("repr-digest")), (206, ABC));
        assert_eq!(part.body, b"b");
    }
    for fields in [
        &[][..],
        &["Want-Repr-Digest: sha-256=0"],
        &["Want-Repr-Digest: sha-512=1"],
    ] {
        assert_eq!(
            get(addr, "/abc", fields).fields("repr-digest"),
            [""; 0],
            "{fields:?}"
        );
    }
    assert_eq!(
        get(addr, "/long", &[WANTED]).fields("repr-digest"),
        [""; 0],
        "too long"
    );
    let off = site(ServeRoot::new(root(&tree)));
    assert_eq!(
        get(off, "/abc", &[WANTED]).fields("repr-digest"),
        [""; 0],
        "off by default"
    );
}

#[test]
fn a_digest_does_not_change_the_entity_tag_and_does_not_outlive_the_version() {
    let tree = Tree::new();
    tree.file("abc", "xyz");
    let tree = tree.settle();
    let addr = site(ServeRoot::new(root(&tree)).digests_up_to(1024));
    let other = get(addr, "/abc", &[WANTED]);
    assert_ne!(other.field("repr-digest"), ABC);
    assert_eq!(other.field("etag"), get(addr, "/abc", &[]).field("etag"));
    tree.file("abc", "abc");
    assert_eq!(get(addr, "/abc", &[WANTED]).field("repr-digest"), ABC);
}

#[test]
fn nothing_is_hashed_for_an_answer_that_says_no_digest() {
    let tree = Tree::new();
    let sparse = std::fs::File::create(tree.root().join("sparse")).unwrap();
    // Hashing all of it takes hours.
    sparse.set_len(1 << 43).unwrap();
    let tree = tree.settle();
    let addr = site(ServeRoot::new(root(&tree)).digests_up_to(u64::MAX));
    for (line, status) in [
        ("If-None-Match: *", 304),
        ("If-Match: \"x\"", 412),
        ("Range: bytes=9999999999999-", 416),
    ] {
        assert_eq!(get(addr, "/sparse", &[WANTED, line]).status, status, "{line}");
    }
}

#[test]
fn the_example_says_what_is_wrong_and_fails() {
    let tree = Tree::new();
    tree.file("file", "");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (root, taken) = (
        tree.root().display().to_string(),
        taken.local_addr().unwrap().to_string(),
    );
    for (arguments, says) in [
        (&[][..], "usage"),
        (&[&*root], "usage"),
        (&["/no/such/directory", "127.0.0.1:0"], "/no/such/directory"),
        (&["", "127.0.0.1:0"], "no such file"),
        (&[&*format!("{root}/file"), "127.0.0.1:0"], "not a directory"),
        (&[&*root, "nonsense"], "nonsense"),
        (&[&*root, "127.0.0.1:99999"], "127.0.0.1:99999"),
        (&[&*root, &*taken], "in use"),
    ] {
        let output = std::process::Command::new(example("axum"))
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains(says),
            "{arguments:?}: {error}"
        );
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn the_example_in_axum_serves() {
    example_serves("axum");
}

#[test]
fn the_example_in_bare_hyper_serves() {
    example_serves("hyper");
}

#[track_caller]
fn example_serves(name: &str) {
    let tree = Tree::new();
    tree.file("x", "content");
    // Free a moment ago; no other program of this machine takes it meanwhile.
    let addr = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut program = std::process::Command::new(example(name))
        .arg(tree.root())
        .arg(addr.to_string())
        .spawn()
        .unwrap();
    let started = std::time::Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        assert!(started.elapsed() < PATIENCE, "it does not listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let reply = get(addr, "/x", &[]);
    program.kill().unwrap();
    program.wait().unwrap();
    assert_eq!(reply.body, b"content");
}

/// The program of an example, built as the tests were.
fn example(name: &str) -> std::path::PathBuf {
    let this = std::env::current_exe().unwrap();
    let profile = this.parent().unwrap().parent().unwrap();
    let mut build = std::process::Command::new(env!("CARGO"));
    // What cargo tells this test of its package, ring's build script takes for news, and all that stands on it would be built
    // again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(&name);
        }
    }
    build.args([
        "build",
        "--quiet",
        "--package",
        "beneath-http",
        "--all-features",
        "--example",
        name,
    ]);
    build.arg("--target-dir").arg(profile.parent().unwrap());
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(
        build.status().unwrap().success(),
        "the example {name} does not build"
    );
    profile.join("examples").join(name)
}
