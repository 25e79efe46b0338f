//! One stream: reads the journal and fills responses, as fast as they are asked for and no faster.
//!
//! There is no task and no queue: HTTP/2 pulls a response when it has room, so a slow reader costs the response that is
//! being filled and the one that is being sent, about 1 MiB together, and holds nothing else back. Many small transactions
//! share a response; one is sent as soon as the journal has nothing more at hand. A stored chunk is never split.
//!
//! ```text
//! wait ──header──► begin ──► transfer ─┬─ chunk ──► transfer
//!  ▲  (nothing seen: back)             └─ last ───► commit ──► wait
//! ```

use super::class::Class;
use super::cursor::{Cursor, Sealer};
use super::encode_frame::{put_changes, put_frame};
use super::filter::filter;
use super::refusal::{Kind, Refusal};
use super::resume::Start;
use super::state::Gates;
use super::subscriptions::Claim;
use super::view::View;
use crate::config::Entity;
use crate::journal::{Cause, Header, Journal, ReadError, Reader};
use crate::model::code;
use crate::model::copy::CopyPhase;
use crate::model::gtid::Gtid;
use crate::model::position::{Position, Reached, Sequence};
use crate::model::schema::{SchemaId, TableSchema};
use crate::model::time::UnixMicros;
use crate::wire::api::{types, v1};
use crate::wire::descriptor;
use bytes::{Bytes, BytesMut};
use prost::Message as _;
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;
use v1::frame::Frame;

/// A response this large is sent. With one chunk more it is still below the promised 1 MiB.
const RESPONSE_BYTES_FULL: usize = 256 * 1024;
/// Beyond this a chunk waits for the next response.
const RESPONSE_BYTES_MAX: usize = 1024 * 1024 - 4096;
/// Silence is broken after this long.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A caught-up stream keeps no larger buffer than this.
const IDLE_BUFFER_BYTES_MAX: usize = 64 * 1024;

const METRIC_CHANGES: &str = "tailwater_delivered_changes_total";
const METRIC_BYTES: &str = "tailwater_delivered_bytes_total";

pub struct Tail {
    journal: Journal,
    sealer: Sealer,
    class: Class,
    gates: Gates,
    claim: Claim,
    stop: CancellationToken,
    reader: Reader,
    /// A serialised `SubscribeResponse`, so far.
    out: BytesMut,
    /// The transaction under way.
    open: Option<Open>,
    /// A chunk that did not fit.
    waiting: Option<Bytes>,
    /// Everything up to here was looked at.
    looked_at: Reached,
    schemas_sent: HashSet<SchemaId>,
    /// Versions that were met, and tables of which something was seen in one of them.
    judged: HashSet<SchemaId>,
    seen_tables: HashSet<String>,
    heartbeat: Pin<Box<Sleep>>,
    end: End,
    changes: metrics::Counter,
    bytes: metrics::Counter,
}

struct Open {
    header: Arc<Header>,
    scope: Scope,
    /// Begin was sent: something was seen.
    begun: bool,
}

/// What of a transaction is seen.
enum Scope {
    Nothing,
    All,
    /// As the class sees each of its schemas.
    Some,
}

enum End {
    NotYet,
    /// What was filled goes out first.
    After(Refusal),
    Ended,
}

/// Whether to go on filling or to send.
enum Flow {
    Fill,
    Send,
}

impl Tail {
    pub fn new(
        journal: Journal,
        sealer: Sealer,
        class: Class,
        claim: Claim,
        start: Start,
        stop: CancellationToken,
    ) -> Self {
        let nowhere = Reached { sequence: Sequence::ZERO, history: None };
        let after = start.cursor().map_or(nowhere, |cursor| cursor.0);
        let (gates, gone) = match start {
            Start::After(_) => (Gates::default(), None),
            Start::State(_, gates) => (gates, None),
            Start::Gone(reason) => (Gates::default(), Some(reason)),
        };
        claim.looked_at(after.sequence);
        let mut tail = Self {
            reader: journal.reader(after.sequence),
            journal,
            sealer,
            class,
            gates,
            claim,
            stop,
            out: BytesMut::new(),
            open: None,
            waiting: None,
            looked_at: after,
            schemas_sent: HashSet::new(),
            judged: HashSet::new(),
            seen_tables: HashSet::new(),
            heartbeat: Box::pin(sleep(HEARTBEAT)),
            end: End::NotYet,
            changes: metrics::counter!(METRIC_CHANGES),
            bytes: metrics::counter!(METRIC_BYTES),
        };
        match gone {
            // The first frame tells where the stream starts: a reader that goes away before the first commit resumes there.
            None => tail.put_heartbeat(),
            Some(reason) => tail.end = End::After(tail.gone(reason)),
        }
        tail
    }

