//! The history of table schemas: ids, the newest version of each table, and the records that keep them.
//!
//! A new version's lock-file entry is on disk before anyone sees its numbers. The order of locks: `numbering` is held
//! while the lock file is written, `published` only for a look-up or an insert, so readers never wait for a disk.

use super::error::Error;
use super::lockfile;
use super::record::{Unreadable, seal, unseal};
use super::registry::{Registry, Table, TableKey, value_type, write_table};
use crate::model::name::{SystemName, TableName};
use crate::model::schema::{Column, ColumnShape, Identity, SchemaId, TableSchema, TableShape};
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub(super) struct Schemas {
    lock_file: PathBuf,
    numbering: Mutex<Registry>,
    published: RwLock<Published>,
}

#[derive(Default)]
struct Published {
    history: HashMap<SchemaId, Arc<TableSchema>>,
    current: BTreeMap<TableKey, Arc<TableSchema>>,
    newest: u32,
}

/// A schema version on its way to the journal, as the records that keep it.
pub(super) struct NewSchema {
    pub schema: Arc<TableSchema>,
    pub key: TableKey,
    pub table: Table,
}

impl NewSchema {
    pub(super) fn schema_record(&self) -> Vec<u8> {
        write_schema(&self.schema)
    }

    pub(super) fn table_record(&self) -> Vec<u8> {
        write_table(&self.key, &self.table)
    }
}

impl Schemas {
    /// `history` in ascending order of ids.
    pub(super) fn new(lock_file: PathBuf, registry: Registry, history: Vec<TableSchema>) -> Self {
        let mut published = Published::default();
        history.into_iter().for_each(|schema| published.add(Arc::new(schema)));
        Self { lock_file, numbering: Mutex::new(registry), published: RwLock::new(published) }
    }

    pub(super) fn get(&self, id: SchemaId) -> Option<Arc<TableSchema>> {
        self.published().history.get(&id).cloned()
    }

    pub(super) fn current(&self) -> Vec<Arc<TableSchema>> {
        self.published().current.values().cloned().collect()
    }

    /// The newest version of one table.
    pub(super) fn current_of(&self, system: &SystemName, table: &TableName) -> Option<Arc<TableSchema>> {
        self.published().current.get(&(system.clone(), table.clone())).cloned()
    }

    /// The newest version, if it still has that shape.
    pub(super) fn unchanged(&self, system: &SystemName, shape: &TableShape) -> Option<Arc<TableSchema>> {
        self.current_of(system, &shape.name).filter(|newest| newest.has_shape(shape))
    }

    /// The version for each of `shapes`, which are of different tables. New ones are written to the lock file, all at once, then
    /// handed to `record`, then seen by others. Blocking.
    ///
    /// # Errors
    /// [`Error::Refused`] when the lock file cannot be written; what `record` gives.
    pub(super) fn describe(
        &self,
        system: &SystemName,
        shapes: &[TableShape],
        record: impl FnOnce(Vec<NewSchema>) -> Result<(), Error>,
    ) -> Result<Vec<Arc<TableSchema>>, Error> {
        let mut numbering = self.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |shape: &&TableShape| self.unchanged(system, shape).is_none();
        let new_shapes: Vec<_> = shapes.iter().filter(is_new).collect();
        let tables = numbering.number(system, &new_shapes);
        let mut newest = self.published().newest;
        let mut new = Vec::with_capacity(tables.len());
        for (shape, table) in new_shapes.into_iter().zip(tables) {
            newest = newest.saturating_add(1);
            let schema = Arc::new(version(SchemaId(newest), system, shape, &table));
            new.push(NewSchema { schema, key: (system.clone(), shape.name.clone()), table });
        }
        if new.iter().any(|new| numbering.tables.get(&new.key) != Some(&new.table)) {
            let mut registry = numbering.clone();
            registry.tables.extend(new.iter().map(|new| (new.key.clone(), new.table.clone())));
            lockfile::write(&self.lock_file, &registry)?;
            *numbering = registry;
        }
        let schemas: Vec<_> = new.iter().map(|new| Arc::clone(&new.schema)).collect();
        if !new.is_empty() {
            record(new)?;
            let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
            schemas.into_iter().for_each(|schema| published.add(schema));
        }
        let described = |shape| self.unchanged(system, shape).expect("it was just published, under the lock");
        Ok(shapes.iter().map(described).collect())
    }
    fn published(&self) -> std::sync::RwLockReadGuard<'_, Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version(id: SchemaId, system: &SystemName, shape: &TableShape, table: &Table) -> TableSchema {
    TableSchema {
        id,
        system: system.clone(),
        name: shape.name.clone(),
        identity: shape.identity,
        columns: table.columns_of(shape).expect("`table` was numbered for `shape`"),
        type_name: Arc::clone(&table.type_name),
        reserved: table.reserved(),
        origin: Arc::clone(&shape.origin),
    }
}

