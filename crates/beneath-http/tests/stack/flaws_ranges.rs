//! Section B of the flaws to survive: ranges and representations. Each test is named for its row and sends the bytes of
//! its probe over a socket to the stack of `examples/axum.rs`.
//!
//! | row | where |
//! |---|---|
//! | B1–B21 | here |
//! | B5, B6 (time) | here through the listener and hyper; the 5 ms are measured where the plan is tested |
//! | B22 (a digest for whom the file is denied) | here as far as the answer goes; authorization is the catalog's |

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::{
    PATIENCE, Reply, Stack, Tree, connect, get, h2_request, h2_with, request, until_closed,
};

const MIB: usize = 1 << 20;
/// Larger than all buffers between a server and a client that does not read.
const LARGE: usize = 16 * MIB;

struct Site {
    tree: Tree,
    addr: SocketAddr,
}

/// A tree that no test changes, with strong tags.
fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| {
        let tree = Tree::new();
        tree.file("f", content(1000))
            .file("empty", "")
            .file("large", content(8 * MIB))
            .file("page.html", "<p>identity")
            .file("page.html.gz", "gzipped, longer than the page itself")
            .file("page.html.br", "br")
            .file("plain.txt", "plain")
            .file("resumed", content(1000))
            .file("touched", content(1000));
        let tree = tree.settle();
        let addr = Stack::Axum.serve(&tree.root());
        Site { tree, addr }
    })
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|index| b'a' + (index % 26) as u8).collect()
}

fn range(target: &str, value: &str) -> Reply {
    get(site().addr, target, &[&format!("Range: {value}")])
}

/// 200 whole, 206 with exactly what its Content-Range says, or 416 that says the length; never more than the file.
#[track_caller]
fn assert_honest(reply: &Reply, size: usize) {
    let length: usize = reply.field("content-length").parse().unwrap();
    assert_eq!(length, reply.body.len());
    match reply.status {
        200 => assert_eq!(reply.body, content(size)),
        206 if reply.field("content-type").starts_with("multipart/byteranges") => {
            assert!(reply.body.len() <= size, "{} of {size}", reply.body.len());
        }
        206 => {
            let part = reply.field("content-range").strip_prefix("bytes ").unwrap();
            let (positions, complete) = part.split_once('/').unwrap();
            let (first, last) = positions.split_once('-').unwrap();
            assert_eq!(complete, size.to_string());
            assert_eq!(
                reply.body,
                &content(size)[first.parse().unwrap()..=last.parse().unwrap()]
            );
        }
        416 => assert_eq!(reply.field("content-range"), format!("bytes */{size}")),
        _ => panic!("{}", reply.head),
    }
}

#[test]
fn b1_the_range_killer_gets_one_file_at_most() {
    let ranges: Vec<_> = (0..1300).map(|last| format!("5-{last}")).collect();
    let reply = range("/f", &format!("bytes=0-,{}", ranges.join(",")));
    assert_honest(&reply, 1000);
}

#[test]
fn b2_overlapping_ranges_of_a_large_file_are_not_amplified() {
    let ranges: Vec<_> = (0..32).map(|first| format!("{first}-")).collect();
    let reply = range("/large", &format!("bytes={}", ranges.join(",")));
    assert!(reply.body.len() <= 8 * MIB, "{}", reply.body.len());
}

#[test]
fn b3_many_small_ranges_are_not_amplified() {
    let same: Vec<_> = (0..900).map(|_| "0-0".to_owned()).collect();
    let apart: Vec<_> = (0..450).map(|index| format!("{0}-{0}", index * 2)).collect();
    for ranges in [same, apart] {
        assert_honest(&range("/f", &format!("bytes={}", ranges.join(","))), 1000);
    }
}

#[test]
fn b4_a_sum_of_suffixes_does_not_overflow() {
    for value in [
        "bytes=-1605,-9223372036854775807",
        "bytes=-18446744073709551615,-1",
        "bytes=-1605,-9223372036854774203",
    ] {
        let reply = range("/f", value);
        assert_honest(&reply, 1000);
        assert!(matches!(reply.status, 200 | 206 | 416));
    }
}

