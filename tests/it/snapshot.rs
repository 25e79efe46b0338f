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

/// Tables with rows in them, and a load on them.
async fn filled() -> (Postgres, Load) {
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let load = Load::start(&postgres, seed());
    eventually("the tables are filled", WITHIN, async || {
        holds(load.committed() > 1_000, || format!("{} committed", load.committed()))
    })
    .await;
    (postgres, load)
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_filled_before_come_whole_by_copies_beside_the_load_through_kills() {
    let (postgres, load) = filled().await;
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

/// One ordered sequence from the rows that the tables have now, for any number of subscribers, through kills.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_subscribes_from_state_has_the_tables_whole_and_many_share_the_copies() {
    let (postgres, load) = filled().await;
    let mut tailwater = Tailwater::start(Setup::new(&postgres)).await;
    let from_state =
        |tailwater: &Tailwater| Follower::start_with(tailwater.door(), Kind::State, Replica::of_filled_tables());
    let mut followers: Vec<_> = (0..3).map(|_| from_state(&tailwater)).collect();
    eventually("a copy begins", WITHIN, async || {
        let begun = followers.iter().all(|follower| follower.look(Replica::last_sequence) > 0);
        holds(begun, || text(&tailwater, &["status"]))
    })
    .await;
    tailwater.kill();
    tailwater.up().await;
    let tables = tailwater.door().tables().await.len();
    let are_whole = async |followers: &[Follower]| {
        eventually("every table is copied", WITHIN, async || {
            let ended =
                |replica: &Replica| replica.copies.iter().map(|(table, _)| table).collect::<BTreeSet<_>>().len();
            let ended: Vec<_> = followers.iter().map(|follower| follower.look(ended)).collect();
            holds(ended.iter().all(|ended| *ended == tables), || {
                format!("{ended:?}; {}", text(&tailwater, &["status"]))
            })
        })
        .await;
    };
    are_whole(&followers).await;
    let copies = async || {
        let status = tailwater.door().source().await.expect("a status");
        let told_apart = status.tables.into_iter().filter(|table| table.identity != "none");
        told_apart.filter_map(|table| table.copy).map(|copy| copy.copy).collect::<Vec<_>>()
    };
    let before = copies().await;
    followers.push(from_state(&tailwater));
    are_whole(&followers).await;
    assert_eq!(copies().await, before, "the copies of the first ones are still held");
    let last = load.stop(&postgres).await;
    let catalog = tailwater.door().tables().await;
    for follower in followers {
        follower.reaches(&last, WITHIN).await;
        compare::assert_equal(&postgres, &catalog, &follower.stop().await).await;
    }
    let ledger = ["subscribe", "--table", "erp.public.ledger", "--from", "state", "--limit", "1", "--format", "json"];
    let line: serde_json::Value = serde_json::from_str(text(&tailwater, &ledger).trim()).expect("one JSON line");
    assert_eq!(line["op"], "READ", "{line}");
}

fn text(tailwater: &Tailwater, arguments: &[&str]) -> String {
    String::from_utf8_lossy(&tailwater.cli(arguments).stdout).into_owned()
}
