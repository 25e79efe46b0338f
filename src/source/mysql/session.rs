//! One connection's life: look, set up what is missing, stream.
//!
//! Nothing is ever changed on the server. The first checkpoint, everything that the server has then, is durable
//! before the stream starts, so that a start that was cut short begins no later than the first one.

use super::assemble::Assembly;
use super::catalogue;
use super::connection::Connection;
use super::copy::{Copier, qualified};
use super::dump::{Dump, From};
use super::fault::Fault;
use super::history::Sight;
use super::identity;
use super::look::{self, Looked};
use super::names::NameCase;
use super::settled::Passed;
use super::side::{Look, Side};
use super::start::{self, Started};
use super::stream::Stream;
use super::tables::{Definitions, ServerTable};
use crate::config::MysqlSystem;
use crate::decode::mysql::types::Charsets;
use crate::journal::{Error, Intake, Journal};
use crate::model::checkpoint::{Checkpoint, MysqlCheckpoint};
use crate::model::code;
use crate::model::name::TableName;
use crate::model::position::LogPlace;
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use crate::source::parked;
use crate::source::status::{By, CapturedTable, Reporter, State};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What every session of one source shares.
pub struct Context {
    pub system: MysqlSystem,
    pub journal: Journal,
    pub reporter: Reporter,
    pub stop: CancellationToken,
}

/// A dump that has started.
struct Opened {
    dump: Dump,
    charsets: Charsets,
    names: NameCase,
    omits_generated: bool,
    look: Look,
    definitions: Definitions,
    checkpoint: MysqlCheckpoint,
    /// Where the dump begins, where that is certain.
    place: Option<LogPlace>,
    passed: Passed,
}

/// Runs one session. Ends well only when asked to stop.
///
/// # Errors
/// The [`Fault`] that ended it.
pub async fn run(context: &Context, intake: &mut Intake) -> Result<(), Fault> {
    let Opened { mut dump, charsets, names, omits_generated, look, definitions, checkpoint, place, passed } = tokio::select! {
        opened = open(context, intake) => opened?,
        () = context.stop.cancelled() => return Ok(()),
    };
    let Context { system, journal, reporter, stop } = context;
    let side = Side::spawn(system.clone(), reporter.clone(), intake.durable(), look, definitions);
    let mut stream = Stream {
        copier: Copier::spawn(system.clone(), journal.clone(), reporter.clone(), charsets.clone(), side.looked()),
        looked: Looked::new(side.looked()),
        side,
        passed,
        assembly: Assembly::new(checkpoint.executed.clone()),
        reporter: reporter.clone(),
        stopped: HashSet::new(),
        asked: asked(journal, system),
        idle_since: None,
        sight: Sight::default(),
        committed: place.unwrap_or_default(),
        system,
        journal,
        charsets,
        names,
        omits_generated,
        checkpoint,
        intake,
    };
    reporter.state(&State::Streaming);
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        Err(fault) = stream.run(&mut dump) => Err(fault),
        problem = parked::for_long(journal) => Err(Fault::Retry(problem)),
    }
}

