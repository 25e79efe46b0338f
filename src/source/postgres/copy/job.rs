//! One table's copy, from where its record stands to its end.

use super::chunk::Chunk;
use super::gate::{Held, Request};
use super::stand::{Need, Standing};
use super::{EarlyWriters, LOOK_AGAIN, Trouble, Worker, table};
use crate::journal::{CopyProgress, CopyRecord, CopyState};
use crate::model::copy::{CopyPhase, CopyStep};
use crate::model::name::TableName;
use crate::model::schema::{Identity, TableSchema};
use crate::source::postgres::simple_query::Connection;
use crate::source::postgres::{ServerTable, catalogue, publication};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const FIRST_ROWS: u64 = 2_000;
/// Moved rows that one statement asks for.
const KEYS_AT_ONCE: usize = 500;

const NOT_PUBLISHED: &str = "its publication, which does not carry the table";
const EARLY_WRITERS: &str = "transactions that wrote to the table before the copy: see pg_locks and pg_stat_activity";
/// How long one table's early writers may keep others from being copied.
const WRITERS_MAX: Duration = Duration::from_secs(5);
const FOLLOWERS: &str = "the slowest target to come nearer: the copy would outrun `retention.size`";

impl Worker {
    pub(super) async fn copy(&mut self, connection: &mut Connection, mut record: CopyRecord) -> Result<(), Trouble> {
        let (mut rows_max, mut need) = (FIRST_ROWS, Need::Near);
        // The table that may be begun with; one under way was looked at when it began.
        let mut fit = record.relation.clone();
        if record.last_key.is_empty() {
            fit = self.fit_to_begin(connection, &record.table).await?;
        }
        loop {
            self.wait_for_followers(&record.table).await;
            let standing = self.stand(connection, &record.table, need).await?;
            if standing.locked.relation != fit {
                // Another table took the name meanwhile.
                self.knocker.send(Request::Release).await?;
                connection.query("COMMIT").await?;
                fit = self.fit_to_begin(connection, &record.table).await?;
                continue;
            }
            if self.starts_over(&record, &standing) {
                record = self.begin(record, &standing).await?;
            }
            let chunk = self.read(connection, &standing, &mut record, rows_max).await?;
            let is_last = standing.locked.order.is_empty() || chunk.rows < rows_max;
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
            self.knocker.send(Request::Release).await?;
            connection.query("COMMIT").await?;
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

    /// Waits until a copy of the table can begin; gives which table has the name now. A copy of what the stream does not bring
    /// would be stale from its end on.
    async fn fit_to_begin(&mut self, connection: &mut Connection, table: &TableName) -> Result<String, Trouble> {
        let found = catalogue::read_one(connection, &self.system, table).await?;
        let Some(found) = found.filter(publication::carries) else {
            return Err(Trouble::Table(NOT_PUBLISHED.to_owned()));
        };
        if let Some(problem) = &found.unfit {
            return Err(Trouble::Table(format!("the table is halted: {problem}")));
        }
        self.outlive_writers(connection, &found).await?;
        if found.identity() == Identity::Nothing
            && let Some(found) = catalogue::read_one(connection, &self.system, table).await?
        {
            self.kept.copy_begins(&found).await?;
        }
        Ok(found.relation().to_string())
    }

    /// Who wrote to the table before it joined the publication is not in the stream, even if it commits later: a copy has to
    /// begin behind all of those. Whoever holds a writer's lock now is waited for; whoever takes one later is in the stream.
    /// Who takes long lets other tables go first.
    async fn outlive_writers(&mut self, connection: &mut Connection, found: &ServerTable) -> Result<(), Trouble> {
        let table = &found.name;
        let writers = table::writers(connection, table).await?;
        let joined = (found.relation(), found.entry.carriers.clone());
        let known = self.early.remove(table).filter(|known| known.joined == joined);
        let early = known.unwrap_or(EarlyWriters { joined, transactions: writers });
        let deadline = Instant::now() + WRITERS_MAX;
        while !early.transactions.is_disjoint(&table::writers(connection, table).await?) {
            if Instant::now() > deadline {
                self.early.insert(table.clone(), early);
                return Err(Trouble::Table(EARLY_WRITERS.to_owned()));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// A copy must not outrun those who are to apply it, or retention takes what they have not read.
    async fn wait_for_followers(&self, table: &TableName) {
        let near = async {
            while self.journal.copies_must_wait() {
                sleep(LOOK_AGAIN).await;
            }
        };
        self.told(table, FOLLOWERS, near).await;
    }

    /// Whether what was read so far is of no use: nothing was or counts any more, the key or its order is another, or there is
    /// none to go on behind.
    fn starts_over(&self, record: &CopyRecord, standing: &Standing) -> bool {
        let order = &standing.locked.order;
        if record.state != CopyState::Running || order.is_empty() || record.key_order != order.to_sql() {
            return true;
        }
        let began_with = record.schema.and_then(|id| self.journal.schema(id));
        record.relation != standing.locked.relation
            || began_with.is_none_or(|schema| key_shape(&schema) != key_shape(&standing.schema))
    }

    async fn begin(&mut self, record: CopyRecord, standing: &Standing) -> Result<CopyRecord, Trouble> {
        let copy = if record.state == CopyState::Running { record.copy + 1 } else { record.copy };
        let rows_estimate = standing.locked.rows_estimate;
        let schema = Some(standing.schema.id);
        let relation = standing.locked.relation.clone();
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
    async fn rows(
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
