//! What a person is told when something stops: a code, what was seen, and what to do next.

use super::code::Code;
use std::fmt;

/// A halt, a refusal or a retried fault, as status, logs and errors show it. Never holds a cell value or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    /// What happened, with the evidence: names, positions, the server's words.
    pub message: String,
}

impl Problem {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Problem {}
