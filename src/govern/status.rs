//! What the entities show of themselves, for people and for machines.

use super::entity::Governed;
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use metrics::{counter, gauge};

pub const EVENTS: &str = "tailwater_entity_events_total";
pub const WITHHELD: &str = "tailwater_entity_withheld";
pub const ENTITIES: &str = "tailwater_entities";
pub const LINKED: &str = "tailwater_entities_linked";

#[derive(Clone, PartialEq, Debug, Default)]
pub struct GovernStatus {
    /// Every transaction of the journal up to here is governed.
    pub sequence: Sequence,
    pub entities: Vec<EntityStatus>,
    /// Why nothing is governed any more.
    pub halt: Option<Problem>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct EntityStatus {
    pub name: String,
    pub state: State,
    pub entities: u64,
    /// Of them in more than one system.
    pub linked: u64,
    pub verdicts: Vec<VerdictStatus>,
    /// The last ones, newest first.
    pub withheld: Vec<super::record::Withheld>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum State {
    /// For copies of these tables.
    Waiting(Vec<String>),
    Assembling,
    Following,
    Halted(Problem),
}

#[derive(Clone, PartialEq, Debug)]
pub struct VerdictStatus {
    pub field: String,
    pub system: String,
    pub owned: u64,
    pub foreign: u64,
    pub noop: u64,
}

impl EntityStatus {
    pub(super) fn of(governed: &Governed) -> Self {
        let (name, counts) = (governed.rule.entity.name.clone(), &governed.counts);
        let waits = governed.waits_for();
        let state = match governed.problem() {
            Some(problem) => State::Halted(problem),
            None if governed.is_following() => State::Following,
            None if waits.is_empty() => State::Assembling,
            None => State::Waiting(waits),
        };
        let foreign: u64 = counts.verdicts.iter().map(|verdicts| verdicts.foreign).sum();
        gauge!(WITHHELD, "entity" => name.clone()).set(foreign as f64);
        gauge!(ENTITIES, "entity" => name.clone()).set(counts.entities as f64);
        gauge!(LINKED, "entity" => name.clone()).set(counts.linked as f64);
        let verdicts = counts.verdicts.iter().map(|verdicts| VerdictStatus {
            field: verdicts.field.clone(),
            system: verdicts.system.clone(),
            owned: verdicts.owned,
            foreign: verdicts.foreign,
            noop: verdicts.noop,
        });
        Self {
            name,
            state,
            entities: counts.entities,
            linked: counts.linked,
            verdicts: verdicts.collect(),
            withheld: counts.withheld.iter().rev().cloned().collect(),
        }
    }
}

/// Events of an entity became durable.
pub(super) fn published(entity: &str, events: u64) {
    counter!(EVENTS, "entity" => entity.to_owned()).increment(events);
}
