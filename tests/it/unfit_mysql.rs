//! MySQL and MariaDB: tables that cannot be captured are halted alone, with a code; what was wrong with them is mended by itself.

use crate::harness::mysql::{Kind, Server, USER};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Door, Tailwater};
use crate::harness::warehouse::ready;
use crate::harness::{eventually, holds};
use crate::mysql_target::setup;
use crate::unseen_mysql::assert_same;
use rustix::process::Signal;
use std::time::Duration;
use tailwater::wire::api::v1::{CopyState, SourceState};

const WITHIN: Duration = Duration::from_secs(60);

/// The code that the table is halted with, if it is.
async fn halt(door: &Door, table: &str) -> Result<Option<String>, String> {
    let source = door.source().await?;
    holds(source.state() == SourceState::Streaming, || format!("{source:?}"))?;
    let found = source.tables.iter().find(|found| found.schema == "crm" && found.table == table);
    let found = found.ok_or_else(|| format!("{table} is not in {:?}", source.tables))?;
    Ok(found.halt.as_ref().map(|halt| halt.code.clone()))
}

async fn halts(door: &Door, table: &str, code: Option<&str>) {
    eventually("the table is halted, or is not", WITHIN, async || {
        let found = halt(door, table).await?;
        holds(found.as_deref() == code, || format!("{table}: {found:?}"))
    })
    .await;
}

