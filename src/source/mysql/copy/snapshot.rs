//! A snapshot of one table, and the place in the log behind which it sees nothing.
//!
//! MariaDB's consistent snapshot tells its place. MySQL has none that does: what others can see was logged before, so where the
//! log ends behind the snapshot is such a place, and what it may not see of what is before it is `window`'s to know. A table
//! whose engine has no snapshots stays locked against writers while a chunk is read. Surprise: a snapshot locks nothing, so the
//! table is touched at once, which keeps its shape until the end.

use super::patience::at_once;
use crate::config::{Flavour, MysqlEndpoint, MysqlSystem};
use crate::model::gtid::GtidSet;
use crate::model::name::TableName;
use crate::model::position::LogPlace;
use crate::source::mysql::connection::{Connection, identifier};
use crate::source::mysql::fault::Fault;
use crate::source::mysql::identity::{executed, written_to};

const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
/// MariaDB takes one or the other; its snapshot is what is needed.
const BEGIN_MARIADB: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";

const LOCK_WAIT_TIMEOUT: u16 = 1205;

/// The one that reads, and the one that locks and asks.
pub struct Connections {
    pub reader: Connection,
    pub other: Connection,
    flavour: Flavour,
    /// The table is locked until the end, because its engine has no snapshots.
    locked: bool,
    /// The reader is in the middle of a chunk.
    pub(super) reads: bool,
    pub(super) endpoint: MysqlEndpoint,
}

impl Connections {
    /// # Errors
    /// Those of the connection.
    pub async fn open(system: &MysqlSystem) -> Result<Self, Fault> {
        let mut reader = Connection::open(&system.endpoint).await?;
        reader.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        // Whatever a key has is written as a literal.
        reader.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'").await?;
        let mut other = Connection::open(&system.endpoint).await?;
        // Writers queue behind a lock that waits.
        other.execute("SET SESSION lock_wait_timeout = 1").await?;
        let endpoint = system.endpoint.clone();
        Ok(Self { reader, other, flavour: system.flavour, locked: false, reads: false, endpoint })
    }

    /// Opens a snapshot on the reader; gives the place in the log behind which it sees nothing. MariaDB's sees all before it, too.
    ///
    /// # Errors
    /// Those of the connection, among them 1146 when the table is gone.
    pub async fn snapshot(&mut self, table: &TableName) -> Result<LogPlace, Fault> {
        let touch = format!("SELECT 1 FROM {} LIMIT 0", qualified(table));
        match self.flavour {
            Flavour::Mysql => {
                self.reader.execute(BEGIN).await?;
                self.reader.execute(&touch).await?;
                written_to(&mut self.other, self.flavour).await
            }
            Flavour::Mariadb => {
                self.reader.execute(BEGIN_MARIADB).await?;
                let place = self.told_by_snapshot().await;
                self.reader.execute(&touch).await?;
                place
            }
        }
    }

    /// The same for a table whose engine has no snapshots: nobody writes to it until [`Self::end`].
    ///
    /// # Errors
    /// As [`Self::snapshot`], 1044 without the right to lock, and 1205 when a writer kept it for too long.
    pub async fn snapshot_locked(&mut self, table: &TableName) -> Result<LogPlace, Fault> {
        self.other.execute(&format!("LOCK TABLES {} READ", qualified(table))).await?;
        self.locked = true;
        self.snapshot(table).await
    }

    /// The same for MySQL, with nobody writing to the table for some statements, so that the snapshot sees all of it that is
    /// before its place. `None`: somebody always writes.
    ///
    /// # Errors
    /// As [`Self::snapshot_locked`].
    pub async fn snapshot_between_writers(&mut self, table: &TableName) -> Result<Option<LogPlace>, Fault> {
        match self.snapshot_locked(table).await {
            Ok(place) => {
                self.unlock().await?;
                Ok(Some(place))
            }
            Err(Fault::Server { errno: LOCK_WAIT_TIMEOUT, .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// What of MySQL's transactions every snapshot sees that is taken from here on.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn visible(&mut self) -> Result<GtidSet, Fault> {
        executed(&mut self.other, self.flavour).await
    }

    async fn told_by_snapshot(&mut self) -> Result<LogPlace, Fault> {
        let (mut file, mut offset) = (String::new(), 0);
        for row in self.reader.rows("SHOW STATUS LIKE 'binlog_snapshot_%'").await? {
            match row.some(0)?.to_ascii_lowercase().as_str() {
                "binlog_snapshot_file" => file = row.some(1)?.to_owned(),
                "binlog_snapshot_position" => offset = row.number(1)?,
                _ => {}
            }
        }
        if file.is_empty() {
            return Err(Fault::Protocol("a snapshot without a place"));
        }
        Ok(LogPlace { file: file.into(), offset })
    }

    /// Ends the snapshot.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn end(&mut self) -> Result<(), Fault> {
        let silence_max = self.endpoint.silence_max;
        let ended = async {
            self.unlock().await?;
            self.reader.execute("COMMIT").await
        };
        at_once(silence_max, ended).await
    }

    async fn unlock(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.locked) { self.other.execute("UNLOCK TABLES").await } else { Ok(()) }
    }
}

pub fn qualified(table: &TableName) -> String {
    format!("{}.{}", identifier(&table.schema), identifier(&table.table))
}
