//! Whether anything costs more in a large catalog than in a small one, with 10,000 users and 1,000 groups in each:
//! `cargo run --release -p beneath-bench --bin catalog_scale`.
//!
//! All catalogs are open at once and take turns, so that a busy minute falls on each. CPU time of the asking thread, the
//! open included, which is the same file each time; what that costs alone is a row of its own.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(clippy::disallowed_methods, reason = "makes the file it publishes by name")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use beneath::{RelPath, Root, ambient_authority};
use beneath_bench::corpus;
use beneath_bench::statistics::Spread;
use beneath_catalog::{Catalog, Credentials, FileId, Options, Page, Principal, Publication, Role, StoreUrl};
use clap::Parser;
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

/// CPU time of decisions and listings, and their ratio to the smallest catalog in the same round.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many files each catalog has
    #[arg(long, value_delimiter = ',', default_value = "1000,1000000")]
    files: Vec<u32>,
    /// How often each figure is taken
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Only cases with this in their name, as to profile them
    #[arg(long, default_value = "")]
    only: String,
}

/// Twice a second it is looked at what is asked for often, to be kept open.
const WARM_UP: Duration = Duration::from_millis(1500);

/// What is timed, and how many times before the clock is read again.
const CASES: [(&str, Case, usize); 10] = [
    ("the open alone", Case::Open, 2000),
    ("remembered, one file", Case::Memory(1), 2000),
    ("remembered, 1,000 files", Case::Memory(1000), 2000),
    ("remembered, 50,000 files at random", Case::Memory(50_000), 2000),
    ("from the store, 1,000 files", Case::Store(1000), 1000),
    (
        "from the store, all files at random",
        Case::Store(usize::MAX),
        1000,
    ),
    (
        "first page of 100, administrator",
        Case::AllPages(Where::First),
        20,
    ),
    ("last page of 100, administrator", Case::AllPages(Where::Last), 20),
    ("first page of 100, reader of all", Case::Pages(Reader::All), 20),
    ("page of a reader of three files", Case::Pages(Reader::Few), 20),
];

#[derive(Clone, Copy)]
enum Case {
    Open,
    Memory(usize),
    Store(usize),
    AllPages(Where),
    Pages(Reader),
}

#[derive(Clone, Copy)]
enum Where {
    First,
    Last,
}

#[derive(Clone, Copy)]
enum Reader {
    All,
    Few,
}

/// A catalog of one size, twice: one process that remembers, and one that forgets at once.
struct Subject {
    _folder: TempDir,
    root: Arc<Root>,
    files: u32,
    remembers: Catalog,
    forgets: Catalog,
    ids: Vec<FileId>,
    ann: Credentials,
    readers: [Principal; 2],
    start_up: f64,
    next: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut subjects = arguments
        .files
        .iter()
        .map(|files| Subject::make(*files))
        .collect::<Result<Vec<_>>>()?;
    for subject in &subjects {
        println!(
            "{} files: {:.0} ms from nothing to the first decision",
            subject.files, subject.start_up
        );
    }
    println!("\n| case | files | CPU µs | ratio to the smallest |\n|---|---|---|---|");
    for (name, case, batch) in CASES
        .into_iter()
        .filter(|(name, ..)| name.contains(&arguments.only))
    {
        for subject in &mut subjects {
            let since = Instant::now();
            while since.elapsed() < WARM_UP {
                subject.run(case, batch).context(name)?;
            }
        }
        let mut figures = vec![Vec::new(); subjects.len()];
        for _ in 0..arguments.rounds {
            for (subject, figures) in subjects.iter_mut().zip(&mut figures) {
                figures.push(subject.run(case, batch).context(name)?);
            }
        }
        for (subject, of) in subjects.iter().zip(&figures) {
            let ratios = of.iter().zip(&figures[0]).map(|(one, smallest)| one / smallest);
            let (cost, ratio) = (Spread::of(of.iter().copied()), Spread::of(ratios));
            let (cost, ratio) = (cost.context("no rounds")?, ratio.context("no rounds")?);
            println!("| {name} | {} | {cost:.2} | {ratio:.2} |", subject.files);
        }
    }
    Ok(())
}

impl Subject {
    fn make(files: u32) -> Result<Self> {
        let folder = corpus::temporary()?;
        let served = folder.path().join("files");
        std::fs::create_dir(&served)?;
        std::fs::write(served.join("file"), vec![0; 4096])?;
        let store = folder.path().join("catalog.db");
        let root = Arc::new(Root::open_ambient(served, ambient_authority())?);
        let connect = |options| {
            let roots = [("files".parse()?, Arc::clone(&root))];
            Catalog::create(&StoreUrl::sqlite(&store), roots, options).context("catalog")
        };
        publish_one(&connect(Options::default())?)?;
        let ids = multiply(&Connection::open(&store)?, files)?;
        let ann = Credentials::basic(b"ann", PASSWORD.as_bytes());
        let since = Instant::now();
        let remembers = connect(Options::default())?;
        drop(
            remembers
                .open(&ann, ids.first().context("no files")?)
                .map_err(refused)?,
        );
        let start_up = since.elapsed().as_secs_f64() * 1e3;
        let few = Credentials::basic(b"few", PASSWORD.as_bytes());
        let readers = [
            remembers.authenticate(&ann).map_err(refused)?,
            remembers.authenticate(&few).map_err(refused)?,
        ];
        Ok(Self {
            root: Arc::clone(&root),
            files,
            // Whoever comes is remembered; a file only until the next hundred.
            forgets: connect(Options::default().remembered(200))?,
            remembers,
            ids,
            ann,
            readers,
            start_up,
            next: 0,
            _folder: folder,
        })
    }

