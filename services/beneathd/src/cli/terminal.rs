//! What only a person at a terminal gets: how far it is, and the question whether it is meant. Both on standard error, so
//! that results can be piped.

use std::io::{IsTerminal as _, stderr, stdin};

use beneath::RelPath;
use clap::Args;
use dialoguer::Confirm;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Failure;

/// Whether a person is asked before something is done that cannot be undone.
#[derive(Args, Debug)]
pub(super) struct Confirmation {
    /// Do not ask; without a terminal nobody is asked
    #[arg(long, short)]
    yes: bool,
}

impl Confirmation {
    /// Goes on if whoever sits there says so, or nobody does.
    pub(super) fn ask(&self, question: &str) -> Result<(), Failure> {
        if self.yes || !stdin().is_terminal() || !stderr().is_terminal() {
            return Ok(());
        }
        let answer = Confirm::new().with_prompt(question).default(false).interact();
        match answer {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::Refused("nothing was done".to_owned())),
            Err(error) => Err(Failure::Refused(format!("the terminal cannot be read: {error}"))),
        }
    }
}

/// How many files are published, and how much of the one at hand is hashed. Nothing where there is no terminal.
pub(super) struct Progress {
    bars: MultiProgress,
    files: ProgressBar,
    hashing: ProgressBar,
}

impl Progress {
    pub(super) fn of(files: usize) -> Self {
        let bars = MultiProgress::new();
        let bar = |bar: ProgressBar, template: &str| {
            let style = ProgressStyle::with_template(template);
            bars.add(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
        };
        // One file that is not hashed is there before anybody could see a bar.
        let files = match files {
            0 | 1 => ProgressBar::hidden(),
            many => bar(
                ProgressBar::new(many as u64),
                "{bar:40} {pos}/{len} files, {eta} left",
            ),
        };
        let hashing = bar(
            ProgressBar::new(0),
            "{bar:40} {bytes}/{total_bytes} hashed, {binary_bytes_per_sec}  {wide_msg}",
        );
        Self { bars, files, hashing }
    }

    /// The next file; a name must not be able to draw on the terminal.
    pub(super) fn begin(&self, path: &RelPath) {
        self.files.tick();
        self.hashing.reset();
        self.hashing.set_message(format!("{path:?}"));
    }

    pub(super) fn hashed(&self, bytes: u64, of: u64) {
        self.hashing.set_length(of);
        self.hashing.set_position(bytes);
    }

    /// The file at hand is done, and what there is to say of it is said beside the bars.
    pub(super) fn end(&self, say: impl FnOnce()) {
        self.beside(say);
        self.files.inc(1);
    }

    /// Says something without a bar across it.
    pub(super) fn beside(&self, say: impl FnOnce()) {
        self.bars.suspend(say);
    }
}

impl Drop for Progress {
    /// Also where publishing fails half way.
    fn drop(&mut self) {
        self.hashing.finish_and_clear();
        self.files.finish_and_clear();
    }
}
