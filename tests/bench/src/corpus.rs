//! [`Corpus`]: the files that are asked for, on a real file system and locked in memory.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::{Cpu, Program};

/// The size of a file, written `4k`, `64k`, `1m`, `1g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// A temporary directory of files, gone when dropped.
#[derive(Debug)]
pub struct Corpus {
    directory: tempfile::TempDir,
    lock: Option<Program>,
}

/// The bytes of a file, which are a function of its name: whoever receives them can tell whether they are right.
#[derive(Clone, Debug)]
pub struct Content {
    state: u64,
}

impl Size {
    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Whether one answer takes so long that it is measured alone, by CPU-seconds per gigabyte.
    #[must_use]
    pub fn is_bulk(self) -> bool {
        self.0 >= 1 << 28
    }

    /// The name of the file of this size.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{self}.bin")
    }
}

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.trim_end_matches(['k', 'm', 'g']);
        let shift = match text.strip_prefix(digits) {
            Some("k") => 10,
            Some("m") => 20,
            Some("g") => 30,
            Some("") => 0,
            _ => bail!("{text:?} is not a size: 4k, 64k, 1m, 1g"),
        };
        let number: u64 = digits
            .parse()
            .with_context(|| format!("{text:?} is not a size"))?;
        ensure!(
            (1..=4 << 30).contains(&(number << shift)),
            "{text}: from one byte to 4 GiB"
        );
        Ok(Self(number << shift))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.trailing_zeros() {
            30.. => write!(f, "{}g", self.0 >> 30),
            20..30 => write!(f, "{}m", self.0 >> 20),
            10..20 => write!(f, "{}k", self.0 >> 10),
            _ => write!(f, "{}", self.0),
        }
    }
}

impl Corpus {
    /// One file of each size, named by [`Size::file_name`].
    pub fn of_sizes(sizes: &[Size]) -> Result<Self> {
        Self::create(sizes.iter().map(|size| (size.file_name(), *size)))
    }

    /// Files of these names and sizes.
    pub fn create(files: impl IntoIterator<Item = (String, Size)>) -> Result<Self> {
        let directory = temporary()?;
        for (name, size) in files {
            Content::of(&name)
                .write_to(&directory.path().join(&name), size.bytes())
                .with_context(|| name)?;
        }
        Ok(Self {
            directory,
            lock: None,
        })
    }

    /// The same, locked in memory for as long as this value lives: where a kernel reclaims the page cache within
    /// seconds, a benchmark that does not do this measures the disk. Files named `cold-…` are left to the kernel.
    pub fn locked(mut self) -> Result<Self> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.path())? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b"cold-") {
                bytes += entry.metadata()?.len().next_multiple_of(4096);
            }
        }
        let mut command = Cpu::Load.command("vmtouch");
        command
            .args(["-l", "-q", "-m", "5G", "-i", "cold-*"])
            .arg(self.path())
            .stdout(Stdio::null());
        let mut holder = Program::start(command)?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while holder.locked()? < bytes {
            holder
                .still_runs()
                .context("vmtouch -l: it needs CAP_IPC_LOCK or a larger `ulimit -l`")?;
            ensure!(
                Instant::now() < deadline,
                "vmtouch has not locked {bytes} bytes within a minute"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self.lock = Some(holder);
        Ok(self)
    }

    /// Fails when the pages are no longer locked: then the disk was measured.
    pub fn check_locked(mut self) -> Result<()> {
        match &mut self.lock {
            Some(holder) => holder.still_runs().context("the corpus did not stay locked"),
            None => Ok(()),
        }
    }

    /// Where the files are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Content {
    /// The content of the file of this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let state = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { state }
    }

    /// Writes the next bytes; all but the last call must ask for a multiple of eight.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let word = self.next_word().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(word) {
                *to = from;
            }
        }
    }

    fn write_to(mut self, path: &PathBuf, len: u64) -> Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
        let mut left = len;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let part = buffer
                .get_mut(..usize::try_from(left.min(64 * 1024))?)
                .context("in range")?;
            self.fill(part);
            file.write_all(part)?;
            left -= part.len() as u64;
        }
        file.flush()?;
        // A file that has just been written is looked after more carefully: published files are older.
        file.get_ref()
            .set_modified(SystemTime::now() - Duration::from_secs(3600))?;
        Ok(())
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn next_word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// A directory beside this program: where something was built there is a real file system, /tmp may be in memory.
pub fn temporary() -> Result<tempfile::TempDir> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program is in a folder")?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(folder)?)
}
