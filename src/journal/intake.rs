//! A source's way in: reserves a part of the byte budget, queues, and leaves the rest to the writer thread.

use super::queue::{Step, Work};
use super::shared::{Lifetime, Shared};
use super::system::System;
use super::{Commit, Error, NoteChange};
use crate::model::checkpoint::Checkpoint;
use crate::model::code::INTAKE_SUPERSEDED;
use crate::model::problem::Problem;
use crate::model::schema::{TableSchema, TableShape};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

/// One source's way into the journal. At most one transaction is open at a time.
///
/// Every call waits while the byte budget is used up or the disk is nearly full, and is to be awaited to its end: dropping
/// the future of `chunk` or `commit` half way leaves the open transaction to be abandoned.
///
/// Surprise: a second intake for the same system makes this one fail with [`Error::Stopped`], but what this one had
/// queued may still become durable. The second one calls [`Intake::abandon`] before it reads the checkpoint to go on from.
pub struct Intake {
    lifetime: Arc<Lifetime>,
    system: Arc<System>,
    generation: u64,
    open: bool,
}

impl Intake {
    pub(super) fn new(lifetime: Arc<Lifetime>, system: Arc<System>) -> Self {
        let generation = system.supersede();
        let intake = Self { lifetime, system, generation, open: false };
        // Refused only when stopped, which the first call then says.
        let _ = intake.push(Step::Abandon(None), None);
        intake
    }

    /// The schema version for a table that looks like `shape`: the current one if nothing changed, else a new one, which
    /// becomes durable with, or before, the first transaction that uses it. Its lock-file entry is synced before this returns.
    ///
    /// # Errors
    /// [`Error::Stopped`]; [`Error::Refused`] when the lock file cannot be written.
    pub async fn describe(&mut self, shape: &TableShape) -> Result<Arc<TableSchema>, Error> {
        if let Some(schema) = self.shared().schemas.unchanged(&self.system.name, shape) {
            return Ok(schema);
        }
        let mut described = self.describe_all(vec![shape.clone()]).await?;
        Ok(described.swap_remove(0))
    }

    /// The same of many tables: one write of the lock file, whatever their number. Each is there once.
    ///
    /// # Errors
    /// As for [`Self::describe`].
    pub async fn describe_all(&mut self, shapes: Vec<TableShape>) -> Result<Vec<Arc<TableSchema>>, Error> {
        let permit = self.reserve(0).await?;
        let (shared, system, generation) = (Arc::clone(self.shared()), Arc::clone(&self.system), self.generation);
        let describe = move || {
            shared.schemas.describe(&system.name, &shapes, |schemas| {
                let step = Step::Schemas(schemas);
                let work = Work { system: Arc::clone(&system), generation, step, permit: Some(permit) };
                shared.queue.push(work).map_err(|_| shared.stopped())
            })
        };
        tokio::task::spawn_blocking(describe).await.unwrap_or_else(|_| Err(self.shared().stopped()))
    }

    /// The next part of the open transaction's body, opening one if none is: a serialised `tailwater.v1.Changes`.
    /// The ring of recent chunks keeps `chunk` as it is: it must not be a small slice of a large buffer.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn chunk(&mut self, chunk: Bytes) -> Result<(), Error> {
        let permit = self.reserve(chunk.len()).await?;
        self.push(Step::Chunk(chunk), Some(permit))?;
        self.open = true;
        Ok(())
    }

    /// Completes the open transaction. Returns once queued; `durable` tells when it is on disk.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn commit(&mut self, commit: Commit) -> Result<(), Error> {
        let permit = self.reserve(0).await?;
        self.push(Step::Commit(Box::new(commit)), Some(permit))?;
        self.open = false;
        Ok(())
    }

    /// Records that there was nothing to journal up to here. Only with no transaction open.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn advance(&mut self, checkpoint: Checkpoint) -> Result<(), Error> {
        self.note(checkpoint, Vec::new()).await
    }

    /// The same, with changes of notes that become durable together with it.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn note(&mut self, checkpoint: Checkpoint, notes: Vec<NoteChange>) -> Result<(), Error> {
        debug_assert!(!self.open, "a checkpoint does not pass an open transaction");
        let permit = self.reserve(0).await?;
        self.push(Step::Advance(checkpoint, notes), Some(permit))
    }

    /// Forgets the open transaction, if any. When this returns, everything that this and earlier intakes of the system
    /// sent is durable or forgotten.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn abandon(&mut self) -> Result<(), Error> {
        let permit = self.reserve(0).await?;
        let (done, forgotten) = oneshot::channel();
        self.push(Step::Abandon(Some(done)), Some(permit))?;
        self.open = false;
        forgotten.await.map_err(|_| self.why_not())
    }

    /// The durable checkpoint, as it moves. Only what is seen here may be confirmed to the source.
    pub fn durable(&self) -> watch::Receiver<Option<Checkpoint>> {
        self.system.durable.subscribe()
    }

    async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let permit = self.shared().queue.reserve(bytes).await.ok_or_else(|| self.shared().stopped())?;
        if self.system.is_current(self.generation) { Ok(permit) } else { Err(self.why_not()) }
    }

    fn push(&self, step: Step, permit: Option<OwnedSemaphorePermit>) -> Result<(), Error> {
        let work = Work { system: Arc::clone(&self.system), generation: self.generation, step, permit };
        self.shared().queue.push(work).map_err(|_| self.shared().stopped())
    }

    fn why_not(&self) -> Error {
        if self.system.is_current(self.generation) {
            return self.shared().stopped();
        }
        let message = format!("another intake of {} has taken over", self.system.name);
        Error::Stopped(Problem::new(INTAKE_SUPERSEDED, message))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.lifetime.shared
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if self.open {
            // Refused only when stopped, and then nothing is open any more.
            let _ = self.push(Step::Abandon(None), None);
        }
    }
}
