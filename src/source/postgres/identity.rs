//! Is this still the server, the history and the slot that the checkpoint belongs to?
//!
//! [`read`] asks the server, [`judge`] compares; both run at every connect, before anything is changed on the server. A
//! surprise here halts: asked to start before `confirmed_flush_lsn`, a server forwards silently.

use super::fault::Fault;
use super::simple_query::{Connection, literal};
use crate::config::PostgresSystem;
use crate::model::checkpoint::{PostgresCheckpoint, PostgresFingerprint, PostgresServer};
use crate::model::code::{self, Code};
use crate::model::position::Lsn;
use crate::model::problem::Problem;
use crate::model::time::UnixMicros;
use std::time::Duration;

pub const VERSION_MIN: u32 = 140_000;

/// What the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub identity: PostgresServer,
    pub flushed: Lsn,
    /// As in `server_version_num`.
    pub version: u32,
    pub wal_level: String,
    pub in_recovery: bool,
    /// Zero: it never drops a silent reader.
    pub wal_sender_timeout: Duration,
    pub slot: Option<Slot>,
    /// The commit time it remembers for the checkpoint's last transaction. `None`: it does not tell.
    pub remembered: Option<UnixMicros>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `logical pgoutput`, as far as it is ours.
    pub kind: String,
    pub database: Option<String>,
    pub wal_status: Option<String>,
    pub confirmed: Option<Lsn>,
}

/// Where a session starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing was ever journaled: a slot is to be made, in place of an unfinished one if there is any.
    SetUp { slot_exists: bool },
    /// Stream on from the checkpoint.
    Resume,
}

/// # Errors
/// Those of the connection, and [`Fault::Protocol`] for answers that cannot be.
pub async fn read(
    connection: &mut Connection,
    system: &PostgresSystem,
    last: Option<PostgresFingerprint>,
) -> Result<Server, Fault> {
    let empty = Fault::Protocol("an empty answer");
    let identified = connection.query("IDENTIFY_SYSTEM").await?.pop().ok_or(empty)?;
    let settings = connection.query(SETTINGS).await?.pop().ok_or(Fault::Protocol("an empty answer"))?;
    let slot = connection.query(&slot_query(&system.slot)).await?;
    let tracks_commits = settings.is_true(4);
    Ok(Server {
        identity: PostgresServer {
            system_identifier: identified.some(0)?,
            timeline: identified.some(1)?,
            database: identified.some(3)?,
            slot: system.slot.clone(),
        },
        flushed: identified.some(2)?,
        version: settings.some(0)?,
        wal_level: settings.some(1)?,
        in_recovery: settings.is_true(2),
        wal_sender_timeout: Duration::from_millis(settings.some(3)?),
        slot: slot.first().map(slot_from).transpose()?,
        remembered: match last {
            Some(last) if tracks_commits => remembered(connection, last.xid).await?,
            _ => None,
        },
    })
}

const SETTINGS: &str = "SELECT current_setting('server_version_num'), current_setting('wal_level'), \
     pg_catalog.pg_is_in_recovery(), \
     (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'), \
     current_setting('track_commit_timestamp')::bool";

fn slot_query(slot: &str) -> String {
    format!(
        "SELECT concat_ws(' ', slot_type, plugin), database, wal_status, confirmed_flush_lsn \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        literal(slot)
    )
}

fn slot_from(row: &super::simple_query::Row) -> Result<Slot, Fault> {
    Ok(Slot { kind: row.some(0)?, database: row.parse(1)?, wal_status: row.parse(2)?, confirmed: row.parse(3)? })
}

/// Null when the server has forgotten, or never knew, this transaction.
async fn remembered(connection: &mut Connection, xid: u32) -> Result<Option<UnixMicros>, Fault> {
    let sql = format!("SELECT (extract(epoch FROM pg_catalog.pg_xact_commit_timestamp('{xid}'::xid)) * 1000000)::int8");
    let rows = connection.query(&sql).await?;
    Ok(rows.first().map(|row| row.parse(0)).transpose()?.flatten().map(UnixMicros))
}

/// # Errors
/// [`Fault::Halt`] for every surprise; [`Fault::Retry`] for a standby, which may be promoted.
pub fn judge(server: &Server, checkpoint: Option<&PostgresCheckpoint>) -> Result<Start, Fault> {
    fit_for_streaming(server)?;
    let Some(checkpoint) = checkpoint else {
        return match &server.slot {
            None => Ok(Start::SetUp { slot_exists: false }),
            Some(slot) => Err(slot_without_journal(server, slot)),
        };
    };
    // Intent alone: a first set-up was under way, so the slot is ours and nothing has gone through it. That holds for the
    // server and the name that the intent was about; any other slot is another Tailwater's.
    if checkpoint.flushed == Lsn::default() {
        if let Some(slot) = &server.slot {
            slot_is_ours(server, slot)?;
            if server.identity != checkpoint.server {
                return Err(slot_without_journal(server, slot));
            }
        }
        return Ok(Start::SetUp { slot_exists: server.slot.is_some() });
    }
    same_history(server, checkpoint)?;
    slot_continues(server, checkpoint)?;
    fingerprint_matches(server, checkpoint)?;
    Ok(Start::Resume)
}

