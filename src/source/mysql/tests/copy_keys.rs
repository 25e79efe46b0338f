//! Copies go along keys of every type that the server sorts as it compares: chunk by chunk, no row twice, none left out.

use super::attached::{Attached, create_tables};
use super::copy::copied;
use super::server::{Kind, Server};
use crate::wire::api::v1::Op;
use mysql_async::prelude::Queryable;
use std::collections::BTreeSet;

/// More than a chunk has.
const ROWS: u64 = 2_500;

/// Name, type, the SQL of a row's key by its number `n`, and values of their own.
type Keyed = (&'static str, &'static str, &'static str, &'static [&'static str]);

const KEYS: &[Keyed] = &[
    (
        "dates",
        "date",
        "DATE_ADD('1990-01-01', INTERVAL n DAY)",
        &["'0000-00-00'", "'2023-02-31'", "'1989-00-00'", "'1989-05-00'", "'9999-12-31'", "'0001-01-01'"],
    ),
    (
        "moments",
        "datetime(6)",
        "DATE_ADD('1990-01-01 23:59:59.999999', INTERVAL n * 77777 MICROSECOND)",
        &["'0000-00-00'", "'2023-02-31 01:02:03.000004'", "'9999-12-31 23:59:59.999999'", "'1989-05-00 00:00:01'"],
    ),
    (
        "instants",
        "timestamp(3)",
        "DATE_ADD('1990-01-01', INTERVAL n * 7 HOUR)",
        &["'0000-00-00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999'"],
    ),
    ("times", "time(6)", "SEC_TO_TIME(n * 1000.000001 - 1234567.5)", &["'-838:59:59'", "'838:59:59'"]),
    ("floats", "float", "(n - 1200) / 7", &["-3.4e38", "3.4e38", "1.4e-45", "-1e-30", "16777216"]),
    ("fixed_floats", "float(9,2)", "(n - 1200) / 7", &["-99999.99"]),
    ("doubles", "double", "(n - 1200) / 7", &["-1.7e308", "1.7e308", "5e-324", "0.1", "9007199254740993"]),
    ("decimals", "decimal(20,6)", "(n - 1200) / 7", &["-12345678901234.5", "0.000001"]),
    ("bits", "bit(40)", "n * 400000000", &["0xFFFFFFFFFF"]),
    ("years", "year", "1901 + n % 250", &["0"]),
];

async fn make(server: &Server, (table, key, of, own): Keyed) {
    let mut client = server.client().await;
    let numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)";
    for sql in [
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'".to_owned(),
        match server.kind {
            Kind::Mysql => format!("SET SESSION cte_max_recursion_depth = {ROWS}"),
            _ => format!("SET SESSION max_recursive_iterations = {ROWS}"),
        },
        format!("CREATE TABLE {table} (k {key} NOT NULL, m int NOT NULL, n int NOT NULL, PRIMARY KEY (k, m, n))"),
        // Each twice, so that chunks end between rows that are told apart by the second column alone.
        format!("INSERT INTO {table} {numbers} SELECT {of}, n % 2, n FROM numbers"),
        format!("INSERT INTO {table} {numbers} SELECT {of}, 2, n FROM numbers WHERE n % 3 = 0"),
    ] {
        client.query_drop(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    for value in own {
        let sql = format!("INSERT INTO {table} VALUES ({value}, 0, 0)");
        client.query_drop(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_dates_times_and_numbers_of_every_kind_are_gone_along() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        for keyed in KEYS {
            make(&server, *keyed).await;
        }
        let attached = Attached::to(&server).await;
        for (table, ..) in KEYS {
            let count = server.rows(&format!("SELECT COUNT(*) FROM {table}")).await;
            let count: u64 = count[0][0].as_ref().expect("a number").parse().expect("a number");
            let record = copied(&attached, table).await;
            assert!(count > 2_000 && record.rows == count, "{kind:?}, {table}: {} of {count}", record.rows);
            assert!(record.last_key.len() == 3, "{kind:?}, {table}: read in one piece");
            let read = attached.read().await.into_iter().filter(|seen| seen.op == Op::Read && seen.table == *table);
            let rows: BTreeSet<_> = read.filter_map(|seen| serde_json::to_string(&seen.after?).ok()).collect();
            assert_eq!(rows.len() as u64, count, "{kind:?}, {table}");
            let behind =
                crate::source::mysql::behind(&["k".to_owned(), "m".to_owned(), "n".to_owned()], &record.last_key);
            let sql = format!(
                "EXPLAIN SELECT * FROM {table} WHERE {} ORDER BY k, m, n LIMIT 100",
                behind.expect("it has a key")
            );
            let plan = format!("{:?}", server.rows(&sql).await);
            assert!(plan.contains("range"), "{kind:?}, {sql}: {plan}");
        }
        attached.end().await;
    }
}
