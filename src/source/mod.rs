//! Sources: each talks to one server, frames its bytes, has them decoded and encoded, and hands transactions to the journal.
//!
//! One task a source. A source never ends the process: it retries by itself, or halts and says why while the others go on.

mod backoff;
mod buffer;
pub mod mysql;
mod next_copy;
mod parked;
pub mod postgres;
mod put_off;
mod repeated;
pub mod status;

pub use backoff::Backoff;

use crate::config::{Flavour, System};
use crate::journal::Journal;
use crate::model::code;
use crate::model::problem::Problem;
use status::{Reporter, SourceStatus, State};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A running source.
pub struct SourceHandle {
    pub status: watch::Receiver<SourceStatus>,
    /// Ends after `stop` was cancelled, at most a few seconds later.
    pub join: JoinHandle<()>,
}

/// Starts a source; a system has one at a time. When `stop` is cancelled it drops the open transaction, confirms what is durable, and leaves.
pub fn spawn(system: &System, journal: &Journal, stop: CancellationToken) -> SourceHandle {
    match system {
        System::Postgres(system) => {
            let (reporter, status) = Reporter::new(system.name.clone());
            let run = postgres::run(system.clone(), journal.clone(), reporter.clone(), stop);
            SourceHandle { status, join: tokio::spawn(watched(run, reporter)) }
        }
        System::Mysql(system) => {
            let kind = match system.flavour {
                Flavour::Mysql => "mysql",
                Flavour::Mariadb => "mariadb",
            };
            let (reporter, status) = Reporter::of_kind(system.name.clone(), kind);
            let run = mysql::run(system.clone(), journal.clone(), reporter.clone(), stop);
            SourceHandle { status, join: tokio::spawn(watched(run, reporter)) }
        }
    }
}

/// When tables are looked at again after a look that began then: looks take a twentieth of the time at most, however many tables
/// there are.
fn next_look(begun: Instant, every: Duration) -> Instant {
    const REST: u32 = 20;
    begun + every.max(begun.elapsed() * REST)
}

/// A source that panicked must not pass for a quiet one: it is shown as halted, and the others go on.
async fn watched(run: impl Future<Output = ()> + Send + 'static, reporter: Reporter) {
    if tokio::spawn(run).await.is_err() {
        // What it said is on standard error. It may quote a value, so it goes nowhere else.
        let problem = Problem::new(code::SOURCE_PANICKED, "its task panicked");
        tracing::error!(%problem, next = problem.code.entry().next, "source halted");
        reporter.state(&State::Halted(problem));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::SystemName;

    #[tokio::test]
    async fn a_source_that_panics_is_seen_as_halted() {
        let (reporter, status) = Reporter::new(SystemName::new("erp").expect("a name"));
        reporter.state(&State::Streaming);
        watched(async { panic!("a bug") }, reporter).await;
        assert!(matches!(&status.borrow().state, State::Halted(problem) if problem.code == code::SOURCE_PANICKED));
    }
}
