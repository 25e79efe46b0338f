//! A second connection beside the stream: what the log cannot say of a table when asked, and how far the log has grown.
//!
//! A task of its own, so that it also looks while the stream waits for the journal. It reconnects by itself; a question
//! waits for its answer meanwhile, and the stream with it.

use super::catalogue::{self, Described};
use super::connection::Connection;
use super::fault::Fault;
use super::identity;
use super::policy;
use super::session::tell_tables;
use super::tables::{self, Definitions, ServerTable};
use crate::config::MysqlSystem;
use crate::model::checkpoint::Checkpoint;
use crate::model::gtid::GtidSet;
use crate::model::name::TableName;
use crate::model::position::{LogPlace, Lsn};
use crate::model::problem::Problem;
use crate::source::next_look;
use crate::source::status::Reporter;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

const POLL: Duration = Duration::from_secs(2);
const TABLES_EVERY: Duration = Duration::from_secs(10);
const RECONNECT: Duration = Duration::from_secs(2);

/// Handle on the task; dropping it ends the task.
pub struct Side {
    questions: mpsc::Sender<Question>,
    answer_max: Duration,
    looked: watch::Receiver<Arc<Look>>,
    soon: Arc<Notify>,
    task: AbortOnDropHandle<Fault>,
}

/// The configured tables as they were between `at` and the end of the log then.
#[derive(Debug)]
pub struct Look {
    pub at: Instant,
    /// In the order of their names.
    pub tables: Vec<ServerTable>,
    pub executed: GtidSet,
    pub end: LogPlace,
    /// What was not in the log before `end`, or no longer; MariaDB does not say.
    pub purged: Option<GtidSet>,
}

impl Look {
    /// # Errors
    /// Those of the connection.
    pub async fn take(
        connection: &mut Connection,
        system: &MysqlSystem,
        definitions: &mut Definitions,
    ) -> Result<Self, Fault> {
        let at = Instant::now();
        let tables = tables::configured(connection, system, definitions).await?;
        let purged = identity::purged(connection, system.flavour).await?;
        let end = identity::written_to(connection, system.flavour).await?;
        Ok(Self { at, tables, executed: identity::executed(connection, system.flavour).await?, end, purged })
    }

    pub fn table(&self, name: &TableName) -> Option<&ServerTable> {
        // They are in the order of their names.
        let at = self.tables.binary_search_by(|table| table.name.cmp(name)).ok()?;
        self.tables.get(at)
    }
}

struct Question {
    table: TableName,
    answer: oneshot::Sender<Option<(Described, ServerTable)>>,
}

/// What the task works with.
struct Watch {
    system: MysqlSystem,
    reporter: Reporter,
    durable: watch::Receiver<Option<Checkpoint>>,
    /// Where each file begins on one line of bytes, so that places can be measured.
    files: BTreeMap<String, u64>,
    look: watch::Sender<Arc<Look>>,
    soon: Arc<Notify>,
    definitions: Definitions,
}

impl Side {
    pub fn spawn(
        system: MysqlSystem,
        reporter: Reporter,
        durable: watch::Receiver<Option<Checkpoint>>,
        look: Look,
        definitions: Definitions,
    ) -> Self {
        let (questions, asked) = mpsc::channel(1);
        let answer_max = system.endpoint.silence_max;
        let (look, looked) = watch::channel(Arc::new(look));
        let soon = Arc::new(Notify::new());
        let heard = Arc::clone(&soon);
        let watch = Watch { system, reporter, durable, files: BTreeMap::new(), look, soon: heard, definitions };
        Self { questions, answer_max, looked, soon, task: AbortOnDropHandle::new(tokio::spawn(watch.run(asked))) }
    }

    /// Waits until the task has ended, which only a bug makes it do. Cancel-safe.
    pub async fn failed(&mut self) -> Fault {
        (&mut self.task).await.unwrap_or(Fault::Closed)
    }

    /// The configured tables, as they were looked at last.
    pub fn looked(&self) -> watch::Receiver<Arc<Look>> {
        self.looked.clone()
    }

    /// Has the tables looked at now.
    pub fn look_soon(&self) {
        self.soon.notify_one();
    }

