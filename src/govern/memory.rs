//! Notes as they are read and written while transactions are governed: what is durable, under what is not yet.

use super::Fault;
use crate::journal::{Note, NoteChange, Notes};
use std::collections::BTreeMap;

/// How many notes one look at the store brings up.
const PAGE: usize = 1_000;

pub struct Memory {
    durable: Notes,
    /// Not durable yet: all of it is newer than the store. `None`: deleted.
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    pending_bytes: usize,
    /// Since the last [`Memory::take`].
    changed: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Memory {
    pub fn new(durable: Notes) -> Self {
        Self { durable, pending: BTreeMap::new(), pending_bytes: 0, changed: BTreeMap::new() }
    }

    pub fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.pending.get(name) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.durable.get(name)?),
        }
    }

    pub fn put(&mut self, name: Vec<u8>, value: Vec<u8>) {
        self.set(name, Some(value));
    }

    pub fn delete(&mut self, name: Vec<u8>) {
        self.set(name, None);
    }

    fn set(&mut self, name: Vec<u8>, value: Option<Vec<u8>>) {
        self.pending_bytes += 2 * (name.len() + value.as_ref().map_or(0, Vec::len)) + 128;
        self.changed.insert(name.clone(), value.clone());
        self.pending.insert(name, value);
    }

    /// All notes whose names begin so, in the order of their names.
    pub fn list(&self, prefix: &[u8]) -> Result<Vec<Note>, Fault> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|(name, _): &Note| name.clone());
            let page = self.page(prefix, after.as_deref())?;
            let Some(page) = page else { return Ok(all) };
            all.extend(page);
        }
    }

    /// The next notes behind `after`; never empty.
    pub fn page(&self, prefix: &[u8], after: Option<&[u8]>) -> Result<Option<Vec<Note>>, Fault> {
        let mut after = after.map(<[u8]>::to_vec);
        loop {
            let stored = self.durable.list(prefix, after.as_deref(), PAGE)?;
            // Beyond a full page nothing is known yet.
            let upto = if stored.len() < PAGE { None } else { stored.last().map(|(name, _)| name.clone()) };
            let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
            for (name, value) in self.pending_from(prefix, after.as_deref()) {
                if upto.as_ref().is_some_and(|upto| name > upto) {
                    break;
                }
                match value {
                    Some(value) => merged.insert(name.clone(), value.clone()),
                    None => merged.remove(name),
                };
            }
            if !merged.is_empty() {
                return Ok(Some(merged.into_iter().collect()));
            }
            if upto.is_none() {
                return Ok(None);
            }
            after = upto;
        }
    }

    fn pending_from<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)> {
        let from = match after {
            Some(after) => std::ops::Bound::Excluded(after.to_vec()),
            None => std::ops::Bound::Included(prefix.to_vec()),
        };
        let all = self.pending.range::<Vec<u8>, _>((from, std::ops::Bound::Unbounded));
        all.take_while(move |(name, _)| name.starts_with(prefix))
    }

    /// What changed since the last time, to become durable.
    pub fn take(&mut self) -> Vec<NoteChange> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let change = |(name, value)| match value {
            Some(value) => NoteChange::Put(name, value),
            None => NoteChange::Delete(name),
        };
        changed.map(change).collect()
    }

    /// About as much as is held for what is not durable.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Everything that was taken is durable.
    pub fn settle(&mut self) {
        debug_assert!(self.changed.is_empty(), "what was not taken would be forgotten");
        self.pending.clear();
        self.pending_bytes = 0;
    }
}
