//! [`Draft`]: a token or a link that is not in the catalog yet.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::error::AdminError;
use crate::store::Millis;

/// What its bearer will show, and until when it is good for something.
pub(super) struct Draft {
    pub(super) secret: Zeroizing<String>,
    pub(super) expires: Millis,
}

impl Draft {
    /// 256 random bits, good for `ttl`; `must` says how long that may be, which is at most `longest`.
    pub(super) fn new(ttl: Duration, longest: Duration, must: &'static str) -> Result<Self, AdminError> {
        if ttl.is_zero() || ttl > longest {
            return Err(AdminError::invalid("ttl", must));
        }
        let mut bits = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bits)?;
        Ok(Self {
            secret: Zeroizing::new(URL_SAFE_NO_PAD.encode(*bits)),
            expires: Millis::from(SystemTime::now() + ttl),
        })
    }
}
