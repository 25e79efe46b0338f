//! A snapshot of one table, and the place in the log that it belongs to, taken as one.
//!
//! MySQL has no snapshot that tells its place, so the table is locked against writers for two statements: whoever wrote to it
//! before has committed and is in both, whoever writes after is in neither. MariaDB's consistent snapshot tells its place in
//! the log. A table whose engine has no snapshots stays locked against writers while a chunk is read. Surprise: a snapshot locks
//! nothing, so the table is touched at once, which keeps its shape until the end.

use super::gate::Place;
use crate::config::{Flavour, MysqlSystem};
use crate::model::gtid::GtidSet;
use crate::model::name::TableName;
use crate::model::position::LogPlace;
use crate::source::mysql::connection::{Connection, identifier};
use crate::source::mysql::fault::Fault;

const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
/// MariaDB takes one or the other; its snapshot is what is needed.
const BEGIN_MARIADB: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";

/// The one that reads, and the one that locks and asks.
pub struct Connections {
    pub reader: Connection,
    pub other: Connection,
    flavour: Flavour,
    /// The table is locked until the end, because its engine has no snapshots.
    locked: bool,
}

impl Connections {
    /// # Errors
    /// Those of the connection.
    pub async fn open(system: &MysqlSystem) -> Result<Self, Fault> {
        let mut reader = Connection::open(&system.endpoint).await?;
        reader.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        let mut other = Connection::open(&system.endpoint).await?;
        // Writers queue behind a lock that waits.
        other.execute("SET SESSION lock_wait_timeout = 1").await?;
        Ok(Self { reader, other, flavour: system.flavour, locked: false })
    }

    /// The same for a table whose engine has no snapshots: nobody writes to it until [`Self::end`].
    ///
    /// # Errors
    /// As [`Self::snapshot`], and 1044 without the right to lock.
    pub async fn snapshot_locked(&mut self, table: &TableName) -> Result<Place, Fault> {
        self.other.execute(&format!("LOCK TABLES {} READ", qualified(table))).await?;
        self.locked = true;
        let touch = format!("SELECT 1 FROM {} LIMIT 0", qualified(table));
        match self.flavour {
            Flavour::Mysql => self.under_lock(&touch).await,
            Flavour::Mariadb => self.by_snapshot(&touch).await,
        }
    }

    /// Opens a snapshot on the reader; gives what it sees.
    ///
    /// # Errors
    /// Those of the connection, among them 1146 when the table is gone and 1205 when a writer kept it for too long.
    pub async fn snapshot(&mut self, table: &TableName) -> Result<Place, Fault> {
        let touch = format!("SELECT 1 FROM {} LIMIT 0", qualified(table));
        match self.flavour {
            Flavour::Mysql => {
                self.other.execute(&format!("LOCK TABLES {} READ", qualified(table))).await?;
                let seen = self.under_lock(&touch).await;
                self.other.execute("UNLOCK TABLES").await?;
                seen
            }
            Flavour::Mariadb => self.by_snapshot(&touch).await,
        }
    }

    async fn by_snapshot(&mut self, touch: &str) -> Result<Place, Fault> {
        self.reader.execute(BEGIN_MARIADB).await?;
        let seen = self.told_by_snapshot().await;
        self.reader.execute(touch).await?;
        seen
    }

    async fn under_lock(&mut self, touch: &str) -> Result<Place, Fault> {
        self.reader.execute(BEGIN).await?;
        self.reader.execute(touch).await?;
        let row = self.other.row("SELECT @@global.gtid_executed").await?;
        let ids = row.some(0)?.parse().map_err(|_| Fault::Protocol("a broken GTID set"))?;
        Ok(Place::Ids(GtidSet::Mysql(ids)))
    }

    async fn told_by_snapshot(&mut self) -> Result<Place, Fault> {
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
        Ok(Place::Log(LogPlace { file: file.into(), offset }))
    }

    /// Ends the snapshot.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn end(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.locked) {
            self.other.execute("UNLOCK TABLES").await?;
        }
        self.reader.execute("COMMIT").await
    }
}

pub fn qualified(table: &TableName) -> String {
    format!("{}.{}", identifier(&table.schema), identifier(&table.table))
}
