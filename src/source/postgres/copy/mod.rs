//! Copies of tables: all rows as they are, read in key ranges beside the stream and journaled in their place.
//!
//! A task of its own with a connection of its own, one table at a time. Each chunk has its own short snapshot, so a copy
//! pins neither the log nor old rows, and after a crash it goes on behind the last key that is durable. How a chunk finds its
//! place:
//!
//! 1. In a read-only transaction take a snapshot and then `L`, the end of the log. What the snapshot sees has committed before
//!    `L`, because a commit record is written before its transaction becomes visible.
//! 2. Let the stream go on to `L` and hold it there. If it meets a transaction that the snapshot does not see on the way, the two
//!    happened at the same moment: take another snapshot right there. So it does if it has gone into one already.
//! 3. Read the rows under the snapshot and journal them; let the stream go.
//!
//! So a row read is exactly as old as its place. Surprise: where transactions commit faster than snapshots can be taken between
//! them, the chunk is placed before the first unseen one after [`TRIES`]. Its rows may then be ahead of what follows by the
//! transactions that committed with it, and applying those after it leads to the same rows. Where it would not (a table
//! without key, a shape that the journal does not know yet, the last chunk), the place is that of a slot (`pair`).
//!
//! Where the rows have no order to read them in, they are one piece, and the stream is not held for so long: `beside`.
//!
//! A row that moves by its key from ahead of the copy to behind it comes through the stream, without the columns that
//! PostgreSQL leaves out as unchanged. The journal notes such keys (`MovedRow`), and the copy reads them again.

mod beside;
mod chunk;
mod fit;
mod gate;
mod job;
mod order;
pub mod pair;
mod patience;
mod snapshot;
mod stand;
mod table;

pub use beside::Watch;
pub use gate::{Gate, Request, Standing};

use super::fault::Fault;
use super::policy::{self, Verdict};
use super::simple_query::{Connection, Purpose};
use crate::config::PostgresSystem;
use crate::journal::{CopyRecord, Journal};
use crate::model::name::TableName;
use crate::model::position::Lsn;
use crate::model::problem::Problem;
use crate::source::next_copy::Known;
use crate::source::postgres::catalogue::CarrierEntry;
use crate::source::postgres::kept::Kept;
use crate::source::put_off::PutOff;
use crate::source::status::{By, Reporter};
use gate::{Gone, Knocker};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

/// Snapshots taken for one chunk before the next best place is taken.
const TRIES: u32 = 10;
const RECONNECT: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A wait that lasts longer is told.
const TOLD_AFTER: Duration = Duration::from_secs(8);

/// Handle on the task; dropping it ends the task.
pub struct Copier {
    pub gate: Gate,
    /// Told by the stream: how far it has come.
    pub received: watch::Sender<Lsn>,
    _task: AbortOnDropHandle<()>,
}

impl Copier {
    /// `resumed`: something was journaled before this session.
    pub fn spawn(system: PostgresSystem, journal: Journal, reporter: Reporter, kept: Kept, resumed: bool) -> Self {
        let (gate, knocker) = gate::gate();
        let changed = journal.copies_changed();
        let (received, heard) = watch::channel(Lsn::default());
        let worker = Worker {
            system,
            journal,
            reporter,
            knocker,
            kept,
            changed,
            received: heard,
            brought: HashMap::new(),
            put_off: PutOff::default(),
            early: HashMap::new(),
            resumed,
            began: None,
        };
        Self { gate, received, _task: AbortOnDropHandle::new(tokio::spawn(worker.run())) }
    }
}

struct Worker {
    system: PostgresSystem,
    journal: Journal,
    reporter: Reporter,
    knocker: Knocker,
    kept: Kept,
    changed: watch::Receiver<u64>,
    /// How far the stream has come.
    received: watch::Receiver<Lsn>,
    /// How far this session has brought each copy: ahead of the journal by what is not durable yet.
    brought: HashMap<TableName, CopyRecord>,
    /// Tables that wait after trouble of their own.
    put_off: PutOff,
    /// Those of tables that were put off for them.
    early: HashMap<TableName, EarlyWriters>,
    /// Something was journaled before this session.
    resumed: bool,
    /// Then: every transaction that was journaled before has a lower id. (It may wait for a standby, and not be visible yet.)
    began: Option<u64>,
}

/// Who wrote to a table when it was first looked at since it joined its publication.
struct EarlyWriters {
    /// Which table, and through what it travels.
    joined: (u32, Vec<CarrierEntry>),
    transactions: BTreeSet<String>,
}

/// What ends the work on a table.
enum Trouble {
    /// Of this table alone: its copy waits, those of others go on.
    Table(String),
    /// The same, and the table is halted: a value of it cannot be passed on.
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
            (Fault::Cell(_), Verdict::Halt(problem)) => Self::Unreadable(problem),
            (Fault::Server(_), Verdict::Halt(problem)) => Self::Table(problem.to_string()),
            (Fault::Server(error), _) if !error.sqlstate.starts_with("57") && !error.sqlstate.starts_with("08") => {
                Self::Table(fault.to_string())
            }
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
        let mut connection = self.connect(&record.table).await?;
        loop {
            let table = record.table.clone();
            let copied = match self.copy(&mut connection, record).await {
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
                    // Whatever was under way is over: for the stream, and with its connection for the server.
                    if self.knocker.send(Request::Release).await.is_err() {
                        return Ok(());
                    }
                    connection = self.connect(&table).await?;
                }
                Err(Trouble::Connection(fault)) => return Err(Broken { table, fault }),
                Err(Trouble::Gone | Trouble::Unreadable(_)) => return Ok(()),
            }
            record = self.next().await;
        }
    }

    async fn connect(&self, table: &TableName) -> Result<Connection, Broken> {
        let broken = |fault| Broken { table: table.clone(), fault };
        Connection::open(&self.system.endpoint, Purpose::Queries).await.map_err(broken)
    }

    /// The next copy to work on: one that runs before one that is only wanted. Waits for one.
    async fn next(&mut self) -> CopyRecord {
        loop {
            self.changed.borrow_and_update();
            let known = Known { system: &self.system.name, brought: &self.brought, put_off: &self.put_off };
            // A table may be configured no more while its copy is wanted.
            let is_ours = |record: &CopyRecord| self.system.tables.matches(&record.table.to_string());
            if let Some(record) = known.next(&self.journal, is_ours) {
                return record;
            }
            let earliest = self.put_off.earliest(Instant::now());
            tokio::select! {
                changed = self.changed.changed() => if changed.is_err() {
                    // The journal is closed, and with it the session soon.
                    std::future::pending::<()>().await;
                },
                () = at(earliest) => {}
            }
        }
    }

    /// Waits, and says what for where that lasts.
    async fn told<T>(&self, table: &TableName, what_for: &str, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        if let Ok(waited) = timeout(TOLD_AFTER, &mut wait).await {
            return waited;
        }
        self.reporter.copy_waits(table, Some(what_for));
        let waited = wait.await;
        self.reporter.copy_waits(table, None);
        waited
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
