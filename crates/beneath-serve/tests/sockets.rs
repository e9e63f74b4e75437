//! TCP over IPv4 and IPv6, unix sockets, several at once; and what handlers learn of the peer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};

use beneath_serve::Server;
use support::{Client, Running, status};

const PEER: &str = "GET /peer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn a_handler_finds_the_address_of_its_client() {
    let server = Running::start(support::only(|_| {}));
    let mut client = server.client();
    let address = client.0.local_addr().unwrap();
    let answer = client.send(PEER).rest();
    assert!(answer.ends_with(&format!("Tcp({address})")), "{answer}");
}

#[test]
fn ipv6_is_served() {
    let server = Running::start_with(async || Server::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap());
    let answer = server.client().send(PEER).rest();
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("[::1]"), "{answer}");
}

#[test]
fn a_unix_socket_is_served_and_its_peer_has_no_address() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let bound = path.clone();
    let _server = Running::start_with(async || Server::bind_unix(bound).unwrap());
    assert!(ask_unix(&path).ends_with("Unix"));
}

#[tokio::test]
async fn what_cannot_be_listened_on_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::bind(address).await.err().unwrap().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    let nowhere = std::path::Path::new("/nowhere/socket");
    let error = Server::bind_unix(nowhere).err().unwrap().to_string();
    assert!(error.contains("/nowhere/socket"), "{error}");
}

#[test]
fn sockets_that_were_handed_over_are_served_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let unix = UnixListener::bind(&path).unwrap();
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    let second_address = second.local_addr().unwrap();
    let server = Running::start_with(async || {
        let unix = Server::from_unix_listener(unix).unwrap();
        unix.and(Server::from_listener(first).unwrap())
            .and(Server::from_listener(second).unwrap())
    });
    for _ in 0..3 {
        assert!(ask_unix(&path).ends_with("Unix"));
        assert_eq!(status(&server.client().send(PEER).rest()), 200);
        let mut other = Client::connect(second_address);
        assert_eq!(status(&other.send(PEER).rest()), 200);
    }
}

fn ask_unix(path: &std::path::Path) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(PEER.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
