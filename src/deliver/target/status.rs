//! What a target shows of itself: one snapshot for people, the same as metrics for machines. Holds no cell value.

use super::table::Table;
use crate::model::name::SystemName;
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use crate::model::time::UnixMicros;
use metrics::{Counter, Gauge, counter, gauge};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

pub const UP: &str = "tailwater_target_up";
pub const LAG_SECONDS: &str = "tailwater_target_lag_seconds";
pub const SEQUENCE: &str = "tailwater_target_sequence";
pub const ROWS: &str = "tailwater_target_rows_total";
pub const RECONNECTS: &str = "tailwater_target_reconnects_total";
pub const TABLES_READY: &str = "tailwater_target_tables_ready";
const HALTS: &str = "tailwater_halts";

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    Connecting,
    Writing,
    /// Tries again by itself.
    Retrying(Problem),
    /// Stays so until a resync or a restart.
    Halted(Problem),
    Stopped,
}

#[derive(Clone, PartialEq, Debug)]
pub struct TargetStatus {
    pub target: SystemName,
    pub state: State,
    /// Everything up to here is committed in the target.
    pub sequence: Sequence,
    /// Commit time of the oldest transaction that is known and not applied yet.
    pub waits_since: Option<UnixMicros>,
    /// Since start.
    pub rows: u64,
    /// Since start.
    pub reconnects: u64,
    pub tables: Vec<Table>,
    /// Tables that are selected and cannot be here: by `system.schema.table`.
    pub refused: BTreeMap<String, Problem>,
}

impl TargetStatus {
    fn new(target: SystemName) -> Self {
        Self {
            target,
            state: State::Connecting,
            sequence: Sequence::ZERO,
            waits_since: None,
            rows: 0,
            reconnects: 0,
            tables: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    pub fn lag_seconds(&self, now: UnixMicros) -> f64 {
        self.waits_since.map_or(0.0, |since| since.seconds_until(now))
    }
}

/// The target's end of its status. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    status: Arc<watch::Sender<TargetStatus>>,
    metrics: Arc<Metrics>,
}

struct Metrics {
    up: Gauge,
    lag_seconds: Gauge,
    sequence: Gauge,
    rows: Counter,
    reconnects: Counter,
    tables_ready: Gauge,
}

impl Metrics {
    fn new(target: &SystemName) -> Self {
        let target = target.to_string();
        Self {
            up: gauge!(UP, "target" => target.clone()),
            lag_seconds: gauge!(LAG_SECONDS, "target" => target.clone()),
            sequence: gauge!(SEQUENCE, "target" => target.clone()),
            rows: counter!(ROWS, "target" => target.clone()),
            reconnects: counter!(RECONNECTS, "target" => target.clone()),
            tables_ready: gauge!(TABLES_READY, "target" => target),
        }
    }
}

impl Reporter {
    pub fn new(target: SystemName) -> (Self, watch::Receiver<TargetStatus>) {
        let metrics = Arc::new(Metrics::new(&target));
        let (status, receiver) = watch::channel(TargetStatus::new(target));
        (Self { status: Arc::new(status), metrics }, receiver)
    }

    pub fn state(&self, state: State) {
        self.metrics.up.set(if state == State::Writing { 1.0 } else { 0.0 });
        let before = self.status.borrow().state.clone();
        if let State::Halted(problem) = &before {
            self.halts(problem).set(0.0);
        }
        if let State::Halted(problem) = &state {
            self.halts(problem).set(1.0);
        }
        self.status.send_modify(|status| status.state = state);
    }

    fn halts(&self, problem: &Problem) -> Gauge {
        gauge!(HALTS, "target" => self.status.borrow().target.to_string(), "code" => problem.code.as_str())
    }

    pub fn reconnect(&self) {
        self.metrics.reconnects.increment(1);
        self.status.send_modify(|status| status.reconnects += 1);
    }

    pub fn sequence(&self) -> Sequence {
        self.status.borrow().sequence
    }

    /// The oldest transaction that is not applied was committed then.
    pub fn waits(&self, since: Option<UnixMicros>) {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.waits_since, since) != since);
        self.metrics.lag_seconds.set(self.status.borrow().lag_seconds(UnixMicros::now()));
    }

    /// Everything up to `sequence` is committed there, `rows` of them since the last call.
    pub fn applied(&self, sequence: Sequence, rows: u64) {
        self.metrics.rows.increment(rows);
        self.metrics.sequence.set(sequence.0 as f64);
        self.status.send_modify(|status| {
            status.sequence = sequence;
            status.rows += rows;
        });
    }

    pub fn tables<'a>(&self, tables: impl Iterator<Item = &'a Table>, refused: &BTreeMap<String, Problem>) {
        let tables: Vec<_> = tables.cloned().collect();
        let ready = tables.iter().filter(|table| table.state == super::table::State::Ready).count();
        self.metrics.tables_ready.set(ready as f64);
        self.status.send_if_modified(|status| {
            let changed = status.tables != tables || status.refused != *refused;
            if changed {
                status.tables = tables;
                status.refused.clone_from(refused);
            }
            changed
        });
    }
}
