//! What `GetStatus` and `/readyz` say of the sources and the journal: from our own types to the API's.

use crate::config::Config;
use crate::journal::Journal;
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use crate::model::time::UnixMicros;
use crate::source::status::{CapturedTable, SourceStatus, State};
use crate::wire::api::types::v1::{Instant, instant};
use crate::wire::api::v1;
use tokio::sync::watch;

const NO_POLICY: &str =
    "there is no `entitlements` section: the operator reads everything raw, other subjects read nothing";
const NO_SYNC: &str =
    "`journal.sync` is off: a power cut may lose transactions that were already confirmed to the source";

/// Everything that a status is made of. Answers from memory and never blocks.
pub(super) struct StatusBoard {
    started: UnixMicros,
    policy: &'static str,
    retention_bytes: u64,
    journal: Journal,
    sources: Vec<watch::Receiver<SourceStatus>>,
    warnings: Vec<String>,
}

impl StatusBoard {
    pub fn new(config: &Config, journal: Journal, sources: Vec<watch::Receiver<SourceStatus>>) -> Self {
        let entitled = config.access.entitlements.is_some();
        let warnings = [(!entitled, NO_POLICY), (!config.journal.sync, NO_SYNC)];
        Self {
            started: UnixMicros::now(),
            policy: if entitled { "entitlements" } else { "none" },
            retention_bytes: config.retention.bytes,
            journal,
            sources,
            warnings: warnings.into_iter().filter(|(on, _)| *on).map(|(_, text)| text.to_owned()).collect(),
        }
    }

    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Subscriptions are left to the server that serves them.
    pub fn status(&self) -> v1::GetStatusResponse {
        v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Some(instant(self.started)),
            policy: self.policy.to_owned(),
            journal: Some(self.journal()),
            sources: self.sources(),
            subscriptions: Vec::new(),
            warnings: self.warnings.clone(),
        }
    }

    pub fn sources(&self) -> Vec<v1::SourceStatus> {
        self.sources.iter().map(|status| source(&status.borrow())).collect()
    }

    fn journal(&self) -> v1::JournalStatus {
        let (bounds, stats) = (self.journal.bounds(), self.journal.stats());
        let trouble = stats.failed.or(stats.parked);
        v1::JournalStatus {
            epoch: self.journal.epoch().to_string(),
            sequence: bounds.durable.0,
            oldest_sequence: bounds.oldest.0,
            bytes: stats.bytes,
            bytes_max: self.retention_bytes,
            disk_free_bytes: stats.disk_free_bytes,
            parked_code: trouble.map(|problem| problem.code.to_string()).unwrap_or_default(),
        }
    }
}

fn source(status: &SourceStatus) -> v1::SourceStatus {
    let (state, halt) = state(&status.state);
    v1::SourceStatus {
        system: status.system.to_string(),
        kind: "postgres".to_owned(),
        state: state.into(),
        checkpoint: status.flushed.map(|lsn| lsn.to_string()).unwrap_or_default(),
        log_end: status.log_end.map(|lsn| lsn.to_string()).unwrap_or_default(),
        lag_bytes: status.lag_bytes().unwrap_or_default(),
        lag_seconds: status.lag_seconds(UnixMicros::now()).unwrap_or_default(),
        retained_log_bytes: status.retained_bytes.unwrap_or_default(),
        changes: status.changes,
        transactions: status.transactions,
        halt,
        tables: status.tables.iter().map(table).collect(),
        reconnects: status.reconnects,
    }
}

fn state(state: &State) -> (v1::SourceState, Option<v1::Problem>) {
    match state {
        State::Connecting => (v1::SourceState::Connecting, None),
        State::Streaming => (v1::SourceState::Streaming, None),
        State::Retrying(why) => (v1::SourceState::Retrying, Some(problem(why))),
        State::Halted(why) => (v1::SourceState::Halted, Some(problem(why))),
        State::Stopped => (v1::SourceState::Stopped, None),
    }
}

fn problem(problem: &Problem) -> v1::Problem {
    v1::Problem {
        code: problem.code.to_string(),
        message: problem.message.clone(),
        next: problem.code.entry().next.to_owned(),
    }
}

fn table(table: &CapturedTable) -> v1::TableStatus {
    let identity = match table.identity {
        Identity::Key => "key",
        Identity::Full => "full",
        Identity::Nothing => "none",
    };
    v1::TableStatus {
        schema: table.name.schema.to_string(),
        table: table.name.table.to_string(),
        halt: table.halt.as_ref().map(problem),
        identity: identity.to_owned(),
    }
}

fn instant(time: UnixMicros) -> Instant {
    let (seconds, nanos) = time.seconds_and_nanos();
    Instant { kind: Some(instant::Kind::Seconds(seconds)), nanos, text: String::new() }
}
