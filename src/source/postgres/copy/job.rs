//! One table's copy, from where its record stands to its end.

use super::chunk::Chunk;
use super::gate::{Held, Request};
use super::stand::{Need, Standing};
use super::{Trouble, Worker};
use crate::journal::{CopyProgress, CopyRecord, CopyState};
use crate::model::copy::{CopyPhase, CopyStep};
use crate::model::name::TableName;
use crate::model::schema::TableSchema;
use crate::source::postgres::simple_query::Connection;
use std::sync::Arc;

const FIRST_ROWS: u64 = 2_000;
/// Moved rows that one statement asks for.
const KEYS_AT_ONCE: usize = 500;

impl Worker {
    pub(super) async fn copy(&mut self, connection: &mut Connection, mut record: CopyRecord) -> Result<(), Trouble> {
        let (mut rows_max, mut need, mut beside) = (FIRST_ROWS, Need::Near, true);
        // The table that may be begun with; one under way was looked at when it began.
        let mut fit = record.relation.clone();
        if record.last_key.is_empty() {
            fit = self.fit_to_begin(connection, &record.table).await?;
        }
        loop {
            self.wait_for_followers(&record.table).await;
            let standing = self.stand(connection, &record.table, need).await?;
            if standing.locked.relation() != fit {
                // Another table took the name meanwhile.
                self.let_go(connection).await?;
                fit = self.fit_to_begin(connection, &record.table).await?;
                continue;
            }
            if self.starts_over(&record, &standing) {
                record = self.begin(record, &standing).await?;
            }
            let is_whole = standing.locked.order.is_empty();
            let chunk = if is_whole && beside {
                self.read_beside(connection, &standing, &mut record).await?
            } else {
                Some(self.read(connection, &standing, &mut record, rows_max).await?)
            };
            let Some(chunk) = chunk else {
                beside = false;
                self.let_go(connection).await?;
                continue;
            };
            let is_last = is_whole || chunk.rows < rows_max;
            // Else a row may still be on its way from ahead to behind, and what it does not say is not noted yet.
            let ends = is_last && standing.held == Held::Exactly;
            if ends {
                self.knocker.settle().await?;
            }
            self.read_again(connection, &standing, &mut record).await?;
            // More rows moved than could be noted, or somebody wants another one anyway: it would end with rows missing.
            let anew = ends && self.noted(&record).is_some_and(|noted| noted.again);
            if ends && !anew {
                self.end(&mut record, &standing).await?;
            }
            self.let_go(connection).await?;
            if anew {
                record.schema = None;
                (rows_max, need) = (FIRST_ROWS, Need::Near);
                continue;
            }
            if ends {
                return Ok(());
            }
            (rows_max, need) =
                if is_last { (rows_max, Need::Exact) } else { (chunk.next_rows_max(rows_max), Need::Near) };
        }
    }

    /// The stream goes on, and the table is free.
    async fn let_go(&self, connection: &mut Connection) -> Result<(), Trouble> {
        self.knocker.send(Request::Release).await?;
        connection.query("COMMIT").await?;
        Ok(())
    }

    /// Whether what was read so far is of no use: nothing was or counts any more, the key or its order is another, or there is
    /// none to go on behind.
    fn starts_over(&self, record: &CopyRecord, standing: &Standing) -> bool {
        let order = &standing.locked.order;
        if record.state != CopyState::Running || order.is_empty() || record.key_order != order.to_sql() {
            return true;
        }
        let began_with = record.schema.and_then(|id| self.journal.schema(id));
        record.relation != standing.locked.relation()
            || began_with.is_none_or(|schema| key_shape(&schema) != key_shape(&standing.schema))
    }

    async fn begin(&mut self, record: CopyRecord, standing: &Standing) -> Result<CopyRecord, Trouble> {
        let copy = if record.state == CopyState::Running { record.copy + 1 } else { record.copy };
        let rows_estimate = standing.locked.rows_estimate;
        let schema = Some(standing.schema.id);
        let relation = standing.locked.relation();
        let is_another = !record.relation.is_empty() && record.relation != relation;
        let begun = CopyRecord {
            anew: is_another || self.is_asked_anew(&record),
            relation,
            key_order: standing.locked.order.to_sql(),
            copy,
            state: CopyState::Running,
            last_key: Vec::new(),
            rows: 0,
            bytes: 0,
            rows_estimate,
            schema,
            ..record
        };
        tracing::info!(
            system = %self.system.name, table = %begun.table, copy, rows_estimate, anew = begun.anew, "copying"
        );
        self.commit(CopyPhase::Begin, &begun, standing, Step::default()).await?;
        Ok(begun)
    }

    fn is_asked_anew(&self, record: &CopyRecord) -> bool {
        self.journal.copy_of(&record.system, &record.table).is_some_and(|known| known.anew)
    }

