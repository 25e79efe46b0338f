//! The table under copy as the server has it inside the copy's transaction, and the SQL that reads its next rows.

use super::order::{self, KeyOrder};
use crate::config::PostgresSystem;
use crate::model::name::TableName;
use crate::model::schema::TableShape;
use crate::source::postgres::catalogue;
use crate::source::postgres::fault::Fault;
use crate::source::postgres::simple_query::{Connection, identifier, literal, qualified};
use std::collections::BTreeSet;

/// Locked against changes of its shape for as long as the transaction lives.
pub struct Locked {
    pub shape: TableShape,
    pub oid: u32,
    /// Empty: they are read in one piece.
    pub order: KeyOrder,
    partitioned: bool,
    pub rows_estimate: u64,
}

const ROWS: &str = "SELECT GREATEST(c.reltuples, 0)::int8, \
     (WITH RECURSIVE tree(oid) AS (SELECT c.oid UNION ALL SELECT h.inhrelid FROM tree \
         JOIN pg_catalog.pg_inherits h ON h.inhparent = tree.oid) \
      SELECT SUM(GREATEST(p.reltuples, 0))::int8 FROM tree JOIN pg_catalog.pg_class p ON p.oid = tree.oid \
      WHERE p.relkind = 'r') FROM pg_catalog.pg_class c WHERE c.oid = ";

/// The transactions that hold a writer's lock on the table or a partition of it. (`pg_partition_tree` would wait for a lock.)
///
/// # Errors
/// Those of the connection.
pub async fn writers(connection: &mut Connection, table: &TableName) -> Result<BTreeSet<String>, Fault> {
    let sql = format!(
        "SELECT l.virtualtransaction FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.granted \
         AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') \
         AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
         AND l.relation IN (WITH RECURSIVE tree(oid) AS ( \
                 SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = {} AND c.relname = {} \
             UNION ALL SELECT h.inhrelid FROM tree JOIN pg_catalog.pg_inherits h ON h.inhparent = tree.oid \
                 JOIN pg_catalog.pg_class p ON p.oid = h.inhrelid AND p.relispartition) SELECT oid FROM tree)",
        literal(&table.schema),
        literal(&table.table)
    );
    connection.query(&sql).await?.iter().map(|row| row.some(0)).collect()
}

/// Locks the table as gently as there is; false when it is gone. A lock takes no snapshot: asked for first in a transaction,
/// whatever was altered, rewritten or truncated before is seen by the snapshot that comes then, and nothing can be after.
/// (Tables rewritten or truncated behind a snapshot look empty to it: manual, "MVCC Caveats".)
///
/// # Errors
/// Those of the connection, among them 42501 without the right to read it and 55P03 when the lock was not had in time.
pub async fn lock(connection: &mut Connection, table: &TableName) -> Result<bool, Fault> {
    match connection.query(&format!("LOCK TABLE {} IN ACCESS SHARE MODE", qualified(table))).await {
        Err(Fault::Server(error)) if matches!(error.sqlstate.as_str(), "42P01" | "3F000") => Ok(false),
        other => other.map(|_| true),
    }
}

/// Looks at the table that was locked. `None` when it is gone.
///
/// # Errors
/// Those of the connection.
pub async fn look(
    connection: &mut Connection,
    system: &PostgresSystem,
    table: &TableName,
) -> Result<Option<Locked>, Fault> {
    let Some(found) = catalogue::read_one(connection, system, table).await? else { return Ok(None) };
    let rows = connection.query(&format!("{ROWS}{}", found.relation())).await?;
    let row = rows.first().ok_or(Fault::Protocol("an empty answer"))?;
    let rows_estimate = row.parse(usize::from(found.partitioned))?.unwrap_or_default();
    let order = order::read(connection, found.relation(), &found.key).await?;
    let (oid, partitioned) = (found.relation(), found.partitioned);
    Ok(Some(Locked { shape: found.shape, oid, order, partitioned, rows_estimate }))
}

impl Locked {
    /// As [`crate::journal::CopyRecord::relation`].
    pub fn relation(&self) -> String {
        self.oid.to_string()
    }

    /// Where the rows behind `last_key` are: first those of the first range.
    pub fn ranges_after(&self, last_key: &[String]) -> Vec<String> {
        let ranges = self.order.ranges_after(last_key);
        if ranges.is_empty() { vec!["true".to_owned()] } else { ranges }
    }

    /// The first rows of a range, all columns in the shape's order.
    pub fn rows_in(&self, range: &str, rows_max: u64) -> String {
        let rows = self.rows();
        if self.order.is_empty() {
            return rows;
        }
        format!("{rows} WHERE {range} ORDER BY {} LIMIT {rows_max}", self.order.to_sql())
    }

    /// All of them.
    pub fn rows(&self) -> String {
        let columns = list(self.shape.columns.iter().map(|column| identifier(&column.name)));
        // A table's own rows without those of its children, which are captured under their own names.
        let only = if self.partitioned { "" } else { "ONLY " };
        format!("SELECT {columns} FROM {only}{}", qualified(&self.shape.name))
    }

    /// The rows of these keys, each in the order of the table's columns, as far as they are there.
    pub fn rows_of(&self, keys: &[Vec<String>]) -> String {
        let names: Vec<_> = self.shape.columns.iter().filter(|column| column.key).map(|column| &*column.name).collect();
        let one = |key: &Vec<String>| {
            let key = names.iter().copied().zip(key.iter().map(String::as_str));
            format!("({})", self.order.equals(key))
        };
        format!("{} WHERE {}", self.rows(), keys.iter().map(one).collect::<Vec<_>>().join(" OR "))
    }

    /// Where the key's columns stand in a row, in the key's order.
    pub fn key_places(&self) -> Vec<usize> {
        let place = |name: &str| self.shape.columns.iter().position(|column| *column.name == *name);
        self.order.names().filter_map(place).collect()
    }
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
