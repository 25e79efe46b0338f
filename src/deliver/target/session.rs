//! One connection's life with a target: see where it stands, follow the journal from there, for as long as it lasts.
//!
//! ```text
//!  journal ─► gather ─► plan ─► apply ─┬─ a part of a larger transaction: go on gathering
//!                                      └─ whole: commit with the position ─► tell, ask for copies
//! ```
//! A batch is what the journal has at hand, up to a bound, so a target that keeps up commits each transaction by itself and
//! one that is behind commits many together.

use super::apply::Applier;
use super::connection::Target as Connection;
use super::failure::Failure;
use super::ledger::{self, Kept};
use super::names::Names;
use super::plan::Plan;
use super::standing::{self, unreadable};
use super::status::State;
use super::table::{self, Source, Table};
use super::{Captured, Command, Context};
use crate::journal::{Follower, Header, ReadError, Reader};
use crate::model::code;
use crate::model::name::TableName;
use crate::model::position::{Reached, Sequence};
use crate::model::problem::Problem;
use crate::source::postgres::Fault;
use crate::wire::api::v1::Changes;
use prost::Message as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What one batch may hold, about.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A batch is not gathered for longer than this while transactions keep coming.
const BATCH_TIME: Duration = Duration::from_millis(200);
/// How often the position moves where nothing is for this target.
const IDLE: Duration = Duration::from_secs(1);
const VERSION_MIN: u32 = 140_000;

pub struct Session<'a> {
    context: &'a Context,
    applier: Applier,
    plan: Plan,
    reader: Reader,
    follower: Follower,
    /// Committed at the target.
    sequence: Sequence,
    /// Gathered up to here; ahead of `sequence` while nothing in between is for this target.
    gathered: Reached,
    bytes_total: u64,
    /// Rows written since the last commit.
    changes: u64,
    /// When the position last moved.
    moved_at: Instant,
    refused: BTreeMap<String, Problem>,
    /// A table's record changed since the status was told.
    untold: bool,
    /// After which sequence a copy of each table was asked for.
    asked: HashMap<Source, Sequence>,
}

/// How a session ended without trouble of the connection's.
pub enum Ended {
    Stopped,
    /// Something changed that a new session starts from.
    Restart,
}

/// What of the journal a wait brought.
enum Woken {
    Stop,
    Command(Command),
    Tables,
    Header(Result<Arc<Header>, ReadError>),
    Idle,
}

/// Runs one session. `commands` are taken between batches.
///
/// # Errors
/// The [`Failure`] that ended it.
pub async fn run(context: &Context, commands: &mut tokio::sync::mpsc::Receiver<Command>) -> Result<Ended, Failure> {
    let mut session = tokio::select! {
        opened = Session::open(context) => match opened {
            Err(Failure::Table(source, problem)) => {
                return halt_table(context, &source, problem).await.map(|()| Ended::Restart);
            }
            opened => opened?,
        },
        () = context.stop.cancelled() => return Ok(Ended::Stopped),
    };
    session.show();
    context.reporter.state(State::Writing);
    let ended = session.follow(commands).await;
    match ended {
        Err(Failure::Table(source, problem)) => {
            // Its transaction may hold the very record that is to be written.
            drop(session);
            tokio::select! {
                halted = halt_table(context, &source, problem) => halted.map(|()| Ended::Restart),
                () = context.stop.cancelled() => Ok(Ended::Stopped),
            }
        }
        other => other,
    }
}

/// Takes a target over whatever its position is: every table is to be made equal again. Gives their names.
///
/// # Errors
/// [`Failure`].
pub async fn take_over(context: &Context) -> Result<Vec<String>, Failure> {
    let mut connection = connect(context).await?;
    let kept = ledger::open(&mut connection, &context.target.name).await?;
    let newest = context.journal.newest().await.map_err(|error| unreadable(&error))?;
    let (epoch, sequence) = (context.journal.epoch(), newest.sequence);
    connection.query("BEGIN").await?;
    // Those of systems that are not configured any more too: all of a target's stand at one place.
    let known = kept.positions.iter().map(|position| &position.system);
    for system in known.chain(context.names.systems()) {
        connection.query(&ledger::set_position(&context.target.name, system, epoch, newest)).await?;
    }
    let (mut names, mut tables) = (Vec::new(), kept.tables);
    for table in &mut tables {
        table.resync(sequence);
        let sql = ledger::put_table(&context.target.name, table).map_err(|_| Fault::Protocol("a shape"))?;
        connection.query(&sql).await?;
        if context.names.select(&table.source) {
            names.push(table.source.to_string());
        }
    }
    connection.query("COMMIT").await?;
    context.reporter.tables(tables.iter().filter(|table| context.names.select(&table.source)), &BTreeMap::new());
    Ok(names)
}

