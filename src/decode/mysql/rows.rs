//! Row events: which rows of which table, and each row's cells as spans of the event.
//!
//! Source: MySQL 9 libs/mysql/binlog/event/rows_event.h, sql/rpl_record.cc (`unpack_row`).

use super::event::kind;
use super::reader::{Malformed, Reader};
use super::table_map::TableMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Insert,
    Update,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows<'a> {
    pub table_id: u64,
    pub operation: Operation,
    columns: usize,
    /// A bit for each column, the lowest first: whether images have it.
    present: &'a [u8],
    /// The same of an UPDATE's new image.
    present_after: &'a [u8],
    images: &'a [u8],
    kind: u8,
}

/// `None` is null.
pub type Cell<'a> = Option<&'a [u8]>;

/// An event without a table, which closes a statement that changed nothing.
pub const NO_TABLE: u64 = 0xFF_FFFF;

impl<'a> Rows<'a> {
    pub(super) fn parse(kind: u8, mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let table_id = reader.uint(6)?;
        let _flags = reader.u16()?;
        if kind >= kind::WRITE_ROWS {
            // The length counts itself.
            let Some(extra) = reader.u16()?.checked_sub(2) else { return reader.fail("a length is no length") };
            reader.bytes(extra.into())?;
        }
        let operation = match kind {
            kind::WRITE_ROWS | kind::WRITE_ROWS_V1 => Operation::Insert,
            kind::UPDATE_ROWS | kind::UPDATE_ROWS_V1 => Operation::Update,
            _ => Operation::Delete,
        };
        let columns = reader.count()?;
        let present = reader.bytes(columns.div_ceil(8))?;
        let present_after = match operation {
            Operation::Update => reader.bytes(columns.div_ceil(8))?,
            _ => present,
        };
        Ok(Self { table_id, operation, columns, present, present_after, images: reader.rest(), kind })
    }

    /// Whether every image has each of these columns.
    pub fn have(&self, mut columns: impl Iterator<Item = usize>) -> bool {
        columns.all(|index| bit(self.present, index) && bit(self.present_after, index))
    }

    /// How many columns the images are made for.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The images, one by one; of an UPDATE the old one and the new one in turns. `left`: only so many bytes of them at the end,
    /// as [`Images::left`] gave it.
    pub fn images(&self, left: Option<usize>) -> Images<'a> {
        let before = self.operation != Operation::Insert;
        let passed = self.images.len().saturating_sub(left.unwrap_or(self.images.len()));
        let images = self.images.get(passed..).unwrap_or_default();
        Images { rows: *self, reader: Reader::new(self.kind, images), before }
    }
}

fn bit(bits: &[u8], index: usize) -> bool {
    let byte = bits.get(index / 8).copied().unwrap_or(0);
    byte.checked_shr(u32::try_from(index % 8).unwrap_or(0)).unwrap_or(0) & 1 == 1
}

pub struct Images<'a> {
    rows: Rows<'a>,
    reader: Reader<'a>,
    /// The next image is an old one.
    before: bool,
}

impl<'a> Images<'a> {
    /// Puts the next image's cells into `cells`, one for each of the table's columns; those that it does not have as null.
    /// `false` when there is none.
    ///
    /// # Errors
    /// [`Malformed`] for an image that does not fit the table.
    #[inline]
    pub fn next_into(&mut self, table: &TableMap, cells: &mut Vec<Cell<'a>>) -> Result<bool, Malformed> {
        cells.clear();
        if self.reader.is_empty() {
            return Ok(false);
        }
        if table.columns.len() != self.rows.columns {
            return self.reader.fail("the rows have another number of columns than their table");
        }
        let present = if self.before { self.rows.present } else { self.rows.present_after };
        let count = (0..self.rows.columns).filter(|index| bit(present, *index)).count();
        let nulls = self.reader.bytes(count.div_ceil(8))?;
        if count == 0 {
            return self.reader.fail("an image has no column at all");
        }
        let mut place = 0_usize;
        for (index, column) in table.columns.iter().enumerate() {
            let has = bit(present, index);
            let is_null = has && bit(nulls, place);
            place = place.saturating_add(usize::from(has));
            cells.push(if has && !is_null { Some(column.storage.take(&mut self.reader)?) } else { None });
        }
        if self.rows.operation == Operation::Update {
            self.before = !self.before;
        }
        Ok(true)
    }

