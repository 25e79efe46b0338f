//! What `GetStatus` and `/readyz` say of sources, journal and targets: from our own types to the API's.

use super::copies::Copies;
use super::doubts::Doubts;
use super::{govern_status, target_status};
use crate::config::Config;
use crate::deliver::target::status::TargetStatus;
use crate::govern::status::GovernStatus;
use crate::journal::Journal;
use crate::model::position::Lsn;
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use crate::model::time::UnixMicros;
use crate::source::status::{CapturedTable, SourceStatus, State};
use crate::wire::api::types::v1::{Instant, instant};
use crate::wire::api::v1;
use tokio::sync::watch;

const NO_POLICY: &str =
    "there is no `entitlements` section: the operator and targets read everything raw, other subjects read nothing";
const NO_SYNC: &str =
    "`journal.sync` is off: a power cut may lose transactions that were already confirmed to the source";

/// Everything that a status is made of. Answers from memory and never blocks.
pub(super) struct StatusBoard {
    started: UnixMicros,
    policy: &'static str,
    retention_bytes: u64,
    journal: Journal,
    copies: Copies,
    sources: Vec<watch::Receiver<SourceStatus>>,
    targets: Vec<watch::Receiver<TargetStatus>>,
    govern: Option<watch::Receiver<GovernStatus>>,
    warnings: Vec<String>,
}

impl StatusBoard {
    pub fn new(
        config: &Config,
        journal: Journal,
        sources: Vec<watch::Receiver<SourceStatus>>,
        targets: Vec<watch::Receiver<TargetStatus>>,
        govern: Option<watch::Receiver<GovernStatus>>,
    ) -> Self {
        let entitled = config.access.entitlements.is_some();
        let warnings = [(!entitled, NO_POLICY), (!config.journal.sync, NO_SYNC)];
        Self {
            started: UnixMicros::now(),
            policy: if entitled { "entitlements" } else { "none" },
            retention_bytes: config.retention.bytes,
            copies: Copies::new(journal.clone()),
            journal,
            sources,
            targets,
            govern,
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
            targets: self.targets(),
            govern: self.govern.as_ref().map(|status| govern_status::govern(&status.borrow(), &self.journal)),
        }
    }

    pub fn sources(&self) -> Vec<v1::SourceStatus> {
        self.sources.iter().map(|status| source(&status.borrow(), &self.copies)).collect()
    }

    fn targets(&self) -> Vec<v1::TargetStatus> {
        let durable = self.journal.bounds().durable;
        let doubts = Doubts::new(&self.journal, &self.sources);
        self.targets.iter().map(|status| target_status::target(&status.borrow(), durable, &doubts)).collect()
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

fn source(status: &SourceStatus, copies: &Copies) -> v1::SourceStatus {
    let (state, halt) = state(&status.state);
    let now = UnixMicros::now();
    let records = copies.of(&status.system);
    let copy = |name| records.get(name).map(|record| copies.status(record, status.copies_wait.get(name), now));
    v1::SourceStatus {
        system: status.system.to_string(),
        kind: status.kind.to_owned(),
        state: state.into(),
        checkpoint: notation(status.flushed, status.flushed_text.as_ref()),
        log_end: notation(status.log_end, status.log_end_text.as_ref()),
        lag_bytes: status.lag_bytes().unwrap_or_default(),
        lag_seconds: status.lag_seconds(now).unwrap_or_default(),
        retained_log_bytes: status.retained_bytes.unwrap_or_default(),
        changes: status.changes,
        transactions: status.transactions,
        halt,
        tables: status
            .tables
            .iter()
            .map(|captured| table(captured, status.halt_of(captured), copy(&captured.name)))
            .collect(),
        reconnects: status.reconnects,
        beside: status.blind.iter().map(problem).collect(),
        checkpoint_place: status.flushed_place.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// A place in the source's own notation.
fn notation(place: Option<Lsn>, text: Option<&String>) -> String {
    text.cloned().or_else(|| place.map(|lsn| lsn.to_string())).unwrap_or_default()
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

pub(super) fn problem(problem: &Problem) -> v1::Problem {
    v1::Problem {
        code: problem.code.to_string(),
        message: problem.message.clone(),
        next: problem.code.entry().next.to_owned(),
    }
}

fn table(table: &CapturedTable, halt: Option<&Problem>, copy: Option<v1::CopyStatus>) -> v1::TableStatus {
    let identity = match table.identity {
        Identity::Key => "key",
        Identity::Full => "full",
        Identity::Nothing => "none",
    };
    v1::TableStatus {
        schema: table.name.schema.to_string(),
        table: table.name.table.to_string(),
        halt: halt.map(problem),
        identity: identity.to_owned(),
        copy,
    }
}

pub(super) fn instant(time: UnixMicros) -> Instant {
    let (seconds, nanos) = time.seconds_and_nanos();
    Instant { kind: Some(instant::Kind::Seconds(seconds)), nanos, text: String::new() }
}
