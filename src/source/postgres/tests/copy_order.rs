//! Keys whose index compares in its own way: a copy of several chunks has each row exactly once, also while rows change.

use super::attached::{Attached, streams};
use super::copy::{Writers, copied, level, reading, request, until_copy};
use super::*;
use crate::journal::CopyState;
use std::collections::BTreeSet;

/// More than three chunks.
const ROWS: usize = 15_000;

/// Each has `n`, which tells its rows apart, and `v`, which changes.
const TABLES: [(&str, &str, &str); 17] = [
    ("ci", "k citext PRIMARY KEY", "CASE n % 2 WHEN 0 THEN upper(md5(n::text)) ELSE md5(n::text) END"),
    ("tree", "k ltree PRIMARY KEY", "('a' || n % 50 || '.B' || n)::ltree"),
    ("pattern", "k varchar(40) COLLATE \"und-x-icu\" NOT NULL", "chr(60 + n % 70) || md5(n::text)"),
    ("icu", "k text COLLATE blind PRIMARY KEY", "CASE n % 3 WHEN 0 THEN 'É' WHEN 1 THEN 'a' ELSE 'B' END || n"),
    ("bounded", "k short PRIMARY KEY", "CASE n % 2 WHEN 0 THEN 'A' ELSE 'b' END || n"),
    (
        "number",
        "k numeric PRIMARY KEY",
        "CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' WHEN 3 THEN '-Infinity' ELSE (n % 97)::numeric - n / 7.0 END",
    ),
    (
        "double",
        "k float8 PRIMARY KEY",
        "CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN '-0' WHEN 3 THEN 'Infinity' ELSE (n % 97) - n / 7.0 END",
    ),
    (
        "single",
        "k float4 PRIMARY KEY",
        "CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN '-0' WHEN 3 THEN '-Infinity' ELSE n / 8.0 - 900.06 END",
    ),
    (
        "day",
        "k date PRIMARY KEY",
        "CASE n WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' WHEN 3 THEN '4713-01-01 BC' ELSE date '0001-01-01' + (n - 7000) * 90 END",
    ),
    (
        "moment",
        "k timestamp PRIMARY KEY",
        "CASE n WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' WHEN 3 THEN '294276-12-31 23:59:59.999999' \
         ELSE timestamp '0001-01-01' + (n - 7000) * interval '90 days 1.000001 seconds' END",
    ),
    (
        "instant",
        "k timestamptz PRIMARY KEY",
        "CASE n WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' WHEN 3 THEN '4713-01-01 00:00:00+00 BC' \
         ELSE timestamptz '0001-01-01 00:00:00+00' + (n - 7000) * interval '90 days 1.000001 seconds' END",
    ),
    (
        "mixed",
        "a int NOT NULL, b text NOT NULL, k citext NOT NULL",
        "n % 7, CASE n % 2 WHEN 0 THEN 'A' ELSE 'b' END || n % 11, 'K' || n",
    ),
    ("falling", "k int NOT NULL", "n"),
    ("whole", "k duo PRIMARY KEY", "ROW(n % 9, 'x' || n)::duo"),
    ("listed", "k ints PRIMARY KEY", "ARRAY[n % 5, n]::ints"),
    ("labelled", "k mood, i int, PRIMARY KEY (k, i)", "(ARRAY['sad', 'fine'])[1 + n % 2]::mood, n"),
    ("half", "k int NOT NULL", "n"),
];

const TYPES: &str = "CREATE EXTENSION citext; CREATE EXTENSION ltree; \
     CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
     CREATE DOMAIN shortest AS citext; CREATE DOMAIN short AS shortest CHECK (length(value) < 20); \
     CREATE TYPE duo AS (a int, b text); CREATE DOMAIN ints AS int[]; CREATE TYPE mood AS ENUM ('sad', 'fine'); \
     CREATE OPERATOR CLASS half FOR TYPE int USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int, int)";
const INDEXES: [(&str, &str); 4] = [
    ("pattern", "k varchar_pattern_ops"),
    ("mixed", "a, b COLLATE \"POSIX\" DESC NULLS LAST, k"),
    ("falling", "k DESC"),
    ("half", "k half"),
];

