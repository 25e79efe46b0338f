//! The journal: every captured transaction, schema version and checkpoint, durable before anyone is told.
//!
//! The only place that knows RocksDB. One writer thread takes what the sources send, commits it in groups with one sync
//! each, and then raises what is `durable`; readers and sources see nothing before that.
//!
//! ```text
//!   Intake ─► queue ─► writer ─► store (RocksDB)          headers, bodies, checkpoints, schemas, subscriptions
//!                        │          └─► stored ─► Reader   catching up
//!                        └─► tail (ring) ───────► Reader   at the tail
//! ```
//!
//! `copies` keeps how far each copy of a table has come, `pace` how far those have come for whom copies are made.
//! `open` checks what is there with `directory` and `verify`; `staging` holds transactions that are still open;
//! `retention` takes the oldest away; `schemas`, `registry` and `lockfile` give names and numbers and keep them.

mod catalogue;
mod chain;
mod copies;
mod directory;
mod disk;
mod error;
mod group;
mod intake;
mod keys;
mod lockfile;
mod meters;
mod notes;
mod open;
mod pace;
mod queue;
mod reader;
mod record;
mod registry;
mod retention;
mod schemas;
mod shared;
mod staging;
mod store;
mod stored;
mod subscriptions;
mod system;
mod tail;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use catalogue::CatalogueEntry;
pub use copies::{CopyProgress, CopyRecord, CopyState, MovedRow, READ_AGAIN_MAX};
pub use error::{Error, ReadError};
pub use intake::Intake;
pub use meters::{JOURNAL_BYTES, JOURNAL_GROUP_TRANSACTIONS, JOURNAL_PARKED, JOURNAL_SEQUENCE, JOURNAL_SYNC_SECONDS};
pub use notes::{Note, NoteChange, Notes};
pub use pace::Follower;
pub use reader::Reader;

use crate::model::checkpoint::Checkpoint;
use crate::model::copy::CopyStep;
use crate::model::name::{SystemName, TableName};
use crate::model::position::{Epoch, History, Position, Reached, Sequence};
use crate::model::problem::Problem;
use crate::model::schema::{SchemaId, TableSchema};
use crate::model::time::UnixMicros;
use catalogue::CatalogueRequest;
use open::Ground;
use queue::{Acknowledge, CopyRequest, Request};
use shared::{Lifetime, Shared};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{oneshot, watch};

/// A body chunk holds at most this many bytes, except where one change alone is larger.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub struct Options {
    pub path: PathBuf,
    /// Field numbers and message names are kept here too, so that losing the journal does not renumber clients.
    pub lock_file: PathBuf,
    /// Sync before anything is called durable. Off only where losing committed changes does not matter.
    pub sync: bool,
    /// Oldest transactions are trimmed beyond this many bytes of bodies.
    pub retention_bytes: u64,
    /// Intake waits while the file system has less than this left.
    pub free_disk_bytes_min: u64,
    /// What sources may have under way to the writer, all together.
    pub queue_bytes_max: usize,
    /// Recent chunks kept for readers at the tail.
    pub tail_bytes_max: usize,
}

/// What a transaction's header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub sequence: Sequence,
    /// Up to and with this transaction.
    pub history: History,
    pub system: SystemName,
    pub position: Position,
    pub commit_time: UnixMicros,
    /// The source's own id: xid or GTID.
    pub transaction: String,
    pub changes: u64,
    /// The schema versions that occur in the body, ascending.
    pub schemas: Vec<SchemaId>,
    pub bytes: u64,
    pub chunks: u32,
    /// Bytes of this body and of all bodies before it, trimmed ones included: what is held is a difference of two of these.
    pub bytes_total: u64,
    /// Set when this is no source transaction but a step of a copy.
    pub copy: Option<CopyStep>,
    /// Of the whole copy up to and with this step.
    pub copied_rows: u64,
    /// Set when it holds entities: the transaction that they come of, whose position, time and id it has.
    pub cause: Option<Cause>,
}

/// The transaction of a source that changed entities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    pub sequence: Sequence,
    pub system: SystemName,
}

/// What a source says when a transaction is complete.
#[derive(Clone, Debug)]
pub struct Commit {
    pub position: Position,
    pub commit_time: UnixMicros,
    pub transaction: String,
    pub changes: u64,
    pub schemas: Vec<SchemaId>,
    pub checkpoint: Checkpoint,
    /// For a step of a copy: becomes durable together with the rows.
    pub copy: Option<CopyProgress>,
    /// At most one more of each table than [`READ_AGAIN_MAX`]; they stand for any number then.
    pub moved: Vec<MovedRow>,
    /// See [`Header::cause`].
    pub cause: Option<Cause>,
    /// Become durable together with the transaction.
    pub notes: Vec<NoteChange>,
}

