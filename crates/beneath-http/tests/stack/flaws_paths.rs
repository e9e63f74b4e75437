//! Section A of the flaws to survive: paths and file systems. Each test is named for its row and sends the bytes of its
//! probe over a socket to the stack of `examples/axum.rs`; where it can, it first shows that the unguarded way leaks.
//!
//! | row | where |
//! |---|---|
//! | A1–A2, A6–A10, A12–A21, A23–A26 | here |
//! | A3 (a rule for `a` must not hold for `ab`), A22 (names in several cases) | `beneath-catalog`: rights hang on a file, not on the letters of its path |
//! | A4 (UNC paths), A5 (reserved names of Windows) | there is no Windows yet; as paths of a request: `a4_…` here |
//! | A11 (swaps under load) | `flaws_race.rs` |
//! | A27 (a root is mandatory) | the type: `ServeRoot::new` takes a `Root`, and there is no default |
//! | A28, A29 (archives) | nothing here writes archives |

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{SECRET, Stack, Tree, get, raw, request, serve};
use axum::Router;
use axum::routing::get as route;
use beneath::{HardLinks, Policy, Root, ambient_authority};
use beneath_http::ServeRoot;

fn axum(tree: &Tree) -> SocketAddr {
    Stack::Axum.serve(&tree.root())
}

/// What a server does that decodes, joins and opens: decoding once, twice, with `\` as `/`.
fn naive(root: &Path, target: &str) -> Option<Vec<u8>> {
    let mut path = target.trim_start_matches('/').to_owned();
    for _ in 0..3 {
        for spelling in [path.clone(), path.replace('\\', "/")] {
            let spelling = spelling
                .split('\0')
                .next()
                .unwrap_or_default()
                .trim_start_matches('/');
            if let Ok(bytes) = fs::read(root.join(spelling)) {
                return Some(bytes);
            }
        }
        path = leniently(&path);
    }
    None
}

