//! [`Limits`]: how much, how long, how many; each with its reason.

use std::time::Duration;

/// How much, how long and how many a server grants. The default is for a public server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How long the drain after the shutdown signal may take before what is left is aborted.
    pub drain: Duration,
    /// From the first chance to send a request head to its last byte.
    pub header_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
        }
    }
}
