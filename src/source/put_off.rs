//! Tables whose copies wait after trouble of their own: each longer every time, and behind all that had none, so that no number
//! of them keeps the others from being copied.

use crate::model::name::TableName;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct PutOff {
    tables: HashMap<TableName, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    waits: Duration,
}

impl PutOff {
    pub fn put_off(&mut self, table: TableName, now: Instant) {
        let before = self.tables.get(&table).map(|waiting| waiting.waits);
        let waits = before.map_or(FIRST, |waits| (waits * 2).min(LONGEST));
        self.tables.insert(table, Waiting { until: now + waits, waits });
    }

    pub fn is_well(&mut self, table: &TableName) {
        self.tables.remove(table);
    }

    /// Whether it had trouble, and so comes after those that had none.
    pub fn had_trouble(&self, table: &TableName) -> bool {
        self.tables.contains_key(table)
    }

    pub fn waits(&self, table: &TableName, now: Instant) -> bool {
        self.tables.get(table).is_some_and(|waiting| waiting.until > now)
    }

    /// When the next of them is due.
    pub fn earliest(&self, now: Instant) -> Option<Instant> {
        self.tables.values().map(|waiting| waiting.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_time_longer_up_to_a_bound_and_at_once_again_when_well() {
        let (mut put_off, table, start) = (PutOff::default(), TableName::new("s", "t"), Instant::now());
        assert!(!put_off.had_trouble(&table) && !put_off.waits(&table, start));
        let mut now = start;
        for seconds in [5, 10, 20, 40, 60, 60] {
            put_off.put_off(table.clone(), now);
            let due = now + Duration::from_secs(seconds);
            assert_eq!(put_off.earliest(now), Some(due));
            assert!(put_off.waits(&table, now) && !put_off.waits(&table, due) && put_off.had_trouble(&table));
            now = due;
        }
        put_off.is_well(&table);
        assert!(!put_off.had_trouble(&table));
    }
}
