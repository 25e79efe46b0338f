//! The end of a round: each table is the same, or halted with a code.

use super::compare::difference;
use super::world::{self, MARK};
use crate::harness::mysql::Server;
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::Door;
use crate::harness::warehouse;
use crate::harness::{eventually, holds};
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
pub async fn settle(server: &Server, warehouse: &Postgres, door: &Door, round: usize) -> Vec<(String, String)> {
    sleep(LOOK).await;
    passed(server, warehouse, door, round).await;
    let deadline = Instant::now() + WITHIN;
    loop {
        let (mut halted, mut wrong) = (Vec::new(), Vec::new());
        for table in world::tables(server).await {
            match state(server, warehouse, door, &table).await {
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

/// Waits until the target has what the source committed last.
async fn passed(server: &Server, warehouse: &Postgres, door: &Door, round: usize) {
    server.execute(&format!("REPLACE INTO {MARK} VALUES (1, {round})")).await;
    eventually("the target has the last row", WITHIN, async || {
        let source = door.source().await?;
        assert!(source.state() != SourceState::Halted, "the whole source halts: {source:?}");
        let there = warehouse.text(&format!("SELECT n FROM erp.{MARK}")).await;
        holds(there == Some(round.to_string()), || format!("{there:?}, {source:?}"))
    })
    .await;
}

async fn state(server: &Server, warehouse: &Postgres, door: &Door, table: &str) -> State {
    let status = match door.source().await {
        Ok(status) => status,
        Err(why) => return State::Not(why),
    };
    assert!(status.state() != SourceState::Halted, "the whole source halts: {status:?}");
    let Some(captured) = status.tables.iter().find(|found| found.schema == "crm" && found.table == table) else {
        return State::Not("it is not captured".to_owned());
    };
    if let Some(halt) = &captured.halt {
        return State::Halted(halt.code.clone());
    }
    match warehouse::table(door, table).await {
        Ok(found) if found.state() == TargetTableState::Ready => match difference(server, warehouse, table).await {
            None => State::Same,
            Some(difference) => State::Not(format!("{difference}\n  {:?}", captured.copy)),
        },
        Ok(found) => match found.halt {
            Some(halt) => State::Halted(halt.code),
            None => State::Not(format!("{:?}, {:?}", found.state(), captured.copy)),
        },
        Err(why) => State::Not(why.chars().take(100).collect()),
    }
}
