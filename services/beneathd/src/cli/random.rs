//! Randomness from the system, as text that a person can type.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Failure;

/// 120 bits in 20 characters that need no quoting in a shell.
pub(super) fn password() -> Result<String, Failure> {
    let mut bits = [0; 15];
    getrandom::fill(&mut bits)
        .map_err(|error| Failure::Refused(format!("the system gives no randomness: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bits))
}
