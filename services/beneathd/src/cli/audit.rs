//! `beneathd audit`: what happened, in the order it was written.

use std::time::{Duration, SystemTime};

use beneath_catalog::AuditRecord;
use clap::Args;
use serde::Serialize;

use super::{Common, Failure, catalog};
use crate::notation::rfc3339_millis;

/// Show the audit trail: decisions, administrative acts, transfers and how they ended
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd audit --since 1h\n  beneathd audit --follow --json")]
pub(super) struct Audit {
    /// What happened within this time only
    #[arg(long, value_name = "DURATION")]
    since: Option<humantime::Duration>,
    /// Go on with what happens from now on
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Printed<'a> {
    at: String,
    actor: &'a str,
    event: &'a str,
    object: &'a str,
    revision: u64,
    outcome: &'a str,
    reason: Option<&'a str>,
    bytes: Option<u64>,
    address: Option<&'a str>,
    times: u64,
}

const PAGE: usize = 1000;
const POLL: Duration = Duration::from_millis(500);

impl Audit {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let catalog = catalog::existing(&self.common.config()?)?;
        let operator = catalog::operator(&catalog);
        let since = self.since.and_then(|since| SystemTime::now().checked_sub(*since));
        let mut after = None;
        loop {
            let records = operator.audit(since, after, PAGE)?;
            if records.iter().try_for_each(|record| self.show(record)).is_err() {
                return Ok(());
            }
            after = records.last().map(|record| record.place).or(after);
            match (records.len() == PAGE, self.follow) {
                (true, _) => {}
                (false, true) => std::thread::sleep(POLL),
                (false, false) => return Ok(()),
            }
        }
    }

    fn show(&self, record: &AuditRecord) -> std::io::Result<()> {
        let printed = Printed {
            at: rfc3339_millis(record.at),
            actor: &record.actor,
            event: &record.event,
            object: &record.object,
            revision: record.revision.as_u64(),
            outcome: &record.outcome,
            reason: record.reason.as_deref(),
            bytes: record.bytes,
            address: record.address.as_deref(),
            times: record.times,
        };
        self.common.output().try_result(&printed, || printed.line())
    }
}

impl Printed<'_> {
    /// Nothing in it may draw on the terminal.
    fn line(&self) -> String {
        let Self {
            at,
            actor,
            event,
            object,
            outcome,
            ..
        } = self;
        let known = [
            (self.times > 1).then(|| format!("{} times", self.times)),
            self.bytes.map(|bytes| format!("{bytes} bytes")),
            self.reason.map(ToOwned::to_owned),
            self.address.map(|address| format!("from {address}")),
        ];
        let line = [at.as_str(), actor, event, object, outcome].map(column);
        let line: Vec<_> = line.into_iter().chain(known.into_iter().flatten()).collect();
        line.join("  ")
    }
}

/// What holds white space that could be taken for the end of the column is quoted.
fn column(text: &str) -> String {
    if text.contains("  ") || text.contains(|c: char| c.is_whitespace() && c != ' ') {
        return format!("\"{}\"", text.escape_debug());
    }
    // Marks draw nothing, and paths have theirs escaped in the trail already.
    let marks = ['\\', '"', '\''];
    let mut shown = String::with_capacity(text.len());
    for part in text.split_inclusive(marks) {
        let visible = part.trim_end_matches(marks);
        shown.extend(visible.escape_debug());
        shown.push_str(&part[visible.len()..]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_column_looks_like_the_end_of_it() {
        for (text, expected) in [
            ("user:ann", "user:ann"),
            ("id user:ann until 2026", "id user:ann until 2026"),
            ("user:a  done  192.0.2.9", "\"user:a  done  192.0.2.9\""),
            ("user:a\"  done", "\"user:a\\\"  done\""),
            ("user:a\u{3000}done", "\"user:a\\u{3000}done\""),
            ("user:\u{1b}[2J", "user:\\u{1b}[2J"),
            ("user:\"\u{1b}'", "user:\"\\u{1b}'"),
            (r#"id files:"a\\b\u{1b}\"""#, r#"id files:"a\\b\u{1b}\"""#),
        ] {
            assert_eq!(column(text), expected);
        }
    }
}
