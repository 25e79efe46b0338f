//! The table under copy as the server has it inside the copy's transaction, and the SQL that reads its next rows.

use crate::model::name::TableName;
use crate::model::schema::TableShape;
use crate::source::postgres::catalogue;
use crate::source::postgres::fault::Fault;
use crate::source::postgres::simple_query::{Connection, identifier, literal};
use std::collections::BTreeSet;

/// Locked against changes of its shape for as long as the transaction lives.
pub struct Locked {
    pub shape: TableShape,
    /// As [`crate::journal::CopyRecord::relation`]: its oid.
    pub relation: String,
    /// Of the key, in the order of its index: rows are read in this order. Empty: no key.
    pub key: Vec<String>,
    partitioned: bool,
    pub rows_estimate: u64,
}

/// The index behind the identity in its own order, whether the table has partitions, how many rows it should have.
const LOOK: &str = "SELECT c.relkind = 'p', GREATEST(c.reltuples, 0)::int8, \
     (SELECT string_agg(a.attname, E'\\x01' ORDER BY k.place) FROM pg_catalog.pg_index i \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
         WHERE i.indrelid = c.oid AND k.place <= i.indnkeyatts AND CASE c.relreplident \
         WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary AND i.indimmediate END), \
     (SELECT SUM(GREATEST(p.reltuples, 0))::int8 FROM pg_catalog.pg_partition_tree(c.oid) t \
         JOIN pg_catalog.pg_class p ON p.oid = t.relid WHERE t.isleaf), c.oid \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";

/// Between the names of a key's columns; no identifier holds it in practice, and a wrong split would name no column.
const SEPARATOR: char = '\u{1}';

/// The transactions that hold a writer's lock on the table or a partition of it.
///
/// # Errors
/// Those of the connection.
pub async fn writers(connection: &mut Connection, table: &TableName) -> Result<BTreeSet<String>, Fault> {
    let sql = format!(
        "SELECT l.virtualtransaction FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.granted \
         AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') \
         AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
         AND l.relation IN (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {0} AND c.relname = {1} \
             UNION ALL SELECT t.relid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             CROSS JOIN LATERAL pg_catalog.pg_partition_tree(c.oid) t WHERE n.nspname = {0} AND c.relname = {1})",
        literal(&table.schema),
        literal(&table.table)
    );
    connection.query(&sql).await?.iter().map(|row| row.some(0)).collect()
}

/// As [`Locked::relation`]; empty when it is gone.
///
/// # Errors
/// Those of the connection.
pub async fn relation(connection: &mut Connection, table: &TableName) -> Result<String, Fault> {
    let sql = format!(
        "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relname = {}",
        literal(&table.schema),
        literal(&table.table)
    );
    let rows = connection.query(&sql).await?;
    Ok(rows.first().and_then(|row| row.text(0)).unwrap_or_default().to_owned())
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
pub async fn look(connection: &mut Connection, table: &TableName) -> Result<Option<Locked>, Fault> {
    let sql = format!("{LOOK} WHERE n.nspname = {} AND c.relname = {}", literal(&table.schema), literal(&table.table));
    let rows = connection.query(&sql).await?;
    let (Some(row), Some(shape)) = (rows.first(), catalogue::shape(connection, table).await?) else { return Ok(None) };
    let key = row.text(2).map(|names| names.split(SEPARATOR).map(str::to_owned).collect()).unwrap_or_default();
    let partitioned = row.is_true(0);
    let rows_estimate = row.parse(if partitioned { 3 } else { 1 })?.unwrap_or_default();
    Ok(Some(Locked { shape, relation: row.some(4)?, key, partitioned, rows_estimate }))
}

impl Locked {
    /// The next rows in key order after `last_key`, all columns in the shape's order.
    pub fn rows_after(&self, last_key: &[String], rows_max: u64) -> String {
        let mut sql = self.rows();
        if self.key.is_empty() {
            return sql;
        }
        let key = list(self.key.iter().map(|name| identifier(name)));
        if !last_key.is_empty() {
            sql += &format!(" WHERE ({key}) > ({})", list(last_key.iter().map(|value| literal(value))));
        }
        sql + &format!(" ORDER BY {key} LIMIT {rows_max}")
    }

    fn rows(&self) -> String {
        let columns = list(self.shape.columns.iter().map(|column| identifier(&column.name)));
        // A table's own rows without those of its children, which are captured under their own names.
        let only = if self.partitioned { "" } else { "ONLY " };
        format!("SELECT {columns} FROM {only}{}", qualified(&self.shape.name))
    }

    /// The rows of these keys, each in the order of the table's columns, as far as they are there.
    pub fn rows_of(&self, keys: &[Vec<String>]) -> String {
        let key = list(self.shape.columns.iter().filter(|column| column.key).map(|column| identifier(&column.name)));
        let one = |key: &Vec<String>| format!("({})", list(key.iter().map(|value| literal(value))));
        format!("{} WHERE ({key}) IN ({})", self.rows(), list(keys.iter().map(one)))
    }

    /// Where the key's columns stand in a row, in the key's order.
    pub fn key_places(&self) -> Vec<usize> {
        let place = |name: &String| self.shape.columns.iter().position(|column| *column.name == **name);
        self.key.iter().filter_map(place).collect()
    }
}

fn qualified(table: &TableName) -> String {
    format!("{}.{}", identifier(&table.schema), identifier(&table.table))
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
