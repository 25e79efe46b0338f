//! Where a target stands, held against what the journal has: whether it can go on, and from where.
//!
//! Surprise: that the journal holds the target's sequence proves nothing. An older copy of it that was put back gives the same
//! sequences to other transactions once it has grown, so the history up to there is compared too.

use super::Context;
use super::connection::Target as Connection;
use super::failure::Failure;
use super::ledger::{self, Position};
use crate::journal::{Journal, ReadError};
use crate::model::code;
use crate::model::position::{History, Reached};
use crate::model::problem::Problem;
use crate::source::postgres::Fault;

/// Where to go on from: where the target stands, or for a new one the end of the journal.
pub async fn judge(positions: &[Position], journal: &Journal) -> Result<Reached, Failure> {
    let (ours, bounds) = (journal.epoch().to_string(), journal.bounds());
    if let Some(other) = positions.iter().find(|position| position.epoch != ours) {
        let message = format!("its position is of journal {}, ours is {ours}", other.epoch);
        return Err(Failure::Halt(Problem::new(code::TARGET_OF_ANOTHER_JOURNAL, message)));
    }
    let sequences = || positions.iter().map(|position| position.reached.sequence);
    let (Some(sequence), Some(newest)) = (sequences().min(), sequences().max()) else {
        return journal.newest().await.map_err(|error| unreadable(&error));
    };
    if newest > bounds.durable {
        let message = format!("it has applied sequence {newest}, the journal ends at {}", bounds.durable);
        return Err(Failure::Halt(Problem::new(code::TARGET_AHEAD, message)));
    }
    if newest != sequence {
        let message = format!("its systems stand at {sequence} and at {newest}");
        return Err(Failure::Halt(Problem::new(code::TARGET_STATE_UNREADABLE, message)));
    }
    if sequence.next() < bounds.oldest {
        let message = format!("it has applied sequence {sequence}, the journal starts at {}", bounds.oldest);
        return Err(Failure::Halt(Problem::new(code::TARGET_RESUME_POINT_GONE, message)));
    }
    let history = journal.history(sequence).await.map_err(|error| unreadable(&error))?;
    same_history(positions, history)?;
    Ok(Reached { sequence, history: Some(history) })
}

/// Where an earlier version noted the place there is nothing to compare.
fn same_history(positions: &[Position], ours: History) -> Result<(), Failure> {
    let is_other = |position: &&Position| position.reached.history.is_some_and(|theirs| theirs != ours);
    let Some(Position { reached: Reached { sequence, .. }, .. }) = positions.iter().find(is_other) else {
        return Ok(());
    };
    let message = format!("up to sequence {sequence} it has applied other transactions than the journal holds");
    Err(Failure::Halt(Problem::new(code::TARGET_AHEAD, message)))
}

/// Systems that are new to the target stand where it does; what an earlier version noted gets its history.
pub async fn take_places(
    context: &Context,
    connection: &mut Connection,
    mut stands: Vec<Position>,
    reached: Reached,
) -> Result<Vec<Position>, Failure> {
    let (target, epoch) = (&context.target.name, context.journal.epoch());
    if stands.iter().any(|position| position.reached != reached) {
        tracing::info!(%target, sequence = reached.sequence.0, "noting the journal's history at the target");
        connection.query(&ledger::note_history(target, reached)).await?;
        stands.iter_mut().for_each(|position| position.reached = reached);
    }
    for system in context.names.systems() {
        if !stands.iter().any(|position| position.system == *system) {
            connection.query(&ledger::set_position(target, system, epoch, reached)).await?;
            stands.push(Position { system: system.clone(), epoch: epoch.to_string(), reached });
        }
    }
    stands.sort_by(|one, other| one.system.cmp(&other.system));
    Ok(stands)
}

/// What it means for the target that the journal does not give what comes next.
pub fn unreadable(error: &ReadError) -> Failure {
    match error {
        ReadError::Trimmed { oldest } => {
            let message = format!("the journal starts at sequence {oldest} now");
            Failure::Halt(Problem::new(code::TARGET_RESUME_POINT_GONE, message))
        }
        ReadError::Damaged(problem) => {
            Failure::Halt(Problem::new(code::TARGET_JOURNAL_UNREADABLE, problem.to_string()))
        }
        ReadError::Closed => Failure::Fault(Fault::Closed),
    }
}
