//! Notes: what is kept between transactions by whoever makes transactions of others. Names and values are theirs.
//!
//! A change of a note is durable together with the transaction that it comes with, or not at all.

use super::ReadError;
use super::error::damaged;
use super::keys;
use super::shared::Shared;
use super::store::Batch;
use std::sync::Arc;

/// A change of notes, in the order in which they were made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoteChange {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// All whose names begin so.
    DeleteAll(Vec<u8>),
}

impl NoteChange {
    pub(super) fn apply(&self, batch: &mut Batch) {
        match self {
            Self::Put(name, value) => batch.put(keys::note(name), value),
            Self::Delete(name) => batch.delete(keys::note(name)),
            Self::DeleteAll(prefix) => {
                let from = keys::note(prefix);
                batch.delete_range(&from, keys::after_prefix(&from));
            }
        }
    }
}

/// A note's name and its value.
pub type Note = (Vec<u8>, Vec<u8>);

/// Reads notes, those that are durable. Blocking.
#[derive(Clone)]
pub struct Notes(Arc<Shared>);

impl Notes {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// # Errors
    /// [`ReadError`].
    pub fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let store = self.0.store.load_full().ok_or(ReadError::Closed)?;
        store.get(keys::note(name)).map_err(|error| ReadError::Damaged(damaged(error)))
    }

    /// The next notes whose names begin with `prefix`, behind `after`, in the order of their names; at most `max`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn list(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Note>, ReadError> {
        let store = self.0.store.load_full().ok_or(ReadError::Closed)?;
        let first = keys::note(prefix);
        let from = after.map_or_else(|| first.clone(), |after| [&keys::note(after)[..], &[0]].concat());
        let mut records = store.records(&from, &keys::after_prefix(&first));
        let mut found = Vec::new();
        while found.len() < max {
            let Some((key, value)) = records.item() else { break };
            found.extend(keys::note_name(key).map(|name| (name.to_vec(), value.to_vec())));
            records.next();
        }
        records.status().map_err(|error| ReadError::Damaged(damaged(error)))?;
        Ok(found)
    }
}
