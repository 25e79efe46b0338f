//! Copies of tables: all rows as they are, read in key ranges beside the stream and journaled in their place.
//!
//! A task of its own with connections of its own, one table at a time. Each chunk has its own short snapshot, so a copy
//! keeps no old rows alive, and after a crash it goes on behind the last key that is durable. How a chunk finds its place
//! (`stand`):
//!
//! 1. Take a snapshot, and the place in the log behind which it sees nothing (`snapshot`).
//! 2. Let the stream go on to this place and hold it there. MariaDB's snapshot is exactly of its place: if the stream was beyond
//!    it already, take another snapshot while it stands. MySQL's is not: the stream keeps what changes of the table meanwhile
//!    (`window`).
//! 3. Read the rows under the snapshot, those that changed as they are by now, and journal them; let the stream go.
//!
//! So a row read is exactly as old as its place.

mod gaps;
mod gate;
mod job;
mod key;
mod pace;
mod patience;
mod snapshot;
mod stand;
mod window;

pub use gate::{Gate, Request, Whereabouts};
pub use key::behind;
pub use snapshot::qualified;
pub use window::Now;

use super::fault::Fault;
use super::policy::{self, Verdict};
use super::side::Look;
use crate::config::MysqlSystem;
use crate::decode::mysql::types::Charsets;
use crate::journal::{CopyRecord, Journal};
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::source::next_copy::Known;
use crate::source::put_off::PutOff;
use crate::source::status::{By, Reporter};
use gate::{Gone, Knocker};
use pace::Pace;
use snapshot::Connections;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

const RECONNECT: Duration = Duration::from_secs(2);

/// Handle on the task; dropping it ends the task.
pub struct Copier {
    pub gate: Gate,
    _task: AbortOnDropHandle<()>,
}

impl Copier {
    pub fn spawn(
        system: MysqlSystem,
        journal: Journal,
        reporter: Reporter,
        charsets: Charsets,
        looked: watch::Receiver<Arc<Look>>,
    ) -> Self {
        let (gate, knocker) = gate::gate();
        let changed = journal.copies_changed();
        let (brought, put_off) = (HashMap::new(), PutOff::default());
        let pace = Pace::default();
        let worker = Worker { system, journal, reporter, charsets, knocker, changed, brought, put_off, pace, looked };
        Self { gate, _task: AbortOnDropHandle::new(tokio::spawn(worker.run())) }
    }
}

struct Worker {
    system: MysqlSystem,
    journal: Journal,
    reporter: Reporter,
    charsets: Charsets,
    knocker: Knocker,
    changed: watch::Receiver<u64>,
    /// How far this session has brought each copy: ahead of the journal by what is not durable yet.
    brought: HashMap<TableName, CopyRecord>,
    /// Tables that wait after trouble of their own.
    put_off: PutOff,
    pace: Pace,
    looked: watch::Receiver<Arc<Look>>,
}

/// What ends the work on a table.
enum Trouble {
    /// Of this table alone: its copy waits, those of others go on.
    Table(String),
    /// The same, and the table is halted: something in it cannot be passed on.
    Unreadable(Problem),
    Connection(Fault),
    /// The stream is gone, and with it the session.
    Gone,
}

/// The connection broke while a table was to be copied.
struct Broken {
    table: TableName,
    fault: Fault,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        match (&fault, policy::judge(&fault)) {
            // What a server refuses to do for one table is the table's trouble; a lost connection is everybody's.
            (Fault::Table(..) | Fault::Cell(_), Verdict::Halt(problem)) => Self::Unreadable(problem),
            (Fault::Halt(_), Verdict::Halt(problem)) => Self::Table(problem.to_string()),
            (Fault::Server { errno, .. }, _) if !matches!(errno, 1053 | 1317 | 1927) => Self::Table(fault.to_string()),
            _ => Self::Connection(fault),
        }
    }
}

impl From<Gone> for Trouble {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Worker {
    /// Until the stream is gone.
    async fn run(mut self) {
        while let Err(broken) = self.serve().await {
            self.tell(&broken);
            // Whatever was under way is not to hold the stream.
            if self.knocker.send(Request::Release).await.is_err() {
                return;
            }
            sleep(RECONNECT).await;
        }
    }

