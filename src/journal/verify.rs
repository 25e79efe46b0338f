//! What an open checks before anyone may read: the newest part of the chain, with its bodies. Bounded work.
//!
//! Older parts are checked by whoever reads them.

use super::chain::{BodyHash, Hash};
use super::error::{Error, damaged, unreadable};
use super::keys;
use super::record::{Entry, Mark, split_entry};
use super::store::Store;
use super::stored::checked;
use super::writer::Newest;
use crate::model::position::Sequence;

const HEADERS: u64 = 10_000;
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Checks the newest headers and bodies, and gives the end of the chain.
///
/// # Errors
/// [`Error::Refused`] when a header or a body is missing or not what the chain says.
pub(super) fn newest(store: &Store, mark: Mark) -> Result<Newest, Error> {
    let newest = store.newest_header().map_err(|error| Error::Refused(damaged(error)))?;
    let newest = newest.map_or(Sequence::ZERO, |(sequence, _)| sequence);
    if newest <= mark.sequence {
        return nothing_held(mark);
    }
    let before = Sequence(mark.sequence.0.max(newest.0.saturating_sub(HEADERS)));
    let mut hash = hash_at(store, mark, before)?;
    let mut headers = store.records(&keys::header(before.next()), &keys::header(newest.next()));
    let mut entries = Vec::new();
    let mut expected = before.next();
    while expected <= newest {
        headers.status().map_err(|error| refused(expected, error))?;
        let value = headers.value().filter(|_| headers.key() == Some(&keys::header(expected)));
        let value = value.ok_or_else(|| refused(expected, "its header is missing"))?;
        let (entry, link) = checked(expected, &hash, value).map_err(|what| refused(expected, what))?;
        entries.push(entry);
        hash = link;
        expected = expected.next();
        headers.next();
    }
    newest_bodies(store, &entries)?;
    let bytes_total = entries.last().map_or(mark.bytes_total, |entry| entry.header.bytes_total);
    Ok(Newest { sequence: newest, hash, bytes_total })
}

/// The newest transaction is never trimmed, so a mark beyond 0 without one after it is damage.
fn nothing_held(mark: Mark) -> Result<Newest, Error> {
    if mark.sequence > Sequence::ZERO {
        return Err(refused(mark.sequence.next(), "it was there when older ones were trimmed, and is missing"));
    }
    Ok(Newest { sequence: mark.sequence, hash: mark.hash, bytes_total: mark.bytes_total })
}

fn hash_at(store: &Store, mark: Mark, sequence: Sequence) -> Result<Hash, Error> {
    if sequence == mark.sequence {
        return Ok(mark.hash);
    }
    let value = store.get(keys::header(sequence)).map_err(|error| refused(sequence, error))?;
    let value = value.ok_or_else(|| refused(sequence, "its header is missing"))?;
    split_entry(&value).map(|(hash, _)| hash).map_err(|why| Error::Refused(unreadable("a header", why)))
}

/// Hashes bodies from the newest on, up to a bound.
fn newest_bodies(store: &Store, entries: &[Entry]) -> Result<(), Error> {
    let mut bytes = 0_u64;
    for entry in entries.iter().rev() {
        bytes = bytes.saturating_add(entry.header.bytes);
        if bytes > BODY_BYTES_MAX {
            return Ok(());
        }
        body(store, entry)?;
    }
    Ok(())
}

fn body(store: &Store, entry: &Entry) -> Result<(), Error> {
    let sequence = entry.header.sequence;
    let mut bodies = store.bodies();
    bodies.seek(keys::body(entry.body, 0));
    let mut hash = BodyHash::new();
    for number in 0..entry.header.chunks {
        bodies.status().map_err(|error| refused(sequence, error))?;
        let chunk = bodies.value().filter(|_| bodies.key() == Some(&keys::body(entry.body, number)));
        let chunk = chunk.ok_or_else(|| refused(sequence, format_args!("chunk {number} of its body is missing")))?;
        hash.update(chunk);
        bodies.next();
    }
    if hash.finish() == entry.body_hash {
        return Ok(());
    }
    Err(refused(sequence, "its body does not hash to what its header says"))
}

fn refused(sequence: Sequence, what: impl std::fmt::Display) -> Error {
    Error::Refused(damaged(format_args!("transaction {sequence}: {what}")))
}
