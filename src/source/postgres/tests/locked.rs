//! Somebody else's lock on a table holds up what is to be done with that table, and nothing else.

use super::attached::{Attached, streams};
use super::copy::{copied, level, request};
use super::*;
use crate::model::code;
use crate::model::name::TableName;
use crate::source::status::SourceStatus;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// The tests' own connections have other names, but for the one that asks.
const OURS: &str = "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity \
     WHERE application_name LIKE 'tailwater/%' AND pid <> pg_backend_pid()";
/// The walsender, the looks, the copies, and one on its way in or out.
const CONNECTIONS_MAX: u32 = 4;

async fn dba(server: &TestServer) -> Connection {
    let system = change(server.system(), |endpoint| endpoint.application = "dba".to_owned());
    Connection::open(&system.endpoint, Purpose::Queries).await.expect("in")
}

/// A VACUUM that takes for ever.
async fn vacuum(server: &TestServer, table: &'static str) -> JoinHandle<()> {
    let mut connection = dba(server).await;
    connection.query("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1").await.expect("settings");
    let running = tokio::spawn(async move {
        let _ = connection.query(&format!("VACUUM public.{table}")).await;
    });
    let holds = format!(
        "SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND mode = 'ShareUpdateExclusiveLock'"
    );
    while server.text(&holds).await == "0" {
        sleep(Duration::from_millis(10)).await;
    }
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_beside_locks_and_a_vacuum_streams_the_others_and_piles_nothing_up() {
    let server = TestServer::start("");
    server
        .sql(
            "CREATE TABLE free (id int PRIMARY KEY); CREATE TABLE taken (id int PRIMARY KEY); INSERT INTO taken VALUES (1); \
             CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); \
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (9); INSERT INTO parts VALUES (1); \
             CREATE TABLE swept (id int PRIMARY KEY); INSERT INTO swept SELECT generate_series(1, 100000)",
        )
        .await;
    let mut attached = Attached::to(server.system()).await;
    attached.stop().await;
    // One that is published and two that are to join.
    server.sql("CREATE TABLE late (id int PRIMARY KEY); ALTER PUBLICATION tailwater_erp DROP TABLE swept").await;
    server.sql("INSERT INTO free VALUES (1); DELETE FROM swept WHERE id % 2 = 0").await;
    let mut holder = dba(&server).await;
    holder.query("BEGIN; LOCK TABLE public.taken, public.parts_1, public.late").await.expect("locked");
    let vacuuming = vacuum(&server, "swept").await;

    let started = Instant::now();
    attached.start();
    attached.until(streams).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    for table in ["parts", "taken", "free"] {
        request(&attached, table).await;
    }
    let soon = timeout(Duration::from_secs(20), copied(&attached, "free"));
    assert_eq!(soon.await.expect("it waits for no lock of others").rows, 1);
    level(&mut attached, &server).await;
    let late = TableName::new("public", "late");
    let is_locked = |status: &SourceStatus| {
        let table = status.tables.iter().find(|table| table.name == late);
        table.and_then(|table| status.halt_of(table)).is_some_and(|problem| problem.code == code::TABLE_LOCKED)
    };
    attached.until(is_locked).await;
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(40) {
        let rows = server.sql(OURS).await;
        let (all, waiting): (u32, u32) = (rows[0].some(0).expect("a number"), rows[0].some(1).expect("a number"));
        assert!(all <= CONNECTIONS_MAX && waiting <= 1, "{all} connections, {waiting} of them wait for a lock");
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(attached.until(streams).await.reconnects, 0);
    holder.query("COMMIT").await.expect("let go");
    for table in ["parts", "taken", "late"] {
        timeout(Duration::from_secs(60), copied(&attached, table)).await.expect("it goes on");
    }
    attached.end().await;
    vacuuming.abort();
}
