//! One table's copy, from where its record stands to its end.

use super::gate::Request;
use super::key;
use super::pace;
use super::snapshot::Connections;
use super::stand::Standing;
use super::{Trouble, Worker};
use crate::journal::{CHUNK_BYTES_MAX, CatalogueEntry, CopyProgress, CopyRecord, CopyState};
use crate::model::copy::{CopyPhase, CopyStep};
use crate::model::schema::SchemaId;
use crate::source::mysql::define::MOVED;
use crate::source::mysql::encode::{ChunkEncoder, unreadable};
use crate::source::mysql::fault::Fault;
use crate::source::mysql::settled::Listed;
use futures_util::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const LOOK_AGAIN: Duration = Duration::from_millis(100);
const FIRST_ROWS: u64 = 2_000;
/// A chunk holds the stream while it is read: so much, or so long, at most about.
const BYTES_AIM: u64 = 8 * 1024 * 1024;
const TIME_AIM: Duration = Duration::from_millis(300);
const ROWS_MIN: u64 = 100;
const ROWS_MAX: u64 = 200_000;
/// A table is read faster only step by step: its next rows may be larger.
const GROWTH_MAX: f64 = 4.0;

/// What one chunk read.
#[derive(Default)]
struct Read {
    /// Of the server.
    fetched: u64,
    /// To the journal.
    rows: u64,
    bytes: u64,
    took: Duration,
}

impl Worker {
    pub(super) async fn copy(&mut self, connections: &mut Connections, record: CopyRecord) -> Result<(), Trouble> {
        let mut record = record;
        let mut rows_max = FIRST_ROWS;
        loop {
            self.wait_for_followers(&record).await;
            let mut standing = self.stand(connections, &record).await?;
            let begins = self.starts_over(&record, &standing);
            if begins {
                record = self.begin(record, &mut standing).await?;
            }
            let read = self.read(connections, &mut standing, &mut record, rows_max, begins).await?;
            let is_last = standing.key.is_empty() || read.fetched < rows_max;
            if is_last {
                record.state = CopyState::Done;
                self.commit(&record, CopyPhase::End, standing.schema.id, 0, None).await?;
                tracing::info!(system = %self.system.name, table = %record.table, rows = record.rows, "copied");
            }
            self.knocker.send(Request::Release).await?;
            connections.end().await?;
            if is_last {
                return Ok(());
            }
            rows_max = next_rows_max(rows_max, &read);
        }
    }

    /// A copy must not outrun those who are to apply it, or retention takes what they have not read.
    async fn wait_for_followers(&self, record: &CopyRecord) {
        let mut waits = false;
        while self.journal.copies_must_wait() {
            if !std::mem::replace(&mut waits, true) {
                let why = "the slowest target to come nearer: the copy would outrun `retention.size`";
                self.reporter.copy_waits(&record.table, Some(why));
            }
            sleep(LOOK_AGAIN).await;
        }
        if waits {
            self.reporter.copy_waits(&record.table, None);
        }
    }

    /// Whether what was read so far is of no use: nothing was, the key is another, or there is none to go on behind.
    fn starts_over(&self, record: &CopyRecord, standing: &Standing) -> bool {
        if record.state != CopyState::Running || standing.key.is_empty() {
            return true;
        }
        let began_with = record.schema.and_then(|id| self.journal.schema(id));
        self.was_replaced(record)
            || began_with.is_none_or(|schema| key::shape_of(&schema) != key::shape_of(&standing.schema))
    }

    /// Somebody dropped or renamed the table since this copy began. What was asked for before the place is durable: the stream
    /// waits for it.
    fn was_replaced(&self, record: &CopyRecord) -> bool {
        let is_this =
            |known: CopyRecord| known.copy == record.copy && known.state == CopyState::Running && known.why == MOVED;
        self.asked_anew(record).is_some_and(is_this)
    }

    /// What the journal knows of the copy, where it is asked for anew.
    fn asked_anew(&self, record: &CopyRecord) -> Option<CopyRecord> {
        self.journal.copy_of(&record.system, &record.table).filter(|known| known.anew)
    }

    async fn begin(&mut self, record: CopyRecord, standing: &mut Standing) -> Result<CopyRecord, Trouble> {
        let copy = if record.state == CopyState::Running { record.copy + 1 } else { record.copy };
        if pace::waits(&record.why).is_some() {
            self.pace.began(&record.table, Instant::now());
        }
        let rows_estimate = standing.rows_estimate;
        let schema = Some(standing.schema.id);
        let anew = self.asked_anew(&record).is_some();
        let begun = CopyRecord {
            anew,
            copy,
            state: CopyState::Running,
            last_key: Vec::new(),
            rows: 0,
            bytes: 0,
            rows_estimate,
            schema,
            ..record
        };
        tracing::info!(system = %self.system.name, table = %begun.table, copy, rows_estimate, anew, "copying");
        if anew {
            // What is found from now on to be another, another copy has to follow.
            let (table, said) = (begun.table.clone(), Some(standing.entry.encode()));
            let kept = vec![CatalogueEntry { table, said, copy_again: None }];
            self.journal.keep_catalogue(&self.system.name, kept).await.map_err(Fault::from)?;
        }
        self.commit(&begun, CopyPhase::Begin, standing.schema.id, 0, standing.listed.take()).await?;
        Ok(begun)
    }

