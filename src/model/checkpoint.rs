//! What of a source is durable in the journal, with the server's identity.

use super::gtid::{Gtid, GtidSet};
use super::position::{LogPlace, Lsn, Sequence};
use super::time::UnixMicros;

/// One source's checkpoint. Written in the same synced batch as the transaction that it covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Checkpoint {
    Postgres(PostgresCheckpoint),
    Mysql(MysqlCheckpoint),
    /// Tailwater's own: the transactions of the journal up to here are governed.
    Governed(Sequence),
}

/// Of a MySQL or MariaDB server, as its GTIDs say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MysqlCheckpoint {
    /// MySQL's `server_uuid` or MariaDB's `server_uid`.
    pub server: String,
    /// Everything in it is durable here or was there before the start; the stream resumes behind it. Only grows.
    pub executed: GtidSet,
    /// Where the last transaction of it ended in the log, or further on before the next. MariaDB resumes from it where the
    /// landmark is in its place.
    pub end: LogPlace,
    /// The newest journaled transaction. `None`: none yet.
    pub last: Option<MysqlFingerprint>,
    /// The last transaction that was looked at, journaled or not, or the begin of a file. `None`: an earlier version's.
    pub landmark: Option<Landmark>,
}

impl MysqlCheckpoint {
    /// Where to read on from, as far as a server can be told: it takes 32 bits. A transaction begins within them.
    pub fn resumable(&self) -> Option<&LogPlace> {
        let begin = self.landmark.as_ref().map(|landmark| &landmark.place);
        [Some(&self.end), begin].into_iter().flatten().find(|place| u32::try_from(place.offset).is_ok())
    }
}

/// What begins at a place of the log, to recognise the log by: another history has something else there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Landmark {
    pub place: LogPlace,
    /// So many of the first events are digested.
    pub events: u32,
    pub digest: [u8; 16],
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MysqlFingerprint {
    pub gtid: Gtid,
    pub commit_time: UnixMicros,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresCheckpoint {
    /// Everything that committed before this LSN is durable here; the stream resumes from it. Never goes back.
    pub flushed: Lsn,
    pub server: PostgresServer,
    /// The newest journaled transaction, to recognise the server's history by. `None`: none yet.
    pub last: Option<PostgresFingerprint>,
}

/// Which server, and which line of its history, the checkpoint belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresServer {
    /// `IDENTIFY_SYSTEM`'s systemid: made by initdb, kept by physical copies and restores.
    pub system_identifier: u64,
    /// Grows at each promotion and point-in-time recovery.
    pub timeline: u32,
    pub database: String,
    pub slot: String,
}

/// A transaction by which a server's history is recognised: another history has another commit here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PostgresFingerprint {
    pub xid: u32,
    pub commit_lsn: Lsn,
    pub commit_time: UnixMicros,
}
