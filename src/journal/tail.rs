//! The ring of recent transactions: what readers at the tail are served from, without touching RocksDB.
//!
//! Bounded in bytes. Readers hold weak references only, so that a slow reader keeps nothing alive; it goes on from the
//! store where the ring has moved on. A transaction too large for the ring is simply not in it.

use super::record::Entry;
use crate::model::position::Sequence;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

/// A transaction in the ring also costs its header and bookkeeping.
const OVERHEAD_BYTES: usize = 512;
/// No transaction takes more than this part of the ring.
const PART: usize = 8;

pub(super) struct Transaction {
    pub entry: Entry,
    pub chunks: Vec<Bytes>,
}

pub(super) struct Tail {
    ring: RwLock<Ring>,
    bytes_max: usize,
}

#[derive(Default)]
struct Ring {
    /// Dense: the sequence of the first slot, then one slot a sequence; empty slots are transactions that were too large.
    first: Sequence,
    slots: VecDeque<Option<Arc<Transaction>>>,
    bytes: usize,
}

impl Tail {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { ring: RwLock::default(), bytes_max }
    }

    /// What a transaction may have in bodies to be kept.
    pub(super) fn transaction_bytes_max(&self) -> usize {
        self.bytes_max.div_euclid(PART)
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<Arc<Transaction>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let slot = usize::try_from(sequence.0.checked_sub(ring.first.0)?).ok()?;
        ring.slots.get(slot)?.clone()
    }

    /// Adds the next transactions, in order and without a gap; forgets the oldest beyond the bound.
    pub(super) fn push(&self, newest: impl IntoIterator<Item = (Sequence, Option<Transaction>)>) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        for (sequence, transaction) in newest {
            if ring.slots.is_empty() {
                ring.first = sequence;
            }
            ring.bytes = ring.bytes.saturating_add(cost(transaction.as_ref()));
            ring.slots.push_back(transaction.map(Arc::new));
        }
        while ring.bytes > self.bytes_max {
            let Some(oldest) = ring.slots.pop_front() else { break };
            ring.bytes = ring.bytes.saturating_sub(cost(oldest.as_deref()));
            ring.first = ring.first.next();
        }
    }
}

fn cost(transaction: Option<&Transaction>) -> usize {
    let body: usize = transaction.map_or(0, |transaction| transaction.chunks.iter().map(Bytes::len).sum());
    body.saturating_add(OVERHEAD_BYTES)
}
