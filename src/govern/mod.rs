//! Governs the journal: makes entities of the changes of their tables, as contracts say, and decides whose change of a field
//! is published.
//!
//! ```text
//!  journal ─► images ─► sides ─► crosswalk ─► verdicts ─► events ─► journal, as transactions of Tailwater's own
//!             rows      one       which are    whose       what
//!             known     system's  the same     change      changed
//! ```
//! Entities are tables of the system `tailwater`, so that whoever reads the journal reads them like any other. What is
//! remembered, what comes of a transaction and how far the journal is governed become durable in one batch: a crash repeats
//! nothing. All of it follows from the change log and the contracts alone.

mod cell;
mod crosswalk;
mod desk;
mod entity;
mod event;
mod images;
mod memory;
mod note;
mod plan;
mod record;
mod rule;
mod settle;
mod side;
pub mod status;
mod task;
mod verdict;

pub use rule::SCHEMA;

use crate::config::Entity;
use crate::journal::{Error, Journal};
use crate::model::code;
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use status::GovernStatus;
use std::collections::BTreeMap;
use std::sync::Arc;
use task::Task;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The task that governs.
pub struct GovernHandle {
    pub status: watch::Receiver<GovernStatus>,
    /// Ends after `stop` was cancelled.
    pub join: JoinHandle<()>,
}

/// Why governing, or the governing of one entity, cannot go on.
#[derive(Debug)]
enum Fault {
    /// Of one entity: the others go on.
    Entity(Problem),
    Journal(Problem),
    /// The journal is closed, and the process about to end.
    Closed,
}

impl Fault {
    fn problem(self) -> Option<Problem> {
        match self {
            Self::Entity(problem) | Self::Journal(problem) => Some(problem),
            Self::Closed => None,
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Entity(problem)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(problem) | Error::Stopped(problem) => Self::Journal(problem),
        }
    }
}

/// Starts governing. `None` without contracts.
pub fn spawn(
    entities: &BTreeMap<String, Arc<Entity>>,
    journal: &Journal,
    stop: CancellationToken,
) -> Option<GovernHandle> {
    if entities.is_empty() {
        return None;
    }
    let (sender, status) = watch::channel(GovernStatus::default());
    let task = Task { journal: journal.clone(), entities: entities.clone(), status: sender.clone(), stop };
    let journal = journal.clone();
    let join = tokio::spawn(async move {
        if tokio::spawn(task.run()).await.is_err() {
            journal.keep_after(Sequence(u64::MAX));
            // What it said is on standard error. It may quote a value, so it goes nowhere else.
            let problem = Problem::new(code::GOVERN_PANICKED, "its task panicked");
            tracing::error!(%problem, next = problem.code.entry().next, "entities are made no more");
            sender.send_modify(|status| status.halt = Some(problem));
        }
    });
    Some(GovernHandle { status, join })
}
