//! The comparison: `cargo run --release -p beneath-bench`. `--help` says how to choose servers and sizes.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(clippy::disallowed_methods, reason = "writes its own report by name")]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use beneath_bench::corpus::{Corpus, Size};
use beneath_bench::report::Report;
use beneath_bench::rounds::Rounds;
use beneath_bench::server::{Kind, Server};
use beneath_bench::setup::Prepared;
use beneath_bench::wrk::Wrk;
use beneath_bench::{corpus, machine, setup};
use clap::Parser;

/// Compares servers side by side: CPU time per request, throughput, latency, memory; each as a ratio to the first
/// server, nginx without authentication, in the same round; over TLS to nginx with the same certificate and cipher suite.
///
/// Installs nginx, lighttpd, wrk and vmtouch from Debian when they are missing, and with --all the other peers from
/// Debian, crates.io and PyPI; what cannot be had is named. Everything listens on 127.0.0.1 and is stopped at the end,
/// however it ends. Whether the project's own requirements were met is said last.
#[derive(Debug, Parser)]
#[command(after_help = "Compare two builds:  --only nginx,beneathd,old=/path/to/old/beneathd")]
struct Arguments {
    /// How often every server gets every scenario
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// How long one run takes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Every server and every configuration of it
    #[arg(long, conflicts_with = "only")]
    all: bool,
    /// These servers, the first being the standard; NAME=PROGRAM for another build of beneathd
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<Kind>,
    /// These sizes
    #[arg(long, value_delimiter = ',', default_value = "4k,64k,1m,1g")]
    sizes: Vec<Size>,
    /// How often a run is repeated when others used the machine
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=10))]
    retries: u64,
    /// Priority of servers and load, for a machine that is not quiet: -10 puts them before everybody else (root)
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-20..=19))]
    nice: i32,
    /// Leave out the latency at half load
    #[arg(long)]
    no_half_load: bool,
    /// Where everything that was measured is written
    #[arg(long, value_name = "FILE", default_value = "compare.json")]
    json: PathBuf,
}

impl Arguments {
    fn kinds(&self) -> Vec<Kind> {
        match (self.all, self.only.is_empty()) {
            (true, _) => Kind::all().collect(),
            (false, true) => Kind::USUAL.to_vec(),
            (false, false) => self.only.clone(),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let kinds = arguments.kinds();
    ensure!(!arguments.sizes.is_empty(), "no sizes");
    let prepared = setup::prepare(&kinds)?;
    ensure!(
        arguments.all || prepared.absent.is_empty(),
        "{}",
        prepared.absent.join("; ")
    );
    let description = machine::describe()?;
    setup::enter(arguments.nice)?;

    let corpus = Corpus::of_sizes(&arguments.sizes)?.locked()?;
    let servers = setup::start(&prepared.kinds, &corpus)?;
    let idle = idle(&servers, &arguments.sizes)?;
    let scratch = corpus::temporary()?;
    let samples = Rounds {
        servers: &servers,
        sizes: &arguments.sizes,
        rounds: usize::try_from(arguments.rounds)?,
        duration: Duration::from_secs(arguments.seconds),
        retries: usize::try_from(arguments.retries)?,
        half_load: !arguments.no_half_load,
        wrk: &Wrk::new(scratch.path())?,
    }
    .run()?;
    corpus.check_locked()?;

    let names: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
    let Prepared { versions, absent, .. } = prepared;
    let report = Report::new(description, versions, idle, absent, &names, samples);
    println!("{report}");
    std::fs::write(&arguments.json, serde_json::to_vec_pretty(&report)?)?;
    println!("{}", arguments.json.display());
    Ok(())
}

/// Memory before anybody asked for more than one file of each size, which must have been right.
fn idle(servers: &[Server], sizes: &[Size]) -> Result<Vec<(String, u64)>> {
    let mut idle = Vec::new();
    for server in servers {
        idle.push((server.name.clone(), server.usage()?.resident));
        for size in sizes {
            server.verify(&size.file_name(), size.bytes())?;
        }
    }
    Ok(idle)
}
