//! One source as the journal sees it: its durable checkpoint, and which of its intakes is the living one.

use crate::model::checkpoint::Checkpoint;
use crate::model::name::SystemName;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

pub(super) struct System {
    pub name: SystemName,
    generation: AtomicU64,
    /// Raised by the writer thread alone, after the sync.
    pub durable: watch::Sender<Option<Checkpoint>>,
}

impl System {
    fn new(name: SystemName, checkpoint: Option<Checkpoint>) -> Self {
        Self { name, generation: AtomicU64::new(0), durable: watch::Sender::new(checkpoint) }
    }

    /// Makes all earlier intakes strangers.
    pub(super) fn supersede(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::AcqRel).saturating_add(1)
    }

    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }
}

/// All systems that ever had a checkpoint or an intake.
#[derive(Default)]
pub(super) struct Systems(Mutex<HashMap<SystemName, Arc<System>>>);

impl Systems {
    pub(super) fn new(checkpoints: impl IntoIterator<Item = (SystemName, Checkpoint)>) -> Self {
        let system = |(name, checkpoint): (SystemName, Checkpoint)| {
            (name.clone(), Arc::new(System::new(name, Some(checkpoint))))
        };
        Self(Mutex::new(checkpoints.into_iter().map(system).collect()))
    }

    pub(super) fn get(&self, name: &SystemName) -> Option<Arc<System>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn get_or_add(&self, name: &SystemName) -> Arc<System> {
        let mut systems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let system = systems.entry(name.clone()).or_insert_with(|| Arc::new(System::new(name.clone(), None)));
        Arc::clone(system)
    }
}
