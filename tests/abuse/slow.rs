//! slowhttptest (Debian): the slow attacks that have names, as its author runs them.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use beneath_tests::Beneathd;

use crate::{ALICE, Bystander, Shop, descriptors, path};

/// A mode of slowhttptest, how many of its connections must have been there at once, and how long after its start all of them must
/// be gone: the second in which they are opened, what the configuration says, and [`BUSY`].
struct Attack {
    name: &'static str,
    arguments: &'static [&'static str],
    on: Target,
    least: usize,
    gone_after: Duration,
}

/// What is asked for.
enum Target {
    /// A large file.
    Download,
    /// Something that reads the body of a request.
    Administration,
}

const LIMITS: &str = "header_timeout = \"1s\"\nidle_timeout = \"2s\"\nstall_timeout = \"1s\"";
const CONNECTIONS: usize = 150;
/// Seconds for a machine that has much else to do: still sooner than by any default, or than the attacks end by themselves.
const BUSY: u64 = 6;

const ATTACKS: [Attack; 4] = [
    Attack {
        name: "-H, a field of the head each second",
        arguments: &["-H", "-i", "1"],
        on: Target::Download,
        least: CONNECTIONS / 4,
        gone_after: Duration::from_secs(1 + 1 + BUSY),
    },
    Attack {
        name: "-B, some of the body each second",
        arguments: &["-B", "-i", "1", "-s", "60000", "-t", "POST"],
        on: Target::Administration,
        least: CONNECTIONS / 4,
        gone_after: Duration::from_secs(1 + 1 + BUSY),
    },
    Attack {
        name: "-R, hundreds of ranges",
        arguments: &["-R", "-a", "1", "-b", "2000"],
        on: Target::Download,
        // Each is answered at once, and let go.
        least: 1,
        gone_after: Duration::from_secs(1 + 2 + BUSY),
    },
    Attack {
        name: "-X, five bytes read each second",
        arguments: &["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5"],
        on: Target::Download,
        least: CONNECTIONS / 4,
        gone_after: Duration::from_secs(1 + 1 + BUSY),
    },
];

#[test]
fn slow_clients_are_cut_when_the_configuration_says_and_nobody_else_waits() {
    let shop = Shop::build(LIMITS);
    let token = shop.house.json(&["token", "create", "alice"]);
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let service = shop.house.serve();
    let bystander = Bystander::arrive(service.address(), &shop.small);
    thread::sleep(Duration::from_millis(200));
    let before = descriptors(&service, "socket:");
    for attack in ATTACKS {
        let mut command = Command::new("slowhttptest");
        command
            .args(attack.arguments)
            .args(["-l", "20", "-p", "3", "-v", "1"]);
        command.args(["-c", &CONNECTIONS.to_string(), "-r", &CONNECTIONS.to_string()]);
        let (path, authorization) = match attack.on {
            Target::Download => (path(&shop.large), ALICE),
            Target::Administration => ("/api/v1/files".to_owned(), &*bearer),
        };
        // It has no option for other fields, and passes on whatever is in this one.
        command.args(["-j", &format!("a=b\r\nAuthorization: {authorization}")]);
        command.args(["-u", &format!("http://{}{path}", service.address())]);
        let begin = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut attacker = Attacker(child.expect("slowhttptest, which tests/run installs"));
        let most = watch(&service, &mut attacker, before);
        println!(
            "slowhttptest {}: {most} sockets, all gone after {:?}",
            attack.name,
            begin.elapsed()
        );
        assert!(
            most >= before + attack.least,
            "{}: that was no attack, with {most} sockets",
            attack.name
        );
        assert!(
            begin.elapsed() < attack.gone_after,
            "{}: gone only after {:?}",
            attack.name,
            begin.elapsed()
        );
    }
    bystander.was_served("slowhttptest");
}

/// Waits until no connection of the attacker is left; how many sockets there were at most.
fn watch(service: &Beneathd, attacker: &mut Attacker, before: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(15);
    let mut most = 0;
    loop {
        let ended = attacker.0.try_wait().unwrap().is_some();
        let now = descriptors(service, "socket:");
        most = most.max(now);
        // It may not notice that it was cut: what it has not read keeps it from seeing the end.
        if (ended || most >= before + CONNECTIONS / 4) && now <= before + 4 {
            return most;
        }
        assert!(Instant::now() < deadline, "{now} sockets, at most {most}");
        thread::sleep(Duration::from_millis(2));
    }
}

struct Attacker(Child);

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
