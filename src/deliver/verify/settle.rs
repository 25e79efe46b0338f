//! Keys that looked different, looked at again until it is known whether they are.
//!
//! A look reads a row in the source, waits until the target has passed that, and reads it in the target. What two looks
//! in a row tell of one key:
//!
//! - The target showed one and the same version at both: nothing came for that row in between, though the target passed what
//!   the source had at the second look. So it has to be that, and where it is not, no timing explains it.
//! - The target had no row at either, and the source one and the same version: that was there all the while. Of a source that
//!   does not say versions, the same content at one look more has to do.

use super::layout::Layout;
use super::merge::Rows;
use super::passage::{Passage, Progress};
use super::reader::{Reader, Sides};
use super::report::{Difference, Kind, Tally};
use super::row::{Image, KeptRow, Key};
use super::source::Source;
use super::trouble::Trouble;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use tokio::time::Instant;

/// Held before they are looked at again.
const SUSPECTS_MAX: usize = 10_000;
/// Asked for at once.
const KEYS_AT_ONCE: usize = 500;

pub struct Suspects<'a, 'p, P> {
    layout: &'a Layout,
    passage: &'a mut Passage<'p, P>,
    sides: Sides,
    keys: HashSet<Key>,
    pub tally: &'a mut Tally,
}

/// Looks in a row at an absent row whose source says no versions.
const LOOKS_WITHOUT_VERSION: u32 = 3;

/// A key, and what was last seen of it, and how often in a row.
struct Open {
    key: Key,
    last: Option<Look>,
    times: u32,
}

/// Both sides of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    source: Option<Image>,
    target: Option<Image>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Equal,
    Different(Kind, Vec<usize>),
    Again,
}

impl<'a, 'p, P: Progress> Suspects<'a, 'p, P> {
    /// Begins once the target has passed the source, or every row on its way would be a suspect. `sides`: sessions of
    /// its own, as others may be in the middle of a stream.
    ///
    /// # Errors
    /// Those of waiting.
    pub async fn gather(
        layout: &'a Layout,
        passage: &'a mut Passage<'p, P>,
        mut sides: Sides,
        tally: &'a mut Tally,
    ) -> Result<Self, Trouble> {
        passage.passed_once(&mut sides.source).await?;
        Ok(Self { layout, passage, sides, keys: HashSet::new(), tally })
    }

    /// # Errors
    /// Those of looking again, which is done when there are many.
    pub async fn add(&mut self, key: Key) -> Result<(), Trouble> {
        self.keys.insert(key);
        if self.keys.len() >= SUSPECTS_MAX { self.settle().await } else { Ok(()) }
    }

    /// Looks at all again, as often as it takes or time allows, and counts what is different.
    ///
    /// # Errors
    /// Those of reading and waiting.
    pub async fn settle(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + self.passage.wait();
        let mut open: Vec<_> = self.keys.drain().map(|key| Open { key, last: None, times: 0 }).collect();
        open.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        while !open.is_empty() {
            let Sides { source, target } = &mut self.sides;
            let mut in_source = source_images(source, self.layout, &open).await?;
            self.passage.passed(source).await?;
            let mut in_target = target_images(target, self.layout, &open).await?;
            let mut again = Vec::new();
            for Open { key, last, times } in open {
                let now = Look { source: in_source.remove(&key), target: in_target.remove(&key) };
                let times = if last.as_ref() == Some(&now) { times + 1 } else { 1 };
                match judge(last.as_ref(), &now, times >= self.looks()) {
                    Verdict::Equal => {}
                    Verdict::Different(kind, places) => self.different(kind, key, &places),
                    Verdict::Again if Instant::now() >= deadline => self.different(Kind::Unsettled, key, &[]),
                    Verdict::Again => again.push(Open { key, last: Some(now), times }),
                }
            }
            open = again;
        }
        Ok(())
    }

    /// In a row, at a row that the target does not have.
    fn looks(&self) -> u32 {
        if self.layout.source_has_versions { 2 } else { LOOKS_WITHOUT_VERSION }
    }

    fn different(&mut self, kind: Kind, key: Key, places: &[usize]) {
        let name = |place: &usize| self.layout.columns.get(*place).cloned();
        let names = self.layout.key.iter().filter_map(name);
        let key = names.zip(key).collect();
        let columns = places.iter().filter_map(name).collect();
        self.tally.add(Difference { kind, key, place: None, columns });
    }
}

async fn source_images(side: &mut Source, layout: &Layout, open: &[Open]) -> Result<HashMap<Key, Image>, Trouble> {
    let mut found = HashMap::new();
    for some in open.chunks(KEYS_AT_ONCE) {
        let mut rows = side.stream(&layout.source.lookup(some.iter().map(|open| &open.key))).await?;
        take_images(&mut rows, layout, &mut found).await?;
    }
    Ok(found)
}

