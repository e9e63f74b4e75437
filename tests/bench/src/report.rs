//! [`Report`]: medians with smallest and largest, and ratios to the first server in the same round.

use std::fmt;

use serde::Serialize;

use crate::machine::Description;
use crate::measure::Sample;
use crate::statistics::Spread;
use crate::verdict::Verdict;

/// Everything that was measured, and what follows from it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Where.
    pub machine: Description,
    /// What exactly was compared.
    pub versions: Vec<String>,
    /// A line for each scenario and server.
    pub lines: Vec<Line>,
    /// Resident bytes of each server before the first load.
    pub idle: Vec<(String, u64)>,
    /// What was asked for and could not be had, and why.
    pub absent: Vec<String>,
    /// What the project asks of itself.
    pub verdicts: Vec<Verdict>,
    /// What the lines were made of.
    pub samples: Vec<Sample>,
}

/// One server in one scenario, over all rounds.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Line {
    /// What was asked for.
    pub scenario: String,
    /// Who was asked.
    pub server: String,
    /// The server that the ratios are to.
    pub standard: String,
    /// Answers per second.
    pub rate: Spread,
    /// Divided by the standard's of the same round.
    pub rate_ratio: Spread,
    /// CPU time for each answer, in microseconds.
    pub cpu_micros: Spread,
    /// Divided by the standard's of the same round.
    pub cpu_ratio: Spread,
    /// Latency in microseconds.
    pub p50: Spread,
    /// 99 of 100 were no slower.
    pub p99: Spread,
    /// Divided by the standard's of the same round.
    pub p99_ratio: Spread,
    /// 999 of 1,000 were no slower.
    pub p999: Spread,
    /// The most that was resident after a run, in bytes.
    pub resident: u64,
    /// The share of a CPU that the server used.
    pub cpu_share: Spread,
    /// Rounds in which others were busy.
    pub dirty: usize,
    /// All rounds.
    pub rounds: usize,
}

impl Report {
    /// Summarises. The ratios are to the first of the servers that took part in a scenario.
    #[must_use]
    pub fn new(
        machine: Description,
        versions: Vec<String>,
        idle: Vec<(String, u64)>,
        absent: Vec<String>,
        servers: &[String],
        samples: Vec<Sample>,
    ) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        for sample in &samples {
            let known = lines
                .iter()
                .any(|line| line.scenario == sample.scenario && line.server == sample.server);
            let took_part = |server: &&String| {
                let found = |other: &Sample| other.scenario == sample.scenario && other.server == **server;
                samples.iter().any(found)
            };
            if !known && let Some(standard) = servers.iter().find(took_part) {
                lines.extend(Line::of(&sample.scenario, &sample.server, standard, &samples));
            }
        }
        let mut this = Self {
            machine,
            versions,
            lines,
            idle,
            absent,
            verdicts: Vec::new(),
            samples,
        };
        this.verdicts = Verdict::of(&this);
        this
    }

    fn scenarios(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !names.contains(&line.scenario.as_str()) {
                names.push(&line.scenario);
            }
        }
        names
    }
}

impl Line {
    fn of(scenario: &str, server: &str, standard: &str, samples: &[Sample]) -> Option<Self> {
        let of = |name: &str| -> Vec<&Sample> {
            samples
                .iter()
                .filter(|sample| sample.scenario == scenario && sample.server == name)
                .collect()
        };
        let (mine, theirs) = (of(server), of(standard));
        let spread = |figure: &dyn Fn(&Sample) -> f64| Spread::of(mine.iter().map(|sample| figure(sample)));
        let ratio = |figure: &dyn Fn(&Sample) -> f64| {
            Spread::of(mine.iter().filter_map(|sample| {
                let same_round = theirs.iter().find(|other| other.round == sample.round)?;
                Some(figure(sample) / figure(same_round))
            }))
        };
        #[expect(clippy::cast_precision_loss, reason = "microseconds of seconds")]
        Some(Self {
            scenario: scenario.to_owned(),
            server: server.to_owned(),
            standard: standard.to_owned(),
            rate: spread(&|sample| sample.rate)?,
            rate_ratio: ratio(&|sample| sample.rate)?,
            cpu_micros: spread(&|sample| sample.cpu_micros)?,
            cpu_ratio: ratio(&|sample| sample.cpu_micros)?,
            p50: spread(&|sample| sample.p50 as f64)?,
            p99: spread(&|sample| sample.p99 as f64)?,
            p99_ratio: ratio(&|sample| sample.p99 as f64)?,
            p999: spread(&|sample| sample.p999 as f64)?,
            resident: mine.iter().map(|sample| sample.resident).max()?,
            cpu_share: spread(&|sample| sample.cpu_share)?,
            dirty: mine.iter().filter(|sample| sample.is_dirty()).count(),
            rounds: mine.len(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Description {
            kernel,
            cpu,
            cpus,
            load_average,
        } = &self.machine;
        writeln!(
            f,
            "{kernel}, {cpus} × {cpu}, load {load_average}; {}",
            self.versions.join(", ")
        )?;
        for scenario in self.scenarios() {
            writeln!(f, "\n### {scenario}\n")?;
            writeln!(
                f,
                "| server | CPU ratio | CPU µs/answer | answers/s | ratio | p50 ms | p99 ms | p99.9 ms | p99 ratio | CPU % | RSS MiB | others busy |"
            )?;
            writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|---|")?;
            let mut lines: Vec<&Line> = self
                .lines
                .iter()
                .filter(|line| line.scenario == scenario)
                .collect();
            lines.sort_by(|a, b| a.cpu_ratio.median.total_cmp(&b.cpu_ratio.median));
            for line in lines {
                line.write_row(f)?;
            }
        }
        writeln!(f, "\nIdle RSS before the first load:")?;
        for (server, bytes) in &self.idle {
            writeln!(f, "  {server}: {:.1} MiB", mebibytes(*bytes))?;
        }
        for absent in &self.absent {
            writeln!(f, "\nNOT COMPARED: {absent}")?;
        }
        writeln!(f)?;
        for verdict in &self.verdicts {
            writeln!(f, "{verdict}")?;
        }
        Ok(())
    }
}

impl Line {
    fn write_row(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| {} | {:.2} | {:.1} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {}/{} |",
            self.server,
            self.cpu_ratio,
            self.cpu_micros,
            self.rate,
            self.rate_ratio,
            self.p50.median / 1e3,
            self.p99.median / 1e3,
            self.p999.median / 1e3,
            self.p99_ratio,
            self.cpu_share.median * 100.0,
            mebibytes(self.resident),
            self.dirty,
            self.rounds,
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
