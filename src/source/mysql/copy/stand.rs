//! A snapshot that stands open, and the stream held where its rows belong.

use super::gaps::Gaps;
use super::gate::{Held, Request, Taken};
use super::key::Key;
use super::patience::at_once;
use super::snapshot::Connections;
use super::window::Changed;
use super::{Trouble, Worker};
use crate::config::Flavour;
use crate::journal::CopyRecord;
use crate::model::gtid::GtidSet;
use crate::model::name::TableName;
use crate::model::schema::{TableSchema, TableShape};
use crate::source::mysql::catalogue;
use crate::source::mysql::connection::literal;
use crate::source::mysql::fault::Fault;
use crate::source::mysql::look::Entry;
use crate::source::mysql::settled::Listed;
use crate::source::mysql::tables::{self, has_snapshots};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long the stream may take to a snapshot's place before it is given up for a later one.
const ARRIVAL: Duration = Duration::from_secs(30);
/// The same where the table is locked against writers meanwhile.
const ARRIVAL_LOCKED: Duration = Duration::from_secs(2);
/// Until the table is locked again, so that its writers get on.
const PAUSE_LOCKED: Duration = Duration::from_secs(2);
/// So often a snapshot is taken of a table that is written to all the time, before the copies of others have their turn.
const TRIES_MAX: u32 = 20;
/// Of these tries. It takes a second where somebody always writes, the others take some milliseconds.
const BETWEEN_WRITERS_EVERY: u32 = 10;
const PAUSE: Duration = Duration::from_millis(5);
const VISIBLE_WITHIN: Duration = Duration::from_secs(10);
const NOT_VISIBLE: &str = "transactions that are in the log, and that the server does not show yet";
const BUSY: &str =
    "a moment in which nobody writes to the table: it has no key by which its changed rows could be told";

pub(super) struct Standing {
    pub shape: TableShape,
    pub key: Key,
    pub gaps: Gaps,
    pub rows_estimate: u64,
    pub schema: Arc<TableSchema>,
    /// What the catalogue says of the table.
    pub entry: Entry,
    /// The rows that are not as the snapshot has them.
    pub changed: Changed,
    /// As of before the snapshot; MariaDB alone.
    pub listed: Option<Listed>,
}

/// How a snapshot's place is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// MariaDB's tells it.
    Told,
    /// What changes meanwhile is kept.
    Watched,
    /// Nobody writes to the table while the snapshot is taken.
    BetweenWriters,
    /// Its engine has no snapshots.
    Locked,
}

impl Standing {
    /// Whether it is known what the rows are that changed: by their keys, and in this version of the table.
    fn is_sure(&self) -> bool {
        let has_key = self.schema.columns.iter().any(|column| column.shape.key);
        self.changed.is_empty() || has_key && self.changed.is_of(&self.schema)
    }
}

impl Worker {
    /// Opens a snapshot of the table and holds the stream where it belongs.
    pub(super) async fn stand(
        &mut self,
        connections: &mut Connections,
        record: &CopyRecord,
    ) -> Result<Standing, Trouble> {
        let table = &record.table;
        let silence_max = self.system.endpoint.silence_max;
        let first = self.how(table);
        let mut how = first;
        for tries in 1..=TRIES_MAX {
            let listed = match self.system.flavour {
                Flavour::Mysql => None,
                Flavour::Mariadb => Some(at_once(silence_max, Listed::ask(&mut connections.other)).await?),
            };
            let held = match self.hold(connections, table, how).await {
                Ok(held) => held,
                Err(trouble) => {
                    // The snapshot may be open; so the connection is of no use if this fails.
                    connections.end().await?;
                    return Err(trouble);
                }
            };
            if let Some(Held::Exactly(changed)) = held {
                let looked = timeout(silence_max, self.look(connections, record, changed)).await;
                let looked = looked.map_err(|_| Fault::Silent(silence_max))??;
                let standing = Standing { listed, ..looked };
                if standing.is_sure() {
                    return Ok(standing);
                }
                // Either there is a moment without a change, or one without a writer.
                let waits = tries % BETWEEN_WRITERS_EVERY == 0;
                how = if waits { How::BetweenWriters } else { first };
            } else {
                how = first;
            }
            connections.end().await?;
            if first == How::Watched {
                self.knocker.send(Request::Release).await?;
                sleep(PAUSE).await;
            }
        }
        Err(Trouble::Table(BUSY.to_owned()))
    }

    fn how(&self, table: &TableName) -> How {
        let looked = self.looked.borrow();
        let is_locked = looked.table(table).is_some_and(|looked| !has_snapshots(&looked.engine));
        match self.system.flavour {
            _ if is_locked => How::Locked,
            Flavour::Mysql => How::Watched,
            Flavour::Mariadb => How::Told,
        }
    }