    /// Reads the next rows and journals them. What changed meanwhile and was not read is behind the copy's begin in the log, but
    /// where it `begins` here.
    async fn read(
        &mut self,
        connections: &mut Connections,
        standing: &mut Standing,
        record: &mut CopyRecord,
        rows_max: u64,
        begins: bool,
    ) -> Result<Read, Trouble> {
        let (started, table) = (Instant::now(), record.table.clone());
        let (mut read, mut encoder) = (Read::default(), ChunkEncoder::default());
        let sql = standing.key.rows_after(&standing.shape, &standing.gaps, &record.last_key, rows_max);
        // Prepared, for the binary protocol: as text a FLOAT loses digits.
        connections.reads = true;
        let (reader, other) = (connections.reader.inner(), &mut connections.other);
        let statement = self.patiently(other, &table, reader.prep(sql)).await?.map_err(Fault::from)?;
        let rows = self.patiently(other, &table, reader.exec_stream::<Row, _, _>(&statement, ())).await?;
        let mut rows = rows.map_err(Fault::from)?;
        let mut last = Vec::new();
        while let Some(row) = self.patiently(other, &table, rows.next()).await? {
            let mut values: Vec<Value> = row.map_err(Fault::from)?.unwrap();
            if let Some(column) = standing.gaps.take(&mut values) {
                return Err(Fault::from(unreadable(&standing.schema, column, &values)).into());
            }
            let before = encoder.len();
            let now = |row: &[u8]| standing.changed.now(&standing.schema, row);
            let is_there = encoder.read(&standing.schema, read.rows, &values, now).map_err(Fault::from)?;
            read.bytes += (encoder.len() - before) as u64;
            read.rows += u64::from(is_there);
            read.fetched += 1;
            last = values;
            // One more row may be as large as the last; a body's bound holds but for a single larger change.
            if encoder.len() >= CHUNK_BYTES_MAX / 2 {
                self.knocker.send(Request::Chunk(encoder.take())).await?;
            }
        }
        drop(rows);
        reader.close(statement).await.map_err(Fault::from)?;
        connections.reads = false;
        for image in standing.changed.unread().filter(|_| begins) {
            encoder.read_image(&standing.schema, read.rows, image);
            read.rows += 1;
            if encoder.len() >= CHUNK_BYTES_MAX / 2 {
                self.knocker.send(Request::Chunk(encoder.take())).await?;
            }
        }
        if !encoder.is_empty() {
            self.knocker.send(Request::Chunk(encoder.take())).await?;
        }
        if read.rows + read.fetched > 0 {
            record.rows += read.rows;
            record.bytes += read.bytes;
            if read.fetched > 0 {
                record.last_key = standing.key.of(&last).ok_or(Fault::Protocol("a row without its key"))?;
            }
            self.commit(record, CopyPhase::Rows, standing.schema.id, read.rows, None).await?;
        }
        read.took = started.elapsed();
        Ok(read)
    }

    /// Completes a step that brings the copy to `record`.
    async fn commit(
        &mut self,
        record: &CopyRecord,
        phase: CopyPhase,
        schema: SchemaId,
        changes: u64,
        listed: Option<Listed>,
    ) -> Result<(), Trouble> {
        let progress = progress(record, phase, schema);
        self.knocker.send(Request::Commit { progress, schema, changes, listed }).await?;
        self.brought.insert(record.table.clone(), record.clone());
        self.reporter.copy_waits(&record.table, None);
        Ok(())
    }
}

/// How many rows the next chunk should have.
fn next_rows_max(rows_max: u64, read: &Read) -> u64 {
    let by_bytes = BYTES_AIM as f64 / read.bytes.max(1) as f64;
    let by_time = TIME_AIM.as_secs_f64() / read.took.as_secs_f64().max(0.001);
    let rows = rows_max as f64 * by_bytes.min(by_time).min(GROWTH_MAX);
    (rows as u64).clamp(ROWS_MIN, ROWS_MAX)
}

fn progress(record: &CopyRecord, phase: CopyPhase, schema: SchemaId) -> CopyProgress {
    CopyProgress {
        step: CopyStep {
            table: record.table.clone(),
            copy: record.copy,
            phase,
            anew: phase == CopyPhase::Begin && record.anew,
        },
        last_key: record.last_key.clone(),
        // Full images only: nothing of a moved row is ever missing.
        read_again: Vec::new(),
        rows: record.rows,
        bytes: record.bytes,
        rows_estimate: record.rows_estimate,
        schema,
        // What was dropped or renamed is in the log.
        relation: String::new(),
        again: None,
        key_order: String::new(),
    }
}
