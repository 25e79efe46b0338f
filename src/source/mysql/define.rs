//! What a statement in the log means for captured tables: truncated, copied again, or as it was.
//!
//! The rule is that of `decode::mysql::statement`: a table that a statement names and does not provably keep is copied again,
//! behind the statement's place in the log, and the request is durable before the checkpoint passes it. A statement about
//! tables that are not captured stops nothing.

use super::fault::Fault;
use super::identity::halt;
use super::stream::Stream;
use crate::decode::mysql::statement::{Definition, Effect, Mentions, Named, Target};
use crate::journal::CatalogueEntry;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::schema::{SchemaId, TableSchema};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was read of the table before is of another one.
pub(super) const MOVED: &str = "it was dropped, renamed or replaced";
const GENERATED: &str = "an ALTER may have calculated its generated columns again";
const UNKNOWN: &str = "a statement that is not known names it";
const UNDONE: &str = "a transaction was rolled back to a savepoint after its rows were logged";
const BY_STATEMENT: &str = "rows were changed by a statement that was logged as such";

impl Stream<'_> {
    /// DDL, before whatever comes behind it.
    pub(super) async fn define(&mut self, definition: &Definition) -> Result<(), Fault> {
        let mut again = BTreeMap::new();
        for (target, effect) in &definition.effects {
            if matches!(effect, Effect::Kept | Effect::Created) {
                continue;
            }
            for schema in self.captured_by(target)? {
                match effect {
                    Effect::Truncated => self.assembly.truncate(&schema)?,
                    Effect::Rebuilt if !self.may_have_generated(&schema).await? => {}
                    Effect::Rebuilt => drop(again.insert(schema.name.clone(), GENERATED.to_owned())),
                    Effect::Rewritten(why) => drop(again.insert(schema.name.clone(), why.to_string())),
                    _ => drop(again.insert(schema.name.clone(), MOVED.to_owned())),
                }
            }
        }
        self.copy_again(again).await
    }

    /// Who knows what it does to the tables that it names.
    pub(super) async fn named_by_unknown(&mut self, mentions: &Mentions) -> Result<(), Fault> {
        let mut again = BTreeMap::new();
        for target in mentions {
            again.extend(self.captured_by(target)?.into_iter().map(|schema| (schema.name.clone(), UNKNOWN.to_owned())));
        }
        self.copy_again(again).await
    }

    /// Rows were changed by a statement that was logged as such. The log does not tell which rows, and through triggers, views,
    /// foreign keys and functions not even which tables; nor does the catalogue, which hides triggers and functions from those
    /// without rights on them. So every captured table is copied again.
    pub(super) async fn changed_by_statement(&mut self) -> Result<(), Fault> {
        let all = self.captured().into_iter().map(|schema| (schema.name.clone(), BY_STATEMENT.to_owned()));
        self.copy_again(all.collect()).await
    }

    /// ROLLBACK TO SAVEPOINT: some of the rows of these tables, which were logged, do not count.
    pub(super) async fn undone(&mut self, schemas: &[SchemaId]) -> Result<(), Fault> {
        let tables = schemas.iter().filter_map(|id| self.journal.schema(*id));
        self.copy_again(tables.map(|schema| (schema.name.clone(), UNDONE.to_owned())).collect()).await
    }

    /// # Errors
    /// [`Fault::Halt`] when the name cannot be read and may be that of a captured table.
    fn captured_by(&self, target: &Target) -> Result<Vec<Arc<TableSchema>>, Fault> {
        let in_database = |schema: &Option<String>, table: &TableName| {
            schema.as_ref().is_none_or(|schema| self.names.same_part(schema, &table.schema))
        };
        let is_meant = |table: &TableName| match target {
            Target::Table(Named { schema, table: name }) => {
                in_database(schema, table) && self.names.same_part(name, &table.table)
            }
            Target::Database(database) => self.names.same_part(database, &table.schema),
            Target::Unreadable { schema } => in_database(schema, table),
        };
        let meant: Vec<_> = self.captured().into_iter().filter(|schema| is_meant(&schema.name)).collect();
        if matches!(target, Target::Unreadable { .. }) && !meant.is_empty() {
            let message = format!("{}: a statement names a table that cannot be read", self.assembly.transaction());
            return halt(code::EVENT_UNKNOWN, message);
        }
        Ok(meant)
    }

    /// The newest version of every captured table.
    pub(super) fn captured(&self) -> Vec<Arc<TableSchema>> {
        let schemas = self.journal.current_schemas().into_iter();
        schemas.filter(|schema| schema.system == self.system.name && self.system.captures(&schema.name)).collect()
    }

    /// A table that is gone may have had some.
    async fn may_have_generated(&self, schema: &TableSchema) -> Result<bool, Fault> {
        let described = self.side.describe(schema.name.clone()).await?;
        Ok(described.is_none_or(|described| described.columns.iter().any(|column| column.generated)))
    }

    /// Durable when this returns.
    async fn copy_again(&self, tables: BTreeMap<TableName, String>) -> Result<(), Fault> {
        let entries = tables.into_iter().map(|(table, why)| {
            tracing::warn!(system = %self.system.name, %table, why, "the table is copied again");
            self.reporter.copies_again("statement");
            CatalogueEntry { table, said: None, copy_again: Some(why) }
        });
        Ok(self.journal.keep_catalogue(&self.system.name, entries.collect()).await?)
    }
}
