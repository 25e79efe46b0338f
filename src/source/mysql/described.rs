//! A source's tables for those who read them beside the stream: how one is laid out now.

use super::catalogue;
use super::connection::Connection;
use super::fault::Fault;
use crate::model::name::TableName;

/// A table as the server has it now, and how its rows are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Names, each with the type as the log declares it.
    pub columns: Vec<(String, String)>,
    /// Of the primary key, in its order. Empty: no key.
    pub key: Vec<String>,
}

/// `None` when the table is gone.
///
/// # Errors
/// Those of the connection.
pub async fn describe(connection: &mut Connection, table: &TableName) -> Result<Option<Described>, Fault> {
    let described = catalogue::describe(connection, table).await?;
    Ok(described.map(|table| Described {
        columns: table.columns.into_iter().map(|column| (column.name, column.declared)).collect(),
        key: table.primary_key,
    }))
}