    /// The next serialised `SubscribeResponse`; an error is the last item but `None`. Not cancel-safe: once dropped half way
    /// the stream cannot go on.
    pub async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        if let End::NotYet = self.end
            && let Err(refusal) = self.fill().await
        {
            self.end = End::After(refusal);
        }
        if !self.out.is_empty() {
            return Some(Ok(self.take()));
        }
        match std::mem::replace(&mut self.end, End::Ended) {
            End::After(refusal) => Some(Err(refusal)),
            End::NotYet | End::Ended => None,
        }
    }

    /// Returns once the response is worth sending.
    async fn fill(&mut self) -> Result<(), Refusal> {
        loop {
            // A flood that is filtered out never waits by itself; this lets other tasks run.
            tokio::task::coop::consume_budget().await;
            if self.claim.is_taken_over() {
                return Err(taken_over());
            }
            let flow = if self.open.is_some() { self.transfer().await? } else { self.wait().await? };
            if let Flow::Send = flow {
                return Ok(());
            }
        }
    }

    /// Between transactions: the next one, or a heartbeat, or the end.
    async fn wait(&mut self) -> Result<Flow, Refusal> {
        if self.stop.is_cancelled() {
            return Err(stopping());
        }
        if self.heartbeat.deadline() <= Instant::now() {
            self.put_heartbeat();
            return Ok(Flow::Send);
        }
        if self.reader.ready() {
            if self.out.len() >= RESPONSE_BYTES_FULL {
                return Ok(Flow::Send);
            }
            let header = self.reader.next().await;
            return self.begin(header).map(|()| Flow::Fill);
        }
        if !self.out.is_empty() {
            return Ok(Flow::Send);
        }
        if self.out.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.out = BytesMut::new();
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(stopping()),
            () = self.claim.taken_over() => Err(taken_over()),
            header = self.reader.next() => self.begin(header).map(|()| Flow::Fill),
            () = self.heartbeat.as_mut() => Ok(Flow::Fill),
        }
    }

    fn begin(&mut self, header: Result<Arc<Header>, ReadError>) -> Result<(), Refusal> {
        let header = header.map_err(|error| self.read_failed(error))?;
        self.gates.pass(&header);
        let scope = self.scope(&header)?;
        if let Scope::Nothing = scope {
            self.look_past(header.reached());
            return Ok(());
        }
        self.open = Some(Open { header, scope, begun: false });
        Ok(())
    }

    /// Within a transaction: its next chunk, or its end.
    async fn transfer(&mut self) -> Result<Flow, Refusal> {
        let chunk = match self.waiting.take() {
            Some(chunk) => Some(chunk),
            None => self.reader.chunk().await.map_err(|error| self.read_failed(error))?,
        };
        let Some(chunk) = chunk else {
            self.commit()?;
            return Ok(Flow::Fill);
        };
        if !self.out.is_empty() && self.out.len() + chunk.len() > RESPONSE_BYTES_MAX {
            self.waiting = Some(chunk);
            return Ok(Flow::Send);
        }
        self.put_chunk(&chunk)?;
        Ok(if self.out.len() >= RESPONSE_BYTES_FULL { Flow::Send } else { Flow::Fill })
    }

    fn put_chunk(&mut self, chunk: &Bytes) -> Result<(), Refusal> {
        // Taken and put back, so that the rest of `self` can be used meanwhile.
        let Some(mut open) = self.open.take() else { return Ok(()) };
        match &open.scope {
            Scope::Nothing => {}
            Scope::All => self.put_visible(&mut open, chunk)?,
            Scope::Some => {
                let mut seen = BytesMut::with_capacity(chunk.len());
                let kept = filter(chunk, |id| self.seen(SchemaId(id)), &mut seen)
                    .map_err(|error| unreadable(open.header.sequence, &error.to_string()))?;
                self.changes.increment(kept);
                self.put_visible(&mut open, &seen)?;
            }
        }
        self.open = Some(open);
        Ok(())
    }

    /// Appends changes that may all be seen, after the transaction's Begin and the schemas that it needs.
    fn put_visible(&mut self, open: &mut Open, changes: &[u8]) -> Result<(), Refusal> {
        if changes.is_empty() {
            return Ok(());
        }
        self.put_begin(open)?;
        put_changes(&mut self.out, changes);
        Ok(())
    }

    fn put_begin(&mut self, open: &mut Open) -> Result<(), Refusal> {
        if !open.begun {
            self.put_schemas(open)?;
            put_frame(&mut self.out, Frame::Begin(begin_frame(&open.header)));
            open.begun = true;
        }
        Ok(())
    }

    fn put_schemas(&mut self, open: &Open) -> Result<(), Refusal> {
        for id in &open.header.schemas {
            if self.seen(*id).sees_anything() && self.schemas_sent.insert(*id) {
                let view = self.class.remembered(*id);
                let schema = self.journal.schema(*id).ok_or_else(|| schema_missing(open.header.sequence, *id))?;
                let (described, contract) = (view.described(&schema), self.class.contract(&schema));
                put_frame(&mut self.out, Frame::Schema(schema_frame(&described, contract)));
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Refusal> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        self.look_past(open.header.reached());
        // Whoever sees the table sees where its copies begin and end, rows or no rows.
        let every_row = open.header.schemas.iter().all(|id| self.class.remembered(*id).sees_every_row());
        if let Some(frame) = snapshot_frame(&open.header, every_row) {
            self.put_begin(&mut open)?;
            put_frame(&mut self.out, frame);
        }
        if open.begun {
            if let Scope::All = open.scope {
                self.changes.increment(open.header.changes);
            }
            let cursor = self.sealer.seal(Cursor(self.looked_at));
            put_frame(&mut self.out, Frame::Commit(v1::Commit { cursor }));
        }
        Ok(())
    }

    fn look_past(&mut self, reached: Reached) {
        self.looked_at = reached;
        self.claim.looked_at(reached.sequence);
    }

    /// Decided by the header alone where it can be: then the body is skipped, or passed on as it is stored.
    fn scope(&mut self, header: &Header) -> Result<Scope, Refusal> {
        let (mut nothing, mut all) = (true, true);
        for id in &header.schemas {
            let view = self.class.sees(*id, || self.journal.schema(*id));
            let view = view.ok_or_else(|| schema_missing(header.sequence, *id))?;
            let (is_seen, is_whole) = (view.sees_anything(), matches!(view, View::Whole));
            self.follow_table(header, *id, is_seen)?;
            let is_left_out = self.is_left_out(header, *id)?;
            nothing &= !is_seen || is_left_out;
            all &= is_whole && !is_left_out;
        }
        Ok(match (nothing, all) {
            (true, _) => Scope::Nothing,
            (_, true) => Scope::All,
            _ => Scope::Some,
        })
    }

    /// Whether the table's copy, with which the stream begins for it, has not begun yet.
    fn is_left_out(&mut self, header: &Header, id: SchemaId) -> Result<bool, Refusal> {
        if self.gates.are_open() {
            return Ok(false);
        }
        let schema = self.journal.schema(id).ok_or_else(|| schema_missing(header.sequence, id))?;
        Ok(self.gates.meet(&schema))
    }

    /// What comes of a version that was met.
    fn seen(&self, id: SchemaId) -> &View {
        if self.gates.hide(id) { &View::Nothing } else { self.class.remembered(id) }
    }

    /// A table that was seen in one version has to be seen in the next: its changes must not stop without a word.
    fn follow_table(&mut self, header: &Header, id: SchemaId, is_seen: bool) -> Result<(), Refusal> {
        if !self.judged.insert(id) {
            return Ok(());
        }
        let schema = self.journal.schema(id).ok_or_else(|| schema_missing(header.sequence, id))?;
        if self.class.is_outdated(&schema) {
            // What another contract made is mended by the copy of what this one makes.
            return Ok(());
        }
        let name = schema.full_name();
        if is_seen {
            self.seen_tables.insert(name);
        } else if self.seen_tables.contains(&name) {
            let message = format!("{name}, from sequence {} on", header.sequence);
            return Err(Refusal::new(Kind::Precondition, code::TABLE_OUT_OF_SIGHT, message));
        }
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        self.heartbeat.as_mut().reset(Instant::now() + HEARTBEAT);
        self.bytes.increment(self.out.len() as u64);
        self.out.split().freeze()
    }

    fn put_heartbeat(&mut self) {
        let cursor = self.sealer.seal(Cursor(self.looked_at));
        put_frame(&mut self.out, Frame::Heartbeat(v1::Heartbeat { cursor, time: Some(instant(UnixMicros::now())) }));
    }

    fn read_failed(&mut self, error: ReadError) -> Refusal {
        match error {
            ReadError::Trimmed { .. } => {
                let reason = format!("read up to sequence {}, but {error}", self.looked_at.sequence);
                self.gone(reason)
            }
            ReadError::Damaged(problem) => {
                tracing::error!(code = %problem.code, "{}", problem.message);
                Refusal { kind: Kind::Damaged, problem }
            }
            ReadError::Closed => stopping(),
        }
    }

    /// Puts the last frame, and gives the status that follows it.
    fn gone(&mut self, reason: String) -> Refusal {
        let frame = v1::ResumePointGone {
            code: code::RESUME_POINT_GONE.to_string(),
            reason: reason.clone(),
            oldest_sequence: self.journal.bounds().oldest.0,
        };
        put_frame(&mut self.out, Frame::ResumePointGone(frame));
        Refusal::new(Kind::ResumePointGone, code::RESUME_POINT_GONE, reason)
    }
}

fn begin_frame(header: &Header) -> v1::Begin {
    let position = match &header.position {
        Position::Postgres { commit_lsn } => {
            Some(v1::position::Position::Postgres(v1::PostgresPosition { commit_lsn: commit_lsn.0 }))
        }
        Position::Own => None,
        Position::Mysql { gtid, end } => {
            let position = v1::BinlogPosition {
                gtid: gtid.as_ref().map(ToString::to_string).unwrap_or_default(),
                file: end.file.to_string(),
                offset: end.offset,
            };
            Some(match gtid {
                Some(Gtid::Mariadb(_)) => v1::position::Position::Mariadb(position),
                _ => v1::position::Position::Mysql(position),
            })
        }
    };
    v1::Begin {
        sequence: header.sequence.0,
        system: header.system.to_string(),
        position: position.map(|position| v1::Position { position: Some(position) }),
        commit_time: Some(instant(header.commit_time)),
        transaction: header.transaction.clone(),
        cause: header.cause.as_ref().map(cause),
    }
}

fn cause(cause: &Cause) -> v1::Cause {
    v1::Cause { sequence: cause.sequence.0, system: cause.system.to_string() }
}

/// What a copy's first and last step say. Its rows are changes like others. How many they are is only for those who see all.
fn snapshot_frame(header: &Header, every_row: bool) -> Option<Frame> {
    let step = header.copy.as_ref()?;
    let (system, copy, rows) = (header.system.to_string(), step.copy, if every_row { header.copied_rows } else { 0 });
    let (schema, table) = (step.table.schema.to_string(), step.table.table.to_string());
    match step.phase {
        CopyPhase::Begin => Some(Frame::SnapshotBegin(v1::SnapshotBegin { system, schema, table, copy })),
        CopyPhase::Rows => None,
        CopyPhase::End => Some(Frame::SnapshotEnd(v1::SnapshotEnd { system, schema, table, copy, rows })),
    }
}

fn schema_frame(schema: &TableSchema, contract: Option<&Arc<Entity>>) -> v1::Schema {
    let number = |name: &str| {
        let column = schema.columns.iter().find(|column| *column.shape.name == *name);
        column.map(|column| column.number)
    };
    let fields = contract.into_iter().flat_map(|contract| &contract.fields).map(|field| v1::EntityField {
        name: field.name.clone(),
        numbers: field.columns().filter_map(|column| number(&column)).collect(),
    });
    let ids = contract.into_iter().flat_map(|contract| contract.ids.values()).filter_map(|id| number(id));
    v1::Schema {
        id: schema.id.0,
        type_url: format!("type.googleapis.com/{}", schema.type_name),
        descriptor: descriptor::file(schema).encode_to_vec().into(),
        system: schema.system.to_string(),
        schema: schema.name.schema.to_string(),
        table: schema.name.table.to_string(),
        key: schema.columns.iter().filter(|column| column.shape.key).map(|column| column.number).collect(),
        fields: fields.filter(|field| !field.numbers.is_empty()).collect(),
        ids: ids.collect(),
    }
}

fn instant(time: UnixMicros) -> types::v1::Instant {
    let (seconds, nanos) = time.seconds_and_nanos();
    types::v1::Instant { nanos, kind: Some(types::v1::instant::Kind::Seconds(seconds)), text: String::new() }
}

fn stopping() -> Refusal {
    Refusal::new(Kind::Unavailable, code::SERVER_STOPPING, "shutting down; go on from the last cursor")
}

fn taken_over() -> Refusal {
    Refusal::new(Kind::Replaced, code::SUBSCRIPTION_TAKEN_OVER, "another stream took this subscription over")
}

fn schema_missing(sequence: Sequence, id: SchemaId) -> Refusal {
    unreadable(sequence, &format!("schema {} is not in the journal", id.0))
}

fn unreadable(sequence: Sequence, what: &str) -> Refusal {
    let message = format!("sequence {sequence}: {what}");
    tracing::error!(code = %code::CHANGES_UNREADABLE, "{message}");
    Refusal::new(Kind::Damaged, code::CHANGES_UNREADABLE, message)
}
