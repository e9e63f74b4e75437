//! The built program as a child process.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// A running `beneathd quickstart`. Stopped, by its process ID, when dropped.
#[derive(Debug)]
pub struct Beneathd {
    child: Child,
    /// What it printed as soon as it listened.
    pub started: Started,
}

/// The line that `quickstart --json` prints.
#[derive(Debug, Deserialize)]
#[non_exhaustive]
pub struct Started {
    /// Where it listens.
    pub url: String,
    /// The user it made; none for `serve`.
    #[serde(default)]
    pub user: String,
    /// That user's password.
    #[serde(default)]
    pub password: String,
    /// What it published.
    #[serde(default)]
    pub files: Vec<Published>,
}

/// One published file, as `--json` prints it.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Published {
    /// The opaque ID.
    pub id: String,
    /// The name to save it under.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// Where it is downloaded.
    pub url: String,
}

impl Beneathd {
    /// Publishes and serves `directory` on a free port.
    pub fn quickstart(directory: &Path) -> Self {
        Self::quickstart_with(directory, [] as [&str; 0])
    }

    /// The same with more arguments.
    pub fn quickstart_with(directory: &Path, more: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut command = beneathd();
        command
            .arg("quickstart")
            .arg(directory)
            .args(["--listen", "127.0.0.1:0", "--json"])
            .args(more);
        Self::start(command)
    }

    /// Starts a command that prints the quickstart line.
    ///
    /// Nobody reads its standard error, and the pipe is soon full: a log that is not read must not stop downloads.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("beneathd starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped"))
            .read_line(&mut line)
            .expect("beneathd prints");
        match serde_json::from_str(&line) {
            Ok(started) => Self { child, started },
            Err(error) => {
                let mut complaint = String::new();
                let _ = child.stderr.take().expect("piped").read_to_string(&mut complaint);
                panic!("beneathd did not start: {error}: {line:?}\n{complaint}");
            }
        }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.started
            .url
            .trim_start_matches("http://")
            .trim_start_matches("https://")
            .parse()
            .expect("an address")
    }

    /// `user:password`, as `curl -u` takes it.
    pub fn credentials(&self) -> String {
        format!("{}:{}", self.started.user, self.started.password)
    }

    /// The value of an `Authorization` field.
    pub fn authorization(&self) -> String {
        use base64::Engine as _;
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(self.credentials())
        )
    }

    /// The one published file of this name.
    pub fn file(&self, name: &str) -> &Published {
        let mut found = self.started.files.iter().filter(|file| file.name == name);
        let file = found
            .next()
            .unwrap_or_else(|| panic!("{name:?} is not among {:?}", self.started.files));
        assert!(found.next().is_none(), "{name:?} was published twice");
        file
    }

    /// Process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, and returns all that it logged. Of more than a pipe holds, 64 KiB, the rest was dropped.
    pub fn log(mut self) -> String {
        assert_eq!(self.terminate(Duration::from_secs(10)), Some(0));
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        stderr.read_to_string(&mut log).expect("a log in UTF-8");
        log
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// `SIGKILL`, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// `SIGTERM`, and its exit code if it ends within `patience`.
    pub fn terminate(&mut self, patience: Duration) -> Option<i32> {
        self.stop(Signal::TERM, patience)
    }

    /// The same with another signal.
    pub fn stop(&mut self, signal: Signal, patience: Duration) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).expect("our own child");
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Beneathd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The built program, built first if it has to be. Nothing of the caller's configuration reaches it.
pub fn beneathd() -> Command {
    let mut command = Command::new(program());
    command.env_remove("BENEATHD_CONFIG").stdin(Stdio::null());
    command
}

/// The one that `BENEATHD` names; without it, where cargo put it: next to the folder of this test.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("BENEATHD") {
            return program.into();
        }
        let test = std::env::current_exe().expect("a test knows where it is");
        let profile = test
            .parent()
            .and_then(Path::parent)
            .expect("target/PROFILE/deps/test");
        let mut build = cargo();
        build.args(["build", "--quiet", "--package", "beneathd", "--target-dir"]);
        build.arg(profile.parent().expect("target"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build.status().expect("cargo").success(),
            "beneathd does not build"
        );
        profile.join("beneathd")
    })
}

/// Cargo as it runs from a shell. What it tells a test of the test's own package, build scripts of dependencies take for news
/// (ring's does), and all that stands on them would be built again.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
