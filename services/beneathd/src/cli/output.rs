//! What a command prints: lines for a person, or JSON for a program. Results to standard output, complaints to standard
//! error.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that prints"
)]

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;

use beneath::RelPath;
use beneath_catalog::Change;
use serde::Serialize;

use super::Failure;
use crate::notation::Effect;

/// Why something did not reach standard output. A closed pipe is the reader's choice, not our failure; a full disk is.
static LOST: OnceLock<String> = OnceLock::new();

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// One result: as a JSON object on a line of its own, or as the sentence.
    pub(super) fn result(self, value: &impl Serialize, sentence: impl FnOnce() -> String) {
        // What is lost is known at the end.
        let _ = self.try_result(value, sentence);
    }

    /// What a program is told of a failure, as a JSON object on a line of its own; a person reads the complaint.
    pub(super) fn failure(self, value: &impl Serialize) {
        if self.json {
            self.result(value, String::new);
        }
    }

    /// As [`result`](Self::result), for a command that has no end of its own: it ends when nothing can be written any more.
    pub(super) fn try_result(
        self,
        value: &impl Serialize,
        sentence: impl FnOnce() -> String,
    ) -> io::Result<()> {
        let line = if self.json {
            serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
        } else {
            sentence()
        };
        write(format!("{line}\n").as_bytes())
    }

    /// That something was done to somebody or something, and how it is known that this is effective.
    pub(super) fn done<T>(self, kind: &str, name: &dyn Display, what: &str, change: &Change<T>) {
        let name = name.to_string();
        let printed = serde_json::json!({ kind: name, "done": what });
        self.changed(&printed, || format!("{kind} {name} {what}"), change);
    }

    /// What came of a change, and how it is known that it is effective.
    pub(super) fn changed<T>(
        self,
        value: &impl Serialize,
        sentence: impl FnOnce() -> String,
        change: &Change<T>,
    ) {
        effect(change);
        let change = Effect::of(change);
        self.result(&Changed { value, change }, sentence);
    }
}

#[derive(Serialize)]
struct Changed<'a, T> {
    #[serde(flatten)]
    value: &'a T,
    change: Effect,
}

/// A word on who did not say that a change is effective.
fn effect<T>(change: &Change<T>) {
    if change.unanswered() > 0 {
        remark(&format!(
            "running services that did not confirm this in time, or could not be asked: {} or more. It holds for them too, since they \
             may not decide from memory any more; but something is wrong with them",
            change.unanswered()
        ));
    }
}

/// A word on what is left out of what was to be published.
pub(super) fn not_published(path: &RelPath, why: &impl Display) {
    remark(&format!("not published: {path:?}: {why}"));
}

/// A remark beside the results.
pub(super) fn remark(sentence: &str) {
    let _ = writeln!(io::stderr(), "{sentence}");
}

/// A question beside the results; the answer comes on the same line.
pub(super) fn prompt(question: &str) {
    let _ = write!(io::stderr(), "{question}");
}

/// Writes to standard output, and notes if that fails.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    if let Err(error) = &written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error.to_string());
    }
    written
}

/// Whether all results reached standard output: some are shown once.
pub(super) fn arrived() -> Result<(), Failure> {
    match LOST.get() {
        None => Ok(()),
        Some(why) => Err(Failure::Refused(format!(
            "standard output: {why}; what was done is done, and not all of it was shown"
        ))),
    }
}

pub(super) fn complain(sentence: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "beneathd: {sentence}");
    ExitCode::from(code)
}
