//! Who does not read holds back nobody: not the source's log, not the connection to it, not another reader.

use crate::harness::follower::{Follower, Kind};
use crate::harness::load::{Load, create_tables, mark};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::{eventually, holds, seed};
use std::time::{Duration, Instant};
use tailwater::wire::api::v1::SourceState;

const WITHIN: Duration = Duration::from_secs(60);
const RETAINED_BYTES_MAX: u64 = 64 << 20;
const LAG_MAX: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_reads_delays_neither_the_source_nor_another_reader() {
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let tailwater = Tailwater::start(Setup::new(&postgres)).await;
    let door = tailwater.door();
    let blocked = door.never_read().await;
    let reader = Follower::start(door.clone(), Kind::Ephemeral);
    let load = Load::start(&postgres, seed());
    let enough = load.committed() + 300;
    eventually("the load goes on", WITHIN, async || holds(load.committed() > enough, || load.committed().to_string()))
        .await;
    let last = load.stop(&postgres).await;
    reader.reaches(&last, WITHIN).await;

    // What comes now must pass at once, while the other one is still held.
    for _ in 0..20 {
        let committed = Instant::now();
        reader.reaches(&mark(&postgres).await, LAG_MAX).await;
        assert!(committed.elapsed() < LAG_MAX, "it took {:?}", committed.elapsed());
    }
    let source = eventually("the source is told", WITHIN, async || {
        let source = door.source().await?;
        holds(source.retained_log_bytes < RETAINED_BYTES_MAX, || format!("{source:?}"))?;
        Ok(source)
    })
    .await;
    assert_eq!(source.reconnects, 0);
    drop(blocked);
}

#[tokio::test(flavor = "multi_thread")]
async fn intake_parked_by_a_full_disk_keeps_its_connection_and_says_why() {
    const SERVER_GIVES_UP_AFTER: Duration = Duration::from_secs(2);
    let postgres = Postgres::with_settings("wal_sender_timeout = 2s\n").await;
    create_tables(&postgres).await;
    // Attached once, so that there is a slot; then no disk has as much room as it wants, and intake waits.
    let mut tailwater = Tailwater::start(Setup::new(&postgres)).await;
    assert!(tailwater.stop().success());
    tailwater.configure(&Setup::new(&postgres).with("retention: {free_disk: 900 TiB}\n"));
    tailwater.up().await;
    let door = tailwater.door();
    for _ in 0..50 {
        mark(&postgres).await;
    }
    let parked = async || {
        let journal = door.status().await?.journal.unwrap_or_default();
        holds(journal.parked_code.starts_with("TW-JRN-"), || format!("{journal:?}"))
    };
    eventually("intake is parked with a code", WITHIN, parked).await;
    let walsender = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'tailwater_erp'";
    let first = postgres.text(walsender).await;
    assert!(first.is_some(), "it is connected");

    // Looks for three times as long as the server waits for an answer.
    let until = Instant::now() + 3 * SERVER_GIVES_UP_AFTER;
    eventually("the server could have given up", 2 * WITHIN, async || {
        assert_eq!(postgres.text(walsender).await, first, "the connection was lost while intake waited");
        holds(Instant::now() > until, || "not yet".into())
    })
    .await;
    let source = door.source().await.expect("tailwater runs");
    assert_eq!((source.state(), source.reconnects), (SourceState::Streaming, 0));
    parked().await.expect("still parked");
}
