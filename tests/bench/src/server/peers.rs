//! Servers that others wrote, as they come from Debian, crates.io and PyPI, with nothing tuned but what logs each request.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{PASSWORD, Paths, Scheme, Server, USER, await_listener, basic, free_port};
use crate::process::{Cpu, Program};

/// One of them: how it is had and how it is started.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// As it is written on the command line.
    pub name: &'static str,
    source: Source,
    /// PORT, ROOT and AUTHORIZATION stand for what they say; the program comes first, looked for where it was built.
    command: &'static [&'static str],
}

#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// From Debian.
    Debian(&'static [&'static str]),
    /// A program on crates.io.
    Crate(&'static str),
    /// A program of ours against crates of others.
    Rust {
        program: &'static str,
        dependencies: &'static str,
    },
    /// A Go program, and the oldest Go that has what it uses. Debian's is used where no other is installed.
    Go {
        program: &'static str,
        since: (u32, u32),
    },
    /// A Python module, and what it needs from PyPI.
    Python {
        file: &'static str,
        module: &'static str,
        packages: &'static [&'static str],
    },
}

const GUNICORN: &[&str] = &[
    "gunicorn",
    "--bind",
    "127.0.0.1:PORT",
    "--threads",
    "4",
    "--keep-alive",
    "600",
];

/// All of them.
pub(super) static PEERS: [Peer; 10] = [
    Peer {
        name: "caddy",
        source: Source::Debian(&["caddy"]),
        command: &[
            "caddy",
            "file-server",
            "--listen",
            "127.0.0.1:PORT",
            "--root",
            "ROOT",
        ],
    },
    Peer {
        name: "go",
        source: Source::Go {
            program: include_str!("../../peers/go.go"),
            since: (1, 19),
        },
        command: &["go", "PORT", "ROOT"],
    },
    Peer {
        name: "go-root",
        source: Source::Go {
            program: include_str!("../../peers/go_root.go"),
            since: (1, 24),
        },
        command: &["go-root", "PORT", "ROOT", "AUTHORIZATION"],
    },
    Peer {
        name: "static-web-server",
        source: Source::Crate("static-web-server"),
        command: &[
            "static-web-server",
            "--host",
            "127.0.0.1",
            "--port",
            "PORT",
            "--root",
            "ROOT",
            "--log-level",
            "error",
        ],
    },
    Peer {
        name: "miniserve",
        source: Source::Crate("miniserve"),
        command: &["miniserve", "--interfaces", "127.0.0.1", "--port", "PORT", "ROOT"],
    },
    Peer {
        name: "dufs",
        source: Source::Crate("dufs"),
        command: &[
            "dufs",
            "--bind",
            "127.0.0.1",
            "--port",
            "PORT",
            "--log-format",
            "",
            "ROOT",
        ],
    },
    Peer {
        name: "actix-files",
        source: Source::Rust {
            program: include_str!("../../peers/actix.rs"),
            dependencies: "actix-files = \"0.6\"\nactix-web = \"4\"\n",
        },
        command: &["actix-files", "PORT", "ROOT"],
    },
    Peer {
        name: "flask",
        source: Source::Python {
            file: include_str!("../../peers/flask_files.py"),
            module: "flask_files",
            packages: &["flask", "gunicorn"],
        },
        command: GUNICORN,
    },
    Peer {
        name: "django",
        source: Source::Python {
            file: include_str!("../../peers/django_files.py"),
            module: "django_files",
            packages: &["django", "gunicorn"],
        },
        command: GUNICORN,
    },
    Peer {
        name: "fastapi",
        source: Source::Python {
            file: include_str!("../../peers/fastapi_files.py"),
            module: "fastapi_files",
            packages: &["fastapi", "uvicorn[standard]"],
        },
        command: &[
            "uvicorn",
            "--host",
            "127.0.0.1",
            "--port",
            "PORT",
            "--no-access-log",
        ],
    },
];

