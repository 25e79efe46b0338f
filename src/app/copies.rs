//! What a status says of copies: how far, how fast, how long still.
//!
//! Rates are of this run of the process: what an earlier one read, or the time while none ran, says nothing of now.

use crate::journal::{CopyRecord, CopyState, Journal};
use crate::model::name::{SystemName, TableName};
use crate::model::time::UnixMicros;
use crate::wire::api::v1;
use std::collections::HashMap;

pub(super) struct Copies {
    started: UnixMicros,
    journal: Journal,
    /// Rows of the copies that ran already when the process started.
    before: HashMap<(SystemName, TableName, u64), u64>,
}

impl Copies {
    pub fn new(journal: Journal) -> Self {
        let ran = journal.copies().into_iter().filter(|copy| copy.state == CopyState::Running);
        let before = ran.map(|copy| ((copy.system, copy.table, copy.copy), copy.rows)).collect();
        Self { started: UnixMicros::now(), journal, before }
    }

    /// The newest copy of each of a system's tables.
    pub fn of(&self, system: &SystemName) -> HashMap<TableName, CopyRecord> {
        let own = self.journal.copies().into_iter().filter(|copy| copy.system == *system);
        own.map(|copy| (copy.table.clone(), copy)).collect()
    }

    pub fn status(&self, copy: &CopyRecord, waits_for: Option<&String>, now: UnixMicros) -> v1::CopyStatus {
        let key = (copy.system.clone(), copy.table.clone(), copy.copy);
        let rows_before = self.before.get(&key).copied().unwrap_or_default();
        let seconds = self.started.max(copy.started).seconds_until(now);
        let runs = copy.state == CopyState::Running;
        let rows = copy.rows.saturating_sub(rows_before) as f64;
        let rate = if runs && seconds > 0.0 { rows / seconds } else { 0.0 };
        let left = copy.rows_estimate.saturating_sub(copy.rows) as f64;
        v1::CopyStatus {
            copy: copy.copy,
            state: state(copy.state).into(),
            rows: copy.rows,
            rows_estimate: copy.rows_estimate,
            bytes: copy.bytes,
            percent: percent(copy),
            rows_per_second: rate,
            seconds_left: if rate > 0.0 { left / rate } else { 0.0 },
            waits_for: waits_for.cloned().unwrap_or_default(),
            why: copy.why.clone(),
        }
    }
}

fn state(state: CopyState) -> v1::CopyState {
    match state {
        CopyState::Wanted => v1::CopyState::Wanted,
        CopyState::Running => v1::CopyState::Running,
        CopyState::Done => v1::CopyState::Done,
    }
}

fn percent(copy: &CopyRecord) -> f64 {
    match copy.state {
        CopyState::Wanted => 0.0,
        CopyState::Running if copy.rows_estimate == 0 => 0.0,
        CopyState::Running => (copy.rows as f64 * 100.0 / copy.rows_estimate as f64).min(100.0),
        CopyState::Done => 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::Sequence;

    fn copy(state: CopyState, rows: u64, started: i64) -> CopyRecord {
        CopyRecord {
            system: SystemName::new("erp").expect("a name"),
            table: TableName::new("public", "orders"),
            copy: 2,
            state,
            again: false,
            anew: false,
            why: String::new(),
            relation: String::new(),
            key_order: String::new(),
            begin: Sequence(7),
            last_key: Vec::new(),
            to_read_again: [].into(),
            rows,
            bytes: 5,
            rows_estimate: 1000,
            schema: None,
            started: UnixMicros(started * 1_000_000),
            finished: UnixMicros(0),
        }
    }

    #[tokio::test]
    async fn rates_are_of_this_run_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::open(crate::journal::Options {
            path: folder.path().join("journal"),
            lock_file: folder.path().join("tailwater.lock"),
            sync: false,
            retention_bytes: 1 << 20,
            free_disk_bytes_min: 0,
            queue_bytes_max: 1 << 20,
            tail_bytes_max: 1 << 20,
        });
        let mut copies = Copies::new(journal.expect("opens"));
        copies.started = UnixMicros(100_000_000);
        let now = UnixMicros(110_000_000);
        let running = copies.status(&copy(CopyState::Running, 500, 90), None, now);
        assert_eq!((running.percent, running.rows_per_second, running.seconds_left), (50.0, 50.0, 10.0));
        copies.before.insert((SystemName::new("erp").expect("a name"), TableName::new("public", "orders"), 2), 400);
        let running = copies.status(&copy(CopyState::Running, 500, 90), Some(&"a lock".to_owned()), now);
        assert_eq!((running.rows_per_second, running.seconds_left), (10.0, 50.0));
        assert_eq!((running.waits_for.as_str(), running.state()), ("a lock", v1::CopyState::Running));
        let young = copies.status(&copy(CopyState::Running, 1500, 105), None, now);
        assert_eq!((young.percent, young.rows_per_second, young.seconds_left), (100.0, 220.0, 0.0));
        let done = copies.status(&copy(CopyState::Done, 900, 90), None, now);
        assert_eq!((done.percent, done.rows_per_second, done.seconds_left), (100.0, 0.0, 0.0));
    }
}
