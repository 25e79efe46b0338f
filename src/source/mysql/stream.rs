//! The loop: events in, transactions to the journal, for as long as the connection lives.
//!
//! While the journal takes no more, nothing is read, and the server waits: its `net_write_timeout` for us is hours, and should
//! the connection break all the same, the next one goes on from the checkpoint.

use super::assemble::{Assembly, Completed, Step};
use super::copy::Copier;
use super::dump::{Dump, Logged};
use super::fault::Fault;
use super::history::Sight;
use super::look::Looked;
use super::names::NameCase;
use super::settled::Passed;
use super::side::Side;
use crate::config::MysqlSystem;
use crate::decode::mysql::types::Charsets;
use crate::journal::{Commit, Intake, Journal};
use crate::model::checkpoint::{Checkpoint, MysqlCheckpoint, MysqlFingerprint};
use crate::model::gtid::Gtid;
use crate::model::name::TableName;
use crate::model::position::{LogPlace, Position};
use crate::model::schema::TableSchema;
use crate::source::status::Reporter;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What holds nothing to journal is recorded this often at most.
const IDLE_EVERY: Duration = Duration::from_secs(1);

/// What one session's stream works with.
pub struct Stream<'a> {
    pub system: &'a MysqlSystem,
    pub journal: &'a Journal,
    pub intake: &'a mut Intake,
    pub charsets: Charsets,
    pub names: NameCase,
    /// The server leaves generated columns out of images.
    pub omits_generated: bool,
    pub side: Side,
    pub looked: Looked,
    pub copier: Copier,
    pub reporter: Reporter,
    pub checkpoint: MysqlCheckpoint,
    pub assembly: Assembly,
    /// Nothing of them is captured until another copy of them begins.
    pub stopped: HashSet<TableName>,
    /// Tables of which this session has asked for another copy that has not begun yet.
    pub asked: HashSet<TableName>,
    pub passed: Passed,
    /// Since when the checkpoint is behind what was looked at.
    pub idle_since: Option<Instant>,
    pub sight: Sight,
    /// Where the last transaction ended, or the stream began.
    pub committed: LogPlace,
}

