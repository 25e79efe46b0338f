//! What the target itself says of its tables, in `_tailwater.tables`.

use super::reader::Reader;
use super::trouble::Trouble;
use crate::model::name::{SystemName, TableName};
use crate::source::postgres::{Row, literal};
use std::collections::BTreeMap;

/// A table of a source as the target has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    pub table: TableName,
    /// `ready` when it holds the table as a whole.
    pub state: String,
    pub halt_code: Option<String>,
}

/// By the source's own name.
///
/// # Errors
/// Those of the connection.
pub async fn registered(
    side: &mut Reader,
    target: &SystemName,
    system: &SystemName,
) -> Result<BTreeMap<TableName, Registered>, Trouble> {
    // Nothing was ever written to this database.
    let known = side.query("SELECT pg_catalog.to_regclass('_tailwater.tables') IS NOT NULL").await?;
    if !known.first().is_some_and(|row| row.is_true(0)) {
        return Ok(BTreeMap::new());
    }
    let sql = format!(
        "SELECT source_schema, source_table, target_schema, target_table, state, halt_code FROM _tailwater.tables \
         WHERE target = {} AND system = {}",
        literal(target.as_str()),
        literal(system.as_str())
    );
    Ok(side.query(&sql).await?.iter().map(entry).collect())
}

fn entry(row: &Row) -> (TableName, Registered) {
    // None of these is null, but for the code.
    let text = |column| row.text(column).unwrap_or_default();
    let table = TableName::new(text(2), text(3));
    let halt_code = row.text(5).filter(|code| !code.is_empty()).map(str::to_owned);
    (TableName::new(text(0), text(1)), Registered { table, state: text(4).to_owned(), halt_code })
}
