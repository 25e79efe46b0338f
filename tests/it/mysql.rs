//! MySQL and MariaDB as sources, from outside: whatever dies, and whenever, every committed change arrives exactly once and in
//! commit order; and the commands know them.

use crate::harness::follower::{Follower, Kind as Follow};
use crate::harness::mysql::{Kind, PASSWORD, Server, USER};
use crate::harness::postgres::Postgres;
use crate::harness::replica::{Replica, Table};
use crate::harness::schema::Row;
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::warehouse::ready;
use crate::harness::{eventually, holds, rounds, seed};
use crate::mysql_target;
use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tailwater::wire::api::v1;
use tokio::task::JoinHandle;

const KILLS: usize = 5;
const CATCH_UP_WITHIN: Duration = Duration::from_secs(120);
const WRITERS: u64 = 3;

const TABLES: [&str; 4] = [
    "CREATE TABLE ledger (entry varchar(80) PRIMARY KEY)",
    "CREATE TABLE accounts (id bigint unsigned PRIMARY KEY, owner varchar(80) CHARACTER SET latin1, balance decimal(20,2) NOT NULL, \
     changed datetime, note mediumtext)",
    "CREATE TABLE order_lines (account bigint unsigned NOT NULL, line int NOT NULL, what text, PRIMARY KEY (line, account))",
    "CREATE TABLE keyless (a int, b varchar(20))",
];

/// Enough that kills meet their copies.
const ROWS_BEFORE: [&str; 2] = [
    "INSERT INTO accounts WITH RECURSIVE d(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 199) \
     SELECT 2000 + a.n + b.n * 200, 'before', a.n / 7, '2026-01-01', REPEAT('y', 300) FROM d a, d b",
    "INSERT INTO keyless WITH RECURSIVE d(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 199) \
     SELECT a.n, 'before' FROM d a, d b WHERE b.n < 50",
];

pub fn setup(server: &Server) -> Setup {
    let kind = word(server.kind);
    Setup {
        system: format!(
            "kind: {kind}\nhost: 127.0.0.1\nport: {}\nuser: {USER}\npassword: {{env: ERP_PASSWORD}}\nsilence: 5s\n",
            server.port
        ),
        systems: String::new(),
        tables: vec!["crm.*".into()],
        server: "grpc: 127.0.0.1:0\nhttp: 127.0.0.1:0\n".into(),
        rest: String::new(),
        env: vec![("ERP_PASSWORD".into(), PASSWORD.into())],
    }
}

/// As in the config.
fn word(kind: Kind) -> &'static str {
    if kind == Kind::Mysql { "mysql" } else { "mariadb" }
}

/// Writers that survive the server's crashes.
struct Load {
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(server: &Arc<tokio::sync::RwLock<Server>>, seed: u64) -> Self {
        let (stop, committed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = (0..WRITERS).map(|writer| {
            let (server, stop, committed) = (Arc::clone(server), Arc::clone(&stop), Arc::clone(&committed));
            let mut random = StdRng::seed_from_u64(seed ^ writer);
            tokio::spawn(async move {
                let mut number = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut client) = server.read().await.try_client().await else {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    };
                    while !stop.load(Ordering::Relaxed) {
                        number += 1;
                        let statements = transaction(writer, number, &mut random);
                        let mut failed = false;
                        for statement in statements {
                            failed |= client.query_drop(statement).await.is_err();
                            if failed {
                                break;
                            }
                        }
                        if failed && client.query_drop("ROLLBACK").await.is_err() {
                            break;
                        }
                        committed.fetch_add(u64::from(!failed), Ordering::Relaxed);
                    }
                }
            })
        });
        let tasks = tasks.collect();
        Self { stop, committed, tasks }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a writer does not panic");
        }
        assert!(self.committed.load(Ordering::Relaxed) > 50, "the load did something");
    }
}

fn transaction(writer: u64, number: u64, random: &mut StdRng) -> Vec<String> {
    let mut statements = vec!["BEGIN".to_owned(), format!("INSERT INTO ledger VALUES ('{writer}/{number}')")];
    for _ in 0..random.random_range(1..5) {
        let id = random.random_range(0..500_u64);
        statements.push(match random.random_range(0..8) {
            0 | 1 => format!(
                "INSERT INTO accounts VALUES ({id}, 'ö{number}', {number}.25, '2026-06-17 14:22:00', REPEAT('x', {})) \
                 ON DUPLICATE KEY UPDATE balance = balance + 0.5, owner = '€'",
                random.random_range(0..20_000)
            ),
            2 => format!("UPDATE accounts SET balance = -balance, note = NULL WHERE id BETWEEN {id} AND {}", id + 20),
            3 => format!("DELETE FROM accounts WHERE id = {id}"),
            4 => format!("UPDATE IGNORE accounts SET id = id + 1000 WHERE id = {id}"),
            5 => format!("REPLACE INTO order_lines VALUES ({id}, {}, 'line {number}')", random.random_range(0..9)),
            6 => format!("INSERT INTO keyless VALUES ({}, 'same'), (NULL, NULL)", id % 5),
            _ => format!("DELETE FROM keyless WHERE a = {} LIMIT 2", id % 5),
        });
    }
    statements.push(if random.random_range(0..20) == 0 { "ROLLBACK".to_owned() } else { "COMMIT".to_owned() });
    statements
}

