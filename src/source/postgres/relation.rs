//! A Relation message: the rows that follow it are described by it and, where it does not say all, by a look.

use super::catalogue::ServerTable;
use super::encode::TablePlan;
use super::fault::Fault;
use super::origin::{self, Origin};
use super::stream::Stream;
use crate::decode::postgres::message::Relation;
use crate::decode::postgres::types::{self, Judged};
use crate::model::name::TableName;
use crate::model::schema::{Identity, TableShape};

impl Stream<'_> {
    /// Rows of the relation come next. A table that is published but not configured any more is not described.
    pub(super) async fn describe(&mut self, relation: &Relation<'_>) -> Result<(), Fault> {
        let schema = if relation.schema.is_empty() { "pg_catalog" } else { relation.schema };
        let name = TableName::new(schema, relation.table);
        let origin = self.origin(relation, &name).await?;
        self.kept.suspect(origin.suspicions).await?;
        if origin.is_partition {
            self.assembly.relation(relation.id, None);
            return Ok(());
        }
        if !self.selection.matches(&name.to_string()) {
            tracing::warn!(table = %name, "passing over a table that is published but not configured, perhaps renamed");
            self.assembly.relation(relation.id, None);
            return Ok(());
        }
        let Some(shape) = self.shape(relation, &name).await? else {
            self.assembly.relation(relation.id, None);
            return Ok(());
        };
        let schema = self.intake.describe(&shape).await?;
        self.assembly.relation(relation.id, Some(TablePlan::new(schema)));
        Ok(())
    }

    async fn origin(&mut self, relation: &Relation<'_>, name: &TableName) -> Result<Origin, Fault> {
        let above = self.assembly.described_last();
        if let Some(root) = origin::unknown_partition(relation, above, &self.kept) {
            self.side.look_at(root).await?;
        }
        Ok(origin::judge(relation, name, above, &self.kept))
    }

    /// A first description that is what the look at the start of the session saw, is it. Any other one follows something that
    /// was done to the table, so the table is looked at again before its rows come. `None`: its rows are not told apart, so it
    /// is halted, and copied again once they are.
    async fn shape(&mut self, relation: &Relation<'_>, name: &TableName) -> Result<Option<TableShape>, Fault> {
        // One that was not told apart then may be by now.
        let looked = self.as_looked.remove(&relation.id).filter(|looked| looked.unfit.is_none());
        if let Some(looked) = looked {
            let judged = judge(relation, Some(&looked));
            let shape = types::shape(relation, self.assembly.types(), judged.as_ref());
            if shape == looked.shape {
                return Ok(Some(shape));
            }
        }
        let now = self.side.look_at(name.clone()).await?;
        if now.as_ref().is_some_and(ServerTable::is_not_told_apart) {
            return Ok(None);
        }
        let judged = judge(relation, now.as_ref());
        Ok(Some(types::shape(relation, self.assembly.types(), judged.as_ref())))
    }
}

/// What the catalogue adds to a Relation message, which is older than it. `None`: the message says it all, or the table has
/// become another one since, which brings another copy of it.
fn judge(relation: &Relation<'_>, now: Option<&ServerTable>) -> Option<Judged> {
    let has = |name: &String| relation.columns.iter().any(|column| column.name == name);
    let now = now.filter(|now| now.relation() == relation.id && now.key.iter().all(has));
    let is_full = relation.replica_identity == b'f';
    match now {
        Some(now) if is_full => Some(Judged { identity: Identity::Full, key: now.key.clone() }),
        None if is_full => Some(Judged { identity: Identity::Full, key: Vec::new() }),
        _ => None,
    }
}
