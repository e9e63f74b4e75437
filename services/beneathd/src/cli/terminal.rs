//! What only a person at a terminal gets: how far it is, and the question whether it is meant. Both on standard error, so
//! that results can be piped.

use std::io::{IsTerminal as _, stderr, stdin};

use beneath::RelPath;
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Failure, output};

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
        // A line, for which the terminal stays as it is: whoever interrupts this finds it so.
        output::prompt(&format!("{question} [y/N] "));
        let mut answer = String::new();
        match stdin().read_line(&mut answer) {
            Ok(_) if matches!(&*answer.trim().to_lowercase(), "y" | "yes") => Ok(()),
            Ok(_) => Err(Failure::Refused("nothing was done".to_owned())),
            Err(error) => Err(Failure::Refused(format!("the terminal cannot be read: {error}"))),
        }
    }
}

/// How many files are published, and how much of the one at hand is hashed. Nothing where there is no terminal.
pub(super) struct Progress {
    bars: MultiProgress,
    files: ProgressBar,
    /// The file at hand, as it is shown.
    shown: String,
    /// Where there is something to hash.
    hashing: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn of(files: usize) -> Self {
        let bars = MultiProgress::new();
        // One file that is not hashed is there before anybody could see a bar.
        let files = match files {
            0 | 1 => ProgressBar::hidden(),
            many => bar(&bars, many as u64, "{bar:40} {pos}/{len} files, {eta} left"),
        };
        Self {
            bars,
            files,
            shown: String::new(),
            hashing: None,
        }
    }

    /// The next file; a name must not be able to draw on the terminal.
    pub(super) fn begin(&mut self, path: &RelPath) {
        self.files.tick();
        self.shown = format!("{path:?}");
    }

    pub(super) fn hashed(&mut self, bytes: u64, of: u64) {
        // An empty one is not hashed for long enough to be seen.
        if of == 0 {
            return;
        }
        let hashing = self.hashing.get_or_insert_with(|| {
            let template = "{bar:40} {bytes}/{total_bytes} hashed, {binary_bytes_per_sec}  {wide_msg}";
            bar(&self.bars, of, template).with_message(self.shown.clone())
        });
        hashing.set_length(of);
        hashing.set_position(bytes);
    }

    /// The file at hand is done, and what there is to say of it is said beside the bars.
    pub(super) fn end(&mut self, say: impl FnOnce()) {
        self.clear();
        self.beside(say);
        self.files.inc(1);
    }

    fn clear(&mut self) {
        if let Some(hashing) = self.hashing.take() {
            hashing.finish_and_clear();
            self.bars.remove(&hashing);
        }
    }

    /// Says something without a bar across it.
    pub(super) fn beside(&self, say: impl FnOnce()) {
        self.bars.suspend(say);
    }
}

impl Drop for Progress {
    /// Also where publishing fails half way.
    fn drop(&mut self) {
        self.clear();
        self.files.finish_and_clear();
    }
}

fn bar(bars: &MultiProgress, length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    bars.add(ProgressBar::new(length).with_style(style))
}
