//! MySQL and MariaDB: statements after which a table's rows are others than the events before them tell. Each table suffers one;
//! afterwards it has been copied again, for that reason and in its place, and is what the source's is.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Door, Tailwater};
use crate::harness::warehouse::{ready, status as target_status};
use crate::harness::{eventually, holds};
use crate::mysql_target::setup;
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tailwater::wire::api::v1::{CopyState, CopyStatus, SourceState};

const WITHIN: Duration = Duration::from_secs(120);

struct Harm {
    /// Of the database `crm`.
    table: &'static str,
    made: &'static [&'static str],
    /// In one session.
    done: &'static [&'static str],
    /// Part of what `status` says of why it is copied again; `None`: it need not be.
    why: Option<&'static str>,
    only: Option<Kind>,
}

const PARTED: &str = "(id int PRIMARY KEY, n int) PARTITION BY RANGE (id) \
     (PARTITION a VALUES LESS THAN (5), PARTITION b VALUES LESS THAN (100))";

fn harms() -> Vec<Harm> {
    let harm = |table, made, done, why| Harm { table, made, done, why, only: None };
    let mariadb = |table, made, done, why| Harm { table, made, done, why, only: Some(Kind::Mariadb) };
    vec![
        harm(
            "parted",
            &["CREATE TABLE parted @PARTED", "INSERT INTO parted VALUES (1, 1), (7, 7)"],
            &["ALTER TABLE parted DROP PARTITION a"],
            Some("partitions were"),
        ),
        harm(
            "exchanged",
            &[
                "CREATE TABLE exchanged (id int PRIMARY KEY, n int)",
                "INSERT INTO exchanged VALUES (2, 20)",
                "CREATE TABLE partner @PARTED",
                "INSERT INTO partner VALUES (1, 1), (7, 7)",
            ],
            &["ALTER TABLE partner EXCHANGE PARTITION a WITH TABLE exchanged"],
            Some("partitions were"),
        ),
        harm(
            "not_null",
            &["CREATE TABLE not_null (id int PRIMARY KEY, n int)", "INSERT INTO not_null VALUES (1, NULL), (2, 2)"],
            &["SET sql_mode = ''", "ALTER TABLE not_null MODIFY n int NOT NULL"],
            Some("a column was changed"),
        ),
        harm(
            "column_again",
            &["CREATE TABLE column_again (id int PRIMARY KEY, n int)", "INSERT INTO column_again VALUES (1, 1)"],
            &["ALTER TABLE column_again DROP n, ADD n int DEFAULT 7"],
            Some("a column was"),
        ),
        harm(
            "expression",
            &[
                "CREATE TABLE expression (id int PRIMARY KEY, n int GENERATED ALWAYS AS (id * 2) STORED)",
                "INSERT INTO expression (id) VALUES (1), (2)",
            ],
            &["ALTER TABLE expression MODIFY n int GENERATED ALWAYS AS (id * 3) STORED"],
            Some("a column was changed"),
        ),
        harm(
            "converted",
            &[
                "CREATE TABLE converted (id int PRIMARY KEY, n varchar(20)) CHARACTER SET utf8mb4",
                "INSERT INTO converted VALUES (1, 'x')",
            ],
            &["SET sql_mode = ''", "ALTER TABLE converted CONVERT TO CHARACTER SET latin1"],
            Some("character set"),
        ),
        harm(
            "backslash",
            &["CREATE TABLE backslash (id int PRIMARY KEY, n int)", "INSERT INTO backslash VALUES (1, 1)"],
            &[
                "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
                "ALTER TABLE backslash COMMENT 'C:\\', RENAME TO backslash_old",
                "CREATE TABLE backslash (id int PRIMARY KEY, n int)",
                "INSERT INTO backslash VALUES (2, 2)",
            ],
            Some("dropped, renamed or replaced"),
        ),
        harm(
            "quoted",
            &["CREATE TABLE quoted @PARTED", "INSERT INTO quoted VALUES (1, 1), (7, 7)"],
            &["SET sql_mode = 'ANSI_QUOTES'", "ALTER TABLE \"quoted\" TRUNCATE PARTITION \"a\""],
            Some("partitions were"),
        ),
        harm(
            "commented",
            &["CREATE TABLE commented @PARTED", "INSERT INTO commented VALUES (1, 1), (7, 7)"],
            &["/*!50100 ALTER TABLE commented DROP PARTITION a */"],
            Some("partitions were"),
        ),
        // MySQL with GTIDs refuses such a transaction.
        mariadb(
            "savepoint",
            &["CREATE TABLE savepoint (id int PRIMARY KEY, n int)", "CREATE TABLE other.log (n int) ENGINE = MyISAM"],
            &[
                "BEGIN",
                "INSERT INTO savepoint VALUES (1, 1)",
                "SAVEPOINT s",
                "INSERT INTO other.log VALUES (1)",
                "INSERT INTO savepoint VALUES (2, 2)",
                "ROLLBACK TO s",
                "INSERT INTO savepoint VALUES (3, 3)",
                "COMMIT",
            ],
            Some("rolled back"),
        ),
        mariadb(
            "rolled_back",
            &["CREATE TABLE rolled_back (id int PRIMARY KEY, n int)"],
            &[
                "BEGIN",
                "INSERT INTO rolled_back VALUES (1, 1)",
                "CREATE TEMPORARY TABLE beside_it (n int)",
                "INSERT INTO rolled_back VALUES (2, 2)",
                "ROLLBACK",
                "INSERT INTO rolled_back VALUES (3, 3)",
            ],
            Some("rolled back"),
        ),
        mariadb(
            "temporaries",
            &["CREATE TABLE temporaries (id int PRIMARY KEY, n int)"],
            &[
                "SET binlog_format = 'MIXED'",
                "BEGIN",
                "INSERT INTO temporaries VALUES (1, LENGTH(UUID()))",
                "CREATE TEMPORARY TABLE beside (n int)",
                "ROLLBACK",
                "SET binlog_format = 'ROW'",
                "INSERT INTO temporaries VALUES (2, 2)",
            ],
            Some("rolled back"),
        ),
        // The server writes DROP TABLE itself, in a character set that does not have these letters.
        harm(
            "таблица_подписчик",
            &[
                "CREATE TABLE таблица_подписчик (id int PRIMARY KEY, n int)",
                "INSERT INTO таблица_подписчик VALUES (1, 1)",
                "CREATE PROCEDURE other.clear() DROP TABLE crm.таблица_подписчик",
                "CREATE TABLE other.чужая (n int)",
                "CREATE PROCEDURE other.clear_more() DROP TABLE other.чужая",
            ],
            &[
                "SET NAMES latin1",
                "CALL other.clear_more()",
                "CALL other.clear()",
                "SET NAMES utf8mb4",
                "CREATE TABLE таблица_подписчик (id int PRIMARY KEY, n int)",
                "INSERT INTO таблица_подписчик VALUES (2, 2)",
            ],
            Some("dropped, renamed or replaced"),
        ),
        harm(
            "shadowed",
            &["CREATE TABLE shadowed (id int PRIMARY KEY, n int)", "INSERT INTO shadowed VALUES (1, 1)"],
            &[
                "SET binlog_format = 'STATEMENT'",
                "CREATE TEMPORARY TABLE shadowed (id int PRIMARY KEY, n int)",
                "TRUNCATE TABLE shadowed",
            ],
            Some("temporary table"),
        ),
        harm(
            "procedures",
            &["CREATE TABLE procedures (id int PRIMARY KEY, n int)"],
            &["CREATE PROCEDURE p() START TRANSACTION", "INSERT INTO procedures VALUES (1, 1)"],
            None,
        ),
        harm(
            "kept",
            &["CREATE TABLE kept (id int PRIMARY KEY, n int)", "INSERT INTO kept VALUES (1, 1)"],
            &[
                "ALTER TABLE kept ADD INDEX (n), COMMENT 'x'",
                "ALTER TABLE kept ALTER n SET DEFAULT 5",
                "ANALYZE TABLE kept",
                "CREATE VIEW kept_view AS SELECT * FROM kept",
                "INSERT INTO kept VALUES (2, 2)",
            ],
            None,
        ),
        mariadb(
            "wrapped",
            &["CREATE TABLE wrapped (id int PRIMARY KEY, n int)", "INSERT INTO wrapped VALUES (1, 1)"],
            &["SET STATEMENT max_statement_time = 10 FOR TRUNCATE wrapped", "INSERT INTO wrapped VALUES (2, 2)"],
            None,
        ),
        mariadb(
            "wrapped_parted",
            &["CREATE TABLE wrapped_parted @PARTED", "INSERT INTO wrapped_parted VALUES (1, 1), (7, 7)"],
            &["SET STATEMENT max_statement_time = 10 FOR ALTER TABLE wrapped_parted DROP PARTITION a"],
            Some("partitions were"),
        ),
        mariadb(
            "ignored",
            &["CREATE TABLE ignored (id int PRIMARY KEY, n int)", "INSERT INTO ignored VALUES (1, 1), (2, 1)"],
            &["ALTER IGNORE TABLE ignored ADD UNIQUE (n)"],
            Some("ALTER IGNORE"),
        ),
    ]
}

