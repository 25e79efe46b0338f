//! Why a caller does not get what it asked for, before any transport gives it a status.

use crate::model::code::Code;
use crate::model::problem::Problem;

/// A refused request or an ended stream. `kind` says what the caller can do about it; the problem says it to a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Refusal {
    pub kind: Kind,
    pub problem: Problem,
}

/// What the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Say who it is.
    Unauthenticated,
    /// Ask for the right.
    Forbidden,
    /// Correct the request.
    Invalid,
    NotFound,
    /// Come back when another stream or subscription is gone.
    Busy,
    Exhausted,
    /// The state does not allow it.
    Precondition,
    /// Another stream replaced this one.
    Replaced,
    /// Start over from a copy.
    ResumePointGone,
    /// Come back later, with the last cursor.
    Unavailable,
    /// Nothing: the stored data is damaged.
    Damaged,
}

impl Refusal {
    pub fn new(kind: Kind, code: Code, message: impl Into<String>) -> Self {
        Self { kind, problem: Problem::new(code, message) }
    }
}
