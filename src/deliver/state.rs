//! A stream that starts with the state: of each table the newest copy that the journal holds, or a new one, and what came after.
//!
//! Copies are transactions of the journal like all others, so one read in its order brings rows and changes as they fit. It
//! starts at the oldest of the copies' begins; what comes of a table before its own copy begins is left out. Many who ask at
//! once share the copies that are made for the first one.
//!
//! Surprise: a cursor does not say which tables were left out. Who resumes before all copies have begun gets changes of rows
//! that it has not got yet; the copies, which are wanted durably, bring these.

use super::class::Class;
use super::cursor::Cursor;
use super::refusal::{Kind, Refusal};
use super::resume::{Start, unread};
use crate::journal::{CopyRecord, CopyState, Error, Header, Journal, ReadError};
use crate::model::code;
use crate::model::copy::CopyPhase;
use crate::model::name::{SystemName, TableName};
use crate::model::position::{Reached, Sequence};
use crate::model::schema::{Identity, SchemaId, TableSchema};
use futures_util::future::try_join_all;
use std::collections::{HashMap, HashSet};

/// A table of which something is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenTable {
    name: (SystemName, TableName),
    copying: Copying,
}

/// Which copy of a table a stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copying {
    /// The newest one that is held, or else a new one.
    Newest,
    /// A new one: updates and deletes of its rows are in no stream.
    Anew,
    /// The next one, whoever asks for it: the table is halted or gone, and comes with the copy that mends it.
    Next,
}

/// Tables whose changes are left out until a copy of at least this number begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gates {
    shut: HashMap<(SystemName, TableName), u64>,
    /// Versions of these tables that were met.
    hidden: HashSet<SchemaId>,
}

/// Those that a class sees now.
pub fn tables(
    journal: &Journal,
    class: &Class,
    out_of_reach: impl Fn(&SystemName, &TableName) -> bool,
) -> Vec<SeenTable> {
    let schemas = journal.current_schemas().into_iter().filter(|schema| class.view(schema).sees_anything());
    let seen = schemas.map(|schema| {
        let is_out_of_reach =
            if schema.is_entity() { class.is_outdated(&schema) } else { out_of_reach(&schema.system, &schema.name) };
        let copying = match schema.identity {
            _ if is_out_of_reach => Copying::Next,
            Identity::Nothing => Copying::Anew,
            Identity::Key | Identity::Full => Copying::Newest,
        };
        SeenTable { name: (schema.system.clone(), schema.name.clone()), copying }
    });
    seen.collect()
}

/// Where a stream of these tables starts. Copies that have to be made are wanted durably when this returns.
///
/// # Errors
/// The journal is stopped, or does not read.
pub async fn start(journal: &Journal, tables: &[SeenTable]) -> Result<Start, Refusal> {
    loop {
        let newest = journal.newest().await.map_err(unread)?;
        let oldest = journal.bounds().oldest;
        // A copy is good for a stream if it begins behind this.
        let behind = |table: &SeenTable| match table.copying {
            Copying::Newest => Sequence(oldest.0.saturating_sub(1)),
            Copying::Anew | Copying::Next => newest.sequence,
        };
        let copies = ask(journal, tables, behind).await?;
        let (mut first, mut gates) = (newest.sequence, Gates::default());
        for table in tables {
            let number = match copies.get(&table.name) {
                None => 1,
                Some(copy) if copy.state == CopyState::Wanted => copy.copy,
                Some(copy) if copy.begin > behind(table) => {
                    first = first.min(Sequence(copy.begin.0.saturating_sub(1)));
                    copy.copy
                }
                Some(copy) => copy.copy.saturating_add(1),
            };
            gates.shut.insert(table.name.clone(), number);
        }
        match journal.history(first).await {
            Ok(history) => return Ok(Start::State(Cursor(Reached { sequence: first, history: Some(history) }), gates)),
            // Retention has just passed it.
            Err(ReadError::Trimmed { .. }) => {}
            Err(error) => return Err(unread(error)),
        }
    }
}

/// The newest copy of each table, after new ones were asked for where there is none that is good.
async fn ask(
    journal: &Journal,
    tables: &[SeenTable],
    behind: impl Fn(&SeenTable) -> Sequence,
) -> Result<HashMap<(SystemName, TableName), CopyRecord>, Refusal> {
    let named = |copy: CopyRecord| ((copy.system.clone(), copy.table.clone()), copy);
    let mut copies: HashMap<_, _> = journal.copies().into_iter().map(named).collect();
    // One that runs goes on under its number once it can, and has to be followed by another one.
    let runs = |table: &SeenTable| copies.get(&table.name).is_some_and(|copy| copy.state == CopyState::Running);
    let to_ask = tables.iter().filter(|table| table.copying != Copying::Next || runs(table));
    let asked = to_ask.map(|table| journal.request_copy(&table.name.0, &table.name.1, behind(table)));
    let asked = try_join_all(asked)
        .await
        .map_err(|error: Error| Refusal::new(Kind::Unavailable, code::JOURNAL_UNAVAILABLE, error.to_string()))?;
    copies.extend(asked.into_iter().map(named));
    Ok(copies)
}

impl Gates {
    /// A transaction comes next: it may be the begin of a copy that was waited for.
    pub fn pass(&mut self, header: &Header) {
        let Some(step) = header.copy.as_ref().filter(|step| step.phase == CopyPhase::Begin) else { return };
        let name = (header.system.clone(), step.table.clone());
        if self.shut.get(&name).is_some_and(|number| step.copy >= *number) {
            self.shut.remove(&name);
            self.hidden.clear();
        }
    }

    /// Whether nothing is left out any more.
    pub fn are_open(&self) -> bool {
        self.shut.is_empty()
    }

    /// Whether changes of this version are left out now.
    pub fn meet(&mut self, schema: &TableSchema) -> bool {
        let is_shut = self.shut.contains_key(&(schema.system.clone(), schema.name.clone()));
        if is_shut {
            self.hidden.insert(schema.id);
        }
        is_shut
    }

    /// The same of a version that was met.
    pub fn hide(&self, id: SchemaId) -> bool {
        self.hidden.contains(&id)
    }
}
