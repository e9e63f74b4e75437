//! The scoreboard: 38 checks that no file server of 19 measured passes in full, sent as raw bytes over a socket to
//! the stack of `examples/axum.rs`, and to that of `examples/hyper.rs` as far as they are not the listener's.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::{Reply, SECRET, Stack, Tree, get, raw, request};

/// The size of `/hello.txt`.
const SIZE: usize = 1000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|index| b'a' + (index % 26) as u8).collect()
}

fn addr(stack: Stack) -> SocketAddr {
    static TREE: OnceLock<Tree> = OnceLock::new();
    static ADDRS: [OnceLock<SocketAddr>; 2] = [const { OnceLock::new() }; 2];
    let tree = TREE.get_or_init(|| {
        let tree = Tree::new();
        tree.file("hello.txt", content())
            .file("empty", "")
            .file("a.txt", "identity")
            .link("link.txt", tree.secret())
            .link("directory", tree.outside())
            .link("index/index.html", tree.secret())
            .link("a.txt.gz", tree.secret())
            .fifo("fifo");
        tree.settle()
    });
    *ADDRS[stack as usize].get_or_init(|| stack.serve(&tree.root()))
}

fn hello(addr: SocketAddr, fields: &[&str]) -> Reply {
    get(addr, "/hello.txt", fields)
}

fn etag(addr: SocketAddr) -> String {
    let etag = hello(addr, &[]).field("etag").to_owned();
    assert!(etag.starts_with('"'), "not strong: {etag:?}");
    etag
}

#[track_caller]
fn assert_whole(reply: &Reply) {
    assert_eq!(reply.status, 200, "{}", reply.head);
    assert_eq!(reply.field("content-range"), "");
    assert_eq!(reply.body, content());
}

#[track_caller]
fn assert_part(reply: &Reply, first: usize, last: usize) {
    assert_eq!(reply.status, 206, "{}", reply.head);
    assert_eq!(
        reply.field("content-range"),
        format!("bytes {first}-{last}/{SIZE}")
    );
    assert_eq!(reply.body, &content()[first..=last]);
}

#[track_caller]
fn assert_bodiless(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.head);
    assert!(reply.body.len() < 200, "{reply:?}");
}

/// One module of tests per stack, so that each check has its name and each stack its verdict.
macro_rules! scoreboard {
    ($stack:expr, $($check:ident)*) => {
        $(#[test] fn $check() { super::$check(super::addr($stack)); })*
    };
}

macro_rules! checks_of_the_answer {
    ($stack:expr) => {
        scoreboard! { $stack,
            s01_head_ignores_range
            s02_a_suffix_longer_than_the_file_is_the_whole_file
            s03_a_last_position_past_the_end_is_clamped
            s04_a_416_says_how_long_the_file_is
            s05_an_unknown_range_unit_is_ignored
            s06_the_name_of_the_unit_has_no_case
            s07_a_suffix_of_zero_bytes_is_not_a_part
            s08_a_huge_last_position_does_not_overflow
            s09_two_hundred_overlapping_ranges_cost_one_file
            s10_nine_hundred_tiny_ranges_cost_no_more_than_the_file
            s11_an_empty_file_has_no_first_byte
            s12_an_empty_file_has_no_last_byte
            s13_if_range_with_a_stale_tag_sends_the_whole
            s14_if_range_with_a_stale_date_sends_the_whole
            s15_if_range_with_a_weak_tag_sends_the_whole
            s16_if_range_with_garbage_sends_the_whole
            s17_if_range_with_the_current_strong_tag_sends_the_part
            s18_if_none_match_that_matches_is_304
            s19_if_none_match_may_take_two_lines
            s20_if_none_match_beats_if_modified_since
            s21_if_match_that_misses_is_412
            s22_if_match_never_matches_a_weak_tag
            s23_if_match_beats_if_unmodified_since
            s24_if_unmodified_since_an_old_date_is_412
            s25_a_failed_precondition_comes_before_the_range
            s26_not_modified_comes_before_the_range
            s27_another_method_is_405_with_allow
            s28_an_escaped_nul_is_a_clean_refusal
            s29_a_name_of_5000_bytes_is_a_clean_refusal
            s33_a_link_out_of_the_root_is_not_found
            s34_a_directory_link_out_of_the_root_is_not_found
            s35_a_linked_index_is_not_found
            s36_a_linked_gz_sibling_is_never_sent
            s37_a_fifo_does_not_hang
            s38_nosniff_is_always_said
        }
    };
}

mod axum_stack {
    checks_of_the_answer! { super::Stack::Axum }
    scoreboard! { super::Stack::Axum,
        s30_no_host_is_400
        s31_two_hosts_are_400
        s32_content_length_with_transfer_encoding_is_rejected
    }
}

/// 30–32 are the listener's: bare hyper does not refuse them, which is why `beneath_serve::Server` exists.
mod hyper_stack {
    checks_of_the_answer! { super::Stack::Hyper }
}

fn s01_head_ignores_range(addr: SocketAddr) {
    let reply = request(addr, "HEAD", "/hello.txt", &["Range: bytes=0-9"]);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.field("content-length"), "1000");
    assert_eq!(reply.field("content-range"), "");
    assert_eq!(reply.body, b"");
}