impl Peer {
    pub(super) fn packages(&self) -> &'static [&'static str] {
        match &self.source {
            Source::Debian(packages) => packages,
            Source::Go { .. } => &["golang-go"],
            Source::Python { .. } => &["python3-venv"],
            Source::Crate(_) | Source::Rust { .. } => &[],
        }
    }

    /// Builds or installs it into its folder, where it stays for the next time.
    pub(super) fn build(&self) -> Result<()> {
        let folder = self.folder()?;
        std::fs::create_dir_all(&folder)?;
        let at = folder.display().to_string();
        match &self.source {
            Source::Debian(_) => Ok(()),
            Source::Crate(name) => run(cargo().args(["install", "--quiet", "--locked", name, "--root", &at])),
            Source::Rust {
                program,
                dependencies,
            } => {
                let manifest = format!(
                    "[package]\nname = \"{}\"\nedition = \"2024\"\n[[bin]]\nname = \"{0}\"\npath = \"main.rs\"\n\
                     [dependencies]\n{dependencies}[workspace]\n",
                    self.name
                );
                std::fs::write(folder.join("Cargo.toml"), manifest)?;
                std::fs::write(folder.join("main.rs"), program)?;
                run(cargo().args(["install", "--quiet", "--path", &at, "--root", &at]))
            }
            Source::Go { program, since } => {
                let found = go_version()?;
                ensure!(
                    found >= *since,
                    "needs Go {}.{}, and this is {}.{}",
                    since.0,
                    since.1,
                    found.0,
                    found.1
                );
                let source = folder.join("main.go");
                std::fs::write(&source, program)?;
                std::fs::create_dir_all(folder.join("bin"))?;
                let mut build = Command::new("go");
                build.args(["build", "-o"]).arg(self.program()?).arg(source);
                // Of the standard library alone: no module is fetched.
                run(build.env("GOFLAGS", "-mod=mod").env("GO111MODULE", "off"))
            }
            Source::Python {
                file,
                module,
                packages,
            } => {
                run(Command::new("python3").args(["-m", "venv", &at]))?;
                std::fs::write(folder.join(format!("{module}.py")), file)?;
                let mut pip = Command::new(folder.join("bin/pip"));
                run(pip
                    .args(["install", "--quiet", "--disable-pip-version-check"])
                    .args(*packages))
            }
        }
    }

    pub(super) fn start(&self, root: &Path) -> Result<Server> {
        let (port, authorization) = (free_port()?, basic(USER, PASSWORD));
        let mut command = Cpu::Server.command(self.program()?);
        for argument in self.command.iter().skip(1) {
            let argument = argument
                .replace("PORT", &port.to_string())
                .replace("ROOT", &root.display().to_string())
                .replace("AUTHORIZATION", &authorization);
            command.arg(argument);
        }
        if let Source::Python { module, .. } = self.source {
            command.arg(format!("{module}:app")).current_dir(self.folder()?);
        }
        command.env("ROOT", root).env("AUTHORIZATION", &authorization);
        // One core, as every other server here.
        command.env("GOMAXPROCS", "1").env("TOKIO_WORKER_THREADS", "1");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut program = Program::start(command)?;
        let address = ([127, 0, 0, 1], port).into();
        await_listener(&mut program, address)?;
        Ok(Server {
            name: String::new(),
            address,
            scheme: Scheme::Http,
            authorization,
            paths: Paths::Names,
            program,
            _configuration: crate::corpus::temporary()?,
        })
    }

    fn program(&self) -> Result<PathBuf> {
        let name = self.command.first().context("a program")?;
        match self.source {
            Source::Debian(_) => Ok(PathBuf::from(name)),
            _ => Ok(self.folder()?.join("bin").join(name)),
        }
    }

    /// Beside the programs of this workspace.
    fn folder(&self) -> Result<PathBuf> {
        let program = std::env::current_exe()?;
        let target = program.ancestors().nth(2).context("target/PROFILE/program")?;
        Ok(target.join("peers").join(self.name))
    }
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `go version go1.19.8 linux/amd64`
fn go_version() -> Result<(u32, u32)> {
    let output = Command::new("go").arg("version").output().context("go")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let parse = || {
        let (_, version) = text.split_once("version go")?;
        let mut numbers = version.split(['.', ' ', '-']);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    parse().with_context(|| format!("{text:?} is not a version of Go"))
}

fn run(command: &mut Command) -> Result<()> {
    eprintln!("{command:?}");
    let status = command.stdout(Stdio::null()).status()?;
    ensure!(status.success(), "{:?}: {status}", command.get_program());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_name_of_its_own_and_is_told_where_to_listen() {
        for (number, peer) in PEERS.iter().enumerate() {
            assert!(PEERS.iter().skip(number + 1).all(|other| other.name != peer.name));
            assert!(
                peer.command.iter().any(|word| word.contains("PORT")),
                "{}",
                peer.name
            );
        }
    }
}
