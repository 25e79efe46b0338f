//! What a source shows of itself: one snapshot for people, the same as metrics for machines.
//!
//! Updated for each read or transaction, never for each row. Holds no cell value and no secret.

use crate::model::code::Code;
use crate::model::name::{SystemName, TableName};
use crate::model::position::{LogPlace, Lsn};
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use crate::model::time::UnixMicros;
use metrics::{Counter, Gauge, counter, gauge};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// 1 while the source streams.
pub const UP: &str = "tailwater_source_up";
pub const LAG_BYTES: &str = "tailwater_source_lag_bytes";
pub const LAG_SECONDS: &str = "tailwater_source_lag_seconds";
pub const RETAINED_LOG_BYTES: &str = "tailwater_source_retained_log_bytes";
pub const CHANGES: &str = "tailwater_source_changes_total";
pub const TRANSACTIONS: &str = "tailwater_source_transactions_total";
pub const RECONNECTS: &str = "tailwater_source_reconnects_total";
pub const COPIES_AGAIN: &str = "tailwater_source_copies_again_total";
pub const HALTS: &str = "tailwater_halts";

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    Connecting,
    Streaming,
    /// Tries again by itself.
    Retrying(Problem),
    /// Stays so until a restart.
    Halted(Problem),
    Stopped,
}

/// A table that the source captures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CapturedTable {
    pub name: TableName,
    /// `Nothing`: only inserts and truncates are captured.
    pub identity: Identity,
    /// Why its changes do not come, while those of the others do.
    pub halt: Option<Problem>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct SourceStatus {
    pub system: SystemName,
    /// As in the config.
    pub kind: &'static str,
    pub state: State,
    /// Durable here; `None` before the slot exists.
    pub flushed: Option<Lsn>,
    /// The end of the server's log when last heard of.
    pub log_end: Option<Lsn>,
    /// `flushed` and `log_end` in the source's own notation, where that is not an LSN: they are then only measures.
    pub flushed_text: Option<String>,
    /// Where in the log `flushed` lies, where the source's notation does not say it.
    pub flushed_place: Option<LogPlace>,
    pub log_end_text: Option<String>,
    /// Of the last journaled transaction since start.
    pub last_commit: Option<UnixMicros>,
    /// Since start.
    pub transactions: u64,
    /// Since start.
    pub changes: u64,
    /// Since start.
    pub reconnects: u64,
    /// When everything that the server was known to have was durable here, last.
    pub level_at: Option<UnixMicros>,
    /// Log that the server keeps for our slot.
    pub retained_bytes: Option<u64>,
    pub tables: Arc<[CapturedTable]>,
    /// Why the copy of a table does not come on, while it waits.
    pub copies_wait: BTreeMap<TableName, String>,
    /// Why the tables and the server's log are not looked at, while the stream goes on.
    pub blind: Option<Problem>,
    /// Tables with something in them that cannot be passed on, until another copy of them is complete.
    unreadable: BTreeMap<(TableName, By), Problem>,
}

/// What met something that cannot be passed on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum By {
    /// The description of the table in the log: none of its rows can be read.
    Shape,
    /// A row in the log.
    Row,
    /// A row of a copy.
    Copy,
}

impl SourceStatus {
    fn new(system: SystemName, kind: &'static str) -> Self {
        Self {
            system,
            kind,
            state: State::Connecting,
            flushed: None,
            log_end: None,
            flushed_text: None,
            flushed_place: None,
            log_end_text: None,
            last_commit: None,
            transactions: 0,
            changes: 0,
            reconnects: 0,
            level_at: None,
            retained_bytes: None,
            tables: Arc::new([]),
            copies_wait: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            blind: None,
        }
    }

    /// Why the table's changes do not come, while those of the others do.
    pub fn halt_of<'a>(&'a self, table: &'a CapturedTable) -> Option<&'a Problem> {
        let unreadable = || [By::Shape, By::Copy, By::Row].into_iter().find_map(|by| self.unreadable(&table.name, by));
        table.halt.as_ref().or_else(unreadable)
    }

