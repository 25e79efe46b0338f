//! One look at the server: the catalogue is read, the publications are made what they should be, and what differs from the
//! look before is found and kept.
//!
//! Runs at every connect, every few seconds, and for one table whenever the stream describes it in another way. What is kept
//! and the copies that it makes necessary (`kept`) become durable before the stream goes on.

use super::catalogue::{self, ServerTable};
use super::fault::Fault;
use super::kept::Kept;
use super::publication::{self, History, Refusals};
use super::simple_query::Connection;
use crate::config::PostgresSystem;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use crate::source::status::{CapturedTable, Reporter};
use std::collections::{BTreeSet, HashMap};

/// What a look needs beside a connection.
pub struct Looker {
    pub system: PostgresSystem,
    pub kept: Kept,
    pub reporter: Reporter,
    /// Of the looks before.
    pub refusals: Refusals,
}

/// What it found.
pub struct Looked {
    /// The configured ones, in the order of their names.
    pub tables: Vec<ServerTable>,
    /// Those of them that are not captured, or not whole, while the others are.
    pub halted: HashMap<TableName, Problem>,
    /// The publications to stream from.
    pub publications: Vec<String>,
}

impl Looker {
    /// `resumes`: something was journaled before.
    ///
    /// # Errors
    /// Those of the connection, [`Fault::Journal`], and [`Fault::Halt`] when a publication was changed behind our back.
    pub async fn look(&mut self, connection: &mut Connection, resumes: bool) -> Result<Looked, Fault> {
        let mut seen = catalogue::read(connection, &self.system).await?;
        let captured = self.captured(&seen.tables);
        let history = if resumes { History::Captured(&captured) } else { History::Empty };
        let published = publication::ensure(connection, &self.system, &seen, history, &mut self.refusals).await?;
        if published.changed {
            seen = catalogue::read(connection, &self.system).await?;
        }
        self.kept.keep(&seen.tables, resumes).await?;
        self.kept.mark_missing(&seen.tables).await?;
        let mut halted: HashMap<_, _> = published.left_out.into_iter().collect();
        for table in &seen.tables {
            if !halted.contains_key(&table.name) {
                let problem = table.unfit.clone().or_else(|| self.untold(table));
                halted.extend(problem.map(|problem| (table.name.clone(), problem)));
            }
        }
        Ok(Looked { tables: seen.tables, halted, publications: published.names })
    }

    /// A copy of a table that only grows is whole for ever; of any other, until the next update or delete.
    fn untold(&self, table: &ServerTable) -> Option<Problem> {
        let is_silent = table.identity() == Identity::Nothing && publication::carries(table);
        let untold = if is_silent { self.kept.untold(table) } else { 0 };
        let message = format!(
            "the server has counted {untold} updates and deletes since the copy, none of which is in the stream"
        );
        (untold > 0).then(|| Problem::new(code::CHANGES_UNTOLD, message))
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
        self.kept.keep(found.as_slice(), true).await?;
        Ok(found)
    }

    /// Tables that the journal knows and that were in a publication when they were last seen under their names.
    fn captured(&self, tables: &[ServerTable]) -> BTreeSet<TableName> {
        let mut known = self.kept.known();
        for table in tables {
            let before = self.kept.get(&table.name);
            if before.is_some_and(|before| before.away || before.relation != table.relation()) {
                known.remove(&table.name);
            }
        }
        known
    }
}

impl Looked {
    /// For the status.
    pub fn captured(&self) -> Vec<CapturedTable> {
        let captured = |table: &ServerTable| CapturedTable {
            name: table.name.clone(),
            identity: table.identity(),
            halt: self.halted.get(&table.name).cloned(),
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
