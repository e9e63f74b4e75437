//! A folder to run commands in, and what came of them.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use crate::{Beneathd, Published, beneathd};

/// A folder with a configuration, one root called `files`, and whatever a test puts there.
#[derive(Debug)]
pub struct House(tempfile::TempDir);

impl House {
    /// A fresh one, with `report.txt` in its root.
    pub fn build() -> Self {
        let house = Self(tempfile::tempdir().unwrap());
        fs::create_dir(house.path("files")).unwrap();
        fs::write(house.path("files/report.txt"), "up").unwrap();
        house.configure("listen = \"127.0.0.1:0\"\n[roots.files]\npath = \"files\"\n");
        house
    }

    /// A place in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces the configuration.
    pub fn configure(&self, text: &str) {
        fs::write(self.path("beneathd.toml"), text).unwrap();
    }

    /// Runs a command with this house's configuration and `input` on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut command = beneathd();
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("beneathd.toml"));
        run(command, input)
    }

    /// Adds a reader whose password is `secret`.
    #[track_caller]
    pub fn add_user(&self, name: &str) {
        self.run_with(&["user", "add", name, "--password-stdin"], "secret\n")
            .succeeds();
    }

    /// The service, with this house's configuration.
    pub fn serve(&self) -> Beneathd {
        self.serve_by(beneathd())
    }

    /// The same through another command that runs `beneathd` with the arguments it is given.
    pub fn serve_by(&self, mut command: std::process::Command) -> Beneathd {
        command
            .args(["serve", "--json", "--config"])
            .arg(self.path("beneathd.toml"));
        Beneathd::start(command)
    }

    /// What a command that must succeed prints as JSON.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let outcome = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&outcome.succeeds().stdout).unwrap()
    }

    /// Runs a command with this house's configuration.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "")
    }
}

/// How a command ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Outcome {
    /// Exit code, and every word in the complaint.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word:?} is not in the complaint: {self:?}"
            );
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }

    /// Exit code 0.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// The one published file that was printed.
    pub fn published(&self) -> Published {
        serde_json::from_str(self.succeeds().stdout.trim()).unwrap()
    }
}

/// Runs a command with `input` on its standard input, to its end.
pub fn run(mut command: std::process::Command, input: &str) -> Outcome {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    Outcome {
        code: status.code().expect("not killed by a signal"),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}
