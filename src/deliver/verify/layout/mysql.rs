//! A table of a MySQL or MariaDB source, beside its copy on a PostgreSQL server.

use super::postgres::{Column, is_keyed_by};
use super::{Layout, Walk, gone, places};
use crate::decode::mysql::table_map::Dialect;
use crate::decode::mysql::types::{declared_in_catalogue, value_type};
use crate::deliver::verify::listed::SourceTable;
use crate::deliver::verify::mysql::Reader;
use crate::deliver::verify::place::{self, Place};
use crate::deliver::verify::reader::Reader as TargetReader;
use crate::deliver::verify::trouble::Trouble;
use crate::model::name::TableName;
use crate::model::value_type::{Scalar, ValueType};
use crate::source::mysql::{Connection, Fault, OMITS_GENERATED, literal};
use std::collections::HashMap;

/// What is compared of a table, and by which key.
#[derive(Default)]
struct Compared {
    /// Each with its type as the log declares it.
    columns: Vec<(String, String)>,
    /// Which the stream leaves out.
    generated: Vec<String>,
    /// The primary key.
    key: Vec<String>,
}

impl Compared {
    async fn look(connection: &mut Connection, table: &TableName) -> Result<Self, Fault> {
        let (schema, name) = (literal(&table.schema), literal(&table.table));
        let mut compared = Self::default();
        let columns = format!(
            "SELECT column_name, data_type, column_type, \
             COALESCE(generation_expression, '') NOT IN ('', 'ROW START', 'ROW END') AND {OMITS_GENERATED}, \
             @@version LIKE '%MariaDB%', COALESCE(generation_expression, '') = 'ROW END' \
             FROM information_schema.columns \
             WHERE table_schema = {schema} AND table_name = {name} ORDER BY ordinal_position"
        );
        let mut row_end = None;
        for row in connection.rows(&columns).await? {
            if row.number(5)? != 0 {
                row_end = Some(row.some(0)?.to_owned());
            }
            if row.number(3)? != 0 {
                compared.generated.push(row.some(0)?.to_owned());
                continue;
            }
            let dialect = if row.number(4)? == 0 { Dialect::Mysql } else { Dialect::Mariadb };
            let declared = declared_in_catalogue(dialect, row.some(1)?, row.some(2)?);
            compared.columns.push((row.some(0)?.to_owned(), declared));
        }
        let key = format!(
            "SELECT column_name FROM information_schema.statistics WHERE table_schema = {schema} AND table_name = {name} \
             AND index_name = 'PRIMARY' ORDER BY seq_in_index"
        );
        for row in connection.rows(&key).await? {
            compared.key.push(row.some(0)?.to_owned());
        }
        // All rows that are read have it alike: the current ones of a system-versioned table.
        compared.key.retain(|name| Some(name) != row_end.as_ref());
        // A key with a column that is not carried tells no rows apart on the other side.
        if compared.key.iter().any(|name| compared.generated.contains(name)) {
            compared.key.clear();
        }
        Ok(compared)
    }
}

/// `target_side`: to ask which key the target's table has.
pub async fn look(
    reader: &mut Reader,
    target_side: &mut TargetReader,
    table: &SourceTable,
    target_table: &TableName,
    target: &HashMap<String, Column>,
) -> Result<Layout, Trouble> {
    let name = &table.name;
    let described = reader.ask(async |connection| Compared::look(connection, name).await).await?;
    if described.columns.is_empty() {
        return Err(gone());
    }
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
    let keyed: Vec<_> = key.iter().filter_map(|place| described.columns.get(*place)).collect();
    let names: Vec<_> = keyed.iter().map(|(name, _)| name).collect();
    let walk = match &*keyed {
        [] => Walk::Multiset,
        keyed if keyed.iter().copied().all(in_one_order) && is_keyed_by(target_side, target_table, &names).await? => {
            Walk::Ranges
        }
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
        only_in_source: described.generated,
        columns,
    })
}