impl Stream<'_> {
    /// Runs until something goes wrong. Dropping it half way leaves a transaction open in the journal, to be abandoned.
    ///
    /// # Errors
    /// Always; every [`Fault`] can end a stream.
    pub async fn run(&mut self, dump: &mut Dump) -> Result<Infallible, Fault> {
        loop {
            self.compare_look(dump.end()).await?;
            let idle = self.idle_since.filter(|_| !self.assembly.in_transaction()).map(|since| since + IDLE_EVERY);
            tokio::select! {
                logged = dump.next() => self.take(dump, &logged?).await?,
                fault = self.side.failed() => return Err(fault),
                request = self.copier.gate.next() => self.hear(dump, request).await?,
                () = self.looked.changed() => {}
                () = at(idle) => self.record_idle(dump).await?,
            }
        }
    }

    async fn take(&mut self, dump: &mut Dump, logged: &Logged) -> Result<(), Fault> {
        if self.assembly.is_full_for(logged.body().len()) {
            self.hand_over_chunk().await?;
        }
        self.sight.see(logged, dump.end());
        let mut taken = self.assembly.take(&logged.header, logged.body(), &self.charsets);
        loop {
            let step = match taken {
                Err(Fault::Table(table, problem)) => return self.stop_table(&table, &problem).await,
                step => step?,
            };
            match step {
                Step::Taken if self.assembly.in_transaction() => return Ok(()),
                Step::Taken => {
                    self.note_idle(dump);
                    return self.stand(dump).await;
                }
                Step::Full { left } => {
                    self.hand_over_chunk().await?;
                    taken = self.assembly.take_rest(&logged.header, logged.body(), left);
                }
                Step::Table(table_id) => return self.describe(table_id, logged.body()).await,
                Step::Define(definition) => {
                    self.define(&definition).await?;
                    taken = self.assembly.end_of_definition(&logged.header, definition.opens);
                }
                Step::Changes(databases) => {
                    self.changed_by_statement(databases.as_deref()).await?;
                    taken = self.assembly.end_of_definition(&logged.header, false);
                }
                Step::Unknown(mentions) => {
                    self.named_by_unknown(&mentions).await?;
                    taken = self.assembly.end_of_definition(&logged.header, false);
                }
                Step::Commit(completed) => {
                    self.committed = dump.end().clone();
                    self.commit(completed, dump.end()).await?;
                    return self.stand(dump).await;
                }
                Step::Decided(decision) => {
                    self.decided(decision).await?;
                    taken = self.assembly.end_of_definition(&logged.header, false);
                }
                Step::Lost => {
                    self.lost_by_server().await?;
                    taken = self.assembly.end_of_incident(&logged.header);
                }
                Step::Dropped(gtid) => {
                    self.copier.gate.undone(&gtid);
                    self.intake.abandon().await?;
                    taken = Ok(Step::Nothing);
                }
                Step::Undone(gtid, schemas) => {
                    self.copier.gate.undone(&gtid);
                    self.undone(&schemas).await?;
                    taken = Ok(Step::Nothing);
                }
                Step::Nothing => {
                    self.committed = dump.end().clone();
                    self.idle_since.get_or_insert_with(Instant::now);
                    return self.stand(dump).await;
                }
                Step::Rotate { file, offset } => {
                    dump.rotate(&file, offset);
                    return if self.assembly.in_transaction() { Ok(()) } else { self.stand(dump).await };
                }
            }
        }
    }

    /// Between transactions the log grows too: by the begin of another file.
    fn note_idle(&mut self, dump: &Dump) {
        if dump.end().order() > self.checkpoint.end.order() {
            self.idle_since.get_or_insert_with(Instant::now);
        }
    }

    /// The newest version of a captured table, as a statement or the log names it.
    pub(super) fn schema(&self, table: &TableName) -> Option<Arc<TableSchema>> {
        let exact = self.journal.current_schema(&self.system.name, table).filter(|_| self.system.captures(table));
        exact.or_else(|| match self.names {
            NameCase::Exact => None,
            NameCase::Folded => self.captured().into_iter().find(|schema| self.names.same(&schema.name, table)),
        })
    }

    /// Of the open transaction.
    async fn hand_over_chunk(&mut self) -> Result<(), Fault> {
        let gtid = self.assembly.gtid().cloned();
        self.hand_over_chunk_of(gtid.as_ref()).await
    }

    async fn hand_over_chunk_of(&mut self, gtid: Option<&Gtid>) -> Result<(), Fault> {
        let Some(chunk) = self.assembly.take_chunk() else { return Ok(()) };
        if let (Some(window), Some(gtid)) = (self.copier.gate.window(), gtid) {
            window.take(gtid, &chunk, |id| self.journal.schema(id));
        }
        Ok(self.intake.chunk(chunk).await?)
    }

    async fn commit(&mut self, completed: Completed, end: &LogPlace) -> Result<(), Fault> {
        let Completed { gtid, commit_time, changes, schemas } = completed;
        self.hand_over_chunk_of(Some(&gtid)).await?;
        self.advance(end);
        self.checkpoint.last = Some(MysqlFingerprint { gtid: gtid.clone(), commit_time });
        let commit = Commit {
            transaction: gtid.to_string(),
            position: Position::Mysql { gtid: Some(gtid), end: end.clone() },
            commit_time,
            changes,
            schemas,
            checkpoint: Checkpoint::Mysql(self.checkpoint.clone()),
            copy: None,
            moved: Vec::new(),
            cause: None,
            notes: Vec::new(),
        };
        self.intake.commit(commit).await?;
        self.reporter.journaled(1, changes, commit_time);
        Ok(())
    }

    /// The checkpoint to where the stream stands.
    fn advance(&mut self, end: &LogPlace) {
        self.checkpoint.executed = self.assembly.executed().clone();
        self.checkpoint.end = end.clone();
        if let Some(landmark) = self.sight.take() {
            self.checkpoint.landmark = Some(landmark);
        }
        self.idle_since = None;
    }

    /// The same where perhaps nothing has come yet, or nothing but the begin of a file.
    pub(super) fn advance_to(&mut self, dump: &Dump) {
        let is_farther = dump.end().order() > self.checkpoint.end.order();
        let end = if is_farther { dump.end().clone() } else { self.checkpoint.end.clone() };
        self.advance(&end);
    }

    async fn record_idle(&mut self, dump: &Dump) -> Result<(), Fault> {
        self.advance_to(dump);
        Ok(self.intake.advance(Checkpoint::Mysql(self.checkpoint.clone())).await?)
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
