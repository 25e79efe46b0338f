//! Targets: databases that are kept as the sources are, exactly once.
//!
//! A target is a subject whose sink is a database. One task each follows the journal; `plan` turns changes into steps (with
//! `fold`, `table`, `shape`, `row`: all pure), `apply` runs them in one transaction with the position that `ledger` keeps.
//! `session` is one connection's life, `supervise` the life of all of them. It holds back nobody but copies, and only so far
//! that retention does not take what it has not read.

mod apply;
mod cell;
mod connection;
mod failure;
mod fold;
mod lag;
mod ledger;
mod names;
mod plan;
mod preflight;
mod session;
mod shape;
mod sql;
mod standing;
pub mod status;
mod supervise;
pub mod table;
#[cfg(test)]
mod tests;
mod types;
mod values;

pub use preflight::preflight;

use crate::config::{Access, System, Target};
use crate::journal::Journal;
use crate::model::code;
use crate::model::name::SystemName;
use crate::model::pattern::Pattern;
use crate::model::problem::Problem;
use crate::source::status::SourceStatus;
use names::Names;
use status::{Reporter, State, TargetStatus};
use std::collections::BTreeMap;
use std::sync::Arc;
use table::Source;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Commands that wait for a target at a time.
const COMMANDS_MAX: usize = 16;

/// What a target can be asked to do.
pub enum Command {
    /// Makes these tables equal again by a new copy; none named: those that are halted, or all where the target is.
    Resync {
        tables: Vec<Pattern>,
        /// Their names. Dropped where the target cannot be told now.
        done: oneshot::Sender<Result<Vec<String>, Problem>>,
    },
}

/// The tables that each system captures now.
type Captured = BTreeMap<SystemName, Vec<Source>>;

/// What every session of one target shares.
struct Context {
    target: Target,
    names: Names,
    journal: Journal,
    captured: watch::Receiver<Captured>,
    reporter: Reporter,
    stop: CancellationToken,
}

/// A running target.
pub struct TargetHandle {
    pub status: watch::Receiver<TargetStatus>,
    pub commands: mpsc::Sender<Command>,
    /// Ends after `stop` was cancelled, once the batch under way is committed or dropped.
    pub join: JoinHandle<()>,
}

/// Starts a target. Nothing that happens to it ends the process.
pub fn spawn(
    target: &Target,
    access: &Access,
    systems: &Arc<BTreeMap<SystemName, System>>,
    journal: &Journal,
    sources: &[watch::Receiver<SourceStatus>],
    stop: CancellationToken,
) -> TargetHandle {
    let (reporter, status) = Reporter::new(target.name.clone());
    let (commands, obeyed) = mpsc::channel(COMMANDS_MAX);
    let context = Context {
        names: Names::of(target, access, systems),
        target: target.clone(),
        journal: journal.clone(),
        captured: captured(sources, &stop),
        reporter: reporter.clone(),
        stop,
    };
    tokio::spawn(lag::watch(journal.clone(), reporter.clone(), context.stop.clone()));
    let join = tokio::spawn(watched(supervise::run(context, obeyed), reporter));
    TargetHandle { status, commands, join }
}

/// A target that panicked must not pass for a quiet one.
async fn watched(run: impl Future<Output = ()> + Send + 'static, reporter: Reporter) {
    if tokio::spawn(run).await.is_err() {
        // What it said is on standard error. It may quote a value, so it goes nowhere else.
        let problem = Problem::new(code::TARGET_PANICKED, "its task panicked");
        tracing::error!(%problem, next = problem.code.entry().next, "target halted");
        reporter.state(State::Halted(problem));
    }
}

/// Follows what the sources say they capture.
fn captured(sources: &[watch::Receiver<SourceStatus>], stop: &CancellationToken) -> watch::Receiver<Captured> {
    let (sender, receiver) = watch::channel(Captured::new());
    let sender = Arc::new(sender);
    for source in sources {
        let (mut source, sender, stop) = (source.clone(), Arc::clone(&sender), stop.clone());
        source.mark_changed();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = source.changed() => if changed.is_err() { return },
                }
                let (system, tables) = tables_of(&source.borrow_and_update());
                sender.send_if_modified(|captured| {
                    let known = captured.get(&system) == Some(&tables);
                    if !known {
                        captured.insert(system, tables);
                    }
                    !known
                });
            }
        });
    }
    receiver
}

/// A table that is halted at its source joins once it is not.
fn tables_of(status: &SourceStatus) -> (SystemName, Vec<Source>) {
    let source = |name: &crate::model::name::TableName| Source { system: status.system.clone(), name: name.clone() };
    let tables = status.tables.iter().filter(|table| table.halt.is_none()).map(|table| source(&table.name));
    (status.system.clone(), tables.collect())
}
