//! To stand: a transaction open on the table, its snapshot's rows about to be read, and the stream held where they belong.

use super::gate::{Held, Place, Request};
use super::pair::{self, Pair};
use super::snapshot::Snapshot;
use super::table::{self, Locked};
use super::{TRIES, Trouble, Worker};
use crate::config::PostgresSystem;
use crate::model::name::TableName;
use crate::model::position::Lsn;
use crate::model::schema::{TableSchema, TableShape};
use crate::source::postgres::fault::{Fault, ServerError};
use crate::source::postgres::simple_query::Connection;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The stream must have come this near to the end of the log before a snapshot is taken: one that waits for a stream far
/// behind would keep old rows from being cleaned up.
const NEAR_BYTES: u64 = 16 * 1024 * 1024;
/// How long the stream may take over the rest, at first and at most.
const ARRIVAL: Duration = Duration::from_millis(250);
const ARRIVAL_MAX: Duration = Duration::from_secs(8);
/// How long a commit may take from its record in the log to its end.
const COMMIT_MAX: Duration = Duration::from_secs(1);

/// A chunk's rows are read in this. A lock is waited for no longer than this for somebody's ALTER, and nobody waits behind it
/// longer. Rows that a policy would hide are an error, not missing. An index gives the next rows; sorting would read the whole
/// table for each chunk. The stream may take its time.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL lock_timeout = '2s'; \
     SET LOCAL row_security = off; SET LOCAL enable_sort = off; SET LOCAL jit = off; \
     SET LOCAL idle_in_transaction_session_timeout = 0";

const COMMITS_IN_FLIGHT: &str =
    "transactions that have committed and are not visible yet: perhaps a synchronous standby does not answer";
const RUNNING: &str = "transactions that run for long: an exact snapshot waits for them, see pg_stat_activity";
const NO_ROOM: &str = "a free replication slot and walsender: see max_replication_slots and max_wal_senders";
const FAR_BEHIND: &str = "the stream, which is far behind the end of the log";

/// A chunk's transaction that stands open, the stream held in its place.
pub struct Standing {
    pub locked: Locked,
    pub schema: Arc<TableSchema>,
    pub held: Held,
}

/// How near a place must be to what the snapshot sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Rows may be newer than their place by transactions that committed at the same moment.
    Near,
    Exact,
}

impl Worker {
    /// Opens a transaction on the table and holds the stream where its snapshot belongs.
    pub(super) async fn stand(
        &mut self,
        connection: &mut Connection,
        table: &TableName,
        need: Need,
    ) -> Result<Standing, Trouble> {
        let (mut tries, mut patience) = (0, ARRIVAL);
        if self.resumed && self.began.is_none() {
            self.began = Some(next_xid(connection).await?);
        }
        loop {
            connection.query(BEGIN).await?;
            lock(connection, table).await?;
            let (snapshot, log_end) = snapshot(connection).await?;
            let locked = look(connection, &self.system, table).await?;
            if log_end.bytes_since(*self.received.borrow()) > NEAR_BYTES {
                connection.query("COMMIT").await?;
                self.come_near(table, log_end).await?;
                continue;
            }
            if self.began.is_some_and(|began| snapshot.has_running_below(began)) {
                // Journaled before this session, it may not be visible yet; the gate knows only what came in this one.
                connection.query("COMMIT").await?;
                return self.stand_exactly(connection, table).await;
            }
            let need = if self.must_be_exact(&locked) { Need::Exact } else { need };
            match timeout(patience, self.knocker.hold(Place::Of { snapshot, log_end })).await {
                Ok(held) => match held? {
                    Held::BeforeUnseen if need == Need::Near && tries >= TRIES => {
                        return self.standing(locked, Held::BeforeUnseen).await;
                    }
                    Held::Exactly => return self.standing(locked, Held::Exactly).await,
                    Held::BeforeUnseen | Held::TooLate if tries >= TRIES => {
                        connection.query("COMMIT").await?;
                        return self.stand_exactly(connection, table).await;
                    }
                    // The stream stays where it is; most likely the next snapshot sees the transaction.
                    Held::BeforeUnseen | Held::TooLate => {
                        tries += 1;
                        connection.query("COMMIT").await?;
                    }
                },
                // The end of the log is not on disk, so the stream does not get it: hint bits or an asynchronous commit.
                // A transaction with an id, however empty, has the server write and flush.
                Err(_) => {
                    self.knocker.send(Request::Release).await?;
                    connection.query("SELECT pg_catalog.pg_current_xact_id(); COMMIT").await?;
                    patience = (patience * 2).min(ARRIVAL_MAX);
                }
            }
        }
    }

