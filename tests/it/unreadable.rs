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
    byte_that_is_no_text("SQL_ASCII", r"E'caf\xE9'").await;
}

/// A byte that is no character of the database's encoding, though the server takes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_is_no_character_of_win1250_halts_its_table_alone_until_it_is_mended() {
    byte_that_is_no_text("WIN1250", r"convert_from('caf\201'::bytea, 'WIN1250')").await;
}

/// `value`: SQL for it.
async fn byte_that_is_no_text(encoding: &str, value: &str) {
    let (source, warehouse) = (Postgres::start().await, Postgres::start_another().await);
    let made =
        format!("CREATE DATABASE bytes OWNER erp ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    source.client().await.batch_execute(&made).await.expect("made");
    let client = source.socket().connect(OWNER, "bytes").await.expect("the owner may");
    let run = async |sql: &str| client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    run("CREATE TABLE bad (id int PRIMARY KEY, a text); CREATE TABLE good (id int PRIMARY KEY, a text);").await;
    run("INSERT INTO bad VALUES (1, 'x'); INSERT INTO good VALUES (1, 'x');").await;
    let mut setup = Setup::new(&source).with(&warehouse::section(&warehouse));
    setup.system = setup.system.replace("database: erp", "database: bytes");
    let tailwater = Tailwater::start(setup).await;
    let door = tailwater.door();
    ready(&door, &["bad", "good"], WITHIN).await;
    run(&format!("INSERT INTO bad VALUES (7, {value}), (8, 'y'); INSERT INTO good VALUES (2, 'y');")).await;
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

/// Text, names and keys of a database that is not in UTF-8, in stream and copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_another_encoding_arrives_as_it_is() {
    for encoding in ["WIN1250", "LATIN2", "EUC_JP"] {
        let text = if encoding == "EUC_JP" { "東京" } else { "Łódź" };
        let (source, warehouse) = (Postgres::start().await, Postgres::start_another().await);
        let made = format!(
            "CREATE DATABASE bytes OWNER erp ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        );
        source.client().await.batch_execute(&made).await.expect("made");
        let client = source.socket().connect(OWNER, "bytes").await.expect("the owner may");
        let run = async |sql: &str| client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        run(&format!("CREATE TYPE \"{text} type\" AS ENUM ('{text}', 'x')")).await;
        run(&format!("CREATE TABLE \"{text}\" (\"{text} key\" text PRIMARY KEY, a text[], b \"{text} type\", n int)"))
            .await;
        // More than one chunk of a copy, which goes on behind such a key.
        run(&format!(
            "INSERT INTO \"{text}\" SELECT '{text} ' || n, ARRAY['{text}', NULL], '{text}', n FROM generate_series(1, 5000) n"
        ))
        .await;
        let mut setup = Setup::new(&source).with(&warehouse::section(&warehouse));
        setup.system = setup.system.replace("database: erp", "database: bytes");
        let tailwater = Tailwater::start(setup).await;
        let door = tailwater.door();
        ready(&door, &[text], WITHIN).await;
        run(&format!("INSERT INTO \"{text}\" VALUES ('{text} new', '{{{text}}}', '{text}', 0)")).await;
        run(&format!("UPDATE \"{text}\" SET \"{text} key\" = '{text} moved', n = -1 WHERE n = 1")).await;
        run(&format!("DELETE FROM \"{text}\" WHERE n = 2")).await;
        let asked = format!(
            "SELECT string_agg(concat_ws('|', \"{text} key\", a::text, b::text, n), ' ' ORDER BY n) FROM \"{text}\""
        );
        let expected: String = client.query_one(&asked, &[]).await.expect("its rows").get(0);
        eventually("the rows arrive", WITHIN, async || {
            let found = warehouse.text(&asked.replace("FROM ", "FROM erp.")).await.unwrap_or_default();
            holds(found == expected, || format!("{} of {} bytes", found.len(), expected.len()))
        })
        .await;
    }
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