pub async fn copy(door: &Door, table: &str) -> Result<CopyStatus, String> {
    let source = door.source().await?;
    let found = source.tables.into_iter().find(|found| found.schema == "crm" && found.table == table);
    found.and_then(|found| found.copy).ok_or_else(|| format!("{table} has no copy"))
}

/// Runs until the target is level with the source, then compares by the servers' own text.
pub async fn assert_same(server: &Server, warehouse: &Postgres, door: &Door, table: &str) {
    eventually("the target is the source", WITHIN, async || {
        let (source, target) = (door.source().await?, target_status(door).await?);
        holds(source.state() == SourceState::Streaming, || format!("{source:?}"))?;
        let here = server.rows(&format!("SELECT id, n FROM crm.`{table}` ORDER BY id")).await;
        let there = warehouse.rows(&format!("SELECT id, n FROM erp.\"{table}\" ORDER BY id")).await;
        holds(here == there, || format!("{table}: {here:?} in the source, {there:?} in the target\n{target:?}"))
    })
    .await;
}

async fn statements_are_followed(kind: Kind) {
    let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
    server.execute("CREATE DATABASE other").await;
    let is_mariadb = kind != Kind::Mysql;
    // From 11 on MariaDB's generated columns are not captured.
    let is_captured = |harm: &Harm| kind != Kind::MariadbNewer || harm.table != "expression";
    let is_meant = |harm: &Harm| (harm.only.is_none() || is_mariadb) && is_captured(harm);
    let harms: Vec<_> = harms().into_iter().filter(is_meant).collect();
    for sql in harms.iter().flat_map(|harm| harm.made) {
        server.execute(&sql.replace("@PARTED", PARTED)).await;
    }
    let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
    let door = tailwater.door();
    let names: Vec<_> = harms.iter().map(|harm| harm.table).collect();
    ready(&door, &names, WITHIN).await;
    let mut before = Vec::new();
    for name in &names {
        before.push(copy(&door, name).await.expect("copied").copy);
    }
    for harm in &harms {
        let mut client = server.client().await;
        client.query_drop("USE crm").await.expect("there");
        for sql in harm.done {
            client.query_drop(*sql).await.unwrap_or_else(|error| panic!("{kind:?} {sql}: {error}"));
        }
    }
    for (harm, before) in harms.iter().zip(&before) {
        if let Some(why) = harm.why {
            eventually("the table is copied again", WITHIN, async || {
                let copy = copy(&door, harm.table).await?;
                let again = copy.copy > *before && copy.state() == CopyState::Done && copy.why.contains(why);
                holds(again, || format!("{}: {copy:?}", harm.table))
            })
            .await;
        }
        assert_same(&server, &warehouse, &door, harm.table).await;
    }
    for (harm, before) in harms.iter().zip(&before).filter(|(harm, _)| harm.why.is_none()) {
        let copied = copy(&door, harm.table).await.expect("copied").copy;
        assert_eq!(copied, *before, "{} was copied again for nothing", harm.table);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_change_rows_bring_another_copy_on_mysql() {
    statements_are_followed(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_change_rows_bring_another_copy_on_mariadb() {
    statements_are_followed(Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_change_rows_bring_another_copy_on_mariadb_11_8() {
    statements_are_followed(Kind::MariadbNewer).await;
}

/// Through triggers, views and functions they may have reached any table, and nothing tells which. They stop nothing.
#[tokio::test(flavor = "multi_thread")]
async fn rows_changed_by_logged_statements_bring_another_copy_of_what_they_may_have_reached() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
        for sql in [
            "CREATE TABLE t (id int PRIMARY KEY, n int)",
            "INSERT INTO t VALUES (1, 1)",
            "CREATE DATABASE other",
            "CREATE TABLE other.quiet (n int)",
            "CREATE TABLE other.loud (n int)",
            "CREATE TRIGGER other.tell AFTER INSERT ON other.loud FOR EACH ROW INSERT INTO crm.t VALUES (NEW.n, NEW.n)",
        ] {
            server.execute(sql).await;
        }
        let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
        let door = tailwater.door();
        ready(&door, &["t"], WITHIN).await;
        let first = copy(&door, "t").await.expect("copied").copy;
        let mut client = server.client().await;
        // MySQL tells the databases that a statement may have reached.
        let is_told = u64::from(kind == Kind::Mysql);
        for (sql, copies) in [
            ("INSERT INTO other.quiet VALUES (1)", 1 - is_told),
            ("UPDATE crm.t SET n = n + 1", 2 - is_told),
            ("INSERT INTO other.loud VALUES (7)", 3 - is_told),
        ] {
            client.query_drop("SET binlog_format = 'STATEMENT'").await.expect("a setting");
            client.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            client.query_drop("SET binlog_format = 'ROW'").await.expect("a setting");
            client.query_drop(format!("INSERT INTO crm.t VALUES (10{copies}, 0)")).await.expect("a row");
            assert_same(&server, &warehouse, &door, "t").await;
            eventually("as many copies", WITHIN, async || {
                let copy = copy(&door, "t").await?;
                holds(copy.copy == first + copies && copy.state() == CopyState::Done, || format!("{sql}: {copy:?}"))
            })
            .await;
        }
    }
}

/// On MariaDB each of them may have reached every table. Copies come ever more seldom then, and the status says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_in_statement_format_does_not_have_every_table_copied_each_time() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
        for sql in [
            "CREATE TABLE t (id int PRIMARY KEY, n int)",
            "INSERT INTO t VALUES (1, 1)",
            "CREATE DATABASE other",
            "CREATE TABLE other.heartbeat (n int)",
            "INSERT INTO other.heartbeat VALUES (0)",
        ] {
            server.execute(sql).await;
        }
        let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
        let door = tailwater.door();
        ready(&door, &["t"], WITHIN).await;
        let first = copy(&door, "t").await.expect("copied").copy;
        let mut client = server.client().await;
        client.query_drop("SET binlog_format = 'STATEMENT'").await.expect("a setting");
        for _ in 0..80 {
            client.query_drop("UPDATE other.heartbeat SET n = n + 1").await.expect("a beat");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server.execute("INSERT INTO t VALUES (2, 2)").await;
        assert_same(&server, &warehouse, &door, "t").await;
        let copied = copy(&door, "t").await.expect("copied");
        if kind == Kind::Mysql {
            assert_eq!(copied.copy, first, "no database of ours was reached");
            ready(&door, &["t"], WITHIN).await;
        } else {
            assert!(copied.copy <= first + 5, "{copied:?}");
            eventually("the status says why it waits", WITHIN, async || {
                let copy = copy(&door, "t").await?;
                holds(copy.waits_for.contains("statement format") || copy.state() == CopyState::Done, || {
                    format!("{copy:?}")
                })
            })
            .await;
            ready(&door, &["t"], WITHIN).await;
        }
    }
}
