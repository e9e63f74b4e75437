//! Connections and descriptors run out, and the server does not.
//!
//! The part with few descriptors runs in a child process of its own, which is this program again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use beneath_serve::Server;
use rustix::process::{Resource, Rlimit, setrlimit};
use support::{Client, GET, PATIENCE, Running, at_once, only, status};

#[test]
fn two_thousand_idle_connections_are_held_and_others_served() {
    let server = Running::start(only(|_| {}));
    let mut idle: Vec<Client> = (0..2000)
        .map(|_| {
            let mut client = server.client();
            client.send(GET).response();
            client
        })
        .collect();
    at_once(Duration::from_millis(300), || {
        assert_eq!(status(&server.client().send(GET).response()), 200);
    });
    for client in &mut idle {
        assert_eq!(status(&client.send(GET).response()), 200);
    }
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn at_the_cap_a_connection_waits_until_there_is_room() {
    let server = Running::start(only(|limits| limits.connections = 3));
    let mut held: Vec<Client> = (0..3)
        .map(|_| {
            let mut client = server.client();
            client.send(GET).response();
            client
        })
        .collect();
    let mut waiting = server.client();
    waiting.send(GET);
    waiting
        .0
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(waiting.0.read(&mut [0]).is_err(), "answered beyond the cap");
    held.pop();
    waiting.0.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(status(&waiting.response()), 200);
}

/// Not a test of its own: what the child process does.
#[test]
#[ignore = "run by the test below, as its child"]
fn child_with_few_descriptors() {
    let few = Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let limits = only(|limits| {
        limits.idle_timeout = Duration::from_millis(1200);
        limits.connections = 1000; // Against better knowledge: the default would leave room.
    });
    let server = Running::start_with(async || Server::bind("127.0.0.1:0").await.unwrap().limits(limits));
    println!("listening {}", server.address);
    std::io::stdin().read_line(&mut String::new()).unwrap();
    println!("drained {:?}", server.stop());
}

/// `ulimit -n 64` under load: 503 or a wait, no crash, no busy loop, recovery.
#[test]
fn without_descriptors_clients_are_turned_away_and_afterwards_served_again() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_with_few_descriptors",
            "--ignored",
            "--nocapture",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let address = output
        .find_map(|line| Some(line.split("listening ").nth(1)?.to_owned()))
        .unwrap();
    let connect = || Client::connect(&address);

    // Load: 300 connections that stay open as long as they may.
    let mut load: Vec<Client> = (0..300).map(|_| connect()).collect();
    let mut statuses = Vec::new();
    for client in &mut load {
        let _ = client.0.write_all(GET.as_bytes());
    }
    for client in &mut load {
        client
            .0
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        let mut head = [0; 12];
        if client.0.read_exact(&mut head).is_ok() {
            statuses.push(status(std::str::from_utf8(&head).unwrap()));
        }
    }
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(statuses.contains(&503), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );

    // While it lasts, the process does not spin.
    let before = cpu(child.id());
    sleep(Duration::from_secs(1));
    let spent = cpu(child.id()) - before;
    assert!(spent < 50, "{spent} ticks of CPU in a second of nothing to do");

    // Recovery.
    drop(load);
    sleep(Duration::from_millis(500));
    for _ in 0..30 {
        assert_eq!(status(&connect().send(GET).response()), 200);
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let drained = output
        .find(|line| line.contains("drained"))
        .expect("it did not crash");
    assert!(drained.contains("aborted: 0"), "{drained}");
    assert!(child.wait().unwrap().success());
}

/// User and system time of a process, in ticks of 10 ms (proc_pid_stat(5)).
fn cpu(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
