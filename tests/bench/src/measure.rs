//! [`Sample`]: what one server did in one run, and the three kinds of run.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::client::Connection;
use crate::corpus::Size;
use crate::open_loop::{self, Plan};
use crate::process::own_cpu;
use crate::server::Server;
use crate::wrk::{Outcome, Wrk};

/// What one server did in one run.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Sample {
    /// Counted from zero.
    pub round: usize,
    /// What was asked for.
    pub scenario: String,
    /// Who was asked.
    pub server: String,
    /// How many answers were received whole.
    pub requests: u64,
    /// Answers per second.
    pub rate: f64,
    /// User and system time of all processes of the server, in microseconds for each answer.
    pub cpu_micros: f64,
    /// The share of one CPU that the server used.
    pub cpu_share: f64,
    /// Half were answered within this many microseconds.
    pub p50: u64,
    /// 99 of 100 were.
    pub p99: u64,
    /// 999 of 1,000 were.
    pub p999: u64,
    /// Resident memory of the server at the end, in bytes.
    pub resident: u64,
    /// CPUs that were busy with neither the server nor the load.
    pub others: f64,
}

/// From here on nobody can say whether the server or somebody else was measured.
pub const DIRTY: f64 = 0.10;

struct Meter<'a> {
    server: &'a Server,
    cpu: Duration,
    own: Duration,
    busy: Duration,
    begin: Instant,
}

/// As many requests as the server can answer, from 64 connections.
pub fn saturate(server: &Server, file: &str, wrk: &Wrk, duration: Duration) -> Result<Sample> {
    let path = server.path(file)?;
    let meter = Meter::start(server)?;
    let outcome = wrk.one(server, &path, duration)?;
    meter.stop(outcome)
}

/// The same over many files, one at random each time.
pub fn scatter(server: &Server, files: &[String], wrk: &Wrk, duration: Duration) -> Result<Sample> {
    let paths = files
        .iter()
        .map(|file| server.path(file))
        .collect::<Result<Vec<_>>>()?;
    let meter = Meter::start(server)?;
    let outcome = wrk.random(server, &paths, duration)?;
    meter.stop(outcome)
}

/// One large file again and again over one connection, copied into the client's memory and thrown away.
pub fn bulk(server: &Server, size: Size, duration: Duration) -> Result<Sample> {
    let request = server.request(&size.file_name())?;
    let mut connection = Connection::open(server.address)?;
    let mut buffer = vec![0; 256 * 1024];
    let meter = Meter::start(server)?;
    let mut micros = Vec::new();
    while meter.begin.elapsed() < duration {
        let begin = Instant::now();
        let head = connection.begin(&request)?;
        ensure!(head.content_length == size.bytes(), "{}: not {size}", head.text);
        connection.skip(head.content_length, &mut buffer)?;
        micros.push(u64::try_from(begin.elapsed().as_micros())?);
    }
    let requests = micros.len() as u64;
    let elapsed = u64::try_from(meter.begin.elapsed().as_micros())?;
    micros.sort_unstable();
    let at = |share| crate::statistics::percentile(&micros, share);
    let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
    meter.stop(Outcome {
        requests,
        micros: elapsed,
        bytes: requests * size.bytes(),
        errors: 0,
        p50,
        p99,
        p999,
    })
}

/// A constant rate, over 64 connections.
pub fn constant_rate(server: &Server, file: &str, rate: f64, duration: Duration) -> Result<Sample> {
    let request = server.request(file)?;
    let plan = Plan {
        server: server.address,
        request: &request,
        connections: 64,
        rate,
        duration,
    };
    let meter = Meter::start(server)?;
    let latency = open_loop::run(&plan)?;
    let micros = u64::try_from(duration.as_micros())?;
    let (requests, p50, p99, p999) = (latency.requests, latency.p50, latency.p99, latency.p999);
    meter.stop(Outcome {
        requests,
        micros,
        bytes: 0,
        errors: 0,
        p50,
        p99,
        p999,
    })
}

impl<'a> Meter<'a> {
    fn start(server: &'a Server) -> Result<Self> {
        let (cpu, own, busy) = (server.usage()?.cpu, own_cpu()?, crate::machine::busy()?);
        Ok(Self {
            server,
            cpu,
            own,
            busy,
            begin: Instant::now(),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
    fn stop(self, outcome: Outcome) -> Result<Sample> {
        let elapsed = self.begin.elapsed().as_secs_f64();
        let usage = self.server.usage().context("the server is gone")?;
        let cpu = usage.cpu.saturating_sub(self.cpu).as_secs_f64();
        let own = own_cpu()?.saturating_sub(self.own).as_secs_f64();
        let busy = crate::machine::busy()?.saturating_sub(self.busy).as_secs_f64();
        Ok(Sample {
            round: 0,
            scenario: String::new(),
            server: self.server.name.clone(),
            requests: outcome.requests,
            rate: outcome.requests as f64 / (outcome.micros as f64 / 1e6),
            cpu_micros: cpu * 1e6 / outcome.requests as f64,
            cpu_share: cpu / elapsed,
            p50: outcome.p50,
            p99: outcome.p99,
            p999: outcome.p999,
            resident: usage.resident,
            others: ((busy - cpu - own) / elapsed).max(0.0),
        })
    }
}

impl Sample {
    /// Whether others used so much of the machine that the figure should not be trusted alone.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.others > DIRTY
    }
}
