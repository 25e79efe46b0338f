//! The journal's metrics, by constant names. Registered when the journal opens: the recorder is installed before.

use metrics::{Gauge, Histogram, gauge, histogram};

pub const JOURNAL_BYTES: &str = "tailwater_journal_bytes";
pub const JOURNAL_SEQUENCE: &str = "tailwater_journal_sequence";
pub const JOURNAL_GROUP_TRANSACTIONS: &str = "tailwater_journal_group_transactions";
pub const JOURNAL_SYNC_SECONDS: &str = "tailwater_journal_sync_seconds";
pub const JOURNAL_PARKED: &str = "tailwater_journal_parked";
pub const DISK_FREE_BYTES: &str = "tailwater_disk_free_bytes";

pub(super) struct Meters {
    /// Bodies held.
    pub bytes: Gauge,
    /// The newest durable sequence.
    pub sequence: Gauge,
    /// Transactions that shared one sync.
    pub group_transactions: Histogram,
    /// One write of a group, its sync included.
    pub sync_seconds: Histogram,
    /// 1 while intake waits for disk space.
    pub parked: Gauge,
    pub disk_free_bytes: Gauge,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            bytes: gauge!(JOURNAL_BYTES),
            sequence: gauge!(JOURNAL_SEQUENCE),
            group_transactions: histogram!(JOURNAL_GROUP_TRANSACTIONS),
            sync_seconds: histogram!(JOURNAL_SYNC_SECONDS),
            parked: gauge!(JOURNAL_PARKED),
            disk_free_bytes: gauge!(DISK_FREE_BYTES),
        }
    }
}
