//! A whole source into a real journal.

use super::attached::{Attached, PATIENCE, streams};
use super::*;
use crate::model::checkpoint::{Checkpoint, PostgresCheckpoint};
use crate::model::code;
use crate::model::position::{Lsn, Sequence};
use crate::source::postgres::{identity, slot};
use crate::source::status::{CapturedTable, SourceStatus};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn transactions_arrive_once_and_in_order_across_server_crashes_and_our_own_stops() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE t (id int PRIMARY KEY, filler text); CREATE TABLE bare (n int)").await;
    let mut attached = Attached::to(server.system()).await;
    let mut inserted = 0u64;
    for round in 0..4 {
        for _ in 0..20 {
            inserted += 1;
            server
                .sql(&format!("BEGIN; INSERT INTO t VALUES ({inserted}); INSERT INTO bare VALUES ({inserted}); COMMIT"))
                .await;
        }
        if round % 2 == 0 {
            server.down("immediate");
            server.up();
            attached.until(|status| status.reconnects > 0 && streams(status)).await;
        }
        let durable =
            attached.journal.durable().wait_for(|sequence| sequence.0 >= inserted).await.map(|sequence| *sequence);
        assert_eq!(durable.expect("open"), Sequence(inserted));
        attached.stop().await;
        attached.start();
        attached.until(streams).await;
    }
    let mut reader = attached.journal.reader(Sequence::ZERO);
    for sequence in 1..=inserted {
        let header = reader.next().await.expect("a transaction");
        assert_eq!((header.sequence.0, header.changes, header.schemas.len()), (sequence, 2, 2));
    }
    assert!(!reader.ready());
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_comes_in_chunks_and_the_slot_is_told_only_what_is_durable() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE t (id int PRIMARY KEY, filler text)").await;
    let attached = Attached::to(server.system()).await;
    server.sql("INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n").await;
    let mut reader = attached.journal.reader(Sequence::ZERO);
    let header = timeout(PATIENCE, reader.next()).await.expect("in time").expect("a transaction");
    assert_eq!(header.changes, 50_000);
    assert!(header.chunks > 10);
    while let Some(chunk) = reader.chunk().await.expect("a chunk") {
        assert!(chunk.len() <= crate::journal::CHUNK_BYTES_MAX);
    }
    let confirmed: Lsn =
        server.text("SELECT confirmed_flush_lsn FROM pg_replication_slots").await.parse().expect("an LSN");
    let Some(Checkpoint::Postgres(checkpoint)) = attached.journal.checkpoint(&server.system().name) else {
        panic!("none")
    };
    assert!(confirmed <= checkpoint.flushed);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_captured_set_beside_a_busy_table_confirms_and_a_fast_shutdown_does_not_hang() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA noise; CREATE TABLE noise.n (filler text)").await;
    let mut attached = Attached::to(server.system()).await;
    let begun = attached.until(|status| streams(status) && status.flushed.is_some()).await;
    for _ in 0..10 {
        server.sql("INSERT INTO noise.n SELECT repeat('x', 1000) FROM generate_series(1, 10000)").await;
    }
    let end: Lsn = server.text("SELECT pg_current_wal_flush_lsn()").await.parse().expect("an LSN");
    assert!(end.bytes_since(begun.flushed.expect("known")) > 64 << 20);
    attached.until(|status| status.flushed >= Some(end)).await;
    assert!(server.down("fast") < Duration::from_secs(5));
    server.up();
    attached.until(|status| status.reconnects > 0 && streams(status)).await;
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_stays_while_the_journal_takes_nothing() {
    let server = TestServer::start("wal_sender_timeout = 2s");
    server.sql("CREATE TABLE t (id int PRIMARY KEY, filler text)").await;
    let mut attached = Attached::to(server.system()).await;
    attached.stop().await;
    // A floor that no disk satisfies: intake waits for ever.
    let mut attached = attached.reopen(u64::MAX).await;
    attached.start();
    attached.until(streams).await;
    let sender = server.text("SELECT pid FROM pg_stat_replication").await;
    server.sql("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 50000) n").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(server.text("SELECT pid FROM pg_stat_replication").await, sender);
    assert_eq!(attached.journal.bounds().durable, Sequence::ZERO);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_dropped_behind_our_back_halts_and_the_halt_is_visible() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut attached = Attached::to(server.system()).await;
    server.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots").await;
    attached.until(|status| status.reconnects > 0 && streams(status)).await;
    attached.stop().await;
    let gone = async {
        while server.text("SELECT active FROM pg_replication_slots").await == "t" {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the server lets go");
    server.sql("SELECT pg_drop_replication_slot('tailwater_erp')").await;
    attached.start();
    assert_eq!(attached.halts().await, code::SLOT_MISSING);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_catalogue_says_of_a_table_is_what_the_stream_will_say() {
    let server = TestServer::start("");
    server
        .sql(
            "CREATE TYPE mood AS ENUM ('fine'); CREATE DOMAIN cents AS bigint; CREATE DOMAIN price AS cents; \
             CREATE TABLE plain (a int, id bigint PRIMARY KEY, n numeric(12,2), v varchar(7)[], m mood, p price); \
             CREATE TABLE by_index (a int, b text NOT NULL UNIQUE, c timestamptz(3)); \
             ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_b_key; \
             CREATE TABLE whole (id int PRIMARY KEY, j jsonb); ALTER TABLE whole REPLICA IDENTITY FULL; \
             CREATE TABLE keyless (a bit(3), b text); ALTER TABLE keyless REPLICA IDENTITY FULL; \
             CREATE TABLE bare (n int, twice int GENERATED ALWAYS AS (n * 2) STORED)",
        )
        .await;
    let attached = Attached::to(server.system()).await;
    let described = attached.journal.current_schemas();
    assert_eq!(described.len(), 5);
    server
        .sql(
            "INSERT INTO plain VALUES (1, 2, 3.5, '{x}', 'fine', 7); INSERT INTO by_index VALUES (1, 'b', now()); \
             INSERT INTO whole VALUES (1, '{}'); INSERT INTO keyless VALUES ('101', 'x'); INSERT INTO bare VALUES (1)",
        )
        .await;
    let mut reader = attached.journal.reader(Sequence::ZERO);
    let mut used = 0;
    while used < described.len() {
        let header = timeout(PATIENCE, reader.next()).await.expect("in time").expect("a transaction");
        used += header.schemas.len();
        for id in &header.schemas {
            assert!(described.iter().any(|schema| schema.id == *id), "{:?}", attached.journal.schema(*id));
        }
    }
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_made_while_streaming_is_captured_and_one_taken_away_behind_our_back_halts_alone() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE first (id int PRIMARY KEY)").await;
    let mut attached = Attached::to(server.system()).await;
    server.sql("CREATE TABLE second (id int PRIMARY KEY)").await;
    attached.until(|status| status.tables.len() == 2).await;
    server.sql("INSERT INTO second VALUES (1)").await;
    let mut reader = attached.journal.reader(Sequence::ZERO);
    let header = timeout(PATIENCE, reader.next()).await.expect("in time").expect("a transaction");
    let schema = attached.journal.schema(header.schemas[0]).expect("described");
    assert_eq!(schema.full_name(), "erp.public.second");
    server.sql("ALTER PUBLICATION tailwater_erp DROP TABLE second").await;
    let halted = |table: &CapturedTable| table.halt.as_ref().is_some_and(|halt| halt.code == code::PUBLICATION_ALTERED);
    let status = attached.until(|status| status.tables.iter().any(halted)).await;
    assert!(streams(&status) && status.tables.iter().filter(|table| halted(table)).count() == 1, "{status:?}");
    server.sql("INSERT INTO first VALUES (1)").await;
    timeout(PATIENCE, reader.next()).await.expect("the other table goes on").expect("a transaction");
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_that_was_cut_short_starts_over_with_a_slot_of_its_own() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE t (id int PRIMARY KEY)").await;
    let system = server.system();
    let mut attached = Attached::idle(system.clone());
    // As a crash leaves it between the slot and its checkpoint: the intent in the journal, a slot on the server.
    let mut connection = Connection::open(&system.endpoint, Purpose::Replication).await.expect("in");
    let identity = identity::read(&mut connection, &system, None).await.expect("answers").identity;
    let intent = PostgresCheckpoint { flushed: Lsn(0), server: identity, last: None };
    let mut intake = attached.journal.intake(&system.name);
    intake.advance(Checkpoint::Postgres(intent)).await.expect("taken");
    intake.abandon().await.expect("durable");
    let unfinished = slot::create(&mut connection, &system.slot, false).await.expect("a slot");
    drop((intake, connection));
    server.sql("INSERT INTO t VALUES (1)").await;

    attached.start();
    attached.until(streams).await;
    let Some(Checkpoint::Postgres(begun)) = attached.journal.checkpoint(&system.name) else { panic!("none") };
    assert!(begun.flushed > unfinished, "another slot than the one that was left");
    server.sql("INSERT INTO t VALUES (2)").await;
    let mut reader = attached.journal.reader(Sequence::ZERO);
    let header = timeout(PATIENCE, reader.next()).await.expect("in time").expect("a transaction");
    assert_eq!((header.sequence, header.changes), (Sequence(1), 1));
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_insert_only_publication_halts_before_anything_is_skipped() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE bare (n int)").await;
    let mut attached = Attached::to(server.system()).await;
    server.sql("INSERT INTO bare VALUES (1)").await;
    attached.journal.durable().wait_for(|sequence| *sequence == Sequence(1)).await.expect("open");
    attached.stop().await;
    server.sql("DROP PUBLICATION tailwater_erp_insert_only").await;
    server.sql("INSERT INTO bare VALUES (2)").await;
    attached.start();
    assert_eq!(attached.halts().await, code::PUBLICATION_MISSING);
    assert_eq!(attached.journal.bounds().durable, Sequence(1));
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_of_other_tables_is_not_taken_for_a_dead_server() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA noise; CREATE TABLE noise.n (n int)").await;
    let system = change(server.system(), |endpoint| endpoint.silence_max = Duration::from_secs(1));
    let patient = change(server.system(), |endpoint| endpoint.silence_max = Duration::from_secs(100));
    let mut attached = Attached::to(system).await;
    let mut connection = Connection::open(&patient.endpoint, Purpose::Queries).await.expect("in");
    connection.query("INSERT INTO noise.n SELECT generate_series(1, 6000000)").await.expect("inserted");
    server.sql("INSERT INTO t VALUES (1)").await;
    let status = attached.until(|status| status.transactions == 1).await;
    assert_eq!(status.reconnects, 0);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_that_only_the_dba_can_publish_halts_alone_until_it_is_published() {
    let server = TestServer::start("");
    server
        .sql(
            "CREATE ROLE reader LOGIN REPLICATION; CREATE TABLE first (id int PRIMARY KEY); \
             CREATE PUBLICATION tailwater_erp FOR TABLE first WITH (publish_via_partition_root = true); \
             CREATE PUBLICATION tailwater_erp_insert_only WITH (publish = 'insert, truncate', publish_via_partition_root = true)",
        )
        .await;
    let mut attached = Attached::to(change(server.system(), |endpoint| endpoint.user = "reader".to_owned())).await;
    server.sql("CREATE TABLE second (id int PRIMARY KEY)").await;
    let halted = |status: &SourceStatus| status.tables.iter().filter(|table| table.halt.is_some()).count();
    let status = attached.until(|status| halted(status) == 1).await;
    assert!(streams(&status));
    assert_eq!(&*status.tables[1].name.table, "second");
    server.sql("ALTER PUBLICATION tailwater_erp ADD TABLE second").await;
    attached.until(|status| status.tables.len() == 2 && halted(status) == 0).await;
    server.sql("INSERT INTO second VALUES (1)").await;
    let mut reader = attached.journal.reader(Sequence::ZERO);
    timeout(PATIENCE, reader.next()).await.expect("in time").expect("a transaction");
    attached.end().await;
}
