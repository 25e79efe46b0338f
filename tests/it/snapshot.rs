//! Tables that held rows before anybody looked: a copy beside the load makes them whole at a subscriber.

use crate::harness::follower::{Follower, Kind};
use crate::harness::load::{Load, create_tables};
use crate::harness::postgres::Postgres;
use crate::harness::replica::Replica;
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::{compare, eventually, holds, seed};
use std::collections::BTreeSet;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn tables_filled_before_come_whole_by_copies_beside_the_load_through_kills() {
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let load = Load::start(&postgres, seed());
    eventually("the tables are filled", WITHIN, async || {
        holds(load.committed() > 1_000, || format!("{} committed", load.committed()))
    })
    .await;
    let mut tailwater = Tailwater::start(Setup::new(&postgres)).await;
    let follower = Follower::start_with(tailwater.door(), Kind::Ephemeral, Replica::of_filled_tables());

    let refused = tailwater.cli(&["snapshot", "erp.public.nothing"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("TW-DLV-010"), "{refused:?}");
    let asked = tailwater.cli(&["snapshot", "erp.public.*", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    let tables: BTreeSet<String> = serde_json::from_value(answer["tables"].clone()).expect("names");
    assert_eq!(tables.len(), 9, "{tables:?}");

    for kills in 0..2 {
        eventually("a copy comes on", WITHIN, async || {
            let copies = follower.look(|replica| replica.copies.len());
            holds(copies > kills, || format!("{copies} ended; {}", text(&tailwater, &["status"])))
        })
        .await;
        tailwater.kill();
        tailwater.up().await;
    }
    eventually("every table is copied", WITHIN, async || {
        let copied: BTreeSet<_> =
            follower.look(|replica| replica.copies.iter().map(|(table, _)| table.clone()).collect());
        holds(copied == tables, || format!("{copied:?}; {}", text(&tailwater, &["status"])))
    })
    .await;
    let last = load.stop(&postgres).await;
    follower.reaches(&last, WITHIN).await;
    let replica = follower.stop().await;
    compare::assert_equal(&postgres, &tailwater.door().tables().await, &replica).await;
    assert!(replica.copies.iter().any(|(_, rows)| *rows > 0), "{:?}", replica.copies);
}

fn text(tailwater: &Tailwater, arguments: &[&str]) -> String {
    String::from_utf8_lossy(&tailwater.cli(arguments).stdout).into_owned()
}