    /// CPU time of one, in microseconds.
    fn run(&mut self, case: Case, times: usize) -> Result<f64> {
        let begin = clock_gettime(ClockId::ThreadCPUTime);
        for _ in 0..times {
            self.next += 1;
            match case {
                Case::Open => drop(self.root.open(&RelPath::parse("file")?)?),
                Case::Memory(of) => self.decide_in_memory(self.pick(of)?)?,
                Case::Store(of) => drop(self.forgets.open(&self.ann, self.pick(of)?).map_err(refused)?),
                Case::AllPages(Where::First) => self.page(Page::first(100))?,
                Case::AllPages(Where::Last) => self.page(Page::first(100).at("101".parse()?))?,
                Case::Pages(Reader::All) => self.visible(&self.readers[0], 100)?,
                Case::Pages(Reader::Few) => self.visible(&self.readers[1], 3)?,
            }
        }
        let end = clock_gettime(ClockId::ThreadCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "seconds in nanoseconds")]
        let nanos = ((end.tv_sec - begin.tv_sec) * 1_000_000_000 + (end.tv_nsec - begin.tv_nsec)) as f64;
        Ok(nanos / 1e3 / f64::from(u32::try_from(times)?))
    }

    fn page(&self, page: Page) -> Result<()> {
        let listing = self.remembers.operator(ambient_authority()).files(page)?;
        ensure!(
            listing.items.len() == 100,
            "{} files on a page",
            listing.items.len()
        );
        Ok(())
    }

    fn visible(&self, reader: &Principal, expected: usize) -> Result<()> {
        let listing = self.remembers.administration(reader).files(Page::first(100))?;
        ensure!(
            listing.items.len() == expected,
            "{} files on a page",
            listing.items.len()
        );
        Ok(())
    }

    /// IDs are random, so any of them in order of the index are spread over the table, and the other way round. The step
    /// shares no factor with any decimal count, so that it visits all of them before the first one again.
    fn pick(&self, of: usize) -> Result<&FileId> {
        let of = of.min(self.ids.len());
        self.ids
            .get(self.next % of * 7_919 % self.ids.len())
            .context("no files")
    }

    fn decide_in_memory(&self, id: &FileId) -> Result<()> {
        match self.remembers.try_open(&self.ann, id) {
            Some(lease) => drop(lease),
            // Not yet there, or the feed has just noticed something: the blocking way answers.
            None => drop(self.remembers.open(&self.ann, id).map_err(refused)?),
        }
        Ok(())
    }
}

const PASSWORD: &str = "correct horse";

fn publish_one(catalog: &Catalog) -> Result<()> {
    let operator = catalog.operator(ambient_authority());
    for name in ["ann", "few"] {
        operator
            .add_user(&name.parse()?, &PASSWORD.parse()?, Role::Reader)?
            .into_value();
    }
    let publication =
        Publication::new("files".parse()?, RelPath::parse("file")?).to("user:ann".parse()?, None);
    operator.publish(&publication)?.into_value();
    Ok(())
}

/// Copies the one entry and its grant: to publish a million files one by one takes an hour of waiting for the disk. Each
/// file is granted to a user and a group besides, and each user is in three groups.
fn multiply(store: &Connection, count: u32) -> Result<Vec<FileId>> {
    store.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; BEGIN;
         WITH RECURSIVE n (i) AS (SELECT 11 UNION ALL SELECT i + 1 FROM n WHERE i < 11010)
         INSERT INTO subjects (id, kind) SELECT i, CASE WHEN i <= 10010 THEN 'user' ELSE 'group' END FROM n;
         INSERT INTO users SELECT id, 'user ' || id, 'user ' || id, 'reader', 1, 'x', 1, 0
         FROM subjects WHERE id BETWEEN 11 AND 10010;
         INSERT INTO groups SELECT id, 'group ' || id, 'group ' || id, 0 FROM subjects WHERE id > 10010;
         INSERT INTO members SELECT id, 10011 + (id + step) % 1000
         FROM users, (SELECT 0 AS step UNION SELECT 7 UNION SELECT 13) WHERE id > 10;
         INSERT INTO members SELECT id, 10011 + id FROM users WHERE name = 'ann'",
    )?;
    store.execute(
        "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO entries (id, root, path, owner, name, media_type, size, pin, fingerprint, digest, created)
         SELECT randomblob(16), root, path, owner, name, media_type, size, pin, fingerprint, digest, created
         FROM n, (SELECT * FROM entries LIMIT 1)",
        [count],
    )?;
    store.execute_batch(
        "INSERT OR IGNORE INTO grants SELECT seq, (SELECT id FROM users WHERE name = 'ann'), NULL, 0 FROM entries
         UNION ALL SELECT seq, 11 + seq % 10000, NULL, 0 FROM entries
         UNION ALL SELECT seq, 10011 + seq % 1000, NULL, 0 FROM entries
         UNION ALL SELECT seq, (SELECT id FROM users WHERE name = 'few'), NULL, 0 FROM entries
                   WHERE seq IN (1, (SELECT max(seq) / 2 FROM entries), (SELECT max(seq) FROM entries))
         ORDER BY 1, 2;
         DELETE FROM changes WHERE revision < (SELECT max(revision) FROM changes);
         COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
    )?;
    let mut statement = store.prepare("SELECT id FROM entries ORDER BY id")?;
    let ids = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    ids.map(|id| Ok(BASE64_URL_SAFE_NO_PAD.encode(id?).parse()?))
        .collect()
}

fn refused(refusal: beneath_catalog::Refusal) -> anyhow::Error {
    anyhow::anyhow!("refused: {:?}", refusal.reason())
}
