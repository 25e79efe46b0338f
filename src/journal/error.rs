//! What callers of the journal have to tell apart.

use super::record::Unreadable;
use crate::model::code::{JOURNAL_CLOSED, JOURNAL_DAMAGED, JOURNAL_UNOPENABLE, JOURNAL_WRITE_FAILED};
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use std::fmt::Display;
use std::path::Path;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Damaged, foreign, from a newer version, or in use: a person must act.
    #[error("{0}")]
    Refused(Problem),
    /// A write failed or the journal was closed: nothing is accepted any more, what was durable stays so.
    #[error("{0}")]
    Stopped(Problem),
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The asked-for transaction was trimmed.
    #[error("the journal starts at sequence {oldest} now")]
    Trimmed { oldest: Sequence },
    /// The record does not hash to what the chain says, or cannot be read.
    #[error("{0}")]
    Damaged(Problem),
    #[error("the journal is closed")]
    Closed,
}

/// A record that is missing, unreadable or not what the chain says.
pub(super) fn damaged(what: impl Display) -> Problem {
    Problem::new(JOURNAL_DAMAGED, format!("the journal is damaged: {what}"))
}

pub(super) fn unreadable(record: impl Display, why: Unreadable) -> Problem {
    damaged(format_args!("{record} cannot be read: {why}"))
}

pub(super) fn unopenable(path: &Path, why: impl Display) -> Problem {
    Problem::new(JOURNAL_UNOPENABLE, format!("{}: {why}", path.display()))
}

pub(super) fn write_failed(why: impl Display) -> Problem {
    Problem::new(JOURNAL_WRITE_FAILED, format!("a write to the journal failed: {why}"))
}

pub(super) fn closed() -> Problem {
    Problem::new(JOURNAL_CLOSED, "the journal is closed")
}
