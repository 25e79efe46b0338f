//! Large things in little memory: a transaction of a million rows, and a reader that never reads while the load goes on.

use crate::harness::follower::{Follower, Kind as Follow};
use crate::harness::load::{Load, create_tables, mark};
use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::warehouse::{self, passed, ready};
use crate::harness::{eventually, holds, rounds, seed};
use crate::mysql_target;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(180);
const MEMORY_BYTES_MAX: u64 = 256 << 20;
const RETAINED_BYTES_MAX: u64 = 64 << 20;
/// Of nine looks in ten: the tests beside this one use the same processors.
// The load alters tables, each of which is copied again beside it.
const LAG_MAX: Duration = Duration::from_secs(5);
const ROWS: u64 = 1_000_000;

/// The most that the process ever had resident.
fn peak_bytes(tailwater: &Tailwater) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", tailwater.pid())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says");
    peak.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).expect("a number") * 1024
}

fn assert_small(tailwater: &Tailwater) {
    let peak = peak_bytes(tailwater);
    println!("{} MiB at most", peak >> 20);
    assert!(peak <= MEMORY_BYTES_MAX, "{} MiB", peak >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_a_million_rows_of_postgres_needs_no_more_memory_than_others() {
    let (source, warehouse) = (Postgres::start().await, Postgres::start_another().await);
    source.execute_as_owner("CREATE TABLE t (id int PRIMARY KEY, filler text)").await;
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    ready(&tailwater.door(), &["t"], WITHIN).await;
    source
        .execute_as_owner(&format!("INSERT INTO t SELECT n, repeat('x', 150) FROM generate_series(1, {ROWS}) n"))
        .await;
    passed(&source, &tailwater.door(), WITHIN).await;
    let rows = warehouse.text("SELECT count(*) FROM erp.t").await;
    assert_eq!(rows, Some(ROWS.to_string()));
    assert_small(&tailwater);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_a_million_rows_of_mysql_needs_no_more_memory_than_others() {
    let (server, warehouse) = (Server::start(Kind::Mysql).await, Postgres::start().await);
    server.execute("CREATE TABLE t (id int PRIMARY KEY, filler text)").await;
    let tailwater = Tailwater::start(mysql_target::setup(&server, &warehouse)).await;
    ready(&tailwater.door(), &["t"], WITHIN).await;
    let thousand = "WITH RECURSIVE d(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 999)";
    server.execute(&format!("INSERT INTO t {thousand} SELECT a.n * 1000 + b.n, REPEAT('x', 150) FROM d a, d b")).await;
    eventually("every row is there", WITHIN, async || {
        let rows = warehouse.text("SELECT count(*) FROM erp.t").await;
        holds(rows == Some(ROWS.to_string()), || format!("{rows:?}"))
    })
    .await;
    assert_small(&tailwater);
}

/// Ten minutes in a soak, some seconds otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_reads_for_long_costs_neither_memory_nor_log_nor_anybodys_time() {
    let until = Instant::now() + Duration::from_secs(12 * rounds(1) as u64);
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let tailwater = Tailwater::start(Setup::new(&postgres)).await;
    let door = tailwater.door();
    let blocked = door.never_read().await;
    let reader = Follower::start(door.clone(), Follow::Ephemeral);
    let load = Load::start(&postgres, seed());
    let mut lags = Vec::new();
    while Instant::now() < until {
        let committed = Instant::now();
        reader.reaches(&mark(&postgres).await, WITHIN).await;
        lags.push(committed.elapsed());
        // The server lets go of its log only where it has written down what runs, which it else does every 15 seconds.
        postgres.execute("CHECKPOINT").await;
        let source = door.source().await.expect("it answers");
        assert!(source.retained_log_bytes < RETAINED_BYTES_MAX, "{source:?}");
        assert_small(&tailwater);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    lags.sort();
    let most = lags[lags.len() * 9 / 10];
    println!("{} looks, nine in ten within {most:?}", lags.len());
    assert!(most < LAG_MAX, "{lags:?}");
    load.stop(&postgres).await;
    drop(blocked);
}
