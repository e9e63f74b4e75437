//! [`Rounds`]: the same scenarios for every server, again and again, each server as often early as late.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::corpus::Size;
use crate::measure::{self, Sample};
use crate::server::Server;
use crate::wrk::Wrk;

/// What is run.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "arguments with names")]
pub struct Rounds<'a> {
    /// Who is asked. The first is the standard of comparison.
    pub servers: &'a [Server],
    /// What is asked for.
    pub sizes: &'a [Size],
    /// How often.
    pub rounds: usize,
    /// How long one run takes.
    pub duration: Duration,
    /// How often a run is repeated when others were using the machine.
    pub retries: usize,
    /// Whether to measure the latency at half load as well.
    pub half_load: bool,
    /// The load generator.
    pub wrk: &'a Wrk,
}

impl Rounds<'_> {
    /// Runs everything.
    pub fn run(&self) -> Result<Vec<Sample>> {
        let mut samples = Vec::new();
        self.warm_up()?;
        for round in 0..self.rounds {
            eprintln!("round {} of {}", round + 1, self.rounds);
            for size in self.sizes {
                self.each(round, &size.to_string(), false, &mut samples, |server, _| {
                    self.saturate(server, *size)
                })?;
            }
            for size in self.sizes.iter().filter(|size| over_tls(**size)) {
                self.each(
                    round,
                    &format!("{size} over TLS"),
                    true,
                    &mut samples,
                    |server, _| self.saturate(server, *size),
                )?;
            }
            if self.half_load {
                self.half_load(round, &mut samples)?;
            }
        }
        Ok(samples)
    }

    fn warm_up(&self) -> Result<()> {
        for server in self.servers {
            for size in self.sizes {
                server.verify(&size.file_name(), size.bytes())?;
                if !size.is_bulk() && (!server.is_tls() || over_tls(*size)) {
                    measure::saturate(server, &size.file_name(), self.wrk, Duration::from_secs(1))?;
                }
            }
        }
        Ok(())
    }

    fn saturate(&self, server: &Server, size: Size) -> Result<Sample> {
        if size.is_bulk() {
            return measure::bulk(server, size, self.duration);
        }
        measure::saturate(server, &size.file_name(), self.wrk, self.duration)
    }

    /// The smallest file at half of what the server, or the first server if that is less, answered in this round.
    fn half_load(&self, round: usize, samples: &mut Vec<Sample>) -> Result<()> {
        let size = self.sizes.first().context("no sizes")?;
        let scenario = format!("{size} at half load");
        self.each(round, &scenario, false, samples, |server, samples| {
            let reached = |name: &str| {
                samples
                    .iter()
                    .find(|sample| {
                        sample.round == round && sample.scenario == size.to_string() && sample.server == name
                    })
                    .map_or(f64::MAX, |sample| sample.rate)
            };
            let standard = self.servers.first().map_or("", |first| &first.name);
            let rate = reached(&server.name).min(reached(standard)) / 2.0;
            measure::constant_rate(server, &size.file_name(), rate, self.duration)
        })
    }

    fn each(
        &self,
        round: usize,
        scenario: &str,
        tls: bool,
        samples: &mut Vec<Sample>,
        run: impl Fn(&Server, &[Sample]) -> Result<Sample>,
    ) -> Result<()> {
        let mut order: Vec<&Server> = self
            .servers
            .iter()
            .filter(|server| server.is_tls() == tls)
            .collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for server in order {
            let context = || format!("{}, {scenario}", server.name);
            let mut sample = run(server, samples).with_context(context)?;
            for _ in 0..self.retries {
                if !sample.is_dirty() {
                    break;
                }
                let again = run(server, samples).with_context(context)?;
                if again.others < sample.others {
                    sample = again;
                }
            }
            sample.round = round;
            scenario.clone_into(&mut sample.scenario);
            eprintln!(
                "  {scenario:>16}  {:<20} {:>9.0}/s {:>9.1} µs CPU{}",
                sample.server,
                sample.rate,
                sample.cpu_micros,
                if sample.is_dirty() {
                    "  (others were busy)"
                } else {
                    ""
                }
            );
            samples.push(sample);
        }
        Ok(())
    }
}

/// Below, a request is more than its encryption; above, one connection cannot fill the time.
fn over_tls(size: Size) -> bool {
    size.bytes() >= 64 * 1024 && !size.is_bulk()
}
