//! PostgreSQL into PostgreSQL, beside native logical replication.

use crate::harness::postgres::{DATABASE, PASSWORD, Postgres, USER};
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::warehouse::ready;
use crate::meter::{self, Measured};
use crate::postgres::{SETTINGS, backlog};
use crate::{Outcome, Size, workload};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const WITHIN: Duration = Duration::from_secs(60);

pub async fn run(size: &Size) -> Outcome {
    let source = Postgres::with_settings(SETTINGS).await;
    // Else the apply worker may take five seconds to start.
    let settings = format!("{SETTINGS}wal_retrieve_retry_interval = 50ms\n");
    let warehouse = Postgres::start_another_with(&settings).await;
    let create = [workload::create("timestamptz", "timestamp"), workload::DONE.to_owned()].join("; ");
    source.execute_as_owner(&create).await;
    source.execute("CREATE PUBLICATION native FOR TABLE orders, done").await;
    let mut readers = Vec::new();
    for turn in 0..size.turns {
        let maintenance = warehouse.socket().connect("postgres", "postgres").await.expect("the server is up");
        for database in [format!("native{turn}"), format!("lake{turn}")] {
            maintenance.batch_execute(&format!("CREATE DATABASE {database} OWNER {USER}")).await.expect("a database");
        }
        let native = warehouse.socket().connect("postgres", &format!("native{turn}")).await.expect("it was made");
        native.batch_execute(&create).await.expect("tables");
        let subscribe = format!(
            "CREATE SUBSCRIPTION native{turn} CONNECTION 'host={} port={} user=postgres dbname={DATABASE}' PUBLICATION native \
             WITH (copy_data = false, enabled = true)",
            source.socket_dir().display(),
            source.port()
        );
        native.batch_execute(&subscribe).await.expect("a subscription");
        native.batch_execute(&format!("ALTER SUBSCRIPTION native{turn} DISABLE")).await.expect("disabled");
        let lake = format!("lake{turn}");
        let target = format!(
            "targets:\n  warehouse:\n    kind: postgres\n    host: 127.0.0.1\n    port: {}\n    user: {USER}\n    \
             password: {{env: ERP_PASSWORD}}\n    database: {lake}\n    tables: {{include: [\"erp.*\"]}}\n",
            warehouse.port()
        );
        let mut setup = Setup::new(&source).with(&target);
        setup.system += &format!("slot: tailwater_{turn}\npublication: tailwater_{turn}\n");
        assert_eq!(setup.env, [("ERP_PASSWORD".to_owned(), PASSWORD.to_owned())]);
        let mut tailwater = Tailwater::start(setup).await;
        ready(&tailwater.door(), &["orders", "done"], WITHIN).await;
        assert!(tailwater.stop().success());
        let lake = warehouse.socket().connect("postgres", &lake).await.expect("it was made");
        readers.push((native, lake, tailwater));
    }
    backlog(&source, size).await;
    source.execute_as_owner("INSERT INTO done VALUES (1)").await;
    let expected = source.rows(workload::SUMS).await;
    let mut turns = Vec::new();
    for (turn, (native, lake, mut tailwater)) in readers.into_iter().enumerate() {
        let mut measured = (None, None);
        for ours in [turn % 2 == 1, turn % 2 == 0] {
            if ours {
                measured.1 = Some(apply(&lake, &mut tailwater).await);
                assert_eq!(sums(&lake, "erp.").await, expected);
            } else {
                measured.0 = Some(native_apply(&native, turn).await);
                assert_eq!(sums(&native, "").await, expected);
            }
        }
        turns.push((measured.0.expect("measured"), measured.1.expect("measured")));
    }
    Outcome { what: "PostgreSQL into a PostgreSQL target", peer: "native logical replication", turns }
}

async fn sums(client: &Client, schema: &str) -> Vec<Vec<Option<String>>> {
    let sql =
        workload::SUMS.replace("FROM orders", &format!("FROM {schema}orders")).replace("COUNT(*)", "COUNT(*)::text");
    let sql = sql.replace("SUM(id)", "SUM(id)::text").replace("AS DECIMAL(30,0))", "AS DECIMAL(30,0))::text");
    let row = client.query_one(&sql, &[]).await.expect("sums");
    vec![(0..3).map(|at| row.get::<_, Option<String>>(at)).collect()]
}

async fn apply(lake: &Client, tailwater: &mut Tailwater) -> Measured {
    let started = Instant::now();
    tailwater.spawn();
    until_done(lake, "erp.done").await;
    let seconds = started.elapsed().as_secs_f64();
    let (cpu_seconds, peak_bytes) = meter::usage(tailwater.pid()).expect("it runs");
    assert!(tailwater.stop().success());
    Measured { seconds, cpu_seconds, peak_bytes }
}

/// Memory and CPU of the worker that applies.
async fn native_apply(native: &Client, turn: usize) -> Measured {
    let started = Instant::now();
    native.batch_execute(&format!("ALTER SUBSCRIPTION native{turn} ENABLE")).await.expect("enabled");
    until_done(native, "done").await;
    let seconds = started.elapsed().as_secs_f64();
    let worker = "SELECT pid FROM pg_stat_subscription WHERE pid IS NOT NULL AND subname = $1";
    let pid: i32 = native.query_one(worker, &[&format!("native{turn}")]).await.expect("it applies").get(0);
    let (cpu_seconds, peak_bytes) = meter::usage(pid.unsigned_abs()).expect("it runs");
    native.batch_execute(&format!("ALTER SUBSCRIPTION native{turn} DISABLE")).await.expect("disabled");
    Measured { seconds, cpu_seconds, peak_bytes }
}

async fn until_done(client: &Client, table: &str) {
    let sql = format!("SELECT count(*) FROM {table}");
    while client.query_one(&sql, &[]).await.expect("it answers").get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
