//! Names and numbers of every table that was ever captured, and the rule by which they are given.
//!
//! A column keeps its number as long as its name and its value type stay. A dropped or retyped column's number is gone
//! for ever; the same name coming back gets a new one, because clients read numbers, not names. Pure: no I/O.

use super::record::{Unreadable, seal, unseal};
use crate::model::name::{SystemName, TableName};
use crate::model::schema::{Column, ColumnShape, TableShape};
use crate::model::value_type::ValueType;
use crate::wire::naming;
use prost::Message;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Numbers that protobuf keeps for itself.
const FORBIDDEN: std::ops::RangeInclusive<u32> = 19_000..=19_999;

pub(super) type TableKey = (SystemName, TableName);

/// One table's names and numbers, living and gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Table {
    /// The message's full name. Never changes.
    pub type_name: Arc<str>,
    /// By number, ascending.
    pub columns: Vec<NumberedColumn>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NumberedColumn {
    pub name: Arc<str>,
    pub value_type: ValueType,
    pub number: u32,
    pub field: Arc<str>,
    /// Dropped or retyped columns are not; their numbers stay reserved.
    pub living: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Registry {
    pub tables: BTreeMap<TableKey, Table>,
}

impl Registry {
    /// The tables' names and numbers once each looks like its shape. The registry itself stays as it is.
    pub(super) fn number(&self, system: &SystemName, shapes: &[&TableShape]) -> Vec<Table> {
        let known = |shape: &TableShape| self.tables.get(&(system.clone(), shape.name.clone()));
        // Two schemas can escape to one package, so every table of the system counts.
        let mut taken = HashSet::new();
        if shapes.iter().any(|shape| known(shape).is_none()) {
            let own = self.tables.iter().filter(|((other, _), _)| other == system);
            taken.extend(own.map(|(_, table)| naming::folded(&table.type_name)));
        }
        let number = |shape: &&TableShape| {
            let mut table = known(shape).cloned().unwrap_or_else(|| Table::new(system, &shape.name, &mut taken));
            table.take(shape);
            table
        };
        shapes.iter().map(number).collect()
    }
}

impl Table {
    /// `taken`: the [folded](naming::folded) names of the system's messages.
    fn new(system: &SystemName, name: &TableName, taken: &mut HashSet<String>) -> Self {
        let package = if system.is_tailwater() {
            format!("tailwater.{}", name.schema)
        } else {
            naming::package(system.as_str(), &name.schema)
        };
        let is_taken = |message: &str| taken.contains(&naming::folded(&format!("{package}.{message}")));
        let type_name = format!("{package}.{}", naming::message(&name.table, &is_taken));
        taken.insert(naming::folded(&type_name));
        Self { type_name: type_name.into(), columns: Vec::new() }
    }

    /// What it is once it looks like `shape`.
    fn take(&mut self, shape: &TableShape) {
        for column in &mut self.columns {
            column.living = column.living && shape.columns.iter().any(|shape| column.is(shape));
        }
        for column in &shape.columns {
            self.add_missing(column);
        }
    }

    /// The columns of `shape` with their numbers, in its order; `None` unless [`Registry::number`] numbered that shape.
    pub(super) fn columns_of(&self, shape: &TableShape) -> Option<Vec<Column>> {
        let column = |shape: &ColumnShape| {
            let numbered = self.columns.iter().find(|column| column.living && column.is(shape))?;
            Some(Column { shape: shape.clone(), number: numbered.number, field: Arc::clone(&numbered.field) })
        };
        shape.columns.iter().map(column).collect()
    }

    pub(super) fn reserved(&self) -> Vec<u32> {
        self.columns.iter().filter(|column| !column.living).map(|column| column.number).collect()
    }

    fn add_missing(&mut self, shape: &ColumnShape) {
        if self.columns.iter().any(|column| column.living && column.is(shape)) {
            return;
        }
        let number = self.next_number();
        let taken = |field: &str| self.columns.iter().any(|column| naming::meet(&column.field, field));
        let field = naming::field(&shape.name, number, &taken).into();
        let name = Arc::clone(&shape.name);
        self.columns.push(NumberedColumn { name, value_type: shape.value_type, number, field, living: true });
    }

    /// One more than was ever used.
    fn next_number(&self) -> u32 {
        let next = self.columns.iter().map(|column| column.number).max().unwrap_or(0).saturating_add(1);
        if FORBIDDEN.contains(&next) { FORBIDDEN.end().saturating_add(1) } else { next }
    }
}

impl NumberedColumn {
    fn is(&self, shape: &ColumnShape) -> bool {
        self.name == shape.name && self.value_type == shape.value_type
    }
}

#[derive(Clone, PartialEq, Message)]
struct TableFields {
    #[prost(string, tag = "1")]
    system: String,
    #[prost(string, tag = "2")]
    schema: String,
    #[prost(string, tag = "3")]
    table: String,
    #[prost(string, tag = "4")]
    type_name: String,
    #[prost(message, repeated, tag = "5")]
    columns: Vec<ColumnFields>,
}

#[derive(Clone, PartialEq, Message)]
struct ColumnFields {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    value_type: u32,
    #[prost(uint32, tag = "3")]
    number: u32,
    #[prost(string, tag = "4")]
    field: String,
    #[prost(bool, tag = "5")]
    gone: bool,
}

pub(super) fn write_table((system, name): &TableKey, table: &Table) -> Vec<u8> {
    let columns = table.columns.iter().map(|column| ColumnFields {
        name: column.name.to_string(),
        value_type: u32::from(column.value_type.number()),
        number: column.number,
        field: column.field.to_string(),
        gone: !column.living,
    });
    seal(&TableFields {
        system: system.to_string(),
        schema: name.schema.to_string(),
        table: name.table.to_string(),
        type_name: table.type_name.to_string(),
        columns: columns.collect(),
    })
}

pub(super) fn read_table(value: &[u8]) -> Result<(TableKey, Table), Unreadable> {
    let fields: TableFields = unseal(value)?;
    let system = SystemName::recorded(&fields.system).map_err(|_| Unreadable::Fields)?;
    let columns = fields.columns.into_iter().map(|column| {
        Ok(NumberedColumn {
            name: column.name.into(),
            value_type: value_type(column.value_type)?,
            number: column.number,
            field: column.field.into(),
            living: !column.gone,
        })
    });
    let table = Table { type_name: fields.type_name.into(), columns: columns.collect::<Result<_, _>>()? };
    Ok(((system, TableName::new(&fields.schema, &fields.table)), table))
}

pub(super) fn value_type(number: u32) -> Result<ValueType, Unreadable> {
    u8::try_from(number).ok().and_then(ValueType::from_number).ok_or(Unreadable::Fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schema::Identity;
    use crate::model::value_type::Scalar;

    fn shape(table: &str, columns: &[(&str, Scalar)]) -> TableShape {
        let column = |(name, scalar): &(&str, Scalar)| ColumnShape {
            name: (*name).into(),
            value_type: ValueType::Scalar(*scalar),
            declared_type: "".into(),
            key: false,
        };
        let columns = columns.iter().map(column).collect();
        TableShape { name: TableName::new("public", table), identity: Identity::Key, columns, origin: "".into() }
    }

    fn numbers(registry: &mut Registry, shape: &TableShape) -> Vec<u32> {
        let system = SystemName::new("crm").expect("a name");
        let table = registry.number(&system, &[shape]).remove(0);
        let columns = table.columns_of(shape).expect("it was just numbered");
        registry.tables.insert((system, shape.name.clone()), table);
        columns.iter().map(|column| column.number).collect()
    }

    #[test]
    fn a_number_stays_with_name_and_type_and_is_never_given_again() {
        use Scalar::{Int32, String};
        let mut registry = Registry::default();
        assert_eq!(numbers(&mut registry, &shape("t", &[("a", Int32), ("b", String)])), [1, 2]);
        assert_eq!(numbers(&mut registry, &shape("t", &[("b", String), ("a", Int32)])), [2, 1], "order is nothing");
        assert_eq!(numbers(&mut registry, &shape("t", &[("a", String), ("b", String)])), [3, 2], "retyped");
        assert_eq!(numbers(&mut registry, &shape("t", &[("b", String)])), [2], "dropped");
        assert_eq!(numbers(&mut registry, &shape("t", &[("a", String), ("b", String)])), [4, 2], "come back");
        let table = registry.tables.values().next().expect("one table");
        assert_eq!(table.reserved(), [1, 3]);
        let fields: std::collections::HashSet<_> = table.columns.iter().map(|column| &column.field).collect();
        assert_eq!(fields.len(), 4, "field names are never shared either");
    }

    #[test]
    fn protobufs_own_numbers_are_skipped() {
        let mut registry = Registry::default();
        numbers(&mut registry, &shape("t", &[("a", Scalar::Int32)]));
        let table = registry.tables.values_mut().next().expect("one table");
        table.columns[0].number = 18_999;
        assert_eq!(
            numbers(&mut registry, &shape("t", &[("a", Scalar::Int32), ("b", Scalar::Int32)])),
            [18_999, 20_000]
        );
    }

    #[test]
    fn two_tables_that_escape_alike_get_two_messages() {
        let mut registry = Registry::default();
        for name in ["order_lines", "Order Lines"] {
            numbers(&mut registry, &shape(name, &[("a", Scalar::Int32)]));
        }
        let names: std::collections::HashSet<_> = registry.tables.values().map(|table| &table.type_name).collect();
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn a_table_record_is_what_it_always_was() {
        let column = NumberedColumn {
            name: "a".into(),
            value_type: ValueType::Array(Scalar::Int32),
            number: 3,
            field: "a".into(),
            living: false,
        };
        let key = (SystemName::new("crm").expect("a name"), TableName::new("p", "t"));
        let table = Table { type_name: "x.T".into(), columns: vec![column] };
        let value = write_table(&key, &table);
        assert_eq!(
            value,
            b"\x01\x0a\x03crm\x12\x01p\x1a\x01t\x22\x03x.T\x2a\x0d\x0a\x01a\x10\x82\x01\x18\x03\x22\x01a\x28\x01"
        );
        assert_eq!(read_table(&value), Ok((key, table)));
    }
}
