//! The resume token: where a subscription has come to, sealed so that only this journal's own are taken back.
//!
//! Layout before base64url without padding, 82 bytes, integers big-endian:
//!
//! ```text
//! version:1 | epoch:16 | sequence:8 | phase:1 | ordinal:8 | history:16 | HMAC-SHA256 of all before it, by the journal's key:32
//! ```
//!
//! Version 1 has no history: what it stands for is known to this journal by its number alone, as it was then.
//! Surprise: the epoch stands in the clear and is looked at before the seal. Another journal's cursor cannot carry our
//! seal, and its owner must hear "resume point gone", not "garbled".

use crate::journal::{Bounds, Journal};
use crate::model::position::{Epoch, History, Reached, Sequence};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

const WITHOUT_HISTORY: u8 = 1;
const VERSION: u8 = 2;
const EPOCH: usize = 16;
const SEALED_WITHOUT_HISTORY: usize = 1 + EPOCH + 8 + 1 + 8;
const SEALED: usize = SEALED_WITHOUT_HISTORY + 16;
const TAG: usize = 32;
const BYTES: usize = SEALED + TAG;

/// The phase after a transaction's table changes; later phases follow it within the same sequence.
const PHASE_TABLES: u8 = 0;

/// A place in this journal: resuming continues strictly after the whole of this transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor(pub Reached);

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
    #[error(
        "up to sequence {0} the journal held other transactions: an older copy of it was put back, and has grown again"
    )]
    OtherHistory(Sequence),
}

impl Gone {
    /// Whether it shows that the reader has followed something else than this journal.
    pub fn is_of_elsewhere(&self) -> bool {
        match self {
            Self::Trimmed(..) => false,
            Self::Ahead(..) | Self::OtherHistory(_) => true,
        }
    }
}

impl Cursor {
    /// Whether every transaction after it is still held.
    ///
    /// # Errors
    /// `Gone`.
    pub fn check(self, bounds: Bounds) -> Result<(), Gone> {
        let sequence = self.0.sequence;
        if sequence > bounds.durable {
            Err(Gone::Ahead(sequence, bounds.durable))
        } else if sequence.next() < bounds.oldest {
            Err(Gone::Trimmed(sequence, bounds.oldest))
        } else {
            Ok(())
        }
    }

    /// The same place, known by the journal's own history there.
    ///
    /// # Errors
    /// `Gone::OtherHistory`.
    pub fn check_history(self, ours: History) -> Result<Self, Gone> {
        let Reached { sequence, history } = self.0;
        match history {
            Some(theirs) if theirs != ours => Err(Gone::OtherHistory(sequence)),
            _ => Ok(Self(Reached { sequence, history: Some(ours) })),
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

    pub fn seal(&self, Cursor(Reached { sequence, history }): Cursor) -> String {
        let (version, length) = match history {
            Some(_) => (VERSION, SEALED),
            None => (WITHOUT_HISTORY, SEALED_WITHOUT_HISTORY),
        };
        let mut bytes = [0; BYTES];
        let (sealed, tag) = bytes.split_at_mut(length);
        sealed[0] = version;
        sealed[1..=EPOCH].copy_from_slice(&self.epoch.0);
        sealed[1 + EPOCH..][..8].copy_from_slice(&sequence.0.to_be_bytes());
        sealed[1 + EPOCH + 8] = PHASE_TABLES;
        if let Some(history) = history {
            sealed[SEALED_WITHOUT_HISTORY..].copy_from_slice(&history.0);
        }
        tag[..TAG].copy_from_slice(hmac::sign(&self.key, sealed).as_ref());
        URL_SAFE_NO_PAD.encode(&bytes[..length + TAG])
    }

    /// # Errors
    /// [`CursorError`].
    pub fn open(&self, text: &str) -> Result<Cursor, CursorError> {
        let mut bytes = [0; BYTES];
        if text.len() > BYTES * 2 {
            return Err(CursorError::Unreadable);
        }
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| CursorError::Unreadable)?;
        let length = match bytes[0] {
            VERSION if length == BYTES => SEALED,
            WITHOUT_HISTORY if length == SEALED_WITHOUT_HISTORY + TAG => SEALED_WITHOUT_HISTORY,
            _ => return Err(CursorError::Unreadable),
        };
        let (sealed, tag) = bytes[..length + TAG].split_at(length);
        let theirs = Epoch(sealed[1..=EPOCH].try_into().map_err(|_| CursorError::Unreadable)?);
        if theirs != self.epoch {
            return Err(CursorError::OtherJournal { ours: self.epoch, theirs });
        }
        hmac::verify(&self.key, sealed, tag).map_err(|_| CursorError::Unreadable)?;
        let sequence = sealed[1 + EPOCH..][..8].try_into().map_err(|_| CursorError::Unreadable)?;
        let history = sealed.get(SEALED_WITHOUT_HISTORY..).and_then(|bytes| bytes.try_into().ok()).map(History);
        Ok(Cursor(Reached { sequence: Sequence(u64::from_be_bytes(sequence)), history }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(epoch: u8, key: u8) -> Sealer {
        Sealer::new(Epoch([epoch; 16]), &[key; 32])
    }

    fn cursor(sequence: u64) -> Cursor {
        Cursor(Reached { sequence: Sequence(sequence), history: Some(History([3; 16])) })
    }

    fn of_an_earlier_version(sequence: u64) -> Cursor {
        Cursor(Reached { sequence: Sequence(sequence), history: None })
    }

    #[test]
    fn a_cursor_opens_to_what_was_sealed() {
        for sequence in [0, 1, 77, u64::MAX] {
            for cursor in [cursor(sequence), of_an_earlier_version(sequence)] {
                assert_eq!(sealer(1, 1).open(&sealer(1, 1).seal(cursor)), Ok(cursor));
            }
        }
        let kept = "AQEBAQEBAQEBAQEBAQEBAQEAAAAAAAAACQAAAAAAAAAAACa4uCqb1mkKljTS5o9-6oiPD-3VFwuP-AFqjc5V7we3";
        assert_eq!(sealer(1, 1).open(kept), Ok(of_an_earlier_version(9)), "what earlier versions gave out");
    }

    #[test]
    fn every_changed_character_is_noticed() {
        for good in [cursor(9), of_an_earlier_version(9)].map(|cursor| sealer(1, 1).seal(cursor)) {
            nothing_else_opens(&good);
        }
    }

    fn nothing_else_opens(good: &str) {
        for at in 0..good.len() {
            let mut forged = good.to_owned().into_bytes();
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
        let foreign = sealer(2, 2).seal(cursor(9));
        assert!(matches!(sealer(1, 1).open(&foreign), Err(CursorError::OtherJournal { .. })));
        let forged = sealer(1, 2).seal(cursor(9));
        assert_eq!(sealer(1, 1).open(&forged), Err(CursorError::Unreadable));
    }

    #[test]
    fn a_place_is_gone_when_something_after_it_is_missing() {
        let bounds = Bounds { oldest: Sequence(5), durable: Sequence(8) };
        for (sequence, fits) in [(3, false), (4, true), (5, true), (8, true), (9, false)] {
            assert_eq!(cursor(sequence).check(bounds).is_ok(), fits, "{sequence}");
        }
        let empty = Bounds { oldest: Sequence(1), durable: Sequence::ZERO };
        assert!(cursor(0).check(empty).is_ok());
    }
}
