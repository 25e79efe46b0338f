//! The one writer thread: takes what is queued, writes it as one batch, syncs, and only then tells anyone.
//!
//! ```text
//!   queue ─► group ─► write batch ─► sync ─► ring, durable, checkpoints, answers
//!              └ chunks of open transactions are written ahead, without a sync of their own
//! ```
//!
//! Sequences are given here, in the order in which transactions become durable. Surprise: a group of chunks alone is not
//! synced. Nothing points at them yet, and the sync of the commit that does covers the whole WAL.

use super::chain::{Hash, history, link};
use super::disk::Floor;
use super::error::write_failed;
use super::group::Group;
use super::keys;
use super::meters::Meters;
use super::queue::{Acknowledge, Request, Step, Taken, Work};
use super::record::{Entry, Mark, join_entry, write_subscription};
use super::retention;
use super::shared::{Shared, WriteFault};
use super::staging::{BodyIds, Open, held_bytes_max};
use super::store::Store;
use super::system::System;
use super::{Commit, Header, Options};
use crate::model::name::SystemName;
use crate::model::position::{History, Sequence};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a quiet writer sleeps before it looks at the disk again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The end of the chain.
#[derive(Clone, Copy)]
pub(super) struct Newest {
    pub sequence: Sequence,
    pub hash: Hash,
    pub bytes_total: u64,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    store: Arc<Store>,
    newest: Newest,
    ids: BodyIds,
    open: HashMap<SystemName, Open>,
    floor: Floor,
    trimming: bool,
    sync: bool,
    retention_bytes: u64,
    held_bytes_max: usize,
    meters: Meters,
}

