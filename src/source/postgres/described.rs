//! A source's tables for those who read them beside the stream: which there are, and how one is laid out now.
//!
//! Surprise: whatever the table says of a key, only what the stream tells rows apart by counts. A table without replica
//! identity has no key here though it may have a primary one.

use super::catalogue::{self, ServerTable};
use super::fault::Fault;
use super::simple_query::{Connection, literal};
use crate::config::PostgresSystem;
use crate::model::name::TableName;

/// A table as the stream would describe it now, and how its rows are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Without generated columns, which the stream does not carry.
    pub columns: Vec<String>,
    /// In the order of the index behind the replica identity. Empty: no key.
    pub key: Vec<String>,
}

/// The server's tables that the system's patterns select, in the order of their names.
///
/// # Errors
/// Those of the connection.
pub async fn configured(connection: &mut Connection, system: &PostgresSystem) -> Result<Vec<ServerTable>, Fault> {
    Ok(catalogue::read(connection, system).await?.tables)
}

/// `None` when the table is gone.
///
/// # Errors
/// Those of the connection.
pub async fn describe(connection: &mut Connection, table: &TableName) -> Result<Option<Described>, Fault> {
    let named = format!("n.nspname = {} AND c.relname = {}", literal(&table.schema), literal(&table.table));
    let sql = format!(
        "SELECT a.attname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         AND a.attgenerated = '' WHERE {named} ORDER BY a.attnum"
    );
    let columns: Vec<String> =
        connection.query(&sql).await?.iter().map(|row| row.some(0)).collect::<Result<_, Fault>>()?;
    if columns.is_empty() {
        return Ok(None);
    }
    let sql = format!(
        "SELECT a.attname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND CASE c.relreplident \
             WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary AND i.indimmediate END \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
         WHERE k.place <= i.indnkeyatts AND {named} ORDER BY k.place"
    );
    let key: Vec<String> = connection.query(&sql).await?.iter().map(|row| row.some(0)).collect::<Result<_, Fault>>()?;
    // A key with a column that is not carried tells no rows apart on the other side.
    let is_carried = key.iter().all(|name| columns.contains(name));
    Ok(Some(Described { columns, key: if is_carried { key } else { Vec::new() } }))
}
