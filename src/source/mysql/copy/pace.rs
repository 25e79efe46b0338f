//! How often a table is copied again because of what sessions log in their own way: statements as such, rows without all of
//! their columns, and two-phase transactions.
//!
//! These may come every second for ever. A copy that begins after the last of them serves for all, so the next one waits: each
//! time longer, up to a bound, until none has come for a while.

use crate::journal::{CopyRecord, CopyState};
use crate::model::code;
use crate::model::name::TableName;
use crate::source::mysql::define::{BY_STATEMENT, TWO_PHASE};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);
/// Shown in the status.
const WAITS_FOR_STATEMENTS: &str = "a while, because statements in statement format come again and again, and may reach every captured table: \
     set binlog_format = ROW for whoever writes them";
const WAITS_FOR_ROWS: &str = "a while, because rows without all of their columns come again and again: set binlog_row_image and \
     binlog_row_metadata = FULL for whoever writes them";
const WAITS_FOR_XA: &str = "a while, because two-phase (XA) transactions come again and again";

/// What a copy waits for that is not due yet; `None`: such a copy does not wait.
pub fn waits(why: &str) -> Option<&'static str> {
    match why {
        BY_STATEMENT => Some(WAITS_FOR_STATEMENTS),
        TWO_PHASE => Some(WAITS_FOR_XA),
        // The problem that halted the table.
        why if why.starts_with(code::ROWS_INCOMPLETE.as_str()) => Some(WAITS_FOR_ROWS),
        _ => None,
    }
}

#[derive(Default)]
pub struct Pace(HashMap<TableName, Began>);

struct Began {
    at: Instant,
    wait: Duration,
}

impl Pace {
    /// When a copy that is wanted may begin, where it has to wait.
    pub fn due(&self, record: &CopyRecord, now: Instant) -> Option<Instant> {
        let is_paced = record.state == CopyState::Wanted && waits(&record.why).is_some();
        if is_paced { self.next(&record.table).filter(|due| *due > now) } else { None }
    }

    fn next(&self, table: &TableName) -> Option<Instant> {
        self.0.get(table).map(|began| began.at + began.wait)
    }

    /// A copy of the table begins because of these.
    pub fn began(&mut self, table: &TableName, now: Instant) {
        let before = self.0.get(table).filter(|began| now - began.at < 2 * LONGEST);
        let wait = before.map_or(FIRST, |began| (began.wait * 2).min(LONGEST));
        self.0.insert(table.clone(), Began { at: now, wait });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::Problem;

    #[test]
    fn copies_wait_for_rows_without_columns_and_not_for_other_trouble_of_a_table() {
        let waits = |code| super::waits(&Problem::new(code, "t").to_string());
        assert_eq!((waits(code::ROWS_INCOMPLETE), waits(code::CELL_UNREADABLE)), (Some(WAITS_FOR_ROWS), None));
    }

    #[tokio::test]
    async fn copies_for_statements_come_ever_more_seldom_and_at_once_after_a_quiet_time() {
        let (mut pace, mut now, table) = (Pace::default(), Instant::now(), TableName::new("crm", "t"));
        assert_eq!(pace.next(&table), None);
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            pace.began(&table, now);
            now += Duration::from_secs(seconds);
            assert_eq!(pace.next(&table), Some(now));
        }
        now += 2 * LONGEST;
        pace.began(&table, now);
        assert_eq!(pace.next(&table), Some(now + FIRST));
    }
}
