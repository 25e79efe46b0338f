//! A second connection beside the stream: a look at one table when the stream asks for it, and every few seconds at all of
//! them, at the publications and at what the server retains for our slot.
//!
//! A task of its own, so that it also looks while the stream waits for the journal. It reconnects by itself; a question
//! waits for its answer meanwhile, and the stream with it. A table that is new, or whose identity changed, moves into its
//! publication here: the stream goes on and carries it from that moment.

use super::catalogue::ServerTable;
use super::fault::Fault;
use super::look::{Looked, Looker, tell_tables};
use super::policy;
use super::simple_query::{Connection, Purpose, literal};
use crate::config::PostgresSystem;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::position::Lsn;
use crate::model::problem::Problem;
use crate::source::next_look;
use crate::source::status::{CapturedTable, Reporter};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

const POLL: Duration = Duration::from_secs(10);
const RECONNECT: Duration = Duration::from_secs(2);

/// Handle on the task; dropping it ends the task.
pub struct Side {
    questions: mpsc::Sender<Question>,
    answer_max: Duration,
    task: AbortOnDropHandle<Fault>,
}

struct Question {
    table: TableName,
    answer: oneshot::Sender<Option<ServerTable>>,
}

/// What the task works with.
struct Watch {
    looker: Looker,
    /// As the status has them.
    told: Vec<CapturedTable>,
    /// The publications that the session streams from: it cannot take another one in.
    streamed: Vec<String>,
}

impl Side {
    /// `looked`: what the session began with.
    pub fn spawn(looker: Looker, looked: &Looked) -> Self {
        let (questions, asked) = mpsc::channel(1);
        let answer_max = looker.system.endpoint.silence_max;
        let watch = Watch { looker, told: looked.captured(), streamed: looked.publications.clone() };
        Self { questions, answer_max, task: AbortOnDropHandle::new(tokio::spawn(watch.run(asked))) }
    }

    /// Waits until a person has to act, or the session has to begin again: a publication was changed behind our back.
    /// Cancel-safe.
    pub async fn failed(&mut self) -> Fault {
        (&mut self.task).await.unwrap_or(Fault::Closed)
    }

    /// The table as it is now, after whatever is another than before was kept and is durable; `None` when it is gone.
    ///
    /// # Errors
    /// [`Fault::Closed`] when the task is gone, [`Fault::Silent`] when there is no connection to ask over.
    pub async fn look_at(&self, table: TableName) -> Result<Option<ServerTable>, Fault> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.questions.send(Question { table, answer }).await.map_err(|_| Fault::Closed)?;
            answered.await.map_err(|_| Fault::Closed)
        };
        timeout(self.answer_max, asked).await.map_err(|_| Fault::Silent(self.answer_max))?
    }
}

impl Watch {
    /// Until something halts or the session is to begin again; connection trouble is the stream's to report.
    async fn run(mut self, mut asked: mpsc::Receiver<Question>) -> Fault {
        let mut open_question = None;
        loop {
            match self.serve(&mut asked, &mut open_question).await {
                Ok(never) => match never {},
                Err(found @ (Fault::Halt(_) | Fault::Retry(_))) => return found,
                Err(fault) => tell_blind(&self.looker, &fault),
            }
            sleep(RECONNECT).await;
        }
    }

    async fn serve(
        &mut self,
        asked: &mut mpsc::Receiver<Question>,
        open_question: &mut Option<Question>,
    ) -> Result<Infallible, Fault> {
        let mut connection = Connection::open(&self.looker.system.endpoint, Purpose::Queries).await?;
        let mut due = Instant::now();
        loop {
            if let Some(question) = open_question.as_ref() {
                let found = self.looker.look_at(&mut connection, &question.table).await?;
                if let Some(question) = open_question.take() {
                    // Nobody waits any more when the stream has ended.
                    let _ = question.answer.send(found);
                }
            }
            tokio::select! {
                question = asked.recv() => *open_question = Some(question.ok_or(Fault::Closed)?),
                () = sleep_until(due) => {
                    let begun = Instant::now();
                    let Looker { system, reporter, .. } = &self.looker;
                    look_at_slot(&mut connection, system, reporter).await?;
                    self.look_at_tables(&mut connection).await?;
                    due = next_look(begun, POLL);
                    self.looker.reporter.blind(None);
                }
            }
        }
    }

    async fn look_at_tables(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        let looked = self.looker.look(connection, true).await?;
        if looked.publications != self.streamed {
            let message = format!("tables travel through {:?} now: connecting again", looked.publications);
            return Err(Fault::Retry(Problem::new(code::PUBLICATION_ALTERED, message)));
        }
        let captured = looked.captured();
        if captured != self.told {
            let Looker { system, reporter, .. } = &self.looker;
            tracing::info!(system = %system.name, tables = captured.len(), "the configured tables have changed");
            tell_tables(system, reporter, captured.clone());
            self.told = captured;
        }
        Ok(())
    }
}

/// Once for each code; quiet for its repetitions.
fn tell_blind(Looker { system, reporter, .. }: &Looker, fault: &Fault) {
    let Problem { code, message } = policy::judge(fault).into_problem();
    let problem = Problem::new(code, format!("the tables and the slot are not looked at: {message}"));
    if reporter.blind(Some(problem.clone())) {
        tracing::warn!(system = %system.name, %problem, "the side connection broke; trying again");
    } else {
        tracing::debug!(system = %system.name, %problem, "the side connection broke again");
    }
}

async fn look_at_slot(connection: &mut Connection, system: &PostgresSystem, reporter: &Reporter) -> Result<(), Fault> {
    let sql = format!(
        "SELECT pg_catalog.pg_current_wal_flush_lsn(), restart_lsn FROM pg_catalog.pg_replication_slots \
         WHERE slot_name = {}",
        literal(&system.slot)
    );
    let rows = connection.query(&sql).await?;
    if let Some(row) = rows.first() {
        let log_end: Lsn = row.some(0)?;
        reporter.log_end(log_end);
        if let Some(restart) = row.parse::<Lsn>(1)? {
            reporter.retained(log_end.bytes_since(restart));
        }
    }
    Ok(())
}