fn fit_for_streaming(server: &Server) -> Result<(), Fault> {
    if server.version < VERSION_MIN {
        return halt(code::VERSION_UNSUPPORTED, format!("server_version_num is {}", server.version));
    }
    if server.in_recovery {
        let message = "the server is a standby in recovery".to_owned();
        return Err(Fault::Retry(Problem::new(code::SERVER_UNAVAILABLE, message)));
    }
    if server.wal_level != "logical" {
        return halt(code::WAL_LEVEL_NOT_LOGICAL, format!("wal_level is '{}'", server.wal_level));
    }
    Ok(())
}

fn same_history(server: &Server, checkpoint: &PostgresCheckpoint) -> Result<(), Fault> {
    let (found, known) = (&server.identity, &checkpoint.server);
    if found.system_identifier != known.system_identifier {
        let (found, known) = (found.system_identifier, known.system_identifier);
        return halt(code::SERVER_REPLACED, format!("system identifier is {found}, the checkpoint's is {known}"));
    }
    if found.database != known.database {
        let (found, known) = (&found.database, &known.database);
        return halt(code::SERVER_REPLACED, format!("database is {found:?}, the checkpoint's is {known:?}"));
    }
    if found.timeline != known.timeline {
        let (found, known) = (found.timeline, known.timeline);
        return halt(code::TIMELINE_CHANGED, format!("timeline is {found}, the checkpoint's is {known}"));
    }
    if server.flushed < checkpoint.flushed {
        let (end, known) = (server.flushed, checkpoint.flushed);
        return halt(code::SERVER_BEHIND, format!("the server's log ends at {end}, the checkpoint is {known}"));
    }
    Ok(())
}

fn slot_continues(server: &Server, checkpoint: &PostgresCheckpoint) -> Result<(), Fault> {
    let (name, flushed) = (&server.identity.slot, checkpoint.flushed);
    let Some(slot) = &server.slot else {
        let known = &checkpoint.server.slot;
        let message = format!("slot {name:?} does not exist; the checkpoint is {flushed} of slot {known:?}");
        return halt(code::SLOT_MISSING, message);
    };
    slot_is_ours(server, slot)?;
    if slot.wal_status.as_deref() == Some("lost") {
        let message = format!("slot {name:?} has wal_status 'lost'; the checkpoint is {flushed}");
        return halt(code::SLOT_INVALIDATED, message);
    }
    match slot.confirmed {
        Some(confirmed) if confirmed > flushed => {
            let message = format!("slot {name:?} is confirmed to {confirmed}, the checkpoint is {flushed}");
            halt(code::SLOT_AHEAD, message)
        }
        _ => Ok(()),
    }
}

fn slot_is_ours(server: &Server, slot: &Slot) -> Result<(), Fault> {
    if slot.kind == "logical pgoutput" && slot.database.as_ref() == Some(&server.identity.database) {
        return Ok(());
    }
    let database = slot.database.as_deref().unwrap_or("-");
    let message = format!("slot {:?} is {}, of database {database}", server.identity.slot, slot.kind);
    halt(code::SLOT_FOREIGN, message)
}

fn slot_without_journal(server: &Server, slot: &Slot) -> Fault {
    if let Err(foreign) = slot_is_ours(server, slot) {
        return foreign;
    }
    let name = &server.identity.slot;
    let confirmed = slot.confirmed.unwrap_or_default();
    let drop = format!("SELECT pg_drop_replication_slot({});", literal(name));
    let message = format!("slot {name:?} is confirmed to {confirmed} and the journal is empty; to start over: {drop}");
    Fault::Halt(Problem::new(code::SLOT_WITHOUT_JOURNAL, message))
}

fn fingerprint_matches(server: &Server, checkpoint: &PostgresCheckpoint) -> Result<(), Fault> {
    match (checkpoint.last, server.remembered) {
        (Some(last), Some(remembered)) if last.commit_time != remembered => {
            let (xid, known, found) = (last.xid, last.commit_time.0, remembered.0);
            let message = format!("transaction {xid} committed at {found} µs, journaled as {known} µs");
            halt(code::HISTORY_DIFFERS, message)
        }
        _ => Ok(()),
    }
}

