//! The rows of one chunk on their way: from the server's rows to `READ` changes, bounded in memory whatever their number.

use crate::journal::CHUNK_BYTES_MAX;
use crate::model::schema::TableSchema;
use crate::source::postgres::encode::{CellError, ChunkEncoder, TablePlan};
use crate::source::postgres::fault::Fault;
use crate::source::postgres::simple_query::DataRow;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A chunk holds the stream while it is read: so much, or so long, at most about.
const BYTES_AIM: u64 = 8 * 1024 * 1024;
const TIME_AIM: Duration = Duration::from_millis(300);
const ROWS_MIN: u64 = 100;
const ROWS_MAX: u64 = 200_000;
/// A table is read faster only step by step: its next rows may be larger.
const GROWTH_MAX: f64 = 4.0;

pub struct Chunk {
    plan: TablePlan,
    encoder: ChunkEncoder,
    key_places: Vec<usize>,
    last_row_key: Vec<Vec<u8>>,
    pub rows: u64,
    /// Of the server's text.
    pub bytes: u64,
    started: Instant,
}

impl Chunk {
    /// `key_places`: where the key's columns stand in a row, in key order.
    pub fn new(schema: Arc<TableSchema>, key_places: Vec<usize>) -> Self {
        Self {
            plan: TablePlan::new(schema),
            encoder: ChunkEncoder::default(),
            last_row_key: vec![Vec::new(); key_places.len()],
            key_places,
            rows: 0,
            bytes: 0,
            started: Instant::now(),
        }
    }

    /// # Errors
    /// [`Fault::Protocol`] and [`Fault::Cell`] for a row that is not what the table's shape says.
    pub fn add(&mut self, row: DataRow<'_>) -> Result<(), Fault> {
        let unreadable = |error: CellError| CellError { row: self.plan.named(row.cells()), ..error };
        self.encoder.read(&self.plan, self.rows, row.columns(), row.cells()).map_err(unreadable)?;
        for (key, place) in self.last_row_key.iter_mut().zip(&self.key_places) {
            let cell = row.cells().nth(*place).flatten().ok_or(Fault::Protocol("a row without its key"))?;
            key.clear();
            key.extend_from_slice(cell);
        }
        self.rows += 1;
        self.bytes += row.bytes() as u64;
        Ok(())
    }

    /// What is to be journaled before more is read.
    pub fn take_full(&mut self) -> Option<Bytes> {
        // One more row may be as large as the last; a body's bound holds but for a single larger change.
        (self.encoder.len() >= CHUNK_BYTES_MAX / 2).then(|| self.encoder.take())
    }

    pub fn take_rest(&mut self) -> Option<Bytes> {
        (!self.encoder.is_empty()).then(|| self.encoder.take())
    }

    /// Of the last row, in key order.
    ///
    /// # Errors
    /// [`Fault::Protocol`] when it is not text.
    pub fn last_key(&self) -> Result<Vec<String>, Fault> {
        let text =
            |key: &Vec<u8>| String::from_utf8(key.clone()).map_err(|_| Fault::Protocol("a key that is not text"));
        self.last_row_key.iter().map(text).collect()
    }

    /// How many rows the next chunk should have.
    pub fn next_rows_max(&self, rows_max: u64) -> u64 {
        let by_bytes = BYTES_AIM as f64 / self.bytes.max(1) as f64;
        let by_time = TIME_AIM.as_secs_f64() / self.started.elapsed().as_secs_f64().max(0.001);
        let rows = rows_max as f64 * by_bytes.min(by_time).min(GROWTH_MAX);
        (rows as u64).clamp(ROWS_MIN, ROWS_MAX)
    }
}