    /// Takes a snapshot and waits until the stream stands at its place; `None`: in vain.
    async fn hold(
        &mut self,
        connections: &mut Connections,
        table: &TableName,
        how: How,
    ) -> Result<Option<Held>, Trouble> {
        let silence_max = self.system.endpoint.silence_max;
        let (place, taken) = match how {
            How::Told => (Some(at_once(silence_max, connections.snapshot(table)).await?), Taken::AtPlace),
            How::Watched => return self.hold_watched(connections, table).await,
            How::BetweenWriters => {
                (at_once(silence_max, connections.snapshot_between_writers(table)).await?, Taken::AtPlace)
            }
            How::Locked => (Some(at_once(silence_max, connections.snapshot_locked(table)).await?), Taken::Locked),
        };
        let Some(place) = place else { return Ok(None) };
        let arrival = if how == How::Locked { ARRIVAL_LOCKED } else { ARRIVAL };
        // Where the stream is beyond it, it stays there, so the next snapshot is not behind it.
        if let Ok(held) = timeout(arrival, self.knocker.hold(place, taken)).await {
            return Ok(Some(held?));
        }
        if how == How::Locked {
            connections.end().await?;
            sleep(PAUSE_LOCKED).await;
        }
        self.in_vain().await
    }

    /// The same with the stream keeping what changes of the table meanwhile.
    async fn hold_watched(
        &mut self,
        connections: &mut Connections,
        table: &TableName,
    ) -> Result<Option<Held>, Trouble> {
        let silence_max = self.system.endpoint.silence_max;
        let visible = at_once(silence_max, connections.visible()).await?;
        let before = timeout(ARRIVAL, self.knocker.watch(table.clone(), visible)).await;
        let Ok(before) = before else { return self.in_vain().await };
        let visible = self.until_visible(connections, &before?).await?;
        let place = at_once(silence_max, connections.snapshot(table)).await?;
        match timeout(ARRIVAL, self.knocker.hold(place, Taken::Watched)).await.map(Result::ok) {
            Err(_) => self.in_vain().await,
            Ok(None) => Err(Trouble::Gone),
            Ok(Some(Held::Exactly(changed))) => Ok(Some(Held::Exactly(changed.seen(&visible)))),
            Ok(Some(Held::Beyond)) => Ok(Some(Held::Beyond)),
        }
    }

    async fn in_vain(&self) -> Result<Option<Held>, Trouble> {
        self.knocker.send(Request::Release).await?;
        Ok(None)
    }

    /// What came before the window was logged, and is perhaps not yet visible. Gives what is visible then.
    async fn until_visible(&self, connections: &mut Connections, taken: &GtidSet) -> Result<GtidSet, Trouble> {
        let visible = async {
            loop {
                let visible = connections.visible().await?;
                if visible.covers(taken) {
                    return Ok::<_, Fault>(visible);
                }
                sleep(PAUSE).await;
            }
        };
        match timeout(VISIBLE_WITHIN, visible).await {
            Ok(visible) => Ok(visible?),
            Err(_) => Err(Trouble::Table(NOT_VISIBLE.to_owned())),
        }
    }

    /// The snapshot has touched the table, so it looks as it did then.
    async fn look(
        &mut self,
        connections: &mut Connections,
        record: &CopyRecord,
        changed: Changed,
    ) -> Result<Standing, Trouble> {
        let table = &record.table;
        let described = catalogue::describe(&mut connections.other, table).await?;
        let described = described.ok_or_else(|| Trouble::Table(format!("{table} is not on the server")))?;
        let shape = described.shape_of(table, &mut self.charsets, &mut connections.other, self.system.flavour).await?;
        let shape = shape.map_err(|why| catalogue::unreadable(table, &why))?;
        let sql = format!(
            "SELECT COALESCE(table_rows, 0) FROM information_schema.tables WHERE table_schema = {} AND table_name = {}",
            literal(&table.schema),
            literal(&table.table)
        );
        let rows_estimate = connections.other.row(&sql).await?.number(0)?;
        let table = tables::one(&mut connections.reader, table).await?;
        let table = table.ok_or_else(|| Trouble::Table(format!("{} is not on the server", record.table)))?;
        let entry = Entry::of(&table);
        let key = Key::new(&shape, &described.primary_key);
        let gaps = Gaps::of(&shape, &described, &self.charsets);
        let schema = self.knocker.describe(shape.clone()).await?;
        Ok(Standing { shape, key, gaps, rows_estimate, schema, entry, changed, listed: None })
    }
}
