//! Nothing is passed over and nothing guessed: every surprise halts, with its own code.

use super::attached::{Attached, create_tables, system};
use super::copy::copied;
use super::server::{Kind, Server};
use crate::journal::{CopyRecord, CopyState};
use crate::model::code;
use crate::source::status::{SourceStatus, State};
use mysql_async::prelude::Queryable;

/// Runs statements in one session beside a stream; gives the code that it halts with.
async fn halt_of(kind: Kind, options: &[&str], statements: &[&str]) -> code::Code {
    let server = Server::with_options(kind, options).await;
    create_tables(&server).await;
    let mut attached = Attached::to(&server).await;
    let mut client = server.client().await;
    for sql in statements {
        client.query_drop(*sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let code = attached.halts().await;
    attached.end().await;
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_logs_and_partial_json_halt() {
    let insert = "INSERT INTO t VALUES (1, 1, REPEAT('x', 200))";
    let compressed = ["SET binlog_transaction_compression = ON", insert];
    assert_eq!(halt_of(Kind::Mysql, &[], &compressed).await, code::LOG_COMPRESSED);
    let wide = "CREATE TABLE w (a text)";
    let compressed = ["SET GLOBAL log_bin_compress = ON", wide, "INSERT INTO w VALUES (REPEAT('x', 2000))"];
    assert_eq!(halt_of(Kind::Mariadb, &[], &compressed).await, code::LOG_COMPRESSED);
    let partial = [
        "CREATE TABLE j (id int PRIMARY KEY, doc json)",
        "INSERT INTO j VALUES (1, '{\"a\": \"x\", \"b\": \"a longer text than that\"}')",
        "SET binlog_row_value_options = PARTIAL_JSON",
        "UPDATE j SET doc = JSON_SET(doc, '$.a', 'y')",
    ];
    assert_eq!(halt_of(Kind::Mysql, &[], &partial).await, code::PARTIAL_JSON);
}

/// Whether the source streams while the table `t` is halted with the code, or is not.
fn halts_table(status: &SourceStatus, code: Option<code::Code>) -> bool {
    let table = status.tables.iter().find(|table| &*table.name.table == "t");
    let halt = table.and_then(|table| status.halt_of(table)).map(|problem| problem.code);
    status.state == State::Streaming && halt == code
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_logged_without_columns_or_names_halt_their_table_alone_and_have_it_copied_again() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        server.execute("INSERT INTO t VALUES (1, 1, '')").await;
        let mut attached = Attached::to(&server).await;
        let mut client = server.client().await;
        let copies = |attached: &Attached| attached.journal.copies().into_iter().find(|copy| &*copy.table.table == "t");
        client.query_drop("SET binlog_row_image = 'MINIMAL'").await.expect("set");
        client.query_drop("UPDATE t SET n = 2").await.expect("changed");
        let is_copied = |copy: &CopyRecord| copy.state == CopyState::Done && copy.rows == 1;
        while !copies(&attached).is_some_and(|copy| is_copied(&copy)) {
            attached.journal.copies_changed().changed().await.expect("it is open");
        }
        attached.until(|status| halts_table(status, None)).await;
        server.execute("SET GLOBAL binlog_row_metadata = 'MINIMAL'").await;
        server.execute("INSERT INTO t VALUES (2, 1, '')").await;
        attached.until(|status| halts_table(status, Some(code::ROWS_INCOMPLETE))).await;
        server.execute("SET GLOBAL binlog_row_metadata = 'FULL'").await;
        server.execute("INSERT INTO t VALUES (3, 1, '')").await;
        attached.until(|status| halts_table(status, None)).await;
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_would_have_to_be_guessed_around_halt_before_the_start() {
    for (kind, option, code) in [
        (Kind::Mysql, "--binlog-row-metadata=MINIMAL", code::LOG_SETTINGS),
        (Kind::Mysql, "--binlog-row-image=MINIMAL", code::LOG_SETTINGS),
        (Kind::Mysql, "--gtid-mode=OFF", code::GTID_OFF),
        (Kind::Mysql, "--binlog-transaction-compression=ON", code::LOG_COMPRESSED),
        (Kind::Mariadb, "--binlog-format=MIXED", code::LOG_SETTINGS),
        (Kind::Mariadb, "--binlog-row-metadata=NO_LOG", code::LOG_SETTINGS),
        (Kind::Mariadb, "--log-bin-compress=ON", code::LOG_COMPRESSED),
    ] {
        let server = Server::with_options(kind, &[option]).await;
        let mut attached = Attached::idle(system(&server));
        attached.start();
        assert_eq!(attached.halts().await, code, "{option}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_log_halts() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        let mut attached = Attached::to(&server).await;
        attached.level(&server).await;
        attached.stop().await;
        server.execute("INSERT INTO t VALUES (1, 1, '')").await;
        server.execute("FLUSH BINARY LOGS").await;
        server.execute("INSERT INTO t VALUES (2, 1, '')").await;
        server.execute("FLUSH BINARY LOGS").await;
        let logs = server.rows("SHOW BINARY LOGS").await;
        let last = logs.last().and_then(|row| row[0].clone()).expect("a log");
        // A connection of ours that has just ended may still be read for.
        let files = async || server.rows("SHOW BINARY LOGS").await.len();
        while files().await > 1 {
            server.execute(&format!("PURGE BINARY LOGS TO '{last}'")).await;
        }
        attached.start();
        assert_eq!(attached.halts().await, code::LOG_PURGED, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_and_one_that_lost_transactions_halt() {
    for (kind, code) in [(Kind::Mysql, code::SERVER_OTHER), (Kind::Mariadb, code::SERVER_OTHER)] {
        let first = Server::start(kind).await;
        create_tables(&first).await;
        let mut attached = Attached::to(&first).await;
        attached.level(&first).await;
        attached.stop().await;
        let second = Server::start(kind).await;
        create_tables(&second).await;
        attached.move_to(system(&second));
        attached.start();
        assert_eq!(attached.halts().await, code, "{kind:?}");
        attached.end().await;
    }
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        let mut attached = Attached::to(&server).await;
        attached.level(&server).await;
        attached.stop().await;
        let reset = if kind == Kind::Mysql { "RESET BINARY LOGS AND GTIDS" } else { "RESET MASTER" };
        server.execute(reset).await;
        attached.start();
        assert_eq!(attached.halts().await, code::HISTORY_BEHIND, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_other_kind_and_a_wrong_password_are_told_apart() {
    let server = Server::start(Kind::Mariadb).await;
    let mut wrong = system(&server);
    wrong.flavour = crate::config::Flavour::Mysql;
    let mut attached = Attached::idle(wrong);
    attached.start();
    assert_eq!(attached.halts().await, code::FLAVOUR_WRONG);
    attached.end().await;
    let mut wrong = system(&server);
    wrong.endpoint.password = None;
    let mut attached = Attached::idle(wrong);
    attached.start();
    let refused =
        |state: &State| matches!(state, State::Retrying(problem) if problem.code == code::AUTHENTICATION_FAILED);
    attached.until(|status| refused(&status.state)).await;
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_given_twice_in_a_row_is_another_transaction_all_the_same() {
    for kind in [Kind::Mariadb, Kind::MariadbNewer] {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        let mut attached = Attached::to(&server).await;
        let mut client = server.client().await;
        for sql in [
            "SET SESSION gtid_domain_id = 7, gtid_seq_no = 100",
            "INSERT INTO t VALUES (10, 1, '')",
            "SET SESSION gtid_seq_no = 100",
            "INSERT INTO t VALUES (11, 1, '')",
        ] {
            client.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        let seen = attached.level(&server).await;
        let inserted = seen.iter().filter(|seen| seen.table == "t" && !seen.copied).count();
        assert_eq!(inserted, 2, "{kind:?}");
        attached.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_server_lost_have_every_table_copied_again() {
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        server.execute("CREATE DATABASE other").await;
        server.execute("CREATE TABLE other.m (id int PRIMARY KEY, v varchar(5000)) ENGINE = MyISAM").await;
        let mut attached = Attached::to(&server).await;
        let copies = |attached: &Attached| {
            let copy = attached.journal.copies().into_iter().find(|copy| &*copy.table.table == "t");
            copy.filter(|copy| copy.state == CopyState::Done).map_or(0, |copy| copy.copy)
        };
        copied(&attached, "t").await;
        server.execute("SET GLOBAL max_binlog_stmt_cache_size = 4096").await;
        server.execute("SET GLOBAL binlog_stmt_cache_size = 4096").await;
        let rows = (1..100).map(|n| format!("({n}, REPEAT('x', 4000))")).collect::<Vec<_>>().join(", ");
        let mut client = server.client().await;
        client.query_drop(format!("INSERT INTO other.m VALUES {rows}")).await.expect_err("the log has no room for it");
        while copies(&attached) < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        server.execute("INSERT INTO t VALUES (1, 1, '')").await;
        attached.level(&server).await;
        attached.end().await;
    }
}
