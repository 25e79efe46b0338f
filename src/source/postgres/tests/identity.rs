//! The identity matrix on real servers.

use super::*;
use crate::model::checkpoint::{PostgresCheckpoint, PostgresFingerprint, PostgresServer};
use crate::model::code;
use crate::model::position::Lsn;
use crate::model::time::UnixMicros;
use crate::source::postgres::identity::{Start, judge, read};
use crate::source::postgres::slot;

async fn look(system: &PostgresSystem, checkpoint: Option<&PostgresCheckpoint>) -> Result<Start, Fault> {
    let mut connection = Connection::open(&system.endpoint, Purpose::Replication).await?;
    let server = read(&mut connection, system, checkpoint.and_then(|checkpoint| checkpoint.last)).await?;
    judge(&server, checkpoint)
}

/// Makes the slot, and the checkpoint of its consistent point.
async fn set_up(system: &PostgresSystem) -> PostgresCheckpoint {
    let mut connection = Connection::open(&system.endpoint, Purpose::Replication).await.expect("in");
    let server = read(&mut connection, system, None).await.expect("answers").identity;
    let flushed = slot::create(&mut connection, &system.slot, false).await.expect("a slot");
    PostgresCheckpoint { flushed, server, last: None }
}

#[tokio::test]
async fn slot_lost_moved_foreign_or_unknown_halts_each_with_its_code() {
    let server = TestServer::start("");
    let system = server.system();
    assert_eq!(look(&system, None).await.expect("fine"), Start::SetUp { slot_exists: false });
    let checkpoint = set_up(&system).await;
    assert_eq!(look(&system, Some(&checkpoint)).await.expect("fine"), Start::Resume);
    assert_eq!(code_of(look(&system, None).await), code::SLOT_WITHOUT_JOURNAL.as_str());
    assert_eq!(look(&system, Some(&intent(&checkpoint))).await.expect("fine"), Start::SetUp { slot_exists: true });

    server.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)").await;
    server.sql("SELECT pg_replication_slot_advance('tailwater_erp', pg_current_wal_lsn())").await;
    assert_eq!(code_of(look(&system, Some(&checkpoint)).await), code::SLOT_AHEAD.as_str());

    server.sql("SELECT pg_drop_replication_slot('tailwater_erp')").await;
    assert_eq!(code_of(look(&system, Some(&checkpoint)).await), code::SLOT_MISSING.as_str());

    server.sql("SELECT pg_create_logical_replication_slot('tailwater_erp', 'test_decoding')").await;
    assert_eq!(code_of(look(&system, Some(&checkpoint)).await), code::SLOT_FOREIGN.as_str());
    let future = PostgresCheckpoint { flushed: Lsn(u64::MAX), ..checkpoint };
    assert_eq!(code_of(look(&system, Some(&future)).await), code::SERVER_BEHIND.as_str());
}

#[tokio::test]
async fn another_server_or_timeline_halts() {
    let server = TestServer::start("");
    let checkpoint = set_up(&server.system()).await;
    let promoted = server.promoted_copy();
    assert_eq!(code_of(look(&promoted.system(), Some(&checkpoint)).await), code::TIMELINE_CHANGED.as_str());
    let other = TestServer::start("wal_level = replica");
    assert_eq!(code_of(look(&other.system(), Some(&checkpoint)).await), code::WAL_LEVEL_NOT_LOGICAL.as_str());
    let other = TestServer::start("");
    assert_eq!(code_of(look(&other.system(), Some(&checkpoint)).await), code::SERVER_REPLACED.as_str());
}

#[tokio::test]
async fn the_last_transaction_is_recognised_by_its_commit_time() {
    let server = TestServer::start("track_commit_timestamp = on");
    let system = server.system();
    let checkpoint = set_up(&system).await;
    let xid = server.text("CREATE TABLE t (id int); SELECT pg_current_xact_id()").await;
    let time = format!("SELECT (extract(epoch FROM pg_xact_commit_timestamp('{xid}'::xid)) * 1000000)::int8");
    let commit_time = UnixMicros(server.text(&time).await.parse().expect("a number"));
    let last = PostgresFingerprint { xid: xid.parse().expect("a number"), commit_lsn: checkpoint.flushed, commit_time };
    let known = PostgresCheckpoint { last: Some(last), ..checkpoint.clone() };
    assert_eq!(look(&system, Some(&known)).await.expect("fine"), Start::Resume);
    let other = PostgresFingerprint { commit_time: UnixMicros(commit_time.0 + 1), ..last };
    let known = PostgresCheckpoint { last: Some(other), ..checkpoint.clone() };
    assert_eq!(code_of(look(&system, Some(&known)).await), code::HISTORY_DIFFERS.as_str());
    let forgotten = PostgresFingerprint { xid: 4_000_000, ..other };
    let known = PostgresCheckpoint { last: Some(forgotten), ..checkpoint };
    assert_eq!(look(&system, Some(&known)).await.expect("fine"), Start::Resume);
}

