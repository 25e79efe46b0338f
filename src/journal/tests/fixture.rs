//! A journal in a directory of its own, and short ways to write to it.

use crate::journal::open::Ground;
use crate::journal::{Commit, Error, Intake, Journal, Options, Reader};
use crate::model::checkpoint::{Checkpoint, PostgresCheckpoint, PostgresServer};
use crate::model::name::SystemName;
use crate::model::position::{Lsn, Position, Sequence};
use crate::model::problem::Problem;
use crate::model::time::UnixMicros;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(super) struct Place {
    pub directory: TempDir,
    pub options: Options,
}

impl Place {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let options = options(directory.path());
        Self { directory, options }
    }

    pub(super) fn open(&self) -> Journal {
        Journal::open(self.options.clone()).expect("it opens")
    }

    pub(super) fn open_on(&self, ground: Ground) -> Journal {
        Journal::open_on(&self.options, ground).expect("it opens")
    }

    pub(super) fn refusal(&self) -> Problem {
        match Journal::open(self.options.clone()) {
            Err(Error::Refused(problem)) => problem,
            Err(other) => panic!("refused otherwise: {other}"),
            Ok(_) => panic!("it opened"),
        }
    }

    /// The files as they are now, as a crash would leave them.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new();
        std::fs::create_dir_all(&copy.options.path).expect("a directory");
        for entry in std::fs::read_dir(&self.options.path).expect("a listing") {
            let from = entry.expect("an entry").path();
            let to = copy.options.path.join(from.file_name().expect("a name"));
            std::fs::copy(from, to).expect("a copy");
        }
        copy
    }
}

pub(super) fn options(directory: &Path) -> Options {
    Options {
        path: directory.join("journal"),
        lock_file: directory.join("tailwater.lock"),
        sync: false,
        retention_bytes: 1 << 30,
        free_disk_bytes_min: 0,
        queue_bytes_max: 1 << 20,
        tail_bytes_max: 1 << 20,
    }
}

pub(super) fn files(path: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).expect("a listing").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

pub(super) fn system(name: &str) -> SystemName {
    SystemName::new(name).expect("a name")
}

pub(super) fn checkpoint(at: u64) -> Checkpoint {
    let server = PostgresServer { system_identifier: 1, timeline: 1, database: "d".into(), slot: "s".into() };
    Checkpoint::Postgres(PostgresCheckpoint { flushed: Lsn(at), server, last: None })
}

pub(super) fn commit(at: u64) -> Commit {
    Commit {
        position: Position::Postgres { commit_lsn: Lsn(at) },
        commit_time: UnixMicros(i64::try_from(at).expect("small")),
        transaction: at.to_string(),
        changes: 1,
        schemas: Vec::new(),
        checkpoint: checkpoint(at),
        copy: None,
        moved: Vec::new(),
        cause: None,
        notes: Vec::new(),
    }
}

/// Writes one transaction for each body of one chunk and waits until all are durable.
pub(super) async fn write(journal: &Journal, intake: &mut Intake, bodies: &[Bytes]) {
    let first = journal.bounds().durable.0;
    for (n, body) in (1..).zip(bodies) {
        intake.chunk(body.clone()).await.expect("taken");
        intake.commit(commit(first + n)).await.expect("taken");
    }
    durable(journal, Sequence(first + bodies.len() as u64)).await;
}

pub(super) async fn durable(journal: &Journal, sequence: Sequence) {
    journal.durable().wait_for(|durable| *durable >= sequence).await.expect("the journal lives");
}

pub(super) async fn body(reader: &mut Reader) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.chunk().await.expect("it reads") {
        chunks.push(chunk);
    }
    chunks
}

/// Everything from `after` to what is durable now.
pub(super) async fn read_all(journal: &Journal, after: Sequence) -> Vec<(Sequence, Vec<Bytes>)> {
    let mut reader = journal.reader(after);
    let mut all = Vec::new();
    while reader.ready() {
        let header = reader.next().await.expect("it reads");
        all.push((header.sequence, body(&mut reader).await));
    }
    all
}

pub(super) fn bytes(fill: u8, length: usize) -> Bytes {
    Bytes::from(vec![fill; length])
}
