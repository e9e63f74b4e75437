//! `wrk`: as many requests as the server can answer, from one thread over keep-alive connections.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::process::Cpu;
use crate::server::Server;
use crate::tls::openssl_configuration;

/// What `wrk` counted in one run.
#[derive(Clone, Copy, Debug, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// Answers received whole.
    pub requests: u64,
    /// How long it ran, in microseconds.
    pub micros: u64,
    /// Head and body bytes received.
    pub bytes: u64,
    /// Connections, reads and writes that failed, timeouts, and answers other than 2xx and 3xx.
    pub errors: u64,
    /// Half were answered within this many microseconds.
    pub p50: u64,
    /// 99 of 100 were.
    pub p99: u64,
    /// 999 of 1,000 were.
    pub p999: u64,
}

/// A way to call `wrk`.
#[derive(Debug)]
pub struct Wrk {
    script: PathBuf,
}

impl Wrk {
    /// Puts its script into a folder that must live as long as this.
    pub fn new(folder: &Path) -> Result<Self> {
        let script = folder.join("report.lua");
        std::fs::write(&script, REPORT)?;
        std::fs::write(folder.join("openssl.cnf"), openssl_configuration())?;
        Ok(Self { script })
    }

    /// The same file again and again.
    pub fn one(&self, server: &Server, path: &str, duration: Duration) -> Result<Outcome> {
        let mut command = command(&self.script, server, duration);
        command.arg(format!("{}{path}", server.origin()));
        run(command, duration)
    }

    /// A random one of these paths each time. Choosing costs time of the load's CPU, not of the server's.
    pub fn random(&self, server: &Server, paths: &[String], duration: Duration) -> Result<Outcome> {
        let folder = self.script.parent().context("a folder")?;
        let list = folder.join("paths.txt");
        std::fs::write(&list, paths.join("\n"))?;
        let script = folder.join("random.lua");
        let choose = RANDOM.replace("LIST", &list.display().to_string());
        std::fs::write(&script, format!("{choose}\n{REPORT}"))?;
        let mut command = command(&script, server, duration);
        command.arg(format!("{}/", server.origin()));
        run(command, duration)
    }
}

fn command(script: &Path, server: &Server, duration: Duration) -> Command {
    let mut command = Cpu::Load.command("wrk");
    command.env("OPENSSL_CONF", script.with_file_name("openssl.cnf"));
    command.args(["--header", &format!("Authorization: {}", server.authorization)]);
    command.args(["--header", "Host: localhost"]);
    command.args([
        "--threads",
        "1",
        "--connections",
        "64",
        "--latency",
        "--timeout",
        "10s",
    ]);
    command.args(["--duration", &format!("{}s", duration.as_secs().max(1))]);
    command.arg("--script").arg(script);
    command
}

fn run(mut command: Command, duration: Duration) -> Result<Outcome> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("wrk")?;
    let deadline = Instant::now() + duration + Duration::from_secs(15);
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut text = String::new();
    child.stdout.take().context("piped")?.read_to_string(&mut text)?;
    let line = text.lines().find_map(|line| line.strip_prefix("OUTCOME "));
    let outcome: Outcome = serde_json::from_str(line.with_context(|| format!("wrk said {text}"))?)?;
    ensure!(
        outcome.requests > 0 && outcome.errors == 0,
        "errors, or no answer at all: {text}"
    );
    Ok(outcome)
}

const REPORT: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'OUTCOME {"requests":%d,"micros":%d,"bytes":%d,"errors":%d,"p50":%d,"p99":%d,"p999":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"#;

const RANDOM: &str = r#"
local requests, count = {}, 0
init = function(arguments)
  math.randomseed(20260101)
  for path in io.lines("LIST") do
    count = count + 1
    requests[count] = wrk.format("GET", path)
  end
end
request = function()
  return requests[math.random(count)]
end
"#;
