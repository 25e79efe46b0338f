//! Which copy is worked on next. Ten thousand may be wanted, and each is looked for in its turn: nothing is cloned but the answer.

use super::put_off::PutOff;
use crate::journal::{CopyRecord, CopyState, Journal};
use crate::model::name::{SystemName, TableName};
use std::collections::HashMap;
use tokio::time::Instant;

/// What a worker knows beside the journal.
pub struct Known<'a> {
    pub system: &'a SystemName,
    /// How far this session has brought each copy.
    pub brought: &'a HashMap<TableName, CopyRecord>,
    pub put_off: &'a PutOff,
}

impl Known<'_> {
    /// One that runs before one that is only wanted, and tables that had trouble last. `is_due` must not look at the copies.
    pub fn next(&self, journal: &Journal, is_due: impl Fn(&CopyRecord) -> bool) -> Option<CopyRecord> {
        let now = Instant::now();
        let ranks = [false, true]
            .into_iter()
            .flat_map(|trouble| [CopyState::Running, CopyState::Wanted].into_iter().map(move |state| (trouble, state)));
        ranks.into_iter().find_map(|rank| {
            let is_next = |known: &&CopyRecord| {
                let record = self.brought_to(known);
                known.system == *self.system
                    && (self.put_off.had_trouble(&record.table), record.state) == rank
                    && !self.put_off.waits(&record.table, now)
                    && is_due(record)
            };
            journal.find_copy(is_next).map(|record| self.brought_to(&record).clone())
        })
    }

    /// The record as it will be once all that was handed over is durable.
    pub fn brought_to<'r>(&'r self, record: &'r CopyRecord) -> &'r CopyRecord {
        let is_ahead = |brought: &&CopyRecord| brought.copy >= record.copy;
        self.brought.get(&record.table).filter(is_ahead).unwrap_or(record)
    }
}
