//! A real journal with one source on it.

use super::*;
use crate::config::System;
use crate::journal::{Journal, Options};
use crate::model::code::Code;
use crate::source::status::{SourceStatus, State};
use crate::source::{SourceHandle, spawn};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Attached {
    pub journal: Journal,
    system: System,
    running: Option<(SourceHandle, CancellationToken)>,
    directory: TempDir,
}

impl Attached {
    /// A journal, and a source that does not run yet.
    pub fn idle(system: PostgresSystem) -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let journal = open(directory.path(), 0);
        Self { journal, system: System::Postgres(system), running: None, directory }
    }

    /// Waits until it streams.
    pub async fn to(system: PostgresSystem) -> Self {
        let mut attached = Self::idle(system);
        attached.start();
        attached.until(streams).await;
        attached
    }

    pub fn start(&mut self) {
        let token = CancellationToken::new();
        self.running = Some((spawn(&self.system, &self.journal, token.clone()), token));
    }

    /// The source alone.
    pub async fn stop(&mut self) {
        let (source, token) = self.running.take().expect("it runs");
        token.cancel();
        timeout(PATIENCE, source.join).await.expect("a quick stop").expect("no panic");
    }

    /// The journal anew, with another floor for free disk.
    pub async fn reopen(self, free_disk_bytes_min: u64) -> Self {
        let Self { journal, system, directory, .. } = self;
        journal.close().await;
        Self { journal: open(directory.path(), free_disk_bytes_min), system, running: None, directory }
    }

    pub async fn until(&mut self, reached: impl Fn(&SourceStatus) -> bool) -> SourceStatus {
        self.until_within(PATIENCE, reached).await
    }

    pub async fn until_within(&mut self, patience: Duration, reached: impl Fn(&SourceStatus) -> bool) -> SourceStatus {
        let (source, _) = self.running.as_mut().expect("it runs");
        if let Ok(Ok(status)) = timeout(patience, source.status.wait_for(reached)).await {
            return status.clone();
        }
        panic!("never came: {:?}", source.status.borrow())
    }

    /// Waits for a halt; gives its code.
    pub async fn halts(&mut self) -> Code {
        match self.until(|status| matches!(status.state, State::Halted(_))).await.state {
            State::Halted(problem) => problem.code,
            other => panic!("{other:?} was just seen to be a halt"),
        }
    }

    pub async fn end(mut self) {
        if self.running.is_some() {
            self.stop().await;
        }
        self.journal.close().await;
    }
}

pub fn streams(status: &SourceStatus) -> bool {
    status.state == State::Streaming
}

fn open(directory: &Path, free_disk_bytes_min: u64) -> Journal {
    let options = Options {
        path: directory.join("journal"),
        lock_file: directory.join("tailwater.lock"),
        sync: true,
        retention_bytes: 1 << 30,
        free_disk_bytes_min,
        queue_bytes_max: 8 << 20,
        tail_bytes_max: 8 << 20,
    };
    Journal::open(options).expect("a journal")
}