/// In a transaction of its own, on a connection of its own: that of the batch has failed.
async fn halt_table(context: &Context, source: &Source, problem: Problem) -> Result<(), Failure> {
    tracing::error!(target = %context.target.name, table = %source, %problem, "table halted at the target");
    let mut connection = connect(context).await?;
    let Kept { tables, .. } = ledger::open(&mut connection, &context.target.name).await?;
    let Some(mut table) = tables.into_iter().find(|table| table.source == *source) else {
        return Err(Failure::Table(source.clone(), problem));
    };
    table.halt(problem);
    let sql = ledger::put_table(&context.target.name, &table).map_err(|_| Fault::Protocol("a shape"))?;
    connection.query(&sql).await?;
    Ok(())
}

async fn connect(context: &Context) -> Result<Connection, Failure> {
    let mut connection = Connection::open(&context.target.endpoint).await?;
    const FIT: &str = "SELECT current_setting('server_version_num'), current_setting('server_encoding'), \
         pg_catalog.pg_is_in_recovery(), current_setting('transaction_read_only')::bool";
    let rows = connection.query(FIT).await?;
    let row = rows.first().ok_or(Fault::Protocol("an empty answer"))?;
    let (version, encoding): (u32, String) = (row.some(0)?, row.some(1)?);
    let unfit = if version < VERSION_MIN {
        format!("server_version_num is {version}")
    } else if encoding != "UTF8" {
        format!("server_encoding is {encoding}")
    } else if row.is_true(2) || row.is_true(3) {
        "it is read-only, or a standby in recovery".to_owned()
    } else {
        return Ok(connection);
    };
    Err(Failure::Fault(Fault::Retry(Problem::new(code::TARGET_UNFIT, unfit))))
}

impl<'a> Session<'a> {
    async fn open(context: &'a Context) -> Result<Self, Failure> {
        let mut connection = connect(context).await?;
        let kept = ledger::open(&mut connection, &context.target.name).await?;
        let reached = standing::judge(&kept.positions, &context.journal).await?;
        let stands = standing::take_places(context, &mut connection, kept.positions, reached).await?;
        let sequence = reached.sequence;
        let mut applier = Applier::new(connection, context.target.name.clone(), stands);
        let mut tables = leave_unselected(&mut applier, &context.names, kept.tables, sequence).await?;
        wait_from_here(&mut applier, &mut tables, sequence).await?;
        wait_under_new_policy(context, &mut applier, &mut tables, sequence).await?;
        let follower = context.journal.follow();
        Ok(Self {
            context,
            applier,
            plan: Plan::new(tables),
            reader: context.journal.reader(sequence),
            follower,
            sequence,
            gathered: reached,
            bytes_total: 0,
            changes: 0,
            moved_at: Instant::now(),
            refused: BTreeMap::new(),
            untold: true,
            asked: HashMap::new(),
        })
    }

    async fn follow(&mut self, commands: &mut tokio::sync::mpsc::Receiver<Command>) -> Result<Ended, Failure> {
        let mut tables = self.context.captured.clone();
        tables.mark_changed();
        loop {
            match self.wait(commands, &mut tables).await {
                Woken::Stop => return Ok(Ended::Stopped),
                Woken::Command(command) => self.obey(command).await?,
                Woken::Tables => {
                    let captured = tables.borrow_and_update().clone();
                    self.adopt(&captured).await?;
                }
                Woken::Header(header) => self.batch(header).await?,
                Woken::Idle => self.commit().await?,
            }
        }
    }

