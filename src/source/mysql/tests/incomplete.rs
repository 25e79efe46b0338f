//! Rows that the log has without all of their columns, or without their commit.

use super::attached::{Attached, Seen, create_tables};
use super::copy::copied;
use super::server::{Kind, Server};
use crate::wire::api::v1::Op;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Waits until the newest copy of `t` ends with these `n`.
async fn until_read(attached: &mut Attached, server: &Server, wanted: &[i64]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let seen = attached.level(server).await;
        let read: Vec<_> = seen.iter().filter(|seen| seen.table == "t" && seen.op == Op::Read).collect();
        let tail: Vec<_> = read.iter().rev().take(wanted.len()).rev().map(|seen| number(seen)).collect();
        if tail == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{kind:?}: never copied as {wanted:?}: {seen:?}", kind = server.kind);
        sleep(Duration::from_millis(100)).await;
    }
}

fn number(seen: &Seen) -> i64 {
    seen.after.as_ref().and_then(|row| row["n"].as_i64()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_rows_came_without_all_of_their_columns_is_copied_again() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        server.execute("INSERT INTO t VALUES (1, 1, ''), (2, 1, '')").await;
        let mut attached = Attached::to(&server).await;
        copied(&attached, "t").await;
        let mut client = server.client().await;
        for sql in ["SET binlog_row_image = 'MINIMAL'", "UPDATE t SET n = 2", "UPDATE t SET n = 3 WHERE id = 2"] {
            client.query_drop(sql).await.expect(sql);
        }
        until_read(&mut attached, &server, &[2, 3]).await;
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_columns_came_without_names_is_copied_again_each_time() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        server.execute("INSERT INTO t VALUES (1, 1, '')").await;
        let mut attached = Attached::to(&server).await;
        copied(&attached, "t").await;
        let metadata = async |to: &str| server.execute(&format!("SET GLOBAL binlog_row_metadata = '{to}'")).await;
        for wanted in [2, 3] {
            metadata("MINIMAL").await;
            server.execute(&format!("UPDATE t SET n = {wanted}")).await;
            metadata("FULL").await;
            // With this the log has the names again.
            server.execute(&format!("INSERT INTO t VALUES ({wanted}, {wanted}, '')")).await;
            until_read(&mut attached, &server, &[wanted, wanted]).await;
        }
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_columns_are_captured_where_every_image_has_them_and_else_left_out() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        server.execute("CREATE TABLE g (v int AS (id + 1), id int PRIMARY KEY, s int AS (n * 2) STORED, n int)").await;
        let mut attached = Attached::to(&server).await;
        for sql in [
            "INSERT INTO g (id, n) VALUES (1, 1), (2, 2)",
            "UPDATE g SET n = 5 WHERE id = 1",
            "UPDATE g SET id = 7 ORDER BY id LIMIT 1",
            "DELETE FROM g ORDER BY id LIMIT 1",
        ] {
            server.execute(sql).await;
        }
        let seen = attached.level(&server).await;
        let row = |id: i64, n: i64| match kind {
            Kind::MariadbNewer => json!({"id": id, "n": n}),
            _ => json!({"v": id + 1, "id": id, "s": n * 2, "n": n}),
        };
        let image = |row: &Option<_>| row.clone().map_or(Value::Null, Value::Object);
        let images: Vec<_> = seen.iter().filter(|seen| seen.table == "g" && !seen.copied).collect();
        let images: Vec<_> = images.iter().map(|seen| (seen.op, image(&seen.before), image(&seen.after))).collect();
        let none = Value::Null;
        let expected = [
            (Op::Insert, none.clone(), row(1, 1)),
            (Op::Insert, none.clone(), row(2, 2)),
            (Op::Update, row(1, 1), row(1, 5)),
            (Op::Update, row(1, 5), row(7, 5)),
            (Op::Delete, row(2, 2), none),
        ];
        assert_eq!(images, expected, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_a_two_phase_transaction_changed_is_copied_again_once_it_commits() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        server.execute("CREATE DATABASE other").await;
        server.execute("CREATE TABLE other.t (id int PRIMARY KEY)").await;
        server.execute("INSERT INTO t VALUES (1, 1, '')").await;
        let mut attached = Attached::to(&server).await;
        copied(&attached, "t").await;
        let mut client = server.client().await;
        let run = async |client: &mut mysql_async::Conn, id: &str, change: &str, ends: &[&str]| {
            let begin = [format!("XA START '{id}'"), change.to_owned(), format!("XA END '{id}'")];
            let ends = ends.iter().map(|end| end.replace('?', &format!("'{id}'")));
            for sql in begin.into_iter().chain(ends) {
                client.query_drop(&sql).await.unwrap_or_else(|error| panic!("{kind:?} {sql}: {error}"));
            }
        };
        let copies = async |attached: &mut Attached| {
            let seen = attached.level(&server).await;
            seen.iter().filter(|seen| seen.table == "t" && seen.copied).count()
        };
        let prepare = "XA PREPARE ?";
        // What it writes elsewhere, what is rolled back, and what commits at once need no copy.
        run(&mut client, "a", "INSERT INTO other.t VALUES (1)", &[prepare, "XA COMMIT ?"]).await;
        run(&mut client, "b", "UPDATE t SET n = 9", &[prepare, "XA ROLLBACK ?"]).await;
        run(&mut client, "c", "UPDATE t SET n = 2", &["XA COMMIT ? ONE PHASE"]).await;
        assert_eq!(copies(&mut attached).await, 1, "{kind:?}");
        let changes = attached.read().await.into_iter().filter(|seen| seen.table == "t" && !seen.copied);
        assert_eq!(changes.map(|seen| number(&seen)).collect::<Vec<_>>(), [2], "{kind:?}");
        run(&mut client, "d", "UPDATE t SET n = 3", &[prepare]).await;
        assert_eq!(copies(&mut attached).await, 1, "{kind:?}");
        client.query_drop("XA COMMIT 'd'").await.expect("committed");
        until_read(&mut attached, &server, &[3]).await;
        // A copy that begins before it commits, because its rows cannot be read, does not have them. On MySQL it cannot begin.
        if kind != Kind::Mysql {
            client.query_drop("SET binlog_row_image = 'MINIMAL'").await.expect("set");
            run(&mut client, "m", "UPDATE t SET n = 7", &[prepare]).await;
            while copies(&mut attached).await < 3 {
                sleep(Duration::from_millis(100)).await;
            }
            client.query_drop("XA COMMIT 'm'").await.expect("committed");
            until_read(&mut attached, &server, &[7]).await;
            client.query_drop("SET binlog_row_image = 'FULL'").await.expect("set");
        }
        // Prepared before a restart: nobody knows what it changed.
        run(&mut client, "e", "UPDATE t SET n = 4", &[prepare]).await;
        attached.level(&server).await;
        attached.stop().await;
        attached.start();
        client.query_drop("XA COMMIT 'e'").await.expect("committed");
        until_read(&mut attached, &server, &[4]).await;
        attached.end().await;
    }
}