    fn unreadable(&self, table: &TableName, by: By) -> Option<&Problem> {
        // Hardly ever is there anything in it.
        if self.unreadable.is_empty() { None } else { self.unreadable.get(&(table.clone(), by)) }
    }

    /// Server's log that is not durable here yet.
    pub fn lag_bytes(&self) -> Option<u64> {
        Some(self.log_end?.bytes_since(self.flushed?))
    }

    /// While behind the server's log: age of the newest journaled commit, or of the last moment level with the log where
    /// that is younger, because captured tables may sleep for hours beside busy ones. 0 when level with it.
    pub fn lag_seconds(&self, now: UnixMicros) -> Option<f64> {
        if self.lag_bytes()? == 0 {
            return Some(0.0);
        }
        self.last_commit.max(self.level_at).map(|since| since.seconds_until(now))
    }
}

/// The source's end of its status. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    status: Arc<watch::Sender<SourceStatus>>,
    metrics: Arc<Metrics>,
}

struct Metrics {
    up: Gauge,
    lag_bytes: Gauge,
    lag_seconds: Gauge,
    retained: Gauge,
    changes: Counter,
    transactions: Counter,
    reconnects: Counter,
}

impl Metrics {
    fn new(system: &SystemName) -> Self {
        let system = system.to_string();
        Self {
            up: gauge!(UP, "system" => system.clone()),
            lag_bytes: gauge!(LAG_BYTES, "system" => system.clone()),
            lag_seconds: gauge!(LAG_SECONDS, "system" => system.clone()),
            retained: gauge!(RETAINED_LOG_BYTES, "system" => system.clone()),
            changes: counter!(CHANGES, "system" => system.clone()),
            transactions: counter!(TRANSACTIONS, "system" => system.clone()),
            reconnects: counter!(RECONNECTS, "system" => system),
        }
    }
}

impl Reporter {
    pub fn new(system: SystemName) -> (Self, watch::Receiver<SourceStatus>) {
        Self::of_kind(system, "postgres")
    }

    /// `kind`: as in the config.
    pub fn of_kind(system: SystemName, kind: &'static str) -> (Self, watch::Receiver<SourceStatus>) {
        let metrics = Arc::new(Metrics::new(&system));
        let (status, receiver) = watch::channel(SourceStatus::new(system, kind));
        (Self { status: Arc::new(status), metrics }, receiver)
    }

    pub fn state(&self, state: &State) {
        self.metrics.up.set(if *state == State::Streaming { 1.0 } else { 0.0 });
        if let State::Halted(problem) = state {
            self.halts(problem.code).set(1.0);
        }
        self.status.send_if_modified(|status| std::mem::replace(&mut status.state, state.clone()) != *state);
    }

    fn halts(&self, code: Code) -> Gauge {
        gauge!(HALTS, "system" => self.status.borrow().system.to_string(), "code" => code.as_str())
    }

    pub fn reconnect(&self) {
        self.metrics.reconnects.increment(1);
        self.status.send_modify(|status| status.reconnects += 1);
    }

    /// Why the table's copy does not come on; `None`: it does. Gives whether that is news.
    pub fn copy_waits(&self, table: &TableName, why: Option<&str>) -> bool {
        self.status.send_if_modified(|status| {
            let before = match why {
                Some(why) => status.copies_wait.insert(table.clone(), why.to_owned()),
                None => status.copies_wait.remove(table),
            };
            before.as_deref() != why
        })
    }

    /// Whether the session that runs now, or has just ended, has come as far as the log.
    pub fn streams(&self) -> bool {
        self.status.borrow().state == State::Streaming
    }

    /// There is something in the table that cannot be passed on; `None`: no more. Gives whether that is news.
    pub fn unreadable(&self, table: &TableName, by: By, problem: Option<&Problem>) -> bool {
        self.status.send_if_modified(|status| {
            let at = (table.clone(), by);
            let before = match problem {
                Some(problem) => status.unreadable.insert(at, problem.clone()),
                None => status.unreadable.remove(&at),
            };
            before.as_ref() != problem
        })
    }

    /// As the log describes the table, none of its rows can be read.
    pub fn is_shape_unreadable(&self, table: &TableName) -> bool {
        self.status.borrow().unreadable(table, By::Shape).is_some()
    }

