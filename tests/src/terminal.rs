//! A command at a terminal: a pseudo-terminal whose other end is the test.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Runs a command whose input, output and complaints are one terminal, at which `typed` is typed once `prompt` is there.
/// Its exit code, and all that was to be seen.
pub fn at_terminal(mut command: Command, prompt: &str, typed: &str) -> (Option<i32>, String) {
    let (mut screen, terminal) = open();
    let end = || terminal.try_clone().expect("a descriptor");
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().expect("the command starts");
    // Only the child holds it now, so that its end is the end of what there is to read.
    drop((command, terminal));
    let mut seen = Vec::new();
    let mut waiting = !typed.is_empty();
    let mut buffer = [0; 4096];
    // Linux answers EIO when nobody holds the other end.
    while let Ok(read @ 1..) = screen.read(&mut buffer) {
        seen.extend(&buffer[..read]);
        if waiting && String::from_utf8_lossy(&seen).contains(prompt) {
            waiting = false;
            screen.write_all(typed.as_bytes()).expect("a terminal");
        }
    }
    let status = child.wait().expect("our own child");
    (status.code(), String::from_utf8_lossy(&seen).into_owned())
}

/// The side of whoever sits there, and that of the program.
fn open() -> (File, File) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&screen).expect("a pseudo-terminal");
    unlockpt(&screen).expect("a pseudo-terminal");
    let name = ptsname(&screen, Vec::new()).expect("a pseudo-terminal");
    let path = PathBuf::from(name.into_string().expect("its name is ASCII"));
    let terminal = OpenOptions::new().read(true).write(true).open(path);
    (File::from(screen), terminal.expect("a pseudo-terminal"))
}
