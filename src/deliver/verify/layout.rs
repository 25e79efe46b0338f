//! One table as it lies on both sides, and how it is walked.
//!
//! Which way rows are walked depends on the key. Ranges need one order on both sides, and an index that has it: types
//! of PostgreSQL's own, and text only where it sorts by its bytes. Any other key is walked in one piece, sorted by the
//! text of its columns, which is one order everywhere but takes a sort. Rows without a key are counted.

use super::place::{self, Place};
use super::reader::{Reader, Sides};
use super::source::{Source, SourceTable};
use super::trouble::Trouble;
use crate::decode::mysql::types::value_type;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::model::value_type::{Scalar, ValueType};
use crate::source::mysql;
use crate::source::postgres::{describe, literal};
use std::collections::HashMap;

/// Tailwater's own columns of a target's table.
const OWN: [&str; 2] = [place::SEQUENCE, "_tailwater_committed_at"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    Ranges,
    /// By key, in one piece.
    Sorted,
    /// Rows without key, sorted by their texts.
    Bag,
    /// Rows without key, in no order.
    Multiset,
}

#[derive(Debug)]
pub struct Layout {
    /// Names of all that are compared, in the order in which they are read.
    pub columns: Vec<String>,
    /// Where the key's columns stand among them, in key order.
    pub key: Vec<usize>,
    pub walk: Walk,
    /// The source says of a row which version of it one sees.
    pub source_has_versions: bool,
    pub only_in_target: Vec<String>,
    pub source: Place,
    pub target: Place,
}

/// A column on one side.
#[derive(Debug)]
struct Column {
    /// Of the type under all domains; none for a type that is not PostgreSQL's own.
    builtin: Option<String>,
    /// It has no collation, or one that sorts UTF-8 by its bytes.
    sorts_by_bytes: bool,
}

const COLUMNS: &str = "SELECT a.attname, b.oid < 16384, b.typname, CASE WHEN a.attcollation = 0 THEN true \
         WHEN pg_catalog.pg_encoding_to_char(d.encoding) <> 'UTF8' THEN false \
         WHEN co.collprovider = 'c' THEN co.collcollate IN ('C', 'POSIX') \
         WHEN co.collprovider = 'd' THEN d.datcollate IN ('C', 'POSIX') \
             AND COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' \
         ELSE false END \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() \
     LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation \
     CROSS JOIN LATERAL (WITH RECURSIVE base AS ( \
         SELECT t.* FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid \
         UNION ALL SELECT t.* FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype \
             WHERE base.typtype = 'd') \
         SELECT * FROM base WHERE typtype <> 'd') b";

impl Layout {
    /// Looks at the table on both sides.
    ///
    /// # Errors
    /// [`Trouble::Table`] when the two have not the same columns.
    pub async fn look(sides: &mut Sides, table: &SourceTable, target_table: &TableName) -> Result<Self, Trouble> {
        let target = columns(&mut sides.target, target_table).await?;
        let layout = match &mut sides.source {
            Source::Postgres(reader) => of_postgres(reader, table, target_table, &target).await?,
            Source::Mysql(reader) => of_mysql(reader, table, target_table, &target).await?,
        };
        let missing: Vec<_> = layout.columns.iter().filter(|name| !target.contains_key(*name)).cloned().collect();
        if !missing.is_empty() {
            return Err(differ(format!("{target_table} in the target has no column {}", missing.join(", "))));
        }
        let known = |name: &String| layout.columns.contains(name) || OWN.contains(&name.as_str());
        let mut only_in_target: Vec<_> = target.keys().filter(|name| !known(name)).cloned().collect();
        only_in_target.sort();
        Ok(Self { only_in_target, ..layout })
    }
}

