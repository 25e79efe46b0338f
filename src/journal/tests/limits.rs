//! Retention, the free-disk floor, failed writes, subscriptions, and the ends of a journal's life.

use super::fixture::{Place, bytes, checkpoint, commit, durable, read_all, system, write};
use crate::journal::open::Ground;
use crate::journal::{Error, Journal, ReadError, Stats, SubscriptionRecord};
use crate::model::code::{INTAKE_SUPERSEDED, JOURNAL_CLOSED, JOURNAL_DISK_LOW, JOURNAL_WRITE_FAILED};
use crate::model::position::{Reached, Sequence};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

async fn until(journal: &Journal, holds: impl Fn(&Stats) -> bool) {
    tokio::time::timeout(Duration::from_secs(20), async {
        while !holds(&journal.stats()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("it comes to hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_go_when_there_is_too_much_and_the_newest_never() {
    let mut place = Place::new();
    place.options.retention_bytes = 100_000;
    let journal = place.open();
    let (mut crm, mut erp) = (journal.intake(&system("crm")), journal.intake(&system("erp")));
    // A body id taken early and committed late.
    erp.chunk(bytes(7, 900)).await.expect("taken");
    write(&journal, &mut crm, &vec![bytes(1, 1_000); 300]).await;
    erp.commit(commit(301)).await.expect("taken");
    durable(&journal, Sequence(301)).await;
    write(&journal, &mut crm, &[bytes(2, 1_000)]).await;
    until(&journal, |stats| stats.bytes <= 100_000).await;
    let bounds = journal.bounds();
    assert!(bounds.oldest > Sequence(200) && bounds.durable == Sequence(302), "{bounds:?}");
    let mut late = journal.reader(Sequence::ZERO);
    assert!(matches!(late.next().await, Err(ReadError::Trimmed { oldest }) if oldest == bounds.oldest));
    let held = read_all(&journal, Sequence(bounds.oldest.0 - 1)).await;
    assert_eq!(held.len() as u64, 303 - bounds.oldest.0);
    assert!(held.contains(&(Sequence(301), vec![bytes(7, 900)])));
    write(&journal, &mut crm, &[bytes(3, 500_000)]).await;
    until(&journal, |stats| stats.bytes == 500_000).await;
    drop((crm, erp));
    journal.close().await;
    let journal = place.open();
    assert_eq!(journal.stats().bytes, 500_000, "counted again from the headers");
    assert_eq!(read_all(&journal, Sequence(302)).await, [(Sequence(303), vec![bytes(3, 500_000)])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_under_a_reader_is_never_taken_for_damage() {
    let mut place = Place::new();
    place.options.retention_bytes = 1;
    place.options.tail_bytes_max = 0;
    let journal = place.open();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let journal = journal.clone();
        readers.spawn(async move {
            while journal.bounds().durable < Sequence(3_000) {
                let newest = journal.bounds().durable;
                match journal.reader(Sequence(newest.0.saturating_sub(1))).next().await {
                    Ok(header) => assert!(header.sequence >= newest),
                    Err(ReadError::Trimmed { oldest }) => assert!(oldest > newest),
                    Err(other) => panic!("{newest}: {other}"),
                }
            }
        });
    }
    let mut intake = journal.intake(&system("crm"));
    for _ in 0..3_000 {
        write(&journal, &mut intake, &[bytes(1, 100)]).await;
    }
    while let Some(reader) = readers.join_next().await {
        reader.expect("no damage was seen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn intake_waits_for_disk_space_and_acknowledgements_do_not() {
    let mut place = Place::new();
    place.options.free_disk_bytes_min = 1_000;
    let free = Arc::new(AtomicU64::new(10));
    let probe = Arc::clone(&free);
    let ground = Ground { free_space: Box::new(move |_| Ok(probe.load(Ordering::Relaxed))), ..Ground::default() };
    let journal = place.open_on(ground);
    assert_eq!(journal.stats().parked.map(|problem| problem.code), Some(JOURNAL_DISK_LOW));
    let mut intake = journal.intake(&system("crm"));
    intake.chunk(bytes(1, 10)).await.expect("queued");
    intake.commit(commit(1)).await.expect("queued");
    let acknowledged = Reached { sequence: Sequence::ZERO, history: None };
    let record = SubscriptionRecord { name: "a".into(), subject: "s".into(), acknowledged };
    journal.acknowledge(record).await.expect("acknowledged");
    assert_eq!(journal.bounds().durable, Sequence::ZERO);
    free.store(5_000, Ordering::Relaxed);
    durable(&journal, Sequence(1)).await;
    assert_eq!(journal.stats().parked, None);
    assert_eq!(journal.stats().disk_free_bytes, 5_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_write_nothing_is_accepted_and_what_was_durable_is_read() {
    let place = Place::new();
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken);
    let write_or_break = move |db: &rocksdb::DB, batch, options: &rocksdb::WriteOptions| {
        // A batch of garbage makes RocksDB itself refuse the write.
        let batch = if breaks.load(Ordering::Relaxed) { rocksdb::WriteBatch::from_data(b"short") } else { batch };
        db.write_opt(batch, options)
    };
    let journal = place.open_on(Ground { write: Box::new(write_or_break), ..Ground::default() });
    let mut intake = journal.intake(&system("crm"));
    write(&journal, &mut intake, &[bytes(1, 10)]).await;
    broken.store(true, Ordering::Relaxed);
    intake.chunk(bytes(2, 10)).await.expect("queued");
    intake.commit(commit(2)).await.expect("queued");
    until(&journal, |stats| stats.failed.is_some()).await;
    broken.store(false, Ordering::Relaxed);
    for refused in [intake.chunk(bytes(3, 10)).await, intake.abandon().await, intake.advance(checkpoint(9)).await] {
        assert!(matches!(refused, Err(Error::Stopped(problem)) if problem.code == JOURNAL_WRITE_FAILED));
    }
    assert_eq!(read_all(&journal, Sequence::ZERO).await, [(Sequence(1), vec![bytes(1, 10)])]);
    drop(intake);
    journal.close().await;
    assert_eq!(place.open().bounds().durable, Sequence(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_panics_stops_the_journal_and_leaves_nobody_waiting() {
    let place = Place::new();
    let ground = Ground { write: Box::new(|_, _, _| panic!("a bug")), ..Ground::default() };
    let journal = place.open_on(ground);
    let mut intake = journal.intake(&system("crm"));
    intake.chunk(bytes(1, 10)).await.expect("queued");
    intake.commit(commit(1)).await.expect("queued");
    until(&journal, |stats| stats.failed.is_some()).await;
    assert!(matches!(intake.abandon().await, Err(Error::Stopped(problem)) if problem.code == JOURNAL_WRITE_FAILED));
    drop(intake);
    journal.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_only_moves_forward_and_survives() {
    let place = Place::new();
    let journal = place.open();
    let at = |n| {
        let acknowledged = Reached { sequence: Sequence(n), history: None };
        SubscriptionRecord { name: "a".into(), subject: "s".into(), acknowledged }
    };
    assert_eq!(journal.acknowledge(at(5)).await.expect("done"), at(5));
    assert_eq!(journal.acknowledge(at(3)).await.expect("done"), at(5));
    assert_eq!(journal.acknowledge(at(8)).await.expect("done"), at(8));
    journal.close().await;
    let journal = place.open();
    assert_eq!(journal.subscriptions(), [at(8)]);
    assert_eq!(journal.subscription("b"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_journal_and_a_superseded_intake_say_so() {
    let place = Place::new();
    let journal = place.open();
    let mut first = journal.intake(&system("crm"));
    first.chunk(bytes(1, 10)).await.expect("queued");
    let mut second = journal.intake(&system("crm"));
    let refused = first.commit(commit(1)).await;
    assert!(matches!(refused, Err(Error::Stopped(problem)) if problem.code == INTAKE_SUPERSEDED));
    write(&journal, &mut second, &[bytes(2, 10)]).await;
    assert_eq!(read_all(&journal, Sequence::ZERO).await, [(Sequence(1), vec![bytes(2, 10)])]);
    journal.close().await;
    let refused = second.chunk(bytes(1, 10)).await;
    assert!(matches!(refused, Err(Error::Stopped(problem)) if problem.code == JOURNAL_CLOSED));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_every_handle_ends_the_journal() {
    let place = Place::new();
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    write(&journal, &mut intake, &[bytes(1, 10)]).await;
    drop((journal, intake));
    assert_eq!(place.open().bounds().durable, Sequence(1), "the lock is free and everything is there");
}
