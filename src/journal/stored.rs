//! Reading from the store: transactions ahead of a reader, and the bodies that are too large to read ahead.
//!
//! Blocking, bounded, and checked: each header against the chain, each body against its header's hash. A large body's
//! last chunk is given only once all of it has hashed right, so nobody sees the end of a damaged transaction.

use super::ReadError;
use super::chain::{self, BodyHash, Hash, link};
use super::error::{damaged, unreadable};
use super::keys::{self, BodyId};
use super::record::{Entry, split_entry};
use super::shared::{Progress, Shared};
use super::store::Store;
use crate::model::position::{History, Sequence};
use bytes::Bytes;
use rocksdb::DBRawIterator;
use std::sync::Arc;

/// What one read brings up, about.
const READ_BYTES: u64 = 1024 * 1024;
const READ_TRANSACTIONS: usize = 4096;

/// A transaction as the store has it.
pub(super) struct Stored {
    pub entry: Entry,
    /// All chunks, already checked; `None` when the body is too large to read ahead.
    pub chunks: Option<Vec<Bytes>>,
}

/// The transactions after `after`, as far as one read goes.
pub(super) fn read_ahead(shared: &Shared, after: Sequence, durable: Sequence) -> Result<Vec<Stored>, ReadError> {
    let store = shared.store.load_full().ok_or(ReadError::Closed)?;
    let reading = Reading { store, progress: &shared.progress };
    let mut previous = reading.hash(after)?;
    let (from, to) = (keys::header(after.next()), keys::header(durable.next()));
    let mut headers = reading.store.records(&from, &to);
    let mut bodies = reading.store.bodies();
    let mut read = Vec::new();
    let (mut expected, mut bytes) = (after.next(), 0_u64);
    while expected <= durable && bytes < READ_BYTES && read.len() < READ_TRANSACTIONS {
        let value = headers.value().filter(|_| headers.key() == Some(&keys::header(expected)));
        let value = value.ok_or_else(|| reading.missing(expected, "its header is missing"))?;
        let (entry, hash) = checked(expected, &previous, value).map_err(|what| reading.missing(expected, what))?;
        bytes = bytes.saturating_add(entry.header.bytes).saturating_add(value.len() as u64);
        let small = entry.header.bytes <= READ_BYTES;
        let chunks = if small { Some(reading.small_body(&mut bodies, &entry)?) } else { None };
        read.push(Stored { entry, chunks });
        previous = hash;
        expected = expected.next();
        headers.next();
    }
    Ok(read)
}

/// See [`super::Journal::history`].
pub(super) fn history(shared: &Shared, sequence: Sequence) -> Result<History, ReadError> {
    let store = shared.store.load_full().ok_or(ReadError::Closed)?;
    let hash = Reading { store, progress: &shared.progress }.hash(sequence)?;
    Ok(chain::history(&hash))
}

/// A large body, part by part.
pub(super) struct LargeBody {
    entry: Entry,
    next: u32,
    hash: BodyHash,
}

impl LargeBody {
    pub(super) fn new(entry: Entry) -> Self {
        Self { entry, next: 0, hash: BodyHash::new() }
    }

    /// The next chunks from number `skip` on; none after the last. Those before are hashed, not given.
    pub(super) fn read(mut self, shared: &Shared, skip: u32) -> Result<(Self, Vec<Bytes>), ReadError> {
        let store = shared.store.load_full().ok_or(ReadError::Closed)?;
        let reading = Reading { store, progress: &shared.progress };
        let mut bodies = reading.store.bodies();
        let mut chunks = Vec::new();
        let mut bytes = 0_u64;
        while self.next < self.entry.header.chunks && bytes < READ_BYTES {
            let chunk = reading.chunk(&mut bodies, &self.entry, self.next)?;
            self.hash.update(&chunk);
            if self.next >= skip {
                bytes = bytes.saturating_add(chunk.len() as u64);
                chunks.push(chunk);
            }
            self.next = self.next.saturating_add(1);
        }
        if self.next == self.entry.header.chunks {
            let hash = std::mem::replace(&mut self.hash, BodyHash::new()).finish();
            reading.expect_hash(&self.entry, hash)?;
        }
        Ok((self, chunks))
    }

