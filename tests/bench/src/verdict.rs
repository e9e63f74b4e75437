//! [`Verdict`]: what the project asks of itself, and whether a run has shown it.

use std::fmt;

use serde::Serialize;

use crate::report::{Line, Report};

/// A requirement and what was measured.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// What is asked.
    pub requirement: String,
    /// What was found: a median, if there were rounds.
    pub measured: f64,
    /// The most it may be.
    pub bound: f64,
}

/// beneathd to nginx in the same round, by scenario.
const CPU: [(&str, &str, f64); 6] = [
    ("4k", "beneathd", 0.95),
    ("64k", "beneathd", 0.95),
    ("1m", "beneathd", 0.70),
    ("1g", "beneathd", 1.0),
    ("64k over TLS", "beneathd-tls", 1.1),
    ("1m over TLS", "beneathd-tls", 1.1),
];
/// RSS before the first load.
const IDLE_MIB: f64 = 15.0;

impl Verdict {
    /// A figure that may be this large.
    pub fn at_most(requirement: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self {
            requirement: requirement.into(),
            measured,
            bound,
        }
    }

    /// All that a comparison can tell; of what was not measured nothing is said.
    #[must_use]
    pub fn of(report: &Report) -> Vec<Self> {
        let line = |scenario: &str, server: &str| {
            let mut lines = report.lines.iter();
            lines.find(|line| line.scenario == scenario && line.server == server)
        };
        let mut verdicts = Vec::new();
        for (scenario, server, bound) in CPU {
            let unit = if scenario == "1g" {
                "CPU-seconds per GB"
            } else {
                "CPU per request"
            };
            if let Some(found) = line(scenario, server).filter(|line| line.standard.starts_with("nginx")) {
                let requirement = format!("{scenario}: {unit} of {server}, × {}", found.standard);
                verdicts.push(Self::at_most(requirement, found.cpu_ratio.median, bound));
            }
        }
        if let (Some(ours), Some(theirs)) = (line("4k", "beneathd"), line("4k", "servedir")) {
            let requirement = "4k: CPU per request of beneathd, × servedir with Basic";
            let ratio = ours.cpu_ratio.median / theirs.cpu_ratio.median;
            verdicts.push(Self::at_most(requirement, ratio, 0.25));
        }
        if let Some(Line {
            scenario,
            p99_ratio,
            standard,
            ..
        }) = line("4k at half load", "beneathd")
        {
            let requirement = format!("{scenario}: p99 of beneathd, × {standard}");
            verdicts.push(Self::at_most(requirement, p99_ratio.median, 1.0));
        }
        if let Some((server, bytes)) = report.idle.iter().find(|(server, _)| server == "beneathd") {
            #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
            let mebibytes = *bytes as f64 / f64::from(1 << 20);
            verdicts.push(Self::at_most(
                format!("RSS of {server} idle, MiB"),
                mebibytes,
                IDLE_MIB,
            ));
        }
        verdicts
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requirement,
            measured,
            bound,
        } = self;
        let verdict = if measured <= bound { "met   " } else { "MISSED" };
        write!(f, "{verdict} {requirement}: {measured:.2}, at most {bound:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_the_bound_is_missed_and_what_is_on_it_is_not() {
        assert!(Verdict::at_most("x", 1.0, 1.0).to_string().starts_with("met"));
        assert!(Verdict::at_most("x", 1.1, 1.0).to_string().starts_with("MISSED"));
    }
}
