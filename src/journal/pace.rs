//! How far those have come for whom copies are made, so that a copy waits before it outruns them.
//!
//! Bytes of bodies ever written, `Header::bytes_total`, are the measure: retention is in the same unit. A follower that is
//! away does not hold the log back, only copies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// One who applies what copies bring. Dropping it leaves the pace to the others.
pub struct Follower(Arc<AtomicU64>);

impl Follower {
    /// Everything up to a transaction with this `bytes_total` is applied. It may lie before what was said last: one who
    /// starts far behind knows where only from the first header that it reads.
    pub fn applied(&self, bytes_total: u64) {
        self.0.store(bytes_total, Ordering::Relaxed);
    }
}

pub(super) struct Pace {
    behind_max: u64,
    followers: Mutex<Vec<Weak<AtomicU64>>>,
    /// The newest transaction's `bytes_total`.
    pub newest: AtomicU64,
}

impl Pace {
    pub(super) fn new(retention_bytes: u64, newest: u64) -> Self {
        Self { behind_max: retention_bytes / 4, followers: Mutex::default(), newest: AtomicU64::new(newest) }
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.behind() > self.behind_max
    }

    /// From the newest transaction on: until it says otherwise a new follower holds no copy back.
    pub(super) fn follow(&self) -> Follower {
        let place = Arc::new(AtomicU64::new(self.newest.load(Ordering::Relaxed)));
        self.followers().push(Arc::downgrade(&place));
        Follower(place)
    }

    pub(super) fn behind(&self) -> u64 {
        let newest = self.newest.load(Ordering::Relaxed);
        let mut followers = self.followers();
        followers.retain(|follower| follower.strong_count() > 0);
        let places = followers.iter().filter_map(Weak::upgrade).map(|place| place.load(Ordering::Relaxed));
        places.min().map_or(0, |slowest| newest.saturating_sub(slowest))
    }

    fn followers(&self) -> MutexGuard<'_, Vec<Weak<AtomicU64>>> {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
