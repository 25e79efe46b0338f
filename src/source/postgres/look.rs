//! One look at the server: the catalogue is read, the publications are made what they should be, and what differs from the
//! look before is found and kept.
//!
//! Runs at every connect, every few seconds, and for one table whenever the stream describes it in another way. What is kept
//! and the copies that it makes necessary become durable together, before the stream goes on. Surprise: a table that nothing
//! is kept of, though the journal has rows of it, is copied again: unknown is not unchanged.

use super::catalogue::difference::{self, Kind, Suspicion};
use super::catalogue::{self, Entry, ServerTable};
use super::fault::Fault;
use super::publication::{self, History};
use super::simple_query::Connection;
use crate::config::PostgresSystem;
use crate::journal::{CatalogueEntry, Journal};
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use crate::source::status::{CapturedTable, Reporter};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a look needs beside a connection.
#[derive(Clone)]
pub struct Looker {
    pub system: PostgresSystem,
    pub journal: Journal,
    pub reporter: Reporter,
}

/// What it found.
pub struct Looked {
    /// The configured ones, in the order of their names.
    pub tables: Vec<ServerTable>,
    /// Those of them that are not captured, or not whole, while the others are.
    pub halted: Vec<(TableName, Problem)>,
    /// The publications to stream from.
    pub publications: Vec<String>,
}

impl Looker {
    /// `resumes`: something was journaled before.
    ///
    /// # Errors
    /// Those of the connection, [`Fault::Journal`], and [`Fault::Halt`] when a publication was changed behind our back.
    pub async fn look(&self, connection: &mut Connection, resumes: bool) -> Result<Looked, Fault> {
        let mut seen = catalogue::read(connection, &self.system).await?;
        let captured = self.captured(&seen.tables);
        let history = if resumes { History::Captured(&captured) } else { History::Empty };
        let published = publication::ensure(connection, &self.system, &seen, history).await?;
        if published.changed {
            seen = catalogue::read(connection, &self.system).await?;
        }
        self.keep(&seen.tables).await?;
        let mut halted = published.left_out;
        for table in &seen.tables {
            if !halted.iter().any(|(name, _)| *name == table.name) {
                let unfit = table.unfit.as_ref().map(|unfit| Problem::new(code::IDENTITY_UNFIT, unfit.clone()));
                halted.extend(unfit.map(|problem| (table.name.clone(), problem)));
            }
        }
        Ok(Looked { tables: seen.tables, halted, publications: published.names })
    }

    /// The same of one table that is captured already; `None` when it is gone.
    ///
    /// # Errors
    /// Those of the connection, and [`Fault::Journal`].
    pub async fn look_at(&self, connection: &mut Connection, table: &TableName) -> Result<Option<ServerTable>, Fault> {
        // All of an entry is of one moment, or a difference could hide between two.
        connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        let found = catalogue::read_one(connection, &self.system, table).await?;
        connection.query("COMMIT").await?;
        self.keep(found.as_slice()).await?;
        Ok(found)
    }

    /// Tables that the journal knows, but for those whose names other tables have now, which never were in a publication.
    fn captured(&self, tables: &[ServerTable]) -> BTreeSet<TableName> {
        let kept = self.journal.catalogue(&self.system.name);
        let is_another = |name: &TableName| {
            let before = kept.get(name).and_then(|said| Entry::decode(said));
            let now = tables.iter().find(|table| table.name == *name);
            before.zip(now).is_some_and(|(before, now)| before.relation != now.relation())
        };
        self.known().into_iter().filter(|name| !is_another(name)).collect()
    }

    fn known(&self) -> BTreeSet<TableName> {
        let schemas = self.journal.current_schemas().into_iter();
        schemas.filter(|schema| schema.system == self.system.name).map(|schema| schema.name.clone()).collect()
    }

    /// Keeps what is another than before. A table that is not in a publication is kept as it was when it last was in one.
    async fn keep(&self, tables: &[ServerTable]) -> Result<(), Fault> {
        let (kept, known) = (self.journal.catalogue(&self.system.name), self.known());
        let mut entries = Vec::new();
        for table in tables.iter().filter(|table| publication::carries(table)) {
            let before = kept.get(&table.name);
            let Some(suspicion) = compare(before, &table.entry, known.contains(&table.name)) else { continue };
            if let Some(Suspicion { kind, why }) = &suspicion {
                tracing::warn!(system = %self.system.name, table = %table.name, why, "the table is copied again");
                self.reporter.copies_again(kind.label());
            }
            let copy_again = suspicion.map(|suspicion| suspicion.why);
            let said = Some(table.entry.encode());
            entries.push(CatalogueEntry { table: table.name.clone(), said, copy_again });
        }
        Ok(self.journal.keep_catalogue(&self.system.name, entries).await?)
    }
}

/// `None`: nothing is another than before. Within: why the table has to be copied again, if it has.
fn compare(before: Option<&Arc<[u8]>>, now: &Entry, is_known: bool) -> Option<Option<Suspicion>> {
    let Some(kept) = before.and_then(|said| Entry::decode(said)) else {
        let why = "nothing is known of how it was before".to_owned();
        return Some(is_known.then_some(Suspicion { kind: Kind::Unknown, why }));
    };
    (kept != *now).then(|| difference::between(&kept, now))
}

impl Looked {
    /// For the status.
    pub fn captured(&self) -> Vec<CapturedTable> {
        let halt =
            |name: &TableName| self.halted.iter().find(|(table, _)| table == name).map(|(_, problem)| problem.clone());
        let captured = |table: &ServerTable| CapturedTable {
            name: table.name.clone(),
            identity: table.identity(),
            halt: halt(&table.name),
        };
        self.tables.iter().map(captured).collect()
    }

    /// By their oids, as the stream's Relation messages name them.
    pub fn by_relation(&self) -> HashMap<u32, ServerTable> {
        self.tables.iter().map(|table| (table.relation(), table.clone())).collect()
    }
}

/// Tells the log and the status.
pub fn tell_tables(system: &PostgresSystem, reporter: &Reporter, captured: Vec<CapturedTable>) {
    if captured.is_empty() {
        tracing::warn!(system = %system.name, "no table of the database is configured: nothing will be captured");
    }
    for CapturedTable { name: table, identity, halt } in &captured {
        match halt {
            Some(problem) => tracing::error!(system = %system.name, %table, %problem, "table halted"),
            None if *identity == Identity::Nothing => {
                tracing::warn!(system = %system.name, %table, "no replica identity: only inserts and truncates are captured");
            }
            None => {}
        }
    }
    reporter.tables(captured);
}
