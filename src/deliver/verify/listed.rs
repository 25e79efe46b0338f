//! Which tables a source has, by questions of the verifier's own: not what is captured, but all that the patterns select.
//!
//! Surprises: a partition travels under its topmost configured ancestor, so it is no table of its own; and what the stream
//! leaves out (an unlogged or foreign table, a sequence of MariaDB) is listed with why, as the target cannot hold it.

use super::mysql;
use super::reader::Reader;
use super::trouble::Trouble;
use crate::config::{MysqlSystem, PostgresSystem};
use crate::model::code;
use crate::model::name::TableName;
use crate::model::pattern::{Pattern, Selection};
use crate::model::problem::Problem;
use crate::source::mysql as mysql_source;
use crate::source::postgres::{Fault, Row};
use std::collections::HashMap;

/// A table that the patterns select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTable {
    pub name: TableName,
    pub partitioned: bool,
    /// Why no source captures it.
    pub left_out: Option<Problem>,
}

struct Relation {
    table: SourceTable,
    parent: Option<u32>,
}

const OF_POSTGRES: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relkind = 'f', c.relpersistence = 'u', \
     (SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid AND c.relispartition) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' \
     AND n.nspname NOT IN ('information_schema', 'pg_catalog', 'pg_toast')";

const OF_MYSQL: &str = "SELECT table_schema, table_name, table_type = 'SEQUENCE' FROM information_schema.tables \
     WHERE table_type NOT IN ('VIEW', 'SYSTEM VIEW', 'TEMPORARY')";

/// # Errors
/// Those of the connection.
pub async fn of_postgres(reader: &mut Reader, system: &PostgresSystem) -> Result<Vec<SourceTable>, Trouble> {
    let all = reader
        .ask(async |connection| {
            connection.query(OF_POSTGRES).await?.iter().map(relation).collect::<Result<HashMap<_, _>, Fault>>()
        })
        .await?;
    let is_selected = |relation: &Relation| system.tables.matches(&relation.table.name.to_string());
    let travels = |relation: &Relation| is_selected(relation) && relation.table.left_out.is_none();
    let parent = |child: &&Relation| child.parent.and_then(|oid| all.get(&oid));
    let named = nothing_named(&system.tables, || all.values().map(|relation| &relation.table.name));
    let own = all.values().filter(|relation| is_selected(relation));
    let own = own.filter(|relation| !std::iter::successors(parent(relation), parent).any(travels));
    Ok(own.map(|relation| relation.table.clone()).chain(named).collect())
}

fn relation(row: &Row) -> Result<(u32, Relation), Fault> {
    let name = TableName::new(&row.some::<String>(1)?, &row.some::<String>(2)?);
    let left_out = match (row.is_true(4), row.is_true(5)) {
        (true, _) => Some("a foreign table is not captured: its rows are another server's"),
        (_, true) => Some("an unlogged table is not captured"),
        _ => None,
    };
    let table = SourceTable { name, partitioned: row.is_true(3), left_out: left_out.map(not_captured) };
    Ok((row.some(0)?, Relation { table, parent: row.parse(6)? }))
}

/// # Errors
/// Those of the connection.
pub async fn of_mysql(reader: &mut mysql::Reader, system: &MysqlSystem) -> Result<Vec<SourceTable>, Trouble> {
    let rows = reader.ask(async |connection| connection.rows(OF_MYSQL).await).await?;
    let listed = |row: &mysql_source::TextRow| {
        let text = |column| row.text(column).unwrap_or_default();
        let left_out = (text(2) == "1").then(|| not_captured("a sequence is not captured"));
        SourceTable { name: TableName::new(text(0), text(1)), partitioned: false, left_out }
    };
    let mut listed: Vec<_> = rows.iter().map(listed).filter(|table| system.captures(&table.name)).collect();
    let named = nothing_named(&system.tables, || listed.iter().map(|table| &table.name));
    let named: Vec<_> = named.filter(|table| system.captures(&table.name)).collect();
    listed.extend(named);
    Ok(listed)
}

/// Names in the configuration that no table has.
fn nothing_named<'a, N: Iterator<Item = &'a TableName>>(
    selection: &Selection,
    names: impl Fn() -> N,
) -> impl Iterator<Item = SourceTable> {
    let is_there = |pattern: &Pattern| names().any(|name| pattern.matches(&name.to_string()));
    let exact = selection.include.iter().filter(|pattern| !pattern.as_str().contains('*') && !is_there(pattern));
    let names = exact.filter_map(|pattern| pattern.as_str().split_once('.'));
    let absent = |(schema, table)| SourceTable {
        name: TableName::new(schema, table),
        partitioned: false,
        left_out: Some(not_captured("the source has no such table, or the login may not see it")),
    };
    names.map(absent).filter(|table| selection.matches(&table.name.to_string())).collect::<Vec<_>>().into_iter()
}

fn not_captured(why: &str) -> Problem {
    Problem::new(code::VERIFY_NOT_CAPTURED, why)
}
