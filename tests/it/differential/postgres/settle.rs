//! The end of a round: each table is the same, or halted with a code.

use super::world;
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::Door;
use crate::harness::warehouse::{self, difference, passed};
use std::time::{Duration, Instant};
use tailwater::wire::api::v1::{SourceState, TargetTableState};
use tokio::time::sleep;

/// Tailwater looks at the catalogue every 10 s.
const LOOK: Duration = Duration::from_secs(12);
const WITHIN: Duration = Duration::from_secs(240);

enum State {
    Same,
    Halted(String),
    Not(String),
}

/// Gives the halted tables with their codes.
pub async fn settle(source: &Postgres, warehouse: &Postgres, door: &Door) -> Vec<(String, String)> {
    sleep(LOOK).await;
    passed(source, door, WITHIN).await;
    let deadline = Instant::now() + WITHIN;
    loop {
        let (mut halted, mut wrong) = (Vec::new(), Vec::new());
        for (table, _) in world::tables(&source.client().await).await {
            match state(source, warehouse, door, &table).await {
                State::Same => {}
                State::Halted(code) => halted.push((table, code)),
                State::Not(why) => wrong.push(format!("{table}: {why}")),
            }
        }
        if wrong.is_empty() {
            return halted;
        }
        assert!(Instant::now() < deadline, "neither the same nor halted:\n{}", wrong.join("\n"));
        sleep(Duration::from_secs(1)).await;
    }
}

async fn state(source: &Postgres, warehouse: &Postgres, door: &Door, table: &str) -> State {
    let status = match door.source().await {
        Ok(status) => status,
        Err(why) => return State::Not(why),
    };
    assert!(status.state() != SourceState::Halted, "the whole source halts: {status:?}");
    let Some(captured) = status.tables.iter().find(|found| found.table == table) else {
        return State::Not("it is not captured".to_owned());
    };
    if let Some(halt) = &captured.halt {
        return State::Halted(halt.code.clone());
    }
    match warehouse::table(door, table).await {
        Ok(found) if found.state() == TargetTableState::Ready => match difference(source, warehouse, table).await {
            None => State::Same,
            Some(difference) => State::Not(difference),
        },
        Ok(found) => match found.halt {
            Some(halt) => State::Halted(halt.code),
            None => State::Not(format!("{:?}, {:?}", found.state(), captured.copy)),
        },
        Err(why) => State::Not(why.chars().take(100).collect()),
    }
}
