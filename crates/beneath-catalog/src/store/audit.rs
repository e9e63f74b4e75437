//! The audit trail: append-only, by triggers of the store itself.

use std::fmt;

use rusqlite::Connection;

use super::{Millis, revision, statement};
use crate::error::AdminError;

/// An administrative act, written down in the transaction that acts.
pub(crate) fn act(
    writing: &Connection,
    actor: &str,
    event: &str,
    object: &dyn fmt::Display,
) -> Result<(), AdminError> {
    let sql =
        "INSERT INTO audit (at, actor, event, object, revision, outcome) VALUES (?1, ?2, ?3, ?4, ?5, 'done')";
    let revision = revision(writing)?.as_u64();
    let row = (Millis::now().0, actor, event, object.to_string(), revision);
    statement(writing, sql)?.execute(row)?;
    Ok(())
}
