//! Columns added to a table that was copied, as the server's catalogue shows them; see `source::added`.

use super::catalogue;
use super::fault::Fault;
use super::simple_query::{Connection, Row};
use crate::journal::Journal;
use crate::model::name::{SystemName, TableName};
use crate::source::added::{copied, has_only_more};
use std::collections::HashMap;

/// Asks for a new copy of each copied table that has got columns since. Once: what the new copy reads has them.
///
/// # Errors
/// Those of the connection, and [`Fault::Journal`].
pub async fn copy_again(connection: &mut Connection, journal: &Journal, system: &SystemName) -> Result<(), Fault> {
    let copied = copied(journal, system);
    if copied.is_empty() {
        return Ok(());
    }
    let columns = connection.query(COLUMNS).await?.iter().map(count).collect::<Result<HashMap<_, _>, Fault>>()?;
    for schema in copied {
        // Most tables have as many as before, and are not looked at more closely.
        if columns.get(&schema.name).is_none_or(|count| *count <= schema.columns.len()) {
            continue;
        }
        let Some(shape) = catalogue::shape(connection, &schema.name).await? else { continue };
        if has_only_more(&schema, &shape) {
            tracing::info!(%system, table = %schema.name, "columns were added: the table is copied anew");
            journal.request_copy(system, &schema.name, journal.bounds().durable).await?;
        }
    }
    Ok(())
}

const COLUMNS: &str = "SELECT n.nspname, c.relname, count(*) FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
     WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' GROUP BY 1, 2";

fn count(row: &Row) -> Result<(TableName, usize), Fault> {
    match (row.text(0), row.text(1)) {
        (Some(schema), Some(table)) => Ok((TableName::new(schema, table), row.some(2)?)),
        _ => Err(Fault::Protocol("a table without a name")),
    }
}
