//! What is committed arrives, once and in order.

use super::attached::{Attached, Seen, create_tables};
use super::server::{Kind, Server};
use crate::wire::api::v1::Op;
use mysql_async::prelude::Queryable;
use rustix::process::Signal;
use serde_json::json;

fn ops(seen: &[Seen]) -> Vec<(Op, i64)> {
    let id = |seen: &Seen| seen.after.as_ref().or(seen.before.as_ref()).and_then(|row| row["id"].as_i64()).unwrap_or(0);
    seen.iter().map(|seen| (seen.op, id(seen))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts_updates_and_deletes_come_with_whole_images_in_their_transactions() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        server.execute("INSERT INTO t VALUES (1, 10, 'before the start')").await;
        let mut attached = Attached::to(&server).await;
        let mut client = server.client().await;
        for sql in [
            "BEGIN",
            "INSERT INTO t VALUES (2, 20, 'grün'), (3, 30, NULL)",
            "SAVEPOINT a",
            "UPDATE t SET n = n + 1, id = id + 10 WHERE id <= 2",
            "ROLLBACK TO a",
            "UPDATE t SET n = n + 1 WHERE id <= 2 ORDER BY id",
            "COMMIT",
            "DELETE FROM t WHERE id = 3",
        ] {
            client.query_drop(sql).await.expect(sql);
        }
        let seen = attached.level(&server).await;
        use Op::{Delete, Insert, Update};
        assert_eq!(ops(&seen), [(Insert, 2), (Insert, 3), (Update, 1), (Update, 2), (Delete, 3)], "{kind:?}");
        assert!(seen[..4].iter().all(|change| change.transaction == seen[0].transaction));
        assert_ne!(seen[4].transaction, seen[0].transaction);
        let update = &seen[3];
        assert_eq!(json!(update.before), json!({"id": 2, "n": 20, "note": "grün"}));
        assert_eq!(json!(update.after), json!({"id": 2, "n": 21, "note": "grün"}));
        assert_eq!(json!(seen[4].before), json!({"id": 3, "n": 30, "note": null}));
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_either_side_and_a_crash_of_the_server_lose_and_double_nothing() {
    for kind in Kind::ALL {
        let mut server = Server::start(kind).await;
        create_tables(&server).await;
        let mut attached = Attached::to(&server).await;
        server.execute("INSERT INTO t VALUES (1, 0, '')").await;
        attached.level(&server).await;
        attached.stop().await;
        server.execute("INSERT INTO t VALUES (2, 0, '')").await;
        server.execute("FLUSH BINARY LOGS").await;
        server.execute("INSERT INTO t VALUES (3, 0, '')").await;
        attached.start();
        attached.level(&server).await;
        for (id, signal) in [(4, Signal::TERM), (5, Signal::KILL)] {
            server.execute(&format!("INSERT INTO t VALUES ({id}, 0, '')")).await;
            server.stop(signal);
            server.up().await;
        }
        server.execute("INSERT INTO t VALUES (6, 0, '')").await;
        let seen = attached.level(&server).await;
        let expected: Vec<_> = (1..=6).map(|id| (Op::Insert, id)).collect();
        assert_eq!(ops(&seen), expected, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_may_change_its_shape_between_any_two_rows_and_a_truncate_is_a_change() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        let mut attached = Attached::to(&server).await;
        for sql in [
            "INSERT INTO t VALUES (1, 10, 'a')",
            "ALTER TABLE t ADD COLUMN extra bigint unsigned FIRST",
            "INSERT INTO t VALUES (18446744073709551615, 2, 20, 'b')",
            "ALTER TABLE t DROP COLUMN note, MODIFY n varchar(9)",
            "INSERT INTO t VALUES (NULL, 3, 'thirty')",
            "TRUNCATE TABLE crm.t",
            "CREATE TABLE u (a int, b int)",
            "INSERT INTO u VALUES (1, 1), (1, 1)",
            "DELETE FROM u LIMIT 1",
            "CREATE TABLE v AS SELECT * FROM u",
            "DROP TABLE u",
        ] {
            server.execute(sql).await;
        }
        let seen = attached.level(&server).await;
        // Beside them the table is copied again after each ALTER.
        let rows = seen.iter().filter(|seen| seen.op != Op::Read);
        let rows: Vec<_> = rows.map(|seen| (seen.op, json!(seen.after.as_ref().or(seen.before.as_ref())))).collect();
        assert_eq!(
            rows,
            [
                (Op::Insert, json!({"id": 1, "n": 10, "note": "a"})),
                (Op::Insert, json!({"extra": "18446744073709551615", "id": 2, "n": 20, "note": "b"})),
                (Op::Insert, json!({"extra": null, "id": 3, "n": "thirty"})),
                (Op::Truncate, json!(null)),
                (Op::Insert, json!({"a": 1, "b": 1})),
                (Op::Insert, json!({"a": 1, "b": 1})),
                (Op::Delete, json!({"a": 1, "b": 1})),
                (Op::Insert, json!({"a": 1, "b": 1})),
            ],
            "{kind:?}"
        );
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_many_megabytes_arrives_whole_and_a_row_larger_than_the_servers_packets_too() {
    for kind in Kind::ALL {
        let server = Server::with_options(kind, &["--max-allowed-packet=32M"]).await;
        server.execute("CREATE TABLE marks (mark varchar(80) PRIMARY KEY)").await;
        server.execute("CREATE TABLE big (id int PRIMARY KEY, body longblob)").await;
        let mut attached = Attached::to(&server).await;
        let mut client = server.client().await;
        client.query_drop("BEGIN").await.expect("BEGIN");
        for id in 0..200 {
            let insert = format!("INSERT INTO big VALUES ({id}, REPEAT('{}', 60000))", id % 10);
            client.query_drop(insert).await.expect("inserted");
        }
        client.query_drop("UPDATE big SET body = REPEAT('x', 12000000) WHERE id = 7").await.expect("updated");
        client.query_drop("UPDATE big SET body = REPEAT('y', 12000000) WHERE id = 7").await.expect("updated");
        client.query_drop("COMMIT").await.expect("COMMIT");
        let seen = attached.level(&server).await;
        assert_eq!(seen.len(), 202, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tagged_ids_are_kept_apart_and_resumed_behind() {
    let server = Server::start(Kind::Mysql).await;
    create_tables(&server).await;
    let mut attached = Attached::to(&server).await;
    let mut client = server.client().await;
    for id in 0..200 {
        client.query_drop(format!("SET gtid_next = 'AUTOMATIC:{}'", ["blue", "green"][id % 2])).await.expect("set");
        client.query_drop(format!("INSERT INTO t VALUES ({id}, 0, '')")).await.expect("inserted");
    }
    let seen = attached.level(&server).await;
    assert_eq!(seen.len(), 200);
    assert!(seen[1].transaction.ends_with(":green:1") && seen[198].transaction.ends_with(":blue:100"));
    attached.stop().await;
    client.query_drop("INSERT INTO t VALUES (1000, 0, '')").await.expect("inserted");
    attached.start();
    assert_eq!(attached.level(&server).await.len(), 201, "nothing was sent twice or passed over");
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_domains_are_resumed_each_behind_its_own() {
    let server = Server::start(Kind::Mariadb).await;
    create_tables(&server).await;
    let mut attached = Attached::to(&server).await;
    let mut client = server.client().await;
    for round in 0..3 {
        for domain in 0..3 {
            client.query_drop(format!("SET gtid_domain_id = {domain}")).await.expect("set");
            client
                .query_drop(format!("INSERT INTO t VALUES ({}, 0, '')", round * 10 + domain))
                .await
                .expect("inserted");
        }
        attached.level(&server).await;
        attached.stop().await;
        attached.start();
    }
    assert_eq!(attached.level(&server).await.len(), 9);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_server_folds_names_a_statement_means_the_table_however_it_is_typed() {
    let server = Server::with_options(Kind::Mariadb, &["--lower-case-table-names=1"]).await;
    create_tables(&server).await;
    let mut attached = Attached::to(&server).await;
    server.execute("INSERT INTO t VALUES (1, 1, '')").await;
    server.execute("TRUNCATE TABLE CRM.T").await;
    let seen = attached.level(&server).await;
    assert_eq!(seen.iter().map(|seen| seen.op).collect::<Vec<_>>(), [Op::Insert, Op::Truncate]);
    attached.end().await;
}
