//! When to record that there was nothing to journal.
//!
//! Positions seen without a captured change are recorded at most about once a second or every 16 MiB, and at once when the
//! server asks: a server that is shutting down waits for exactly this.

use crate::model::position::Lsn;
use std::time::Duration;
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(1);
const BYTES: u64 = 16 * 1024 * 1024;

pub struct Idle {
    /// Everything before it has been looked at.
    seen: Lsn,
    /// Handed to the journal.
    recorded: Lsn,
    recorded_at: Option<Instant>,
    asked: bool,
}

impl Idle {
    pub fn new(recorded: Lsn) -> Self {
        Self { seen: recorded, recorded, recorded_at: None, asked: false }
    }

    /// Everything before it has come, while no transaction is open.
    pub fn seen(&self) -> Lsn {
        self.seen
    }

    pub fn recorded(&self) -> Lsn {
        self.recorded
    }

    /// Only outside a transaction: there is nothing to journal up to here.
    pub fn saw(&mut self, seen: Lsn) {
        self.seen = self.seen.max(seen);
    }

    /// The server wants to know now.
    pub fn asked(&mut self) {
        self.asked = true;
    }

    /// Handed to the journal up to here.
    pub fn record(&mut self, recorded: Lsn, now: Instant) {
        self.recorded = self.recorded.max(recorded);
        self.saw(recorded);
        self.recorded_at = Some(now);
        self.asked = false;
    }

    /// What to record now.
    pub fn due(&self, now: Instant) -> Option<Lsn> {
        let long_ago = self.recorded_at.is_none_or(|at| at + EVERY <= now);
        let much = self.seen.bytes_since(self.recorded) >= BYTES;
        (self.seen > self.recorded && (self.asked || long_ago || much)).then_some(self.seen)
    }

    /// When something becomes due by itself.
    pub fn deadline(&self) -> Option<Instant> {
        (self.seen > self.recorded).then(|| self.recorded_at.map_or_else(Instant::now, |at| at + EVERY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_positions_are_recorded_once_a_second_or_16_mib_and_at_once_when_asked() {
        let now = Instant::now();
        let mut idle = Idle::new(Lsn(100));
        assert_eq!(idle.due(now + EVERY), None);
        idle.saw(Lsn(110));
        assert_eq!(idle.due(now), Some(Lsn(110)), "nothing was recorded yet, so nothing is to be waited for");
        idle.record(Lsn(110), now);
        idle.saw(Lsn(120));
        assert_eq!(idle.due(now), None);
        assert_eq!(idle.due(now + EVERY), Some(Lsn(120)));
        idle.asked();
        assert_eq!(idle.due(now), Some(Lsn(120)));
        idle.record(Lsn(120), now);
        assert_eq!((idle.due(now + EVERY), idle.deadline()), (None, None));
        idle.saw(Lsn(120 + BYTES));
        assert_eq!(idle.due(now), Some(Lsn(120 + BYTES)));
    }
}
