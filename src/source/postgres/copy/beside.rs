//! A table whose rows have no order to read them in: one piece, read beside the stream, which goes on meanwhile.
//!
//! The copy's `Begin` stands exactly where the snapshot belongs, and the stream is let go from there. What comes behind the
//! `Begin` is added to what the snapshot sees, so its rows may be journaled at any later place, as long as nothing but new
//! rows has come in between. Of most tables without a key nothing else can come: an update or delete is not in the stream,
//! and a truncation waits for our lock. Where one comes all the same (`REPLICA IDENTITY FULL`), [`Watch`] tells, and the
//! copy begins again, this time with the stream held to its end.

use super::chunk::Chunk;
use super::gate::{Place, Request};
use super::stand::Standing;
use super::{Trouble, Worker};
use crate::journal::CopyRecord;
use crate::source::postgres::simple_query::Connection;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows that wait for their place, in chunks of the journal: some megabytes.
const CHUNKS_AT_ONCE: usize = 16;
const LONG_TRANSACTION: &str = "the stream, which is in the middle of a large transaction";

/// The stream's word that a row of the relation was changed or has gone since the watch began.
#[derive(Clone)]
pub struct Watch {
    relation: u32,
    told: Arc<AtomicBool>,
}

impl Watch {
    pub fn on(relation: u32) -> Self {
        Self { relation, told: Arc::default() }
    }

    /// An update, a delete or a truncation has come.
    pub fn saw(&self, relation: u32) {
        if self.relation == relation {
            self.told.store(true, Ordering::Relaxed);
        }
    }

    /// True only for what the stream holds now: it has to stand still.
    fn has_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }
}

impl Worker {
    /// From the place of `standing`, where the copy has begun. The stream stands behind the last rows afterwards; gives these.
    /// `None`: rows of the table have changed meanwhile, and the copy is worth nothing.
    pub(super) async fn read_beside(
        &mut self,
        connection: &mut Connection,
        standing: &Standing,
        record: &mut CopyRecord,
    ) -> Result<Option<Chunk>, Trouble> {
        let watch = Watch::on(standing.locked.oid);
        self.knocker.send(Request::Watch(watch.clone())).await?;
        self.knocker.send(Request::Release).await?;
        let empty = || Chunk::new(Arc::clone(&standing.schema), Vec::new());
        let (mut chunk, mut waiting) = (empty(), Vec::new());
        connection.start(&standing.locked.rows()).await?;
        while let Some(row) = self.next_row(connection, &record.table).await? {
            chunk.add(row)?;
            let Some(full) = chunk.take_full() else { continue };
            waiting.push(full);
            if waiting.len() >= CHUNKS_AT_ONCE {
                if !self.place(standing, record, &watch, &chunk, std::mem::take(&mut waiting)).await? {
                    return Ok(None);
                }
                self.knocker.send(Request::Release).await?;
                chunk = empty();
            }
        }
        waiting.extend(chunk.take_rest());
        let placed = self.place(standing, record, &watch, &chunk, waiting).await?;
        Ok(placed.then_some(chunk))
    }

    /// Journals rows where the stream is now, and leaves it standing there; false when that is too late.
    async fn place(
        &mut self,
        standing: &Standing,
        record: &mut CopyRecord,
        watch: &Watch,
        chunk: &Chunk,
        full: Vec<Bytes>,
    ) -> Result<bool, Trouble> {
        self.told(&record.table, LONG_TRANSACTION, self.knocker.hold(Place::Here)).await?;
        if watch.has_told() {
            return Ok(false);
        }
        for full in full {
            self.knocker.send(Request::Chunk(full)).await?;
        }
        if chunk.rows > 0 {
            self.rows(record, standing, chunk, Vec::new()).await?;
        }
        Ok(true)
    }
}
