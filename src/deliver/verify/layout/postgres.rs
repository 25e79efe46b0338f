//! A table of a PostgreSQL source, and the columns of a table on a PostgreSQL server.

use super::{Layout, Walk, gone, places};
use crate::deliver::verify::listed::SourceTable;
use crate::deliver::verify::place::{self, Place};
use crate::deliver::verify::reader::Reader;
use crate::deliver::verify::trouble::Trouble;
use crate::model::name::TableName;
use crate::source::postgres::{Row, literal};
use std::collections::HashMap;

/// A column on one side.
#[derive(Debug)]
pub struct Column {
    /// Of the type under all domains; none for a type that is not PostgreSQL's own.
    pub builtin: Option<String>,
    /// It has no collation, or one that sorts UTF-8 by its bytes.
    pub sorts_by_bytes: bool,
}

/// What is compared of a table, and by which key.
#[derive(Default)]
struct Compared {
    columns: Vec<String>,
    /// Which the stream leaves out.
    generated: Vec<String>,
    /// As the table itself is keyed, whatever the stream tells its rows apart by. Empty: by none that is carried.
    key: Vec<String>,
}

impl Compared {
    async fn look(reader: &mut Reader, table: &TableName) -> Result<Self, Trouble> {
        let named = format!("n.nspname = {} AND c.relname = {}", literal(&table.schema), literal(&table.table));
        let mut compared = Self::default();
        for row in reader.query(&format!("{NAMES} WHERE {named} ORDER BY a.attnum")).await? {
            let names = if row.is_true(1) { &mut compared.generated } else { &mut compared.columns };
            names.push(row.text(0).unwrap_or_default().to_owned());
        }
        compared.key = key(reader, &format!("{KEY} WHERE {named} ORDER BY i.indisreplident DESC, k.place")).await?;
        // A key with a column that is not carried tells no rows apart on the other side.
        if compared.key.iter().any(|name| !compared.columns.contains(name)) {
            compared.key.clear();
        }
        Ok(compared)
    }
}

/// The columns of the first index.
async fn key(reader: &mut Reader, sql: &str) -> Result<Vec<String>, Trouble> {
    let rows = reader.query(sql).await?;
    let index = |row: &Row| row.text(0).map(str::to_owned);
    let first = rows.first().and_then(index);
    Ok(rows.iter().filter(|row| index(row) == first).filter_map(|row| row.text(1).map(str::to_owned)).collect())
}

const NAMES: &str = "SELECT a.attname, a.attgenerated <> '' FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped";

/// Of the primary key, also of one that is checked only at commit or that the stream does not use, and of the index that the
/// replica identity names. Where there are both, the latter: the target's rows are told apart by it, and it is unique as well.
const KEY: &str = "SELECT i.indexrelid, a.attname FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid \
         AND (i.indisprimary OR c.relreplident = 'i' AND i.indisreplident) \
     CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.place <= i.indnkeyatts";

const TARGET_KEY: &str = "SELECT i.indexrelid, a.attname FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary \
     CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.place <= i.indnkeyatts";

/// Whether the target finds a range of this key by an index.
pub async fn is_keyed_by(target: &mut Reader, table: &TableName, names: &[&String]) -> Result<bool, Trouble> {
    let named = format!("n.nspname = {} AND c.relname = {}", literal(&table.schema), literal(&table.table));
    let keyed = key(target, &format!("{TARGET_KEY} WHERE {named} ORDER BY k.place")).await?;
    Ok(keyed.iter().eq(names.iter().copied()))
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

/// `target_side`: to ask which key the target's table has.
pub async fn look(
    reader: &mut Reader,
    target_side: &mut Reader,
    table: &SourceTable,
    target_table: &TableName,
    target: &HashMap<String, Column>,
) -> Result<Layout, Trouble> {
    let name = &table.name;
    let compared = Compared::look(reader, name).await?;
    if compared.columns.is_empty() {
        return Err(gone());
    }
    let source = columns(reader, name).await?;
    let key = places(&compared.key, &compared.columns);
    let in_place = |column: &String| {
        place::Column::of_postgres(column, source.get(column).is_some_and(|column| column.builtin.is_some()))
    };
    let in_places = || compared.columns.iter().map(in_place).collect();
    let in_one_order = |name: &String| match (source.get(name), target.get(name)) {
        (Some(source), Some(target)) => {
            source.builtin.is_some()
                && source.builtin == target.builtin
                && source.sorts_by_bytes
                && target.sorts_by_bytes
        }
        _ => false,
    };
    let names: Vec<_> = compared.key.iter().collect();
    let walk = match &*names {
        [] => Walk::Bag,
        key if key.iter().copied().all(in_one_order) && is_keyed_by(target_side, target_table, key).await? => {
            Walk::Ranges
        }
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
            compared.columns.iter().map(builtin_in_target).collect(),
            key.clone(),
        ),
        key,
        walk,
        source_has_versions: true,
        only_in_target: Vec::new(),
        only_in_source: compared.generated,
        columns: compared.columns,
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
