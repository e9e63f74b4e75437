//! [`Complaint`]: what fails a hundred times a second is said once.

use std::fmt;
use std::time::{Duration, Instant};

/// Something that is tried again and again.
pub(crate) struct Complaint {
    what: &'static str,
    said: Option<(String, Instant)>,
}

impl Complaint {
    /// About `what` fails, such as "the audit trail cannot be written".
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, said: None }
    }

    /// As [`fails`](Self::fails) if it failed; otherwise, after it had, that it is `over`.
    pub(crate) fn note<T>(&mut self, tried: &Result<T, impl fmt::Display>, over: &'static str) {
        match tried {
            Err(error) => self.fails(error),
            Ok(_) if self.said.take().is_some() => tracing::info!("{over}"),
            Ok(_) => {}
        }
    }

    /// Says why, once a minute if it is always the same.
    pub(crate) fn fails(&mut self, error: &impl fmt::Display) {
        let error = error.to_string();
        let again = |(said, since): &(String, Instant)| *said == error && since.elapsed() < REPEATED;
        if !self.said.as_ref().is_some_and(again) {
            tracing::error!(error, "{}", self.what);
            self.said = Some((error, Instant::now()));
        }
    }
}

const REPEATED: Duration = Duration::from_secs(60);