fn halt<T>(code: Code, message: String) -> Result<T, Fault> {
    Err(Fault::Halt(Problem::new(code, message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Slot {
        Slot {
            kind: "logical pgoutput".to_owned(),
            database: Some("erp".to_owned()),
            wal_status: Some("reserved".to_owned()),
            confirmed: Some(Lsn(900)),
        }
    }

    fn server() -> Server {
        Server {
            identity: PostgresServer {
                system_identifier: 7,
                timeline: 1,
                database: "erp".to_owned(),
                slot: "tailwater_erp".to_owned(),
            },
            flushed: Lsn(2_000),
            version: 150_000,
            wal_level: "logical".to_owned(),
            in_recovery: false,
            wal_sender_timeout: Duration::from_secs(60),
            slot: Some(slot()),
            remembered: Some(UnixMicros(5)),
        }
    }

    fn checkpoint() -> PostgresCheckpoint {
        let last = PostgresFingerprint { xid: 3, commit_lsn: Lsn(950), commit_time: UnixMicros(5) };
        PostgresCheckpoint { flushed: Lsn(1_000), server: server().identity, last: Some(last) }
    }

    fn intent() -> PostgresCheckpoint {
        PostgresCheckpoint { flushed: Lsn(0), server: server().identity, last: None }
    }

    fn code_of(server: &Server, checkpoint: Option<&PostgresCheckpoint>) -> &'static str {
        match judge(server, checkpoint) {
            Err(Fault::Halt(problem) | Fault::Retry(problem)) => problem.code.as_str(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_server_resumes_and_an_unfinished_set_up_starts_over() {
        assert_eq!(judge(&server(), Some(&checkpoint())).expect("fine"), Start::Resume);
        let bare = Server { slot: None, ..server() };
        assert_eq!(judge(&bare, None).expect("fine"), Start::SetUp { slot_exists: false });
        assert_eq!(judge(&bare, Some(&intent())).expect("fine"), Start::SetUp { slot_exists: false });
        assert_eq!(judge(&server(), Some(&intent())).expect("fine"), Start::SetUp { slot_exists: true });
        let forgetful = Server { remembered: None, ..server() };
        assert_eq!(judge(&forgetful, Some(&checkpoint())).expect("fine"), Start::Resume);
    }

    #[test]
    fn every_surprise_halts_with_its_own_code() {
        let identity = server().identity;
        let with = |identity| Server { identity, ..server() };
        let slotted = |slot| Server { slot: Some(slot), ..server() };
        let known = Some(checkpoint());
        for (server, checkpoint, code) in [
            (with(PostgresServer { system_identifier: 8, ..identity.clone() }), &known, code::SERVER_REPLACED),
            (with(PostgresServer { database: "other".to_owned(), ..identity.clone() }), &known, code::SERVER_REPLACED),
            (with(PostgresServer { timeline: 2, ..identity.clone() }), &known, code::TIMELINE_CHANGED),
            (Server { flushed: Lsn(999), ..server() }, &known, code::SERVER_BEHIND),
            (Server { slot: None, ..server() }, &known, code::SLOT_MISSING),
            (slotted(Slot { kind: "physical".to_owned(), ..slot() }), &known, code::SLOT_FOREIGN),
            (slotted(Slot { database: Some("other".to_owned()), ..slot() }), &None, code::SLOT_FOREIGN),
            (slotted(Slot { kind: "physical".to_owned(), ..slot() }), &Some(intent()), code::SLOT_FOREIGN),
            (
                with(PostgresServer { system_identifier: 8, ..identity.clone() }),
                &Some(intent()),
                code::SLOT_WITHOUT_JOURNAL,
            ),
            (
                with(PostgresServer { slot: "another".to_owned(), ..identity.clone() }),
                &Some(intent()),
                code::SLOT_WITHOUT_JOURNAL,
            ),
            (slotted(Slot { wal_status: Some("lost".to_owned()), ..slot() }), &known, code::SLOT_INVALIDATED),
            (slotted(Slot { confirmed: Some(Lsn(1_001)), ..slot() }), &known, code::SLOT_AHEAD),
            (server(), &None, code::SLOT_WITHOUT_JOURNAL),
            (Server { remembered: Some(UnixMicros(6)), ..server() }, &known, code::HISTORY_DIFFERS),
            (Server { wal_level: "replica".to_owned(), ..server() }, &known, code::WAL_LEVEL_NOT_LOGICAL),
            (Server { version: 130_012, ..server() }, &known, code::VERSION_UNSUPPORTED),
            (Server { in_recovery: true, ..server() }, &known, code::SERVER_UNAVAILABLE),
        ] {
            assert_eq!(code_of(&server, checkpoint.as_ref()), code.as_str());
        }
    }
}
