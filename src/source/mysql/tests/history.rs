//! Another history under the same numbers: a log that was reset, a restored backup, another server at the same address.

use super::attached::{Attached, Seen, create_tables, system};
use super::copy::copied;
use super::server::{Kind, Server};
use crate::model::code;
use mysql_async::prelude::Queryable;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::process::Command;

/// A server with some transactions, all of them journaled, and the source stopped.
async fn stopped(kind: Kind) -> (Server, Attached) {
    let server = Server::start(kind).await;
    create_tables(&server).await;
    write(&server, 1..4).await;
    let mut attached = Attached::to(&server).await;
    attached.level(&server).await;
    attached.stop().await;
    (server, attached)
}

/// A transaction for each id.
async fn write(server: &Server, ids: std::ops::Range<u32>) {
    let mut client = server.client().await;
    for id in ids {
        client.query_drop(format!("INSERT INTO t VALUES ({id}, 0, 'row')")).await.expect("it is written");
    }
}

fn copy(server: &Server, from: &str, to: &str) {
    let (from, to) = (server.directory().join(from), server.directory().join(to));
    // What is there may be there no more.
    let _ = std::fs::remove_dir_all(&to);
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp is there").success());
}

async fn save(server: &mut Server) {
    server.stop(Signal::TERM);
    copy(server, "data", "saved");
    server.up().await;
}

async fn restore(server: &mut Server) {
    server.stop(Signal::TERM);
    copy(server, "saved", "data");
    server.up().await;
}