#[tokio::test]
async fn a_slot_that_the_server_gave_up_halts() {
    let server = TestServer::start("max_slot_wal_keep_size = 1MB\nmin_wal_size = 32MB\nmax_wal_size = 32MB");
    let system = server.system();
    let checkpoint = set_up(&system).await;
    server.sql("CREATE TABLE t (filler text)").await;
    for _ in 0..6 {
        server.sql("INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 20000)").await;
        server.sql("SELECT pg_switch_wal()").await;
        server.sql("CHECKPOINT").await;
    }
    assert_eq!(code_of(look(&system, Some(&checkpoint)).await), code::SLOT_INVALIDATED.as_str());
    assert_eq!(code_of(look(&system, None).await), code::SLOT_WITHOUT_JOURNAL.as_str());
    assert_eq!(look(&system, Some(&intent(&checkpoint))).await.expect("fine"), Start::SetUp { slot_exists: true });
    assert_eq!(code_of(look(&system, Some(&of_the_future(&checkpoint))).await), code::SERVER_BEHIND.as_str());
    assert_eq!(code_of(look(&system, Some(&of_another_server(&checkpoint))).await), code::SERVER_REPLACED.as_str());
}

#[tokio::test]
async fn without_a_journal_a_slot_of_that_name_halts_wherever_it_stands() {
    let server = TestServer::start("");
    let system = server.system();
    let checkpoint = set_up(&system).await;
    assert_eq!(code_of(look(&system, None).await), code::SLOT_WITHOUT_JOURNAL.as_str());
    server.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)").await;
    server.sql("SELECT pg_replication_slot_advance('tailwater_erp', pg_current_wal_lsn())").await;
    assert_eq!(code_of(look(&system, None).await), code::SLOT_WITHOUT_JOURNAL.as_str());
    assert_eq!(look(&system, Some(&intent(&checkpoint))).await.expect("fine"), Start::SetUp { slot_exists: true });
    make_foreign(&server).await;
    assert_eq!(code_of(look(&system, None).await), code::SLOT_FOREIGN.as_str());
    assert_eq!(code_of(look(&system, Some(&intent(&checkpoint))).await), code::SLOT_FOREIGN.as_str());
}

#[tokio::test]
async fn a_journal_of_another_history_halts_whatever_the_slot_is() {
    let server = TestServer::start("");
    let system = server.system();
    let checkpoint = set_up(&system).await;
    let other_database = PostgresServer { database: "other".to_owned(), ..checkpoint.server.clone() };
    let of_another_database = PostgresCheckpoint { server: other_database, ..checkpoint.clone() };
    for slot in ["present", "ahead", "foreign", "absent"] {
        match slot {
            "ahead" => {
                server.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)").await;
                server.sql("SELECT pg_replication_slot_advance('tailwater_erp', pg_current_wal_lsn())").await;
            }
            "foreign" => make_foreign(&server).await,
            "absent" => drop(server.sql("SELECT pg_drop_replication_slot('tailwater_erp')").await),
            _ => {}
        }
        for (journal, code) in [
            (of_the_future(&checkpoint), code::SERVER_BEHIND),
            (of_another_server(&checkpoint), code::SERVER_REPLACED),
            (of_another_database.clone(), code::SERVER_REPLACED),
        ] {
            assert_eq!(code_of(look(&system, Some(&journal)).await), code.as_str(), "slot {slot}");
        }
    }
}

fn intent(checkpoint: &PostgresCheckpoint) -> PostgresCheckpoint {
    PostgresCheckpoint { flushed: Lsn(0), ..checkpoint.clone() }
}

fn of_the_future(checkpoint: &PostgresCheckpoint) -> PostgresCheckpoint {
    PostgresCheckpoint { flushed: Lsn(u64::MAX), ..checkpoint.clone() }
}

fn of_another_server(checkpoint: &PostgresCheckpoint) -> PostgresCheckpoint {
    let system_identifier = checkpoint.server.system_identifier + 1;
    PostgresCheckpoint {
        server: PostgresServer { system_identifier, ..checkpoint.server.clone() },
        ..checkpoint.clone()
    }
}

/// Another plugin's slot under our name.
async fn make_foreign(server: &TestServer) {
    server.sql("SELECT pg_drop_replication_slot('tailwater_erp')").await;
    server.sql("SELECT pg_create_logical_replication_slot('tailwater_erp', 'test_decoding')").await;
}
