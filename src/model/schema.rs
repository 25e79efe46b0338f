//! What a table looked like at a place in its source's log.
//!
//! A decoder sees a [`TableShape`]; the journal gives it an id, field numbers and protobuf names and it becomes a
//! [`TableSchema`], one version of the table's history. Surprise: a schema is never changed. A table that changes gets
//! another one, and rows keep pointing at the version they were written under.

use super::name::{SystemName, TableName};
use super::value_type::ValueType;
use std::sync::Arc;

/// One version of one table's schema: dense, never reused, from 1, for all tables together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SchemaId(pub u32);

/// What the source logs of a row's previous image on UPDATE and DELETE.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Identity {
    /// The key's columns (`Column::key`).
    Key,
    /// Every column.
    Full,
    /// Nothing: only inserts and truncates travel.
    Nothing,
}

/// A column as the source describes it.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct ColumnShape {
    /// The database's own name.
    pub name: Arc<str>,
    pub value_type: ValueType,
    /// As the server prints it: `numeric(12,2)`, `character varying(40)`, `mood[]`.
    pub declared_type: Arc<str>,
    /// Part of what identifies a row.
    pub key: bool,
}

/// A table as the source describes it, columns in the order in which its rows carry them.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct TableShape {
    pub name: TableName,
    pub identity: Identity,
    pub columns: Vec<ColumnShape>,
    /// Of an entity: stands for the contract that it is made by. Empty for tables of a source.
    pub origin: Arc<str>,
}

/// A column with its place in the typed message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    pub shape: ColumnShape,
    /// Field number, 1..=18,999 and 20,000..=536,870,911. A dropped column's number is never given again; a column whose
    /// `value_type` changes gets a new one.
    pub number: u32,
    /// The protobuf field's name.
    pub field: Arc<str>,
}

/// One version of one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableSchema {
    pub id: SchemaId,
    pub system: SystemName,
    pub name: TableName,
    pub identity: Identity,
    /// In the order of [`TableShape::columns`].
    pub columns: Vec<Column>,
    /// The message's full name, `tailwater.<system>.<schema>.<Table>`.
    pub type_name: Arc<str>,
    /// Numbers of columns that are gone or were retyped.
    pub reserved: Vec<u32>,
    /// As [`TableShape::origin`].
    pub origin: Arc<str>,
}

impl TableSchema {
    /// `system.schema.table`, what patterns of targets and subjects match against.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.system, self.name)
    }

    /// Whether it is an entity: a table of Tailwater's own.
    pub fn is_entity(&self) -> bool {
        self.system.is_tailwater()
    }

    /// Whether a source describing `shape` still means this version.
    pub fn has_shape(&self, shape: &TableShape) -> bool {
        self.name == shape.name
            && self.identity == shape.identity
            && self.origin == shape.origin
            && self.columns.iter().map(|column| &column.shape).eq(&shape.columns)
    }
}
