//! Copies of tables beside the stream: what a reader of the journal makes of them is what the table holds.

use super::attached::{Attached, PATIENCE, Seen, create_tables};
use super::server::{Kind, Server};
use crate::journal::{CopyRecord, CopyState};
use crate::model::name::{SystemName, TableName};
use crate::wire::api::v1::Op;
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub async fn request(attached: &Attached, table: &str) -> CopyRecord {
    let name = SystemName::new("crm").expect("a name");
    let after = attached.journal.bounds().durable;
    attached.journal.request_copy(&name, &TableName::new("crm", table), after).await.expect("recorded")
}

pub async fn until_copy(attached: &Attached, table: &str, reached: impl Fn(&CopyRecord) -> bool) -> CopyRecord {
    let found =
        || attached.journal.copies().into_iter().find(|record| &*record.table.table == table && reached(record));
    let waited = async {
        loop {
            if let Some(record) = found() {
                return record;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    match timeout(PATIENCE, waited).await {
        Ok(record) => record,
        Err(_) => panic!("never came: {:?}", attached.journal.copies()),
    }
}

/// Asks for a copy and waits for its end.
pub async fn copied(attached: &Attached, table: &str) -> CopyRecord {
    request(attached, table).await;
    until_copy(attached, table, |record| record.state == CopyState::Done && !record.again).await
}

/// Rows by `id`, as changes and reads make them; and how many reads said something else than the changes before them.
pub fn replay(seen: &[Seen]) -> (BTreeMap<String, String>, usize) {
    let (mut rows, mut known, mut contradictions) = (BTreeMap::new(), BTreeMap::<String, Option<String>>::new(), 0);
    for change in seen.iter().filter(|seen| seen.table == "t") {
        let key = |row: &super::attached::Cells| row["id"].to_string();
        if let Some(before) = &change.before {
            rows.remove(&key(before));
            known.insert(key(before), None);
        }
        if let Some(after) = &change.after {
            let text = serde_json::to_string(after).expect("JSON");
            if change.op == Op::Read {
                contradictions +=
                    usize::from(known.get(&key(after)).is_some_and(|known| known.as_ref() != Some(&text)));
            }
            known.insert(key(after), Some(text.clone()));
            rows.insert(key(after), text);
        }
    }
    (rows, contradictions)
}

pub async fn truth(server: &Server) -> BTreeMap<String, String> {
    let rows = server.rows("SELECT id, JSON_OBJECT('id', id), n, JSON_QUOTE(note) FROM t").await;
    let text = |row: Vec<Option<String>>| {
        let cell = |at: usize| row[at].clone().unwrap_or_else(|| "null".to_owned());
        (cell(0), format!("{{\"id\":{},\"n\":{},\"note\":{}}}", cell(0), cell(2), cell(3)))
    };
    rows.into_iter().map(text).collect()
}

/// Writers that insert, update, delete and move keys until told to stop.
struct Writers(Arc<AtomicBool>, Vec<JoinHandle<u64>>);

impl Writers {
    async fn start(server: &Server, count: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for writer in 0..count {
            let (mut client, stop) = (server.client().await, Arc::clone(&stop));
            tasks.push(tokio::spawn(async move {
                let mut done = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let id = (done * 7919 + writer * 104_729) % 30_000;
                    let sql = match done % 4 {
                        0 => format!(
                            "INSERT IGNORE INTO t VALUES ({}, {done}, 'new')",
                            100_000 + writer * 100_000 + done
                        ),
                        1 => format!("UPDATE t SET n = n + 1 WHERE id BETWEEN {id} AND {}", id + 3),
                        2 => format!("DELETE FROM t WHERE id = {id}"),
                        _ => format!("UPDATE IGNORE t SET id = id + 40000 + {writer} WHERE id = {}", id + 1),
                    };
                    // A deadlock is the application's to repeat.
                    let _ = client.query_drop(sql).await;
                    done += 1;
                }
                done
            }));
        }
        Self(stop, tasks)
    }

    async fn stop(self) -> u64 {
        self.0.store(true, Ordering::Relaxed);
        let mut done = 0;
        for task in self.1 {
            done += task.await.expect("no panic");
        }
        done
    }
}

pub async fn many_rows(server: &Server) {
    create_tables(server).await;
    for part in 0..10 {
        let rows: Vec<_> = (0..2_000).map(|at| format!("({}, 0, 'row {at}')", part * 2_000 + at)).collect();
        server.execute(&format!("INSERT INTO t VALUES {}", rows.join(","))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_under_load_is_exactly_as_old_as_its_place() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        many_rows(&server).await;
        let mut attached = Attached::to(&server).await;
        let writers = Writers::start(&server, 3).await;
        for _ in 0..3 {
            copied(&attached, "t").await;
        }
        let written = writers.stop().await;
        let seen = attached.level(&server).await;
        let (rows, contradictions) = replay(&seen);
        assert_eq!(contradictions, 0, "{kind:?}: rows were read older or newer than their place, of {written} writes");
        assert!(rows == truth(&server).await, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_beside_transactions_whose_numbers_fall_are_exactly_as_old_as_their_place() {
    for kind in [Kind::Mariadb, Kind::MariadbNewer] {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        let rows: Vec<_> = (0..500).map(|at| format!("({at}, 0, 'row')")).collect();
        server.execute(&format!("INSERT INTO t VALUES {}", rows.join(","))).await;
        let mut attached = Attached::to(&server).await;
        let stop = Arc::new(AtomicBool::new(false));
        let (mut client, stopped) = (server.client().await, Arc::clone(&stop));
        let writer = tokio::spawn(async move {
            for turn in 0_u64.. {
                if stopped.load(Ordering::Relaxed) {
                    return turn;
                }
                // One that is high, then some that are low.
                let number = if turn % 3 == 0 { 1_000_000_000 + turn } else { 2_000 + turn };
                client.query_drop(format!("SET gtid_seq_no = {number}")).await.expect("root may");
                let sql = format!("UPDATE t SET n = {turn} WHERE id % 7 = {}", turn % 7);
                client.query_drop(sql).await.expect("it is written");
            }
            unreachable!("turns do not end")
        });
        for _ in 0..30 {
            copied(&attached, "t").await;
        }
        stop.store(true, Ordering::Relaxed);
        let written = writer.await.expect("no panic");
        let seen = attached.level(&server).await;
        let (rows, contradictions) = replay(&seen);
        assert_eq!(contradictions, 0, "{kind:?}: rows were read older or newer than their place, of {written} writes");
        assert!(rows == truth(&server).await, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_on_behind_its_last_key_after_a_stop() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::start(kind).await;
        many_rows(&server).await;
        let mut attached = Attached::to(&server).await;
        request(&attached, "t").await;
        until_copy(&attached, "t", |record| record.rows > 0).await;
        attached.stop().await;
        // In one process the last chunk may still be on its way into the journal.
        let name = SystemName::new("crm").expect("a name");
        attached.journal.intake(&name).abandon().await.expect("settled");
        let half = attached.journal.copies()[0].clone();
        attached.start();
        let done = until_copy(&attached, "t", |record| record.state == CopyState::Done).await;
        assert_eq!((done.copy, done.rows), (half.copy, 20_000), "{kind:?}");
        let reads = attached.read().await.iter().filter(|seen| seen.op == Op::Read).count();
        assert_eq!(reads, 20_000, "{kind:?}: no row was read twice");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_a_key_with_an_odd_one_and_empty_ones_are_copied_too() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        server.execute("CREATE TABLE keyless (a int, b text)").await;
        server.execute("INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (NULL, NULL)").await;
        server.execute("CREATE TABLE odd (k varchar(20) CHARACTER SET latin1, e enum('z','a'), b varbinary(9), n decimal(20,2), PRIMARY KEY (k, b, n))").await;
        server
            .execute("INSERT INTO odd VALUES ('ä''\\\\', 'z', x'00FF', 1.50), ('B', 'a', '', -3), ('B', 'a', '', 2)")
            .await;
        let attached = Attached::to(&server).await;
        for (table, rows) in [("keyless", 3), ("odd", 3), ("t", 0)] {
            assert_eq!(copied(&attached, table).await.rows, rows, "{kind:?} {table}");
        }
        attached.end().await;
    }
}
