//! MySQL and MariaDB: tables that were altered or made again without the log, found by what the journal keeps of the catalogue.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Door, Tailwater};
use crate::harness::warehouse::ready;
use crate::harness::{eventually, holds};
use crate::mysql;
use crate::mysql_target::setup;
use crate::unseen_mysql::{assert_same, copy};
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tailwater::wire::api::v1::CopyState;

const WITHIN: Duration = Duration::from_secs(60);
const WHY: &str = "no statement in the log says so";

/// Table, and what is done to it without the log. All have the columns `id` and `n`, and the rows 1, NULL and 7, 7.
const HARMS: &[(&str, &[&str])] = &[
    ("not_null", &["ALTER TABLE not_null MODIFY n int NOT NULL"]),
    ("column_again", &["ALTER TABLE column_again DROP n, ADD n int DEFAULT 7"]),
    ("updated", &["ALTER TABLE updated COMMENT 'x'", "UPDATE updated SET n = 5"]),
    (
        "again",
        &["DROP TABLE again", "CREATE TABLE again (id int PRIMARY KEY, n int)", "INSERT INTO again VALUES (2, 2)"],
    ),
    ("parted", &["ALTER TABLE parted DROP PARTITION a"]),
    // Beside a harmless one that the log has.
    ("masked", &["ALTER TABLE masked MODIFY n int NOT NULL", "SET sql_log_bin = 1", "ALTER TABLE masked COMMENT 'x'"]),
];

/// In the log, and harmless.
const HARMLESS: &[(&str, &[&str])] = &[
    ("indexed", &["ALTER TABLE indexed ADD INDEX (n), COMMENT 'x'", "INSERT INTO indexed VALUES (8, 8)"]),
    ("defaulted", &["ALTER TABLE defaulted ALTER n SET DEFAULT 5", "INSERT INTO defaulted (id) VALUES (8)"]),
    ("optimised", &["OPTIMIZE TABLE optimised", "ANALYZE TABLE optimised"]),
    ("emptied", &["TRUNCATE TABLE emptied", "INSERT INTO emptied VALUES (9, 9)"]),
];

async fn make(server: &Server, table: &str) {
    let parts = if table == "parted" {
        "PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (5), PARTITION b VALUES LESS THAN (100))"
    } else {
        ""
    };
    server.execute(&format!("CREATE TABLE {table} (id int PRIMARY KEY, n int) {parts}")).await;
    server.execute(&format!("INSERT INTO {table} VALUES (1, NULL), (7, 7)")).await;
}

async fn unlogged(server: &Server, statements: &[&str]) {
    let mut client = server.client().await;
    // When a table was made or altered is known to the second.
    client.query_drop("DO SLEEP(1.1)").await.expect("a while");
    client.query_drop("SET sql_log_bin = 0").await.expect("a setting");
    for sql in statements {
        client.query_drop(*sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

async fn is_copied_again(door: &Door, table: &str, before: u64, why: &str) {
    eventually("the table is copied again", WITHIN, async || {
        let copy = copy(door, table).await?;
        let again = copy.copy > before && copy.state() == CopyState::Done && copy.why.contains(why);
        holds(again, || format!("{table}: {copy:?}"))
    })
    .await;
}

async fn is_found(kind: Kind) {
    let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
    let all = || HARMS.iter().chain(HARMLESS);
    for (table, _) in all() {
        make(&server, table).await;
    }
    make(&server, "stopped").await;
    let mut tailwater = Tailwater::start(setup(&server, &warehouse)).await;
    let door = tailwater.door();
    let names: Vec<_> = all().map(|(table, _)| *table).chain(["stopped"]).collect();
    ready(&door, &names, WITHIN).await;
    let mut before = Vec::new();
    for name in &names {
        before.push(copy(&door, name).await.expect("copied").copy);
    }
    for (_, statements) in HARMLESS {
        for sql in *statements {
            server.execute(sql).await;
        }
    }
    for (_, statements) in HARMS {
        unlogged(&server, statements).await;
    }
    for ((table, _), before) in HARMS.iter().zip(&before) {
        is_copied_again(&door, table, *before, WHY).await;
        assert_same(&server, &warehouse, &door, table).await;
    }
    assert!(tailwater.stop().success());
    unlogged(&server, &["ALTER TABLE stopped MODIFY n int NOT NULL"]).await;
    tailwater.up().await;
    let door = tailwater.door();
    let before_stop = before.last().copied().expect("it was copied");
    is_copied_again(&door, "stopped", before_stop, WHY).await;
    assert_same(&server, &warehouse, &door, "stopped").await;
    for ((table, _), before) in HARMLESS.iter().zip(before.iter().skip(HARMS.len())) {
        assert_same(&server, &warehouse, &door, table).await;
        let copied = copy(&door, table).await.expect("copied");
        assert_eq!(copied.copy, *before, "{kind:?}: {table} was copied again for nothing: {copied:?}");
    }
    // Found by itself, too.
    unlogged(&server, &["CREATE TABLE mother (id int PRIMARY KEY)", "INSERT INTO mother VALUES (7)"]).await;
    unlogged(&server, &["DELETE FROM indexed WHERE id <> 7"]).await;
    let key = "ALTER TABLE indexed ADD CONSTRAINT k FOREIGN KEY (n) REFERENCES mother (id) ON DELETE CASCADE";
    let before = copy(&door, "indexed").await.expect("copied").copy;
    unlogged(&server, &[key]).await;
    if kind != Kind::Mysql {
        eventually("it is halted", WITHIN, async || {
            let tables = door.source().await?.tables;
            let halt = tables.iter().find(|table| table.table == "indexed").and_then(|table| table.halt.as_ref());
            holds(halt.is_some_and(|halt| halt.code == "TW-MYS-022"), || format!("{tables:?}"))
        })
        .await;
        server.execute("ALTER TABLE indexed DROP FOREIGN KEY k").await;
        is_copied_again(&door, "indexed", before, "could not be captured").await;
    } else {
        is_copied_again(&door, "indexed", before, WHY).await;
    }
    assert_same(&server, &warehouse, &door, "indexed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_without_the_log_brings_another_copy_on_mysql() {
    is_found(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_without_the_log_brings_another_copy_on_mariadb() {
    is_found(Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_without_the_log_brings_another_copy_on_mariadb_11_8() {
    is_found(Kind::MariadbNewer).await;
}

/// Its rows from before it was captured may not be in the log: neither a target nor a subscriber misses them.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_joins_is_copied_whoever_follows_it() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::start(kind).await;
        make(&server, "first").await;
        let mut tailwater = Tailwater::start(mysql::setup(&server)).await;
        make(&server, "second").await;
        is_copied_again(&tailwater.door(), "second", 0, "nothing is known of how it was before").await;
        tailwater.kill();
        unlogged(
            &server,
            &["CREATE TABLE third (id int PRIMARY KEY, n int)", "INSERT INTO third VALUES (1, NULL), (7, 7)"],
        )
        .await;
        tailwater.up().await;
        is_copied_again(&tailwater.door(), "third", 0, "nothing is known of how it was before").await;
        let rows = copy(&tailwater.door(), "third").await.expect("copied").rows;
        assert_eq!((kind, rows), (kind, 2));
        assert!(copy(&tailwater.door(), "first").await.is_err(), "it was there from the first");
    }
}
