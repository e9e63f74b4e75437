//! Floods over HTTP/2 of requests for files that exist: each opens a file and takes a lease, none may pile up.

use std::time::{Duration, Instant};

use beneath_tests::h2::{
    CONTINUATION, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    frame, get,
};

use beneath_tests::Beneathd;

use crate::{ALICE, Bystander, Shop, descriptors, path, resident};

/// How much more memory it may have after the same again, in KiB.
const GROWTH: u64 = 16 * 1024;
/// How much it may have at any time.
const MOST: u64 = 128 * 1024;

#[test]
fn floods_over_http2_raise_no_memory_and_make_nobody_wait() {
    let shop = Shop::build("header_timeout = \"1s\"\nidle_timeout = \"2s\"\nstall_timeout = \"1s\"");
    let service = shop.house.serve();
    let bystander = Bystander::arrive(service.address(), &shop.small);
    std::thread::sleep(Duration::from_millis(300));

    let head = get(&path(&shop.large), &[("authorization", ALICE)]);
    let asks = |second: &dyn Fn(u32) -> Vec<u8>| -> Vec<u8> {
        let pair = |stream| {
            [
                frame(HEADERS, END_STREAM | END_HEADERS, stream, &head),
                second(stream),
            ]
            .concat()
        };
        (0..3000).flat_map(|number| pair(2 * number + 1)).collect()
    };
    let field = block(&[("x-long", &"y".repeat(200))]);
    let floods: [(&str, Vec<u8>); 7] = [
        (
            "rapid reset, CVE-2023-44487",
            asks(&|stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])),
        ),
        (
            "made-you-reset, CVE-2025-8671",
            asks(&|stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
        ),
        ("requests without end", asks(&|_| Vec::new())),
        (
            "CONTINUATION, CVE-2024-27316",
            [
                frame(HEADERS, END_STREAM, 1, &head),
                frame(CONTINUATION, 0, 1, &field.repeat(50)).repeat(1000),
            ]
            .concat(),
        ),
        (
            "long heads",
            (0..200)
                .flat_map(|n| {
                    frame(
                        HEADERS,
                        END_STREAM | END_HEADERS,
                        2 * n + 1,
                        &[&head[..], &field.repeat(60)].concat(),
                    )
                })
                .collect(),
        ),
        ("PING, CVE-2019-9512", frame(PING, 0, 0, &[0; 8]).repeat(100_000)),
        (
            "SETTINGS, CVE-2019-9515",
            frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(100_000),
        ),
    ];
    // What the first time leaves behind is an allocator's stock; what the second adds would be added each time.
    flood(&service, &floods);
    let memory = resident(&service);
    flood(&service, &floods);
    let after = resident(&service);
    println!("21 floods again: {memory} KiB became {after}");
    assert!(after < memory + GROWTH, "{memory} KiB became {after}");
    bystander.was_served("floods over HTTP/2");
}

/// Sends each flood three times over connections that stay, and waits until the service has closed all it opened.
fn flood(service: &Beneathd, floods: &[(&str, Vec<u8>)]) {
    let few = descriptors(service, "socket:");
    let mut held = Vec::new();
    for (name, flood) in floods.iter().cycle().take(21) {
        // A window that stays shut: whatever is answered must wait, and is never read.
        let mut client = Frames::open(service.address(), &[(4, 0)]);
        client.write_patience(Duration::from_millis(200));
        client.send(flood);
        held.push(client);
        let now = resident(service);
        assert!(now < MOST, "{name}: {now} KiB");
    }
    let begin = Instant::now();
    // Files by `stall_timeout`; connections by `idle_timeout`, and three seconds in which to answer the goodbye. And ten for a
    // machine that is busy, which is less than without these limits.
    for (what, patience) in [("large.bin", 1 + 10), ("socket:", 2 + 3 + 10)] {
        while descriptors(service, what) > few + 4 {
            assert!(
                begin.elapsed() < Duration::from_secs(patience),
                "{what} still open: {}",
                descriptors(service, what)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("after the floods {what} is closed within {:?}", begin.elapsed());
    }
}
