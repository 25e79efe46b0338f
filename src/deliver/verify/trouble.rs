//! Why a table, or all that is left, cannot be verified.

use crate::model::code;
use crate::model::problem::Problem;

/// By what it ends.
#[derive(Debug)]
pub enum Trouble {
    /// This table's comparison; the next one may do better.
    Table(Problem),
    /// All comparisons between this source and this target.
    Pair(Problem),
}

impl Trouble {
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::Table(Problem::new(code::VERIFY_UNREADABLE, message))
    }
}
