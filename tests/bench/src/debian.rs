//! Programs from Debian, installed when they are missing.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Makes sure that these packages are installed, and says so when it has to install one.
pub fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("installing from Debian: {}", missing.join(" "));
    as_root(&["apt-get", "update", "-qq"])?;
    let mut install = vec![
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "-y",
        "-qq",
    ];
    install.push("--no-install-recommends");
    install.extend(missing);
    as_root(&install)
}

/// The installed version, to be printed beside the figures.
pub fn version(package: &str) -> Result<String> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", package])
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn installed(package: &str) -> bool {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output();
    output.is_ok_and(|output| output.stdout == b"installed")
}

fn as_root(command: &[&str]) -> Result<()> {
    let sudo: &[&str] = if rustix::process::geteuid().is_root() {
        &[]
    } else {
        &["sudo"]
    };
    let words = [sudo, command].concat();
    let (program, arguments) = words.split_first().context("no command")?;
    let status = Command::new(program)
        .args(arguments)
        .stdout(std::io::stderr())
        .status()?;
    ensure!(status.success(), "{}: {status}", words.join(" "));
    Ok(())
}
