//! What else the machine is doing, and what it is.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit};
use serde::Serialize;

/// Where the figures come from.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// As `uname -sr` says.
    pub kernel: String,
    /// The model of the first CPU.
    pub cpu: String,
    /// How many there are.
    pub cpus: usize,
    /// How many others want them, when the run began.
    pub load_average: String,
}

/// Describes this machine.
pub fn describe() -> Result<Description> {
    let system = rustix::system::uname();
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(Description {
        kernel: format!(
            "{} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy()
        ),
        cpu: model.map_or("unknown", |(_, name)| name).to_owned(),
        cpus: std::thread::available_parallelism()?.get(),
        load_average: std::fs::read_to_string("/proc/loadavg")?.trim().to_owned(),
    })
}

/// CPU time that all CPUs together have spent on anything but idling and waiting.
pub fn busy() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("an empty /proc/stat")?;
    let fields: Vec<u64> = line
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq: proc_stat(5).
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    let ticks = fields.iter().take(7).sum::<u64>() - idle;
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
}

/// Puts this process, and whatever it starts from now on, before others (negative, needs root) or behind them.
pub fn set_nice(nice: i32) -> Result<()> {
    rustix::process::setpriority_process(None, nice).with_context(|| format!("nice {nice}"))?;
    // Where the kernel groups tasks by session, nice counts within the session only, and the session has its own:
    // sched(7). Where it does not there is no such file.
    match std::fs::write("/proc/self/autogroup", nice.to_string()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("/proc/self/autogroup")
        }
        _ => Ok(()),
    }
}

/// Lets this process, and whatever it starts from now on, open as many descriptors as it may; says how many that are.
pub fn raise_descriptor_limit() -> Result<u64> {
    let now = rustix::process::getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, limit).context("ulimit -n")?;
    Ok(now.maximum.unwrap_or(u64::MAX))
}
