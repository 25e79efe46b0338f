//! A table of a MySQL or MariaDB source, beside its copy on a PostgreSQL server.

use super::postgres::Column;
use super::{Layout, Walk, gone, places};
use crate::decode::mysql::types::value_type;
use crate::deliver::verify::mysql::Reader;
use crate::deliver::verify::place::{self, Place};
use crate::deliver::verify::source::SourceTable;
use crate::deliver::verify::trouble::Trouble;
use crate::model::name::TableName;
use crate::model::value_type::{Scalar, ValueType};
use crate::source::mysql::describe;
use std::collections::HashMap;

pub async fn look(
    reader: &mut Reader,
    table: &SourceTable,
    target_table: &TableName,
    target: &HashMap<String, Column>,
) -> Result<Layout, Trouble> {
    let name = &table.name;
    let described = reader.ask(async |connection| describe(connection, name).await).await?.ok_or_else(gone)?;
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