fn s02_a_suffix_longer_than_the_file_is_the_whole_file(addr: SocketAddr) {
    assert_part(&hello(addr, &["Range: bytes=-5000"]), 0, 999);
}

fn s03_a_last_position_past_the_end_is_clamped(addr: SocketAddr) {
    assert_part(&hello(addr, &["Range: bytes=990-5000"]), 990, 999);
}

fn s04_a_416_says_how_long_the_file_is(addr: SocketAddr) {
    let reply = hello(addr, &["Range: bytes=1000-"]);
    assert_bodiless(&reply, 416);
    assert_eq!(reply.field("content-range"), "bytes */1000");
}

fn s05_an_unknown_range_unit_is_ignored(addr: SocketAddr) {
    assert_whole(&hello(addr, &["Range: lines=0-9"]));
}

fn s06_the_name_of_the_unit_has_no_case(addr: SocketAddr) {
    assert_part(&hello(addr, &["Range: BYTES=0-9"]), 0, 9);
}

fn s07_a_suffix_of_zero_bytes_is_not_a_part(addr: SocketAddr) {
    let reply = hello(addr, &["Range: bytes=-0"]);
    assert_bodiless(&reply, 416);
    assert_eq!(reply.field("content-range"), "bytes */1000");
}

fn s08_a_huge_last_position_does_not_overflow(addr: SocketAddr) {
    assert_part(&hello(addr, &["Range: bytes=0-18446744073709551616"]), 0, 999);
    assert_part(
        &hello(
            addr,
            &["Range: bytes=5-99999999999999999999999999999999999999999"],
        ),
        5,
        999,
    );
}

fn s09_two_hundred_overlapping_ranges_cost_one_file(addr: SocketAddr) {
    let ranges: Vec<_> = (0..200).map(|_| "0-").collect();
    let reply = hello(addr, &[&format!("Range: bytes={}", ranges.join(","))]);
    assert!(reply.body.len() <= SIZE, "{}", reply.body.len());
}

fn s10_nine_hundred_tiny_ranges_cost_no_more_than_the_file(addr: SocketAddr) {
    let ranges: Vec<_> = (0..900).map(|_| "0-0").collect();
    let reply = hello(addr, &[&format!("Range: bytes={}", ranges.join(","))]);
    assert!(reply.body.len() <= SIZE, "{}", reply.body.len());
    // Neither may 900 different ones.
    let ranges: Vec<_> = (0..900)
        .map(|first| format!("{first}-{first}"))
        .step_by(2)
        .collect();
    let reply = hello(addr, &[&format!("Range: bytes={}", ranges.join(","))]);
    assert!(reply.body.len() <= SIZE, "{}", reply.body.len());
}

