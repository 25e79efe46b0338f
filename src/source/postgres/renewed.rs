//! Tables that are other ones than those that were copied under their names: dropped and made again, or renamed into each
//! other's place. No event tells it; the oid does. Whoever has the old rows needs a copy of the new table.

use super::fault::Fault;
use super::tables::ServerTable;
use crate::journal::{CopyRecord, Journal};
use crate::model::name::{SystemName, TableName};
use std::collections::BTreeSet;

/// Those of `tables`.
pub fn renewed(journal: &Journal, system: &SystemName, tables: &[ServerTable]) -> BTreeSet<TableName> {
    of(&journal.copies(), system, tables).map(|copy| copy.table.clone()).collect()
}

/// Asks for their copies, each once.
///
/// # Errors
/// [`Fault::Journal`].
pub async fn copy_anew(journal: &Journal, system: &SystemName, tables: &[ServerTable]) -> Result<(), Fault> {
    let copies = journal.copies();
    for copy in of(&copies, system, tables).filter(|copy| !copy.anew) {
        tracing::info!(%system, table = %copy.table, "another table has the name now: it is copied anew");
        journal.copy_anew(system, &copy.table).await?;
    }
    Ok(())
}

fn of<'a>(
    copies: &'a [CopyRecord],
    system: &'a SystemName,
    tables: &'a [ServerTable],
) -> impl Iterator<Item = &'a CopyRecord> {
    let is_another = |copy: &CopyRecord| {
        let now = tables.iter().find(|table| table.name == copy.table);
        now.is_some_and(|now| !copy.relation.is_empty() && copy.relation != now.relation.to_string())
    };
    copies.iter().filter(move |copy| copy.system == *system && is_another(copy))
}
