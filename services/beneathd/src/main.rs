//! Arguments → command → exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use beneathd::cli::Arguments;
use clap::Parser as _;

fn main() -> ExitCode {
    Arguments::parse().run()
}
