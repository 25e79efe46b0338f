//! Copies of tables to which many write at once, and beside numbers that will never come through the log.

use super::attached::{Attached, create_tables};
use super::copy::{copied, many_rows, replay, truth, until_copy};
use super::server::{Kind, Server};
use crate::source::status::State;
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const WRITERS: u64 = 40;

/// Writers of which one at least always has an open transaction that wrote to the table. Each waits in the middle of its
/// transaction, so that the next one begins before it ends.
struct Overlapping {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<(u64, Duration)>>,
}

impl Overlapping {
    async fn start(server: &Server, table: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for writer in 0..WRITERS {
            let (mut client, stop) = (server.client().await, Arc::clone(&stop));
            tasks.push(tokio::spawn(async move {
                let (mut turns, mut longest) = (0_u64, Duration::ZERO);
                while !stop.load(Ordering::Relaxed) {
                    let id = (turns * 7919 + writer * 500) % 20_000;
                    let sql = match turns % 4 {
                        0 => format!(
                            "INSERT IGNORE INTO {table} VALUES ({}, {turns}, 'new')",
                            100_000 * (writer + 1) + turns
                        ),
                        1 => format!("UPDATE {table} SET n = n + 1 WHERE id = {id}"),
                        2 => format!("DELETE FROM {table} WHERE id = {id}"),
                        _ => format!("UPDATE {table} SET id = id + 10000000 * {} WHERE id = {}", writer + 1, id + 1),
                    };
                    let begun = Instant::now();
                    client.query_drop("BEGIN").await.expect("it begins");
                    // A deadlock is the application's to repeat.
                    let _ = client.query_drop(sql).await;
                    longest = longest.max(begun.elapsed());
                    sleep(Duration::from_millis(20)).await;
                    let _ = client.query_drop("COMMIT").await;
                    turns += 1;
                }
                (turns, longest)
            }));
        }
        Self { stop, tasks }
    }

    /// How many transactions there were, and how long the longest of their statements took.
    async fn stop(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut turns, mut longest) = (0, Duration::ZERO);
        for task in self.tasks {
            let (more, slowest) = task.await.expect("no panic");
            (turns, longest) = (turns + more, longest.max(slowest));
        }
        (turns, longest)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_overlapping_writers_do_not_keep_a_table_from_being_copied() {
    for (kind, key) in [(Kind::Mysql, true), (Kind::Mysql, false), (Kind::Mariadb, true), (Kind::Mariadb, false)] {
        let server = Server::start(kind).await;
        many_rows(&server).await;
        if !key {
            server.execute("ALTER TABLE t DROP PRIMARY KEY, ADD KEY (id)").await;
        }
        let mut attached = Attached::to(&server).await;
        let writers = Overlapping::start(&server, "t").await;
        let begun = Instant::now();
        for _ in 0..5 {
            copied(&attached, "t").await;
        }
        let took = begun.elapsed();
        let (turns, longest) = writers.stop().await;
        println!(
            "{kind:?}, {key}: 5 copies in {took:?} beside {turns} transactions, whose statements took {longest:?} at most"
        );
        let seen = attached.level(&server).await;
        let (rows, contradictions) = replay(&seen);
        assert_eq!(contradictions, 0, "{kind:?}, {key}: rows are not those of their place, of {turns} writes");
        assert!(rows == truth(&server).await, "{kind:?}, {key}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_never_come_through_the_log_do_not_hold_a_copy_up() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        server.execute("INSERT INTO t VALUES (1, 1, 'x')").await;
        let mut attached = Attached::to(&server).await;
        copied(&attached, "t").await;
        let strange = match kind {
            Kind::Mysql => "SET GLOBAL gtid_purged = '+3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5'",
            _ => "SET GLOBAL gtid_slave_pos = '7-99-1000'",
        };
        server.execute(strange).await;
        assert_eq!(copied(&attached, "t").await.rows, 1, "{kind:?}");
        server.execute("INSERT INTO t VALUES (2, 2, 'y')").await;
        assert_eq!(copied(&attached, "t").await.rows, 2, "{kind:?}");
        attached.stop().await;
        // Nothing is known of what they did. What the stream has not seen to, a restart does.
        if kind == Kind::Mysql {
            server.execute("SET GLOBAL gtid_purged = '+3e11fa47-71ca-11e1-9e33-c80aa9429562:7-9'").await;
        }
        attached.start();
        attached.until(|status| status.state == State::Streaming).await;
        if kind == Kind::Mysql {
            until_copy(&attached, "t", |record| record.why.contains("gtid_purged") && record.rows == 2).await;
        }
        server.execute("INSERT INTO t VALUES (3, 3, 'z')").await;
        let (rows, _) = replay(&attached.level(&server).await);
        assert!(rows == truth(&server).await, "{kind:?}");
        attached.end().await;
    }
}
