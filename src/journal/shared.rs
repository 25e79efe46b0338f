//! What the writer thread, the intakes and the readers share, and the figures they show each other.

use super::catalogue::Catalogues;
use super::copies::Copies;
use super::error::{closed, write_failed};
use super::pace::Pace;
use super::queue::Queue;
use super::record::{Identity, Mark};
use super::schemas::Schemas;
use super::store::Store;
use super::subscriptions::Subscriptions;
use super::system::Systems;
use super::tail::Tail;
use super::{Bounds, Error, Stats};
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use arc_swap::ArcSwapOption;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

pub(super) struct Shared {
    pub identity: Identity,
    /// Empty once closed. Taken for one read at a time, so that closing never waits for a slow reader.
    pub store: ArcSwapOption<Store>,
    pub queue: Queue,
    pub tail: Tail,
    pub schemas: Schemas,
    pub systems: Systems,
    pub subscriptions: Subscriptions,
    pub copies: Copies,
    pub catalogues: Catalogues,
    pub pace: Pace,
    pub progress: Progress,
    /// Whether the writer thread has ended.
    pub ended: watch::Sender<bool>,
}

impl Shared {
    /// Why nothing is accepted any more.
    pub(super) fn stopped(&self) -> Error {
        Error::Stopped(self.progress.failed.get().cloned().unwrap_or_else(closed))
    }

    /// Closes the store and wakes readers that wait. Blocks until the reads under way are done: each takes the store for
    /// one batch.
    pub(super) fn end(&self) {
        self.progress.end();
        let Some(mut store) = self.store.swap(None) else { return };
        loop {
            match Arc::try_unwrap(store) {
                Ok(last) => return last.stop_background_work(),
                Err(read_under_way) => store = read_under_way,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A write failed: nothing is written after it. What is durable stays readable.
    pub(super) fn fail(&self, problem: Problem) {
        tracing::error!(code = %problem.code, problem = %problem.message, "journal stopped");
        let _ = self.progress.failed.set(problem);
        self.queue.fail();
    }
}

/// Held by every handle that writes. The last one to go closes the journal and waits for the writer thread: a process
/// that ends while RocksDB still works would abort in RocksDB's own destructors.
pub(super) struct Lifetime {
    pub shared: Arc<Shared>,
    pub thread: Option<JoinHandle<()>>,
}

impl Drop for Lifetime {
    fn drop(&mut self) {
        self.shared.queue.close();
        // A thread that panicked has said so on its way out.
        let _ = self.thread.take().map(JoinHandle::join);
        self.shared.end();
    }
}

pub(super) struct Progress {
    /// Taken at the end, which wakes readers that wait.
    sender: Mutex<Option<watch::Sender<Sequence>>>,
    pub durable: watch::Receiver<Sequence>,
    mark: RwLock<Mark>,
    pub bytes: AtomicU64,
    pub disk_free_bytes: AtomicU64,
    /// Retention takes nothing behind this transaction: somebody makes others of it.
    pub kept: AtomicU64,
    parked: Mutex<Option<Problem>>,
    pub failed: OnceLock<Problem>,
}

impl Progress {
    pub(super) fn new(durable: Sequence, mark: Mark, bytes: u64) -> Self {
        let (sender, durable) = watch::channel(durable);
        Self {
            sender: Mutex::new(Some(sender)),
            durable,
            mark: RwLock::new(mark),
            bytes: AtomicU64::new(bytes),
            disk_free_bytes: AtomicU64::new(0),
            kept: AtomicU64::new(u64::MAX),
            parked: Mutex::default(),
            failed: OnceLock::new(),
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { oldest: self.mark().sequence.next(), durable: *self.durable.borrow() }
    }

    pub(super) fn mark(&self) -> Mark {
        *self.mark.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before anything below the new mark is deleted, so that a reader that finds nothing knows why.
    pub(super) fn raise_mark(&self, mark: Mark) {
        *self.mark.write().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    pub(super) fn raise_durable(&self, sequence: Sequence) {
        if let Some(sender) = &*lock(&self.sender) {
            sender.send_replace(sequence);
        }
    }

    fn end(&self) {
        lock(&self.sender).take();
    }

    pub(super) fn set_parked(&self, problem: Option<Problem>) {
        *lock(&self.parked) = problem;
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            bytes: self.bytes.load(Ordering::Relaxed),
            disk_free_bytes: self.disk_free_bytes.load(Ordering::Relaxed),
            parked: lock(&self.parked).clone(),
            failed: self.failed.get().cloned(),
        }
    }
}

impl From<rocksdb::Error> for WriteFault {
    fn from(error: rocksdb::Error) -> Self {
        Self(write_failed(error))
    }
}

/// What ends the writer thread.
#[derive(Debug)]
pub(super) struct WriteFault(pub Problem);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
