//! Keys that looked different, looked at again until it is known whether they are.
//!
//! A look reads a row in the source, waits until the target has passed that, and reads it in the target. Two looks that
//! saw the same version in the source have the target's row between them, so no difference is one of timing:
//!
//! - a row that the source had all the while must be in the target;
//! - a row that the source did not have at either look, while the target shows one and the same version of it: it was
//!   not there before the second look, and if it had been made and deleted in between, the target would have lost it by
//!   then.

use super::layout::{Layout, Of};
use super::passage::{Passage, Progress};
use super::reader::{Reader, Sides};
use super::report::{Difference, Kind, Tally};
use super::row::{Image, Key, key};
use super::trouble::Trouble;
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
        passage.passed(&mut sides.source).await?;
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
        let mut open: Vec<(Key, Option<Look>)> = self.keys.drain().map(|key| (key, None)).collect();
        open.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        while !open.is_empty() {
            let mut source = images(&mut self.sides.source, self.layout, Of::Source, &open).await?;
            self.passage.passed(&mut self.sides.source).await?;
            let mut target = images(&mut self.sides.target, self.layout, Of::Target, &open).await?;
            let mut again = Vec::new();
            for (key, before) in open {
                let now = Look { source: source.remove(&key), target: target.remove(&key) };
                match judge(before.as_ref(), &now) {
                    Verdict::Equal => {}
                    Verdict::Different(kind, places) => self.different(kind, key, &places),
                    Verdict::Again if Instant::now() >= deadline => self.different(Kind::Unsettled, key, &[]),
                    Verdict::Again => again.push((key, Some(now))),
                }
            }
            open = again;
        }
        Ok(())
    }

    fn different(&mut self, kind: Kind, key: Key, places: &[usize]) {
        let name = |place: &usize| self.layout.columns.get(*place).cloned();
        let names = self.layout.key.iter().filter_map(name);
        let key = names.zip(key).collect();
        let columns = places.iter().filter_map(name).collect();
        self.tally.add(Difference { kind, key, place: None, columns });
    }
}

async fn images(
    side: &mut Reader,
    layout: &Layout,
    of: Of,
    open: &[(Key, Option<Look>)],
) -> Result<HashMap<Key, Image>, Trouble> {
    let mut found = HashMap::new();
    for some in open.chunks(KEYS_AT_ONCE) {
        side.start(&layout.lookup(of, some.iter().map(|(key, _)| key))).await?;
        while let Some(row) = side.next_row().await? {
            // A key that is equal for the server but reads otherwise, as 1.0 and 1.00, is another one here.
            found.insert(key(row, &layout.key)?, Image::of(row, layout.columns.len()));
        }
    }
    Ok(found)
}

fn judge(before: Option<&Look>, now: &Look) -> Verdict {
    let cells = |image: &Option<Image>| image.as_ref().map(|image| image.cells.clone());
    if cells(&now.source) == cells(&now.target) {
        return Verdict::Equal;
    }
    match before {
        Some(Look { source: Some(source), target }) if now.source.as_ref() == Some(source) => match target {
            None => Verdict::Different(Kind::Missing, Vec::new()),
            Some(target) => Verdict::Different(Kind::Changed, source.differing(target)),
        },
        Some(before) if before.source.is_none() && before == now => Verdict::Different(Kind::Extra, Vec::new()),
        _ => Verdict::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[u8], version: &str) -> Option<Image> {
        Some(Image { cells: cells.iter().map(|cell| Some([*cell; 16])).collect(), version: version.to_owned() })
    }

    fn look(source: Option<Image>, target: Option<Image>) -> Look {
        Look { source, target }
    }

    #[test]
    fn equal_cells_are_equal_whoever_wrote_them() {
        assert_eq!(judge(None, &look(row(&[1, 2], "7"), row(&[1, 2], "9"))), Verdict::Equal);
        assert_eq!(judge(None, &look(None, None)), Verdict::Equal);
    }

    #[test]
    fn one_look_never_makes_a_difference_and_two_at_one_version_do() {
        let changed = look(row(&[1, 2], "7"), row(&[1, 3], "9"));
        assert_eq!(judge(None, &changed), Verdict::Again);
        assert_eq!(judge(Some(&changed), &changed), Verdict::Different(Kind::Changed, vec![1]));
        let missing = look(row(&[1, 2], "7"), None);
        assert_eq!(judge(Some(&missing), &missing), Verdict::Different(Kind::Missing, vec![]));
        let extra = look(None, row(&[1, 2], "9"));
        assert_eq!(judge(Some(&extra), &extra), Verdict::Different(Kind::Extra, vec![]));
    }

    #[test]
    fn a_row_that_went_to_and_fro_in_between_is_looked_at_again() {
        // Back at its old content, by another transaction.
        let before = look(row(&[1], "7"), row(&[2], "9"));
        assert_eq!(judge(Some(&before), &look(row(&[1], "8"), row(&[2], "9"))), Verdict::Again);
        // Gone in the source at both looks, and in the target made anew between them.
        let before = look(None, row(&[1], "9"));
        assert_eq!(judge(Some(&before), &look(None, row(&[1], "10"))), Verdict::Again);
        assert_eq!(judge(Some(&look(row(&[1], "7"), None)), &look(None, row(&[1], "9"))), Verdict::Again);
    }
}