    /// The table as the catalogue has it now; `None` when it is gone.
    ///
    /// # Errors
    /// [`Fault::Closed`] when the task is gone, [`Fault::Silent`] when there is no connection to ask over.
    pub async fn describe(&self, table: TableName) -> Result<Option<(Described, ServerTable)>, Fault> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.questions.send(Question { table, answer }).await.map_err(|_| Fault::Closed)?;
            answered.await.map_err(|_| Fault::Closed)
        };
        timeout(self.answer_max, asked).await.map_err(|_| Fault::Silent(self.answer_max))?
    }
}

impl Watch {
    /// For ever; connection trouble is the stream's to report.
    async fn run(mut self, mut asked: mpsc::Receiver<Question>) -> Fault {
        let mut open_question = None;
        loop {
            match self.serve(&mut asked, &mut open_question).await {
                Ok(never) => match never {},
                Err(fault) => self.tell_blind(&fault),
            }
            sleep(RECONNECT).await;
        }
    }

    /// Once for each code; quiet for its repetitions.
    fn tell_blind(&self, fault: &Fault) {
        let Problem { code, message } = policy::judge(fault).into_problem();
        let problem = Problem::new(code, format!("the tables and the log's end are not looked at: {message}"));
        if self.reporter.blind(Some(problem.clone())) {
            tracing::warn!(system = %self.system.name, %problem, "the side connection broke; trying again");
        } else {
            tracing::debug!(system = %self.system.name, %problem, "the side connection broke again");
        }
    }

    async fn serve(
        &mut self,
        asked: &mut mpsc::Receiver<Question>,
        open_question: &mut Option<Question>,
    ) -> Result<Infallible, Fault> {
        let mut connection = Connection::open(&self.system.endpoint).await?;
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tables_due = Instant::now() + TABLES_EVERY;
        loop {
            if let Some(question) = open_question.as_ref() {
                let described = catalogue::describe(&mut connection, &question.table).await?;
                let table = tables::one(&mut connection, &question.table).await?;
                if let Some(question) = open_question.take() {
                    // Nobody waits any more when the stream has ended.
                    let _ = question.answer.send(described.zip(table));
                }
            }
            tokio::select! {
                question = asked.recv() => *open_question = Some(question.ok_or(Fault::Closed)?),
                changed = self.durable.changed() => match changed {
                    Ok(()) => self.tell_flushed(),
                    // The journal is closed, and with it the session soon.
                    Err(_) => std::future::pending::<()>().await,
                },
                () = self.soon.notified() => self.look_at_tables(&mut connection).await?,
                _ = poll.tick() => {
                    self.look_at_log(&mut connection).await?;
                    let begun = Instant::now();
                    if begun >= tables_due {
                        self.look_at_tables(&mut connection).await?;
                        tables_due = next_look(begun, TABLES_EVERY);
                    }
                    self.reporter.blind(None);
                }
            }
        }
    }

    async fn look_at_log(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        let rows = connection.rows("SHOW BINARY LOGS").await?;
        let mut begin = None;
        for row in &rows {
            let (file, bytes) = (row.some(0)?.to_owned(), row.number(1)?);
            // A file that is known stays where it is when earlier ones are purged.
            let start = *self.files.entry(file).or_insert(begin.unwrap_or(0));
            begin = Some(start + bytes);
        }
        let end = identity::written_to(connection, self.system.flavour).await?;
        self.tell_flushed();
        if let Some(measured) = self.measure(&end) {
            self.reporter.log_end_at(measured, end.to_string());
        }
        Ok(())
    }

    fn tell_flushed(&mut self) {
        let durable = self.durable.borrow_and_update().clone();
        let Some(Checkpoint::Mysql(checkpoint)) = durable else { return };
        if let Some(measured) = self.measure(&checkpoint.end) {
            self.reporter.flushed_at(measured, checkpoint.executed.to_string(), checkpoint.end);
        }
    }

    fn measure(&self, place: &LogPlace) -> Option<Lsn> {
        self.files.get(&*place.file).map(|begin| Lsn(begin + place.offset))
    }

    async fn look_at_tables(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        let look = Look::take(connection, &self.system, &mut self.definitions).await?;
        if look.tables != self.look.borrow().tables {
            tracing::info!(system = %self.system.name, tables = look.tables.len(), "the configured tables have changed");
            tell_tables(&self.system, &self.reporter, &look.tables);
        }
        self.look.send_replace(Arc::new(look));
        Ok(())
    }
}
