//! Row images to `tailwater.v1.Changes` in wire form: the hot path.
//!
//! A row goes from the log's bytes straight to protobuf bytes, once, by a plan compiled for each table as the log describes
//! it. Nothing is allocated for a row once the buffers have grown.

use super::cell::{Scratch, write_logged, write_read};
use super::copy::Now;
use crate::decode::mysql::column::Storage;
use crate::decode::mysql::rows::Cell;
use crate::decode::mysql::table_map::TableMap;
use crate::decode::mysql::types::ColumnKind;
use crate::decode::mysql::value::Value;
use crate::model::schema::TableSchema;
use crate::model::value_type::ValueType;
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
    pub const UPDATED: u32 = 8;
    pub const UPDATED_FIELDS: u32 = 1;
    pub const TRUNCATE: u32 = 9;
}

/// How to write one table's rows.
pub struct TablePlan {
    pub schema: Arc<TableSchema>,
    columns: Vec<ColumnPlan>,
}

struct ColumnPlan {
    number: u32,
    /// In an image.
    place: usize,
    storage: Storage,
    unsigned: bool,
    kind: ColumnKind,
}

impl TablePlan {
    /// `kinds` are those of the schema's columns, in its order, each with its place in the map.
    pub fn new(schema: Arc<TableSchema>, map: &TableMap, kinds: Vec<(usize, ColumnKind)>) -> Self {
        let numbers = schema.columns.iter().map(|column| column.number);
        let columns = kinds.into_iter().zip(numbers).filter_map(|((place, kind), number)| {
            let column = map.columns.get(place)?;
            Some(ColumnPlan { number, place, storage: column.storage, unsigned: column.unsigned, kind })
        });
        Self { columns: columns.collect(), schema }
    }

    /// Where in an image its columns are.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().map(|column| column.place)
    }

    #[cold]
    fn error(&self, column: u32, cells: &[Cell<'_>]) -> CellError {
        let column = self.schema.columns.iter().find(|known| known.number == column);
        let numbers = self.columns.iter().map(|column| {
            let cell = cells.get(column.place).copied().flatten()?;
            let value = Value::read(column.storage, column.unsigned, false, cell)?;
            match value {
                Value::Int(number) => Some(number.to_string()),
                Value::UInt(number) => Some(number.to_string()),
                _ => None,
            }
        });
        CellError {
            table: self.schema.full_name(),
            column: column.map(|c| c.shape.name.to_string()).unwrap_or_default(),
            row: named(&self.schema, numbers),
        }
    }
}

/// Which row it is, by those parts of its key that are whole numbers: other values are for nobody to read.
#[cold]
fn named(schema: &TableSchema, numbers: impl Iterator<Item = Option<String>>) -> String {
    let keys = schema.columns.iter().zip(numbers).filter(|(column, _)| column.shape.key);
    let parts = keys.filter_map(|(column, number)| Some(format!("{} = {}", column.shape.name, number?)));
    parts.collect::<Vec<_>>().join(", ")
}

/// A cell that is not what its type promises. Its table halts: guessing would be lying.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "column {column} of {table}: the bytes are not a value of the column's type{}{row}",
    if row.is_empty() { "" } else { "; in the row with " }
)]
pub struct CellError {
    pub table: String,
    pub column: String,
    /// Whole numbers of its key.
    pub row: String,
}

/// Collects changes into one chunk.
#[derive(Default)]
pub struct ChunkEncoder {
    chunk: Vec<u8>,
    /// The change being put together; kept between changes for its buffers.
    after: Vec<u8>,
    before: Vec<u8>,
    /// Everything behind `after` and `before`.
    lists: Vec<u8>,
    scratch: Scratch,
}

