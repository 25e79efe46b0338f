//! A table without key: both sides sorted by the rows' text and compared as multisets, again and again while they
//! differ.
//!
//! ```text
//!  a round: the target has passed sequence A ─► the source's snapshot S ─► the target has passed S ─► its snapshot
//! ```
//! A row of S that the target lacks is missing, unless it was changed or deleted behind S. A row of the target that S
//! lacks is extra, unless it came later: then its sequence is beyond A. What one and the same version of a row is found
//! to be in two rounds is no matter of timing: it was there, untouched, from one snapshot to the next.

use super::layout::Layout;
use super::merge::{Found, Merge};
use super::passage::{Passage, Passed, Progress};
use super::reader::Sides;
use super::report::{Difference, Kind, Tally};
use super::row::{KeptRow, row_digest};
use super::source::Source;
use super::trouble::Trouble;
use std::collections::HashMap;
use tokio::time::Instant;

/// Kept from one round to the next.
const CANDIDATES_MAX: usize = 10_000;

/// The first in a transaction fixes what it sees.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT 1";

/// The cells of `Layout::bag`.
const WHOLE: [usize; 1] = [0];
const VERSION: usize = 1;
const LIES: usize = 2;
const SEQUENCE: usize = 3;

#[derive(Default)]
struct Round {
    rows: u64,
    missing: u64,
    extra: u64,
    candidates: Vec<Candidate>,
}

/// A row that one side lacks.
struct Candidate {
    kind: Kind,
    /// Of the kind, the row and its version.
    digest: [u8; 32],
    lies: String,
}

/// # Errors
/// Those of reading and waiting.
pub async fn compare<P: Progress>(
    layout: &Layout,
    sides: &mut Sides,
    aside: &mut Sides,
    passage: &mut Passage<'_, P>,
    tally: &mut Tally,
) -> Result<(), Trouble> {
    let deadline = Instant::now() + passage.wait();
    let mut before: Option<Round> = None;
    loop {
        let now = round(layout, sides, aside, passage).await?;
        tally.rows = now.rows;
        tally.ranges += 1;
        if now.is_empty() {
            return Ok(());
        }
        if let Some(before) = before {
            let certain = now.also_in(&before);
            if !certain.is_empty() {
                now.report(certain, tally);
                return Ok(());
            }
            if Instant::now() >= deadline {
                tally.add_uncounted(Kind::Unsettled, now.missing + now.extra);
                return Ok(());
            }
        }
        before = Some(now);
    }
}

async fn round<P: Progress>(
    layout: &Layout,
    sides: &mut Sides,
    aside: &mut Sides,
    passage: &mut Passage<'_, P>,
) -> Result<Round, Trouble> {
    let before = passage.passed(&mut aside.source).await?;
    let Source::Postgres(source) = &mut sides.source else {
        return Err(Trouble::unreadable("rows without key are sorted by PostgreSQL alone"));
    };
    source.query(BEGIN).await?;
    let after = passage.passed(&mut aside.source).await?;
    source.stream(&layout.source.bag(false)).await?;
    sides.target.stream(&layout.target.bag(true)).await?;
    let mut merge = Merge::new(source, &mut sides.target, &WHOLE, WHOLE.len());
    let mut round = Round::default();
    while let Some(found) = merge.next().await? {
        match found {
            Found::Missing => round.add(Kind::Missing, merge.source()),
            Found::Extra if could_be_seen(merge.target().cell(SEQUENCE), before, after) => {
                round.add(Kind::Extra, merge.target())
            }
            // Later than the source's snapshot. (The whole row is the key, so none is changed.)
            Found::Extra | Found::Changed => {}
        }
    }
    round.rows = merge.rows;
    source.query("COMMIT").await?;
    Ok(round)
}

/// Whether the source's snapshot would have a row of the target, by its sequence. One that no journal gave, or none
/// at all, was put there by somebody else.
pub fn could_be_seen(sequence: Option<&[u8]>, before: Passed, after: Passed) -> bool {
    let sequence = sequence.and_then(|cell| std::str::from_utf8(cell).ok()?.parse::<i64>().ok());
    let sequence = sequence.and_then(|sequence| u64::try_from(sequence).ok());
    sequence.is_none_or(|sequence| sequence <= before.applied || sequence > after.journaled)
}

