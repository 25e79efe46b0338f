//! One connection's life: look, set up what is missing, stream.
//!
//! The order is what makes it safe: identity is judged before anything is changed on the server, publications exist before
//! the slot, and the intent to make a slot is durable before the slot is.

use super::assemble::Assembly;
use super::catalogue::ServerTable;
use super::copy::Copier;
use super::fault::Fault;
use super::feedback::{self, Feedback};
use super::history;
use super::identity::{self, Server, Start};
use super::idle::Idle;
use super::kept::Kept;
use super::look::{Looked, Looker, tell_tables};
use super::publication::{self, Refusals};
use super::side::Side;
use super::simple_query::{Connection, Purpose, ReadFrames, WriteStream};
use super::slot;
use super::stream::{Stream, Tally};
use crate::config::PostgresSystem;
use crate::journal::{Error, Intake, Journal};
use crate::model::checkpoint::{Checkpoint, PostgresCheckpoint};
use crate::model::code;
use crate::model::position::Lsn;
use crate::model::problem::Problem;
use crate::source::parked;
use crate::source::status::{Reporter, State};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What every session of one source shares.
pub struct Context {
    pub system: PostgresSystem,
    pub journal: Journal,
    pub reporter: Reporter,
    pub stop: CancellationToken,
}

/// A stream that has started.
struct Opened {
    frames: ReadFrames,
    write: WriteStream,
    looker: Looker,
    server: Server,
    looked: Looked,
    checkpoint: PostgresCheckpoint,
}

/// Runs one session. Ends well only when asked to stop.
///
/// # Errors
/// The [`Fault`] that ended it.
pub async fn run(context: &Context, intake: &mut Intake) -> Result<(), Fault> {
    let Opened { mut frames, write, looker, server, looked, checkpoint } = tokio::select! {
        opened = open(context, intake) => opened?,
        () = context.stop.cancelled() => return Ok(()),
    };
    // Inside a large transaction of other tables the server answers only every half of its own timeout.
    frames.set_silence_max(context.system.endpoint.silence_max.max(server.wal_sender_timeout));
    let interval = feedback::interval(server.wal_sender_timeout);
    let kept = looker.kept.clone();
    let mut stream = Stream {
        feedback: Feedback::spawn(write, intake.durable(), interval, context.reporter.clone()),
        side: Side::spawn(looker, &looked),
        copier: Copier::spawn(
            context.system.clone(),
            context.journal.clone(),
            context.reporter.clone(),
            kept.clone(),
            checkpoint.last.is_some(),
        ),
        kept,
        selection: &context.system.tables,
        as_looked: looked.by_relation(),
        reporter: context.reporter.clone(),
        assembly: Assembly::new(checkpoint.flushed),
        idle: Idle::new(checkpoint.flushed),
        tally: Tally::default(),
        checkpoint,
        intake,
    };
    context.reporter.state(&State::Streaming);
    let ended = tokio::select! {
        biased;
        () = context.stop.cancelled() => None,
        Err(fault) = stream.run(&mut frames) => Some(fault),
        problem = parked::for_long(&context.journal) => Some(Fault::Retry(problem)),
    };
    if let Some(fault) = ended {
        return Err(fault);
    }
    let handed_over = stream.idle.recorded();
    stream.feedback.finish(handed_over).await;
    Ok(())
}

async fn open(context: &Context, intake: &mut Intake) -> Result<Opened, Fault> {
    let Context { system, journal, reporter, .. } = context;
    let known = match journal.checkpoint(&system.name) {
        Some(Checkpoint::Postgres(checkpoint)) => Some(checkpoint),
        // The system was of another kind once: nothing of that server is known.
        Some(Checkpoint::Mysql(checkpoint)) => {
            let message = format!("the checkpoint is of MySQL or MariaDB server {}", checkpoint.server);
            return Err(Fault::Halt(Problem::new(code::SERVER_REPLACED, message)));
        }
        Some(Checkpoint::Governed(_)) | None => None,
    };
    let mut connection = Connection::open(&system.endpoint, Purpose::Replication).await?;
    let last = known.as_ref().and_then(|checkpoint| checkpoint.last);
    let server = identity::read(&mut connection, system, last).await?;
    reporter.log_end(server.flushed);
    let start = identity::judge(&server, known.as_ref())?;
    let mut looker = looker(context);
    let looked = looker.look(&mut connection, start == Start::Resume).await?;
    tell_tables(system, reporter, looked.captured());
    let checkpoint = match (start, known) {
        // The slot's name may have been changed on purpose; everything else was judged to be the same.
        (Start::Resume, Some(checkpoint)) => PostgresCheckpoint { server: server.identity.clone(), ..checkpoint },
        (Start::Resume, None) => return Err(Fault::Protocol("a resume without a checkpoint")),
        (Start::SetUp { slot_exists }, _) => set_up(context, intake, &mut connection, &server, slot_exists).await?,
    };
    history::goes_on(system, &server, &checkpoint, &looked.publications).await?;
    describe_unknown(context, intake, &looked.tables).await?;
    let command = slot::start_command(&system.slot, checkpoint.flushed, &looked.publications);
    let (frames, write) = connection.copy_both(&command).await?;
    tracing::info!(system = %system.name, from = %checkpoint.flushed, tables = looked.tables.len(), "streaming");
    Ok(Opened { frames, write, looker, server, looked, checkpoint })
}

/// So that a table can be named, printed and subscribed to before its first change.
async fn describe_unknown(context: &Context, intake: &mut Intake, tables: &[ServerTable]) -> Result<(), Fault> {
    let is_known = |table: &ServerTable| context.journal.current_schema(&context.system.name, &table.name).is_some();
    let unknown = tables.iter().filter(|table| publication::carries(table) && !is_known(table));
    intake.describe_all(unknown.map(|table| table.shape.clone()).collect()).await?;
    Ok(())
}

fn looker(context: &Context) -> Looker {
    let Context { system, journal, reporter, .. } = context;
    let kept = Kept::load(&system.name, journal, reporter);
    Looker { system: system.clone(), kept, reporter: reporter.clone(), refusals: Refusals::default() }
}

async fn set_up(
    context: &Context,
    intake: &mut Intake,
    connection: &mut Connection,
    server: &Server,
    slot_exists: bool,
) -> Result<PostgresCheckpoint, Fault> {
    let intent = PostgresCheckpoint { flushed: Lsn::default(), server: server.identity.clone(), last: None };
    record(context, intake, &intent).await?;
    let consistent_point = slot::create(connection, &context.system.slot, slot_exists).await?;
    let checkpoint = PostgresCheckpoint { flushed: consistent_point, ..intent };
    record(context, intake, &checkpoint).await?;
    Ok(checkpoint)
}

/// Durable when this returns.
async fn record(context: &Context, intake: &mut Intake, checkpoint: &PostgresCheckpoint) -> Result<(), Fault> {
    const LOOK: Duration = Duration::from_secs(1);
    let checkpoint = Checkpoint::Postgres(checkpoint.clone());
    let mut durable = intake.durable();
    intake.advance(checkpoint.clone()).await?;
    loop {
        if let Ok(Ok(_)) = timeout(LOOK, durable.wait_for(|durable| durable.as_ref() == Some(&checkpoint))).await {
            return Ok(());
        }
        if let Some(problem) = context.journal.stats().failed {
            return Err(Fault::Journal(Error::Stopped(problem)));
        }
    }
}
