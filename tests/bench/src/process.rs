//! [`Program`]: a child on a chosen CPU that cannot outlive this process, and what it has cost so far.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Which CPU a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two sides")]
pub enum Cpu {
    /// CPU 0: what is measured, and nothing else of ours.
    Server,
    /// CPU 1: whoever asks.
    Load,
}

/// A running child. Terminated when dropped, killed if that does not end it, and terminated by the kernel if this
/// process dies first.
#[derive(Debug)]
pub struct Program {
    child: Child,
}

/// What a program and its descendants have used.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory in bytes; pages that two processes share count twice.
    pub resident: u64,
}

impl Cpu {
    /// As `taskset` writes it.
    #[must_use]
    pub fn number(self) -> usize {
        match self {
            Self::Server => 0,
            Self::Load => 1,
        }
    }

    /// Moves the calling thread, and whatever it starts from now on, to this CPU.
    pub fn enter(self) -> Result<()> {
        let mut set = rustix::thread::CpuSet::new();
        set.set(self.number());
        rustix::thread::sched_setaffinity(None, &set)
            .with_context(|| format!("CPU {}: server and load need a core each", self.number()))
    }

    /// A command that will run there.
    ///
    /// # Security
    ///
    /// The kernel sends it SIGTERM when the thread that started it ends, however that happens.
    #[must_use]
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &self.number().to_string()]);
        command
            .args(["setpriv", "--pdeathsig", "TERM", "--"])
            .arg(program);
        command.stdin(Stdio::null());
        command
    }
}

impl Program {
    /// Starts what [`Cpu::command`] made.
    pub fn start(mut command: Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        Ok(Self { child })
    }

    /// The first line it writes to its standard output, which must be piped. The pipe is then left open and unread.
    pub fn first_line(&mut self) -> Result<String> {
        let output = self
            .child
            .stdout
            .as_mut()
            .context("standard output is not piped")?;
        let mut line = String::new();
        // The buffer is lost with what followed the line; nothing is awaited there.
        BufReader::new(output).read_line(&mut line)?;
        ensure!(!line.is_empty(), "it ended without a word");
        Ok(line)
    }

    /// Process ID.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it and its descendants have used until now.
    pub fn usage(&self) -> Result<Usage> {
        usage_of_tree(self.id())
    }

    /// Bytes it has locked in memory.
    pub fn locked(&self) -> Result<u64> {
        status_bytes(self.id(), "VmLck:")
    }

    /// Fails when the program has ended.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended: {status}"),
        }
    }

    fn stop(&mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("still there after three seconds")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.stop().is_err() {
            for descendant in descendants(self.id()) {
                if let Some(pid) = i32::try_from(descendant).ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// CPU time of this process and of every child that has ended.
pub fn own_cpu() -> Result<Duration> {
    ticks("/proc/self/stat", 11..15)
}

/// A process and all its descendants.
pub fn tree(root: u32) -> impl Iterator<Item = u32> {
    std::iter::once(root).chain(descendants(root))
}

fn usage_of_tree(root: u32) -> Result<Usage> {
    let mut total = Usage::default();
    for pid in tree(root) {
        // utime and stime: of all threads, also of those that have ended.
        total.cpu += ticks(&format!("/proc/{pid}/stat"), 11..13)?;
        total.resident += status_bytes(pid, "VmRSS:")?;
    }
    Ok(total)
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    for thread in threads.flatten() {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(
            children
                .split_ascii_whitespace()
                .filter_map(|child| child.parse::<u32>().ok()),
        );
    }
    let deeper: Vec<u32> = found.iter().copied().flat_map(descendants).collect();
    found.extend(deeper);
    found
}

/// The sum of some fields of a `stat` file, counted from the first after the command's name: proc_pid_stat(5).
fn ticks(path: &str, fields: std::ops::Range<usize>) -> Result<Duration> {
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    let (_, after_name) = text.rsplit_once(')').with_context(|| text.clone())?;
    let values: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let mut sum = 0_u64;
    for value in values.get(fields).context("a short stat")? {
        sum += value.parse::<u64>()?;
    }
    Ok(Duration::from_secs(sum) / u32::try_from(rustix::param::clock_ticks_per_second())?)
}

fn status_bytes(pid: u32, field: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let line = line.with_context(|| format!("{path} has no {field}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
