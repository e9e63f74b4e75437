//! Over HTTP/2, where what was read of a file may wait for a window.

use std::time::Duration;

use beneath_tests::House;
use beneath_tests::h2::{
    DATA, END_HEADERS, END_STREAM, Frame, Frames, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get,
};

/// A file of any length, and a window that is shut, or was open for all but the last piece.
#[test]
fn what_waits_for_a_window_when_the_right_to_it_falls_is_not_sent() {
    for (length, window) in [
        (1000, 0),
        (60_000, 0),
        (60_000, 1),
        (100_000, 0),
        (100_000, 65_537),
    ] {
        let house = House::build();
        std::fs::write(house.path("files/x"), vec![b'x'; length]).unwrap();
        house.add_user("alice");
        let published = house
            .run(&["publish", "files:x", "--to", "user:alice", "--json"])
            .published();
        let service = house.serve();
        let mut client = Frames::open(service.address(), &[(INITIAL_WINDOW_SIZE, window)]);
        client.send(frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 20).to_be_bytes()));
        let path = format!("/f/{}", published.id);
        let head = get(&path, &[("authorization", ALICE)]);
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
        let mut received = 0;
        assert_eq!(next(&mut client).kind, HEADERS);
        while received < window as usize {
            let frame = next(&mut client);
            assert_eq!(frame.kind, DATA, "{frame:?}");
            received += frame.payload.len();
        }
        std::thread::sleep(Duration::from_millis(300));
        house.run(&["revoke", &published.id, "user:alice"]).succeeds();
        client.send(frame(
            SETTINGS,
            0,
            0,
            &[&[0, 4][..], &(1_u32 << 20).to_be_bytes()].concat(),
        ));
        let frame = next(&mut client);
        assert_eq!(
            frame.kind,
            RST_STREAM,
            "of {length} bytes, {received} received: {} more",
            frame.payload.len()
        );
    }
}

/// What comes next on the one stream there is.
fn next(client: &mut Frames) -> Frame {
    loop {
        let frame = client.receive().expect("the connection goes on");
        if frame.stream == 1 {
            return frame;
        }
    }
}

/// Alice and "secret", RFC 7617 §2.
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";

/// RFC 9113 §6.5.2.
const INITIAL_WINDOW_SIZE: u16 = 4;
