//! Columns added to a table that was copied, as the server's catalogue shows them; see `source::added`.

use super::catalogue;
use super::connection::Connection;
use super::fault::Fault;
use crate::config::Flavour;
use crate::decode::mysql::types::Charsets;
use crate::journal::Journal;
use crate::model::name::{SystemName, TableName};
use crate::source::added::{copied, has_only_more};
use std::collections::HashMap;

const COLUMNS: &str =
    "SELECT table_schema, table_name, COUNT(*) FROM information_schema.columns GROUP BY table_schema, table_name";

/// Asks for a new copy of each copied table that has got columns since. Once: what the new copy reads has them.
///
/// # Errors
/// Those of the connection, and [`Fault::Journal`].
pub async fn copy_again(
    connection: &mut Connection,
    journal: &Journal,
    system: &SystemName,
    charsets: &mut Charsets,
    flavour: Flavour,
) -> Result<(), Fault> {
    let copied = copied(journal, system);
    if copied.is_empty() {
        return Ok(());
    }
    let mut columns = HashMap::new();
    for row in connection.rows(COLUMNS).await? {
        columns
            .insert(TableName::new(row.some(0)?, row.some(1)?), usize::try_from(row.number(2)?).unwrap_or(usize::MAX));
    }
    for schema in copied {
        // Most tables have as many as before, and are not looked at more closely.
        if columns.get(&schema.name).is_none_or(|count| *count <= schema.columns.len()) {
            continue;
        }
        let Some(described) = catalogue::describe(connection, &schema.name).await? else { continue };
        // One that cannot be read stops the stream at its first row.
        let Ok(shape) = described.shape_of(&schema.name, charsets, connection, flavour).await? else { continue };
        if has_only_more(&schema, &shape) {
            tracing::info!(%system, table = %schema.name, "columns were added: the table is copied anew");
            journal.request_copy(system, &schema.name, journal.bounds().durable).await?;
        }
    }
    Ok(())
}
