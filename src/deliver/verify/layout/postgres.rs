//! A table of a PostgreSQL source, and the columns of a table on a PostgreSQL server.

use super::{Layout, Walk, gone, places};
use crate::deliver::verify::place::{self, Place};
use crate::deliver::verify::reader::Reader;
use crate::deliver::verify::source::SourceTable;
use crate::deliver::verify::trouble::Trouble;
use crate::model::name::TableName;
use crate::source::postgres::{Row, describe, literal};
use std::collections::HashMap;

/// A column on one side.
#[derive(Debug)]
pub struct Column {
    /// Of the type under all domains; none for a type that is not PostgreSQL's own.
    pub builtin: Option<String>,
    /// It has no collation, or one that sorts UTF-8 by its bytes.
    pub sorts_by_bytes: bool,
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

pub async fn look(
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

pub async fn columns(side: &mut Reader, table: &TableName) -> Result<HashMap<String, Column>, Trouble> {
    let (schema, name) = (literal(&table.schema), literal(&table.table));
    let rows = side.query(&format!("{COLUMNS} WHERE n.nspname = {schema} AND c.relname = {name}")).await?;
    let text = |cell: Option<&str>| cell.unwrap_or_default().to_owned();
    let column =
        |row: &Row| Column { builtin: row.is_true(1).then(|| text(row.text(2))), sorts_by_bytes: row.is_true(3) };
    Ok(rows.iter().map(|row| (text(row.text(0)), column(row))).collect())
}
