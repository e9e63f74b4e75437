//! Nothing that was acknowledged is lost when the process is killed.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use beneath_tests::{Published, beneathd};

const ROUNDS: u32 = 40;

#[test]
fn every_publication_that_was_printed_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("beneathd.toml");
    fs::create_dir(folder.path().join("files")).unwrap();
    fs::write(&config, "[roots.files]\npath = \"files\"\n").unwrap();

    let mut acknowledged = BTreeSet::new();
    let mut cut_short = 0;
    let mut whole = Duration::ZERO;
    for round in 0..ROUNDS {
        let names: Vec<String> = (0..20).map(|number| format!("{round}-{number}.txt")).collect();
        for name in &names {
            fs::write(folder.path().join("files").join(name), name).unwrap();
        }
        // Spread over the start of the process and the writes that follow. How long they take is measured, and now and
        // then anew: others may be using the machine.
        if round % 10 == 0 {
            whole = time_to_publish(&config, &names);
        }
        let before = acknowledged.len();
        acknowledged.extend(publish_and_kill(
            &config,
            &names,
            whole * (round * 7 % ROUNDS) / ROUNDS,
        ));
        if acknowledged.len() < before + names.len() {
            cut_short += 1;
        }
    }
    assert!(cut_short > 0, "no round was cut short, so nothing was tested");
    assert!(
        !acknowledged.is_empty(),
        "nothing was ever acknowledged, so nothing was tested"
    );

    let listed = list(&config);
    let lost: Vec<_> = acknowledged.difference(&listed).collect();
    assert!(lost.is_empty(), "acknowledged but lost: {lost:?}");
    println!(
        "{} acknowledged, {cut_short} of {ROUNDS} rounds cut short",
        acknowledged.len()
    );
}

fn time_to_publish(config: &Path, names: &[String]) -> Duration {
    let begin = Instant::now();
    let status = publish(config, names).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    begin.elapsed()
}

/// Publishes `names` in one process that is killed after `delay`, and returns the IDs it printed until then.
fn publish_and_kill(config: &Path, names: &[String], delay: Duration) -> Vec<String> {
    let mut child = publish(config, names)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            // A line that was cut in the middle was not an acknowledgement.
            let lines = stdout.lines().map_while(Result::ok);
            lines
                .filter_map(|line| serde_json::from_str::<Published>(&line).ok())
                .map(|file| file.id)
                .collect()
        });
        thread::sleep(delay);
        let _ = child.kill();
        let _ = child.wait();
        reader.join().unwrap()
    })
}

fn publish(config: &Path, names: &[String]) -> Command {
    let mut command = beneathd();
    command.args(["publish", "--json", "--config"]).arg(config);
    command.args(names.iter().map(|name| format!("files:{name}")));
    command
}

fn list(config: &Path) -> BTreeSet<String> {
    let output = beneathd()
        .args(["list", "--json", "--config"])
        .arg(config)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str::<Published>(line).unwrap().id)
        .collect()
}