fn s11_an_empty_file_has_no_first_byte(addr: SocketAddr) {
    assert_no_part_of_the_empty_file(&get(addr, "/empty", &["Range: bytes=0-"]));
    assert_no_part_of_the_empty_file(&get(addr, "/empty", &["Range: bytes=0-0"]));
}

fn s12_an_empty_file_has_no_last_byte(addr: SocketAddr) {
    assert_no_part_of_the_empty_file(&get(addr, "/empty", &["Range: bytes=-1"]));
}

#[track_caller]
fn assert_no_part_of_the_empty_file(reply: &Reply) {
    match reply.status {
        200 => assert_eq!(
            (reply.field("content-range"), reply.field("content-length")),
            ("", "0")
        ),
        416 => assert_eq!(reply.field("content-range"), "bytes */0"),
        _ => panic!("{}", reply.head),
    }
}

fn s13_if_range_with_a_stale_tag_sends_the_whole(addr: SocketAddr) {
    assert_whole(&hello(addr, &["Range: bytes=10-", "If-Range: \"old\""]));
}

fn s14_if_range_with_a_stale_date_sends_the_whole(addr: SocketAddr) {
    for date in ["Thu, 01 Jan 2004 00:00:00 GMT", "Fri, 01 Jan 2038 00:00:00 GMT"] {
        assert_whole(&hello(addr, &["Range: bytes=10-", &format!("If-Range: {date}")]));
    }
}

fn s15_if_range_with_a_weak_tag_sends_the_whole(addr: SocketAddr) {
    assert_whole(&hello(
        addr,
        &["Range: bytes=10-", &format!("If-Range: W/{}", etag(addr))],
    ));
}

fn s16_if_range_with_garbage_sends_the_whole(addr: SocketAddr) {
    for garbage in ["garbage", "", "\"unfinished", "*"] {
        assert_whole(&hello(
            addr,
            &["Range: bytes=10-", &format!("If-Range: {garbage}")],
        ));
    }
}

fn s17_if_range_with_the_current_strong_tag_sends_the_part(addr: SocketAddr) {
    assert_part(
        &hello(addr, &["Range: bytes=10-", &format!("If-Range: {}", etag(addr))]),
        10,
        999,
    );
}

fn s18_if_none_match_that_matches_is_304(addr: SocketAddr) {
    let etag = etag(addr);
    for value in [
        etag.clone(),
        format!("W/{etag}"),
        "*".to_owned(),
        format!("\"x,y\", {etag}"),
    ] {
        let reply = hello(addr, &[&format!("If-None-Match: {value}")]);
        assert_bodiless(&reply, 304);
        assert_eq!(reply.field("etag"), etag);
        assert_eq!(reply.body, b"");
    }
}

fn s19_if_none_match_may_take_two_lines(addr: SocketAddr) {
    let current = format!("If-None-Match: {}", etag(addr));
    assert_bodiless(&hello(addr, &["If-None-Match: \"other\"", &current]), 304);
    assert_bodiless(&hello(addr, &[&current, "If-None-Match: \"other\""]), 304);
}

fn s20_if_none_match_beats_if_modified_since(addr: SocketAddr) {
    let since = format!("If-Modified-Since: {}", hello(addr, &[]).field("last-modified"));
    assert_bodiless(&hello(addr, &[&since]), 304); // The control.
    assert_whole(&hello(addr, &["If-None-Match: \"other\"", &since]));
}

fn s21_if_match_that_misses_is_412(addr: SocketAddr) {
    assert_bodiless(&hello(addr, &["If-Match: \"other\""]), 412);
}

fn s22_if_match_never_matches_a_weak_tag(addr: SocketAddr) {
    let etag = etag(addr);
    assert_whole(&hello(addr, &[&format!("If-Match: {etag}")])); // The control.
    assert_bodiless(&hello(addr, &[&format!("If-Match: W/{etag}")]), 412);
}

fn s23_if_match_beats_if_unmodified_since(addr: SocketAddr) {
    let current = format!("If-Match: {}", etag(addr));
    let old = "If-Unmodified-Since: Thu, 01 Jan 2004 00:00:00 GMT";
    assert_whole(&hello(addr, &[&current, old]));
}

