//! Retention: which of the oldest transactions go, when bodies are more than may be kept.
//!
//! Goes down to 95 % in one go, in steps of bounded size between groups of commits, and never takes the newest
//! transaction. Schemas stay for ever. Bodies are not in the order of headers where several sources write, so each
//! body is deleted by its own number; neighbours share one range.

use super::error::{damaged, unreadable};
use super::keys::{self, BodyId};
use super::record::{Entry, Mark, split_entry, write_mark};
use super::shared::WriteFault;
use super::store::{Batch, Store};
use crate::model::position::Sequence;

const STEP_TRANSACTIONS: usize = 10_000;

/// What one step takes away.
pub(super) struct Cut {
    /// The mark once it is gone.
    pub mark: Mark,
    /// Ranges of bodies, first and last, ascending.
    pub bodies: Vec<(BodyId, BodyId)>,
}

/// Down to where a trim goes once it has begun.
pub(super) fn target_bytes(retention_bytes: u64) -> u64 {
    retention_bytes.saturating_sub(retention_bytes.div_euclid(20))
}

/// The oldest transactions after `mark` that have to go so that bodies are at most `target_bytes`, one step's worth.
/// `None`: nothing has to, or only the newest is left.
pub(super) fn cut(
    store: &Store,
    mark: Mark,
    newest: Sequence,
    bytes_total: u64,
    target_bytes: u64,
) -> Result<Option<Cut>, WriteFault> {
    let (from, to) = (keys::header(mark.sequence.next()), keys::header(newest));
    let mut headers = store.records(&from, &to);
    let mut reached = mark;
    let mut bodies = Vec::new();
    while bodies.len() < STEP_TRANSACTIONS && bytes_total.saturating_sub(reached.bytes_total) > target_bytes {
        let Some(value) = headers.value() else { break };
        let (hash, fields) = split_entry(value).map_err(|why| unreadable("a header", why)).map_err(WriteFault)?;
        let entry = Entry::read(&hash, fields).map_err(|why| unreadable("a header", why)).map_err(WriteFault)?;
        if entry.header.sequence != reached.sequence.next() {
            return Err(WriteFault(damaged(format_args!("sequence {} is missing", reached.sequence.next()))));
        }
        reached = Mark { sequence: entry.header.sequence, hash, bytes_total: entry.header.bytes_total };
        bodies.push(entry.body);
        headers.next();
    }
    headers.status()?;
    Ok((reached != mark).then(|| Cut { mark: reached, bodies: ranges(bodies) }))
}

impl Cut {
    /// Puts the mark and the deletions into one batch.
    pub(super) fn apply(&self, store: &Store, batch: &mut Batch, from: Mark) {
        batch.put(keys::MARK, write_mark(&self.mark));
        batch.delete_range(keys::header(from.sequence.next()), keys::header(self.mark.sequence.next()));
        self.bodies.iter().for_each(|(first, last)| store.delete_bodies(batch, *first, *last));
    }
}

fn ranges(mut bodies: Vec<BodyId>) -> Vec<(BodyId, BodyId)> {
    bodies.sort_unstable();
    let mut ranges: Vec<(BodyId, BodyId)> = Vec::new();
    for body in bodies {
        match ranges.last_mut() {
            Some((_, last)) if body.0 <= last.0.saturating_add(1) => *last = body,
            _ => ranges.push((body, body)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_bodies_share_a_range() {
        let ids = |ids: &[u64]| ids.iter().copied().map(BodyId).collect::<Vec<_>>();
        assert_eq!(
            ranges(ids(&[5, 1, 2, 4, 9, 2])),
            [(BodyId(1), BodyId(2)), (BodyId(4), BodyId(5)), (BodyId(9), BodyId(9))]
        );
        assert_eq!(ranges(Vec::new()), []);
    }
}