impl Published {
    fn add(&mut self, schema: Arc<TableSchema>) {
        self.newest = self.newest.max(schema.id.0);
        self.current.insert((schema.system.clone(), schema.name.clone()), Arc::clone(&schema));
        self.history.insert(schema.id, schema);
    }
}

#[derive(Clone, PartialEq, Message)]
struct SchemaFields {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    system: String,
    #[prost(string, tag = "3")]
    schema: String,
    #[prost(string, tag = "4")]
    table: String,
    /// 1 key, 2 full, 3 nothing.
    #[prost(uint32, tag = "5")]
    identity: u32,
    #[prost(message, repeated, tag = "6")]
    columns: Vec<ColumnFields>,
    #[prost(string, tag = "7")]
    type_name: String,
    #[prost(uint32, repeated, tag = "8")]
    reserved: Vec<u32>,
    #[prost(string, tag = "9")]
    origin: String,
}

#[derive(Clone, PartialEq, Message)]
struct ColumnFields {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    value_type: u32,
    #[prost(string, tag = "3")]
    declared_type: String,
    #[prost(bool, tag = "4")]
    key: bool,
    #[prost(uint32, tag = "5")]
    number: u32,
    #[prost(string, tag = "6")]
    field: String,
}

fn write_schema(schema: &TableSchema) -> Vec<u8> {
    let columns = schema.columns.iter().map(|column| ColumnFields {
        name: column.shape.name.to_string(),
        value_type: u32::from(column.shape.value_type.number()),
        declared_type: column.shape.declared_type.to_string(),
        key: column.shape.key,
        number: column.number,
        field: column.field.to_string(),
    });
    seal(&SchemaFields {
        id: schema.id.0,
        system: schema.system.to_string(),
        schema: schema.name.schema.to_string(),
        table: schema.name.table.to_string(),
        identity: match schema.identity {
            Identity::Key => 1,
            Identity::Full => 2,
            Identity::Nothing => 3,
        },
        columns: columns.collect(),
        type_name: schema.type_name.to_string(),
        reserved: schema.reserved.clone(),
        origin: schema.origin.to_string(),
    })
}

pub(super) fn read_schema(value: &[u8]) -> Result<TableSchema, Unreadable> {
    let fields: SchemaFields = unseal(value)?;
    let columns = fields.columns.into_iter().map(|column| {
        let shape = ColumnShape {
            name: column.name.into(),
            value_type: value_type(column.value_type)?,
            declared_type: column.declared_type.into(),
            key: column.key,
        };
        Ok(Column { shape, number: column.number, field: column.field.into() })
    });
    Ok(TableSchema {
        id: SchemaId(fields.id),
        system: SystemName::recorded(&fields.system).map_err(|_| Unreadable::Fields)?,
        name: TableName::new(&fields.schema, &fields.table),
        identity: match fields.identity {
            1 => Identity::Key,
            2 => Identity::Full,
            3 => Identity::Nothing,
            _ => return Err(Unreadable::Fields),
        },
        columns: columns.collect::<Result<_, _>>()?,
        type_name: fields.type_name.into(),
        reserved: fields.reserved,
        origin: fields.origin.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value_type::{Scalar, ValueType};

    #[test]
    fn a_schema_record_is_what_it_always_was() {
        let shape = ColumnShape {
            name: "a".into(),
            value_type: ValueType::Scalar(Scalar::Int64),
            declared_type: "bigint".into(),
            key: true,
        };
        let schema = TableSchema {
            id: SchemaId(2),
            system: SystemName::new("crm").expect("a name"),
            name: TableName::new("p", "t"),
            identity: Identity::Full,
            columns: vec![Column { shape, number: 5, field: "a".into() }],
            type_name: "x.T".into(),
            reserved: vec![1, 300],
            origin: "".into(),
        };
        let value = write_schema(&schema);
        let expected = b"\x01\x08\x02\x12\x03crm\x1a\x01p\x22\x01t\x28\x02\x32\x14\x0a\x01a\x10\x03\x1a\x06bigint\x20\x01\x28\x05\x32\x01a\x3a\x03x.T\x42\x03\x01\xac\x02";
        assert_eq!(value, expected);
        assert_eq!(read_schema(&value), Ok(schema));
    }
}
