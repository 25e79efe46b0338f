//! The tables of a stream, as its Schema frames describe them.

use crate::model::name::TableName;
use crate::wire::api::{DESCRIPTORS, v1};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use std::collections::HashMap;

/// One version of one table.
pub(super) struct Table {
    /// The type of its rows.
    pub message: MessageDescriptor,
    /// `erp.public.orders`.
    pub name: String,
    /// The fields of its key, in key order.
    pub key: Vec<String>,
}

impl Table {
    /// A field's name in the JSON form, which is the column's own, by its number; the number itself for one that the
    /// schema does not know.
    pub fn field(&self, number: u32) -> String {
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
        let name = format!("{}.{}", schema.system, TableName::new(&schema.schema, &schema.table));
        let mut table = Table { message, name, key: Vec::new() };
        table.key = schema.key.iter().map(|number| table.field(*number)).collect();
        self.tables.insert(schema.id, table);
        Ok(())
    }

    /// # Errors
    /// The server did not send it.
    pub fn get(&self, id: u32) -> Result<&Table, String> {
        self.tables.get(&id).ok_or_else(|| format!("no schema {id} was sent"))
    }
}