    async fn wait(
        &mut self,
        commands: &mut tokio::sync::mpsc::Receiver<Command>,
        tables: &mut tokio::sync::watch::Receiver<Captured>,
    ) -> Woken {
        let idle = (self.gathered.sequence > self.sequence).then(|| self.moved_at + IDLE);
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => Woken::Stop,
            Some(command) = commands.recv() => Woken::Command(command),
            Ok(()) = tables.changed() => Woken::Tables,
            () = at(idle) => Woken::Idle,
            header = self.reader.next() => Woken::Header(header),
        }
    }

    /// Gathers what the journal has at hand, and commits it.
    async fn batch(&mut self, first: Result<Arc<Header>, ReadError>) -> Result<(), Failure> {
        let started = Instant::now();
        let mut next = first;
        loop {
            let header = next.map_err(|error| unreadable(&error))?;
            self.transaction(&header).await?;
            let full = self.plan.bytes() >= BATCH_BYTES || started.elapsed() >= BATCH_TIME;
            if full || !self.reader.ready() {
                break;
            }
            next = self.reader.next().await;
        }
        self.write().await?;
        if self.applier.is_open() {
            return self.commit().await;
        }
        // Nothing was for this target: the position follows when it is idle, and copies need not wait.
        self.follower.applied(self.bytes_total);
        Ok(())
    }

    async fn transaction(&mut self, header: &Header) -> Result<(), Failure> {
        let (journal, names) = (&self.context.journal, &self.context.names);
        if self.plan.begin(header, |id| Some(names.seen(&*journal.schema(id)?))) {
            while let Some(chunk) = self.reader.chunk().await.map_err(|error| unreadable(&error))? {
                let changes = Changes::decode(chunk).map_err(|_| damaged(header))?;
                for change in changes.changes {
                    self.plan.change(header, change).map_err(|_| damaged(header))?;
                }
                if self.plan.bytes() >= BATCH_BYTES {
                    self.write().await?;
                }
            }
        }
        self.gathered = header.reached();
        self.bytes_total = header.bytes_total;
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Failure> {
        let (batches, changes) = self.plan.take_batch();
        for table in batches.iter().filter(|batch| batch.changed).map(|batch| &batch.table) {
            self.tell(table);
            self.untold = true;
        }
        self.applier.write(batches).await?;
        self.changes += changes;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        self.applier.commit(self.gathered).await?;
        self.sequence = self.gathered.sequence;
        self.moved_at = Instant::now();
        self.follower.applied(self.bytes_total);
        self.context.reporter.applied(self.sequence, std::mem::take(&mut self.changes));
        if std::mem::take(&mut self.untold) {
            self.show();
            self.ask_for_copies().await?;
        }
        Ok(())
    }

    fn tell(&self, table: &Table) {
        let (target, source) = (&self.context.target.name, &table.source);
        match &table.state {
            table::State::Halted(problem) => {
                tracing::error!(%target, table = %source, %problem, "table halted at the target");
            }
            state => tracing::info!(%target, table = %source, state = state.word(), "table moved on"),
        }
    }

    fn show(&self) {
        self.context.reporter.tables(self.plan.tables(), &self.refused);
    }

    /// A request outlives this session and this process, so each is made once; a new session makes it again, which changes
    /// nothing.
    async fn ask_for_copies(&mut self) -> Result<(), Failure> {
        let wanted = |table: &Table| Some((table.source.clone(), table.wants_copy_after()?));
        for (source, after) in self.plan.tables().filter_map(wanted).collect::<Vec<_>>() {
            if self.asked.get(&source) != Some(&after) {
                let Source { system, name } = &source;
                self.context.journal.request_copy(system, name, after).await.map_err(Fault::Journal)?;
                self.asked.insert(source, after);
            }
        }
        Ok(())
    }

    /// Takes in tables that are captured now and selected, and not here yet.
    async fn adopt(&mut self, captured: &Captured) -> Result<(), Failure> {
        self.refused.clear();
        let entities = self.context.names.entities();
        let tables = captured.values().flatten().filter(|source| self.context.names.select(source));
        for source in tables.chain(&entities) {
            if self.plan.tables().any(|table| table.source == *source) {
                continue;
            }
            match self.context.names.name(source) {
                Ok(name) => self.add(source, name).await?,
                Err(problem) => self.refuse(source, problem),
            }
        }
        self.context.reporter.applied(self.sequence, 0);
        self.show();
        self.ask_for_copies().await
    }

    async fn add(&mut self, source: &Source, name: TableName) -> Result<(), Failure> {
        if let Some(holder) = ledger::holder(self.applier.connection(), &name).await? {
            let message = format!("{}.{} is that of {holder}", name.schema, name.table);
            self.refuse(source, Problem::new(code::TARGET_NAME_TAKEN, message));
            return Ok(());
        }
        // Everything before this is in the copy that begins after it.
        let table = Table::waiting(source.clone(), name, self.gathered.sequence);
        self.applier.put_tables(std::slice::from_ref(&table)).await?;
        tracing::info!(target = %self.context.target.name, table = %source, "a table joins the target");
        self.plan.put(table);
        Ok(())
    }

    fn refuse(&mut self, source: &Source, problem: Problem) {
        tracing::error!(target = %self.context.target.name, table = %source, %problem, "table halted at the target");
        self.refused.insert(source.to_string(), problem);
    }

    /// A resync of some tables, or of those that are halted.
    async fn obey(&mut self, command: Command) -> Result<(), Failure> {
        let Command::Resync { tables, done } = command;
        if done.is_closed() {
            // Whoever asked was told that it was not done.
            return Ok(());
        }
        let is_meant = |table: &&Table| match tables.is_empty() {
            true => matches!(table.state, table::State::Halted(_)),
            false => tables.iter().any(|pattern| pattern.matches(&table.source.to_string())),
        };
        let mut meant: Vec<_> = self.plan.tables().filter(is_meant).cloned().collect();
        // Its position first: what was gathered and is not for this target is behind it.
        meant.iter_mut().for_each(|table| table.resync(self.gathered.sequence));
        self.applier.put_tables(&meant).await?;
        let names = meant.iter().map(|table| table.source.to_string()).collect();
        meant.into_iter().for_each(|table| self.plan.put(table));
        self.show();
        self.ask_for_copies().await?;
        // Whoever asked may have gone; it is recorded all the same.
        let _ = done.send(Ok(names));
        Ok(())
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Changes of a table that is not selected pass it by: should it be selected again, it is copied anew.
async fn leave_unselected(
    applier: &mut Applier,
    names: &Names,
    tables: Vec<Table>,
    sequence: Sequence,
) -> Result<Vec<Table>, Failure> {
    let (selected, others): (Vec<_>, Vec<_>) = tables.into_iter().partition(|table| names.select(&table.source));
    let mut left: Vec<_> = others.into_iter().filter(|table| table.state != table::State::Waiting).collect();
    if !left.is_empty() {
        left.iter_mut().for_each(|table| table.resync(sequence));
        applier.put_tables(&left).await?;
    }
    Ok(selected)
}

/// A table that waits needs a copy that begins after what this target has passed: an earlier one has gone by unseen, while
/// the table was not selected.
async fn wait_from_here(applier: &mut Applier, tables: &mut [Table], sequence: Sequence) -> Result<(), Failure> {
    let waits = |table: &&mut Table| matches!(table.state, table::State::Waiting | table::State::Refilling);
    for table in tables.iter_mut().filter(waits).filter(|table| table.copy_after < sequence) {
        table.copy_after = sequence;
        applier.put_tables(std::slice::from_ref(table)).await?;
    }
    Ok(())
}

/// What a table holds was chosen by the entitlements and contracts of then: under others it goes at once, and comes by another
/// copy as far as it may.
async fn wait_under_new_policy(
    context: &Context,
    applier: &mut Applier,
    tables: &mut [Table],
    sequence: Sequence,
) -> Result<(), Failure> {
    let schemas = context.journal.current_schemas();
    for table in tables.iter_mut() {
        let Some(schema) = schemas.iter().find(|schema| table.source.is(schema)) else { continue };
        let (seen, follows) = (context.names.seen(schema), table.takes_changes());
        if matches!(table.state, table::State::Halted(_)) {
            // A resync comes first, and its copy by what holds then.
            continue;
        }
        let is_of_another = table.shape.as_ref().is_some_and(|shape| shape.policy != seen.policy);
        let sees_nothing = !seen.view.sees_anything() && !seen.is_outdated;
        if sees_nothing && follows {
            table.halt(Problem::new(code::TARGET_SEES_NOTHING, table.source.to_string()));
        } else if follows && (is_of_another || seen.is_outdated) {
            table.resync(sequence);
        }
        if is_of_another {
            tracing::warn!(target = %context.target.name, table = %table.source, "its rows were chosen by another policy: emptied");
            if let Some(shape) = &mut table.shape {
                shape.policy = seen.policy;
            }
            applier.put_emptied(table).await?;
        } else if follows && (sees_nothing || seen.is_outdated) {
            applier.put_tables(std::slice::from_ref(table)).await?;
        }
    }
    Ok(())
}

fn damaged(header: &Header) -> Failure {
    let message = format!("sequence {}: its changes do not read", header.sequence);
    Failure::Halt(Problem::new(code::TARGET_JOURNAL_UNREADABLE, message))
}