/// Says that the thread has ended, whichever way: nobody may wait for one that panicked.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(write_failed("the writer thread panicked"));
        }
        self.0.ended.send_replace(true);
    }
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<Store>,
        newest: Newest,
        ids: BodyIds,
        floor: Floor,
        options: &Options,
    ) -> Self {
        Self {
            shared,
            store,
            newest,
            ids,
            open: HashMap::new(),
            floor,
            trimming: false,
            sync: options.sync,
            retention_bytes: options.retention_bytes,
            held_bytes_max: held_bytes_max(options.queue_bytes_max),
            meters: Meters::new(),
        }
    }

    /// Until the queue is closed and empty, or a write fails. A panic is a failed write: nobody may wait for it for ever.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _ending = Ending(Arc::clone(&shared));
        match self.work() {
            Ok(()) => self.end(),
            Err(WriteFault(problem)) => shared.fail(problem),
        }
    }

    fn work(&mut self) -> Result<(), WriteFault> {
        self.show();
        loop {
            let parked = self.floor.is_reached(&self.shared.progress);
            self.meters.parked.set(if parked { 1.0 } else { 0.0 });
            self.meters.disk_free_bytes.set(self.shared.progress.disk_free_bytes.load(Ordering::Relaxed) as f64);
            let patience = if self.trimming { Duration::ZERO } else { PATIENCE };
            match self.shared.queue.take(GROUP_BYTES_MAX, parked, patience) {
                Taken::Some { work, requests } => self.write(work, requests)?,
                Taken::Idle => {}
                Taken::Closed => return Ok(()),
            }
            self.trim()?;
        }
    }

    fn write(&mut self, work: Vec<Work>, requests: Vec<Request>) -> Result<(), WriteFault> {
        let mut group = Group::new(self.store.batch());
        work.into_iter().for_each(|work| self.add(work, &mut group));
        requests.into_iter().for_each(|request| self.answer(request, &mut group));
        group.put_checkpoints();
        group.put_copies();
        if !group.batch.is_empty() {
            let started = Instant::now();
            let batch = std::mem::replace(&mut group.batch, self.store.batch());
            self.store.write(batch, self.sync && group.sync)?;
            self.meters.sync_seconds.record(started.elapsed());
        }
        self.publish(group);
        Ok(())
    }

    fn add(&mut self, work: Work, group: &mut Group) {
        if !work.system.is_current(work.generation) {
            return;
        }
        match work.step {
            Step::Chunk(chunk) => self.chunk(&work.system, chunk, work.permit, group),
            Step::Commit(commit) => self.commit(&work.system, *commit, group),
            Step::Advance(checkpoint, notes) => {
                group.notes(&notes);
                group.checkpoint(work.system, checkpoint);
            }
            Step::Schemas(schemas) => schemas.iter().for_each(|schema| group.schema(schema)),
            Step::Abandon(done) => {
                if let Some(open) = self.open.remove(&work.system.name) {
                    open.abandon(&self.store, &mut group.batch);
                }
                group.abandoned.extend(done);
            }
        }
    }

    fn chunk(&mut self, system: &System, chunk: Bytes, permit: Option<OwnedSemaphorePermit>, group: &mut Group) {
        let held: usize = self.open.values().map(Open::held_bytes).sum();
        let too_much = held.saturating_add(chunk.len()) > self.held_bytes_max;
        let open = self.open.entry(system.name.clone()).or_insert_with(Open::new);
        open.add(chunk, permit, self.shared.tail.transaction_bytes_max());
        if too_much || open.is_staged() {
            open.stage(&self.store, &mut group.batch, &mut self.ids);
        }
    }

    fn commit(&mut self, system: &Arc<System>, commit: Commit, group: &mut Group) {
        let open = self.open.remove(&system.name).unwrap_or_else(Open::new);
        let body = open.complete(&self.store, &mut group.batch, &mut self.ids);
        let bytes_total = self.newest.bytes_total.saturating_add(body.bytes);
        let header = Header {
            sequence: self.newest.sequence.next(),
            // Known once the rest is hashed.
            history: History::default(),
            system: system.name.clone(),
            position: commit.position,
            commit_time: commit.commit_time,
            transaction: commit.transaction,
            changes: commit.changes,
            schemas: commit.schemas,
            bytes: body.bytes,
            chunks: body.chunks,
            bytes_total,
            copied_rows: commit.copy.as_ref().map_or(0, |progress| progress.rows),
            copy: commit.copy.as_ref().map(|progress| progress.step.clone()),
            cause: commit.cause,
        };
        let mut entry = Entry { header: Arc::new(header), body: body.body, body_hash: body.hash };
        let fields = entry.fields();
        let hash = link(&self.newest.hash, &fields);
        Arc::make_mut(&mut entry.header).history = history(&hash);
        self.newest = Newest { sequence: entry.header.sequence, hash, bytes_total };
        group.batch.put(keys::header(entry.header.sequence), join_entry(&hash, &fields));
        group.notes(&commit.notes);
        group.copies.moved(&self.shared.copies, &system.name, commit.moved);
        if let Some(progress) = commit.copy {
            let (sequence, time) = (entry.header.sequence, entry.header.commit_time);
            group.copies.step(&self.shared.copies, &system.name, progress, sequence, time);
        }
        group.transaction(entry, body.recent);
        group.checkpoint(Arc::clone(system), commit.checkpoint);
    }

    fn answer(&self, request: Request, group: &mut Group) {
        match request {
            Request::Acknowledge(request) => self.acknowledge(request, group),
            Request::Copy(request) => group.sync |= group.copies.request(&self.shared.copies, request),
            Request::Catalogue(request) => group.catalogue(request, &self.shared.copies),
        }
    }

    fn acknowledge(&self, request: Acknowledge, group: &mut Group) {
        let known =
            group.subscription(&request.record.name).or_else(|| self.shared.subscriptions.get(&request.record.name));
        let holds = match known {
            Some(known)
                if known.acknowledged.sequence > request.record.acknowledged.sequence || known == request.record =>
            {
                known
            }
            _ => {
                let record = &request.record;
                group.batch.put(keys::subscription(&record.name), write_subscription(record));
                group.sync = true;
                request.record
            }
        };
        group.acknowledged.push((holds, request.done));
    }

    /// Everything here is durable now. The ring and the copies come first: whoever is woken by `durable` finds the
    /// transaction there, and a step of a copy in its record.
    fn publish(&mut self, group: Group) {
        let count = group.transactions.len();
        self.shared.tail.push(group.transactions);
        group.copies.publish(&self.shared.copies);
        group.catalogues.publish(&self.shared.catalogues);
        if count > 0 {
            self.meters.group_transactions.record(count as f64);
            self.show();
            self.shared.progress.raise_durable(self.newest.sequence);
        }
        for (system, checkpoint) in group.checkpoints {
            system.durable.send_replace(Some(checkpoint));
        }
        for (record, done) in group.acknowledged {
            self.shared.subscriptions.put(record.clone());
            // Whoever asked may have gone; it is recorded all the same.
            let _ = done.send(record);
        }
        for done in group.abandoned {
            let _ = done.send(());
        }
    }

    /// One step towards the retention bound.
    fn trim(&mut self) -> Result<(), WriteFault> {
        let mark = self.shared.progress.mark();
        self.trimming |= self.held_bytes(mark) > self.retention_bytes;
        if !self.trimming {
            return Ok(());
        }
        let target = retention::target_bytes(self.retention_bytes);
        let newest = self.newest.sequence.min(Sequence(self.shared.progress.kept.load(Ordering::Relaxed)).next());
        let cut = retention::cut(&self.store, mark, newest, self.newest.bytes_total, target)?;
        let Some(cut) = cut else {
            self.trimming = false;
            return Ok(());
        };
        self.shared.progress.raise_mark(cut.mark);
        let mut batch = self.store.batch();
        cut.apply(&self.store, &mut batch, mark);
        self.store.write(batch, self.sync)?;
        // After the mark is durable: dropped files are gone at once, batch or no batch.
        for (first, last) in &cut.bodies {
            self.store.drop_body_files(*first, *last)?;
        }
        tracing::debug!(oldest = cut.mark.sequence.next().0, "journal trimmed");
        self.show();
        Ok(())
    }

    fn held_bytes(&self, mark: Mark) -> u64 {
        self.newest.bytes_total.saturating_sub(mark.bytes_total)
    }

    fn show(&self) {
        let bytes = self.held_bytes(self.shared.progress.mark());
        self.shared.progress.bytes.store(bytes, Ordering::Relaxed);
        self.shared.pace.newest.store(self.newest.bytes_total, Ordering::Relaxed);
        self.meters.bytes.set(bytes as f64);
        self.meters.sequence.set(self.newest.sequence.0 as f64);
    }

    /// Leaves a store that needs no recovery, and waits until nobody reads from it any more.
    fn end(mut self) {
        let mut batch = self.store.batch();
        self.open.drain().for_each(|(_, open)| open.abandon(&self.store, &mut batch));
        let flushed = self.store.write(batch, self.sync).and_then(|()| self.store.flush());
        if let Err(error) = flushed {
            tracing::warn!(%error, "journal closed without a last flush; what was durable stays so");
        }
        drop(self.store);
        self.shared.end();
    }
}
