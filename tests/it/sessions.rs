//! What a server or a role has for every new session does not reach those of Tailwater: no row is cut off, nothing is ended.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::{Postgres, Version};
use crate::harness::tailwater::Tailwater;
use crate::harness::warehouse::{self, assert_same, ready};
use crate::mysql_target;
use crate::unseen_mysql;
use mysql_async::prelude::Queryable;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_postgresql_role_end_no_copy() {
    let (source, warehouse) = (Postgres::of_version(Version::V17).await, Postgres::start_another().await);
    source
        .execute_as_owner(
            "CREATE TABLE t (id int PRIMARY KEY, a int[]); INSERT INTO t SELECT n, '{1,NULL}' FROM generate_series(1, 300000) n",
        )
        .await;
    for (name, value) in [
        ("transaction_timeout", "50"),
        ("idle_in_transaction_session_timeout", "5"),
        ("statement_timeout", "50"),
        ("datestyle", "'SQL, DMY'"),
    ] {
        source.execute(&format!("ALTER ROLE tailwater SET {name} = {value}")).await;
    }
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    ready(&tailwater.door(), &["t"], WITHIN).await;
    assert_same(&source, &warehouse, &["t"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_of_mysql_and_mariadb_sessions_cut_no_rows_off_and_end_no_copy() {
    for kind in Kind::ALL {
        let (source, warehouse) = (Server::start(kind).await, Postgres::start().await);
        source.execute("CREATE TABLE t (id int PRIMARY KEY, n int)").await;
        let rows: Vec<_> = (0..3000).map(|n| format!("({n}, {n})")).collect();
        source.execute(&format!("INSERT INTO t VALUES {}", rows.join(", "))).await;
        let of_one = match kind {
            Kind::Mysql => ["SET GLOBAL max_execution_time = 1", "SET GLOBAL max_execution_time = 0"],
            Kind::Mariadb | Kind::MariadbNewer => [
                "SET GLOBAL max_statement_time = 0.001, GLOBAL idle_transaction_timeout = 1",
                "SET GLOBAL max_statement_time = 0, GLOBAL idle_transaction_timeout = 0",
            ],
        };
        let of_both = "SET GLOBAL sql_select_limit = 2, GLOBAL autocommit = 0, GLOBAL completion_type = 2";
        let mut client = source.client().await;
        for sql in [of_both, of_one[0]] {
            client.query_drop(sql).await.expect("set");
        }
        let tailwater = Tailwater::start(mysql_target::setup(&source, &warehouse)).await;
        let door = tailwater.door();
        ready(&door, &["t"], WITHIN).await;
        let reset = "SET GLOBAL sql_select_limit = DEFAULT, GLOBAL autocommit = 1, GLOBAL completion_type = 0";
        for sql in [reset, of_one[1]] {
            client.query_drop(sql).await.expect("set");
        }
        unseen_mysql::assert_same(&source, &warehouse, &door, "t").await;
    }
}

/// What a role can have for its sessions, each the worst of its kind.
const HOSTILE_TO_POSTGRES: &[(&str, &str)] = &[
    ("transaction_timeout", "200"),
    ("idle_in_transaction_session_timeout", "5"),
    ("idle_session_timeout", "50"),
    ("statement_timeout", "50"),
    ("lock_timeout", "1"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_isolation", "'serializable'"),
    ("default_transaction_deferrable", "on"),
    ("row_security", "on"),
    ("extra_float_digits", "-15"),
    ("bytea_output", "'escape'"),
    ("datestyle", "'German, DMY'"),
    ("intervalstyle", "'sql_standard'"),
    ("timezone", "'Asia/Kathmandu'"),
    ("xmlbinary", "'hex'"),
    ("xmloption", "'document'"),
    ("search_path", "'information_schema'"),
    ("quote_all_identifiers", "on"),
    ("transform_null_equals", "on"),
    ("array_nulls", "off"),
    ("client_encoding", "'LATIN1'"),
    ("wal_sender_timeout", "0"),
];

const ODD_VALUES: &str = "SELECT n, n / 3.0::float8, (n / 7.0)::float4, n / 11.0, now() + n * interval '1 hour', \
     timestamp '2026-02-01' + n * interval '1 day', n * interval '-1 day 3 hours', decode(md5(n::text), 'hex'), ARRAY['NULL', NULL, n::text], \
     ('<a n=\"' || n || '\"/>text')::xml, n::text::money, ARRAY[n]::\"Of Its Own\"[], 'ü€' || n FROM generate_series";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_postgresql_role_has_for_its_sessions_changes_nothing_of_ours() {
    let (source, warehouse) = (Postgres::of_version(Version::V17).await, Postgres::start_another().await);
    source
        .execute_as_owner(
            "CREATE DOMAIN \"Of Its Own\" AS int; CREATE TABLE t (id int PRIMARY KEY, f float8, g float4, d numeric, z timestamptz, s timestamp, \
             i interval, b bytea, a text[], x xml, m money, o \"Of Its Own\"[], u text)",
        )
        .await;
    source.execute_as_owner(&format!("INSERT INTO t {ODD_VALUES}(1, 500) n")).await;
    source.execute_as_owner("CREATE TABLE \"User\" (\"Order\" int PRIMARY KEY, \"select\" text)").await;
    // Opened before.
    let (at_source, at_warehouse) = (source.client().await, warehouse.client().await);
    for (name, value) in HOSTILE_TO_POSTGRES {
        let sql = format!("ALTER ROLE tailwater SET {name} = {value}");
        at_source.batch_execute(&sql).await.expect("set");
        // Whether its database takes writes at all is for who runs it to say. It is of version 15, too.
        if !["default_transaction_read_only", "transaction_timeout"].contains(name) {
            at_warehouse.batch_execute(&sql).await.expect("set");
        }
    }
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    ready(&tailwater.door(), &["t", "User"], WITHIN).await;
    source.execute_as_owner(&format!("INSERT INTO t {ODD_VALUES}(501, 600) n")).await;
    source.execute_as_owner("UPDATE t SET u = u || 'x', f = f + 1 WHERE id % 9 = 0").await;
    source.execute_as_owner("DELETE FROM t WHERE id % 10 = 0").await;
    source.execute_as_owner("INSERT INTO \"User\" VALUES (1, 'a')").await;
    let (success, report) = mysql_target::verify(&tailwater, &[]);
    assert!(success, "{report:#}");
    for client in [at_source, at_warehouse] {
        client.batch_execute("ALTER ROLE tailwater RESET ALL").await.expect("reset");
    }
    assert_same(&source, &warehouse, &["t", "User"]).await;
}

const HOSTILE_TO_BOTH: &[(&str, &str)] = &[
    ("sql_select_limit", "2"),
    ("autocommit", "0"),
    ("completion_type", "2"),
    ("sql_mode", "'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE'"),
    ("time_zone", "'-11:30'"),
    ("character_set_client", "'latin1'"),
    ("character_set_results", "'latin1'"),
    ("collation_connection", "'latin1_german1_ci'"),
    ("lc_messages", "'de_DE'"),
    ("lc_time_names", "'de_DE'"),
    ("foreign_key_checks", "0"),
    ("max_join_size", "1"),
    ("sql_big_selects", "0"),
    ("sql_safe_updates", "1"),
    ("sql_auto_is_null", "1"),
    ("group_concat_max_len", "4"),
    ("div_precision_increment", "0"),
    ("max_sort_length", "64"),
    ("sort_buffer_size", "32768"),
    ("lock_wait_timeout", "1"),
    ("net_read_timeout", "1"),
    ("net_write_timeout", "1"),
    ("wait_timeout", "1"),
    ("interactive_timeout", "1"),
];
const HOSTILE_TO_MYSQL: &[(&str, &str)] = &[
    ("max_execution_time", "1"),
    ("transaction_isolation", "'SERIALIZABLE'"),
    ("transaction_read_only", "1"),
    ("information_schema_stats_expiry", "0"),
    ("cte_max_recursion_depth", "3"),
    ("show_gipk_in_create_table_and_information_schema", "0"),
];
const HOSTILE_TO_MARIADB: &[(&str, &str)] = &[
    ("max_statement_time", "0.001"),
    ("idle_transaction_timeout", "1"),
    ("idle_readonly_transaction_timeout", "1"),
    ("idle_write_transaction_timeout", "1"),
    ("tx_isolation", "'SERIALIZABLE'"),
    ("tx_read_only", "1"),
    ("old_mode", "''"),
    ("max_recursive_iterations", "3"),
    ("system_versioning_asof", "'2020-01-01'"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_mysql_and_mariadb_have_for_every_session_changes_nothing_of_ours() {
    for kind in Kind::ALL {
        let (source, warehouse) = (Server::start(kind).await, Postgres::start().await);
        let mut client = source.client().await;
        let versioned = if kind == Kind::Mysql { "" } else { "WITH SYSTEM VERSIONING" };
        let long = "x".repeat(200);
        let rows = |from: u32, to: u32| {
            let row = |n: u32| {
                format!(
                    "('{long}{n:05}', 'a{n}', {n} / 7, {n} / 3, '2026-01-0{}', '2026-01-01 10:11:12.5', 'ü€\\\\', '表ソ', {n})",
                    n % 9 + 1
                )
            };
            (from..to).map(row).collect::<Vec<_>>().join(", ")
        };
        let made = format!(
            "CREATE TABLE t (k varchar(300), c char(20), d double, f decimal(12,6), a date, s timestamp(3) NULL, u varchar(20) \
             CHARACTER SET utf8mb4, j varchar(9) CHARACTER SET sjis, n int, PRIMARY KEY (k)) CHARACTER SET latin1 {versioned}"
        );
        for sql in ["CREATE DATABASE IF NOT EXISTS crm", "USE crm", &made] {
            client.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        client.query_drop(format!("INSERT INTO t VALUES {}", rows(0, 5000))).await.expect("rows");
        let own = if kind == Kind::Mysql { HOSTILE_TO_MYSQL } else { HOSTILE_TO_MARIADB };
        let hostile: Vec<_> = HOSTILE_TO_BOTH.iter().chain(own).collect();
        for (name, value) in &hostile {
            let sql = format!("SET GLOBAL {name} = {value}");
            client.query_drop(&sql).await.unwrap_or_else(|error| panic!("{kind:?}: {sql}: {error}"));
        }
        let tailwater = Tailwater::start(mysql_target::setup(&source, &warehouse)).await;
        let door = tailwater.door();
        ready(&door, &["t"], WITHIN).await;
        let insert = format!("INSERT INTO t VALUES {}", rows(5000, 5100));
        for sql in
            [&*insert, "UPDATE t SET n = n + 1, c = CONCAT(c, ' ') WHERE n % 7 = 0", "DELETE FROM t WHERE n % 10 = 0"]
        {
            client.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        let (success, report) = mysql_target::verify(&tailwater, &[]);
        assert!(success, "{kind:?}: {report:#}");
        let columns = "k, c, CAST(d AS decimal(12,6)), f, a, DATE_FORMAT(s, '%Y-%m-%d %H:%i:%s.%f'), u, j, n";
        let rows: Vec<mysql_async::Row> =
            client.query(format!("SELECT {columns} FROM t ORDER BY k")).await.expect("rows");
        let cell = |value: mysql_async::Value| match value {
            mysql_async::Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        };
        let here: Vec<Vec<_>> = rows.into_iter().map(|row| row.unwrap().into_iter().map(cell).collect()).collect();
        let there = "k, c, d::numeric(12,6), f, a, to_char(s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), u, j, n";
        let there = warehouse.rows(&format!("SELECT {there} FROM erp.t ORDER BY k")).await;
        let differing = here.iter().zip(&there).find(|(here, there)| here != there);
        assert_eq!((here.len(), differing), (there.len(), None), "{kind:?}");
    }
}