/// What readers may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The oldest transaction still held; `durable.next()` when none is.
    pub oldest: Sequence,
    /// The newest durable one.
    pub durable: Sequence,
}

#[derive(Clone, Debug)]
pub struct Stats {
    pub bytes: u64,
    pub disk_free_bytes: u64,
    /// Why intake waits, while it does.
    pub parked: Option<Problem>,
    /// Why the journal stopped for good; nothing is written after it.
    pub failed: Option<Problem>,
}

/// A durable subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionRecord {
    pub name: String,
    pub subject: String,
    /// Everything up to here is done with.
    pub acknowledged: Reached,
}

impl Header {
    pub fn reached(&self) -> Reached {
        Reached { sequence: self.sequence, history: Some(self.history) }
    }
}

/// Cheap to clone. With the last clone and the last [`Intake`] the journal closes by itself, which blocks a moment:
/// [`Journal::close`] is the way for async code.
#[derive(Clone)]
pub struct Journal(Arc<Lifetime>);

impl Journal {
    /// Opens or creates it, checks its chain, forgets half-staged bodies, and starts the writer thread. Blocking.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is damaged, foreign, of a newer format, or in use by another process.
    #[expect(clippy::needless_pass_by_value, reason = "callers have no more use for the options")]
    pub fn open(options: Options) -> Result<Self, Error> {
        Self::open_on(&options, Ground::default())
    }

    fn open_on(options: &Options, ground: Ground) -> Result<Self, Error> {
        open::open(options, ground).map(Self)
    }

    pub fn epoch(&self) -> Epoch {
        self.shared().identity.epoch
    }

    /// 32 secret bytes made with the epoch; cursors are sealed with them.
    pub fn seal_key(&self) -> &[u8; 32] {
        &self.shared().identity.seal_key
    }

    /// The one way in for a source. Taking a second one for a system abandons what the first had open.
    pub fn intake(&self, system: &SystemName) -> Intake {
        Intake::new(Arc::clone(&self.0), self.shared().systems.get_or_add(system))
    }

    pub fn checkpoint(&self, system: &SystemName) -> Option<Checkpoint> {
        self.shared().systems.get(system)?.durable.borrow().clone()
    }

    pub fn bounds(&self) -> Bounds {
        self.shared().progress.bounds()
    }

    /// The history up to `sequence`, which is durable or 0.
    ///
    /// # Errors
    /// [`ReadError::Trimmed`] where retention has taken it.
    pub async fn history(&self, sequence: Sequence) -> Result<History, ReadError> {
        let shared = Arc::clone(self.shared());
        let reading = tokio::task::spawn_blocking(move || stored::history(&shared, sequence));
        // A read only fails to end when the runtime is going away.
        reading.await.unwrap_or(Err(ReadError::Closed))
    }

