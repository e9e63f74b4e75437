//! What every benchmark does before it measures.

use anyhow::Result;

use crate::corpus::Corpus;
use crate::process::Cpu;
use crate::server::{Kind, Server};
use crate::{debian, machine};

/// Installs and builds what these servers need, and returns the versions of what came from Debian. This needs the
/// network and all CPUs, so it comes before [`enter`].
pub fn prepare(kinds: &[Kind]) -> Result<Vec<String>> {
    let mut packages = vec!["wrk", "vmtouch"];
    packages.extend(kinds.iter().flat_map(Kind::packages));
    packages.sort_unstable();
    packages.dedup();
    debian::install(&packages)?;
    for kind in kinds {
        kind.build()?;
    }
    packages
        .iter()
        .map(|package| Ok(format!("{package} {}", debian::version(package)?)))
        .collect()
}

/// Moves this process to the CPU of the load, with the priority asked for. Returns how many descriptors each process
/// may have.
pub fn enter(nice: i32) -> Result<u64> {
    Cpu::Load.enter()?;
    machine::set_nice(nice)?;
    machine::raise_descriptor_limit()
}

/// Starts these servers over one corpus.
pub fn start(kinds: &[Kind], corpus: &Corpus) -> Result<Vec<Server>> {
    kinds.iter().map(|kind| kind.start(corpus.path())).collect()
}
