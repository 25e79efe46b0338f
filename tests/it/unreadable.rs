//! What cannot be passed on halts the table that it is in, with a code, column and key; the others go on. Once it is mended at the
//! source the table is copied again by itself.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::{OWNER, Postgres};
use crate::harness::tailwater::{Door, Setup, Tailwater};
use crate::harness::warehouse::{self, ready};
use crate::harness::{eventually, holds};
use crate::mysql_target::setup;
use crate::unseen_mysql::assert_same;
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tailwater::wire::api::v1::SourceState;

const WITHIN: Duration = Duration::from_secs(120);
const UNREADABLE: &str = "TW-SRC-019";

/// Waits until the table is halted with the code, or is not, and the source streams; gives what is said of it.
async fn halts(door: &Door, name: &str, code: Option<&str>) -> String {
    eventually("the table is halted, or is not", WITHIN, async || {
        let source = door.source().await?;
        holds(source.state() == SourceState::Streaming, || format!("{source:?}"))?;
        let table = source.tables.iter().find(|table| table.table == name).ok_or("no such table")?;
        let found = table.halt.as_ref().map(|halt| halt.code.as_str());
        holds(found == code, || format!("{table:?}"))?;
        Ok(table.halt.as_ref().map(|halt| halt.message.clone()).unwrap_or_default())
    })
    .await
}

/// Waits until a copy of the table has met what cannot be passed on.
async fn copy_waits(door: &Door, name: &str) {
    eventually("its copy waits", WITHIN, async || {
        let source = door.source().await?;
        let copy = source.tables.into_iter().find(|table| table.table == name).and_then(|table| table.copy);
        let waits = copy.is_some_and(|copy| copy.waits_for.contains(UNREADABLE));
        holds(waits, || format!("{name} does not"))
    })
    .await;
}

/// Bytes that are no UTF-8, in a database that does not say what its bytes are.
#[tokio::test(flavor = "multi_thread")]
async fn a_byte_of_sql_ascii_that_is_no_text_halts_its_table_alone_until_it_is_mended() {
    let (source, warehouse) = (Postgres::start().await, Postgres::start_another().await);
    let made = "CREATE DATABASE bytes OWNER erp ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    source.client().await.batch_execute(made).await.expect("made");
    let client = source.socket().connect(OWNER, "bytes").await.expect("the owner may");
    let run = async |sql: &str| client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    run("CREATE TABLE bad (id int PRIMARY KEY, a text); CREATE TABLE good (id int PRIMARY KEY, a text);").await;
    run("INSERT INTO bad VALUES (1, 'x'); INSERT INTO good VALUES (1, 'x');").await;
    let mut setup = Setup::new(&source).with(&warehouse::section(&warehouse));
    setup.system = setup.system.replace("database: erp", "database: bytes");
    let tailwater = Tailwater::start(setup).await;
    let door = tailwater.door();
    ready(&door, &["bad", "good"], WITHIN).await;
    run("INSERT INTO bad VALUES (7, E'caf\\xE9'), (8, 'y'); INSERT INTO good VALUES (2, 'y');").await;
    let said = halts(&door, "bad", Some(UNREADABLE)).await;
    assert!(said.contains("column a") && said.contains("id = 7"), "{said}");
    copy_waits(&door, "bad").await;
    halts(&door, "bad", Some(UNREADABLE)).await;
    let target = async |sql: &str| warehouse.text(sql).await.unwrap_or_default();
    eventually("the other table goes on", WITHIN, async || {
        let rows = target("SELECT count(*) FROM erp.good").await;
        holds(rows == "2", || rows)
    })
    .await;
    run("UPDATE bad SET a = 'cafe' WHERE id = 7").await;
    halts(&door, "bad", None).await;
    ready(&door, &["bad"], WITHIN).await;
    run("INSERT INTO bad VALUES (9, 'z')").await;
    eventually("the mended table follows", WITHIN, async || {
        let rows = target("SELECT string_agg(id || a, ' ' ORDER BY id) FROM erp.bad").await;
        holds(rows == "1x 7cafe 8y 9z", || rows)
    })
    .await;
}

/// Character set, and bytes that are no character of it though the server takes them.
const GAPS: &[(&str, &str)] = &[("cp1250", "81"), ("greek", "AE"), ("sjis", "8540"), ("gbk", "A2AB")];