impl ChunkEncoder {
    /// # Errors
    /// [`CellError`]; the chunk then holds what it held before.
    pub fn insert(&mut self, plan: &TablePlan, ordinal: u64, new: &[Cell<'_>]) -> Result<(), CellError> {
        self.clear();
        write_image(plan, new, &mut self.scratch, &mut self.after)?;
        self.put(&plan.schema, Op::Insert, ordinal, true, false);
        Ok(())
    }

    /// # Errors
    /// [`CellError`]; the chunk then holds what it held before.
    pub fn update(
        &mut self,
        plan: &TablePlan,
        ordinal: u64,
        old: &[Cell<'_>],
        new: &[Cell<'_>],
    ) -> Result<(), CellError> {
        self.clear();
        write_image(plan, old, &mut self.scratch, &mut self.before)?;
        write_image(plan, new, &mut self.scratch, &mut self.after)?;
        // Equal values have equal bytes but where the log may cut pads or not; more may be named than differ.
        let differs = |column: &&ColumnPlan| old.get(column.place) != new.get(column.place);
        let differing = || plan.columns.iter().filter(differs).map(|column| u64::from(column.number));
        let length: usize = differing().map(varint_len).sum();
        let set_length = if length == 0 { 0 } else { 1 + varint_len(length as u64) + length };
        put_tag(&mut self.lists, field::UPDATED, LENGTH_DELIMITED);
        put_varint(&mut self.lists, set_length as u64);
        if length > 0 {
            put_tag(&mut self.lists, field::UPDATED_FIELDS, LENGTH_DELIMITED);
            put_varint(&mut self.lists, length as u64);
            differing().for_each(|number| put_varint(&mut self.lists, number));
        }
        self.put(&plan.schema, Op::Update, ordinal, true, true);
        Ok(())
    }

    /// # Errors
    /// [`CellError`]; the chunk then holds what it held before.
    pub fn delete(&mut self, plan: &TablePlan, ordinal: u64, old: &[Cell<'_>]) -> Result<(), CellError> {
        self.clear();
        write_image(plan, old, &mut self.scratch, &mut self.before)?;
        self.put(&plan.schema, Op::Delete, ordinal, false, true);
        Ok(())
    }

    /// A row of a copy, its values in the order of the schema's columns, as it is by `now`. Gives whether it still is.
    ///
    /// # Errors
    /// [`CellError`]; the chunk then holds what it held before.
    pub fn read(
        &mut self,
        schema: &TableSchema,
        ordinal: u64,
        row: &[mysql_async::Value],
        now: impl FnOnce(&[u8]) -> Now,
    ) -> Result<bool, CellError> {
        self.clear();
        let misfit = |column: &str| unreadable(schema, column, row);
        if row.len() != schema.columns.len() {
            return Err(misfit(""));
        }
        for (column, value) in schema.columns.iter().zip(row) {
            if *value == mysql_async::Value::NULL {
                continue;
            }
            let ValueType::Scalar(_) = column.shape.value_type else {
                return Err(misfit(&column.shape.name));
            };
            let modifier = modifier(&column.shape.declared_type);
            let (digits, number) = (u8::try_from(modifier).unwrap_or(0), column.number);
            let scratch = &mut self.scratch;
            write_read(column.shape.value_type, digits, modifier, number, value, scratch, &mut self.after)
                .ok_or_else(|| misfit(&column.shape.name))?;
        }
        match now(&self.after) {
            Now::Same => self.put(schema, Op::Read, ordinal, true, false),
            Now::Is(image) => self.read_image(schema, ordinal, &image),
            Now::Gone => return Ok(false),
        }
        Ok(true)
    }

    /// The same of a row that the log had.
    pub fn read_image(&mut self, schema: &TableSchema, ordinal: u64, image: &[u8]) {
        self.clear();
        self.after.extend_from_slice(image);
        self.put(schema, Op::Read, ordinal, true, false);
    }

    pub fn truncate(&mut self, schema: &TableSchema, ordinal: u64) {
        self.clear();
        // MySQL starts AUTO_INCREMENT over but truncates nothing else.
        put_bytes(&mut self.lists, field::TRUNCATE, &[]);
        self.put(schema, Op::Truncate, ordinal, false, false);
    }

    fn clear(&mut self) {
        self.after.clear();
        self.before.clear();
        self.lists.clear();
    }

    /// Appends the change that was put together.
    fn put(&mut self, schema: &TableSchema, op: Op, ordinal: u64, with_after: bool, with_before: bool) {
        let Self { chunk, after, before, lists, .. } = self;
        let number_len = |value: u64| if value == 0 { 0 } else { 1 + varint_len(value) };
        let part_len =
            |part: &[u8], present: bool| if present { 1 + varint_len(part.len() as u64) + part.len() } else { 0 };
        let (schema_id, op) = (u64::from(schema.id.0), op as u64);
        let numbers = number_len(schema_id) + number_len(op) + number_len(ordinal);
        let length = numbers + part_len(after, with_after) + part_len(before, with_before) + lists.len();
        chunk.reserve(length + 16);
        put_tag(chunk, field::CHANGES, LENGTH_DELIMITED);
        put_varint(chunk, length as u64);
        put_number(chunk, field::SCHEMA_ID, schema_id);
        put_number(chunk, field::OP, op);
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
        [&mut self.after, &mut self.before, &mut self.lists].into_iter().for_each(shrink);
        self.scratch.shrink();
        std::mem::take(&mut self.chunk).into()
    }
}

#[inline]
fn write_image(
    plan: &TablePlan,
    cells: &[Cell<'_>],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), CellError> {
    for column in &plan.columns {
        let Some(stored) = cells.get(column.place).copied().flatten() else { continue };
        let is_text = column.kind.charset.is_some();
        let value = match column.kind.disguised {
            Some(disguised) => Some(Value::Disguised(stored, disguised)),
            None => Value::read(column.storage, column.unsigned, is_text, stored),
        };
        value
            .and_then(|value| write_logged(&column.kind, column.number, value, scratch, out))
            .ok_or_else(|| plan.error(column.number, cells))?;
    }
    Ok(())
}

/// Of a row of a copy.
#[cold]
pub fn unreadable(schema: &TableSchema, column: &str, row: &[mysql_async::Value]) -> CellError {
    let number = |value: &mysql_async::Value| match value {
        mysql_async::Value::Int(number) => Some(number.to_string()),
        mysql_async::Value::UInt(number) => Some(number.to_string()),
        _ => None,
    };
    CellError { table: schema.full_name(), column: column.to_owned(), row: named(schema, row.iter().map(number)) }
}

/// The number in `datetime(3)` or `bit(11)`; 0 without one.
fn modifier(declared: &str) -> u16 {
    let inside = declared.split_once('(').map_or("", |(_, rest)| rest);
    inside.split(')').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
