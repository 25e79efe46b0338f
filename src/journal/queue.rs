//! What is under way to the writer thread: work from the sources, bounded in bytes, and requests that never wait for disk.
//!
//! Two lines in one queue, because a full disk stops intake but not such requests. Every piece of work costs at
//! least [`WORK_BYTES_MIN`] of the budget, so a bound on bytes bounds the count too.

use super::catalogue::CatalogueRequest;
use super::schemas::NewSchema;
use super::system::System;
use super::{Commit, CopyRecord, NoteChange, SubscriptionRecord};
use crate::model::checkpoint::Checkpoint;
use crate::model::name::{SystemName, TableName};
use crate::model::position::Sequence;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

const WORK_BYTES_MIN: usize = 512;

/// One step of one source, in the order in which it was taken.
pub(super) struct Work {
    pub system: Arc<System>,
    /// Which of the system's intakes sent it.
    pub generation: u64,
    pub step: Step,
    /// Given back once the work is written or dropped.
    pub permit: Option<OwnedSemaphorePermit>,
}

pub(super) enum Step {
    Chunk(Bytes),
    Commit(Box<Commit>),
    Advance(Checkpoint, Vec<NoteChange>),
    Schemas(Vec<NewSchema>),
    /// Answered once everything sent before is durable or forgotten.
    Abandon(Option<oneshot::Sender<()>>),
}

/// What a full disk does not stop.
pub(super) enum Request {
    Acknowledge(Acknowledge),
    Copy(CopyRequest),
    Catalogue(CatalogueRequest),
}

impl Request {
    fn is_given_up(&self) -> bool {
        match self {
            Self::Acknowledge(request) => request.done.is_closed(),
            Self::Copy(request) => request.done.is_closed(),
            Self::Catalogue(request) => request.done.is_closed(),
        }
    }
}

/// A copy of the table is wanted that begins after `after`.
pub(super) struct CopyRequest {
    /// See [`super::CopyRecord::anew`].
    pub anew: bool,
    pub system: SystemName,
    pub table: TableName,
    pub after: Sequence,
    pub done: oneshot::Sender<CopyRecord>,
}

pub(super) struct Acknowledge {
    pub record: SubscriptionRecord,
    pub done: oneshot::Sender<SubscriptionRecord>,
}

/// Nothing is taken any more.
#[derive(Debug)]
pub(super) struct Closed;

/// What the writer does next.
pub(super) enum Taken {
    Some {
        work: Vec<Work>,
        requests: Vec<Request>,
    },
    /// Nothing came within the given time.
    Idle,
    /// Closed, and nothing is left that could be written.
    Closed,
}

pub(super) struct Queue {
    lines: Mutex<Lines>,
    arrived: Condvar,
    budget: Arc<Semaphore>,
    cost_max: usize,
}

#[derive(Default)]
struct Lines {
    work: VecDeque<Work>,
    requests: VecDeque<Request>,
    closed: bool,
}

impl Queue {
    /// `held_bytes_max` of the budget can stay with the writer for open transactions; no single piece of work waits for
    /// that part, or one source could wait for another's commit.
    pub(super) fn new(bytes_max: usize, held_bytes_max: usize) -> Self {
        let bytes_max = bytes_max.clamp(2 * WORK_BYTES_MIN, u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        let cost_max = bytes_max.saturating_sub(held_bytes_max).max(WORK_BYTES_MIN);
        let budget = Arc::new(Semaphore::new(bytes_max));
        Self { lines: Mutex::default(), arrived: Condvar::new(), budget, cost_max }
    }

    /// A part of the budget for work of that size; waits until there is one. `None` once closed.
    pub(super) async fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let cost = u32::try_from(bytes.clamp(WORK_BYTES_MIN, self.cost_max)).unwrap_or(u32::MAX);
        Arc::clone(&self.budget).acquire_many_owned(cost).await.ok()
    }

    /// # Errors
    /// [`Closed`]; the work is forgotten.
    pub(super) fn push(&self, work: Work) -> Result<(), Closed> {
        let mut lines = self.lines();
        if lines.closed {
            return Err(Closed);
        }
        lines.work.push_back(work);
        self.arrived.notify_one();
        Ok(())
    }

    /// Once closed the request is dropped, and with it its sender.
    pub(super) fn request(&self, request: Request) {
        let mut lines = self.lines();
        if !lines.closed {
            // Calls given up while the disk stalls would pile up.
            lines.requests.retain(|waiting| !waiting.is_given_up());
            lines.requests.push_back(request);
            self.arrived.notify_one();
        }
    }

    /// No new work from here on; what is queued is still taken.
    pub(super) fn close(&self) {
        self.lines().closed = true;
        self.budget.close();
        self.arrived.notify_one();
    }

    /// Closes, and forgets what is queued: waiting requests end with an error.
    pub(super) fn fail(&self) {
        self.close();
        let mut lines = self.lines();
        let forgotten = (std::mem::take(&mut lines.work), std::mem::take(&mut lines.requests));
        drop(lines);
        drop(forgotten);
    }

    /// What is there now, up to `bytes_max` of work; waits up to `patience` when nothing is. While parked, work stays
    /// where it is, and is forgotten at a close: its source reads it again.
    pub(super) fn take(&self, bytes_max: usize, parked: bool, patience: Duration) -> Taken {
        let mut lines = self.lines();
        if !lines.ready(parked) && !lines.closed {
            lines = self.arrived.wait_timeout(lines, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        if !lines.ready(parked) {
            return if lines.closed { Taken::Closed } else { Taken::Idle };
        }
        let requests = lines.requests.drain(..).collect();
        let work = if parked { Vec::new() } else { lines.take_work(bytes_max) };
        Taken::Some { work, requests }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn ready(&self, parked: bool) -> bool {
        !self.requests.is_empty() || (!parked && !self.work.is_empty())
    }

    /// At least one piece, however large.
    fn take_work(&mut self, bytes_max: usize) -> Vec<Work> {
        let mut bytes = 0_usize;
        let fits = |work: &Work| {
            let fit = bytes < bytes_max;
            bytes = bytes.saturating_add(work.bytes());
            fit
        };
        let count = self.work.iter().map(fits).take_while(|fit| *fit).count();
        self.work.drain(..count).collect()
    }
}

impl Work {
    pub(super) fn bytes(&self) -> usize {
        match &self.step {
            Step::Chunk(chunk) => chunk.len().max(WORK_BYTES_MIN),
            _ => WORK_BYTES_MIN,
        }
    }
}
