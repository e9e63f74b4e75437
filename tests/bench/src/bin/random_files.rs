//! What it costs that the files differ: 10,000 files of 4 KiB in random order against one of them again and again.
//! `cargo run --release -p beneath-bench --bin random_files`.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::time::Duration;

use anyhow::Result;
use beneath_bench::corpus::{self, Corpus, Size};
use beneath_bench::measure::{Sample, saturate, scatter};
use beneath_bench::server::Kind;
use beneath_bench::setup;
use beneath_bench::statistics::Spread;
use beneath_bench::wrk::Wrk;
use clap::Parser;

/// CPU time per request over many files, as a ratio to one file in the same round.
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
    /// How many files
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    files: u32,
    /// How often
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long one run takes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Priority, as of `compare`
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    nice: i32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    setup::prepare_all(&arguments.only)?;
    setup::enter(arguments.nice)?;
    let size: Size = "4k".parse()?;
    let names: Vec<String> = (0..arguments.files)
        .map(|number| format!("{number}.bin"))
        .collect();
    let corpus = Corpus::create(names.iter().map(|name| (name.clone(), size)))?.locked()?;
    let servers = setup::start(&arguments.only, &corpus)?;
    let (Some(first), Some(last)) = (names.first(), names.last()) else {
        return Ok(());
    };
    let folder = corpus::temporary()?;
    let wrk = Wrk::new(folder.path())?;
    let duration = Duration::from_secs(arguments.seconds);
    let mut samples: Vec<Vec<(Sample, Sample)>> = servers.iter().map(|_| Vec::new()).collect();
    for round in 0..=arguments.rounds {
        for (server, samples) in servers.iter().zip(&mut samples) {
            server.verify(last, size.bytes())?;
            let one = saturate(server, first, &wrk, duration)?;
            let many = scatter(server, &names, &wrk, duration)?;
            // The first round fills what there is to fill.
            if round > 0 {
                samples.push((one, many));
            }
        }
    }
    println!("| server | one file µs | {} files µs | ratio |", names.len());
    println!("|---|---|---|---|");
    for (server, samples) in servers.iter().zip(&samples) {
        let one = Spread::of(samples.iter().map(|(one, _)| one.cpu_micros));
        let many = Spread::of(samples.iter().map(|(_, many)| many.cpu_micros));
        let ratio = Spread::of(samples.iter().map(|(one, many)| many.cpu_micros / one.cpu_micros));
        if let (Some(one), Some(many), Some(ratio)) = (one, many, ratio) {
            println!("| {} | {one:.1} | {many:.1} | {ratio:.2} |", server.name);
        }
    }
    Ok(())
}
