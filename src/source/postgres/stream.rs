//! The loop: frames in, transactions to the journal, for as long as the connection lives.
//!
//! Waiting happens once a read or a chunk, never for a row. While the journal takes no more, nothing is read, and the
//! server waits; `feedback` keeps it company.

use super::assemble::{Assembly, Completed, Step};
use super::catalogue::ServerTable;
use super::copy::{Copier, Request, Standing};
use super::fault::{Fault, ServerError};
use super::feedback::Feedback;
use super::frames::Frame;
use super::idle::Idle;
use super::kept::Kept;
use super::side::Side;
use super::simple_query::{ReadFrames, pass_over};
use crate::journal::{Commit, CopyProgress, Intake};
use crate::model::checkpoint::{Checkpoint, PostgresCheckpoint};
use crate::model::copy::CopyPhase;
use crate::model::pattern::Selection;
use crate::model::position::{Lsn, Position};
use crate::model::schema::SchemaId;
use crate::model::time::UnixMicros;
use crate::source::status::Reporter;
use std::collections::HashMap;
use std::convert::Infallible;
use tokio::time::{Instant, sleep_until};

/// What one session's stream works with.
pub struct Stream<'a> {
    pub intake: &'a mut Intake,
    pub selection: &'a Selection,
    /// The tables of the look that this session began with, as long as the stream has not described them: by oid.
    pub as_looked: HashMap<u32, ServerTable>,
    pub kept: Kept,
    pub feedback: Feedback,
    pub side: Side,
    pub copier: Copier,
    pub reporter: Reporter,
    pub checkpoint: PostgresCheckpoint,
    pub assembly: Assembly,
    pub idle: Idle,
    pub tally: Tally,
}

/// Transactions handed over since the status was last told.
#[derive(Default)]
pub struct Tally {
    transactions: u64,
    changes: u64,
    last_commit: UnixMicros,
    received: Lsn,
}

