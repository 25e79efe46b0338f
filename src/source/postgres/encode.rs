//! Decoded tuples to `tailwater.v1.Changes` in wire form: the hot path.
//!
//! A row goes from the server's text straight to protobuf bytes, once, by a plan compiled per schema version. Nothing is
//! allocated for a row once the buffers have grown.

use super::cell::{Arrays, write_array, write_scalar};
use crate::decode::postgres::message::{Cell, Old, Tuple};
use crate::model::schema::TableSchema;
use crate::model::value_type::{Scalar, ValueType};
use crate::source::buffer::shrink;
use crate::wire::api::v1::Op;
use crate::wire::varint::{LENGTH_DELIMITED, put_bytes, put_number, put_tag, put_varint, varint_len};
use bytes::Bytes;
use std::sync::Arc;

/// Field numbers of `tailwater.v1.Changes` and `Change`.
mod field {
    pub const CHANGES: u32 = 1;
    pub const SCHEMA_ID: u32 = 1;
    pub const OP: u32 = 2;
    pub const ORDINAL: u32 = 3;
    pub const AFTER: u32 = 4;
    pub const BEFORE: u32 = 5;
    pub const UNCHANGED: u32 = 6;
    pub const BEFORE_UNKNOWN: u32 = 7;
    pub const UPDATED: u32 = 8;
    pub const UPDATED_FIELDS: u32 = 1;
    pub const TRUNCATE: u32 = 9;
    pub const TRUNCATE_CASCADE: u32 = 1;
    pub const TRUNCATE_RESTART_IDENTITY: u32 = 2;
}

/// How to write one schema version's rows.
pub struct TablePlan {
    pub schema: Arc<TableSchema>,
    columns: Vec<ColumnPlan>,
    /// `schema_id` and `op`, by [`Op`] number.
    prefixes: [Vec<u8>; 6],
    /// `before_unknown` of a change whose old row is only a key.
    before_unknown: Vec<u8>,
}

struct ColumnPlan {
    number: u32,
    value_type: ValueType,
    key: bool,
}

impl TablePlan {
    pub fn new(schema: Arc<TableSchema>) -> Self {
        let columns = schema.columns.iter().map(|column| ColumnPlan {
            number: column.number,
            value_type: column.shape.value_type,
            key: column.shape.key,
        });
        let not_key = schema.columns.iter().filter(|column| !column.shape.key).map(|column| column.number);
        let mut before_unknown = Vec::new();
        put_packed(&mut before_unknown, field::BEFORE_UNKNOWN, &not_key.collect::<Vec<_>>());
        Self { columns: columns.collect(), prefixes: prefixes(&schema), before_unknown, schema }
    }

    /// The new key of a row that moved while some of its columns stayed, which the server left out; as the server's text, in
    /// the order of the columns. `None`: it did not move, or everything is known.
    pub fn moved_key<'a>(&self, old: Old<'a>, new: Tuple<'a>) -> Option<Vec<&'a [u8]>> {
        let Old::Key(old) = old else { return None };
        if !new.cells().any(|cell| cell == Cell::Unchanged) {
            return None;
        }
        let cells = self.columns.iter().zip(old.cells().zip(new.cells())).filter(|(column, _)| column.key);
        let key = cells.map(|(_, (before, after))| match if after == Cell::Unchanged { before } else { after } {
            Cell::Text(text) => Some(text),
            Cell::Null | Cell::Unchanged => None,
        });
        key.collect()
    }

    #[cold]
    fn error(&self, column: usize, what: &'static str) -> CellError {
        let column = self.schema.columns.get(column).map(|column| column.shape.name.to_string());
        CellError { table: self.schema.full_name(), column: column.unwrap_or_default(), what, row: String::new() }
    }

