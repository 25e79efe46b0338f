//! The loop: transactions of the journal in, entities out, for as long as the process lives.
//!
//! What a transaction comes to, what is remembered of it and how far the journal is governed become durable together. Surprise:
//! transactions are not waited for one by one; several are under way to the journal, and the memory holds what they changed
//! until all are durable.

use super::Fault;
use super::desk::{Desk, Outcome};
use super::status::GovernStatus;
use crate::config::Entity;
use crate::journal::{
    CHUNK_BYTES_MAX, Cause, Commit, CopyProgress, CopyRecord, CopyState, Header, Intake, Journal, ReadError, Reader,
};
use crate::model::checkpoint::Checkpoint;
use crate::model::code;
use crate::model::copy::{CopyPhase, CopyStep};
use crate::model::name::SystemName;
use crate::model::position::{Position, Sequence};
use crate::model::problem::Problem;
use crate::model::schema::TableSchema;
use crate::model::time::UnixMicros;
use crate::wire::api::v1::{Change, Changes};
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// What is not about any entity is passed over on disk this often.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// The memory holds about so much that is not durable.
const PENDING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A copy that cannot begin yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So long each part of a copy waits for a target that is far behind; nothing is governed meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
const WAIT_STEP: Duration = Duration::from_millis(100);

pub struct Task {
    pub journal: Journal,
    pub entities: BTreeMap<String, Arc<Entity>>,
    pub status: watch::Sender<GovernStatus>,
    pub stop: CancellationToken,
}

struct Running {
    journal: Journal,
    intake: Intake,
    reader: Reader,
    /// `None` only while a blocking call has it.
    desk: Option<Desk>,
    status: watch::Sender<GovernStatus>,
    /// Governed, and on its way to the journal.
    sequence: Sequence,
    /// Since when the checkpoint is behind.
    idle_since: Option<Instant>,
    /// When there may be something to put together, or to copy.
    look: Option<Instant>,
    stop: CancellationToken,
}

impl Task {
    /// Until it is stopped, or the journal fails.
    pub async fn run(self) {
        let (status, journal) = (self.status.clone(), self.journal.clone());
        let ended = match self.start().await {
            Ok(mut running) => running.follow().await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = ended
            && let Some(problem) = fault.problem()
        {
            // Whoever does not govern any more must not keep the journal from being trimmed.
            journal.keep_after(Sequence(u64::MAX));
            tracing::error!(%problem, next = problem.code.entry().next, "entities are made no more");
            status.send_modify(|status| status.halt = Some(problem));
        }
    }

    async fn start(self) -> Result<Running, Fault> {
        let Self { journal, entities, status, stop } = self;
        let system = SystemName::tailwater();
        let mut intake = journal.intake(&system);
        intake.abandon().await?;
        let bounds = journal.bounds();
        let known = match journal.checkpoint(&system) {
            Some(Checkpoint::Governed(sequence)) => Some(sequence),
            _ => None,
        };
        let lost = known.is_some_and(|sequence| sequence.next() < bounds.oldest);
        if lost {
            let problem = Problem::new(code::GOVERN_BEHIND, format!("the journal starts at {}", bounds.oldest));
            tracing::warn!(%problem, "every entity is made again");
        }
        let sequence = known.filter(|_| !lost).unwrap_or(bounds.durable);
        journal.keep_after(sequence);
        let for_desk = journal.clone();
        let opened = tokio::task::spawn_blocking(move || Desk::open(for_desk, &entities, lost)).await;
        let (mut desk, notes) = opened.map_err(|_| Fault::Closed)??;
        intake.note(Checkpoint::Governed(sequence), notes).await?;
        intake.abandon().await?;
        desk.memory.settle();
        for (system, table) in desk.wanted() {
            journal.request_copy(&system, &table, sequence).await?;
        }
        let reader = journal.reader(sequence);
        let desk = Some(desk);
        let running = Running {
            journal,
            intake,
            reader,
            desk,
            status,
            sequence,
            idle_since: None,
            look: Some(Instant::now()),
            stop,
        };
        running.show();
        Ok(running)
    }
}

impl Running {
    async fn follow(&mut self) -> Result<(), Fault> {
        let mut copies = self.journal.copies_changed();
        loop {
            if self.look.is_some_and(|look| look <= Instant::now()) {
                self.look = None;
                copies.borrow_and_update();
                self.assemble().await?;
                self.publish_copies().await?;
            }
            let idle = self.idle_since.map(|since| since + IDLE_EVERY);
            tokio::select! {
                () = self.stop.cancelled() => break,
                header = self.reader.next() => {
                    let header = header?;
                    self.take(&header).await?;
                }
                changed = copies.changed() => {
                    changed.map_err(|_| Fault::Closed)?;
                    self.look = Some(Instant::now());
                }
                () = at(idle) => {
                    self.note().await?;
                    self.settle().await?;
                }
                () = at(self.look) => {}
            }
        }
        self.note().await?;
        self.settle().await
    }