    /// The newest durable transaction, with its history.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn newest(&self) -> Result<Reached, ReadError> {
        let sequence = self.bounds().durable;
        Ok(Reached { sequence, history: Some(self.history(sequence).await?) })
    }

    /// Changes whenever something became durable.
    pub fn durable(&self) -> watch::Receiver<Sequence> {
        self.shared().progress.durable.clone()
    }

    /// Reads strictly after `after`.
    pub fn reader(&self, after: Sequence) -> Reader {
        Reader::new(Arc::clone(self.shared()), after)
    }

    pub fn schema(&self, id: SchemaId) -> Option<Arc<TableSchema>> {
        self.shared().schemas.get(id)
    }

    /// The newest version of one table.
    pub fn current_schema(&self, system: &SystemName, table: &TableName) -> Option<Arc<TableSchema>> {
        self.shared().schemas.current_of(system, table)
    }

    /// The newest version of every table ever captured, by full name.
    pub fn current_schemas(&self) -> Vec<Arc<TableSchema>> {
        self.shared().schemas.current()
    }

    pub fn stats(&self) -> Stats {
        self.shared().progress.stats()
    }

    pub fn subscription(&self, name: &str) -> Option<SubscriptionRecord> {
        self.shared().subscriptions.get(name)
    }

    pub fn subscriptions(&self) -> Vec<SubscriptionRecord> {
        self.shared().subscriptions.all()
    }

    /// Creates it or moves it on; durable when this returns. An `acknowledged` before the recorded one changes nothing.
    /// Gives what then holds.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn acknowledge(&self, record: SubscriptionRecord) -> Result<SubscriptionRecord, Error> {
        let (done, holds) = oneshot::channel();
        self.shared().queue.request(Request::Acknowledge(Acknowledge { record, done }));
        holds.await.map_err(|_| self.shared().stopped())
    }

    /// Asks for a copy of the table that begins after `after`; durable when this returns. A copy that is wanted already, or
    /// that runs or ran and began later, serves; asking again changes nothing. Gives the copy's record as it then is.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn request_copy(
        &self,
        system: &SystemName,
        table: &TableName,
        after: Sequence,
    ) -> Result<CopyRecord, Error> {
        self.request(system, table, after, false).await
    }

    /// Asks for a copy that also those need who have the table: what they have is of another table of that name, or misses
    /// changes. Durable when this returns. Does nothing for a table that was never copied.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn copy_anew(&self, system: &SystemName, table: &TableName) -> Result<(), Error> {
        if self.copy_of(system, table).is_some() {
            self.request(system, table, self.bounds().durable, true).await?;
        }
        Ok(())
    }

    async fn request(
        &self,
        system: &SystemName,
        table: &TableName,
        after: Sequence,
        anew: bool,
    ) -> Result<CopyRecord, Error> {
        let (done, holds) = oneshot::channel();
        let request = CopyRequest { system: system.clone(), table: table.clone(), after, anew, done };
        self.shared().queue.request(Request::Copy(request));
        holds.await.map_err(|_| self.shared().stopped())
    }

    /// What a system's catalogue said of its tables when it was last looked at, in the source's own encoding.
    pub fn catalogue(&self, system: &SystemName) -> HashMap<TableName, Arc<[u8]>> {
        self.shared().catalogues.of(system)
    }

    /// The same of one table.
    pub fn catalogue_entry(&self, system: &SystemName, table: &TableName) -> Option<Arc<[u8]>> {
        self.shared().catalogues.get(system, table)
    }

    /// Keeps what a system's catalogue says now, and asks for the copies that this makes necessary: all of it is durable
    /// when this returns, or none. A table is copied again for whoever has rows of it, copied before or not.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn keep_catalogue(&self, system: &SystemName, entries: Vec<CatalogueEntry>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let (done, kept) = oneshot::channel();
        let request = CatalogueRequest { system: system.clone(), entries, done };
        self.shared().queue.request(Request::Catalogue(request));
        kept.await.map_err(|_| self.shared().stopped())
    }

    /// Every table's newest copy, wanted, running or done.
    pub fn copies(&self) -> Vec<CopyRecord> {
        self.shared().copies.all()
    }

    /// The same of one table.
    pub fn copy_of(&self, system: &SystemName, table: &TableName) -> Option<CopyRecord> {
        self.shared().copies.get(system, table)
    }

    /// The first of [`Self::copies`] that is it. Who asks must not look at the copies otherwise meanwhile.
    pub fn find_copy(&self, is_it: impl FnMut(&&CopyRecord) -> bool) -> Option<CopyRecord> {
        self.shared().copies.find(is_it)
    }

    /// Changes whenever a copy was asked for or came on.
    pub fn copies_changed(&self) -> watch::Receiver<u64> {
        self.shared().copies.changed()
    }

    /// Joins those for whom copies are made: no copy is to run so far ahead of a follower that retention takes what it has
    /// not read yet.
    pub fn follow(&self) -> Follower {
        self.shared().pace.follow()
    }

    /// Where what is kept between transactions is read.
    pub fn notes(&self) -> Notes {
        Notes::new(Arc::clone(self.shared()))
    }

    /// Retention takes nothing beyond `sequence`, until this says otherwise.
    pub fn keep_after(&self, sequence: Sequence) {
        self.shared().progress.kept.store(sequence.0, Ordering::Relaxed);
    }

    /// How many bytes of bodies the slowest follower has not applied yet. 0 without followers.
    pub fn followers_behind(&self) -> u64 {
        self.shared().pace.behind()
    }

    /// Whether a copy that went on would outrun a follower: a quarter of what retention keeps lies before it.
    pub fn copies_must_wait(&self) -> bool {
        self.shared().pace.is_used_up()
    }

    /// Finishes what is queued, syncs, and closes; a later open finds a clean journal.
    pub async fn close(self) {
        let shared = Arc::clone(self.shared());
        shared.queue.close();
        // The sender lives in `shared`, so this only ever ends with the thread.
        let _ = shared.ended.subscribe().wait_for(|ended| *ended).await;
        // Already done, except after a failed write: then the thread has left the store to readers.
        let _ = tokio::task::spawn_blocking(move || shared.end()).await;
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}
