//! How far each table's newest copy has come, as the journal keeps it.

use super::{Unreadable, seal, unseal};
use crate::journal::copies::{CopyRecord, CopyState};
use crate::model::name::{SystemName, TableName};
use crate::model::position::Sequence;
use crate::model::schema::SchemaId;
use crate::model::time::UnixMicros;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct CopyFields {
    #[prost(string, tag = "1")]
    system: String,
    #[prost(string, tag = "2")]
    schema: String,
    #[prost(string, tag = "3")]
    table: String,
    #[prost(uint64, tag = "4")]
    copy: u64,
    #[prost(uint32, tag = "5")]
    state: u32,
    #[prost(bool, tag = "6")]
    again: bool,
    #[prost(uint64, tag = "7")]
    begin: u64,
    #[prost(string, repeated, tag = "8")]
    last_key: Vec<String>,
    #[prost(uint64, tag = "9")]
    rows: u64,
    #[prost(uint64, tag = "10")]
    bytes: u64,
    #[prost(uint64, tag = "11")]
    rows_estimate: u64,
    #[prost(sint64, tag = "12")]
    started: i64,
    #[prost(sint64, tag = "13")]
    finished: i64,
    /// 0: none.
    #[prost(uint32, tag = "14")]
    schema_id: u32,
    #[prost(message, repeated, tag = "15")]
    to_read_again: Vec<KeyFields>,
    #[prost(bool, tag = "16")]
    anew: bool,
    #[prost(string, tag = "17")]
    relation: String,
    #[prost(string, tag = "18")]
    why: String,
    #[prost(string, tag = "19")]
    key_order: String,
}

#[derive(Clone, PartialEq, Message)]
struct KeyFields {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

pub fn write_copy(record: &CopyRecord) -> Vec<u8> {
    seal(&CopyFields {
        system: record.system.as_str().to_owned(),
        schema: record.table.schema.to_string(),
        table: record.table.table.to_string(),
        copy: record.copy,
        state: record.state as u32,
        again: record.again,
        begin: record.begin.0,
        last_key: record.last_key.clone(),
        rows: record.rows,
        bytes: record.bytes,
        rows_estimate: record.rows_estimate,
        started: record.started.0,
        finished: record.finished.0,
        schema_id: record.schema.map_or(0, |id| id.0),
        to_read_again: record.to_read_again.iter().map(|key| KeyFields { values: key.clone() }).collect(),
        anew: record.anew,
        relation: record.relation.clone(),
        why: record.why.clone(),
        key_order: record.key_order.clone(),
    })
}

pub fn read_copy(value: &[u8]) -> Result<CopyRecord, Unreadable> {
    let fields: CopyFields = unseal(value)?;
    Ok(CopyRecord {
        system: SystemName::recorded(&fields.system).map_err(|_| Unreadable::Fields)?,
        table: TableName::new(&fields.schema, &fields.table),
        copy: fields.copy,
        state: CopyState::from_number(fields.state).ok_or(Unreadable::Fields)?,
        again: fields.again,
        begin: Sequence(fields.begin),
        last_key: fields.last_key,
        rows: fields.rows,
        bytes: fields.bytes,
        rows_estimate: fields.rows_estimate,
        started: UnixMicros(fields.started),
        finished: UnixMicros(fields.finished),
        schema: (fields.schema_id > 0).then_some(SchemaId(fields.schema_id)),
        to_read_again: fields.to_read_again.into_iter().map(|key| key.values).collect(),
        anew: fields.anew,
        relation: fields.relation,
        why: fields.why,
        key_order: fields.key_order,
    })
}
