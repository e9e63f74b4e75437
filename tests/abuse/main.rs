//! Clients that want the service to fail: slow ones, ones that flood, ones that speak HTTP/2 as nobody may, and a process
//! without descriptors. Whoever behaves is served throughout, and whoever does not is cut when the configuration says.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

mod descriptors;
mod floods;
mod http2;
mod slow;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use beneath_tests::{Beneathd, House, Published, http};

/// `alice:secret`.
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";
/// Longer than any two socket buffers.
const LARGE: usize = 64 << 20;

/// How long whoever behaves may have to wait on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// A service with two files for alice.
struct Shop {
    house: House,
    small: Published,
    large: Published,
}

impl Shop {
    fn build(limits: &str) -> Self {
        let house = House::build();
        let large = fs::File::create(house.path("files/large.bin")).unwrap();
        large.set_len(LARGE as u64).unwrap();
        house.configure(&format!(
            "listen = \"127.0.0.1:0\"\n[limits]\n{limits}\n[roots.files]\npath = \"files\"\n"
        ));
        house.add_user("alice");
        let publish = |name| {
            house
                .run(&["publish", name, "--to", "user:alice", "--json"])
                .published()
        };
        let (small, large) = (publish("files:report.txt"), publish("files:large.bin"));
        Self { house, small, large }
    }
}

fn path(file: &Published) -> String {
    format!("/f/{}", file.id)
}

/// Somebody who behaves: asks again and again over new connections, and remembers how long the worst took.
struct Bystander {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<(u32, Duration)>,
}

impl Bystander {
    fn arrive(server: SocketAddr, file: &Published) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (path, stopped) = (path(file), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let (mut served, mut worst) = (0, Duration::ZERO);
            while !stopped.load(Relaxed) {
                let begin = Instant::now();
                let answer = http::get(server, &path, ALICE, "");
                assert_eq!((answer.status, answer.body.as_slice()), (200, b"up".as_slice()));
                worst = worst.max(begin.elapsed());
                served += 1;
                thread::sleep(Duration::from_millis(10));
            }
            (served, worst)
        });
        Self { stop, thread }
    }

    /// Every answer was right, and none was late.
    #[track_caller]
    fn was_served(self, during: &str) {
        self.stop.store(true, Relaxed);
        let (served, worst) = self.thread.join().unwrap();
        println!("{during}: a bystander was served {served} times, at worst after {worst:?}");
        assert!(
            served > 5 && worst < PATIENCE,
            "{during}: served {served} times, at worst after {worst:?}"
        );
    }
}

/// How many of its descriptors are of this: `socket:`, or the end of a path.
fn descriptors(service: &Beneathd, what: &str) -> usize {
    fs::read_dir(format!("/proc/{}/fd", service.id()))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().contains(what))
        .count()
}

/// KiB in memory: proc_pid_status(5).
fn resident(service: &Beneathd) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
