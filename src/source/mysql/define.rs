//! What a statement in the log means for captured tables: truncated, copied again, or as it was.
//!
//! The rule is that of `decode::mysql::statement`: a table that a statement names and does not provably keep is copied again,
//! behind the statement's place in the log, and the request is durable before the checkpoint passes it. A statement about
//! tables that are not captured stops nothing.

use super::assemble::Decision;
use super::fault::Fault;
use super::stream::Stream;
use crate::config::Flavour;
use crate::decode::mysql::statement::{Definition, Effect, Mentions, Named, Target};
use crate::journal::CatalogueEntry;
use crate::model::name::TableName;
use crate::model::schema::{SchemaId, TableSchema};
use crate::source::status::By;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was read of the table before is of another one.
pub(super) const MOVED: &str = "it was dropped, renamed or replaced";
const GENERATED: &str = "an ALTER may have calculated its generated columns again";
const UNKNOWN: &str = "a statement that is not known names it";
const UNDONE: &str = "a transaction was rolled back, or to a savepoint, after its rows were logged";
const LOST: &str = "the server lost events of its log";
const PASSED_OVER: &str = "it could not be captured for a while, and its rows were passed over";
const UNSURE: &str = "a TRUNCATE may have meant it or another table";
pub(super) const BY_STATEMENT: &str = "rows were changed by a statement that was logged as such";
pub(super) const TWO_PHASE: &str = "a two-phase (XA) transaction committed that may have changed it";

impl Stream<'_> {
    /// DDL, before whatever comes behind it.
    pub(super) async fn define(&mut self, definition: &Definition) -> Result<(), Fault> {
        let mut again = BTreeMap::new();
        for (target, effect) in &definition.effects {
            let meant = self.captured_by(target);
            for schema in &meant {
                self.looked.touched(&schema.name);
                self.copier.gate.spoil(&schema.name);
                self.reporter.unreadable(&schema.name, By::Shape, None);
                self.side.look_soon();
            }
            if matches!(effect, Effect::Kept | Effect::Created) {
                continue;
            }
            let is_sure = definition.effects.len() == 1 && meant.len() == 1 && is_exact(target);
            for schema in meant {
                let why = match effect {
                    Effect::Truncated if is_sure => {
                        self.assembly.truncate(&schema)?;
                        continue;
                    }
                    Effect::Truncated => UNSURE.to_owned(),
                    Effect::Rebuilt if !self.may_have_generated(&schema).await? => continue,
                    Effect::Rebuilt => GENERATED.to_owned(),
                    Effect::Rewritten(why) => why.to_string(),
                    _ => MOVED.to_owned(),
                };
                again.insert(schema.name.clone(), why);
            }
        }
        self.copy_again(again).await
    }

    /// Who knows what it does to the tables that it names.
    pub(super) async fn named_by_unknown(&mut self, mentions: &Mentions) -> Result<(), Fault> {
        let mut again = BTreeMap::new();
        for target in mentions {
            again.extend(self.captured_by(target).into_iter().map(|schema| (schema.name.clone(), UNKNOWN.to_owned())));
        }
        self.copy_again(again).await
    }

    /// Rows were changed by a statement that was logged as such. The log does not tell which rows, and through triggers, views,
    /// foreign keys and functions not even which tables; nor does the catalogue, which hides triggers and functions from those
    /// without rights on them. So every captured table is copied again, of the `databases` that the statement may have reached
    /// where the log has these. A copy that has not begun serves for this statement, too.
    pub(super) async fn changed_by_statement(&mut self, databases: Option<&[String]>) -> Result<(), Fault> {
        let is_reached = |name: &TableName| {
            databases.is_none_or(|all| all.iter().any(|database| self.names.same_part(database, &name.schema)))
        };
        let reached = self.captured().into_iter().map(|schema| schema.name.clone());
        let reached: Vec<_> = reached.filter(is_reached).collect();
        reached.iter().for_each(|name| self.copier.gate.spoil(name));
        let reached = reached.into_iter().filter(|name| !self.asked.contains(name));
        let again = reached.map(|name| (name, BY_STATEMENT.to_owned())).collect();
        self.copy_again(again).await
    }

    /// The server says that events are missing here, and not which: every captured table is copied again.
    pub(super) async fn lost_by_server(&mut self) -> Result<(), Fault> {
        let tables = self.captured().into_iter().map(|schema| (schema.name.clone(), LOST.to_owned()));
        self.copy_again(tables.collect()).await
    }

    /// Its rows are passed over from here on, because it cannot be captured now. By the time that the stream has come to the look
    /// that says so, a newer one may know nothing of it any more.
    pub(super) async fn passes_over(&mut self, table: &TableName) -> Result<(), Fault> {
        if self.schema(table).is_none() || self.asked.contains(table) {
            return Ok(());
        }
        self.copy_again(BTreeMap::from([(table.clone(), PASSED_OVER.to_owned())])).await
    }

    /// A two-phase transaction committed. A copy that has not begun serves for it, too, if its snapshot is sure to have it.
    pub(super) async fn decided(&mut self, decision: Decision) -> Result<(), Fault> {
        let any = || self.captured().into_iter().map(|schema| schema.name.clone()).collect();
        let tables = decision.tables.unwrap_or_else(any);
        if self.system.flavour == Flavour::Mariadb {
            tables.iter().for_each(|table| self.passed.note(table, &decision.xid));
        }
        tables.iter().for_each(|table| self.copier.gate.spoil(table));
        let tables = tables.into_iter().filter(|table| !self.asked.contains(table));
        let again = tables.map(|table| (table, TWO_PHASE.to_owned())).collect();
        self.copy_again(again).await
    }

    /// Some of the rows of these tables, which the transaction that ends here logged, do not count. None of them is journaled.
    pub(super) async fn undone(&mut self, schemas: &[SchemaId]) -> Result<(), Fault> {
        let tables = schemas.iter().filter_map(|id| self.journal.schema(*id));
        self.copy_again(tables.map(|schema| (schema.name.clone(), UNDONE.to_owned())).collect()).await?;
        Ok(self.intake.abandon().await?)
    }

    fn captured_by(&self, target: &Target) -> Vec<Arc<TableSchema>> {
        self.captured().into_iter().filter(|schema| self.names.may_mean(target, &schema.name)).collect()
    }

    /// The newest version of every captured table.
    pub(super) fn captured(&self) -> Vec<Arc<TableSchema>> {
        let schemas = self.journal.current_schemas().into_iter();
        schemas.filter(|schema| schema.system == self.system.name && self.system.captures(&schema.name)).collect()
    }

    /// A table that is gone may have had some.
    async fn may_have_generated(&self, schema: &TableSchema) -> Result<bool, Fault> {
        let described = self.side.describe(schema.name.clone()).await?;
        Ok(described.is_none_or(|(described, _)| described.columns.iter().any(|column| column.generated)))
    }

    /// Durable when this returns.
    pub(super) async fn copy_again(&mut self, tables: BTreeMap<TableName, String>) -> Result<(), Fault> {
        tables.keys().for_each(|table| self.copier.gate.spoil(table));
        self.asked.extend(tables.keys().cloned());
        let entries = tables.into_iter().map(|(table, why)| {
            tracing::warn!(system = %self.system.name, %table, why, "the table is copied again");
            self.reporter.copies_again("statement");
            CatalogueEntry { table, said: None, copy_again: Some(why) }
        });
        Ok(self.journal.keep_catalogue(&self.system.name, entries.collect()).await?)
    }
}

/// One table, and no other.
fn is_exact(target: &Target) -> bool {
    matches!(target, Target::Table(Named { schema: Some(_), .. }))
}