    /// Does what reads the store where it may block.
    async fn at_desk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Desk) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let Some(mut desk) = self.desk.take() else { return Err(Fault::Closed) };
        let worked = tokio::task::spawn_blocking(move || {
            let result = work(&mut desk);
            (desk, result)
        });
        match worked.await {
            Ok((desk, result)) => {
                self.desk = Some(desk);
                result
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Fault::Closed),
            },
        }
    }

    fn desk(&self) -> Result<&Desk, Fault> {
        self.desk.as_ref().ok_or(Fault::Closed)
    }

    async fn take(&mut self, header: &Arc<Header>) -> Result<(), Fault> {
        let schemas: Option<Vec<_>> = header.schemas.iter().map(|id| self.journal.schema(*id)).collect();
        let schemas = schemas.ok_or_else(super::images::unreadable)?;
        if header.system.is_tailwater() || !self.desk()?.concerns(&schemas) {
            self.sequence = header.sequence;
            self.idle_since.get_or_insert_with(Instant::now);
            return Ok(());
        }
        let begun = Arc::clone(header);
        let mut skip = self
            .at_desk(move |desk| {
                desk.begin(&begun, &schemas)?;
                desk.part(&begun)
            })
            .await?;
        let mut chunks = 0;
        while let Some(chunk) = self.reader.chunk().await? {
            chunks += 1;
            if chunks <= skip {
                continue;
            }
            skip = 0;
            let of = Arc::clone(header);
            let pending = self
                .at_desk(move |desk| {
                    desk.apply(&of, &chunk)?;
                    Ok(desk.memory.pending_bytes())
                })
                .await?;
            if pending > PENDING_BYTES_MAX {
                self.put_part(header, chunks).await?;
            }
        }
        while self.end(header).await? {
            self.put_part(header, chunks).await?;
        }
        self.describe().await?;
        loop {
            let of = Arc::clone(header);
            let outcome = self
                .at_desk(move |desk| {
                    desk.put_part(&of, chunks);
                    desk.commit(&of)
                })
                .await?;
            if !outcome.more {
                self.sequence = header.sequence;
                self.commit(header, outcome).await?;
                break;
            }
            // Of a transaction about very many: each step is a transaction of its own, and not done again after a crash.
            self.commit(header, outcome).await?;
            self.settle().await?;
            if self.stop.is_cancelled() {
                return Err(Fault::Closed);
            }
        }
        if header.copy.is_some() {
            self.look = Some(Instant::now());
        }
        if !self.reader.ready() || self.desk()?.memory.pending_bytes() > PENDING_BYTES_MAX {
            self.settle().await?;
        }
        Ok(())
    }

    async fn end(&mut self, header: &Arc<Header>) -> Result<bool, Fault> {
        let of = Arc::clone(header);
        self.at_desk(move |desk| desk.end(&of)).await
    }

    /// Makes durable what is known of a part of a transaction, before all of it counts as governed.
    async fn put_part(&mut self, header: &Arc<Header>, chunks: u64) -> Result<(), Fault> {
        if self.stop.is_cancelled() {
            return Err(Fault::Closed);
        }
        if let Some(desk) = &mut self.desk {
            desk.put_part(header, chunks);
        }
        self.note().await?;
        self.settle().await
    }

    async fn commit(&mut self, header: &Header, outcome: Outcome) -> Result<(), Fault> {
        let Outcome { changes, schemas, notes, .. } = outcome;
        if changes.is_empty() {
            self.idle_since = None;
            return Ok(self.intake.note(Checkpoint::Governed(self.sequence), notes).await?);
        }
        let count = self.chunks(changes).await?;
        let cause = Cause { sequence: header.sequence, system: header.system.clone() };
        let commit = Commit {
            position: header.position.clone(),
            commit_time: header.commit_time,
            transaction: header.transaction.clone(),
            changes: count,
            schemas: ids(&schemas),
            checkpoint: Checkpoint::Governed(self.sequence),
            copy: None,
            moved: Vec::new(),
            cause: Some(cause),
            notes,
        };
        self.idle_since = None;
        Ok(self.intake.commit(commit).await?)
    }

    async fn chunks(&mut self, changes: Vec<Change>) -> Result<u64, Fault> {
        let count = changes.len() as u64;
        let mut chunk = Vec::new();
        for change in changes {
            let one = Changes { changes: vec![change] };
            if !chunk.is_empty() && chunk.len() + one.encoded_len() > CHUNK_BYTES_MAX {
                self.intake.chunk(Bytes::from(std::mem::take(&mut chunk))).await?;
            }
            // Messages one after the other are one message.
            one.encode_raw(&mut chunk);
        }
        if !chunk.is_empty() {
            self.intake.chunk(chunk.into()).await?;
        }
        Ok(count)
    }

    /// Hands over what changed of the notes, and how far the journal is governed.
    async fn note(&mut self) -> Result<(), Fault> {
        self.idle_since = None;
        let notes = self.desk.as_mut().map(|desk| desk.memory.take()).unwrap_or_default();
        Ok(self.intake.note(Checkpoint::Governed(self.sequence), notes).await?)
    }

    /// Waits until everything is durable.
    async fn settle(&mut self) -> Result<(), Fault> {
        self.intake.abandon().await?;
        if let Some(desk) = &mut self.desk {
            desk.memory.settle();
        }
        self.journal.keep_after(self.sequence);
        self.show();
        Ok(())
    }

    /// Gives entities whose tables have changed their types.
    async fn describe(&mut self) -> Result<(), Fault> {
        while let Some(shape) = self.at_desk(Desk::open_shape).await? {
            let schema = self.intake.describe(&shape).await?;
            self.at_desk(move |desk| desk.described(&schema)).await?;
        }
        Ok(())
    }

    /// Puts entities together whose tables are whole now.
    async fn assemble(&mut self) -> Result<(), Fault> {
        self.describe().await?;
        while let Some(done) = self.at_desk(Desk::assemble).await? {
            for name in &done {
                // Before it counts as done: whoever has it from before needs what is new.
                self.journal.copy_anew(&SystemName::tailwater(), name).await?;
                tracing::info!(entity = %name.table, "put together; it is followed from now on");
            }
            self.note().await?;
            self.settle().await?;
            if self.stop.is_cancelled() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes the copies of entities that are wanted. Nothing is governed meanwhile, so all of one is as of one place.
    async fn publish_copies(&mut self) -> Result<(), Fault> {
        for schema in self.desk()?.followed() {
            let records = self.journal.copies().into_iter();
            let record = records.clone().find(|record| record.system == schema.system && record.table == schema.name);
            if record.as_ref().is_some_and(|record| record.state == CopyState::Done) {
                continue;
            }
            if self.journal.copies_must_wait() {
                // A copy would outrun whoever is behind; the rest goes on meanwhile.
                self.look = Some(Instant::now() + LOOK_AGAIN);
                return Ok(());
            }
            if !self.publish_copy(&schema, record.as_ref()).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// False when it was stopped before its end; it then begins again at the next start.
    async fn publish_copy(&mut self, schema: &Arc<TableSchema>, record: Option<&CopyRecord>) -> Result<bool, Fault> {
        self.settle().await?;
        let copy = match record {
            Some(record) if record.state == CopyState::Running => record.copy.saturating_add(1),
            Some(record) => record.copy,
            None => 1,
        };
        let anew = record.is_some_and(|record| record.anew);
        let step = |phase, rows| CopyProgress {
            step: CopyStep { table: schema.name.clone(), copy, phase, anew: anew && phase == CopyPhase::Begin },
            last_key: Vec::new(),
            read_again: Vec::new(),
            rows,
            bytes: 0,
            rows_estimate: 0,
            schema: schema.id,
            relation: String::new(),
            again: None,
            key_order: String::new(),
        };
        self.commit_step(step(CopyPhase::Begin, 0), 0).await?;
        let (mut last, mut rows) = (0, 0);
        loop {
            let patience = Instant::now() + PATIENCE;
            while self.journal.copies_must_wait() && Instant::now() < patience && !self.stop.is_cancelled() {
                sleep(WAIT_STEP).await;
            }
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            let name = schema.name.clone();
            let Some((upto, mut changes)) = self.at_desk(move |desk| desk.read(&name, last)).await? else { break };
            for (ordinal, change) in (0..).zip(&mut changes) {
                change.ordinal = ordinal;
            }
            let count = self.chunks(changes).await?;
            (last, rows) = (upto, rows + count);
            self.commit_step(step(CopyPhase::Rows, rows), count).await?;
        }
        if !self.desk()?.followed().iter().any(|followed| followed.name == schema.name) {
            // Halted while it was read: what was not read is not gone.
            return Ok(false);
        }
        self.commit_step(step(CopyPhase::End, rows), 0).await?;
        self.settle().await?;
        tracing::info!(entity = %schema.name.table, rows, "copied");
        Ok(true)
    }

    async fn commit_step(&mut self, progress: CopyProgress, changes: u64) -> Result<(), Fault> {
        let commit = Commit {
            position: Position::Own,
            commit_time: UnixMicros::now(),
            transaction: String::new(),
            changes,
            schemas: vec![progress.schema],
            checkpoint: Checkpoint::Governed(self.sequence),
            copy: Some(progress),
            moved: Vec::new(),
            cause: None,
            notes: Vec::new(),
        };
        Ok(self.intake.commit(commit).await?)
    }

    fn show(&self) {
        let Some(desk) = &self.desk else { return };
        let (sequence, entities) = (self.sequence, desk.status());
        self.status.send_replace(GovernStatus { sequence, entities, halt: None });
    }
}

fn ids(schemas: &[Arc<TableSchema>]) -> Vec<crate::model::schema::SchemaId> {
    let mut ids: Vec<_> = schemas.iter().map(|schema| schema.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Trimmed { oldest } => {
                Self::Journal(Problem::new(code::GOVERN_BEHIND, format!("the journal starts at {oldest} now")))
            }
            ReadError::Damaged(problem) => Self::Journal(problem),
            ReadError::Closed => Self::Closed,
        }
    }
}
