//! A snapshot together with its very place in the log: of a logical slot that lives for a moment.
//!
//! Where snapshots and commits race this is the pair that is exact whatever the load: what committed before the slot's
//! consistent point is seen, what commits from there on is not. It costs a slot and a wait for the transactions that run
//! when it is made, so it is taken only where the place must be exact and cannot be had otherwise.
//!
//! Surprise: the slot finds commits in the log, and a transaction's rows show only once the commit log has it too, an
//! instant later. [`is_settled`] tells when that has come for all that the snapshot is to see.

use super::snapshot::Snapshot;
use crate::config::PostgresSystem;
use crate::model::position::Lsn;
use crate::source::postgres::fault::Fault;
use crate::source::postgres::simple_query::{Connection, Purpose, identifier, literal};
use std::time::Duration;
use tokio::time::timeout;

/// The server waits for the transactions that run; so long, and no longer, does the stream with it.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Pair {
    /// The exported snapshot's name.
    name: String,
    pub consistent_point: Lsn,
    /// Of the slot. It exports the snapshot while it is idle, and drops the slot when it is closed.
    _slot: Connection,
}

impl Pair {
    /// `None`: transactions run that did not end in time. `reading` only ends a server process that still waits then.
    ///
    /// # Errors
    /// [`Fault::Server`], among them 53300 and 53400 where there is no room for one more slot, and those of the connections.
    pub async fn take(system: &PostgresSystem, reading: &mut Connection) -> Result<Option<Self>, Fault> {
        let mut slot = Connection::open(&system.endpoint, Purpose::Replication).await?;
        let rows = slot.query("SELECT pg_catalog.pg_backend_pid()").await?;
        let process: u32 = rows.first().ok_or(Fault::Protocol("no process id"))?.some(0)?;
        let name = identifier(&format!("tailwater_copy_{process}"));
        let command = format!("CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT");
        let Ok(answer) = timeout(PATIENCE, slot.query(&command)).await else {
            // It would not notice that nobody listens.
            reading.query(&format!("SELECT pg_catalog.pg_terminate_backend({process})")).await?;
            return Ok(None);
        };
        let rows = answer?;
        let row = rows.first().ok_or(Fault::Protocol("no answer about the slot"))?;
        Ok(Some(Self { consistent_point: row.some(1)?, name: row.some(2)?, _slot: slot }))
    }

    /// The transaction under way, which has taken no snapshot yet, reads under this one from here on.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn import(&mut self, reading: &mut Connection) -> Result<(), Fault> {
        reading.query(&format!("SET TRANSACTION SNAPSHOT {}", literal(&self.name))).await.map(drop)
    }
}

/// Whether every transaction that the snapshot of the transaction under way sees has come to its end. Until then its rows
/// look as if it had been aborted. A transaction holds the lock on its own id until then; locks are read as they are now.
///
/// # Errors
/// Those of the connection.
pub async fn is_settled(reading: &mut Connection) -> Result<bool, Fault> {
    const SQL: &str = "SELECT pg_catalog.pg_current_snapshot(), (SELECT string_agg(transactionid::text, ',') \
         FROM pg_catalog.pg_locks WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted)";
    let rows = reading.query(SQL).await?;
    let row = rows.first().ok_or(Fault::Protocol("no snapshot"))?;
    let snapshot: Snapshot = row.some(0)?;
    let running = row.text(1).unwrap_or_default().split(',').filter_map(|xid| xid.parse().ok());
    Ok(!running.into_iter().any(|xid: u32| snapshot.sees(xid)))
}
