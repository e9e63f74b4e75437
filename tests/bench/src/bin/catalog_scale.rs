//! Whether a decision costs more in a large catalog than in a small one:
//! `cargo run --release -p beneath-bench --bin catalog_scale`.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(clippy::disallowed_methods, reason = "makes the file it publishes by name")]

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use beneath::{RelPath, Root, ambient_authority};
use beneath_bench::corpus;
use beneath_bench::statistics::Spread;
use beneath_catalog::{Catalog, Credentials, FileId, Options, Publication, RefusalKind, Role, StoreUrl};
use clap::Parser;
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};

/// CPU time of a decision with its open, as a ratio to the smallest catalog.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many files each catalog has
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    files: Vec<u32>,
    /// How often each figure is taken
    #[arg(long, default_value_t = 9)]
    batches: u32,
}

/// What is timed, and how many times before the clock is read again.
const CASES: [(&str, Case); 3] = [
    ("remembered: one file", Case::One),
    ("remembered: 1,000 files", Case::Thousand),
    ("from the store: any file", Case::Any),
];
const BATCH: usize = 2000;

#[derive(Clone, Copy)]
enum Case {
    One,
    Thousand,
    Any,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut smallest: Option<Vec<f64>> = None;
    println!("| files | case | CPU µs, open included | ratio to the smallest |");
    println!("|---|---|---|---|");
    for count in &arguments.files {
        let figures = measure(*count, arguments.batches)?;
        let medians: Vec<f64> = figures.iter().map(|spread| spread.median).collect();
        let base = smallest.get_or_insert_with(|| medians.clone());
        for ((spread, (name, _)), base) in figures.iter().zip(CASES).zip(base) {
            println!(
                "| {count} | {name} | {spread:.2} | {:.2} |",
                spread.median / *base
            );
        }
    }
    Ok(())
}

fn measure(count: u32, batches: u32) -> Result<Vec<Spread>> {
    let folder = corpus::temporary()?;
    std::fs::write(folder.path().join("file"), vec![0; 4096])?;
    let store = folder.path().join("catalog.db");
    let root = Arc::new(Root::open_ambient(folder.path(), ambient_authority())?);
    let connect = |root| {
        Catalog::create(
            &StoreUrl::sqlite(&store),
            [("files".parse()?, root)],
            Options::default(),
        )
        .context("catalog")
    };
    publish_one(&connect(Arc::clone(&root))?)?;
    let ids = multiply(&Connection::open(&store)?, count)?;
    let catalog = connect(root)?;
    let ann = Credentials::basic(b"ann", PASSWORD.as_bytes());
    CASES
        .iter()
        .map(|(name, case)| case.time(&catalog, &ann, &ids, batches).context(*name))
        .collect()
}

const PASSWORD: &str = "correct horse";

fn publish_one(catalog: &Catalog) -> Result<()> {
    let operator = catalog.operator(ambient_authority());
    operator
        .add_user(&"ann".parse()?, &PASSWORD.parse()?, Role::Reader)?
        .into_value();
    let publication =
        Publication::new("files".parse()?, RelPath::parse("file")?).to("user:ann".parse()?, None);
    operator.publish(&publication)?.into_value();
    Ok(())
}

/// Copies the one entry and its grant: to publish a million files one by one takes an hour of waiting for the disk.
fn multiply(store: &Connection, count: u32) -> Result<Vec<FileId>> {
    store.execute_batch("PRAGMA synchronous = OFF; BEGIN")?;
    store.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO entries (id, root, path, owner, name, media_type, size, pin, fingerprint, digest, created)
         SELECT randomblob(16), root, path, owner, name, media_type, size, pin, fingerprint, digest, created
         FROM n, (SELECT * FROM entries LIMIT 1)",
        [count],
    )?;
    store.execute_batch(
        "INSERT INTO grants (entry, subject, expires, created)
         SELECT e.seq, g.subject, g.expires, g.created FROM entries e, (SELECT * FROM grants LIMIT 1) g
         WHERE e.seq <> g.entry;
         COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
    )?;
    let mut statement = store.prepare("SELECT id FROM entries ORDER BY id")?;
    let ids = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    ids.map(|id| Ok(BASE64_URL_SAFE_NO_PAD.encode(id?).parse()?))
        .collect()
}

impl Case {
    fn time(self, catalog: &Catalog, who: &Credentials, ids: &[FileId], batches: u32) -> Result<Spread> {
        let chosen: Vec<FileId> = self.choose(ids)?;
        let mut figures = Vec::new();
        for id in &chosen {
            catalog.open(who, id).map_err(refused)?;
        }
        let mut next = chosen.iter().cycle();
        for _ in 0..batches {
            let begin = clock_gettime(ClockId::ThreadCPUTime);
            for _ in 0..BATCH {
                let id = next.next().context("no files")?;
                self.open(catalog, who, id)?;
            }
            let end = clock_gettime(ClockId::ThreadCPUTime);
            #[expect(clippy::cast_precision_loss, reason = "seconds in nanoseconds")]
            let nanos = ((end.tv_sec - begin.tv_sec) * 1_000_000_000 + (end.tv_nsec - begin.tv_nsec)) as f64;
            figures.push(nanos / 1e3 / f64::from(u32::try_from(BATCH)?));
        }
        Spread::of(figures).context("no batches")
    }

    /// IDs are random, so any of them in order of the index are spread over the table, and the other way round.
    fn choose(self, ids: &[FileId]) -> Result<Vec<FileId>> {
        let count = match self {
            Self::One => 1,
            Self::Thousand => 1000,
            Self::Any => 20_000,
        };
        ensure!(!ids.is_empty(), "no files");
        // A step that shares no factor with any decimal count visits all of them in no order.
        Ok((0..count.min(ids.len()))
            .filter_map(|number| ids.get(number * 7_919 % ids.len()).copied())
            .collect())
    }

    fn open(self, catalog: &Catalog, who: &Credentials, id: &FileId) -> Result<()> {
        match self {
            Self::Any => catalog.open(who, id).map(drop).map_err(refused),
            Self::One | Self::Thousand => match catalog.try_open(who, id) {
                // The feed has just noticed something: the blocking way answers.
                Err(refusal) if refusal.kind() == RefusalKind::WouldBlock => catalog.open(who, id).map(drop),
                other => other.map(drop),
            }
            .map_err(refused),
        }
    }
}

fn refused(refusal: beneath_catalog::Refusal) -> anyhow::Error {
    anyhow::anyhow!("refused: {:?}", refusal.reason())
}
