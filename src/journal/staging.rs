//! Transactions that are still open: their chunks wait in memory a little, and are written ahead beyond that.
//!
//! A body that is written ahead is marked as staged; nobody sees it until a header points at it, and an open of the
//! journal deletes it if none does. What waits in memory keeps its part of the queue's budget.

use super::chain::BodyHash;
use super::keys::{self, BodyId};
use super::record::write_number;
use super::store::{Batch, Store};
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

/// Chunks that wait in memory, all open transactions together.
const HELD_BYTES_MAX: usize = 1024 * 1024;
/// Body ids are reserved this many at a time.
const RESERVED_IDS: u64 = 1 << 20;

/// How much of the queue's budget may wait with open transactions.
pub(super) fn held_bytes_max(queue_bytes_max: usize) -> usize {
    HELD_BYTES_MAX.min(queue_bytes_max.div_euclid(4))
}

/// Gives body ids. What is reserved is on disk no later than the first chunk under such an id, so none is given twice.
pub(super) struct BodyIds {
    next: u64,
    reserved: u64,
}

impl BodyIds {
    /// Ids up to `used` were, or may have been, given.
    pub(super) fn after(used: u64) -> Self {
        Self { next: used.saturating_add(1), reserved: used }
    }

    fn take(&mut self, batch: &mut Batch) -> BodyId {
        let id = self.next;
        self.next = id.saturating_add(1);
        if id > self.reserved {
            self.reserved = id.saturating_add(RESERVED_IDS);
            batch.put(keys::BODY_IDS, write_number(self.reserved));
        }
        BodyId(id)
    }
}

/// One open transaction.
pub(super) struct Open {
    body: Option<BodyId>,
    hash: BodyHash,
    bytes: u64,
    chunks: u32,
    held: Vec<(Bytes, Option<OwnedSemaphorePermit>)>,
    held_bytes: usize,
    written: u32,
    /// All chunks so far, for the ring; `None` once they are too many.
    recent: Option<Vec<Bytes>>,
}

/// A body that is complete in a batch.
pub(super) struct Complete {
    pub body: BodyId,
    pub hash: super::chain::Hash,
    pub bytes: u64,
    pub chunks: u32,
    pub recent: Option<Vec<Bytes>>,
}

impl Open {
    pub(super) fn new() -> Self {
        Self {
            body: None,
            hash: BodyHash::new(),
            bytes: 0,
            chunks: 0,
            held: Vec::new(),
            held_bytes: 0,
            written: 0,
            recent: Some(Vec::new()),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(super) fn is_staged(&self) -> bool {
        self.written > 0
    }

    pub(super) fn add(&mut self, chunk: Bytes, permit: Option<OwnedSemaphorePermit>, recent_bytes_max: usize) {
        self.hash.update(&chunk);
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        self.chunks = self.chunks.saturating_add(1);
        if self.bytes > recent_bytes_max as u64 {
            self.recent = None;
        }
        if let Some(recent) = &mut self.recent {
            recent.push(chunk.clone());
        }
        self.held_bytes = self.held_bytes.saturating_add(chunk.len());
        self.held.push((chunk, permit));
    }

    /// Writes ahead what waits.
    pub(super) fn stage(&mut self, store: &Store, batch: &mut Batch, ids: &mut BodyIds) {
        let marked = self.is_staged();
        let body = self.write_held(store, batch, ids);
        if !marked {
            batch.put(keys::staged(body), write_number(body.0));
        }
    }

    /// Writes the rest of the body and forgets that it was staged.
    pub(super) fn complete(mut self, store: &Store, batch: &mut Batch, ids: &mut BodyIds) -> Complete {
        if self.is_staged()
            && let Some(body) = self.body
        {
            batch.delete(keys::staged(body));
        }
        let body = if self.chunks == 0 { BodyId(0) } else { self.write_held(store, batch, ids) };
        let hash = self.hash.finish();
        Complete { body, hash, bytes: self.bytes, chunks: self.chunks, recent: self.recent }
    }

    /// Deletes what was written ahead.
    pub(super) fn abandon(self, store: &Store, batch: &mut Batch) {
        if self.is_staged()
            && let Some(body) = self.body
        {
            store.delete_bodies(batch, body, body);
            batch.delete(keys::staged(body));
        }
    }

    fn write_held(&mut self, store: &Store, batch: &mut Batch, ids: &mut BodyIds) -> BodyId {
        let body = *self.body.get_or_insert_with(|| ids.take(batch));
        for (chunk, permit) in self.held.drain(..) {
            store.put_chunk(batch, body, self.written, &chunk);
            self.written = self.written.saturating_add(1);
            drop(permit);
        }
        self.held_bytes = 0;
        body
    }
}
