//! The stream stands still where the copier wants it, and journals there what that has read.

use super::copy::{Request, Whereabouts};
use super::define::TWO_PHASE;
use super::dump::Dump;
use super::fault::Fault;
use super::settled::Listed;
use super::stream::Stream;
use crate::journal::{Commit, CopyProgress};
use crate::model::checkpoint::Checkpoint;
use crate::model::gtid::Gtid;
use crate::model::name::TableName;
use crate::model::position::Position;
use crate::model::schema::SchemaId;
use crate::model::time::UnixMicros;

impl Stream<'_> {
    fn is_met(&mut self, dump: &Dump) -> bool {
        self.copier.gate.meet(Whereabouts { committed: &self.committed, end: dump.end() })
    }

    /// Keeps from here on what changes of the table that the copier is about to take a snapshot of.
    fn open_window(&mut self) {
        if let Some(table) = self.copier.gate.open_window(self.assembly.executed()) {
            // Rows of it that are passed over have to be noticed.
            self.assembly.forget_passed_over_of(&table);
        }
    }

    /// Stands still while the copier wants it here, and journals what it brings.
    pub(super) async fn stand(&mut self, dump: &Dump) -> Result<(), Fault> {
        self.open_window();
        if !self.is_met(dump) {
            return Ok(());
        }
        let mut unfinished = false;
        loop {
            let request = tokio::select! {
                request = self.copier.gate.next() => request,
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
                Some(Request::Commit { mut progress, schema, changes, listed }) => {
                    self.advance_to(dump);
                    if progress.step.anew {
                        progress.again = self.begin_anew(&progress.step.table, listed.as_ref());
                    }
                    self.intake.commit(self.copy_step(progress, schema, changes)).await?;
                    unfinished = false;
                }
                Some(Request::Watch(opening)) => {
                    self.copier.gate.open(opening);
                    self.open_window();
                }
                Some(Request::Hold(claim)) => {
                    self.copier.gate.claim(claim);
                    if !self.is_met(dump) {
                        break;
                    }
                }
                Some(Request::Release) => {
                    self.copier.gate.disclaim();
                    break;
                }
                None => break,
            }
        }
        if unfinished {
            self.intake.abandon().await?;
        }
        Ok(())
    }

    /// A request while the stream goes on.
    pub(super) async fn hear(&mut self, dump: &Dump, request: Option<Request>) -> Result<(), Fault> {
        match request {
            Some(Request::Watch(opening)) => {
                self.copier.gate.open(opening);
                if !self.assembly.in_transaction() {
                    self.open_window();
                }
                Ok(())
            }
            Some(Request::Hold(claim)) => {
                self.copier.gate.claim(claim);
                // An idle server sends nothing that would bring the stream anywhere else.
                if !self.assembly.in_transaction() {
                    self.stand(dump).await?;
                }
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

    /// Gives why another copy has to follow all the same.
    fn begin_anew(&mut self, table: &TableName, listed: Option<&Listed>) -> Option<String> {
        self.looked.kept(table);
        self.resume_table(table);
        if listed.is_some_and(|listed| !self.passed.are_in(table, listed)) {
            return Some(TWO_PHASE.to_owned());
        }
        self.asked.remove(table);
        None
    }

    /// A step of a copy, in its place behind what was journaled last.
    fn copy_step(&self, progress: CopyProgress, schema: SchemaId, changes: u64) -> Commit {
        let gtid: Option<Gtid> = self.checkpoint.last.as_ref().map(|last| last.gtid.clone());
        Commit {
            position: Position::Mysql { gtid, end: self.checkpoint.end.clone() },
            commit_time: UnixMicros::now(),
            transaction: String::new(),
            changes,
            schemas: vec![schema],
            checkpoint: Checkpoint::Mysql(self.checkpoint.clone()),
            copy: Some(progress),
            moved: Vec::new(),
            cause: None,
            notes: Vec::new(),
        }
    }
}
