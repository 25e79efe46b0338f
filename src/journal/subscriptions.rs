//! Durable subscriptions: how far each has acknowledged. Monotonic: an earlier acknowledgement changes nothing.

use super::SubscriptionRecord;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct Subscriptions(Mutex<BTreeMap<String, SubscriptionRecord>>);

impl Subscriptions {
    pub(super) fn new(records: Vec<SubscriptionRecord>) -> Self {
        Self(Mutex::new(records.into_iter().map(|record| (record.name.clone(), record)).collect()))
    }

    pub(super) fn get(&self, name: &str) -> Option<SubscriptionRecord> {
        self.records().get(name).cloned()
    }

    pub(super) fn all(&self) -> Vec<SubscriptionRecord> {
        self.records().values().cloned().collect()
    }

    /// Only the writer thread, after the sync.
    pub(super) fn put(&self, record: SubscriptionRecord) {
        self.records().insert(record.name.clone(), record);
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, SubscriptionRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
