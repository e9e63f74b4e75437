//! `beneathd completions`: what a shell completes.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Arguments, Failure, output};

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd completions bash > /etc/bash_completion.d/beneathd")]
pub(super) struct Completions {
    shell: Shell,
}

impl Completions {
    #[expect(clippy::unnecessary_wraps, reason = "a command as the others")]
    pub(super) fn run(&self) -> Result<(), Failure> {
        // It panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "beneathd", &mut script);
        let _ = output::write(&script);
        Ok(())
    }
}
