//! The tables of a stream, as its Schema frames describe them.

use crate::model::name::{SystemName, TableName};
use crate::wire::api::{DESCRIPTORS, v1};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use std::collections::HashMap;

/// One version of one table.
pub(super) struct Table {
    /// The type of its rows.
    pub message: MessageDescriptor,
    /// `erp.public.orders`, or the entity's own.
    pub name: String,
    /// The fields of its key, in key order; of an entity also what each system calls it.
    pub key: Vec<String>,
    /// Of an entity: the field of the contract by its numbers.
    pub fields: HashMap<u32, String>,
    pub is_entity: bool,
}

impl Table {
    /// What people call a field that changed: an entity's by its contract, another's as [`Table::column`].
    pub fn field(&self, number: u32) -> String {
        self.fields.get(&number).cloned().unwrap_or_else(|| self.column(number))
    }

    /// A column's name in the JSON form, which is the column's own, by its number; the number itself for one that the
    /// schema does not know.
    pub fn column(&self, number: u32) -> String {
        self.message.get_field(number).map_or_else(|| number.to_string(), |field| field.json_name().to_owned())
    }
}

pub(super) struct Schemas {
    /// What every table's file depends on.
    types: DescriptorPool,
    tables: HashMap<u32, Table>,
}

impl Schemas {
    /// # Errors
    /// What is wrong, for a person.
    pub fn new() -> Result<Self, String> {
        let types = DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string())?;
        Ok(Self { types, tables: HashMap::new() })
    }

    /// # Errors
    /// What is wrong with the frame, for a person.
    pub fn add(&mut self, schema: &v1::Schema) -> Result<(), String> {
        // A pool of its own for each: two versions of one table have the same names.
        let mut pool = self.types.clone();
        pool.decode_file_descriptor_proto(schema.descriptor.as_ref()).map_err(|error| error.to_string())?;
        let type_name = schema.type_url.rsplit('/').next().unwrap_or_default();
        let message = pool.get_message_by_name(type_name).ok_or_else(|| format!("no message {type_name}"))?;
        let is_entity = schema.system == SystemName::tailwater().as_str();
        let name = if is_entity {
            schema.table.clone()
        } else {
            format!("{}.{}", schema.system, TableName::new(&schema.schema, &schema.table))
        };
        let named = |field: &v1::EntityField| {
            field.numbers.iter().map(|number| (*number, field.name.clone())).collect::<Vec<_>>()
        };
        let fields = schema.fields.iter().flat_map(named).collect();
        let mut table = Table { message, name, key: Vec::new(), fields, is_entity };
        table.key = schema.key.iter().chain(&schema.ids).map(|number| table.column(*number)).collect();
        self.tables.insert(schema.id, table);
        Ok(())
    }

    /// # Errors
    /// The server did not send it.
    pub fn get(&self, id: u32) -> Result<&Table, String> {
        self.tables.get(&id).ok_or_else(|| format!("no schema {id} was sent"))
    }
}
