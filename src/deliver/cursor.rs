//! The resume token: where a subscription has come to, sealed so that only this journal's own are taken back.
//!
//! Layout before base64url without padding, 66 bytes, integers big-endian:
//!
//! ```text
//! version:1 | epoch:16 | sequence:8 | phase:1 | ordinal:8 | HMAC-SHA256 of all before it, by the journal's key:32
//! ```
//!
//! Surprise: the epoch stands in the clear and is looked at before the seal. Another journal's cursor cannot carry our
//! seal, and its owner must hear "resume point gone", not "garbled".

use crate::journal::{Bounds, Journal};
use crate::model::position::{Epoch, Sequence};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

const VERSION: u8 = 1;
const EPOCH: usize = 16;
const SEALED: usize = 1 + EPOCH + 8 + 1 + 8;
const TAG: usize = 32;
const BYTES: usize = SEALED + TAG;

/// The phase after a transaction's table changes; later phases follow it within the same sequence.
const PHASE_TABLES: u8 = 0;

/// A place in this journal: resuming continues strictly after the whole of this transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cursor(pub Sequence);

/// Why text is not a cursor to go on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CursorError {
    #[error("the cursor is not one that this journal gave out")]
    Unreadable,
    #[error("the cursor belongs to journal {theirs}, this is journal {ours}")]
    OtherJournal { ours: Epoch, theirs: Epoch },
}

/// Why a readable place cannot be gone on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Gone {
    #[error("everything up to sequence {0} was asked to be known, but the journal starts at sequence {1} now")]
    Trimmed(Sequence, Sequence),
    #[error("sequence {0} lies beyond the newest durable one, {1}: this may be an older backup of the journal")]
    Ahead(Sequence, Sequence),
}

impl Cursor {
    /// Whether every transaction after it is still held.
    ///
    /// # Errors
    /// `Gone`.
    pub fn check(self, bounds: Bounds) -> Result<(), Gone> {
        if self.0 > bounds.durable {
            Err(Gone::Ahead(self.0, bounds.durable))
        } else if self.0.next() < bounds.oldest {
            Err(Gone::Trimmed(self.0, bounds.oldest))
        } else {
            Ok(())
        }
    }
}

/// Seals and opens one journal's cursors. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    epoch: Epoch,
    key: hmac::Key,
}

impl Sealer {
    pub fn of(journal: &Journal) -> Self {
        Self::new(journal.epoch(), journal.seal_key())
    }

    fn new(epoch: Epoch, key: &[u8; 32]) -> Self {
        Self { epoch, key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    pub fn seal(&self, cursor: Cursor) -> String {
        let mut bytes = [0; BYTES];
        let (sealed, tag) = bytes.split_at_mut(SEALED);
        sealed[0] = VERSION;
        sealed[1..=EPOCH].copy_from_slice(&self.epoch.0);
        sealed[1 + EPOCH..][..8].copy_from_slice(&cursor.0.0.to_be_bytes());
        sealed[1 + EPOCH + 8] = PHASE_TABLES;
        tag.copy_from_slice(hmac::sign(&self.key, sealed).as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// # Errors
    /// [`CursorError`].
    pub fn open(&self, text: &str) -> Result<Cursor, CursorError> {
        let mut bytes = [0; BYTES];
        if text.len() > BYTES * 2 || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(BYTES) || bytes[0] != VERSION
        {
            return Err(CursorError::Unreadable);
        }
        let (sealed, tag) = bytes.split_at(SEALED);
        let theirs = Epoch(sealed[1..=EPOCH].try_into().map_err(|_| CursorError::Unreadable)?);
        if theirs != self.epoch {
            return Err(CursorError::OtherJournal { ours: self.epoch, theirs });
        }
        hmac::verify(&self.key, sealed, tag).map_err(|_| CursorError::Unreadable)?;
        let sequence = sealed[1 + EPOCH..][..8].try_into().map_err(|_| CursorError::Unreadable)?;
        Ok(Cursor(Sequence(u64::from_be_bytes(sequence))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(epoch: u8, key: u8) -> Sealer {
        Sealer::new(Epoch([epoch; 16]), &[key; 32])
    }

    #[test]
    fn a_cursor_opens_to_what_was_sealed() {
        for sequence in [0, 1, 77, u64::MAX] {
            let cursor = Cursor(Sequence(sequence));
            assert_eq!(sealer(1, 1).open(&sealer(1, 1).seal(cursor)), Ok(cursor));
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let good = sealer(1, 1).seal(Cursor(Sequence(9)));
        for at in 0..good.len() {
            let mut forged = good.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("still ASCII");
            assert!(sealer(1, 1).open(&forged).is_err(), "character {at}");
        }
        for garbled in ["", "x", &good[1..], &format!("{good}A"), &format!("{good}="), &"A".repeat(10_000)] {
            assert_eq!(sealer(1, 1).open(garbled), Err(CursorError::Unreadable));
        }
    }

    #[test]
    fn another_journals_cursor_is_told_from_a_garbled_one() {
        let foreign = sealer(2, 2).seal(Cursor(Sequence(9)));
        assert!(matches!(sealer(1, 1).open(&foreign), Err(CursorError::OtherJournal { .. })));
        let forged = sealer(1, 2).seal(Cursor(Sequence(9)));
        assert_eq!(sealer(1, 1).open(&forged), Err(CursorError::Unreadable));
    }

    #[test]
    fn a_place_is_gone_when_something_after_it_is_missing() {
        let bounds = Bounds { oldest: Sequence(5), durable: Sequence(8) };
        for (sequence, fits) in [(3, false), (4, true), (5, true), (8, true), (9, false)] {
            assert_eq!(Cursor(Sequence(sequence)).check(bounds).is_ok(), fits, "{sequence}");
        }
        let empty = Bounds { oldest: Sequence(1), durable: Sequence::ZERO };
        assert!(Cursor(Sequence::ZERO).check(empty).is_ok());
    }
}