    /// Why nobody looks at the tables and the server's log; `None`: somebody does. Gives whether that is news.
    pub fn blind(&self, why: Option<Problem>) -> bool {
        self.status.send_if_modified(|status| {
            let is_news = status.blind.as_ref().map(|problem| problem.code) != why.as_ref().map(|problem| problem.code);
            status.blind = why;
            is_news
        })
    }

    /// A table is copied again because its rows may have changed without an event. `reason`: one of a few words.
    pub fn copies_again(&self, reason: &'static str) {
        let system = self.status.borrow().system.to_string();
        counter!(COPIES_AGAIN, "system" => system, "reason" => reason).increment(1);
    }

    pub fn tables(&self, tables: Vec<CapturedTable>) {
        self.status.send_modify(|status| status.tables = tables.into());
    }

    pub fn flushed(&self, flushed: Lsn) {
        self.change(|status| status.flushed = Some(flushed));
    }

    pub fn log_end(&self, log_end: Lsn) {
        self.change(|status| status.log_end = status.log_end.max(Some(log_end)));
    }

    /// A measure of how far the durable checkpoint is, and where that is in the source's own words.
    pub fn flushed_at(&self, measure: Lsn, text: String, place: LogPlace) {
        self.change(|status| {
            status.flushed = Some(measure);
            status.flushed_text = Some(text);
            status.flushed_place = Some(place);
        });
    }

    /// The same of the end of the server's log.
    pub fn log_end_at(&self, measure: Lsn, text: String) {
        self.change(|status| {
            status.log_end = status.log_end.max(Some(measure));
            status.log_end_text = Some(text);
        });
    }

    pub fn retained(&self, bytes: u64) {
        self.metrics.retained.set(bytes as f64);
        self.change(|status| status.retained_bytes = Some(bytes));
    }

    /// Transactions handed to the journal.
    pub fn journaled(&self, transactions: u64, changes: u64, last_commit: UnixMicros) {
        self.metrics.transactions.increment(transactions);
        self.metrics.changes.increment(changes);
        self.change(|status| {
            status.transactions += transactions;
            status.changes += changes;
            status.last_commit = Some(last_commit);
        });
    }

    fn change(&self, change: impl FnOnce(&mut SourceStatus)) {
        let now = UnixMicros::now();
        self.status.send_modify(|status| {
            change(status);
            if status.lag_bytes() == Some(0) {
                status.level_at = Some(now);
            }
        });
        let status = self.status.borrow();
        if let Some(bytes) = status.lag_bytes() {
            self.metrics.lag_bytes.set(bytes as f64);
        }
        if let Some(seconds) = status.lag_seconds(now) {
            self.metrics.lag_seconds.set(seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_the_server_has_beyond_the_durable_checkpoint() {
        let (reporter, status) = Reporter::new(SystemName::new("erp").expect("a name"));
        assert_eq!(status.borrow().lag_bytes(), None);
        reporter.flushed(Lsn(100));
        reporter.log_end(Lsn(150));
        reporter.journaled(1, 3, UnixMicros(5_000_000));
        assert_eq!(status.borrow().lag_bytes(), Some(50));
        assert_eq!(status.borrow().lag_seconds(UnixMicros(7_000_000)), Some(2.0));
        reporter.flushed(Lsn(150));
        assert_eq!(status.borrow().lag_seconds(UnixMicros(7_000_000)), Some(0.0));
    }

    #[test]
    fn captured_tables_that_sleep_beside_a_busy_one_are_not_behind_since_their_last_commit() {
        let (reporter, status) = Reporter::new(SystemName::new("erp").expect("a name"));
        let hour_ago = UnixMicros(UnixMicros::now().0 - 3_600_000_000);
        reporter.journaled(1, 1, hour_ago);
        reporter.flushed(Lsn(100));
        reporter.log_end(Lsn(100));
        reporter.log_end(Lsn(150));
        let lag = status.borrow().lag_seconds(UnixMicros::now()).expect("known");
        assert!(lag < 60.0, "level a moment ago, yet {lag} s behind");
    }
}
