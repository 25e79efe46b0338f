//! Rows as they are compared: the server's own text of each cell, byte by byte, null apart.
//!
//! Both sessions have the same settings, so a value has one text on both sides. Where rows have to be remembered,
//! digests of the bytes stand for them: memory stays bounded whatever the rows' size, and no value is kept.

use super::trouble::Trouble;
use ring::digest::{Context, SHA256, digest};
use std::ops::Range;

/// The texts of a key's columns, in key order.
pub type Key = Vec<String>;

/// A row that stays when the next one is read. Used again for the next, so that nothing is allocated for each.
#[derive(Debug, Default, Clone)]
pub struct KeptRow {
    bytes: Vec<u8>,
    cells: Vec<Option<Range<usize>>>,
}

impl KeptRow {
    pub fn keep<'a>(&mut self, cells: impl Iterator<Item = Option<&'a [u8]>>) {
        self.clear();
        cells.for_each(|cell| self.push(cell));
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
    }

    /// One cell more.
    pub fn push(&mut self, cell: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(cell.unwrap_or_default());
        self.cells.push(cell.map(|_| start..self.bytes.len()));
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn cells(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.cells.iter().map(|span| self.bytes.get(span.clone()?))
    }

    /// `None` for null.
    pub fn cell(&self, place: usize) -> Option<&[u8]> {
        let span = self.cells.get(place)?.clone()?;
        self.bytes.get(span)
    }

    /// # Errors
    /// A key that is null or not text cannot be asked for again.
    pub fn key(&self, places: &[usize]) -> Result<Key, Trouble> {
        places.iter().map(|place| key_text(self.cell(*place))).collect()
    }
}

fn key_text(cell: Option<&[u8]>) -> Result<String, Trouble> {
    let text = cell.and_then(|cell| std::str::from_utf8(cell).ok());
    text.map(str::to_owned).ok_or_else(|| Trouble::unreadable("a row's key is null or not text"))
}

/// Of a whole row. Lengths are part of it, so no two rows run together.
pub fn row_digest<'a>(cells: impl Iterator<Item = Option<&'a [u8]>>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for cell in cells {
        let length = cell.map_or(u64::MAX, |cell| cell.len() as u64);
        context.update(&length.to_be_bytes());
        context.update(cell.unwrap_or_default());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// A row as it was at one moment, small enough to keep thousands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digests of the cells; `None` for null.
    pub cells: Vec<Option<[u8; 16]>>,
    /// The transaction that wrote it, by the row's own server: another number is another version, be it equal. Empty where
    /// the server does not say.
    pub version: String,
    /// Of the same key; more than one where it is no key on that side.
    pub rows: u32,
}

impl Image {
    /// Of a row whose first cells are compared; the one after them is its version.
    pub fn of(row: &KeptRow, compared: usize) -> Self {
        let cells = row.cells().take(compared).map(|cell| cell.map(cell_digest)).collect();
        let version = row.cells().nth(compared).flatten().unwrap_or_default();
        Self { cells, version: String::from_utf8_lossy(version).into_owned(), rows: 1 }
    }

    /// Takes another row of the same key in, in whatever order they come.
    pub fn join(&mut self, other: &Self) {
        let sum = |one: Option<[u8; 16]>, other: Option<[u8; 16]>| {
            let number = |cell: Option<[u8; 16]>| cell.map_or(u128::MAX / 3, u128::from_be_bytes);
            Some(number(one).wrapping_add(number(other)).to_be_bytes())
        };
        for (own, other) in self.cells.iter_mut().zip(&other.cells) {
            *own = sum(*own, *other);
        }
        self.rows += other.rows;
        self.version = format!("{} {}", self.version, other.version);
    }

    /// Places of the cells that differ.
    pub fn differing(&self, other: &Self) -> Vec<usize> {
        let cells = self.cells.iter().zip(&other.cells).enumerate();
        cells.filter(|(_, (own, other))| own != other).map(|(place, _)| place).collect()
    }
}

fn cell_digest(cell: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    let whole = digest(&SHA256, cell);
    half.iter_mut().zip(whole.as_ref()).for_each(|(to, from)| *to = *from);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_read_alike_when_run_together_are_told_apart() {
        let rows: [&[Option<&[u8]>]; 6] = [
            &[Some(b"ab"), Some(b"c")],
            &[Some(b"a"), Some(b"bc")],
            &[Some(b"abc"), None],
            &[Some(b"abc"), Some(b"")],
            &[None, Some(b"abc")],
            &[Some(b"abc")],
        ];
        let digests: std::collections::HashSet<_> = rows.iter().map(|row| row_digest(row.iter().copied())).collect();
        assert_eq!(digests.len(), rows.len());
    }

    #[test]
    fn a_kept_row_tells_null_from_empty_and_forgets_the_one_before() {
        let mut row = KeptRow::default();
        row.keep([Some(&b"longer"[..]), Some(b"x"), Some(b"y")].into_iter());
        row.keep([None, Some(&b""[..])].into_iter());
        assert_eq!((row.cell(0), row.cell(1), row.cell(2)), (None, Some(&b""[..]), None));
        assert!(row.key(&[0]).is_err());
    }
}
