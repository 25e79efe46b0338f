//! What a look before the start found: a problem, how bad it is, and the SQL that mends it.

use super::problem::Problem;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The run would go on, and somebody should know.
    Warning,
    /// The run would fail, or what it delivers would not be what the source has.
    Error,
}

/// One thing that was found. Holds no cell value and no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// A system, or `system.schema.table`; empty for this machine.
    pub place: String,
    pub problem: Problem,
    /// Statements for the server, in order; empty where SQL does not help.
    pub sql: Vec<String>,
}

impl Finding {
    pub fn error(place: impl Into<String>, problem: Problem) -> Self {
        Self { severity: Severity::Error, place: place.into(), problem, sql: Vec::new() }
    }

    pub fn warning(place: impl Into<String>, problem: Problem) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, problem) }
    }

    /// The same, mended by `sql`.
    #[must_use]
    pub fn mended_by(mut self, sql: impl IntoIterator<Item = String>) -> Self {
        self.sql.extend(sql);
        self
    }
}