    /// Which row it is, by those parts of its key that are whole numbers: other values are for nobody to read.
    #[cold]
    pub fn named<'a>(&self, cells: impl Iterator<Item = Option<&'a [u8]>>) -> String {
        let is_number = |column: &ColumnPlan| {
            column.key && matches!(column.value_type, ValueType::Scalar(Scalar::Int32 | Scalar::Int64))
        };
        let cells = self.columns.iter().zip(&self.schema.columns).zip(cells);
        let parts = cells.filter(|((column, _), _)| is_number(column)).filter_map(|((_, column), cell)| {
            let number: i64 = std::str::from_utf8(cell?).ok()?.parse().ok()?;
            Some(format!("{} = {number}", column.shape.name))
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

fn prefixes(schema: &TableSchema) -> [Vec<u8>; 6] {
    [Op::Unspecified, Op::Insert, Op::Update, Op::Delete, Op::Truncate, Op::Read].map(|op| {
        let mut prefix = Vec::new();
        put_number(&mut prefix, field::SCHEMA_ID, schema.id.0.into());
        put_number(&mut prefix, field::OP, op as u64);
        prefix
    })
}

/// A cell that is not what its type promises. Its table halts: guessing would be lying.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column} of {table}: {what}{}{row}", if row.is_empty() { "" } else { "; in the row with " })]
pub struct CellError {
    pub table: String,
    /// Empty when the row as a whole does not fit.
    pub column: String,
    pub what: &'static str,
    /// See [`TablePlan::named`].
    pub row: String,
}

/// Collects changes into one chunk.
#[derive(Default)]
pub struct ChunkEncoder {
    chunk: Vec<u8>,
    row: Row,
}

/// The change being put together; kept between changes for its buffers.
#[derive(Default)]
struct Row {
    after: Vec<u8>,
    before: Vec<u8>,
    /// Everything behind `after` and `before`.
    lists: Vec<u8>,
    numbers: Vec<u32>,
    updated: Vec<u32>,
    arrays: Arrays,
}

impl Row {
    fn clear(&mut self) {
        self.after.clear();
        self.before.clear();
        self.lists.clear();
        self.numbers.clear();
        self.updated.clear();
    }
}

impl ChunkEncoder {
    /// # Errors
    /// [`CellError`]; the chunk then holds what it held before.
    pub fn insert(&mut self, plan: &TablePlan, ordinal: u64, new: Tuple<'_>) -> Result<(), CellError> {
        self.row.clear();
        self.row.write_after(plan, new)?;
        self.put(plan, Op::Insert, ordinal, true, false);
        Ok(())
    }

    /// # Errors
    /// [`CellError`]; the chunk then holds what it held before.
    pub fn update(&mut self, plan: &TablePlan, ordinal: u64, old: Old<'_>, new: Tuple<'_>) -> Result<(), CellError> {
        self.row.clear();
        match old {
            Old::Absent => self.row.write_after(plan, new)?,
            Old::Key(key) => {
                self.row.write_before_key(plan, key)?;
                self.row.write_after_completed(plan, key, new, |column| column.key)?;
                self.row.lists.extend_from_slice(&plan.before_unknown);
            }
            Old::Full(old) => {
                self.row.write_before_full(plan, old)?;
                self.row.write_after_completed(plan, old, new, |_| true)?;
                self.row.write_updated();
            }
        }
        self.put(plan, Op::Update, ordinal, true, old != Old::Absent);
        Ok(())
    }

    /// # Errors
    /// [`CellError`]; the chunk then holds what it held before.
    pub fn delete(&mut self, plan: &TablePlan, ordinal: u64, old: Old<'_>) -> Result<(), CellError> {
        self.row.clear();
        match old {
            Old::Absent => {}
            Old::Key(key) => {
                self.row.write_before_key(plan, key)?;
                self.row.lists.extend_from_slice(&plan.before_unknown);
            }
            Old::Full(old) => self.row.write_before_full(plan, old)?,
        }
        self.put(plan, Op::Delete, ordinal, false, old != Old::Absent);
        Ok(())
    }

    /// A row of a copy, its `columns` cells in the order of the plan's schema.
    ///
    /// # Errors
    /// [`CellError`]; the chunk then holds what it held before.
    pub fn read<'a>(
        &mut self,
        plan: &TablePlan,
        ordinal: u64,
        columns: usize,
        cells: impl Iterator<Item = Option<&'a [u8]>>,
    ) -> Result<(), CellError> {
        self.row.clear();
        self.row.write_read(plan, columns, cells)?;
        self.put(plan, Op::Read, ordinal, true, false);
        Ok(())
    }

    pub fn truncate(&mut self, plan: &TablePlan, ordinal: u64, cascade: bool, restart_identity: bool) {
        self.row.clear();
        let mut options = Vec::new();
        put_number(&mut options, field::TRUNCATE_CASCADE, cascade.into());
        put_number(&mut options, field::TRUNCATE_RESTART_IDENTITY, restart_identity.into());
        put_bytes(&mut self.row.lists, field::TRUNCATE, &options);
        self.put(plan, Op::Truncate, ordinal, false, false);
    }

    /// Appends the change that `row` holds.
    fn put(&mut self, plan: &TablePlan, op: Op, ordinal: u64, with_after: bool, with_before: bool) {
        let Row { after, before, lists, .. } = &self.row;
        let prefix = &plan.prefixes[op as usize];
        let ordinal_len = if ordinal == 0 { 0 } else { 1 + varint_len(ordinal) };
        let part_len =
            |part: &[u8], present: bool| if present { 1 + varint_len(part.len() as u64) + part.len() } else { 0 };
        let length =
            prefix.len() + ordinal_len + part_len(after, with_after) + part_len(before, with_before) + lists.len();
        let chunk = &mut self.chunk;
        chunk.reserve(length + 16);
        put_tag(chunk, field::CHANGES, LENGTH_DELIMITED);
        put_varint(chunk, length as u64);
        chunk.extend_from_slice(prefix);
        put_number(chunk, field::ORDINAL, ordinal);
        if with_after {
            put_bytes(chunk, field::AFTER, after);
        }
        if with_before {
            put_bytes(chunk, field::BEFORE, before);
        }
        chunk.extend_from_slice(lists);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.chunk.len()
    }

    pub fn is_empty(&self) -> bool {
        self.chunk.is_empty()
    }

    /// The chunk, leaving an empty one. What one huge row needed is given back.
    pub fn take(&mut self) -> Bytes {
        let Row { after, before, lists, .. } = &mut self.row;
        [after, before, lists].into_iter().for_each(shrink);
        std::mem::take(&mut self.chunk).into()
    }
}

const WRONG_COLUMNS: &str = "the row has another number of columns than its relation";
const WRONG_TEXT: &str = "the server's text is not a value of the column's type";

impl Row {
    fn write_after(&mut self, plan: &TablePlan, new: Tuple<'_>) -> Result<(), CellError> {
        fits(plan, new)?;
        for (index, (column, cell)) in plan.columns.iter().zip(new.cells()).enumerate() {
            match cell {
                Cell::Text(text) => write(column, text, plan, index, &mut self.after, &mut self.arrays)?,
                Cell::Unchanged => self.numbers.push(column.number),
                Cell::Null => {}
            }
        }
        self.write_unchanged();
        Ok(())
    }

    fn write_read<'a>(
        &mut self,
        plan: &TablePlan,
        columns: usize,
        cells: impl Iterator<Item = Option<&'a [u8]>>,
    ) -> Result<(), CellError> {
        if columns != plan.columns.len() {
            return Err(plan.error(usize::MAX, WRONG_COLUMNS));
        }
        for (index, (column, cell)) in plan.columns.iter().zip(cells).enumerate() {
            if let Some(text) = cell {
                write(column, text, plan, index, &mut self.after, &mut self.arrays)?;
            }
        }
        Ok(())
    }

    /// As `write_after`, taking what the new row left out as unchanged from the old one where that `known` it, and noting
    /// which columns differ.
    fn write_after_completed(
        &mut self,
        plan: &TablePlan,
        old: Tuple<'_>,
        new: Tuple<'_>,
        known: impl Fn(&ColumnPlan) -> bool,
    ) -> Result<(), CellError> {
        fits(plan, new)?;
        for (index, ((column, before), after)) in plan.columns.iter().zip(old.cells()).zip(new.cells()).enumerate() {
            let after = if after == Cell::Unchanged && known(column) { before } else { after };
            if after != before {
                self.updated.push(column.number);
            }
            match after {
                Cell::Text(text) => write(column, text, plan, index, &mut self.after, &mut self.arrays)?,
                Cell::Unchanged => self.numbers.push(column.number),
                Cell::Null => {}
            }
        }
        self.write_unchanged();
        Ok(())
    }

    fn write_before_key(&mut self, plan: &TablePlan, key: Tuple<'_>) -> Result<(), CellError> {
        self.write_before(plan, key, |column| column.key)
    }

    fn write_before_full(&mut self, plan: &TablePlan, old: Tuple<'_>) -> Result<(), CellError> {
        self.write_before(plan, old, |_| true)
    }

    fn write_before(
        &mut self,
        plan: &TablePlan,
        old: Tuple<'_>,
        wanted: impl Fn(&ColumnPlan) -> bool,
    ) -> Result<(), CellError> {
        fits(plan, old)?;
        for (index, (column, cell)) in plan.columns.iter().zip(old.cells()).enumerate() {
            if let (true, Cell::Text(text)) = (wanted(column), cell) {
                write(column, text, plan, index, &mut self.before, &mut self.arrays)?;
            }
        }
        Ok(())
    }

    fn write_unchanged(&mut self) {
        if !self.numbers.is_empty() {
            put_packed(&mut self.lists, field::UNCHANGED, &self.numbers);
        }
    }

    fn write_updated(&mut self) {
        let mut set = Vec::new();
        put_packed(&mut set, field::UPDATED_FIELDS, &self.updated);
        put_bytes(&mut self.lists, field::UPDATED, &set);
    }
}

fn fits(plan: &TablePlan, tuple: Tuple<'_>) -> Result<(), CellError> {
    if usize::from(tuple.columns) == plan.columns.len() { Ok(()) } else { Err(plan.error(usize::MAX, WRONG_COLUMNS)) }
}

#[inline]
fn write(
    column: &ColumnPlan,
    text: &[u8],
    plan: &TablePlan,
    index: usize,
    out: &mut Vec<u8>,
    arrays: &mut Arrays,
) -> Result<(), CellError> {
    let declared = &plan.schema.columns[index].shape.declared_type;
    let written = match column.value_type {
        ValueType::Scalar(scalar) => write_scalar(scalar, column.number, text, declared, out),
        ValueType::Array(scalar) => write_array(scalar, column.number, text, declared, out, arrays),
    };
    written.ok_or_else(|| plan.error(index, WRONG_TEXT))
}

fn put_packed(out: &mut Vec<u8>, number: u32, values: &[u32]) {
    if values.is_empty() {
        return;
    }
    put_tag(out, number, LENGTH_DELIMITED);
    put_varint(out, values.iter().map(|value| varint_len(u64::from(*value))).sum::<usize>() as u64);
    for value in values {
        put_varint(out, u64::from(*value));
    }
}