    pub(super) fn is_done(&self) -> bool {
        self.next >= self.entry.header.chunks
    }
}

struct Reading<'a> {
    store: Arc<Store>,
    progress: &'a Progress,
}

impl Reading<'_> {
    /// The chain's hash at `sequence`. The header first, then the mark: the mark is raised before headers go, so a header
    /// that is not there is explained by the mark as it is afterwards, and not by the one before.
    fn hash(&self, sequence: Sequence) -> Result<Hash, ReadError> {
        let value = self.store.get(keys::header(sequence)).map_err(|error| self.missing(sequence, error))?;
        let Some(value) = value else {
            let mark = self.progress.mark();
            let at_mark = (sequence == mark.sequence).then_some(mark.hash);
            return at_mark.ok_or_else(|| self.missing(sequence.next(), "the header before it is missing"));
        };
        split_entry(&value).map(|(hash, _)| hash).map_err(|why| self.missing(sequence, why))
    }

    fn small_body(&self, bodies: &mut DBRawIterator<'_>, entry: &Entry) -> Result<Vec<Bytes>, ReadError> {
        let chunks = (0..entry.header.chunks).map(|number| self.chunk(bodies, entry, number));
        let chunks = chunks.collect::<Result<Vec<_>, _>>()?;
        let mut hash = BodyHash::new();
        chunks.iter().for_each(|chunk| hash.update(chunk));
        self.expect_hash(entry, hash.finish())?;
        Ok(chunks)
    }

    fn chunk(&self, bodies: &mut DBRawIterator<'_>, entry: &Entry, number: u32) -> Result<Bytes, ReadError> {
        let sequence = entry.header.sequence;
        move_to(bodies, entry.body, number);
        bodies.status().map_err(|error| self.missing(sequence, error))?;
        let value = bodies.value().filter(|_| bodies.key() == Some(&keys::body(entry.body, number)));
        let value =
            value.ok_or_else(|| self.missing(sequence, format_args!("chunk {number} of its body is missing")))?;
        Ok(Bytes::copy_from_slice(value))
    }

    fn expect_hash(&self, entry: &Entry, hash: Hash) -> Result<(), ReadError> {
        if hash == entry.body_hash {
            return Ok(());
        }
        Err(self.missing(entry.header.sequence, "its body does not hash to what its header says"))
    }

    /// What it means that `sequence` is not there as it should be.
    fn missing(&self, sequence: Sequence, what: impl std::fmt::Display) -> ReadError {
        let mark = self.progress.mark();
        if sequence <= mark.sequence {
            return ReadError::Trimmed { oldest: mark.sequence.next() };
        }
        ReadError::Damaged(damaged(format_args!("transaction {sequence}: {what}")))
    }
}

/// Reads a header's value and checks it against the chain.
pub(super) fn checked(expected: Sequence, previous: &Hash, value: &[u8]) -> Result<(Entry, Hash), String> {
    let (hash, fields) = split_entry(value).map_err(|why| unreadable("its header", why).message)?;
    if link(previous, fields) != hash {
        return Err("its header does not hash to what the chain says".to_owned());
    }
    let entry = Entry::read(&hash, fields).map_err(|why| unreadable("its header", why).message)?;
    if entry.header.sequence != expected {
        return Err(format!("its header is that of {}", entry.header.sequence));
    }
    Ok((entry, hash))
}

/// Bodies mostly follow one another, so one step is tried before a seek.
fn move_to(bodies: &mut DBRawIterator<'_>, body: BodyId, chunk: u32) {
    let key = keys::body(body, chunk);
    if bodies.valid() {
        bodies.next();
    }
    if bodies.key() != Some(&key) {
        bodies.seek(key);
    }
}