fn s24_if_unmodified_since_an_old_date_is_412(addr: SocketAddr) {
    assert_bodiless(
        &hello(addr, &["If-Unmodified-Since: Thu, 01 Jan 2004 00:00:00 GMT"]),
        412,
    );
}

fn s25_a_failed_precondition_comes_before_the_range(addr: SocketAddr) {
    assert_bodiless(&hello(addr, &["If-Match: \"other\"", "Range: bytes=5000-"]), 412);
}

fn s26_not_modified_comes_before_the_range(addr: SocketAddr) {
    let current = format!("If-None-Match: {}", etag(addr));
    assert_bodiless(&hello(addr, &[&current, "Range: bytes=5000-"]), 304);
    assert_bodiless(&hello(addr, &[&current, "Range: bytes=0-9"]), 304);
}

fn s27_another_method_is_405_with_allow(addr: SocketAddr) {
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "OPTIONS"] {
        let reply = request(addr, method, "/hello.txt", &["Content-Length: 0"]);
        assert_bodiless(&reply, 405);
        assert_eq!(reply.field("allow"), "GET, HEAD", "{method}");
    }
}

fn s28_an_escaped_nul_is_a_clean_refusal(addr: SocketAddr) {
    for target in ["/%00", "/hello.txt%00", "/hello.txt%00.jpg"] {
        get(addr, target, &[]).assert_refused(target);
    }
}

fn s29_a_name_of_5000_bytes_is_a_clean_refusal(addr: SocketAddr) {
    for length in [256, 5000] {
        get(addr, format!("/{}", "a".repeat(length)), &[]).assert_refused("a long name");
    }
}

fn s30_no_host_is_400(addr: SocketAddr) {
    assert_bodiless(
        &raw(addr, "GET /hello.txt HTTP/1.1\r\nConnection: close\r\n\r\n"),
        400,
    );
}

fn s31_two_hosts_are_400(addr: SocketAddr) {
    assert_bodiless(
        &raw(
            addr,
            "GET /hello.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        ),
        400,
    );
}

fn s32_content_length_with_transfer_encoding_is_rejected(addr: SocketAddr) {
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let request = format!("POST /hello.txt HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n0\r\n\r\n");
        // The whole exchange: what follows the refused message must not be read as the next request.
        let smuggled = format!("{request}GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let reply = raw(addr, smuggled);
        assert_bodiless(&reply, 400);
        assert!(!reply.contains("HTTP/1.1 200"), "{reply:?}");
    }
}

fn s33_a_link_out_of_the_root_is_not_found(addr: SocketAddr) {
    get(addr, "/link.txt", &[]).assert_refused("/link.txt");
}

fn s34_a_directory_link_out_of_the_root_is_not_found(addr: SocketAddr) {
    for target in [
        "/directory/secret.txt",
        "/directory/",
        "/directory",
        "/directory/index.html",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
}

fn s35_a_linked_index_is_not_found(addr: SocketAddr) {
    for target in ["/index/", "/index/index.html", "/index"] {
        get(addr, target, &[]).assert_refused(target);
    }
}

fn s36_a_linked_gz_sibling_is_never_sent(addr: SocketAddr) {
    let reply = get(addr, "/a.txt", &["Accept-Encoding: gzip"]);
    assert_eq!((reply.status, reply.field("content-encoding")), (200, ""));
    assert_eq!(reply.body, b"identity");
    assert!(!reply.contains(SECRET));
}

fn s37_a_fifo_does_not_hang(addr: SocketAddr) {
    let started = Instant::now();
    get(addr, "/fifo", &[]).assert_refused("/fifo");
    assert_whole(&hello(addr, &[]));
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

fn s38_nosniff_is_always_said(addr: SocketAddr) {
    for target in ["/hello.txt", "/empty", "/missing", "/%zz"] {
        assert_eq!(
            get(addr, target, &[]).field("x-content-type-options"),
            "nosniff",
            "{target}"
        );
    }
}
