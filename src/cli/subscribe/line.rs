//! One change as one line.

use super::Format;
use super::schema::Table;
use crate::model::position::Lsn;
use crate::wire::api::types::v1::{Instant, instant};
use crate::wire::api::v1::{Begin, Change, Op, Position, position};
use crate::wire::json;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

/// The JSON form; the keys, and their order, are part of the interface.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    event_type: String,
    source_system: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<&'a str>,
    op: &'static str,
    key: Value,
    before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
    /// `null`: not known.
    updated_fields: Option<Vec<String>>,
    /// Fields left out of `after` because the update did not touch them and the source did not log them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unchanged: Vec<String>,
    /// Fields of `before` whose value the source did not log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before_unknown: Vec<String>,
    timestamp: String,
    position: String,
    /// 64 bits, hence text.
    sequence: String,
    transaction: &'a str,
    cursor: &'a str,
}

impl<'a> Line<'a> {
    /// # Errors
    /// What does not decode, for a person.
    pub fn new(change: &Change, table: &'a Table, begin: &'a Begin, cursor: &'a str) -> Result<Self, String> {
        let row = |bytes: &Option<Bytes>, without: &[String]| row(table, bytes.as_ref(), without);
        let names = |numbers: &[u32]| -> Vec<String> { numbers.iter().map(|number| table.column(*number)).collect() };
        let (unchanged, before_unknown) = (names(&change.unchanged), names(&change.before_unknown));
        let after = row(&change.after, &unchanged)?;
        let before = row(&change.before, &before_unknown)?;
        let (op, happened) = op_words(change.op());
        let happened = if table.is_entity && change.op() == Op::Insert { "created" } else { happened };
        let name = Some(table.name.as_str());
        let (of_table, entity) = if table.is_entity { (None, name) } else { (name, None) };
        Ok(Self {
            event_type: format!("{}.{happened}", table.name),
            source_system: begin.cause.as_ref().map_or(&begin.system, |cause| &cause.system),
            table: of_table,
            entity,
            op,
            key: key(table, after.as_ref().or(before.as_ref())),
            updated_fields: change.updated.as_ref().map(|updated| fields(table, &updated.fields)),
            unchanged,
            before_unknown,
            before,
            after,
            timestamp: begin.commit_time.as_ref().map(time_text).unwrap_or_default(),
            position: begin.position.as_ref().map(position_text).unwrap_or_default(),
            sequence: begin.sequence.to_string(),
            transaction: &begin.transaction,
            cursor,
        })
    }

    pub fn render(&self, format: Format) -> Result<String, String> {
        match format {
            Format::Json => serde_json::to_string(self).map_err(|error| error.to_string()),
            Format::Text => Ok(self.text()),
        }
    }

    /// `2026-06-17T14:22:00Z erp.public.orders UPDATE {"id":"7"} -> {…}`
    fn text(&self) -> String {
        let Self { timestamp, table, entity, op, key, .. } = self;
        let mut text = format!("{timestamp} {} {op}", table.or(*entity).unwrap_or_default());
        if !key.is_null() {
            text += &format!(" {key}");
        }
        if let Some(fields) = &self.updated_fields {
            text += &format!(" changed [{}]", fields.join(", "));
        }
        if let Some(after) = &self.after {
            text += &format!(" -> {}", Value::Object(after.clone()));
        }
        if !self.unchanged.is_empty() {
            text += &format!(" unchanged [{}]", self.unchanged.join(", "));
        }
        text
    }
}

/// What changed, each field once.
fn fields(table: &Table, numbers: &[u32]) -> Vec<String> {
    let mut fields: Vec<_> = numbers.iter().map(|number| table.field(*number)).collect();
    fields.dedup();
    fields
}

/// What is known of a row: a field whose value is not known is left out, so that it does not read as null.
fn row(table: &Table, bytes: Option<&Bytes>, without: &[String]) -> Result<Option<Map<String, Value>>, String> {
    let Some(bytes) = bytes else { return Ok(None) };
    let mut row = json::row(&table.message, bytes).map_err(|error| format!("{}: {error}", table.name))?;
    row.retain(|field, _| !without.contains(field));
    Ok(Some(row))
}

/// The key's fields, from what is known of the row. `null` for a table without a key, and for TRUNCATE.
fn key(table: &Table, row: Option<&Map<String, Value>>) -> Value {
    let Some(row) = row.filter(|_| !table.key.is_empty()) else { return Value::Null };
    let field = |name: &String| (name.clone(), row.get(name).cloned().unwrap_or(Value::Null));
    Value::Object(table.key.iter().map(field).collect())
}

/// The change's name, and what it makes of an event's.
fn op_words(op: Op) -> (&'static str, &'static str) {
    match op {
        Op::Unspecified => ("UNKNOWN", "unknown"),
        Op::Insert => ("INSERT", "inserted"),
        Op::Update => ("UPDATE", "updated"),
        Op::Delete => ("DELETE", "deleted"),
        Op::Truncate => ("TRUNCATE", "truncated"),
        Op::Read => ("READ", "read"),
        Op::Created => ("CREATED", "created"),
        Op::LeftScope => ("LEFT_SCOPE", "left_scope"),
    }
}

fn position_text(position: &Position) -> String {
    match &position.position {
        Some(position::Position::Postgres(postgres)) => Lsn(postgres.commit_lsn).to_string(),
        // Of a copy's step before the first transaction: where it stands in the log.
        Some(position::Position::Mysql(place) | position::Position::Mariadb(place)) if place.gtid.is_empty() => {
            format!("{}:{}", place.file, place.offset)
        }
        Some(position::Position::Mysql(place) | position::Position::Mariadb(place)) => place.gtid.clone(),
        None => String::new(),
    }
}

/// RFC 3339; seconds since 1970 for a time beyond it.
fn time_text(time: &Instant) -> String {
    let Some(instant::Kind::Seconds(seconds)) = time.kind else { return String::new() };
    let nanos = i32::try_from(time.nanos).unwrap_or_default();
    jiff::Timestamp::new(seconds, nanos).map_or_else(|_| seconds.to_string(), |timestamp| timestamp.to_string())
}