    /// Reads the next rows and journals them.
    async fn read(
        &mut self,
        connection: &mut Connection,
        standing: &Standing,
        record: &mut CopyRecord,
        rows_max: u64,
    ) -> Result<Chunk, Trouble> {
        let mut chunk = Chunk::new(Arc::clone(&standing.schema), standing.locked.key_places());
        for range in standing.locked.ranges_after(&record.last_key) {
            let rows_max = rows_max.saturating_sub(chunk.rows);
            if rows_max > 0 {
                let sql = standing.locked.rows_in(&range, rows_max);
                self.fill(connection, &record.table, &sql, &mut chunk).await?;
            }
        }
        if chunk.rows > 0 {
            record.last_key = chunk.last_key()?;
            self.rows(record, standing, &chunk, Vec::new()).await?;
        }
        Ok(chunk)
    }

    /// Reads rows that moved while the copy ran, as far as the journal has them noted, and journals them. What is noted has
    /// moved before this place: those are the rows as they are here, whatever has happened to them since.
    async fn read_again(
        &mut self,
        connection: &mut Connection,
        standing: &Standing,
        record: &mut CopyRecord,
    ) -> Result<(), Trouble> {
        let keys: Vec<_> =
            self.noted(record).map(|noted| noted.to_read_again.into_iter().collect()).unwrap_or_default();
        if keys.is_empty() {
            return Ok(());
        }
        let mut chunk = Chunk::new(Arc::clone(&standing.schema), standing.locked.key_places());
        for keys in keys.chunks(KEYS_AT_ONCE) {
            self.fill(connection, &record.table, &standing.locked.rows_of(keys), &mut chunk).await?;
        }
        self.rows(record, standing, &chunk, keys).await
    }

    /// The copy as far as it is durable, with what the stream has noted of it.
    fn noted(&self, record: &CopyRecord) -> Option<CopyRecord> {
        let is_it = |noted: &CopyRecord| {
            noted.system == record.system && noted.table == record.table && noted.copy == record.copy
        };
        self.journal.copies().into_iter().find(is_it)
    }

    /// Reads a statement's rows into the chunk, and what is full on to the journal.
    async fn fill(
        &self,
        connection: &mut Connection,
        table: &TableName,
        sql: &str,
        chunk: &mut Chunk,
    ) -> Result<(), Trouble> {
        connection.start(sql).await?;
        while let Some(row) = self.next_row(connection, table).await? {
            chunk.add(row)?;
            if let Some(full) = chunk.take_full() {
                self.knocker.send(Request::Chunk(full)).await?;
            }
        }
        if let Some(rest) = chunk.take_rest() {
            self.knocker.send(Request::Chunk(rest)).await?;
        }
        Ok(())
    }

    /// Completes a step that brought rows.
    pub(super) async fn rows(
        &mut self,
        record: &mut CopyRecord,
        standing: &Standing,
        chunk: &Chunk,
        read_again: Vec<Vec<String>>,
    ) -> Result<(), Trouble> {
        record.rows += chunk.rows;
        record.bytes += chunk.bytes;
        self.commit(CopyPhase::Rows, record, standing, Step { changes: chunk.rows, read_again }).await
    }

    async fn end(&mut self, record: &mut CopyRecord, standing: &Standing) -> Result<(), Trouble> {
        record.state = CopyState::Done;
        self.commit(CopyPhase::End, record, standing, Step::default()).await?;
        tracing::info!(system = %self.system.name, table = %record.table, rows = record.rows, "copied");
        Ok(())
    }

    /// Completes a step that brings the copy to `record`.
    async fn commit(
        &mut self,
        phase: CopyPhase,
        record: &CopyRecord,
        standing: &Standing,
        Step { changes, read_again }: Step,
    ) -> Result<(), Trouble> {
        let schema = standing.schema.id;
        let progress = CopyProgress {
            step: CopyStep {
                table: record.table.clone(),
                copy: record.copy,
                phase,
                anew: phase == CopyPhase::Begin && record.anew,
            },
            last_key: record.last_key.clone(),
            read_again,
            rows: record.rows,
            bytes: record.bytes,
            rows_estimate: record.rows_estimate,
            schema,
            relation: record.relation.clone(),
            again: None,
            key_order: record.key_order.clone(),
        };
        self.knocker.send(Request::Commit { progress, schema, changes }).await?;
        self.brought.insert(record.table.clone(), record.clone());
        self.reporter.copy_waits(&record.table, None);
        Ok(())
    }
}

/// What a step brings beside the record.
#[derive(Default)]
struct Step {
    changes: u64,
    read_again: Vec<Vec<String>>,
}

/// Names and types of the key: what `last_key` is text of.
fn key_shape(schema: &TableSchema) -> Vec<(&str, &str)> {
    let key = schema.columns.iter().filter(|column| column.shape.key);
    key.map(|column| (&*column.shape.name, &*column.shape.declared_type)).collect()
}
