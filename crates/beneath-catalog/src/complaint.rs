//! [`Complaint`]: what fails a hundred times a second is said once.

use std::fmt;

/// Something that is tried again and again.
pub(crate) struct Complaint {
    what: &'static str,
    said: Option<String>,
}

impl Complaint {
    /// About `what`, such as "the audit trail cannot be written".
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, said: None }
    }

    /// Says why if it failed, and not for the same reason as before; and that it is over.
    pub(crate) fn note<T, E: fmt::Display>(&mut self, tried: &Result<T, E>) {
        let what = self.what;
        let said = tried.as_ref().err().map(ToString::to_string);
        match &said {
            Some(error) if self.said != said => tracing::error!(error, "{what}"),
            None if self.said.is_some() => tracing::info!("no longer: {what}"),
            _ => {}
        }
        self.said = said;
    }
}
