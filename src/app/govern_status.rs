//! What `GetStatus` says of entities.

use super::status::{instant, problem};
use crate::govern::status::{EntityStatus, GovernStatus, State};
use crate::journal::Journal;
use crate::model::time::UnixMicros;
use crate::wire::api::v1;

pub(super) fn govern(status: &GovernStatus, journal: &Journal) -> v1::GovernStatus {
    v1::GovernStatus {
        sequence: status.sequence.0,
        lag_transactions: journal.bounds().durable.0.saturating_sub(status.sequence.0),
        entities: status.entities.iter().map(entity).collect(),
        halt: status.halt.as_ref().map(problem),
    }
}

fn entity(status: &EntityStatus) -> v1::EntityStatus {
    let (state, halt, waits_for) = match &status.state {
        State::Waiting(tables) => (v1::EntityState::Waiting, None, tables.clone()),
        State::Assembling => (v1::EntityState::Assembling, None, Vec::new()),
        State::Following => (v1::EntityState::Following, None, Vec::new()),
        State::Halted(why) => (v1::EntityState::Halted, Some(problem(why)), Vec::new()),
    };
    let verdicts = status.verdicts.iter().map(|verdicts| v1::VerdictStatus {
        field: verdicts.field.clone(),
        system: verdicts.system.clone(),
        owned: verdicts.owned,
        foreign: verdicts.foreign,
        noop: verdicts.noop,
    });
    let withheld = status.withheld.iter().map(|change| v1::WithheldChange {
        system: change.system.clone(),
        key: change.key.clone(),
        field: change.field.clone(),
        id: change.id,
        sequence: change.sequence,
        commit_time: Some(instant(UnixMicros(change.commit_time))),
    });
    v1::EntityStatus {
        entity: status.name.clone(),
        state: state.into(),
        halt,
        waits_for,
        entities: status.entities,
        linked: status.linked,
        verdicts: verdicts.collect(),
        withheld: withheld.collect(),
    }
}