fn leniently(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes
            .get(at + 1..at + 3)
            .and_then(|digits| str::from_utf8(digits).ok());
        match (
            bytes[at],
            escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Every way upwards in the collections of payloads, up to eight times over.
fn ways_up() -> impl Iterator<Item = String> {
    let steps = include_str!("support/traversals.txt").lines();
    steps.flat_map(|step| (1..=8).map(|times| step.repeat(times)))
}

#[test]
fn a1_no_way_upwards_leads_out() {
    let tree = Tree::new();
    tree.file("deep/er/x", "x").file("x", "x");
    let addr = axum(&tree);
    let (mut asked, mut leaked_by_naive) = (0, 0);
    for way in ways_up() {
        for (base, goal) in [
            ("/", "outside/secret.txt"),
            ("/deep/er/", "outside/secret.txt"),
            ("/", "etc/passwd"),
        ] {
            let target = format!("{base}{way}{goal}");
            leaked_by_naive += usize::from(naive(&tree.root(), &target).is_some());
            let reply = get(addr, &target, &[]);
            assert!(matches!(reply.status, 400 | 404), "{target}: {}", reply.head);
            assert!(
                !reply.contains(SECRET) && !reply.contains("root:"),
                "{target}: {reply:?}"
            );
            assert!(
                !reply.head.to_ascii_lowercase().contains("set-cookie"),
                "{target}: {}",
                reply.head
            );
            asked += 1;
        }
    }
    assert!(asked > 4000, "{asked}");
    assert!(
        leaked_by_naive > 50,
        "the control leaked only {leaked_by_naive} times"
    );
}

#[test]
fn a1_a_target_without_its_slash_is_refused() {
    let tree = Tree::new();
    let addr = axum(&tree);
    for target in [
        "../outside/secret.txt",
        "outside",
        "*",
        "..",
        "files.example.org:80",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a1_the_path_of_an_absolute_target_is_a_path_like_any_other() {
    let tree = Tree::new();
    tree.file("x", "x");
    let addr = axum(&tree);
    assert_eq!(get(addr, "http://files.example.org/x", &[]).body, b"x");
    for target in [
        "http://files.example.org/../outside/secret.txt",
        "http://files.example.org//etc/passwd",
        "file:///etc/passwd",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a2_a_directory_whose_name_begins_like_the_root_is_outside() {
    let tree = Tree::new();
    let neighbour = tree.root().with_file_name("root-private");
    fs::create_dir(&neighbour).unwrap();
    fs::write(neighbour.join("x"), SECRET).unwrap();
    let addr = axum(&tree);
    assert_eq!(
        naive(&tree.root(), "/../root-private/x").unwrap(),
        SECRET.as_bytes()
    );
    for target in [
        "/../root-private/x",
        "/..%2froot-private/x",
        "/%2e%2e/root-private/x",
        "-private/x",
        "/-private/x",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a4_network_and_device_paths_of_windows_are_names_of_nothing() {
    let tree = Tree::new();
    let addr = axum(&tree);
    for target in [
        "//server/share/x",
        "/%5c%5cserver%5cshare",
        "/\\\\?\\C:\\x",
        "/CON",
        "/NUL.txt",
        "/a/CON",
        "/COM%C2%B9",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
#[expect(clippy::join_absolute_paths, reason = "the flaw is shown first")]
fn a6_an_absolute_component_replaces_nothing() {
    let tree = Tree::new();
    let addr = axum(&tree);
    assert!(
        fs::read(tree.root().join("/etc/passwd")).is_ok(),
        "the control: join replaces"
    );
    for target in [
        "/c:/windows/web/screen.jpg",
        "/c%3a/windows",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/%2Fetc%2Fpasswd",
        "///etc/passwd",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a7_a_linked_file_is_not_found() {
    let tree = Tree::new();
    tree.link("l", tree.secret())
        .link("relative", "../outside/secret.txt")
        .link("inside", "x")
        .file("x", "x");
    let addr = axum(&tree);
    assert_eq!(naive(&tree.root(), "/l").unwrap(), SECRET.as_bytes());
    for target in ["/l", "/relative", "/inside"] {
        get(addr, target, &[]).assert_refused(target);
    }
    for target in ["/l/", "/relative/"] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a8_a_linked_directory_leads_nowhere() {
    let tree = Tree::new();
    tree.link("d", tree.outside()).link("a/b/d", "../../../outside");
    let addr = axum(&tree);
    assert_eq!(naive(&tree.root(), "/d/secret.txt").unwrap(), SECRET.as_bytes());
    for target in [
        "/d/secret.txt",
        "/d/",
        "/d",
        "/a/b/d/secret.txt",
        "/a/b/d/",
        "/a/b/d",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a9_a_symlinked_index_is_not_found() {
    let tree = Tree::new();
    tree.link("idx/index.html", tree.secret());
    let addr = axum(&tree);
    assert_eq!(naive(&tree.root(), "/idx/index.html").unwrap(), SECRET.as_bytes());
    for target in ["/idx/", "/idx", "/idx/index.html"] {
        get(addr, target, &[]).assert_refused(target);
        get(addr, target, &["Accept-Encoding: gzip, br, zstd"]).assert_refused(target);
    }
}

#[test]
fn a10_a_symlinked_sibling_is_passed_over() {
    let tree = Tree::new();
    tree.file("a.txt", "public").file("index.html", "page");
    for suffix in ["gz", "br", "zst"] {
        tree.link(&format!("a.txt.{suffix}"), tree.secret())
            .link(&format!("index.html.{suffix}"), tree.secret());
    }
    let addr = axum(&tree);
    for coding in ["gzip", "br", "zstd", "gzip, br, zstd", "*"] {
        for (target, content) in [("/a.txt", "public"), ("/", "page")] {
            let reply = get(addr, target, &[&format!("Accept-Encoding: {coding}")]);
            assert_eq!(
                (reply.status, &*reply.body),
                (200, content.as_bytes()),
                "{coding}: {}",
                reply.head
            );
            assert_eq!(reply.field("content-encoding"), "");
        }
    }
    let reply = get(addr, "/a.txt", &["Accept-Encoding: gzip, identity;q=0"]);
    assert_eq!(reply.status, 406);
    assert!(!reply.contains(SECRET));
}

#[test]
fn a12_no_decision_about_a_path_is_remembered() {
    let tree = Tree::new();
    tree.file("d/x", "public");
    fs::write(tree.outside().join("x"), SECRET).unwrap();
    let addr = axum(&tree);
    assert_eq!(get(addr, "/d/x", &[]).body, b"public");
    fs::rename(tree.root().join("d"), tree.root().join("e")).unwrap();
    tree.link("d", tree.outside());
    get(addr, "/d/x", &[]).assert_refused("/d/x");
}

#[test]
fn a13_the_head_describes_the_file_that_is_sent() {
    let tree = Tree::new();
    tree.file("small", vec![b's'; 10])
        .file("large", vec![b'l'; 1_000_000])
        .file("x", vec![b's'; 10]);
    let addr = axum(&tree);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (root, stop) = (tree.root(), Arc::clone(&stop));
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for size in ["small", "large"] {
                    let _ = fs::remove_file(root.join("next"));
                    fs::hard_link(root.join(size), root.join("next")).unwrap();
                    fs::rename(root.join("next"), root.join("x")).unwrap();
                    // A rename onto another name of the same file does nothing.
                    let _ = fs::remove_file(root.join("next"));
                }
            }
        }
    });
    let mut seen = [0, 0];
    for _ in 0..300 {
        let reply = get(addr, "/x", &[]);
        assert_eq!(reply.status, 200, "{}", reply.head);
        let length: usize = reply.field("content-length").parse().unwrap();
        let letter = match length {
            10 => b's',
            1_000_000 => b'l',
            _ => panic!("{length}"),
        };
        // Each swap also touches the inode that is being sent. Where that leaves a doubt, the body is cut.
        assert!(reply.body.len() <= length && reply.body.iter().all(|&byte| byte == letter));
        seen[usize::from(length > 10)] += usize::from(reply.body.len() == length);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(
        seen.iter().all(|&count| count > 0),
        "of each size some must come whole: {seen:?}"
    );
}

#[test]
fn a14_a_fifo_neither_hangs_nor_freezes() {
    let tree = Tree::new();
    tree.file("x", "x")
        .fifo("f")
        .fifo("f.txt.gz")
        .file("f.txt", "text")
        .fifo("index.html");
    for stack in [Stack::Axum, Stack::Hyper] {
        let addr = stack.serve(&tree.root());
        let started = Instant::now();
        for _ in 0..20 {
            get(addr, "/f", &[]).assert_refused("/f");
        }
        get(addr, "/", &[]).assert_refused("/");
        assert_eq!(get(addr, "/f.txt", &["Accept-Encoding: gzip"]).body, b"text");
        assert_eq!(get(addr, "/x", &[]).body, b"x");
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn a15_devices_sockets_and_magic_links_are_not_found() {
    let tree = Tree::new();
    let _socket = std::os::unix::net::UnixListener::bind(tree.root().join("socket")).unwrap();
    get(axum(&tree), "/socket", &[]).assert_refused("/socket");
    let devices = Stack::Axum.serve(Path::new("/dev"));
    for target in ["/zero", "/null", "/tty", "/stdin", "/fd/0", "/random"] {
        get(devices, target, &[]).assert_refused(target);
    }
    let process = Stack::Axum.serve(Path::new("/proc/self"));
    assert!(fs::read("/proc/self/root/etc/passwd").is_ok(), "the control");
    for target in ["/root/etc/passwd", "/fd/0", "/exe", "/cwd/Cargo.toml"] {
        let reply = get(process, target, &[]);
        reply.assert_refused(target);
        assert!(!reply.contains("root:"), "{target}");
    }
}

#[test]
fn a16_a_nul_does_not_end_the_name() {
    let tree = Tree::new();
    tree.file("hello.txt", "hello").file("hello.txt.jpg", "jpg");
    let addr = axum(&tree);
    for target in [
        "/hello.txt%00.jpg",
        "/hello.txt%00",
        "/%00hello.txt",
        "/%00",
        "/hello.txt%00/",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
    // Unescaped it is not even a request.
    assert_eq!(
        raw(addr, b"GET /hello.txt\0.jpg HTTP/1.1\r\nHost: a\r\n\r\n").status,
        400
    );
}

#[test]
fn a17_no_name_makes_the_server_fail() {
    let tree = Tree::new();
    let addr = axum(&tree);
    for name in [
        "%00",
        &"a".repeat(255),
        &"a".repeat(256),
        &"a".repeat(5000),
        &"a/".repeat(2500),
        &"%61".repeat(300),
        "%ff%fe",
        "%0d%0a",
    ] {
        get(addr, format!("/{name}"), &[]).assert_refused(name);
    }
}

#[test]
fn a18_an_escape_is_decoded_once() {
    let tree = Tree::new();
    tree.file("%2e%2e", "one literal").file("a%2fb", "two literal");
    let addr = axum(&tree);
    for target in [
        "/%252e%252e%252fetc/passwd",
        "/%25252e%25252e/x",
        "/%252e%252e/outside/secret.txt",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
    // The control: a name that has escapes in it can be asked for, and is that name.
    assert_eq!(get(addr, "/%252e%252e", &[]).body, b"one literal");
    assert_eq!(get(addr, "/a%252fb", &[]).body, b"two literal");
}

#[test]
fn a19_dots_are_refused_in_every_spelling() {
    let tree = Tree::new();
    tree.file("x", "x").file("sub/x", "x");
    let addr = axum(&tree);
    for target in [
        "/.%2e/.%2e/etc/passwd",
        "/%%32%65/x",
        "/%2E%2E/outside/secret.txt",
        "/.%2E/x",
        "/sub/../x",
        "/sub/%2e/x",
        "/./x",
        "/sub/..",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a20_a_mount_prefix_cannot_be_stretched() {
    let tree = Tree::new();
    tree.file("img/x", "x");
    let root = Root::open_ambient(tree.root().join("img"), ambient_authority()).unwrap();
    fs::write(tree.root().join("secret"), SECRET).unwrap();
    let addr = serve(Router::new().nest_service("/d", ServeRoot::new(Arc::new(root))));
    assert_eq!(get(addr, "/d/x", &[]).body, b"x");
    for target in [
        "/d../secret",
        "/d../img/x",
        "/d..%2fsecret",
        "/d/../secret",
        "/d/..%2fsecret",
        "/dx",
        "/d%2f..%2fsecret",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a21_overlong_utf8_is_not_a_dot() {
    let tree = Tree::new();
    let addr = axum(&tree);
    for target in [
        "/%c0%ae%c0%ae/outside/secret.txt",
        "/..%c0%af../x",
        "/%e0%80%ae%e0%80%ae/x",
        "/%c0%ae/x",
        "/..%ef%bc%8fx",
        "/%uff0e%uff0e/x",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a23_a_guard_by_path_cannot_be_walked_around_within_the_root() {
    let tree = Tree::new();
    tree.file("public/x", "public").file("admin/x", SECRET);
    let public = Root::open_ambient(tree.root().join("public"), ambient_authority()).unwrap();
    let admin = || async { http::StatusCode::UNAUTHORIZED };
    let app = Router::new()
        .route("/admin/{*rest}", route(admin))
        .fallback_service(ServeRoot::new(Arc::new(public)));
    let addr = serve(app);
    assert_eq!(get(addr, "/admin/x", &[]).status, 401);
    assert_eq!(get(addr, "/x", &[]).body, b"public");
    for target in [
        "//admin/x",
        "/admin%2fx",
        "/pub/..%2fadmin/x",
        "/private%5cx",
        "/%61dmin/x",
        "/./admin/x",
        "/..%2fadmin%2fx",
        "/../admin/x",
        "/ADMIN/x",
        "/admin;/x",
    ] {
        let reply = get(addr, target, &[]);
        assert!(
            matches!(reply.status, 400 | 401 | 404),
            "{target}: {}",
            reply.head
        );
        assert!(!reply.contains(SECRET), "{target}");
    }
}

#[test]
fn a23_no_second_spelling_with_a_slash_reaches_a_file() {
    let tree = Tree::new();
    tree.file("admin/x", "x");
    let addr = axum(&tree);
    assert_eq!(get(addr, "/admin/x", &[]).body, b"x");
    for target in [
        "//admin/x",
        "/admin//x",
        "/admin%2fx",
        "/admin%5cx",
        "/admin\\x",
        "/pub/../admin/x",
        "/admin/./x",
        "/admin/x/",
        "/admin/x%00",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

#[test]
fn a24_a_root_that_is_none_is_an_error_at_the_start() {
    let tree = Tree::new();
    tree.file("file", "");
    for root in [
        Path::new(""),
        &tree.root().join("missing"),
        &tree.root().join("file"),
    ] {
        assert!(
            Root::open_ambient(root, ambient_authority()).is_err(),
            "{}",
            root.display()
        );
    }
}

#[test]
fn a25_odd_dots_and_dates_do_not_panic() {
    let tree = Tree::new();
    tree.file(".hidden", "hidden")
        .file("old", "old")
        .file("future", "future");
    let set = |name: &str, seconds: i64| {
        let time = rustix::fs::Timespec {
            tv_sec: seconds,
            tv_nsec: 5,
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(
            rustix::fs::CWD,
            tree.root().join(name),
            &times,
            rustix::fs::AtFlags::empty(),
        )
        .unwrap();
    };
    set("old", -315_619_200); // 1960
    set("future", 4_102_444_800); // 2100
    let addr = axum(&tree);
    get(addr, "/./.hidden", &[]).assert_refused("/./.hidden");
    let old = get(addr, "/old", &[]);
    assert_eq!(
        (old.status, old.fields("last-modified").len()),
        (200, 0),
        "{}",
        old.head
    );
    // RFC 9110 §8.8.2.1: not later than Date.
    let future = get(addr, "/future", &[]);
    assert_eq!(future.status, 200);
    assert!(!future.field("last-modified").contains("2100"), "{}", future.head);
}

#[test]
fn a26_hard_links_are_for_the_policy_to_refuse() {
    let tree = Tree::new();
    fs::hard_link(tree.secret(), tree.root().join("h")).unwrap();
    let root = |policy| Arc::new(Root::open_ambient_with(tree.root(), policy, ambient_authority()).unwrap());
    let default = serve(Router::new().fallback_service(ServeRoot::new(root(Policy::default()))));
    assert_eq!(
        get(default, "/h", &[]).status,
        200,
        "the control: no flag of openat2 stops a hard link"
    );
    let strict = Policy::default().hard_links(HardLinks::RefuseExtra);
    let strict = serve(Router::new().fallback_service(ServeRoot::new(root(strict))));
    get(strict, "/h", &[]).assert_refused("/h");
}

#[test]
fn head_goes_the_way_of_get_for_every_refusal() {
    let tree = Tree::new();
    tree.link("l", tree.secret()).fifo("f");
    let addr = axum(&tree);
    for target in ["/l", "/f", "/missing", "/%zz", "//", "/%00"] {
        let (get, head) = (get(addr, target, &[]), request(addr, "HEAD", target, &[]));
        assert_eq!((head.status, &*head.body), (get.status, &b""[..]), "{target}");
        assert_eq!(
            head.field("content-length"),
            get.field("content-length"),
            "{target}"
        );
    }
}
