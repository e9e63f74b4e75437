//! What a connection costs that does nothing, and one that takes what it asked for very slowly:
//! `cargo run --release -p beneath-bench --bin idle_memory`.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use beneath_bench::client::Connection;
use beneath_bench::corpus::{Corpus, Size};
use beneath_bench::server::{Kind, Server};
use beneath_bench::setup;
use beneath_bench::tls::Certificate;
use beneath_bench::verdict::Verdict;
use clap::Parser;

/// Resident memory per idle keep-alive connection and per slow download.
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
    /// How many idle connections
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    idle: Vec<u64>,
    /// How many slow readers
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=5000))]
    slow: u64,
    /// For how long they read
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    setup::prepare_all(&arguments.only)?;
    let descriptors = setup::enter(0)?;
    let (small, large): (Size, Size) = ("4k".parse()?, "16m".parse()?);
    let corpus = Corpus::of_sizes(&[small, large])?.locked()?;
    let certificate = Certificate::generate()?;
    // Idle connections need one descriptor each, here and there; what serves them needs some too.
    let most = descriptors.saturating_sub(1000);
    let mut verdicts = Vec::new();
    println!("| server | connections | RSS before MiB | RSS MiB | KiB each | still answered |");
    println!("|---|---|---|---|---|---|");
    for kind in &arguments.only {
        for count in &arguments.idle {
            ensure!(
                *count <= most,
                "`ulimit -n` is {descriptors}: there is room for {most} connections, not for {count}"
            );
            let server = kind.start_for(corpus.path(), &certificate, count + 100)?;
            let row = idle(&server, small, usize::try_from(*count)?)?;
            row.print(&format!("{count} idle"));
            if server.name == "beneathd" {
                verdicts.push(Verdict::at_most("RSS of beneathd idle, MiB", row.before, 15.0));
                let requirement = format!("{count} idle connections, KiB each");
                verdicts.push(Verdict::at_most(requirement, row.each, 12.0));
            }
        }
        let server = kind.start_for(corpus.path(), &certificate, arguments.slow + 100)?;
        let duration = Duration::from_secs(arguments.seconds);
        let row = slow(&server, large, usize::try_from(arguments.slow)?, duration)?;
        row.print(&format!("{} slow", arguments.slow));
        if server.name == "beneathd" {
            let requirement = format!("{} slow downloads, KiB each", arguments.slow);
            verdicts.push(Verdict::at_most(requirement, row.each, 20.0));
        }
    }
    for verdict in verdicts {
        println!("{verdict}");
    }
    Ok(())
}

/// What some connections cost.
struct Row {
    server: String,
    /// MiB.
    before: f64,
    /// MiB.
    after: f64,
    /// KiB.
    each: f64,
    alive: usize,
}

/// Each connection asks once and stays.
fn idle(server: &Server, size: Size, count: usize) -> Result<Row> {
    server.verify(&size.file_name(), size.bytes())?;
    let before = server.usage()?.resident;
    let request = server.request(&size.file_name())?;
    let mut buffer = vec![0; 64 * 1024];
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(server.address)?;
        let head = connection.begin(&request)?;
        connection.skip(head.content_length, &mut buffer)?;
        connections.push(connection);
    }
    // A server may keep its buffers for a moment, for the next request.
    std::thread::sleep(Duration::from_secs(5));
    let after = server.usage()?.resident;
    let mut alive = 0;
    for connection in &mut connections {
        if connection.begin(&request).is_ok() {
            alive += 1;
        }
    }
    ensure!(alive == count, "only {alive} of {count} connections stayed");
    Ok(Row::of(server, before, after, count, alive))
}

/// Each connection asks for a large file and takes some 40 KiB of it per second.
fn slow(server: &Server, size: Size, count: usize, duration: Duration) -> Result<Row> {
    server.verify("4k.bin", 4096)?;
    let before = server.usage()?.resident;
    let request = server.request(&size.file_name())?;
    let mut readers = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open_narrow(server.address)?;
        connection.begin(&request)?;
        let stream = connection.into_stream();
        stream.set_nonblocking(true)?;
        readers.push(stream);
    }
    let until = Instant::now() + duration;
    let mut alive = count;
    while Instant::now() < until {
        alive = readers.iter_mut().map(sip).filter(|alive| *alive).count();
        std::thread::sleep(Duration::from_millis(50));
    }
    let after = server.usage()?.resident;
    ensure!(alive == count, "only {alive} of {count} downloads stayed");
    Ok(Row::of(server, before, after, count, alive))
}

/// Takes 2 KiB if there are some. Whether the connection is still open.
fn sip(stream: &mut TcpStream) -> bool {
    let read = std::io::Read::read(stream, &mut [0; 2048]);
    read.map_or_else(
        |error| error.kind() == std::io::ErrorKind::WouldBlock,
        |count| count > 0,
    )
}

impl Row {
    #[expect(clippy::cast_precision_loss, reason = "figures to look at")]
    fn of(server: &Server, before: u64, after: u64, count: usize, alive: usize) -> Self {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Self {
            server: server.name.clone(),
            before: mebibytes(before),
            after: mebibytes(after),
            each: after.saturating_sub(before) as f64 / 1024.0 / count as f64,
            alive,
        }
    }

    fn print(&self, what: &str) {
        println!(
            "| {} | {what} | {:.1} | {:.1} | {:.1} | {} |",
            self.server, self.before, self.after, self.each, self.alive
        );
    }
}
