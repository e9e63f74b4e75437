//! A process that may have 64 descriptors, with more clients than that.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use beneath_tests::{Beneathd, Published, beneathd, http};

use crate::{ALICE, LARGE, PATIENCE, Shop, descriptors, path};

/// Fewer than the kernel lets wait for being accepted.
const CLIENTS: usize = 100;

/// By default, so many that each can have a file and the service what it needs.
const CONNECTIONS: usize = 12;

#[test]
fn with_64_descriptors_nobody_is_refused_and_who_comes_beyond_what_they_allow_waits() {
    let shop = Shop::build("stall_timeout = \"30s\"");
    let (served, refused) = besiege(&shop);
    assert_eq!((served, refused), (3 * CONNECTIONS, 0));
}

#[test]
fn a_limit_of_connections_that_the_descriptors_do_not_allow_turns_clients_away_and_is_not_fatal() {
    let shop = Shop::build("connections = 500\nstall_timeout = \"30s\"");
    let (_, refused) = besiege(&shop);
    assert!(refused > 0, "nobody was refused");
}

#[test]
fn files_that_are_kept_open_give_way_to_clients() {
    let shop = Shop::build("stall_timeout = \"30s\"\nkept_open = 40");
    let files: Vec<Published> = (0..30)
        .map(|number| {
            let name = format!("files/{number}.txt");
            std::fs::write(shop.house.path(&name), "up").unwrap();
            let place = format!("files:{number}.txt");
            shop.house
                .run(&["publish", &place, "--to", "user:alice", "--json"])
                .published()
        })
        .collect();
    let mut service = serve_with_64_descriptors(&shop);
    let deadline = Instant::now() + Duration::from_secs(20);
    while descriptors(&service, "/files/") < 15 {
        assert!(Instant::now() < deadline, "nothing is kept open");
        for file in &files {
            assert_eq!(http::get(service.address(), &path(file), ALICE, "").status, 200);
        }
    }
    let (served, refused) = besiege_service(&shop, &mut service);
    assert_eq!((served, refused), (3 * CONNECTIONS, 0));
}

/// Clients that each ask for a large file and read nothing of it but the head, three times. How many were served, and how
/// many refused with 503; afterwards all must be served.
fn besiege(shop: &Shop) -> (usize, usize) {
    besiege_service(shop, &mut serve_with_64_descriptors(shop))
}

fn serve_with_64_descriptors(shop: &Shop) -> Beneathd {
    let program = beneathd();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]);
    command.arg(program.get_program()).stdin(Stdio::null());
    shop.house.serve_by(command)
}

fn besiege_service(shop: &Shop, service: &mut Beneathd) -> (usize, usize) {
    let address = service.address();
    let (mut all_served, mut all_refused) = (0, 0);
    for round in 0..3 {
        let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| ask(address, &path(&shop.large))).collect();
        let mut statuses: Vec<Option<u16>> = vec![None; CLIENTS];
        let mut hear = || {
            let waiting = statuses
                .iter_mut()
                .zip(&mut clients)
                .filter(|(heard, _)| heard.is_none());
            waiting.for_each(|(heard, client)| *heard = status(client));
            statuses.iter().flatten().count()
        };
        // As many as can be are served or refused, however busy the machine is; and soon after whoever else would be.
        let deadline = Instant::now() + PATIENCE;
        while hear() < CONNECTIONS && Instant::now() < deadline {}
        std::thread::sleep(Duration::from_millis(500));
        hear();
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        let (served, refused, waiting) = (count(Some(200)), count(Some(503)), count(None));
        println!(
            "64 descriptors, round {round}: of {CLIENTS} clients {served} are served, {refused} refused, {waiting} wait"
        );
        assert!(service.runs(), "it did not survive");
        assert_eq!(served + refused + waiting, CLIENTS, "{statuses:?}");
        drop(clients);
        recovers(shop, address);
        all_served += served;
        all_refused += refused;
    }
    (all_served, all_refused)
}

/// Nobody is refused any more, and a long answer is whole.
fn recovers(shop: &Shop, address: SocketAddr) {
    let small = path(&shop.small);
    let deadline = Instant::now() + PATIENCE;
    while http::get(address, &small, ALICE, "").status != 200 {
        assert!(Instant::now() < deadline, "still refused after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..30 {
        assert_eq!(http::get(address, &small, ALICE, "").status, 200);
    }
    let whole = http::get(address, &path(&shop.large), ALICE, "");
    assert_eq!((whole.status, whole.body.len()), (200, LARGE));
}

fn ask(server: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    // Who is turned away at the door may be so before this.
    let _ = write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ALICE}\r\n\r\n"
    );
    stream
}

fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    std::str::from_utf8(&line).ok()?.split(' ').nth(1)?.parse().ok()
}