    /// Once for each reason; quiet for its repetitions.
    fn tell(&self, Broken { table, fault }: &Broken) {
        let system = &self.system.name;
        let why = format!("its connection, which broke: {}", policy::judge(fault).into_problem());
        if self.reporter.copy_waits(table, Some(&why)) {
            tracing::warn!(%system, %table, why, "the copying connection broke; trying again");
        } else {
            tracing::debug!(%system, %table, why, "the copying connection broke again");
        }
    }

    /// Copies until the stream is gone, or the connection.
    async fn serve(&mut self) -> Result<(), Broken> {
        let mut record = self.next().await;
        let mut connections = self.connect(&record.table).await?;
        loop {
            let table = record.table.clone();
            let copied = match self.copy(&mut connections, record).await {
                Err(Trouble::Unreadable(problem)) => {
                    self.reporter.unreadable(&table, By::Copy, Some(&problem));
                    Err(Trouble::Table(problem.to_string()))
                }
                copied => copied,
            };
            match copied {
                Ok(()) => {
                    self.put_off.is_well(&table);
                    self.reporter.copy_waits(&table, None);
                    self.reporter.unreadable(&table, By::Copy, None);
                }
                Err(Trouble::Table(why)) => {
                    if self.reporter.copy_waits(&table, Some(&why)) {
                        tracing::warn!(system = %self.system.name, %table, why, "the copy of a table waits");
                    }
                    self.put_off.put_off(table.clone(), Instant::now());
                    // Whatever was under way is over: for the stream, and with its connections for the server.
                    if self.knocker.send(Request::Release).await.is_err() {
                        return Ok(());
                    }
                    connections = self.connect(&table).await?;
                }
                Err(Trouble::Connection(fault)) => return Err(Broken { table, fault }),
                Err(Trouble::Gone | Trouble::Unreadable(_)) => return Ok(()),
            }
            record = self.next().await;
        }
    }

    async fn connect(&self, table: &TableName) -> Result<Connections, Broken> {
        let broken = |fault| Broken { table: table.clone(), fault };
        Connections::open(&self.system).await.map_err(broken)
    }

    /// The next copy to work on: one that runs before one that is only wanted. Waits for one.
    async fn next(&mut self) -> CopyRecord {
        loop {
            self.changed.borrow_and_update();
            let now = Instant::now();
            let known = Known { system: &self.system.name, brought: &self.brought, put_off: &self.put_off };
            let is_fit = |record: &CopyRecord| self.system.captures(&record.table) && self.is_fit(&record.table);
            let is_due = |record: &CopyRecord| self.pace.due(record, now).is_none() && is_fit(record);
            if let Some(record) = known.next(&self.journal, is_due) {
                return record;
            }
            let ours = self.journal.copies().into_iter().filter(|record| record.system == self.system.name);
            let paced =
                ours.filter_map(|record| self.pace.due(known.brought_to(&record), now).map(|due| (record, due)));
            let mut earliest = self.put_off.earliest(now);
            for (record, due) in paced.filter(|(record, _)| is_fit(record)) {
                self.reporter.copy_waits(&record.table, pace::waits(&record.why));
                earliest = Some(earliest.map_or(due, |earliest| earliest.min(due)));
            }
            let mut looked = self.looked.clone();
            looked.mark_unchanged();
            tokio::select! {
                Ok(()) = looked.changed() => {}
                changed = self.changed.changed() => if changed.is_err() {
                    // The journal is closed, and with it the session soon.
                    std::future::pending::<()>().await;
                },
                () = at(earliest) => {}
            }
        }
    }

    /// Whether the table can be captured; where it cannot, its copy waits.
    fn is_fit(&self, table: &TableName) -> bool {
        let looked = self.looked.borrow();
        let unfit = looked.table(table).and_then(|table| table.unfit.as_ref());
        if let Some(problem) = unfit {
            self.reporter.copy_waits(table, Some(&format!("the table is halted: {problem}")));
        }
        unfit.is_none() && !self.reporter.is_shape_unreadable(table)
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
