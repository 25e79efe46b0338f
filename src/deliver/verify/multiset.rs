//! A table without key whose source has no order that the target has too: rows are counted by what they hold.
//!
//! ```text
//!  a round: the target has passed sequence A ─► the source's rows ─► the target has passed those ─► the target's rows
//! ```
//! Only digests and counts are kept. A table of many rows is counted in several parts, each with the digests of its own, so
//! that memory stays bounded; each part is read anew. What is different in one round may be on its way: it counts once it
//! was so for several rounds in a row, as in `settle`.

use super::bag::could_be_seen;
use super::layout::Layout;
use super::merge::Rows;
use super::passage::{Passage, Progress};
use super::reader::Sides;
use super::report::{Kind, Tally};
use super::row::{KeptRow, row_digest};
use super::trouble::Trouble;
use std::collections::HashMap;
use tokio::time::Instant;

/// Rows of one part, about: some 60 bytes of memory each.
const PART_ROWS: u64 = 500_000;
/// Rounds in a row that a row has to be missing for, since the source says nothing of its version; and that a row of the
/// target has to be too many for, at one and the same version of all its like.
const MISSING_ROUNDS: u32 = 3;
const EXTRA_ROUNDS: u32 = 2;

/// Of a row that is exactly this.
type Digest = [u8; 16];

/// How often it is there.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    source: u64,
    /// In the target, and not newer than what the source was read as.
    target: u64,
    /// In the target, and perhaps newer.
    later: u64,
    /// Of all versions of them there, whatever their order.
    versions: u64,
}

/// By how many rows the two sides differ, and which versions that was seen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Off {
    Missing(u64),
    Extra(u64, u64),
}

impl Count {
    fn off(&self) -> Option<Off> {
        if self.source > self.target + self.later {
            Some(Off::Missing(self.source - self.target - self.later))
        } else if self.target > self.source {
            Some(Off::Extra(self.target - self.source, self.versions))
        } else {
            None
        }
    }
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
    let parts = number(sides, &layout.source.count()).await? / PART_ROWS + 1;
    for part in 0..parts {
        let deadline = Instant::now() + passage.wait();
        let mut before: HashMap<Digest, (Off, u32)> = HashMap::new();
        let rows = loop {
            let (counts, rows) = round(layout, sides, aside, passage, |digest| part_of(digest, parts) == part).await?;
            tally.ranges += 1;
            let off = counts.into_iter().filter_map(|(digest, count)| Some((digest, count.off()?)));
            let off: HashMap<_, _> = off.map(|(digest, off)| (digest, (off, times(&before, &digest, off)))).collect();
            if off.is_empty() || off.values().all(|(off, times)| is_certain(*off, *times)) {
                off.values().for_each(|(off, _)| count(*off, tally));
                break rows;
            }
            if Instant::now() >= deadline {
                tell_unsettled(&off, tally);
                break rows;
            }
            before = off;
        };
        tally.rows += rows;
    }
    Ok(())
}

fn times(before: &HashMap<Digest, (Off, u32)>, digest: &Digest, off: Off) -> u32 {
    before.get(digest).filter(|(known, _)| *known == off).map_or(1, |(_, times)| times + 1)
}

fn is_certain(off: Off, times: u32) -> bool {
    match off {
        Off::Missing(_) => times >= MISSING_ROUNDS,
        Off::Extra(..) => times >= EXTRA_ROUNDS,
    }
}

fn count(off: Off, tally: &mut Tally) {
    match off {
        Off::Missing(rows) => tally.add_uncounted(Kind::Missing, rows),
        Off::Extra(rows, _) => tally.add_uncounted(Kind::Extra, rows),
    }
}

fn tell_unsettled(off: &HashMap<Digest, (Off, u32)>, tally: &mut Tally) {
    for (off, times) in off.values() {
        match off {
            off if is_certain(*off, *times) => count(*off, tally),
            Off::Missing(rows) | Off::Extra(rows, _) => tally.add_uncounted(Kind::Unsettled, *rows),
        }
    }
}

/// The rows of one part on both sides, and how many of it the source has.
async fn round<P: Progress>(
    layout: &Layout,
    sides: &mut Sides,
    aside: &mut Sides,
    passage: &mut Passage<'_, P>,
    is_of_part: impl Fn(&Digest) -> bool,
) -> Result<(HashMap<Digest, Count>, u64), Trouble> {
    let compared = layout.columns.len();
    let (mut counts, mut row, mut rows) = (HashMap::<Digest, Count>::new(), KeptRow::default(), 0);
    let before = passage.passed(&mut aside.source).await?;
    let mut source = sides.source.stream(&layout.source.all()).await?;
    while source.next(&mut row).await? {
        let digest = digest(&row, compared);
        if is_of_part(&digest) {
            counts.entry(digest).or_default().source += 1;
            rows += 1;
        }
    }
    drop(source);
    let after = passage.passed(&mut aside.source).await?;
    let target = sides.target.stream(&layout.target.all_with_sequence()).await?;
    while target.next(&mut row).await? {
        let digest = digest(&row, compared);
        if !is_of_part(&digest) {
            continue;
        }
        let count = counts.entry(digest).or_default();
        let (version, sequence, lies) = (row.cell(compared), row.cell(compared + 1), row.cell(compared + 2));
        if could_be_seen(sequence, before, after) {
            count.target += 1;
            count.versions = count.versions.wrapping_add(short(row_digest([version, lies].into_iter())));
        } else {
            count.later += 1;
        }
    }
    Ok((counts, rows))
}

fn digest(row: &KeptRow, compared: usize) -> Digest {
    let mut half = Digest::default();
    let whole = row_digest(row.cells().take(compared));
    half.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    half
}

fn part_of(digest: &Digest, parts: u64) -> u64 {
    short(*digest) % parts
}

fn short<const N: usize>(digest: [u8; N]) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

async fn number(sides: &mut Sides, sql: &str) -> Result<u64, Trouble> {
    let mut row = KeptRow::default();
    sides.source.stream(sql).await?.next(&mut row).await?;
    let number = row.cell(0).and_then(|cell| std::str::from_utf8(cell).ok()?.parse().ok());
    number.ok_or_else(|| Trouble::unreadable("a count that is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off(source: u64, target: u64, later: u64) -> Option<Off> {
        Count { source, target, later, versions: 7 }.off()
    }

    #[test]
    fn rows_that_may_be_newer_than_the_sources_make_up_for_missing_ones_and_are_never_too_many() {
        assert_eq!(off(2, 2, 0), None);
        assert_eq!(off(2, 1, 0), Some(Off::Missing(1)));
        assert_eq!(off(2, 1, 1), None);
        assert_eq!(off(2, 1, 5), None);
        assert_eq!(off(1, 3, 0), Some(Off::Extra(2, 7)));
    }

    #[test]
    fn what_is_off_counts_once_it_was_so_for_several_rounds() {
        let digest = [1; 16];
        let seen = |off, times| HashMap::from([(digest, (off, times))]);
        assert_eq!(times(&HashMap::new(), &digest, Off::Missing(1)), 1);
        assert_eq!(times(&seen(Off::Missing(1), 2), &digest, Off::Missing(1)), 3);
        assert_eq!(times(&seen(Off::Missing(1), 2), &digest, Off::Missing(2)), 1);
        assert_eq!(
            times(&seen(Off::Extra(1, 7), 1), &digest, Off::Extra(1, 8)),
            1,
            "one of them is another row by now"
        );
        assert!(is_certain(Off::Missing(1), 3) && !is_certain(Off::Missing(1), 2) && is_certain(Off::Extra(1, 7), 2));
    }
}
