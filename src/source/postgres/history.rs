//! Whether the log that the slot stands in still has the last transaction that was journaled.
//!
//! A server that is put back to an older copy of its data, slot and all, gives the same LSNs again once it writes, and asked to
//! go on from the checkpoint it would pass over what it wrote below. The slot was put back too: it is confirmed to no further
//! than it was at the copy. So where it is not confirmed beyond that transaction, the server is asked what it would send from
//! there on, and the transaction has to come, at its place, with its id and its commit time. Surprise: a crash takes a slot back
//! by some minutes, too, as far as it was written to disk; then the transaction is there.

use super::fault::Fault;
use super::identity::Server;
use super::simple_query::{Connection, Purpose, identifier, literal};
use crate::config::PostgresSystem;
use crate::model::checkpoint::{PostgresCheckpoint, PostgresFingerprint};
use crate::model::code;
use crate::model::position::Lsn;
use crate::model::problem::Problem;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
/// Microseconds from 1970-01-01 to 2000-01-01, the server's epoch.
const SERVER_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// # Errors
/// [`Fault::Halt`] where it is another history, and those of the connection: among them 55006 while the slot is still in use.
pub async fn goes_on(
    system: &PostgresSystem,
    server: &Server,
    checkpoint: &PostgresCheckpoint,
    publications: &[String],
) -> Result<(), Fault> {
    let confirmed = server.slot.as_ref().and_then(|slot| slot.confirmed);
    let Some(last) = checkpoint.last.filter(|last| confirmed.is_some_and(|confirmed| confirmed <= last.commit_lsn))
    else {
        return Ok(());
    };
    let mut connection = Connection::open(&system.endpoint, Purpose::Queries).await?;
    let begun = Instant::now();
    let waiting = || {
        let (system, waited_seconds) = (&system.name, begun.elapsed().as_secs());
        tracing::info!(%system, waited_seconds, "the server looks through its log for the last journaled transaction");
    };
    let rows = connection.query_patiently(&question(&system.slot, last, publications), PATIENCE, waiting).await?;
    if rows.first().is_some_and(|row| row.is_true(0)) {
        return Ok(());
    }
    let PostgresFingerprint { xid, commit_lsn, .. } = last;
    let (slot, confirmed) = (&system.slot, confirmed.unwrap_or_default());
    let message = format!(
        "transaction {xid} was journaled as committed at {commit_lsn}; slot {slot:?} is confirmed to {confirmed} and does not send it"
    );
    Err(Fault::Halt(Problem::new(code::HISTORY_DIFFERS, message)))
}

/// What the slot would send up to there is only looked at: nothing is confirmed.
fn question(slot: &str, last: PostgresFingerprint, publications: &[String]) -> String {
    let names: Vec<_> = publications.iter().map(|name| identifier(name)).collect();
    format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_logical_slot_peek_binary_changes({}, '{}', NULL, \
         'proto_version', '1', 'publication_names', {}) WHERE data = '\\x{}')",
        literal(slot),
        Lsn(last.commit_lsn.0 + 1),
        literal(&names.join(",")),
        begin(last)
    )
}

/// Its BEGIN in pgoutput, in hexadecimal digits.
fn begin(last: PostgresFingerprint) -> String {
    let time = last.commit_time.0.wrapping_sub(SERVER_EPOCH_MICROS);
    format!("{:02x}{:016x}{time:016x}{:08x}", b'B', last.commit_lsn.0, last.xid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::postgres::message::Message;
    use crate::model::time::UnixMicros;

    #[test]
    fn a_begin_is_what_the_stream_had() {
        let last = PostgresFingerprint { xid: 7, commit_lsn: Lsn(0x1_0000_00A0), commit_time: UnixMicros(5) };
        let hex = begin(last);
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("a digit"));
        let bytes: Vec<u8> = bytes.collect();
        let read = Message::parse(&bytes).expect("a message");
        assert_eq!(read, Message::Begin { commit_lsn: last.commit_lsn, commit_time: last.commit_time, xid: last.xid });
    }
}
