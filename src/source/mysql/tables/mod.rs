//! The configured tables as the server has them now, and which of them cannot be captured.
//!
//! Cheap: it runs every few seconds. What a table's columns are is asked only where something is another than before. No
//! subqueries: a MariaDB server (10.11.19, 11.8.9) can crash over one on information_schema when the connection breaks.

mod fit;
mod logged;
mod period;
pub mod questions;

pub use fit::{Definitions, has_snapshots};
pub use logged::Logging;
pub use period::row_end;

use super::connection::Connection;
use super::fault::Fault;
use crate::config::MysqlSystem;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use fit::Surroundings;
use std::collections::HashSet;

/// A configured table as the server has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTable {
    pub name: TableName,
    pub has_key: bool,
    pub kind: Kind,
    /// In capitals. Empty where the server cannot open the table.
    pub engine: String,
    /// When it was made or last altered, as the server's text. Empty where its engine does not say.
    pub made: String,
    /// Each column's definition but for its default, in their order.
    pub columns: Vec<String>,
    /// Why it cannot be captured.
    pub unfit: Option<Problem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Base,
    /// MariaDB's WITH SYSTEM VERSIONING.
    Versioned,
    /// MariaDB's: not a table for those who use it.
    Sequence,
}

const TABLES: &str = "SELECT table_schema, table_name, table_type, COALESCE(engine, ''), COALESCE(create_time, '') \
     FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')";
const KEYS: &str = "SELECT table_schema, table_name FROM information_schema.statistics \
     WHERE index_name = 'PRIMARY' AND seq_in_index = 1";

/// In the order of their names; sequences are left out. `definitions`: what earlier looks read.
///
/// # Errors
/// Those of the connection.
pub async fn configured(
    connection: &mut Connection,
    system: &MysqlSystem,
    definitions: &mut Definitions,
) -> Result<Vec<ServerTable>, Fault> {
    let all = all(connection, system, definitions).await?;
    Ok(all.into_iter().filter(|table| table.kind != Kind::Sequence).collect())
}

/// The same with sequences.
///
/// # Errors
/// Those of the connection.
pub async fn all(
    connection: &mut Connection,
    system: &MysqlSystem,
    definitions: &mut Definitions,
) -> Result<Vec<ServerTable>, Fault> {
    let mut keyed = HashSet::new();
    for row in connection.rows(KEYS).await? {
        keyed.insert(TableName::new(row.some(0)?, row.some(1)?));
    }
    let mut found = read(connection, TABLES, &keyed).await?;
    let surroundings = Surroundings::read(connection, &found).await?;
    found.retain(|table| system.captures(&table.name));
    found.sort_by(|one, other| one.name.cmp(&other.name));
    surroundings.judge(connection, definitions, &mut found).await?;
    let logging = Logging::read(connection, system.flavour).await?;
    found.iter_mut().for_each(|table| logging.judge(table));
    Ok(found)
}

/// One table, configured or not, and whether it is logged at all not asked; `None` when it is gone. One without an engine cannot be opened now: it is being dropped or
/// altered (seen on MariaDB), and what comes of that is in the log.
///
/// # Errors
/// Those of the connection.
pub async fn one(connection: &mut Connection, name: &TableName) -> Result<Option<ServerTable>, Fault> {
    let of_table = format!(" AND {}", questions::of_table(name));
    let keyed = connection.rows(&format!("{KEYS}{of_table}")).await?.first().map(|_| name.clone());
    let mut found = read(connection, &format!("{TABLES}{of_table}"), &keyed.into_iter().collect()).await?;
    let Some(table) = found.first().filter(|table| !table.engine.is_empty()) else { return Ok(None) };
    // Only tables without transactions can be part of a MERGE table.
    let others =
        if has_snapshots(&table.engine) { Vec::new() } else { read(connection, TABLES, &HashSet::new()).await? };
    let surroundings = Surroundings::read(connection, &others).await?;
    surroundings.judge(connection, &mut Definitions::default(), &mut found).await?;
    Ok(found.pop())
}

async fn read(connection: &mut Connection, sql: &str, keyed: &HashSet<TableName>) -> Result<Vec<ServerTable>, Fault> {
    let mut tables = Vec::new();
    for row in connection.rows(sql).await? {
        let name = TableName::new(row.some(0)?, row.some(1)?);
        let kind = match row.some(2)? {
            "SYSTEM VERSIONED" => Kind::Versioned,
            "SEQUENCE" => Kind::Sequence,
            _ => Kind::Base,
        };
        let (engine, made) = (row.some(3)?.to_ascii_uppercase(), row.some(4)?.to_owned());
        tables.push(ServerTable {
            has_key: keyed.contains(&name),
            name,
            kind,
            engine,
            made,
            columns: Vec::new(),
            unfit: None,
        });
    }
    Ok(tables)
}
