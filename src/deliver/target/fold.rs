//! The net effect of many changes: for each key what its row is in the end. Pure.
//!
//! Changes of one key become one write, in any order with those of other keys: a table of the target has no constraint but
//! its key. What cannot be folded (a key that moves, a key whose equality we cannot see) is a step of its own, before and after
//! which a new fold starts; see `plan`.

use crate::model::position::Sequence;
use crate::model::time::UnixMicros;
use crate::wire::fields::Malformed;
use crate::wire::row::merge;
use bytes::Bytes;
use std::collections::HashMap;

/// Which transaction a row is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub sequence: Sequence,
    pub committed_at: UnixMicros,
}

/// A row as it is after a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    pub row: Bytes,
    /// Numbers of the fields that it lacks because they stay as they are.
    pub unchanged: Vec<u32>,
    pub stamp: Stamp,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    Put {
        image: Image,
        /// The target has no row of that key yet, unless somebody put it there.
        fresh: bool,
    },
    /// The key's fields, at least.
    Delete { row: Bytes },
}

/// What a rough count gives for an entry beside its row.
const ENTRY_BYTES: usize = 160;

#[derive(Default, Debug)]
pub struct Fold {
    effects: HashMap<Vec<u8>, Effect>,
    bytes: usize,
}

impl Fold {
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// Of memory, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn into_effects(self) -> impl Iterator<Item = Effect> {
        self.effects.into_values()
    }

    /// A row that was not there before: an insert, or a row that a copy read.
    pub fn insert(&mut self, key: Vec<u8>, image: Image) {
        let fresh = match self.effects.get(&key) {
            None => true,
            Some(Effect::Put { fresh, .. }) => *fresh,
            Some(Effect::Delete { .. }) => false,
        };
        self.put(key, Effect::Put { image, fresh });
    }

    /// # Errors
    /// [`Malformed`].
    pub fn update(&mut self, key: Vec<u8>, image: Image) -> Result<(), Malformed> {
        let effect = match self.effects.get(&key) {
            Some(Effect::Put { image: before, fresh }) => {
                let (row, unchanged) = merge(&image.row, &image.unchanged, &before.row, &before.unchanged)?;
                Effect::Put { image: Image { row, unchanged, stamp: image.stamp }, fresh: *fresh }
            }
            Some(Effect::Delete { .. }) | None => Effect::Put { image, fresh: false },
        };
        self.put(key, effect);
        Ok(())
    }

    pub fn delete(&mut self, key: Vec<u8>, row: Bytes) {
        self.put(key, Effect::Delete { row });
    }

    fn put(&mut self, key: Vec<u8>, effect: Effect) {
        // What is replaced stays counted: its bytes are part of a chunk that others may still hold.
        self.bytes += key.len() + effect.row().len() + ENTRY_BYTES;
        self.effects.insert(key, effect);
    }
}

impl Effect {
    fn row(&self) -> &Bytes {
        match self {
            Self::Put { image, .. } => &image.row,
            Self::Delete { row } => row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::varint::{put_number, zigzag};

    fn image(fields: &[(u32, i64)], unchanged: &[u32], sequence: u64) -> Image {
        let mut row = Vec::new();
        fields.iter().for_each(|(number, value)| put_number(&mut row, *number, zigzag(*value)));
        let stamp = Stamp { sequence: Sequence(sequence), committed_at: UnixMicros(0) };
        Image { row: row.into(), unchanged: unchanged.to_vec(), stamp }
    }

    fn key() -> Vec<u8> {
        b"k".to_vec()
    }

    fn only(fold: Fold) -> Effect {
        fold.into_effects().next().expect("one")
    }

    #[test]
    fn an_insert_and_its_updates_are_one_fresh_row() {
        let mut fold = Fold::default();
        fold.insert(key(), image(&[(1, 1), (2, 5)], &[], 1));
        fold.update(key(), image(&[(1, 1), (3, 7)], &[2], 2)).expect("well formed");
        let expected = image(&[(1, 1), (3, 7), (2, 5)], &[], 2);
        assert_eq!(only(fold), Effect::Put { image: expected, fresh: true });
    }

    #[test]
    fn updates_alone_keep_what_none_of_them_touched_unchanged() {
        let mut fold = Fold::default();
        fold.update(key(), image(&[(1, 1), (2, 5)], &[3, 4], 1)).expect("well formed");
        fold.update(key(), image(&[(1, 1), (4, 8)], &[2, 3], 2)).expect("well formed");
        let expected = image(&[(1, 1), (4, 8), (2, 5)], &[3], 2);
        assert_eq!(only(fold), Effect::Put { image: expected, fresh: false });
    }

    #[test]
    fn a_delete_ends_it_and_an_insert_after_it_meets_a_row_that_is_there() {
        let mut fold = Fold::default();
        fold.update(key(), image(&[(1, 1)], &[], 1)).expect("well formed");
        fold.delete(key(), Bytes::from_static(b"k"));
        assert_eq!(fold.effects.len(), 1);
        fold.insert(key(), image(&[(1, 1)], &[], 3));
        assert_eq!(only(fold), Effect::Put { image: image(&[(1, 1)], &[], 3), fresh: false });
    }
}
