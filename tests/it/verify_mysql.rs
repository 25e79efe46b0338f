//! `verify` against MySQL and MariaDB: it names what it cannot compare, and what the server has for every new session does not
//! reach it.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::Tailwater;
use crate::harness::warehouse::ready;
use crate::mysql_target::{setup, verify};
use mysql_async::prelude::Queryable;
use serde_json::Value;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(120);

fn of<'a>(report: &'a Value, table: &str) -> &'a Value {
    let tables = report["tables"].as_array().expect("a list");
    let found = tables.iter().find(|one| one["table"] == format!("erp.crm.{table}"));
    found.unwrap_or_else(|| panic!("{table} is not in {report:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_defaults_hide_no_difference_and_a_sequence_is_named() {
    for kind in Kind::ALL {
        let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
        server.execute("CREATE TABLE t (id int PRIMARY KEY, c char(6), at timestamp NULL, f float, b bit(3))").await;
        let rows = (1..=3000).map(|n| format!("({n}, 'a', '2026-01-01 12:00:00', 0.1, b'101')"));
        server.execute(&format!("INSERT INTO t VALUES {}", rows.collect::<Vec<_>>().join(", "))).await;
        let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
        ready(&tailwater.door(), &["t"], WITHIN).await;
        let mut client = server.client().await;
        let own = match kind {
            Kind::Mysql => {
                "SET GLOBAL max_execution_time = 1, GLOBAL show_gipk_in_create_table_and_information_schema = OFF"
            }
            Kind::Mariadb | Kind::MariadbNewer => {
                "SET GLOBAL max_statement_time = 0.001, GLOBAL system_versioning_asof = '2020-01-01'"
            }
        };
        let of_both = "SET GLOBAL sql_select_limit = 2, GLOBAL autocommit = 0, GLOBAL completion_type = 2, GLOBAL time_zone = '+05:00', \
             GLOBAL sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES,NO_BACKSLASH_ESCAPES', GLOBAL max_sort_length = 8, GLOBAL sql_auto_is_null = 1";
        for sql in [of_both, own] {
            client.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        let (success, report) = verify(&tailwater, &[]);
        assert!(success && of(&report, "t")["rows"] == 3000, "{kind:?}: {report:#}");
        warehouse.execute("UPDATE erp.t SET at = at + interval '5 hours', c = 'a     ' WHERE id = 2999").await;
        let (_, report) = verify(&tailwater, &[]);
        let different = &of(&report, "t")["differences"];
        assert_eq!(different[0]["columns"], serde_json::json!(["c", "at"]), "{kind:?}: {report:#}");
        warehouse.execute("UPDATE erp.t SET at = at - interval '5 hours', c = 'a' WHERE id = 2999").await;

        if kind != Kind::Mysql {
            client.query_drop("CREATE SEQUENCE crm.numbers").await.expect("made");
            let (success, report) = verify(&tailwater, &[]);
            let sequence = of(&report, "numbers");
            assert!(!success && report["equal"] == false && of(&report, "t")["result"] == "equal", "{report:#}");
            assert_eq!((&sequence["result"], &sequence["code"]), (&"not_captured".into(), &"TW-CLI-021".into()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_columns_that_the_log_leaves_out_are_named() {
    let (server, warehouse) = (Server::start(Kind::MariadbNewer).await, Postgres::start().await);
    server.execute("CREATE TABLE g (v int AS (id + 1), id int PRIMARY KEY, s int AS (id * 2) STORED)").await;
    server.execute("INSERT INTO g (id) VALUES (1), (2)").await;
    let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
    ready(&tailwater.door(), &["g"], WITHIN).await;
    server.execute("UPDATE g SET id = 3 WHERE id = 2").await;
    let (success, report) = verify(&tailwater, &[]);
    let g = of(&report, "g");
    assert!(success && g["result"] == "equal" && g["rows"] == 2, "{report:#}");
    assert_eq!(g["only_in_source"], serde_json::json!(["v", "s"]), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_table_is_named_though_its_rows_are_equal() {
    let (server, warehouse) = (Server::start(Kind::Mariadb).await, Postgres::start().await);
    server.execute("CREATE TABLE t (id int PRIMARY KEY)").await;
    server.execute("CREATE TABLE child (id int PRIMARY KEY, parent int)").await;
    server.execute("INSERT INTO t VALUES (1)").await;
    let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
    ready(&tailwater.door(), &["t", "child"], WITHIN).await;
    server.execute("ALTER TABLE child ADD CONSTRAINT k FOREIGN KEY (parent) REFERENCES t (id) ON DELETE CASCADE").await;
    crate::harness::eventually("it is halted", WITHIN, async || {
        let found = crate::harness::warehouse::table(&tailwater.door(), "child").await?;
        crate::harness::holds(found.halt.is_some(), || format!("{found:?}"))
    })
    .await;
    let (success, report) = verify(&tailwater, &[]);
    let child = of(&report, "child");
    assert!(!success && of(&report, "t")["result"] == "equal", "{report:#}");
    assert_eq!((&child["result"], &child["code"]), (&"not_ready".into(), &"TW-CLI-017".into()));
    assert!(child["message"].to_string().contains("TW-MYS-022"), "{child:#}");
}
