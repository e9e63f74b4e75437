//! What a decision and a small answer cost, without a network.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "benchmarks build their own trees by name"
)]

use std::time::{Duration, UNIX_EPOCH};

use beneath::{File, RelPath, Root, ambient_authority};
use beneath_http::plan::{Representation, plan};
use beneath_http::{EntityTag, FileResponse};
use divan::{AllocProfiler, Bencher, black_box};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::BodyExt as _;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn representation() -> Representation {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    Representation::new(
        4096,
        EntityTag::of_sha256(&[7; 32]),
        Some(now - Duration::from_secs(60)),
        now,
    )
}

/// The conditions and ranges that clients send.
#[divan::bench(args = ["none", "If-None-Match", "If-Range", "16 ranges", "100 KB of ranges"])]
fn decide(bencher: Bencher<'_, '_>, what: &str) {
    let mut headers = HeaderMap::new();
    match what {
        "If-None-Match" => {
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"a\", \"b\""));
        }
        "If-Range" => {
            headers.insert(header::RANGE, HeaderValue::from_static("bytes=100-"));
            headers.insert(header::IF_RANGE, HeaderValue::from_static("\"a\""));
        }
        "16 ranges" => {
            let list: Vec<String> = (0..16).map(|n| format!("{0}-{0}", n * 2)).collect();
            headers.insert(
                header::RANGE,
                HeaderValue::try_from(format!("bytes={}", list.join(","))).unwrap(),
            );
        }
        "100 KB of ranges" => {
            let list = "0-1,".repeat(25_000);
            headers.insert(
                header::RANGE,
                HeaderValue::try_from(format!("bytes={list}")).unwrap(),
            );
        }
        _ => {}
    }
    let current = representation();
    bencher.bench(|| plan(&Method::GET, black_box(&headers), black_box(&current), 16));
}

struct Tree {
    _directory: tempfile::TempDir,
    root: Root,
    path: RelPath,
}

impl Tree {
    fn with(len: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.pdf");
        std::fs::write(&path, vec![1; len]).unwrap();
        // Long ago, as files that are served mostly are.
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
            .unwrap();
        Self {
            root: Root::open_ambient(directory.path(), ambient_authority()).unwrap(),
            path: RelPath::parse("report.pdf").unwrap(),
            _directory: directory,
        }
    }

    fn open(&self) -> File {
        self.root.open(&self.path).unwrap()
    }
}

/// The head only, from an open file.
#[divan::bench]
fn respond(bencher: Bencher<'_, '_>) {
    let tree = Tree::with(4096);
    let request = Request::get("/f").body(()).unwrap();
    bencher
        .with_inputs(|| tree.open())
        .bench_values(|file| FileResponse::new(file).named("report.pdf").respond(&request));
}

/// Head and body, from an open file to the last byte in memory.
#[divan::bench(args = [4096, 65_536, 1_048_576])]
fn respond_and_read(bencher: Bencher<'_, '_>, len: usize) {
    let tree = Tree::with(len);
    let request = Request::get("/f").body(()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    bencher.with_inputs(|| tree.open()).bench_values(|file| {
        runtime.block_on(async {
            let mut body = FileResponse::new(file)
                .named("report.pdf")
                .respond(&request)
                .into_body();
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                read += frame.unwrap().into_data().unwrap().len();
            }
            assert_eq!(read, len);
        });
    });
}
