//! Random histories of several systems, with reopens and trims, against a list of what was committed.

use super::fixture::{Place, bytes, checkpoint, commit, read_all, system};
use crate::journal::{Intake, Journal};
use crate::model::checkpoint::Checkpoint;
use crate::model::position::Sequence;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SYSTEMS: [&str; 3] = ["crm", "erp", "web"];

#[derive(Clone, Debug)]
enum Event {
    Chunk { system: usize, fill: u8, length: usize },
    Commit { system: usize },
    Abandon { system: usize },
    Advance { system: usize },
    Takeover { system: usize },
    Reopen { retention_bytes: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let system = 0..SYSTEMS.len();
    prop_oneof![
        8 => (system.clone(), any::<u8>(), 1_usize..60_000)
            .prop_map(|(system, fill, length)| Event::Chunk { system, fill, length }),
        8 => system.clone().prop_map(|system| Event::Commit { system }),
        1 => system.clone().prop_map(|system| Event::Abandon { system }),
        2 => system.clone().prop_map(|system| Event::Advance { system }),
        1 => system.prop_map(|system| Event::Takeover { system }),
        1 => prop_oneof![Just(1_u64 << 30), 50_000_u64..200_000].prop_map(|retention_bytes| Event::Reopen { retention_bytes }),
    ]
}

#[derive(Default)]
struct Model {
    open: BTreeMap<usize, Vec<Bytes>>,
    committed: Vec<Vec<Bytes>>,
    checkpoints: BTreeMap<usize, Checkpoint>,
    clock: u64,
}

struct Run {
    place: Place,
    journal: Journal,
    intakes: Vec<Intake>,
    model: Model,
}

impl Run {
    fn new() -> Self {
        let mut place = Place::new();
        // Small, so that chunks are written ahead.
        place.options.queue_bytes_max = 128 * 1024;
        place.options.tail_bytes_max = 256 * 1024;
        let journal = place.open();
        let intakes = intakes(&journal);
        Self { place, journal, intakes, model: Model::default() }
    }

    async fn apply(&mut self, event: Event) {
        self.model.clock += 1;
        let at = self.model.clock;
        match event {
            Event::Chunk { system, fill, length } => {
                let chunk = bytes(fill, length);
                self.intakes[system].chunk(chunk.clone()).await.expect("taken");
                self.model.open.entry(system).or_default().push(chunk);
            }
            Event::Commit { system } => {
                self.intakes[system].commit(commit(at)).await.expect("taken");
                self.model.committed.push(self.model.open.remove(&system).unwrap_or_default());
                self.model.checkpoints.insert(system, checkpoint(at));
            }
            Event::Abandon { system } => {
                self.intakes[system].abandon().await.expect("taken");
                self.model.open.remove(&system);
            }
            Event::Advance { system } if !self.model.open.contains_key(&system) => {
                self.intakes[system].advance(checkpoint(at)).await.expect("taken");
                self.model.checkpoints.insert(system, checkpoint(at));
            }
            Event::Advance { .. } => {}
            Event::Takeover { system: of } => {
                self.intakes[of].abandon().await.expect("taken");
                self.intakes[of] = self.journal.intake(&system(SYSTEMS[of]));
                self.model.open.remove(&of);
            }
            Event::Reopen { retention_bytes } => self.reopen(retention_bytes).await,
        }
    }

    async fn reopen(&mut self, retention_bytes: u64) {
        self.place.options.retention_bytes = retention_bytes;
        self.intakes.clear();
        self.journal.clone().close().await;
        self.journal = self.place.open();
        self.intakes = intakes(&self.journal);
        self.model.open.clear();
        self.check().await;
    }

    async fn check(&self) {
        let bounds = self.journal.bounds();
        assert_eq!(bounds.durable.0, self.model.committed.len() as u64, "dense");
        for (number, name) in SYSTEMS.iter().enumerate() {
            assert_eq!(self.journal.checkpoint(&system(name)), self.model.checkpoints.get(&number).cloned());
        }
        // A trim may go on while this reads, so it starts where nothing is taken away: at the newest.
        let held = if self.place.options.retention_bytes == 1 << 30 { bounds.oldest } else { bounds.durable };
        for (sequence, chunks) in read_all(&self.journal, Sequence(held.0.saturating_sub(1))).await {
            assert_eq!(chunks, self.model.committed[sequence.0 as usize - 1], "body of {sequence}");
        }
    }
}

fn intakes(journal: &Journal) -> Vec<Intake> {
    SYSTEMS.iter().map(|name| journal.intake(&system(name))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_committed_is_there_in_order_and_nothing_else(events in prop::collection::vec(event(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        runtime.block_on(async {
            let mut run = Run::new();
            for event in events {
                run.apply(event).await;
            }
            run.reopen(1 << 30).await;
        });
    }
}
