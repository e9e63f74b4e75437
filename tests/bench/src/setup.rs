//! What every benchmark does before it measures.

use anyhow::Result;

use crate::corpus::Corpus;
use crate::process::Cpu;
use crate::server::{Kind, Server};
use crate::tls::Certificate;
use crate::{debian, machine};

/// What could be prepared.
#[derive(Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a list of results")]
pub struct Prepared {
    /// What can be started.
    pub kinds: Vec<Kind>,
    /// What cannot, and why.
    pub absent: Vec<String>,
    /// What exactly the others are.
    pub versions: Vec<String>,
}

/// Installs and builds what these servers need. This needs the network and all CPUs, so it comes before [`enter`]. What
/// cannot be had is said on standard error and in the report.
pub fn prepare(kinds: &[Kind]) -> Result<Prepared> {
    let tools = ["wrk", "vmtouch"];
    debian::install(&tools)?;
    let mut prepared = Prepared::default();
    let mut packages = tools.to_vec();
    for kind in kinds {
        let had = debian::install(kind.packages()).and_then(|()| kind.build());
        match had {
            Ok(()) => {
                packages.extend(kind.packages());
                prepared.kinds.push(kind.clone());
            }
            Err(error) => {
                let absent = format!("{}: {error:#}", kind.name());
                eprintln!("NOT COMPARED: {absent}");
                prepared.absent.push(absent);
            }
        }
    }
    packages.sort_unstable();
    packages.dedup();
    for package in packages {
        prepared
            .versions
            .push(format!("{package} {}", debian::version(package)?));
    }
    Ok(prepared)
}

/// The same, where each of them has to be there.
pub fn prepare_all(kinds: &[Kind]) -> Result<()> {
    let absent = prepare(kinds)?.absent;
    anyhow::ensure!(absent.is_empty(), "{}", absent.join("; "));
    Ok(())
}

/// Moves this process to the CPU of the load, with the priority asked for. Returns how many descriptors each process
/// may have.
pub fn enter(nice: i32) -> Result<u64> {
    Cpu::Load.enter()?;
    machine::set_nice(nice)?;
    machine::raise_descriptor_limit()
}

/// Starts these servers over one corpus, all with one certificate.
pub fn start(kinds: &[Kind], corpus: &Corpus) -> Result<Vec<Server>> {
    let certificate = Certificate::generate()?;
    kinds
        .iter()
        .map(|kind| kind.start(corpus.path(), &certificate))
        .collect()
}