#[test]
fn b5_a_hundred_kilobytes_of_ranges_cost_no_time() {
    let ranges: Vec<_> = (0..)
        .step_by(2)
        .map(|at| format!("{at}-{at}"))
        .take(10_000)
        .collect();
    let value = format!("bytes={}", ranges.join(","));
    assert!(value.len() > 100_000);
    assert_eq!(
        range("/large", &value).status,
        431,
        "the listener bounds the head"
    );
    let hyper = Stack::Hyper.serve(&site().tree.root());
    let started = Instant::now();
    let reply = get(hyper, "/f", &[&format!("Range: {value}")]);
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
    assert_honest(&reply, 1000);
}

#[test]
fn b6_a_malformed_range_costs_no_time() {
    let hyper = Stack::Hyper.serve(&site().tree.root());
    for value in [
        format!("bytes={}", ",".repeat(90_000)),
        format!("bytes={}", "-".repeat(90_000)),
        format!("bytes={}", "1".repeat(90_000)),
        format!("bytes=0-0{}", " ,".repeat(45_000)),
    ] {
        let started = Instant::now();
        assert_honest(&get(hyper, "/f", &[&format!("Range: {value}")]), 1000);
        assert!(
            started.elapsed() < Duration::from_millis(500),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn b7_an_empty_range_does_not_panic() {
    for value in [
        "",
        "bytes=",
        "bytes=,",
        "bytes=,,,",
        "bytes= ",
        "=",
        "bytes",
        "bytes=-",
        "=0-1",
        "bytes=--1",
        "bytes=a-b",
        "bytes=0-0-0",
        "bytes=+1-2",
        "bytes=0x1-2",
    ] {
        let reply = range("/f", value);
        assert!(matches!(reply.status, 200 | 416), "{value}: {}", reply.head);
        assert_honest(&reply, 1000);
    }
}

#[test]
fn b8_an_empty_file_has_no_positions() {
    for value in [
        "bytes=-1",
        "bytes=0-",
        "bytes=0-0",
        "bytes=-0",
        "bytes=0-0,-1",
        "bytes=1-",
        "bytes=-18446744073709551615",
    ] {
        let reply = range("/empty", value);
        assert!(matches!(reply.status, 200 | 416), "{value}: {}", reply.head);
        if reply.status == 416 {
            assert_eq!(reply.field("content-range"), "bytes */0");
        }
        assert!(
            !reply.contains("18446744073709551615") && !reply.contains("--1"),
            "{reply:?}"
        );
    }
}

#[test]
fn b9_positions_past_64_bits_do_not_wrap() {
    for value in [
        "bytes=0-18446744073709551615",
        "bytes=0-18446744073709551616",
        "bytes=0-99999999999999999999999999",
    ] {
        let reply = range("/f", value);
        assert_honest(&reply, 1000);
        assert_eq!(reply.body, content(1000), "{value}: {}", reply.head);
    }
    for value in [
        "bytes=18446744073709551616-",
        "bytes=18446744073709551615-18446744073709551616",
    ] {
        let reply = range("/f", value);
        assert!(matches!(reply.status, 200 | 416), "{value}: {}", reply.head);
        assert_honest(&reply, 1000);
    }
}

#[test]
fn b10_the_first_byte_is_not_the_rest_and_a_long_suffix_has_byte_zero() {
    assert_eq!(range("/f", "bytes=0-0").body, b"a");
    assert_eq!(range("/f", "bytes=-2000").body, content(1000));
    let backwards = range("/f", "bytes=5-4");
    assert!(matches!(backwards.status, 200 | 416), "{}", backwards.head);
}

#[test]
fn b11_a_resume_after_a_replacement_starts_again() {
    let (site, path) = (site(), site().tree.root().join("resumed"));
    let etag = get(site.addr, "/resumed", &["Range: bytes=0-9"])
        .field("etag")
        .to_owned();
    let if_range = format!("If-Range: {etag}");
    assert_eq!(
        get(site.addr, "/resumed", &["Range: bytes=10-", &if_range]).status,
        206,
        "the control"
    );
    fs::write(path.with_extension("new"), vec![b'N'; 1000]).unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    let reply = get(site.addr, "/resumed", &["Range: bytes=10-", &if_range]);
    assert_eq!(
        (reply.status, &*reply.body),
        (200, &[b'N'; 1000][..]),
        "{}",
        reply.head
    );
    // Who goes on without saying with what is asked to say it (RFC 6585 §3), also if the file is shorter now.
    for range in ["Range: bytes=10-", "Range: bytes=10-19", "Range: bytes=1000-"] {
        assert_eq!(get(site.addr, "/resumed", &[range]).status, 428, "{range}");
    }
    // What cannot be the rest of anything is served, and its tag says of what.
    for range in ["Range: bytes=0-9", "Range: bytes=-10", "Range: bytes=0-1,10-11"] {
        let reply = get(site.addr, "/resumed", &[range]);
        assert_eq!(reply.status, 206, "{range}: {}", reply.head);
        assert_ne!(reply.field("etag"), etag);
    }
}

#[test]
fn b12_only_an_exact_strong_validator_resumes() {
    let reply = get(site().addr, "/f", &[]);
    let (etag, date) = (reply.field("etag"), reply.field("last-modified"));
    let (weak, both) = (format!("If-Range: W/{etag}"), format!("If-Range: {etag}, {etag}"));
    let exact = format!("If-Range: {etag}");
    for lines in [
        &[&*weak][..],
        &[&both],
        &["If-Range: garbage"],
        &["If-Range: *"],
        &["If-Range: Fri, 01 Jan 2038 00:00:00 GMT"],
        &["If-Range: Thu, 01 Jan 2004 00:00:00 GMT"],
        &[&exact, &exact],
        &["If-Range: \"other\"", &exact],
        &["If-Range: "],
        &["If-Range: Friday, 01-Jan-38 00:00:00 GMT"],
    ] {
        let fields: Vec<_> = [&["Range: bytes=10-"], lines].concat();
        let reply = get(site().addr, "/f", &fields);
        assert_eq!(
            (reply.status, reply.body.len()),
            (200, 1000),
            "{lines:?} (the date is {date})"
        );
    }
    assert_eq!(
        get(site().addr, "/f", &["Range: bytes=10-", &exact]).status,
        206,
        "the control"
    );
}

#[test]
fn b13_a_date_of_this_second_does_not_resume() {
    let tree = Tree::new();
    tree.file("young", content(1000));
    let addr = Stack::Axum.serve(&tree.root());
    let date = get(addr, "/young", &[]).field("last-modified").to_owned();
    tree.file("young", vec![b'N'; 1000]);
    let reply = get(
        addr,
        "/young",
        &["Range: bytes=10-", &format!("If-Range: {date}")],
    );
    assert_eq!(
        (reply.status, &*reply.body),
        (200, &[b'N'; 1000][..]),
        "{}",
        reply.head
    );
    // Neither does a tag of a file as young as that: it is weak.
    let etag = get(addr, "/young", &[]).field("etag").to_owned();
    assert!(etag.starts_with("W/"), "{etag}");
    assert_eq!(
        get(
            addr,
            "/young",
            &["Range: bytes=10-", &format!("If-Range: {etag}")]
        )
        .status,
        200
    );
}

#[test]
fn b14_a_restored_mtime_does_not_bring_the_tag_back() {
    let (site, path) = (site(), site().tree.root().join("touched"));
    let before = get(site.addr, "/touched", &[]);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[b'N'; 1000], 0).unwrap();
    file.set_modified(modified).unwrap();
    let after = get(site.addr, "/touched", &[]);
    assert_eq!(
        after.field("last-modified"),
        before.field("last-modified"),
        "the control"
    );
    assert_ne!(after.field("etag").trim_start_matches("W/"), before.field("etag"));
    let stale = format!("If-None-Match: {}", before.field("etag"));
    assert_eq!(get(site.addr, "/touched", &[&stale]).status, 200);
}

/// Starts a download of `/x`, does something to the file once the head has come, and reads what still comes.
fn disturbed(tree: &Tree, disturb: impl FnOnce()) -> Reply {
    tree.file("x", vec![b'o'; LARGE]);
    let addr = Stack::Axum.serve(&tree.root());
    let mut stream = connect(addr);
    stream
        .write_all(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut start = vec![0; 65536];
    let count = stream.read(&mut start).unwrap();
    start.truncate(count);
    disturb();
    start.extend(until_closed(&mut stream));
    let reply = Reply::parse(&start);
    assert_eq!(
        (reply.status, reply.field("content-length")),
        (200, &*LARGE.to_string())
    );
    reply
}

#[test]
fn b15_an_overwrite_in_place_never_looks_complete() {
    let tree = Tree::new();
    let path = tree.root().join("x");
    let reply = disturbed(&tree, || {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&vec![b'N'; LARGE], 0).unwrap();
    });
    assert!(reply.body.len() < LARGE, "a mixed body was completed");
}

#[test]
fn b15_an_overwrite_in_place_resets_the_stream_of_http_2() {
    let tree = Tree::new();
    tree.file("x", vec![b'o'; LARGE]);
    let addr = Stack::Axum.serve(&tree.root());
    let reply = h2_with(addr, h2_request("GET", "/x", &[]), || {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(tree.root().join("x"))
            .unwrap();
        file.write_all_at(&vec![b'N'; LARGE], 0).unwrap();
    });
    assert_eq!(reply.status, 200);
    assert!(!reply.complete && reply.body.len() < LARGE);
}

#[test]
fn b16_a_truncation_ends_the_connection() {
    let tree = Tree::new();
    let path = tree.root().join("x");
    let started = Instant::now();
    let reply = disturbed(&tree, || {
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(MIB as u64)
            .unwrap();
    });
    assert!(reply.body.len() < LARGE);
    assert!(started.elapsed() < PATIENCE, "it must not stall");
}

#[test]
fn b17_an_appended_file_is_sent_as_long_as_promised() {
    let tree = Tree::new();
    let append = || {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(tree.root().join("x"))
            .unwrap();
        file.write_all(&vec![b'N'; MIB]).unwrap();
    };
    let reply = disturbed(&tree, append);
    assert!(reply.body.len() <= LARGE);
    assert!(reply.body.iter().all(|&byte| byte == b'o'));
    let addr = Stack::Axum.serve(&tree.root());
    tree.file("x", vec![b'o'; LARGE]);
    let reply = h2_with(addr, h2_request("GET", "/x", &[]), append);
    assert!(reply.body.len() <= LARGE);
    assert!(reply.body.iter().all(|&byte| byte == b'o'));
}

#[test]
fn a_file_replaced_or_removed_during_the_transfer_is_sent_as_it_was() {
    let tree = Tree::new();
    let path = tree.root().join("x");
    let replaced = disturbed(&tree, || {
        fs::write(path.with_extension("new"), vec![b'N'; LARGE]).unwrap();
        fs::rename(path.with_extension("new"), &path).unwrap();
    });
    let removed = disturbed(&tree, || fs::remove_file(&path).unwrap());
    for reply in [replaced, removed] {
        // The name is gone, which also changes the inode (ctime): whole and old, or visibly cut; never mixed.
        assert!(reply.body.iter().all(|&byte| byte == b'o'));
    }
}

#[test]
fn b18_a_range_is_of_the_form_that_is_sent() {
    let addr = site().addr;
    let reply = get(addr, "/page.html", &["Accept-Encoding: gzip", "Range: bytes=0-3"]);
    assert_eq!(
        (reply.status, reply.field("content-encoding"), &*reply.body),
        (206, "gzip", &b"gzip"[..])
    );
    assert_eq!(reply.field("content-range"), "bytes 0-3/36");
    // Nothing is compressed on the way.
    let reply = get(
        addr,
        "/plain.txt",
        &["Accept-Encoding: gzip, br", "Range: bytes=0-3"],
    );
    assert_eq!(
        (reply.status, reply.field("content-encoding"), &*reply.body),
        (206, "", &b"plai"[..])
    );
}

#[test]
fn b19_each_form_has_its_own_length_and_tag() {
    let addr = site().addr;
    let mut tags = Vec::new();
    for (accept, coding, body) in [
        ("identity", "", "<p>identity"),
        ("gzip", "gzip", "gzipped, longer than the page itself"),
        ("br", "br", "br"),
        ("gzip, br;q=0.1", "gzip", "gzipped, longer than the page itself"),
    ] {
        let reply = get(addr, "/page.html", &[&format!("Accept-Encoding: {accept}")]);
        assert_eq!(
            (reply.status, reply.field("content-encoding")),
            (200, coding),
            "{accept}"
        );
        assert_eq!(reply.field("content-length"), body.len().to_string());
        assert_eq!(reply.body, body.as_bytes());
        assert!(
            reply.field("content-type").starts_with("text/html"),
            "{}",
            reply.head
        );
        tags.push(reply.field("etag").to_owned());
    }
    assert_eq!(tags[1], tags[3]);
    tags.truncate(3);
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "{tags:?}");
    // The tag of one form does not validate another.
    let etag = get(addr, "/page.html", &["Accept-Encoding: gzip"])
        .field("etag")
        .to_owned();
    let reply = get(addr, "/page.html", &[&format!("If-None-Match: {etag}")]);
    assert_eq!((reply.status, &*reply.body), (200, &b"<p>identity"[..]));
    let reply = get(
        addr,
        "/page.html",
        &["Range: bytes=0-1", &format!("If-Range: {etag}")],
    );
    assert_eq!(reply.status, 200);
}

#[test]
fn b20_every_answer_says_that_the_coding_was_negotiated() {
    let addr = site().addr;
    let etag = get(addr, "/page.html", &["Accept-Encoding: gzip"])
        .field("etag")
        .to_owned();
    let inm = format!("If-None-Match: {etag}");
    for (status, target, fields) in [
        (200, "/page.html", &["Accept-Encoding: gzip"][..]),
        (200, "/page.html", &[]),
        (200, "/plain.txt", &[]),
        (206, "/page.html", &["Range: bytes=0-1", "Accept-Encoding: gzip"]),
        (206, "/page.html", &["Range: bytes=0-1"]),
        (304, "/page.html", &[&*inm, "Accept-Encoding: gzip"]),
        (406, "/plain.txt", &["Accept-Encoding: identity;q=0"]),
        (404, "/missing", &[]),
        (412, "/page.html", &["If-Match: \"other\""]),
        (416, "/page.html", &["Range: bytes=900-"]),
    ] {
        for method in ["GET", "HEAD"] {
            let reply = request(addr, method, target, fields);
            if method == "GET" {
                assert_eq!(reply.status, status, "{target} {fields:?}: {}", reply.head);
            }
            assert_eq!(
                reply.field("vary").to_ascii_lowercase(),
                "accept-encoding",
                "{target} {fields:?}: {}",
                reply.head
            );
        }
    }
}

#[test]
fn b21_head_says_what_get_says() {
    let addr = site().addr;
    for fields in [
        &[][..],
        &["Accept-Encoding: gzip"],
        &["If-None-Match: *"],
        &["If-Match: \"x\""],
    ] {
        for target in ["/page.html", "/f", "/empty", "/missing"] {
            let (get, head) = (get(addr, target, fields), request(addr, "HEAD", target, fields));
            let undated = |head: &str| {
                let mut lines: Vec<_> = head
                    .split("\r\n")
                    .filter(|line| !line.starts_with("date:"))
                    .map(str::to_owned)
                    .collect();
                lines.sort();
                lines
            };
            assert_eq!(undated(&head.head), undated(&get.head), "{target} {fields:?}");
            assert_eq!(head.body, b"");
        }
    }
}

#[test]
fn b22_a_digest_is_no_oracle() {
    let addr = site().addr;
    let plain = get(addr, "/missing", &[]);
    let asked = get(
        addr,
        "/missing?hash",
        &["Want-Repr-Digest: sha-256=10", "Want-Content-Digest: sha-256=10"],
    );
    assert_eq!((plain.status, &plain.body), (asked.status, &asked.body));
    assert!(asked.fields("repr-digest").is_empty() && asked.fields("content-digest").is_empty());
}
