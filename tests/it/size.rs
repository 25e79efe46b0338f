//! Large things in little memory: a transaction of a million rows, and a reader that never reads while the load goes on.

use crate::harness::follower::{Follower, Kind as Follow};
use crate::harness::load::{Load, create_tables, mark};
use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::warehouse::{self, passed, ready};
use crate::harness::{eventually, holds, rounds, seed};
use crate::mysql_target;
use mysql_async::prelude::Queryable;
use prost::Message as _;
use std::time::{Duration, Instant};
use tailwater::wire::api::v1::frame::Frame;

const WITHIN: Duration = Duration::from_secs(180);
const MEMORY_BYTES_MAX: u64 = 256 << 20;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
const RETAINED_BYTES_MAX: u64 = 64 << 20;
/// Of nine looks in ten: the tests beside this one use the same processors.
// The load alters tables, each of which is copied again beside it.
const LAG_MAX: Duration = Duration::from_secs(5);
const ROWS: u64 = 1_000_000;
/// Of one row.
const HUGE_BYTES: u64 = 300 << 20;

/// The most that the process ever had resident.
fn peak_bytes(tailwater: &Tailwater) -> u64 {
    memory_bytes(tailwater, "VmHWM:")
}

fn memory_bytes(tailwater: &Tailwater, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", tailwater.pid())).expect("it runs");
    let memory = status.lines().find_map(|status| status.strip_prefix(line)).expect("Linux says");
    memory.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).expect("a number") * 1024
}

/// Waits until the row is in the journal, and then until the memory that it took is given back.
async fn gives_memory_back(tailwater: &Tailwater) {
    let door = tailwater.door();
    eventually("the row is journaled", WITHIN, async || {
        let journal = door.status().await?.journal.ok_or("no journal")?;
        holds(journal.bytes >= HUGE_BYTES, || format!("{journal:?}"))
    })
    .await;
    println!("{} MiB at most", peak_bytes(tailwater) >> 20);
    eventually("the memory is given back", WITHIN, async || {
        let resident = memory_bytes(tailwater, "VmRSS:");
        holds(resident <= MEMORY_BYTES_MAX / 2, || format!("{} MiB", resident >> 20))
    })
    .await;
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

/// What is one byte in the log is 255 characters in a message.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_wide_enums_in_events_of_64_mib_need_no_more_memory_and_come_in_small_messages() {
    const ROWS: usize = 200_000;
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::with_options(kind, &["--binlog-row-event-max-size=64M"]).await;
        let label = "x".repeat(255);
        let columns: String = (0..8).map(|at| format!(", e{at} enum('a', '{label}')")).collect();
        server.execute(&format!("CREATE TABLE t (id int PRIMARY KEY{columns})")).await;
        let mut setup = mysql_target::setup(&server, &Postgres::start().await);
        setup.rest.clear();
        let tailwater = Tailwater::start(setup).await;
        let mut client = server.client().await;
        let values = ", 2".repeat(8);
        let digits = "SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 \
             UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9";
        let sql = format!(
            "INSERT INTO t WITH d AS ({digits}) SELECT ((((a.n * 10 + b.n) * 10 + c.n) * 10 + d.n) * 10 + e.n) * 2 + f.n{values} \
             FROM d a, d b, d c, d d, d e, (SELECT 0 n UNION ALL SELECT 1) f"
        );
        client.query_drop(sql).await.expect("inserted");
        let (mut rows, mut largest) = (0, 0);
        let mut stream = tailwater.door().never_read().await.into_inner();
        while rows < ROWS {
            let message = tokio::time::timeout(WITHIN, stream.message()).await.expect("in time").expect("no error");
            let message = message.expect("it goes on");
            largest = largest.max(message.encoded_len());
            for frame in message.frames {
                if let Some(Frame::Changes(changes)) = frame.frame {
                    rows += changes.changes.len();
                }
            }
        }
        println!("{kind:?}: {rows} rows, messages of {largest} bytes at most");
        assert!(rows == ROWS && largest <= MESSAGE_BYTES_MAX, "{rows} rows, {largest} bytes");
        assert_small(&tailwater);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_of_300_mib_of_postgres_gives_its_memory_back() {
    let source = Postgres::start().await;
    source.execute_as_owner("CREATE TABLE t (id int PRIMARY KEY, filler text)").await;
    let tailwater = Tailwater::start(Setup::new(&source)).await;
    source.execute_as_owner(&format!("INSERT INTO t VALUES (1, repeat('x', {HUGE_BYTES}))")).await;
    gives_memory_back(&tailwater).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_of_300_mib_of_mysql_gives_its_memory_back() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        // A tenth of the log may be of one row.
        let log = if kind == Kind::Mysql { "--innodb-redo-log-capacity=4G" } else { "--innodb-log-file-size=4G" };
        let server = Server::with_options(kind, &["--max-allowed-packet=1G", log]).await;
        server.execute("CREATE TABLE t (id int PRIMARY KEY, filler longtext)").await;
        let mut setup = mysql_target::setup(&server, &Postgres::start().await);
        setup.rest.clear();
        let tailwater = Tailwater::start(setup).await;
        server.execute(&format!("INSERT INTO t VALUES (1, REPEAT('x', {HUGE_BYTES}))")).await;
        gives_memory_back(&tailwater).await;
    }
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
