//! Points in time as the sources give them.

/// Microseconds since 1970-01-01T00:00:00Z. Wide enough for every commit time a source can give.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct UnixMicros(pub i64);

impl UnixMicros {
    /// Whole seconds, rounded down, and 0..=999,999,999 nanoseconds on.
    pub fn seconds_and_nanos(self) -> (i64, u32) {
        let micros = self.0.rem_euclid(1_000_000);
        (self.0.div_euclid(1_000_000), u32::try_from(micros * 1_000).unwrap_or(0))
    }

    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Seconds from `self` to `later`; 0 when clocks disagree.
    pub fn seconds_until(self, later: Self) -> f64 {
        later.0.saturating_sub(self.0).max(0) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_round_down() {
        assert_eq!(UnixMicros(-1).seconds_and_nanos(), (-1, 999_999_000));
        assert_eq!(UnixMicros(1_500_000).seconds_and_nanos(), (1, 500_000_000));
    }
}
