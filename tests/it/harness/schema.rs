//! Schema frames: what a subscriber needs to read the rows that name them.

use super::value;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tailwater::wire::api;

/// A row: the text of each cell that is not null, by field number.
pub type Row = BTreeMap<u32, String>;

/// One version of one table.
pub struct Schema {
    /// `system.schema.table`.
    pub table: String,
    /// Field numbers, in key order; empty: no identity.
    pub key: Vec<u32>,
    message: MessageDescriptor,
}

impl Schema {
    /// # Errors
    /// Why the frame describes no table.
    pub fn new(frame: &api::v1::Schema) -> Result<Self, String> {
        static TYPES: LazyLock<DescriptorPool> =
            LazyLock::new(|| DescriptorPool::decode(api::DESCRIPTORS).expect("the API's own descriptors are valid"));
        // A pool of its own: two versions of a table have one name.
        let mut pool = TYPES.clone();
        pool.decode_file_descriptor_proto(frame.descriptor.clone()).map_err(|error| error.to_string())?;
        let name = frame
            .type_url
            .strip_prefix("type.googleapis.com/")
            .ok_or_else(|| format!("type url {}", frame.type_url))?;
        let message = pool.get_message_by_name(name).ok_or_else(|| format!("{name} is not in its descriptor"))?;
        if let Some(number) = frame.key.iter().find(|number| message.get_field(**number).is_none()) {
            return Err(format!("key field {number} is not in {name}"));
        }
        let table = format!("{}.{}.{}", frame.system, frame.schema, frame.table);
        Ok(Self { table, key: frame.key.clone(), message })
    }

    /// Whether every column identifies the row, as under REPLICA IDENTITY FULL: rows may be there twice then.
    pub fn is_full(&self) -> bool {
        self.key.len() == self.message.fields().len()
    }

    /// # Errors
    /// Why these bytes are not a row of this table.
    pub fn row(&self, bytes: &[u8]) -> Result<Row, String> {
        let message =
            DynamicMessage::decode(self.message.clone(), bytes).map_err(|error| format!("{}: {error}", self.table))?;
        if let Some(unknown) = message.unknown_fields().next() {
            return Err(format!("{}: field {} is not in the schema", self.table, unknown.number()));
        }
        let present = message.fields().map(|(field, cell)| Ok((field.number(), value::text(cell)?)));
        present.collect()
    }

    /// The key's cells, in key order.
    pub fn key_of(&self, row: &Row) -> Vec<Option<String>> {
        self.key.iter().map(|number| row.get(number).cloned()).collect()
    }
}