    /// Bytes that were not read yet.
    pub fn left(&self) -> usize {
        self.reader.rest().len()
    }

    /// Whether an UPDATE's old image waits for its new one.
    pub fn is_half(&self) -> bool {
        self.rows.operation == Operation::Update && !self.before
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Event, Header};
    use super::super::table_map::Dialect;
    use super::super::table_map::tests::example;
    use super::*;
    use proptest::prelude::*;

    fn rows(kind: u8, body: &[u8]) -> Option<Rows<'_>> {
        let header = Header { kind, timestamp: 0, server_id: 1, size: 0, end: 0, flags: 0 };
        match Event::parse(&header, body) {
            Ok(Event::Rows(rows)) => Some(rows),
            _ => None,
        }
    }

    const UPDATE: &[u8] = b"\x07\0\0\0\0\0\x01\0\x02\0\x04\x0F\x0F\
        \x02\x01\0\0\0\x02\xFF\
        \x00\x01\0\0\0\x01x\x01\x05";

    #[test]
    fn an_update_gives_the_old_and_the_new_image_in_turns() {
        let table = TableMap::parse(&example(true), Dialect::Mysql).expect("a table map");
        let rows = rows(kind::UPDATE_ROWS, UPDATE).expect("rows");
        assert_eq!((rows.table_id, rows.operation), (7, Operation::Update));
        assert!(rows.have(0..4));
        let (mut images, mut cells) = (rows.images(None), Vec::new());
        assert_eq!(images.next_into(&table, &mut cells), Ok(true));
        assert_eq!(cells, [Some(&b"\x01\0\0\0"[..]), None, Some(b"\x02"), Some(b"\xFF")]);
        assert!(images.is_half());
        assert_eq!(images.next_into(&table, &mut cells), Ok(true));
        assert_eq!(cells, [Some(&b"\x01\0\0\0"[..]), Some(b"x"), Some(b"\x01"), Some(b"\x05")]);
        assert!(!images.is_half());
        assert_eq!((images.left(), images.next_into(&table, &mut cells)), (0, Ok(false)));
        let after_half = 1 + 4 + 1 + 1 + 1 + 1;
        assert_eq!(rows.images(Some(after_half)).left(), after_half);
    }

    #[test]
    fn an_image_without_a_column_is_noticed() {
        let rows = rows(kind::DELETE_ROWS_V1, b"\x07\0\0\0\0\0\x01\0\x04\x01\xFE\x01\0\0\0").expect("rows");
        assert!(rows.have(0..1) && !rows.have(0..4));
        let table = TableMap::parse(&example(true), Dialect::Mysql).expect("a table map");
        let mut cells = Vec::new();
        assert_eq!(rows.images(None).next_into(&table, &mut cells), Ok(true));
        assert_eq!(cells, [Some(&b"\x01\0\0\0"[..]), None, None, None]);
    }

    #[test]
    fn rows_of_another_table_or_cut_ones_are_refused() {
        let table = TableMap::parse(&example(true), Dialect::Mysql).expect("a table map");
        let other = rows(kind::DELETE_ROWS_V1, b"\x07\0\0\0\0\0\x01\0\x01\x01\xFE\x01").expect("rows");
        assert!(other.images(None).next_into(&table, &mut Vec::new()).is_err());
        let cut = rows(kind::UPDATE_ROWS, &UPDATE[..UPDATE.len() - 1]).expect("rows");
        let (mut images, mut cells) = (cut.images(None), Vec::new());
        assert_eq!(images.next_into(&table, &mut cells), Ok(true));
        assert!(images.next_into(&table, &mut cells).is_err());
    }

    proptest! {
        #[test]
        fn hostile_rows_never_panic(at in 0_usize..40, byte: u8, end in 0_usize..40, kind in 23_u8..33) {
            let table = TableMap::parse(&example(true), Dialect::Mysql).expect("a table map");
            let mut body = UPDATE.to_vec();
            let length = body.len();
            body[at % length] = byte;
            let Some(rows) = rows(kind, &body[..end.min(length)]) else { return Ok(()) };
            let (mut images, mut cells) = (rows.images(None), Vec::new());
            while let Ok(true) = images.next_into(&table, &mut cells) {}
        }
    }
}