async fn of_postgres(
    reader: &mut Reader,
    table: &SourceTable,
    target_table: &TableName,
    target: &HashMap<String, Column>,
) -> Result<Layout, Trouble> {
    let name = &table.name;
    let described = reader.ask(async |connection| describe(connection, name).await).await?.ok_or_else(gone)?;
    let source = columns(reader, name).await?;
    let key = places(&described.key, &described.columns);
    let in_place = |column: &String| {
        place::Column::of_postgres(column, source.get(column).is_some_and(|column| column.builtin.is_some()))
    };
    let in_places = || described.columns.iter().map(in_place).collect();
    let in_one_order = |name: &String| match (source.get(name), target.get(name)) {
        (Some(source), Some(target)) => {
            source.builtin.is_some()
                && source.builtin == target.builtin
                && source.sorts_by_bytes
                && target.sorts_by_bytes
        }
        _ => false,
    };
    let walk = match &*described.key {
        [] => Walk::Bag,
        key if key.iter().all(in_one_order) => Walk::Ranges,
        _ => Walk::Sorted,
    };
    let builtin_in_target = |column: &String| {
        place::Column::of_postgres(column, target.get(column).is_some_and(|column| column.builtin.is_some()))
    };
    Ok(Layout {
        source: Place::in_postgres(name, !table.partitioned, in_places(), key.clone()),
        target: Place::in_postgres(
            target_table,
            false,
            described.columns.iter().map(builtin_in_target).collect(),
            key.clone(),
        ),
        key,
        walk,
        source_has_versions: true,
        only_in_target: Vec::new(),
        columns: described.columns,
    })
}

async fn of_mysql(
    reader: &mut super::mysql::Reader,
    table: &SourceTable,
    target_table: &TableName,
    target: &HashMap<String, Column>,
) -> Result<Layout, Trouble> {
    let name = &table.name;
    let described = reader.ask(async |connection| mysql::describe(connection, name).await).await?.ok_or_else(gone)?;
    let columns: Vec<_> = described.columns.iter().map(|(name, _)| name.clone()).collect();
    let key = places(&described.key, &columns);
    let typed = described.columns.iter().map(|(name, declared)| (name, value_type(declared)));
    let in_one_order = |(name, declared): &(String, String)| {
        // MariaDB sorts a UUID by other parts of it first, and text by its collation.
        let sorts = match value_type(declared) {
            Some(ValueType::Scalar(Scalar::Bytes)) => {
                ["binary", "varbinary"].iter().any(|word| declared.starts_with(word))
            }
            Some(ValueType::Scalar(scalar)) => matches!(
                scalar,
                Scalar::Int32
                    | Scalar::Int64
                    | Scalar::UInt32
                    | Scalar::UInt64
                    | Scalar::Decimal
                    | Scalar::Date
                    | Scalar::LocalDateTime
                    | Scalar::Instant
            ),
            _ => false,
        };
        let sorts_there = |column: &Column| column.builtin.is_some() && column.sorts_by_bytes;
        sorts && target.get(name).is_some_and(sorts_there)
    };
    let walk = match &*key {
        [] => Walk::Multiset,
        key if key.iter().filter_map(|place| described.columns.get(*place)).all(in_one_order) => Walk::Ranges,
        _ => Walk::Sorted,
    };
    Ok(Layout {
        source: Place::in_mysql(
            name,
            typed.clone().map(|(name, of)| place::Column::of_mysql(name, of)).collect(),
            key.clone(),
        ),
        target: Place::in_postgres(
            target_table,
            false,
            typed.map(|(name, of)| place::Column::of_mysql_in_postgres(name, of)).collect(),
            key.clone(),
        ),
        key,
        walk,
        source_has_versions: false,
        only_in_target: Vec::new(),
        columns,
    })
}

fn places(key: &[String], columns: &[String]) -> Vec<usize> {
    key.iter().filter_map(|name| columns.iter().position(|column| column == name)).collect()
}

async fn columns(side: &mut Reader, table: &TableName) -> Result<HashMap<String, Column>, Trouble> {
    let (schema, name) = (literal(&table.schema), literal(&table.table));
    let rows = side.query(&format!("{COLUMNS} WHERE n.nspname = {schema} AND c.relname = {name}")).await?;
    let text = |cell: Option<&str>| cell.unwrap_or_default().to_owned();
    let column = |row: &crate::source::postgres::Row| Column {
        builtin: row.is_true(1).then(|| text(row.text(2))),
        sorts_by_bytes: row.is_true(3),
    };
    Ok(rows.iter().map(|row| (text(row.text(0)), column(row))).collect())
}

fn gone() -> Trouble {
    differ("the source has no such table any more".to_owned())
}

fn differ(message: String) -> Trouble {
    Trouble::Table(Problem::new(code::VERIFY_SHAPES_DIFFER, message))
}
