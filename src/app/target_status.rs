//! What `GetStatus` says of a target: from our own types to the API's.

use super::doubts::{Doubt, Doubts};
use super::status::problem;
use crate::deliver::target::status::{State, TargetStatus};
use crate::deliver::target::table::{self, Table};
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use crate::model::time::UnixMicros;
use crate::wire::api::v1;

/// `durable`: the newest transaction of the journal.
pub(super) fn target(status: &TargetStatus, durable: Sequence, doubts: &Doubts) -> v1::TargetStatus {
    let (state, halt) = state(&status.state);
    let refused = status.refused.iter().map(|(name, problem)| refused(name, problem));
    v1::TargetStatus {
        target: status.target.to_string(),
        kind: "postgres".to_owned(),
        state: state.into(),
        sequence: status.sequence.0,
        lag_transactions: durable.0.saturating_sub(status.sequence.0),
        lag_seconds: status.lag_seconds(UnixMicros::now()),
        rows: status.rows,
        halt,
        tables: status.tables.iter().map(|one| table(one, status.sequence, doubts)).chain(refused).collect(),
        reconnects: status.reconnects,
    }
}

fn state(state: &State) -> (v1::TargetState, Option<v1::Problem>) {
    match state {
        State::Connecting => (v1::TargetState::Connecting, None),
        State::Writing => (v1::TargetState::Writing, None),
        State::Retrying(why) => (v1::TargetState::Retrying, Some(problem(why))),
        State::Halted(why) => (v1::TargetState::Halted, Some(problem(why))),
        State::Stopped => (v1::TargetState::Stopped, None),
    }
}

fn table(table: &Table, sequence: Sequence, doubts: &Doubts) -> v1::TargetTableStatus {
    let (state, halt) = match &table.state {
        table::State::Waiting | table::State::Refilling => (v1::TargetTableState::Waiting, None),
        table::State::Copying => (v1::TargetTableState::Copying, None),
        table::State::Ready => match doubts.of(&table.source, sequence) {
            None => (v1::TargetTableState::Ready, None),
            Some(Doubt::CopyWanted) => (v1::TargetTableState::Waiting, None),
            Some(Doubt::Halted(why)) => (v1::TargetTableState::Halted, Some(problem(&why))),
        },
        table::State::Halted(why) => (v1::TargetTableState::Halted, Some(problem(why))),
    };
    v1::TargetTableStatus {
        system: table.source.system.to_string(),
        schema: table.source.name.schema.to_string(),
        table: table.source.name.table.to_string(),
        target_schema: table.name.schema.to_string(),
        target_table: table.name.table.to_string(),
        state: state.into(),
        halt,
    }
}

/// A table that is selected and has no place in the target. Its name as a whole stands under `table`.
fn refused(name: &str, why: &Problem) -> v1::TargetTableStatus {
    v1::TargetTableStatus {
        table: name.to_owned(),
        state: v1::TargetTableState::Halted.into(),
        halt: Some(problem(why)),
        ..v1::TargetTableStatus::default()
    }
}