async fn open(context: &Context, intake: &mut Intake) -> Result<Opened, Fault> {
    let Context { system, journal, reporter, .. } = context;
    let known = match journal.checkpoint(&system.name) {
        Some(Checkpoint::Mysql(checkpoint)) => Some(checkpoint),
        // The system was of another kind once: nothing of that server is known.
        Some(Checkpoint::Postgres(checkpoint)) => {
            let known = checkpoint.server.system_identifier;
            let message = format!("the checkpoint is PostgreSQL's, of system identifier {known}");
            return identity::halt(code::SERVER_OTHER, message);
        }
        Some(Checkpoint::Governed(_)) | None => None,
    };
    let mut connection = Connection::open(&system.endpoint).await?;
    let server = identity::read(&mut connection, system.flavour).await?;
    identity::fit(&server)?;
    let Started { server, checkpoint, place, behind } =
        start::find(&mut connection, system, server, known.as_ref()).await?;
    let charsets = catalogue::charsets(&mut connection, system.flavour).await?;
    let names = NameCase::of(&mut connection).await?;
    let omits_generated = catalogue::omits_generated(&mut connection).await?;
    let mut definitions = Definitions::default();
    let look = Look::take(&mut connection, system, &mut definitions).await?;
    let tables = &look.tables;
    tell_tables(system, reporter, tables);
    open_memory_tables(&mut connection, tables).await?;
    if known.is_none() {
        journal.keep_catalogue(&system.name, look::first(&look)).await?;
    }
    if known.as_ref() != Some(&checkpoint) {
        record(context, intake, &checkpoint).await?;
    }
    describe_unknown(&mut connection, context, intake, tables, &charsets).await?;
    let from = place.as_ref().map(ToString::to_string);
    let begin = place.as_ref().map_or(From::Gtids(&behind), From::Place);
    let dump = Dump::start(connection, system, &server, begin).await?;
    tracing::info!(system = %system.name, %behind, from, tables = tables.len(), "streaming");
    let passed = if known.is_some() { Passed::before(&asked(journal, system)) } else { Passed::default() };
    Ok(Opened { dump, charsets, names, omits_generated, look, definitions, checkpoint, place, passed })
}

/// A restart of the server empties them. It logs that, as TRUNCATE, only when somebody opens them; and it has ended our sessions.
async fn open_memory_tables(connection: &mut Connection, tables: &[ServerTable]) -> Result<(), Fault> {
    for table in tables.iter().filter(|table| table.engine == "MEMORY") {
        match connection.execute(&format!("SELECT 1 FROM {} LIMIT 0", qualified(&table.name))).await {
            // Dropped meanwhile.
            Ok(()) | Err(Fault::Server { .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

/// Tables of which another copy is asked for that has not begun yet.
fn asked(journal: &Journal, system: &MysqlSystem) -> HashSet<TableName> {
    let ours = journal.copies().into_iter().filter(|copy| copy.system == system.name && copy.anew);
    ours.map(|copy| copy.table).collect()
}

/// So that a table can be named, printed and subscribed to before its first change.
async fn describe_unknown(
    connection: &mut Connection,
    context: &Context,
    intake: &mut Intake,
    tables: &[ServerTable],
    charsets: &Charsets,
) -> Result<(), Fault> {
    let is_known = |table: &TableName| context.journal.current_schema(&context.system.name, table).is_some();
    let unknown = tables.iter().filter(|table| table.unfit.is_none()).map(|table| &table.name);
    let unknown: Vec<_> = unknown.filter(|table| !is_known(table)).collect();
    let described = catalogue::describe_all(connection, unknown.iter().copied()).await?;
    let mut shapes = Vec::new();
    for (table, described) in unknown.into_iter().filter_map(|table| Some((table, described.get(table)?))) {
        match described.shape(table, charsets) {
            Ok(shape) => shapes.push(shape),
            Err(why) => {
                let problem = Problem::new(code::TYPE_UNREADABLE, format!("{table}: {why}"));
                context.reporter.unreadable(table, By::Shape, Some(&problem));
            }
        }
    }
    intake.describe_all(shapes).await?;
    Ok(())
}

/// Durable when this returns.
async fn record(context: &Context, intake: &mut Intake, checkpoint: &MysqlCheckpoint) -> Result<(), Fault> {
    const LOOK: Duration = Duration::from_secs(1);
    let checkpoint = Checkpoint::Mysql(checkpoint.clone());
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

pub fn tell_tables(system: &MysqlSystem, reporter: &Reporter, tables: &[ServerTable]) {
    if tables.is_empty() {
        tracing::warn!(system = %system.name, "no table of the server is configured: nothing will be captured");
    }
    for problem in tables.iter().filter_map(|table| table.unfit.as_ref()) {
        tracing::error!(system = %system.name, %problem, "table halted");
    }
    // Full images tell which row was meant even without a key.
    let captured = |table: &ServerTable| CapturedTable {
        name: table.name.clone(),
        identity: Identity::Full,
        halt: table.unfit.clone(),
    };
    reporter.tables(tables.iter().map(captured).collect());
}
