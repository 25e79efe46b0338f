//! What was found: of each table how it ended, and its differences by key. Holds no cell but those of keys.

use crate::model::problem::Problem;
use std::time::Duration;

#[derive(Debug)]
pub struct Report {
    pub tables: Vec<TableReport>,
    /// Systems and targets whose tables could not be verified any further.
    pub stopped: Vec<Stopped>,
    /// What targets get otherwise than as it is, so that there is nothing to compare it with.
    pub not_compared: Vec<NotCompared>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCompared {
    pub target: String,
    /// `system.schema.table`, or `entity NAME`.
    pub name: String,
    pub why: &'static str,
}

impl Report {
    pub fn all_equal(&self) -> bool {
        self.stopped.is_empty() && self.tables.iter().all(|table| table.outcome == Outcome::Equal)
    }
}

#[derive(Debug)]
pub struct Stopped {
    pub target: String,
    pub system: String,
    pub problem: Problem,
}

#[derive(Debug)]
pub struct TableReport {
    pub target: String,
    /// `system.schema.table`.
    pub table: String,
    /// `schema.table` in the target, once it is known there.
    pub target_table: Option<String>,
    pub outcome: Outcome,
    pub tally: Tally,
    /// Set unless equal.
    pub problem: Option<Problem>,
    pub took: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Equal,
    Different,
    /// No difference, but rows of which nothing can be said.
    Unsettled,
    NotReady,
    /// No source brings it, though the patterns select it.
    NotCaptured,
    Failed,
}

/// What was counted, and as many of the differences as are to be shown.
#[derive(Debug, Default)]
pub struct Tally {
    /// The source's.
    pub rows: u64,
    /// Parts in which they were read.
    pub ranges: u64,
    pub changed: u64,
    pub missing: u64,
    pub extra: u64,
    pub unsettled: u64,
    pub shown: Vec<Difference>,
    pub shown_max: usize,
    /// Columns that only the target has, beside Tailwater's own.
    pub only_in_target: Vec<String>,
    /// Generated columns, which the stream leaves out.
    pub only_in_source: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub kind: Kind,
    /// Name and text of each of the key's columns; empty for a table without key.
    pub key: Vec<(String, String)>,
    /// Of a table without key: where the row lies, `schema.table(page,item)`, in the database that has it.
    pub place: Option<String>,
    /// Columns that differ, of a changed row.
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Changed,
    /// In the target.
    Missing,
    /// In the target.
    Extra,
    Unsettled,
}

impl Tally {
    pub fn showing(shown_max: usize) -> Self {
        Self { shown_max, ..Self::default() }
    }

    pub fn add(&mut self, difference: Difference) {
        *self.count(difference.kind) += 1;
        if self.shown.len() < self.shown_max {
            self.shown.push(difference);
        }
    }

    /// Differences that are only counted.
    pub fn add_uncounted(&mut self, kind: Kind, rows: u64) {
        *self.count(kind) += rows;
    }

    pub fn differences(&self) -> u64 {
        self.changed + self.missing + self.extra
    }

    pub fn outcome(&self) -> Outcome {
        match (self.differences(), self.unsettled) {
            (0, 0) => Outcome::Equal,
            (0, _) => Outcome::Unsettled,
            _ => Outcome::Different,
        }
    }

    fn count(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Changed => &mut self.changed,
            Kind::Missing => &mut self.missing,
            Kind::Extra => &mut self.extra,
            Kind::Unsettled => &mut self.unsettled,
        }
    }
}
