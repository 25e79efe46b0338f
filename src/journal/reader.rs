//! A reader: from the ring at the tail, from the store further back, without anyone else noticing.

use super::record::Entry;
use super::shared::Shared;
use super::stored::{LargeBody, Stored, read_ahead};
use super::tail::Transaction;
use super::{Header, ReadError};
use crate::model::position::Sequence;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Reads transactions in order. Holds no lock and no snapshot: a slow reader costs nothing.
pub struct Reader {
    shared: Arc<Shared>,
    durable: watch::Receiver<Sequence>,
    position: Sequence,
    body: Body,
    ahead: VecDeque<Stored>,
    /// A read under way. Kept here, so that a dropped `next` loses nothing.
    reading: Reading<Vec<Stored>>,
}

/// A blocking read under way, if one is.
type Reading<T> = Option<JoinHandle<Result<T, ReadError>>>;

/// Where the rest of the current transaction's chunks is.
enum Body {
    Done,
    Ring { transaction: Weak<Transaction>, entry: Entry, next: usize },
    Ahead(std::vec::IntoIter<Bytes>),
    Store(Box<InStore>),
}

struct InStore {
    /// Moves into the read and comes back with it; `None` while one is under way and after one failed.
    body: Option<LargeBody>,
    /// Chunks that were already given.
    skip: u32,
    ready: VecDeque<Bytes>,
    reading: Reading<(LargeBody, Vec<Bytes>)>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, after: Sequence) -> Self {
        let durable = shared.progress.durable.clone();
        Self { shared, durable, position: after, body: Body::Done, ahead: VecDeque::new(), reading: None }
    }

    /// The next transaction, once it is durable. Unread chunks of the one before are skipped. Cancel-safe.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn next(&mut self) -> Result<Arc<Header>, ReadError> {
        let sequence = self.position.next();
        self.durable.wait_for(|durable| *durable >= sequence).await.map_err(|_| ReadError::Closed)?;
        let mark = self.shared.progress.mark();
        if sequence <= mark.sequence {
            return Err(ReadError::Trimmed { oldest: mark.sequence.next() });
        }
        if self.ahead.is_empty()
            && self.reading.is_none()
            && let Some(transaction) = self.shared.tail.get(sequence)
        {
            let entry = transaction.entry.clone();
            let header = Arc::clone(&entry.header);
            self.start(sequence, Body::Ring { transaction: Arc::downgrade(&transaction), entry, next: 0 });
            return Ok(header);
        }
        let stored = self.next_stored().await?;
        let header = Arc::clone(&stored.entry.header);
        self.start(sequence, Body::of(stored));
        Ok(header)
    }

    /// The next chunk of the current transaction's body; `None` after the last. Cancel-safe.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ReadError> {
        if let Body::Ring { transaction, entry, next } = &mut self.body {
            if let Some(transaction) = transaction.upgrade() {
                let chunk = transaction.chunks.get(*next).cloned();
                *next = next.saturating_add(1);
                return Ok(chunk);
            }
            // The ring has moved on: the rest comes from the store.
            let skip = u32::try_from(*next).unwrap_or(u32::MAX);
            self.body = Body::Store(Box::new(InStore::new(entry.clone(), skip)));
        }
        match &mut self.body {
            Body::Ahead(chunks) => Ok(chunks.next()),
            Body::Store(stored) => stored.chunk(&self.shared).await,
            Body::Done | Body::Ring { .. } => Ok(None),
        }
    }

    /// Whether `next` would give something without waiting.
    pub fn ready(&self) -> bool {
        *self.durable.borrow() > self.position
    }

    /// The transaction last given by `next`, or what the reader started after.
    pub fn position(&self) -> Sequence {
        self.position
    }

    fn start(&mut self, sequence: Sequence, body: Body) {
        self.position = sequence;
        self.body = body;
    }

    async fn next_stored(&mut self) -> Result<Stored, ReadError> {
        loop {
            if let Some(stored) = self.ahead.pop_front() {
                return Ok(stored);
            }
            if self.reading.is_none() {
                let (shared, after, durable) = (Arc::clone(&self.shared), self.position, *self.durable.borrow());
                self.reading = Some(tokio::task::spawn_blocking(move || read_ahead(&shared, after, durable)));
            }
            self.ahead = finish(&mut self.reading).await?.into();
        }
    }
}

impl Body {
    fn of(stored: Stored) -> Self {
        match stored.chunks {
            Some(chunks) => Self::Ahead(chunks.into_iter()),
            None => Self::Store(Box::new(InStore::new(stored.entry, 0))),
        }
    }
}

impl InStore {
    fn new(entry: Entry, skip: u32) -> Self {
        Self { body: Some(LargeBody::new(entry)), skip, ready: VecDeque::new(), reading: None }
    }

    async fn chunk(&mut self, shared: &Arc<Shared>) -> Result<Option<Bytes>, ReadError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.reading.is_none() {
                if self.body.as_ref().is_some_and(LargeBody::is_done) {
                    return Ok(None);
                }
                // A body that failed to read has no end to give.
                let body = self.body.take().ok_or(ReadError::Closed)?;
                let (shared, skip) = (Arc::clone(shared), self.skip);
                self.reading = Some(tokio::task::spawn_blocking(move || body.read(&shared, skip)));
            }
            let (body, chunks) = finish(&mut self.reading).await?;
            self.body = Some(body);
            self.ready = chunks.into();
        }
    }
}

/// Waits for the read under way, and forgets it once it is done: dropped half way, it is still there.
async fn finish<T>(reading: &mut Reading<T>) -> Result<T, ReadError> {
    let Some(handle) = reading else { return Err(ReadError::Closed) };
    let read = handle.await;
    *reading = None;
    // A read only fails to end when the runtime is going away.
    read.unwrap_or(Err(ReadError::Closed))
}
