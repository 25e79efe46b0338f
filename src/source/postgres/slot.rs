//! The replication slot: made once, after its publications.
//!
//! The intent is durable in the journal before the slot is made, so that a crash in between leaves a slot known to be ours
//! and unused, and a later start may make it anew. Surprise: the server finds the consistent point only after every
//! transaction running now has ended; one forgotten session can hold that up for ever, so the wait is told.

use super::fault::Fault;
use super::simple_query::{Connection, identifier};
use crate::model::position::Lsn;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the slot, in place of an unfinished one if there is one. Gives its consistent point: everything that commits
/// from there on comes through it.
///
/// # Errors
/// [`Fault::Server`], and those of the connection.
pub async fn create(connection: &mut Connection, name: &str, exists: bool) -> Result<Lsn, Fault> {
    if exists {
        tracing::info!(slot = name, "dropping the slot of an unfinished set-up");
        connection.query(&format!("DROP_REPLICATION_SLOT {}", identifier(name))).await?;
    }
    let started = Instant::now();
    let waiting = || {
        let waited_seconds = started.elapsed().as_secs();
        tracing::warn!(
            slot = name,
            waited_seconds,
            "the slot waits for transactions that are running on the server to end"
        );
    };
    let command = format!("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput NOEXPORT_SNAPSHOT", identifier(name));
    let rows = connection.query_patiently(&command, PATIENCE, waiting).await?;
    let consistent_point = rows.first().ok_or(Fault::Protocol("no answer about the slot"))?.some(1)?;
    tracing::info!(slot = name, %consistent_point, "slot created");
    Ok(consistent_point)
}

/// pgoutput in protocol version 1: whole transactions at commit, text, nothing optional.
pub fn start_command(slot: &str, from: Lsn, publications: &[String]) -> String {
    let names: Vec<_> = publications.iter().map(|name| identifier(name)).collect();
    format!(
        "START_REPLICATION SLOT {} LOGICAL {from} (proto_version '1', publication_names {})",
        identifier(slot),
        quoted(&names.join(","))
    )
}

/// The replication grammar knows no E'' strings: only quotes are doubled.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_publication_names_are_quoted_for_both_grammars() {
        let names = ["plain".to_owned(), "o'dd \"na,me\\".to_owned()];
        let command = start_command("s", Lsn(0x1_0000_0002), &names);
        assert!(command.starts_with("START_REPLICATION SLOT \"s\" LOGICAL 1/2 ("), "{command}");
        assert!(command.contains(r#"publication_names '"plain","o''dd ""na,me\"'"#), "{command}");
    }
}