async fn target_images(side: &mut Reader, layout: &Layout, open: &[Open]) -> Result<HashMap<Key, Image>, Trouble> {
    let mut found = HashMap::new();
    for some in open.chunks(KEYS_AT_ONCE) {
        let rows = side.stream(&layout.target.lookup(some.iter().map(|open| &open.key))).await?;
        take_images(rows, layout, &mut found).await?;
    }
    Ok(found)
}

async fn take_images(rows: &mut impl Rows, layout: &Layout, found: &mut HashMap<Key, Image>) -> Result<(), Trouble> {
    let mut row = KeptRow::default();
    while rows.next(&mut row).await? {
        // A key that is equal for the server but reads otherwise, as 1.0 and 1.00, is another one here.
        let image = Image::of(&row, layout.columns.len());
        match found.entry(row.key(&layout.key)?) {
            Entry::Occupied(mut several) => several.get_mut().join(&image),
            Entry::Vacant(one) => drop(one.insert(image)),
        }
    }
    Ok(())
}

/// `long`: both sides were seen so often enough for a row that the target lacks.
fn judge(before: Option<&Look>, now: &Look, long: bool) -> Verdict {
    let counted = |image: &Option<Image>| image.as_ref().map_or(0, |image| image.rows);
    let rows = (counted(&now.source), counted(&now.target));
    let cells = |image: &Option<Image>| image.as_ref().map(|image| image.cells.clone());
    if rows.0 == rows.1 && cells(&now.source) == cells(&now.target) {
        return Verdict::Equal;
    }
    match (&now.source, &now.target) {
        (source, Some(target)) if before.is_some_and(|before| before.target.as_ref() == Some(target)) => match source {
            // The target folded rows that the source has, or has some twice.
            Some(_) if rows.0 > rows.1 => Verdict::Different(Kind::Missing, Vec::new()),
            Some(_) if rows.0 < rows.1 => Verdict::Different(Kind::Extra, Vec::new()),
            Some(source) => Verdict::Different(Kind::Changed, source.differing(target)),
            None => Verdict::Different(Kind::Extra, Vec::new()),
        },
        (Some(_), None) if long => Verdict::Different(Kind::Missing, Vec::new()),
        _ => Verdict::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[u8], version: &str) -> Option<Image> {
        Some(Image {
            cells: cells.iter().map(|cell| Some([*cell; 16])).collect(),
            version: version.to_owned(),
            rows: 1,
        })
    }

    fn look(source: Option<Image>, target: Option<Image>) -> Look {
        Look { source, target }
    }

    #[test]
    fn equal_cells_are_equal_whoever_wrote_them() {
        assert_eq!(judge(None, &look(row(&[1, 2], "7"), row(&[1, 2], "9")), false), Verdict::Equal);
        assert_eq!(judge(None, &look(None, None), false), Verdict::Equal);
    }

    #[test]
    fn one_look_never_makes_a_difference_and_a_second_at_the_targets_same_version_does() {
        let changed = look(row(&[1, 2], "7"), row(&[1, 3], "9"));
        assert_eq!(judge(None, &changed, false), Verdict::Again);
        assert_eq!(judge(Some(&changed), &changed, false), Verdict::Different(Kind::Changed, vec![1]));
        // By another transaction, which the target has passed without a trace.
        let later = look(row(&[1, 2], "8"), row(&[1, 3], "9"));
        assert_eq!(judge(Some(&changed), &later, false), Verdict::Different(Kind::Changed, vec![1]));
        let extra = look(None, row(&[1, 2], "9"));
        assert_eq!(judge(Some(&extra), &extra, false), Verdict::Different(Kind::Extra, vec![]));
        assert_eq!(judge(Some(&look(row(&[1], "7"), None)), &extra, false), Verdict::Again);
    }

    #[test]
    fn a_row_that_the_target_lacks_is_missing_once_the_source_had_it_for_long_enough() {
        let missing = look(row(&[1, 2], ""), None);
        assert_eq!(judge(Some(&missing), &missing, false), Verdict::Again);
        assert_eq!(judge(Some(&missing), &missing, true), Verdict::Different(Kind::Missing, vec![]));
    }

    #[test]
    fn a_row_that_was_made_anew_in_the_target_is_looked_at_again() {
        let before = look(None, row(&[1], "9"));
        assert_eq!(judge(Some(&before), &look(None, row(&[1], "10")), true), Verdict::Again);
        let before = look(row(&[1], "7"), row(&[2], "9"));
        assert_eq!(judge(Some(&before), &look(row(&[1], "7"), row(&[2], "10")), true), Verdict::Again);
    }
}