async fn undefined_bytes(kind: Kind) {
    let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
    for (charset, _) in GAPS {
        server.execute(&format!("CREATE TABLE {charset}_t (id int PRIMARY KEY, n text CHARACTER SET {charset})")).await;
        server.execute(&format!("INSERT INTO {charset}_t VALUES (1, 'why?')")).await;
    }
    server.execute("CREATE TABLE good (id int PRIMARY KEY, n text)").await;
    let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
    let door = tailwater.door();
    ready(&door, &["good", "cp1250_t", "greek_t", "sjis_t", "gbk_t"], WITHIN).await;
    for (charset, bytes) in GAPS {
        server.execute(&format!("INSERT INTO {charset}_t VALUES (7, x'41{bytes}42')")).await;
    }
    server.execute("INSERT INTO good VALUES (1, 'x')").await;
    for (charset, _) in GAPS {
        let table = format!("{charset}_t");
        let said = halts(&door, &table, Some(UNREADABLE)).await;
        assert!(said.contains("column n") && said.contains("id = 7"), "{said}");
        copy_waits(&door, &table).await;
    }
    assert_same(&server, &warehouse, &door, "good").await;
    for (charset, _) in GAPS {
        server.execute(&format!("UPDATE {charset}_t SET n = 'because' WHERE id = 7")).await;
    }
    for (charset, _) in GAPS {
        let table = format!("{charset}_t");
        halts(&door, &table, None).await;
        ready(&door, &[&table], WITHIN).await;
        server.execute(&format!("INSERT INTO {table} VALUES (8, 'z?')")).await;
        assert_same(&server, &warehouse, &door, &table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_is_no_character_halts_its_table_alone_on_mysql_until_it_is_mended() {
    undefined_bytes(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_is_no_character_halts_its_table_alone_on_mariadb_until_it_is_mended() {
    undefined_bytes(Kind::Mariadb).await;
}

/// COMPRESSED columns, and dates and times as they were stored before 2013.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_not_read_stops_nobody_where_it_is_not_captured_and_its_table_where_it_is() {
    for kind in [Kind::Mariadb, Kind::MariadbNewer] {
        let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
        let mut client = server.client().await;
        for sql in [
            "CREATE TABLE t (id int PRIMARY KEY, n int)",
            "CREATE DATABASE other",
            "SET GLOBAL mysql56_temporal_format = OFF",
            "CREATE TABLE other.old (id int PRIMARY KEY, at time, day datetime, n int)",
            "CREATE TABLE old (id int PRIMARY KEY, at time, n int)",
            "SET GLOBAL mysql56_temporal_format = ON",
            "CREATE TABLE other.packed (id int PRIMARY KEY, a text COMPRESSED, b varchar(90) COMPRESSED)",
            "CREATE TABLE packed (id int PRIMARY KEY, n text COMPRESSED)",
        ] {
            client.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
        let door = tailwater.door();
        ready(&door, &["t"], WITHIN).await;
        for sql in [
            "INSERT INTO other.old VALUES (1, '10:00:00', '2026-01-01 10:00:00', 1)",
            "INSERT INTO other.packed VALUES (1, REPEAT('x', 900), 'y')",
            "UPDATE other.packed SET b = 'z'",
            "SET SESSION binlog_row_image = MINIMAL",
            "UPDATE other.old SET n = 2",
            "SET SESSION binlog_format = STATEMENT",
            "DELETE FROM other.old",
            "SET SESSION binlog_format = ROW, binlog_row_image = FULL",
            "INSERT INTO t VALUES (1, 1)",
        ] {
            client.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        assert_same(&server, &warehouse, &door, "t").await;
        for sql in [
            "INSERT INTO old VALUES (1, '10:00:00', 1)",
            "INSERT INTO packed VALUES (1, REPEAT('x', 900))",
            "INSERT INTO t VALUES (2, 2)",
        ] {
            client.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        for table in ["old", "packed"] {
            let said = halts(&door, table, Some("TW-MYS-015")).await;
            assert!(said.contains(table), "{said}");
        }
        assert_same(&server, &warehouse, &door, "t").await;
        client.query_drop("ALTER TABLE old FORCE").await.expect("mended");
        client.query_drop("ALTER TABLE packed MODIFY n text").await.expect("mended");
        for table in ["old", "packed"] {
            client.query_drop(format!("UPDATE {table} SET id = 5")).await.expect("changed");
            halts(&door, table, None).await;
            ready(&door, &[table], WITHIN).await;
            assert_same(&server, &warehouse, &door, table).await;
        }
    }
}

/// A label that an enum no longer has, deleted behind the server's back, cannot be sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_the_server_gives_again_and_again_at_one_place_halts_the_source_with_a_code() {
    let source = Postgres::start().await;
    source.execute_as_owner("CREATE TYPE mood AS ENUM ('a', 'b')").await;
    source.execute_as_owner("CREATE TABLE t (id int PRIMARY KEY, m mood); INSERT INTO t VALUES (1, 'b')").await;
    let tailwater = Tailwater::start(Setup::new(&source)).await;
    let door = tailwater.door();
    source.execute("DELETE FROM pg_enum WHERE enumlabel = 'b'").await;
    source.execute("UPDATE t SET id = 2").await;
    eventually("the source halts", WITHIN, async || {
        let source = door.source().await?;
        let code = source.halt.as_ref().map(|halt| halt.code.as_str());
        holds(source.state() == SourceState::Halted && code == Some("TW-SRC-039"), || format!("{source:?}"))
    })
    .await;
}