    /// With the snapshot and the place of a slot. The table is locked first: nothing can happen to its shape or its files
    /// between the snapshot and the reading. (Tables rewritten or truncated behind a snapshot look empty to it.)
    async fn stand_exactly(&self, connection: &mut Connection, table: &TableName) -> Result<Standing, Trouble> {
        connection.query(BEGIN).await?;
        lock(connection, table).await?;
        self.hold(Place::Here).await?;
        let mut pair = match Pair::take(&self.system, connection).await {
            Ok(Some(pair)) => pair,
            Ok(None) => return Err(Trouble::Table(RUNNING.to_owned())),
            Err(Fault::Server(ServerError { sqlstate, .. })) if matches!(sqlstate.as_str(), "53300" | "53400") => {
                return Err(Trouble::Table(NO_ROOM.to_owned()));
            }
            Err(fault) => return Err(fault.into()),
        };
        pair.import(connection).await?;
        let deadline = Instant::now() + COMMIT_MAX;
        while !pair::is_settled(connection).await? {
            if Instant::now() > deadline {
                return Err(Trouble::Table(COMMITS_IN_FLIGHT.to_owned()));
            }
            sleep(Duration::from_millis(1)).await;
        }
        let locked = look(connection, &self.system, table).await?;
        let held = self.hold(Place::Before(pair.consistent_point)).await?;
        drop(pair);
        self.standing(locked, held).await
    }

    async fn standing(&self, locked: Locked, held: Held) -> Result<Standing, Trouble> {
        let schema = self.knocker.describe(locked.shape.clone()).await?;
        Ok(Standing { locked, schema, held })
    }

    /// Holds the stream at a place that it comes to by itself.
    async fn hold(&self, place: Place) -> Result<Held, Trouble> {
        match timeout(ARRIVAL_MAX, self.knocker.hold(place)).await {
            Ok(held) => Ok(held?),
            Err(_) => Err(Trouble::Table(FAR_BEHIND.to_owned())),
        }
    }

    async fn come_near(&self, table: &TableName, log_end: Lsn) -> Result<(), Trouble> {
        self.knocker.send(Request::Release).await?;
        let mut received = self.received.clone();
        let near = received.wait_for(|received| log_end.bytes_since(*received) <= NEAR_BYTES);
        self.told(table, FAR_BEHIND, near).await.map(drop).map_err(|_| Trouble::Gone)
    }

    /// Rows of a table without key would be there twice if they were newer than their place. A version described ahead of
    /// its place would stand before older ones.
    fn must_be_exact(&self, locked: &Locked) -> bool {
        locked.order.is_empty() || !self.is_current(&locked.shape)
    }

    fn is_current(&self, shape: &TableShape) -> bool {
        let current = self.journal.current_schema(&self.system.name, &shape.name);
        current.is_some_and(|schema| schema.has_shape(shape))
    }
}

async fn lock(connection: &mut Connection, table: &TableName) -> Result<(), Trouble> {
    if table::lock(connection, table).await? { Ok(()) } else { Err(gone(table)) }
}

async fn look(connection: &mut Connection, system: &PostgresSystem, table: &TableName) -> Result<Locked, Trouble> {
    table::look(connection, system, table).await?.ok_or_else(|| gone(table))
}

fn gone(table: &TableName) -> Trouble {
    Trouble::Table(format!("{table} is not in the database"))
}

/// Every transaction that has begun to write has a lower one.
async fn next_xid(connection: &mut Connection) -> Result<u64, Fault> {
    let rows = connection.query("SELECT pg_catalog.pg_current_xact_id()").await?;
    rows.first().ok_or(Fault::Protocol("no transaction id"))?.some(0)
}

/// The snapshot of the transaction under way, and the end of the log behind it.
async fn snapshot(connection: &mut Connection) -> Result<(Snapshot, Lsn), Fault> {
    const SQL: &str = "SELECT pg_catalog.pg_current_snapshot(), pg_catalog.pg_current_wal_insert_lsn()";
    let rows = connection.query(SQL).await?;
    let row = rows.first().ok_or(Fault::Protocol("no snapshot"))?;
    Ok((row.some(0)?, row.some(1)?))
}
