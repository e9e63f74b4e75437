//! Whether a file that must come from the disk makes those wait who ask for one that is in memory:
//! `cargo run --release -p beneath-bench --bin cold`.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "evicts its own files from the page cache, and reads /proc by name"
)]

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use beneath_bench::client::Connection;
use beneath_bench::corpus::{Corpus, Size};
use beneath_bench::open_loop::{self, Latency, Plan};
use beneath_bench::server::{Kind, Server};
use beneath_bench::setup;
use beneath_bench::statistics::Spread;
use beneath_bench::verdict::Verdict;
use clap::Parser;
use rustix::fs::{Advice, fadvise};

/// p99 of requests for a file in memory, alone and while others ask for files that are not.
#[derive(Debug, Parser)]
struct Arguments {
    /// These servers
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME",
        default_value = "nginx,beneathd"
    )]
    only: Vec<Kind>,
    /// Requests per second for the file in memory
    #[arg(long, default_value_t = 2000.0)]
    rate: f64,
    /// Clients that ask for files on the disk
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    clients: u64,
    /// How often
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long one run takes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Priority, as of `compare`
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    nice: i32,
}

const COLD_FILES: u64 = 256;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    setup::prepare_all(&arguments.only)?;
    setup::enter(arguments.nice)?;
    let (hot, cold): (Size, Size) = ("4k".parse()?, "1m".parse()?);
    let files = (0..COLD_FILES).map(|number| (format!("cold-{number}.bin"), cold));
    let corpus = Corpus::create(files.chain([(hot.file_name(), hot)]))?.locked()?;
    for number in 0..COLD_FILES {
        // Only clean pages can be evicted.
        File::open(corpus.path().join(format!("cold-{number}.bin")))?.sync_all()?;
    }
    let servers = setup::start(&arguments.only, &corpus)?;
    println!(
        "| server | cold clients | hot p50 ms | p99 ms | p99.9 ms | max ms | cold answers | from disk MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut found: Vec<(&str, Vec<Pair>)> = Vec::new();
    for server in &servers {
        found.push((&server.name, Vec::new()));
    }
    for _ in 0..arguments.rounds {
        for (server, (_, pairs)) in servers.iter().zip(&mut found) {
            pairs.push(Pair {
                alone: measure(server, corpus.path(), &arguments, hot, 0)?.p99,
                meanwhile: measure(server, corpus.path(), &arguments, hot, arguments.clients)?.p99,
            });
        }
    }
    for verdict in verdicts(&found) {
        println!("{verdict}");
    }
    Ok(())
}

/// p99 of hot requests, in microseconds.
#[derive(Clone, Copy)]
struct Pair {
    alone: u64,
    meanwhile: u64,
}

/// A read from the disk takes a millisecond and more; a thread that waits for one makes every hundredth request wait as
/// long, as it does in nginx.
fn verdicts(found: &[(&str, Vec<Pair>)]) -> Vec<Verdict> {
    #[expect(clippy::cast_precision_loss, reason = "figures to look at")]
    let millis = |pairs: &[Pair], figure: fn(&Pair) -> u64| {
        Spread::of(pairs.iter().map(|pair| figure(pair) as f64 / 1e3)).map(|spread| spread.median)
    };
    let of = |name: &str, figure| {
        let (_, pairs) = found.iter().find(|(server, _)| *server == name)?;
        millis(pairs, figure)
    };
    let mut verdicts = Vec::new();
    if let (Some(alone), Some(with)) = (
        of("beneathd", |pair| pair.alone),
        of("beneathd", |pair| pair.meanwhile),
    ) {
        println!("beneathd: p99 {alone:.2} ms alone, {with:.2} ms while cold files are read");
        if let Some(theirs) = of("nginx", |pair| pair.meanwhile) {
            let requirement = "p99 of hot requests while cold files are read, × nginx";
            verdicts.push(Verdict::at_most(requirement, with / theirs, 1.0));
        }
    }
    verdicts
}

fn measure(server: &Server, root: &Path, arguments: &Arguments, hot: Size, clients: u64) -> Result<Latency> {
    let request = server.request(&hot.file_name())?;
    let duration = Duration::from_secs(arguments.seconds);
    let plan = Plan {
        server: server.address,
        request: &request,
        connections: 16,
        rate: arguments.rate,
        duration,
    };
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = read_bytes(server.id())?;
    let latency = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                let (stop, answered) = (&stop, &answered);
                scope.spawn(move || ask_for_cold(server, root, client..COLD_FILES, clients, stop, answered))
            })
            .collect();
        let latency = open_loop::run(&plan);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        latency
    })?;
    let from_disk = read_bytes(server.id())? - before;
    let answered = answered.into_inner();
    ensure!(
        clients == 0 || from_disk > 0,
        "nothing came from the disk: the page cache was not evicted"
    );
    row(server, clients, latency, answered, from_disk);
    Ok(latency)
}

/// Evicts a file, asks for it, takes the next.
fn ask_for_cold(
    server: &Server,
    root: &Path,
    range: std::ops::Range<u64>,
    step: u64,
    stop: &AtomicBool,
    answered: &AtomicU64,
) -> Result<()> {
    let mut connection = Connection::open(server.address)?;
    let mut buffer = vec![0; 64 * 1024];
    let numbers = range.step_by(usize::try_from(step)?);
    for number in numbers.cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
        let name = format!("cold-{number}.bin");
        fadvise(File::open(root.join(&name))?, 0, None, Advice::DontNeed)?;
        let head = connection.begin(&server.request(&name)?)?;
        connection.skip(head.content_length, &mut buffer)?;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// What the server and its children had fetched from the storage layer: proc_pid_io(5).
fn read_bytes(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for pid in beneath_bench::process::tree(pid) {
        let text = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("read_bytes: "));
        sum += line.context("/proc/PID/io has no read_bytes")?.parse::<u64>()?;
    }
    Ok(sum)
}

#[expect(clippy::cast_precision_loss, reason = "figures to look at")]
fn row(server: &Server, clients: u64, latency: Latency, answered: u64, from_disk: u64) {
    let millis = |micros: u64| micros as f64 / 1e3;
    println!(
        "| {} | {clients} | {:.2} | {:.2} | {:.2} | {:.2} | {answered} | {} |",
        server.name,
        millis(latency.p50),
        millis(latency.p99),
        millis(latency.p999),
        millis(latency.max),
        from_disk >> 20
    );
}
