//! A copy of a table: all its rows as they are, read from the source while its changes go on.

use super::name::TableName;

/// Where in a copy a journaled transaction stands. Every copy is one `Begin`, any number of `Rows`, one `End`; those of
/// several tables interleave. A `Begin` of a higher number while one runs means that the lower one was given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyStep {
    pub table: TableName,
    /// Which copy of this table, from 1.
    pub copy: u64,
    pub phase: CopyPhase,
    /// Of a `Begin`: the table of that name is another one than the copy before read, or changes of it went by unread. Whoever
    /// has the table already needs this copy, too.
    pub anew: bool,
}

/// Numbers are the journal's record of a phase: append-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CopyPhase {
    /// Has no changes. What the table held before this transaction may be gone afterwards.
    Begin = 1,
    /// `READ` changes: each row as the source had it exactly here, between the transactions before and after.
    Rows = 2,
    /// Has no changes. Whoever applied everything since `Begin` has every row.
    End = 3,
}

impl CopyPhase {
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Begin, Self::Rows, Self::End].into_iter().find(|phase| *phase as u32 == number)
    }
}