async fn made() -> TestServer {
    let server = TestServer::start("");
    server.sql(TYPES).await;
    for (table, key, values) in TABLES {
        server.sql(&format!("CREATE TABLE {table} ({key}, n int, v int)")).await;
        server.sql(&format!("INSERT INTO {table} SELECT {values}, n, 0 FROM generate_series(1, {ROWS}) n")).await;
        server.sql(&format!("CREATE INDEX ON {table} (n)")).await;
    }
    for (table, index) in INDEXES {
        let sql = format!("CREATE UNIQUE INDEX by_key ON {table} ({index})").replace("by_key", &format!("{table}_key"));
        server
            .sql(&format!("{sql}; ALTER TABLE {table} REPLICA IDENTITY USING INDEX {table}_key; ANALYZE {table}"))
            .await;
    }
    server
}

/// `n` and `v` of each row that a reader of the journal has.
fn read_rows(rows: &std::collections::BTreeMap<String, String>) -> Vec<(i64, i64)> {
    let number = |row: &serde_json::Value, name: &str| row[name].as_i64().expect("a number");
    let row = |row: &String| {
        let row = serde_json::from_str(row).expect("JSON");
        (number(&row, "n"), number(&row, "v"))
    };
    let mut rows: Vec<_> = rows.values().map(row).collect();
    rows.sort_unstable();
    rows
}

/// Also renames keys to what is the same to some of them, so that rows stay in their place.
fn changes(random: u64) -> String {
    let (n, table) = ((random >> 33) % ROWS as u64, TABLES[(random >> 20) as usize % TABLES.len()].0);
    let renamed = matches!(table, "ci" | "icu" | "bounded" | "mixed") && (random >> 50) & 1 == 0;
    let key = if renamed { ", k = upper(k)" } else { "" };
    format!("UPDATE public.{table} SET v = v + 1{key} WHERE n = {n}")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_walked_in_the_order_of_their_index_and_each_row_comes_once() {
    let server = made().await;
    let mut attached = Attached::to(server.system()).await;
    for (table, ..) in TABLES {
        request(&attached, table).await;
    }
    for (table, ..) in TABLES {
        assert_eq!(copied(&attached, table).await.rows, ROWS as u64, "{table}");
        let reading = reading(&attached, table).await;
        let seen: BTreeSet<_> = read_rows(&reading.rows).into_iter().map(|(n, _)| n).collect();
        assert_eq!((reading.reads, seen.len()), (ROWS, ROWS), "{table}");
        let pieces = reading.copied_rows.len();
        assert_eq!(pieces == 1, table == "half", "{table}: {pieces} pieces");
    }
    let writers = Writers::start(&server, 2, Duration::ZERO, "SET synchronous_commit = off", changes);
    for (table, ..) in TABLES {
        request(&attached, table).await;
    }
    for (table, ..) in TABLES {
        until_copy(&attached, table, |record| record.copy >= 2 && record.state == CopyState::Done).await;
    }
    writers.stop().await;
    level(&mut attached, &server).await;
    for (table, ..) in TABLES {
        let reading = reading(&attached, table).await;
        let there = server.sql(&format!("SELECT n, v FROM {table}")).await;
        let mut there: Vec<(i64, i64)> =
            there.iter().map(|row| (row.some(0).expect("n"), row.some(1).expect("v"))).collect();
        // The server itself cannot sort a table of such a class.
        there.sort_unstable();
        assert!(read_rows(&reading.rows) == there, "{table}");
    }
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_gets_another_order_while_it_is_copied_starts_over() {
    let server = TestServer::start("");
    server
        .sql(
            "CREATE TABLE t (k text COLLATE \"und-x-icu\" NOT NULL, n int, v int); CREATE UNIQUE INDEX loud ON t (k); \
             CREATE UNIQUE INDEX plain ON t (k COLLATE \"C\"); ALTER TABLE t REPLICA IDENTITY USING INDEX loud; \
             INSERT INTO t SELECT CASE n % 2 WHEN 0 THEN 'a' ELSE 'B' END || n, n, 0 FROM generate_series(1, 100000) n",
        )
        .await;
    let mut attached = Attached::to(server.system()).await;
    request(&attached, "t").await;
    until_copy(&attached, "t", |record| record.rows > 0).await;
    attached.stop().await;
    server.sql("ALTER TABLE t REPLICA IDENTITY USING INDEX plain").await;
    attached.start();
    attached.until(streams).await;
    let done = copied(&attached, "t").await;
    assert_eq!((done.copy, done.rows), (2, 100_000));
    attached.end().await;
}