impl Round {
    fn add(&mut self, kind: Kind, row: &KeptRow) {
        match kind {
            Kind::Missing => self.missing += 1,
            _ => self.extra += 1,
        }
        if self.candidates.len() < CANDIDATES_MAX {
            let word: &[u8] = if kind == Kind::Missing { b"missing" } else { b"extra" };
            let digest = row_digest([Some(word), row.cell(WHOLE[0]), row.cell(VERSION)].into_iter());
            let lies = String::from_utf8_lossy(row.cell(LIES).unwrap_or_default()).into_owned();
            self.candidates.push(Candidate { kind, digest, lies });
        }
    }

    fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Every row that differs is among the candidates.
    fn is_whole(&self) -> bool {
        self.missing + self.extra == self.candidates.len() as u64
    }

    /// As often as in both.
    fn also_in(&self, before: &Self) -> Vec<&Candidate> {
        let mut known: HashMap<[u8; 32], usize> = HashMap::new();
        for candidate in &before.candidates {
            *known.entry(candidate.digest).or_default() += 1;
        }
        let mut take = |candidate: &&Candidate| {
            let left = known.get_mut(&candidate.digest).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        };
        self.candidates.iter().filter(|candidate| take(candidate)).collect()
    }

    /// Of more differences than are kept, the rest is counted as it was found in this round.
    fn report(&self, certain: Vec<&Candidate>, tally: &mut Tally) {
        if !self.is_whole() {
            let kept = |kind| self.candidates.iter().filter(|candidate| candidate.kind == kind).count() as u64;
            tally.add_uncounted(Kind::Missing, self.missing - kept(Kind::Missing));
            tally.add_uncounted(Kind::Extra, self.extra - kept(Kind::Extra));
        }
        for Candidate { kind, lies, .. } in certain {
            let place = Some(lies.clone());
            tally.add(Difference { kind: *kind, key: Vec::new(), place, columns: Vec::new() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(rows: &[(Kind, &str, &str)]) -> Round {
        let mut round = Round::default();
        for (kind, whole, version) in rows {
            let mut row = KeptRow::default();
            row.keep([*whole, *version, "public.t(0,1)"].into_iter().map(|cell| Some(cell.as_bytes())));
            round.add(*kind, &row);
        }
        round
    }

    #[test]
    fn only_what_one_version_was_found_to_be_twice_is_certain_and_as_often() {
        use Kind::{Extra, Missing};
        let before = round(&[(Missing, "a", "7"), (Missing, "a", "7"), (Missing, "b", "7"), (Extra, "c", "7")]);
        let now = round(&[
            (Missing, "a", "7"),
            (Missing, "a", "7"),
            (Missing, "a", "7"),
            (Missing, "b", "8"),
            (Missing, "c", "7"),
            (Extra, "d", "9"),
        ]);
        let certain: Vec<_> = now.also_in(&before).iter().map(|candidate| candidate.digest).collect();
        assert_eq!(certain, [now.candidates[0].digest; 2]);
    }

    #[test]
    fn a_row_of_a_later_sequence_is_not_held_against_the_target_unless_no_journal_gave_it() {
        let (before, after) = (Passed { applied: 10, journaled: 12 }, Passed { applied: 20, journaled: 22 });
        let seen = |sequence: Option<&str>| could_be_seen(sequence.map(str::as_bytes), before, after);
        for (sequence, expected) in [("10", true), ("11", false), ("22", false), ("23", true), ("-1", true)] {
            assert_eq!(seen(Some(sequence)), expected, "{sequence}");
        }
        assert!(seen(None));
    }

    #[test]
    fn more_differences_than_are_kept_are_still_counted() {
        let mut many = round(&vec![(Kind::Missing, "a", "7"); CANDIDATES_MAX]);
        many.add(Kind::Extra, &KeptRow::default());
        let mut tally = Tally::showing(2);
        many.report(many.also_in(&many), &mut tally);
        assert_eq!((tally.missing, tally.extra, tally.shown.len()), (CANDIDATES_MAX as u64, 1, 2));
    }
}
