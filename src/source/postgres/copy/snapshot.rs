//! Which transactions a snapshot sees, as `pg_current_snapshot()` prints it: `xmin:xmax:xip,xip,…`.

use std::str::FromStr;

/// Of top-level transactions, by 64-bit ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    xmin: u64,
    xmax: u64,
    /// Those that ran; ascending.
    running: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a snapshot, which reads like 10:20:10,14")]
pub struct NotASnapshot;

impl Snapshot {
    /// Whether a transaction that has committed by now is seen. `xid` is the 32-bit id that the stream gives; it is taken
    /// for the one nearest to `xmax`, as the server itself does.
    pub fn sees(&self, xid: u32) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
        let ahead = xid.wrapping_sub(self.xmax as u32).cast_signed();
        let xid = self.xmax.wrapping_add_signed(ahead.into());
        xid < self.xmin || xid < self.xmax && self.running.binary_search(&xid).is_err()
    }
}

impl Snapshot {
    /// Whether a transaction with a lower id runs, or seems to: one that has committed does until its standby has answered.
    pub fn has_running_below(&self, xid: u64) -> bool {
        self.xmin < xid
    }
}

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let number = |text: &str| text.parse().map_err(|_| NotASnapshot);
        let (xmin, rest) = text.split_once(':').ok_or(NotASnapshot)?;
        let (xmax, running) = rest.split_once(':').ok_or(NotASnapshot)?;
        let mut running =
            running.split(',').filter(|xid| !xid.is_empty()).map(number).collect::<Result<Vec<_>, _>>()?;
        running.sort_unstable();
        Ok(Self { xmin: number(xmin)?, xmax: number(xmax)?, running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_committed_before_is_seen_and_what_ran_or_came_later_is_not() {
        let snapshot: Snapshot = "10:20:14,10".parse().expect("a snapshot");
        let seen: Vec<u32> = (8..23).filter(|xid| snapshot.sees(*xid)).collect();
        assert_eq!(seen, [8, 9, 11, 12, 13, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn what_is_older_than_an_id_and_still_runs_is_known() {
        let at = |text: &str| text.parse::<Snapshot>().expect("a snapshot");
        // One that runs alone is not listed: it is `xmax` itself.
        assert!(at("10:30:10").has_running_below(20) && at("19:19:").has_running_below(20));
        assert!(!at("20:30:").has_running_below(20) && !at("25:30:25").has_running_below(20));
    }

    #[test]
    fn ids_are_told_apart_across_a_wrap_of_32_bits() {
        let epoch = 1_u64 << 32;
        let snapshot: Snapshot = format!("{}:{}:", epoch - 5, epoch + 5).parse().expect("a snapshot");
        assert!(snapshot.sees(u32::MAX) && snapshot.sees(4));
        assert!(!snapshot.sees(5) && !snapshot.sees(1000));
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for text in ["", "1", "1:2", "a:2:", "1:2:x"] {
            assert_eq!(text.parse::<Snapshot>(), Err(NotASnapshot), "{text}");
        }
    }
}
