//! Two streams of rows in one order, walked side by side: what differs between them, in memory for two rows.
//!
//! The order is that of the key's texts, byte by byte, null first, which both servers are asked for. It is not relied
//! upon for saying that rows are equal: a server that sorts otherwise makes differences, never hides one.

use super::row::KeptRow;
use super::trouble::Trouble;
use std::cmp::Ordering;

pub trait Rows {
    /// Puts the next row in the place of the one before; false after the last.
    async fn next(&mut self, row: &mut KeptRow) -> Result<bool, Trouble>;
}

/// How a row, or the two of one key, differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Changed,
    /// Only in the source.
    Missing,
    /// Only in the target.
    Extra,
}

pub struct Merge<'a, S, T> {
    source: Side<'a, S>,
    target: Side<'a, T>,
    /// Where the key's columns stand in a row.
    key: &'a [usize],
    /// As many first cells are compared.
    compared: usize,
    /// Of the source, so far.
    pub rows: u64,
}

struct Side<'a, R> {
    rows: &'a mut R,
    row: KeptRow,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The row was looked at; the next is due.
    Due,
    Row,
    End,
}

impl<'a, S: Rows, T: Rows> Merge<'a, S, T> {
    pub fn new(source: &'a mut S, target: &'a mut T, key: &'a [usize], compared: usize) -> Self {
        Self { source: Side::new(source), target: Side::new(target), key, compared, rows: 0 }
    }

    /// The next difference; `None` at the end of both. Its rows are [`Self::source`] and [`Self::target`] until the
    /// next call.
    ///
    /// # Errors
    /// Those of the streams.
    pub async fn next(&mut self) -> Result<Option<Found>, Trouble> {
        loop {
            self.source.fill().await?;
            self.target.fill().await?;
            let order = match (self.source.at, self.target.at) {
                (At::Row, At::Row) => self.order(),
                (At::Row, _) => Ordering::Less,
                (_, At::Row) => Ordering::Greater,
                _ => return Ok(None),
            };
            if order.is_le() {
                self.source.at = At::Due;
                self.rows += 1;
            }
            if order.is_ge() {
                self.target.at = At::Due;
            }
            match order {
                Ordering::Less => return Ok(Some(Found::Missing)),
                Ordering::Greater => return Ok(Some(Found::Extra)),
                Ordering::Equal if self.differs() => return Ok(Some(Found::Changed)),
                Ordering::Equal => {}
            }
        }
    }

    /// The last row that was looked at.
    pub fn source(&self) -> &KeptRow {
        &self.source.row
    }

    pub fn target(&self) -> &KeptRow {
        &self.target.row
    }

    fn order(&self) -> Ordering {
        let cells = self.key.iter().map(|place| (self.source.row.cell(*place), self.target.row.cell(*place)));
        // Null is `None`, which comes first.
        cells.map(|(source, target)| source.cmp(&target)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn differs(&self) -> bool {
        (0..self.compared).any(|place| self.source.row.cell(place) != self.target.row.cell(place))
    }
}

impl<'a, R: Rows> Side<'a, R> {
    fn new(rows: &'a mut R) -> Self {
        Self { rows, row: KeptRow::default(), at: At::Due }
    }

    async fn fill(&mut self) -> Result<(), Trouble> {
        if self.at == At::Due {
            self.at = if self.rows.next(&mut self.row).await? { At::Row } else { At::End };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Cells = Vec<Option<Vec<u8>>>;

    struct Listed(std::vec::IntoIter<Cells>);

    impl Rows for Listed {
        async fn next(&mut self, row: &mut KeptRow) -> Result<bool, Trouble> {
            let next = self.0.next();
            if let Some(cells) = &next {
                row.keep(cells.iter().map(Option::as_deref));
            }
            Ok(next.is_some())
        }
    }

    /// Each difference with its key.
    fn merged(source: Vec<Cells>, target: Vec<Cells>, key: &[usize], compared: usize) -> (Vec<(Found, Cells)>, u64) {
        let (mut source, mut target) = (Listed(source.into_iter()), Listed(target.into_iter()));
        let mut merge = Merge::new(&mut source, &mut target, key, compared);
        let mut found = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            while let Some(difference) = merge.next().await.expect("lists do not fail") {
                let row = if difference == Found::Extra { merge.target() } else { merge.source() };
                found.push((difference, key.iter().map(|place| row.cell(*place).map(<[u8]>::to_vec)).collect()));
            }
        });
        (found, merge.rows)
    }

    fn cell() -> impl Strategy<Value = Option<Vec<u8>>> {
        prop_oneof![
            Just(None),
            Just(Some(Vec::new())),
            vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0xC3)], 0..3).prop_map(Some)
        ]
    }

    fn keyed() -> impl Strategy<Value = BTreeMap<Cells, Option<Vec<u8>>>> {
        proptest::collection::btree_map(vec(cell(), 2), cell(), 0..12)
    }

    fn listed(rows: &BTreeMap<Cells, Option<Vec<u8>>>) -> Vec<Cells> {
        rows.iter().map(|(key, value)| vec![key[1].clone(), value.clone(), key[0].clone()]).collect()
    }

    proptest! {
        #[test]
        fn keyed_rows_differ_exactly_where_two_maps_do(source in keyed(), target in keyed()) {
            let mut expected = Vec::new();
            for key in source.keys().chain(target.keys().filter(|key| !source.contains_key(*key))) {
                match (source.get(key), target.get(key)) {
                    (Some(_), None) => expected.push((Found::Missing, key.clone())),
                    (None, Some(_)) => expected.push((Found::Extra, key.clone())),
                    (source, target) if source != target => expected.push((Found::Changed, key.clone())),
                    _ => {}
                }
            }
            expected.sort_by(|a, b| a.1.cmp(&b.1));
            let (found, rows) = merged(listed(&source), listed(&target), &[2, 0], 3);
            prop_assert_eq!((found, rows), (expected, source.len() as u64));
        }

        #[test]
        fn rows_without_key_differ_by_how_often_they_are_there(
            mut source in vec(vec(cell(), 1), 0..12),
            mut target in vec(vec(cell(), 1), 0..12),
        ) {
            source.sort();
            target.sort();
            let count = |rows: &[Cells], row: &Cells| rows.iter().filter(|other| *other == row).count();
            let (found, _) = merged(source.clone(), target.clone(), &[0], 1);
            for row in source.iter().chain(&target) {
                let (there, here) = (count(&source, row), count(&target, row));
                let times = |kind| found.iter().filter(|(found, key)| (*found, key) == (kind, row)).count();
                prop_assert_eq!(times(Found::Missing), there.saturating_sub(here));
                prop_assert_eq!(times(Found::Extra), here.saturating_sub(there));
                prop_assert_eq!(times(Found::Changed), 0);
            }
        }

        #[test]
        fn a_stream_in_another_order_never_hides_a_difference(
            source in keyed(),
            target in keyed(),
            places in vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut shuffled = listed(&target);
            for (at, place) in places.iter().enumerate().take(shuffled.len()) {
                let other = place.index(shuffled.len());
                shuffled.swap(at, other);
            }
            let (found, _) = merged(listed(&source), shuffled, &[2, 0], 3);
            for (key, value) in &source {
                let seen = found.iter().any(|(_, found)| found == key);
                prop_assert!(target.get(key) == Some(value) || seen, "{:?} was passed over", key);
            }
            for key in target.keys().filter(|key| !source.contains_key(*key)) {
                prop_assert!(found.iter().any(|(_, found)| found == key), "{:?} was passed over", key);
            }
        }
    }
}
