//! What the sources know against a table that a target takes for ready: a copy is wanted because its rows may have changed
//! without an event, or its changes do not come: it is gone or halted, or its source is. The target learns of the first only where the copy begins.

use crate::deliver::target::table::Source;
use crate::journal::{CopyRecord, Journal};
use crate::model::code;
use crate::model::name::{SystemName, TableName};
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use crate::source::status::{SourceStatus, State};
use std::collections::{HashMap, HashSet};
use tokio::sync::watch;

pub(super) struct Doubts {
    copies: HashMap<Source, CopyRecord>,
    halts: HashMap<Source, Problem>,
    halted_sources: HashMap<SystemName, Problem>,
    /// Of sources that stream.
    captured: HashMap<SystemName, HashSet<TableName>>,
}

/// Why a table that seems to be ready is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It is to be copied again.
    CopyWanted,
    Halted(Problem),
}

impl Doubts {
    pub fn new(journal: &Journal, sources: &[watch::Receiver<SourceStatus>]) -> Self {
        let copies = journal.copies().into_iter().filter(|copy| copy.anew || !copy.why.is_empty());
        let copies = copies.map(|copy| (named(&copy.system, &copy.table), copy)).collect();
        let (mut halts, mut halted_sources, mut captured) = (HashMap::new(), HashMap::new(), HashMap::new());
        for status in sources {
            let status = status.borrow();
            if let State::Halted(problem) = &status.state {
                halted_sources.insert(status.system.clone(), problem.clone());
            }
            if status.state == State::Streaming {
                let names = status.tables.iter().map(|table| table.name.clone());
                captured.insert(status.system.clone(), names.collect::<HashSet<_>>());
            }
            for table in status.tables.iter() {
                halts.extend(status.halt_of(table).map(|halt| (named(&status.system, &table.name), halt.clone())));
            }
        }
        Self { copies, halts, halted_sources, captured }
    }

    /// Of a table at a target that has applied everything up to `sequence`.
    pub fn of(&self, source: &Source, sequence: Sequence) -> Option<Doubt> {
        let halt = self.halts.get(source).or_else(|| self.halted_sources.get(&source.system));
        if let Some(problem) = halt {
            return Some(Doubt::Halted(problem.clone()));
        }
        if self.captured.get(&source.system).is_some_and(|captured| !captured.contains(&source.name)) {
            let message = format!("{} has no such table, or the config leaves it out", source.system);
            return Some(Doubt::Halted(Problem::new(code::TABLE_GONE, message)));
        }
        // Its begin, if it has begun, is not applied yet.
        let is_wanted = |copy: &CopyRecord| copy.anew || copy.begin == Sequence::ZERO || copy.begin > sequence;
        self.copies.get(source).filter(|copy| is_wanted(copy)).map(|_| Doubt::CopyWanted)
    }
}

fn named(system: &SystemName, table: &TableName) -> Source {
    Source { system: system.clone(), name: table.clone() }
}