/// Of the rows that the stream has brought. (A restored file may look like another one, and its table is copied again.)
fn ids(seen: &[Seen]) -> BTreeSet<u64> {
    let rows = seen.iter().filter(|seen| seen.table == "t" && !seen.copied).filter_map(|seen| seen.after.as_ref());
    rows.filter_map(|row| row.get("id").and_then(serde_json::Value::as_u64)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_reset_and_grew_past_the_checkpoint_halts() {
    for kind in Kind::ALL {
        let (server, mut attached) = stopped(kind).await;
        server.execute(if kind == Kind::Mysql { "RESET BINARY LOGS AND GTIDS" } else { "RESET MASTER" }).await;
        write(&server, 100..190).await;
        attached.start();
        assert_eq!(attached.halts().await, code::HISTORY_DIFFERS, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_that_grew_past_the_checkpoint_halts_and_a_newer_one_is_followed() {
    for kind in Kind::ALL {
        let (mut server, mut attached) = stopped(kind).await;
        write(&server, 10..15).await;
        save(&mut server).await;
        write(&server, 20..25).await;
        restore(&mut server).await;
        write(&server, 30..32).await;
        attached.start();
        let seen = ids(&attached.level(&server).await);
        assert_eq!(seen, (10..15).chain(30..32).collect(), "{kind:?}: what was lost never came");
        write(&server, 40..50).await;
        attached.level(&server).await;
        attached.stop().await;
        restore(&mut server).await;
        write(&server, 100..130).await;
        attached.start();
        assert_eq!(attached.halts().await, code::HISTORY_DIFFERS, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_at_the_same_address_halts_and_the_same_at_another_is_followed() {
    for kind in Kind::ALL {
        let (mut first, mut attached) = stopped(kind).await;
        first.stop(Signal::TERM);
        let port = std::mem::replace(&mut first.port, 0);
        let mut second = Server::start(kind).await;
        create_tables(&second).await;
        write(&second, 1..30).await;
        let free = second.port;
        second.stop(Signal::TERM);
        second.port = port;
        second.up().await;
        attached.start();
        let code = attached.halts().await;
        // MariaDB tells servers apart by their address.
        assert_eq!(code, if kind == Kind::Mysql { code::SERVER_OTHER } else { code::HISTORY_DIFFERS }, "{kind:?}");
        attached.stop().await;
        second.stop(Signal::TERM);
        first.port = free;
        first.up().await;
        write(&first, 50..60).await;
        attached.move_to(system(&first));
        attached.start();
        let seen = ids(&attached.level(&first).await);
        assert_eq!(seen, (50..60).collect(), "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_transaction_another_log_is_noticed_too() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        let mut attached = Attached::to(&server).await;
        attached.stop().await;
        // A log's begin is known by the second.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        server.execute(if kind == Kind::Mysql { "RESET BINARY LOGS AND GTIDS" } else { "RESET MASTER" }).await;
        create_tables(&server).await;
        write(&server, 100..130).await;
        attached.start();
        assert_eq!(attached.halts().await, code::HISTORY_DIFFERS, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_and_other_settings_of_the_log_are_no_other_history() {
    for kind in Kind::ALL {
        let (mut server, mut attached) = stopped(kind).await;
        for (round, checksum) in (0..).zip(["NONE", "CRC32"]) {
            // Begins another file.
            server.execute(&format!("SET GLOBAL binlog_checksum = {checksum}")).await;
            attached.start();
            attached.until(|status| status.state == crate::source::status::State::Streaming).await;
            attached.stop().await;
            write(&server, 10 + 10 * round..12 + 10 * round).await;
            attached.start();
            attached.level(&server).await;
            server.stop(Signal::KILL);
            server.up().await;
            attached.level(&server).await;
            attached.stop().await;
        }
        assert_eq!(ids(&attached.read().await), [10, 11, 20, 21].into(), "{kind:?}");
        attached.journal.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_server_that_purged_all_that_is_known_is_followed() {
    for kind in Kind::ALL {
        let (server, mut attached) = stopped(kind).await;
        server.execute("FLUSH BINARY LOGS").await;
        let last = server.rows("SHOW BINARY LOGS").await.pop().and_then(|row| row[0].clone()).expect("a log");
        while server.rows("SHOW BINARY LOGS").await.len() > 1 {
            server.execute(&format!("PURGE BINARY LOGS TO '{last}'")).await;
        }
        attached.start();
        attached.until(|status| status.state == crate::source::status::State::Streaming).await;
        write(&server, 10..15).await;
        assert_eq!(ids(&attached.level(&server).await), (10..15).collect(), "{kind:?}");
        // It is quiet, and copies find their place all the same.
        assert_eq!(copied(&attached, "t").await.rows, 8, "{kind:?}");
        attached.stop().await;
        attached.start();
        assert_eq!(copied(&attached, "t").await.rows, 8, "{kind:?}");
        attached.end().await;
    }
}

/// MariaDB takes any number, and goes on from the highest one.
async fn write_numbered(server: &Server, ids: std::ops::Range<u32>, number: impl Fn(u32) -> u32) {
    let mut client = server.client().await;
    for id in ids {
        client.query_drop(format!("SET gtid_seq_no = {}", number(id))).await.expect("root may");
        client.query_drop(format!("INSERT INTO t VALUES ({id}, 0, 'row')")).await.expect("it is written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn falling_numbers_in_a_domain_lose_nothing_over_a_restart() {
    for kind in [Kind::Mariadb, Kind::MariadbNewer] {
        let (server, mut attached) = stopped(kind).await;
        write_numbered(&server, 10..15, |id| 5000 - id).await;
        server.execute("FLUSH BINARY LOGS").await;
        write_numbered(&server, 20..25, |id| 4000 - id).await;
        attached.start();
        assert_eq!(ids(&attached.level(&server).await), (10..15).chain(20..25).collect(), "{kind:?}");
        attached.stop().await;
        write_numbered(&server, 30..35, |id| 3000 - id).await;
        server.execute("FLUSH BINARY LOGS").await;
        write_numbered(&server, 40..45, |id| 2000 - id).await;
        attached.start();
        let expected = (10..15).chain(20..25).chain(30..35).chain(40..45).collect();
        assert_eq!(ids(&attached.level(&server).await), expected, "{kind:?}");
        attached.end().await;
    }
}