impl Stream<'_> {
    /// Runs until something goes wrong. Dropping it half way leaves a transaction open in the journal, to be abandoned.
    ///
    /// # Errors
    /// Always; every [`Fault`] can end a stream.
    pub async fn run(&mut self, frames: &mut ReadFrames) -> Result<Infallible, Fault> {
        loop {
            while let Some(frame) = frames.buffered()? {
                if self.assembly.is_full_for(frame.body.len()) {
                    self.hand_over_chunk().await?;
                }
                let step = match self.take(frame) {
                    Err(Fault::Table(table, problem)) => {
                        self.stop_table(table, &problem).await?;
                        continue;
                    }
                    step => step?,
                };
                let standing = match step {
                    Step::Taken => None,
                    Step::Begin { commit_lsn, xid } => Some(Standing::Begin { commit_lsn, xid }),
                    Step::Relation(relation) => {
                        self.describe(&relation).await?;
                        None
                    }
                    Step::Commit(completed) => {
                        let end_lsn = completed.end_lsn;
                        self.commit(completed).await?;
                        Some(Standing::Between(end_lsn))
                    }
                    Step::Nothing(end_lsn) => {
                        self.idle.saw(end_lsn);
                        Some(Standing::Between(end_lsn))
                    }
                };
                if let Some(standing) = standing {
                    self.stand(standing).await?;
                }
            }
            self.settle().await?;
            if !self.assembly.in_transaction() {
                self.stand(Standing::Between(self.idle.seen())).await?;
            }
            let deadline = if self.assembly.in_transaction() { None } else { self.idle.deadline() };
            tokio::select! {
                filled = frames.fill() => filled?,
                fault = self.feedback.failed() => return Err(fault),
                fault = self.side.failed() => return Err(fault),
                request = self.copier.gate.next() => self.hear(request)?,
                () = at(deadline) => {}
            }
        }
    }

    fn take<'f>(&mut self, frame: Frame<'f>) -> Result<Step<'f>, Fault> {
        match frame.tag {
            b'd' => match CopyData::parse(frame.body)? {
                CopyData::Log { start, message } => {
                    self.tally.received = self.tally.received.max(start);
                    self.assembly.take(message)
                }
                CopyData::Keepalive { wal_end, asks } => {
                    self.keepalive(wal_end, asks);
                    Ok(Step::Taken)
                }
            },
            b'E' => Err(Fault::Server(ServerError::parse(frame.body))),
            // CopyDone, CommandComplete: the server ends the stream, as it does in a shutdown.
            b'c' | b'C' => Err(Fault::Closed),
            _ => pass_over(frame).map(|()| Step::Taken),
        }
    }

    fn keepalive(&mut self, wal_end: Lsn, asks: bool) {
        self.tally.received = self.tally.received.max(wal_end);
        self.reporter.log_end(wal_end);
        if !self.assembly.in_transaction() {
            self.idle.saw(wal_end);
        }
        if asks {
            self.idle.asked();
            self.feedback.asked();
        }
    }

    async fn hand_over_chunk(&mut self) -> Result<(), Fault> {
        if let Some(chunk) = self.assembly.take_chunk() {
            self.intake.chunk(chunk).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, completed: Completed) -> Result<(), Fault> {
        self.hand_over_chunk().await?;
        let Completed { fingerprint, end_lsn, changes, schemas, moved } = completed;
        self.checkpoint.flushed = end_lsn;
        self.checkpoint.last = Some(fingerprint);
        let commit = Commit {
            position: Position::Postgres { commit_lsn: fingerprint.commit_lsn },
            commit_time: fingerprint.commit_time,
            transaction: fingerprint.xid.to_string(),
            changes,
            schemas,
            checkpoint: Checkpoint::Postgres(self.checkpoint.clone()),
            copy: None,
            moved,
            cause: None,
            notes: Vec::new(),
        };
        self.intake.commit(commit).await?;
        self.idle.record(end_lsn, Instant::now());
        self.tally.transactions += 1;
        self.tally.changes += changes;
        self.tally.last_commit = fingerprint.commit_time;
        Ok(())
    }

    /// Stands still while the copier wants it here.
    async fn stand(&mut self, standing: Standing) -> Result<(), Fault> {
        if self.copier.gate.meet(standing) {
            self.serve_copier(standing).await?;
        }
        self.copier.gate.pass(standing);
        Ok(())
    }

    /// Journals what the copier brings, until it lets the stream go.
    async fn serve_copier(&mut self, standing: Standing) -> Result<(), Fault> {
        let mut unfinished = false;
        loop {
            let request = tokio::select! {
                request = self.copier.gate.next() => request,
                fault = self.feedback.failed() => return Err(fault),
                fault = self.side.failed() => return Err(fault),
            };
            match request {
                Some(Request::Describe(shape, described)) => {
                    // Whoever asked may have given up meanwhile.
                    let _ = described.send(self.intake.describe(&shape).await?);
                }
                Some(Request::Chunk(chunk)) => {
                    self.intake.chunk(chunk).await?;
                    unfinished = true;
                }
                Some(Request::Commit { progress, schema, changes }) => {
                    if progress.step.phase == CopyPhase::Begin {
                        self.resume_table(&progress.step.table);
                    }
                    self.intake.commit(self.copy_step(progress, schema, changes)).await?;
                    unfinished = false;
                }
                Some(Request::Watch(watch)) => self.assembly.watch(watch),
                Some(Request::Settle(settled)) => {
                    // Nothing is open, so nothing is forgotten.
                    self.intake.abandon().await?;
                    let _ = settled.send(());
                }
                Some(Request::Hold(claim)) => {
                    self.copier.gate.claim(claim);
                    if !self.copier.gate.meet(standing) {
                        self.feedback.ask();
                        break;
                    }
                }
                Some(Request::Release) | None => break,
            }
        }
        if unfinished {
            self.intake.abandon().await?;
        }
        Ok(())
    }

    /// A request while the stream goes on.
    fn hear(&mut self, request: Option<Request>) -> Result<(), Fault> {
        match request {
            Some(Request::Hold(claim)) => {
                self.copier.gate.claim(claim);
                // So that an idle server says how far it is.
                self.feedback.ask();
                Ok(())
            }
            // Of a copier that was too late: the stream had gone on, or never stood.
            Some(Request::Release) => {
                self.copier.gate.disclaim();
                Ok(())
            }
            Some(_) => Ok(()),
            // Its task ended by a bug; a new session has a new one.
            None => Err(Fault::Closed),
        }
    }

    /// A step of a copy, in its place behind what was journaled last. The checkpoint stays.
    fn copy_step(&self, progress: CopyProgress, schema: SchemaId, changes: u64) -> Commit {
        Commit {
            position: Position::Postgres { commit_lsn: self.checkpoint.flushed },
            commit_time: UnixMicros::now(),
            transaction: String::new(),
            changes,
            schemas: vec![schema],
            checkpoint: Checkpoint::Postgres(self.checkpoint.clone()),
            copy: Some(progress),
            moved: Vec::new(),
            cause: None,
            notes: Vec::new(),
        }
    }

    /// After all that one read brought: tell the status, record an idle position.
    async fn settle(&mut self) -> Result<(), Fault> {
        self.feedback.received(self.tally.received);
        self.copier.received.send_replace(self.tally.received);
        if self.tally.transactions > 0 {
            self.reporter.journaled(self.tally.transactions, self.tally.changes, self.tally.last_commit);
            self.tally = Tally { received: self.tally.received, ..Tally::default() };
        }
        if self.assembly.in_transaction() {
            return Ok(());
        }
        let now = Instant::now();
        if let Some(seen) = self.idle.due(now) {
            self.checkpoint.flushed = seen;
            self.intake.advance(Checkpoint::Postgres(self.checkpoint.clone())).await?;
            self.idle.record(seen, now);
        }
        Ok(())
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

enum CopyData<'a> {
    /// One pgoutput message.
    Log { start: Lsn, message: &'a [u8] },
    /// `wal_end`: the server has looked at its log up to here.
    Keepalive { wal_end: Lsn, asks: bool },
}

const LOG_HEADER_BYTES: usize = 24;

impl<'a> CopyData<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Fault> {
        let broken = Fault::Protocol("a broken replication message");
        let Some((kind, rest)) = body.split_first() else { return Err(broken) };
        let Some(lsn) = rest.first_chunk::<8>() else { return Err(broken) };
        let lsn = Lsn(u64::from_be_bytes(*lsn));
        match (kind, rest.len()) {
            (b'w', LOG_HEADER_BYTES..) => Ok(Self::Log { start: lsn, message: &rest[LOG_HEADER_BYTES..] }),
            (b'k', 17) => Ok(Self::Keepalive { wal_end: lsn, asks: rest[16] != 0 }),
            _ => Err(broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replication_messages_are_read_exactly_or_refused() {
        let keepalive = [&b"k"[..], &7u64.to_be_bytes(), &[0; 8], &[1]].concat();
        assert!(matches!(CopyData::parse(&keepalive), Ok(CopyData::Keepalive { wal_end: Lsn(7), asks: true })));
        let log = [&b"w"[..], &9u64.to_be_bytes(), &[0; 16], b"message"].concat();
        assert!(matches!(CopyData::parse(&log), Ok(CopyData::Log { start: Lsn(9), message: b"message" })));
        for broken in [&b""[..], b"k", b"x12345678901234567", &keepalive[..17], &log[..24]] {
            assert!(CopyData::parse(broken).is_err(), "{broken:?}");
        }
    }
}