/// Fails when any table is not the same in the source and in the replica.
async fn assert_equal(server: &Server, catalog: &[v1::Table], replica: &Replica) {
    for table in catalog {
        let names: Vec<_> = table.columns.iter().map(|column| format!("`{}`", column.name)).collect();
        let sql = format!("SELECT {} FROM {}.{}", names.join(", "), table.schema, table.table);
        let mut source: BTreeMap<Row, usize> = BTreeMap::new();
        for row in server.rows(&sql).await {
            let numbers = table.columns.iter().map(|column| column.number);
            let row: Row = numbers.zip(row).filter_map(|(number, cell)| Some((number, cell?))).collect();
            *source.entry(row).or_default() += 1;
        }
        let here: BTreeMap<Row, usize> = match replica.tables.get(&format!("erp.{}.{}", table.schema, table.table)) {
            Some(Table::Keyed(rows)) => rows.values().map(|row| (row.clone(), 1)).collect(),
            Some(Table::Bag(rows)) => rows.clone(),
            None => BTreeMap::new(),
        };
        let differing: Vec<_> =
            source.keys().chain(here.keys()).filter(|row| source.get(*row) != here.get(*row)).collect();
        assert!(differing.is_empty(), "{}: {} differences, {:.1000?}", table.table, differing.len(), differing);
    }
}

async fn survives(kind: Kind) {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (server, mut warehouse) = (Server::start(kind).await, Postgres::start().await);
    for sql in TABLES.iter().chain(&ROWS_BEFORE) {
        server.execute(sql).await;
    }
    let mut tailwater = Tailwater::start(mysql_target::setup(&server, &warehouse)).await;
    let follower = Follower::start_with(tailwater.door(), Follow::Ephemeral, Replica::of_filled_tables());
    let server = Arc::new(tokio::sync::RwLock::new(server));
    let load = Load::start(&server, seed);
    for round in 0..rounds(KILLS) * 4 {
        // The moment is the test's subject, not a way of waiting for something.
        tokio::time::sleep(Duration::from_millis(random.random_range(50..1_500))).await;
        match round % 4 {
            0 => {
                tailwater.kill();
                tailwater.up().await;
            }
            1 => {
                warehouse.kill();
                warehouse.up().await;
            }
            2 => {
                let mut server = server.write().await;
                server.stop(Signal::KILL);
                server.up().await;
            }
            _ => {
                let server = server.read().await;
                let dumps = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'";
                for id in server.rows(dumps).await.into_iter().flatten().flatten() {
                    // It may have ended by itself.
                    let _ = server.client().await.query_drop(format!("KILL {id}")).await;
                }
            }
        }
        let from = follower.look(Replica::last_sequence);
        eventually("transactions arrive", CATCH_UP_WITHIN, async || {
            let now = follower.look(Replica::last_sequence);
            let source = tailwater.door().source().await;
            holds(now > from, || format!("still at {now}; {source:?}"))
        })
        .await;
    }
    ready(&tailwater.door(), &["ledger", "accounts", "order_lines", "keyless"], CATCH_UP_WITHIN).await;
    let (_, report) = mysql_target::verify(&tailwater, &["--wait", "60"]);
    for table in report["tables"].as_array().expect("a list") {
        let found = (&table["changed"], &table["missing"], &table["extra"]);
        assert_eq!(found, (&0.into(), &0.into(), &0.into()), "under load: {table:#}");
    }
    load.stop().await;
    let server = server.read().await;
    server.execute("INSERT INTO ledger VALUES ('the last')").await;
    follower.reaches("the last", CATCH_UP_WITHIN).await;
    let catalog = tailwater.door().tables().await;
    assert_eq!(catalog.len(), TABLES.len());
    let (equal, report) = mysql_target::verify(&tailwater, &[]);
    assert!(equal, "{report:#}");
    let replica = follower.stop().await;
    println!("{kind:?}: {} transactions", replica.applied.len());
    assert_equal(&server, &catalog, &replica).await;
    assert!(tailwater.is_running(), "the server's crashes needed no restart");
    assert!(!tailwater.log().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_tailwater_and_of_mysql_under_load_loses_and_doubles_nothing() {
    survives(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_tailwater_and_of_mariadb_under_load_loses_and_doubles_nothing() {
    survives(Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_status_and_subscribe_know_the_source() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        server.execute("CREATE TABLE t (id int PRIMARY KEY, due date)").await;
        let mut tailwater = Tailwater::new(&setup(&server));
        let check = tailwater.cli(&["check"]);
        assert!(check.status.success(), "{check:?}");
        tailwater.up().await;
        server.execute("INSERT INTO t VALUES (1, '0000-00-00')").await;
        let arguments = ["subscribe", "--table", "erp.crm.t", "--from", "earliest", "--limit", "1", "--format", "json"];
        let output = tailwater.cli(&arguments);
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON line");
        let due = serde_json::json!({"special": "zero or partial date", "text": "0000-00-00"});
        assert_eq!((&line["op"], &line["after"]["due"]), (&"INSERT".into(), &due));
        assert_eq!(line["position"], line["transaction"]);
        let source = &tailwater.status_json()["sources"][0];
        assert_eq!(source["kind"], word(kind), "{source}");
        server.execute("SET GLOBAL binlog_row_metadata = MINIMAL").await;
        let check = tailwater.cli(&["check", "--json"]);
        let text = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(!check.status.success() && text.contains("TW-MYS-001"), "{text}");
    }
}