/// Table, what makes it, and the code.
type Unfit = (&'static str, &'static [&'static str], &'static str);

const BOTH: &[Unfit] = &[
    ("keyless", &["CREATE TABLE keyless (id int, n int) ENGINE = MyISAM"], "TW-MYS-021"),
    ("hole", &["CREATE TABLE hole (id int PRIMARY KEY, n int) ENGINE = BLACKHOLE"], "TW-MYS-021"),
    (
        "merged",
        &[
            "CREATE TABLE part (id int PRIMARY KEY, n int) ENGINE = MyISAM",
            "CREATE TABLE merged (id int PRIMARY KEY, n int) ENGINE = MERGE UNION = (part) INSERT_METHOD = LAST",
        ],
        "TW-MYS-021",
    ),
    ("part", &[], "TW-MYS-021"),
];
const MARIADB: &[Unfit] = &[
    (
        "versions",
        &["CREATE TABLE versions (id int PRIMARY KEY, n int, s bigint unsigned AS ROW START INVISIBLE, \
             e bigint unsigned AS ROW END INVISIBLE, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING"],
        "TW-MYS-020",
    ),
    (
        "child",
        &[
            "CREATE TABLE parent (id int PRIMARY KEY, n int)",
            "CREATE TABLE child (id int PRIMARY KEY, n int, FOREIGN KEY (n) REFERENCES parent (id) ON DELETE CASCADE)",
        ],
        "TW-MYS-022",
    ),
    (
        "nulled",
        &["CREATE TABLE nulled (id int PRIMARY KEY, n int, FOREIGN KEY (n) REFERENCES parent (id) ON UPDATE SET NULL)"],
        "TW-MYS-022",
    ),
];

/// BLACKHOLE is a plugin of MariaDB.
fn tables(kind: Kind, has_blackhole: bool) -> Vec<Unfit> {
    let of_mariadb = if kind == Kind::Mysql { &[][..] } else { MARIADB };
    let all = BOTH.iter().chain(of_mariadb);
    all.filter(|(table, ..)| has_blackhole || *table != "hole").copied().collect()
}

async fn cannot_be_captured(kind: Kind) {
    let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
    let engines = server.rows("SELECT engine FROM information_schema.engines").await;
    let has_blackhole = engines.iter().flatten().flatten().any(|engine| engine == "BLACKHOLE");
    let unfit = tables(kind, has_blackhole);
    for sql in unfit.iter().flat_map(|(_, made, _)| *made) {
        server.execute(sql).await;
    }
    server.execute("CREATE TABLE t (id int PRIMARY KEY, n int)").await;
    if kind != Kind::Mysql {
        server.execute("CREATE SEQUENCE numbers").await;
    }
    let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
    let door = tailwater.door();
    ready(&door, &["t"], WITHIN).await;
    for (table, _, code) in &unfit {
        halts(&door, table, Some(code)).await;
    }
    let checked = String::from_utf8_lossy(&tailwater.cli(&["check"]).stdout).into_owned();
    for (table, _, code) in &unfit {
        assert!(checked.contains(code) && checked.contains(table), "{table}: {checked}");
    }
    if kind != Kind::Mysql {
        assert!(checked.contains("numbers"), "a sequence is left out, and said to be: {checked}");
        server.execute("SELECT NEXT VALUE FOR numbers").await;
        server.execute("INSERT INTO parent VALUES (1, 1), (2, 2)").await;
        server.execute("INSERT INTO child VALUES (1, 1), (2, 2)").await;
        server.execute("INSERT INTO versions VALUES (1, 1), (2, 2)").await;
        server.execute("UPDATE versions SET n = 5").await;
        server.execute("DELETE FROM versions WHERE id = 2").await;
        server.execute("DELETE FROM parent WHERE id = 1").await;
    }
    server.execute("INSERT INTO keyless VALUES (1, 1), (1, 1)").await;
    server.execute("INSERT INTO merged VALUES (1, 1)").await;
    server.execute("INSERT INTO t VALUES (1, 1)").await;
    assert_same(&server, &warehouse, &door, "t").await;

    server.execute("ALTER TABLE keyless ENGINE = InnoDB").await;
    let mut mended = vec!["keyless"];
    if kind != Kind::Mysql {
        let drop = "DROP COLUMN s, DROP COLUMN e, DROP PERIOD FOR SYSTEM_TIME, DROP SYSTEM VERSIONING";
        let keep = "SET STATEMENT system_versioning_alter_history = KEEP FOR";
        server.execute(&format!("{keep} ALTER TABLE versions {drop}")).await;
        server.execute("ALTER TABLE child DROP FOREIGN KEY child_ibfk_1").await;
        mended.extend(["versions", "child"]);
    }
    for table in &mended {
        halts(&door, table, None).await;
    }
    for table in &mended {
        let row = if *table == "keyless" { "(7, 7)" } else { "(7, NULL)" };
        server.execute(&format!("INSERT INTO {table} VALUES {row}")).await;
        ready(&door, &[*table], WITHIN).await;
        assert_same(&server, &warehouse, &door, table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_captured_is_halted_alone_on_mysql() {
    cannot_be_captured(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_captured_is_halted_alone_on_mariadb() {
    cannot_be_captured(Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_captured_is_halted_alone_on_mariadb_11_8() {
    cannot_be_captured(Kind::MariadbNewer).await;
}

/// From 9.6 on MySQL logs what foreign keys change, unless it is told not to.
#[tokio::test(flavor = "multi_thread")]
async fn mysql_logs_what_foreign_keys_change_unless_told_not_to() {
    for (options, code) in [(&[][..], None), (&["--innodb-native-foreign-keys=ON"], Some("TW-MYS-022"))] {
        let (server, warehouse) = (Server::with_options(Kind::Mysql, options).await, Postgres::start().await);
        server.execute("CREATE TABLE parent (id int PRIMARY KEY, n int)").await;
        let key = "FOREIGN KEY (n) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE";
        server.execute(&format!("CREATE TABLE child (id int PRIMARY KEY, n int, {key})")).await;
        server.execute("INSERT INTO parent VALUES (1, 1), (2, 2), (3, 3)").await;
        server.execute("INSERT INTO child VALUES (1, 1), (2, 2), (3, 3)").await;
        let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
        let door = tailwater.door();
        ready(&door, &["parent"], WITHIN).await;
        halts(&door, "child", code).await;
        if code.is_none() {
            ready(&door, &["child"], WITHIN).await;
            server.execute("DELETE FROM parent WHERE id = 1").await;
            server.execute("UPDATE parent SET id = 20 WHERE id = 2").await;
            assert_same(&server, &warehouse, &door, "child").await;
        }
    }
}

/// Their copies lock them chunk by chunk, and a restart of the server empties a MEMORY table.
#[tokio::test(flavor = "multi_thread")]
async fn tables_without_transactions_are_copied_under_load_and_memory_tables_survive_a_restart() {
    for kind in Kind::ALL {
        let (mut server, warehouse) = (Server::start(kind).await, Postgres::start().await);
        server.execute(&format!("GRANT LOCK TABLES ON *.* TO {USER}@'%'")).await;
        server.execute("CREATE TABLE kept (id int PRIMARY KEY, n int) ENGINE = MyISAM").await;
        server.execute("CREATE TABLE mem (id int PRIMARY KEY, n int) ENGINE = MEMORY").await;
        server.execute("INSERT INTO mem VALUES (1, 1)").await;
        for part in 0..10 {
            let rows: Vec<_> = (0..1_000).map(|at| format!("({}, 0)", part * 1_000 + at)).collect();
            server.execute(&format!("INSERT INTO kept VALUES {}", rows.join(","))).await;
        }
        let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
        let door = tailwater.door();
        let mut client = server.client().await;
        for at in 0..500 {
            use mysql_async::prelude::Queryable;
            let sql = match at % 3 {
                0 => format!("INSERT INTO kept VALUES ({}, 1)", 20_000 + at),
                1 => format!("UPDATE kept SET n = n + 1 WHERE id BETWEEN {at} AND {}", at + 500),
                _ => format!("DELETE FROM kept WHERE id = {}", 9_000 + at),
            };
            client.query_drop(sql).await.expect("a change");
        }
        drop(client);
        ready(&door, &["kept", "mem"], WITHIN).await;
        assert_same(&server, &warehouse, &door, "kept").await;
        server.stop(Signal::TERM);
        server.up().await;
        // Nothing but Tailwater opens the table.
        eventually("it is emptied", WITHIN, async || {
            let rows = warehouse.rows("SELECT id FROM erp.mem").await;
            holds(rows.is_empty(), || format!("{rows:?}"))
        })
        .await;
        let copied = door.source().await.expect("a source").tables;
        assert!(copied.iter().all(|table| table.copy.as_ref().is_none_or(|copy| copy.state() == CopyState::Done)));
    }
}
