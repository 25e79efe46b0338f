//! Readers: at the tail, far behind, many at once, dropped half way.

use super::fixture::{Place, body, bytes, commit, durable, read_all, system, write};
use crate::model::position::Sequence;
use bytes::Bytes;
use std::time::Duration;

fn bodies(count: usize) -> Vec<Bytes> {
    (0..count).map(|n| bytes((n % 251) as u8, 1 + n % 300)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ring_and_the_store_give_the_same() {
    let mut place = Place::new();
    place.options.tail_bytes_max = 64 * 1024;
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    let bodies = bodies(5_000);
    write(&journal, &mut intake, &bodies).await;
    let all = read_all(&journal, Sequence::ZERO).await;
    assert_eq!(all.len(), bodies.len());
    for ((sequence, chunks), (n, expected)) in all.iter().zip((1..).zip(&bodies)) {
        assert_eq!((sequence.0, chunks.as_slice()), (n, std::slice::from_ref(expected)));
    }
    drop(intake);
    journal.close().await;
    assert_eq!(read_all(&place.open(), Sequence::ZERO).await, all, "from the store alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_is_staged_and_read_part_by_part() {
    let place = Place::new();
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    let chunks: Vec<Bytes> = (0..40).map(|n| bytes(n, 256 * 1024)).collect();
    for chunk in &chunks {
        intake.chunk(chunk.clone()).await.expect("taken");
    }
    assert_eq!(journal.bounds().durable, Sequence::ZERO, "invisible until it commits");
    intake.commit(commit(1)).await.expect("taken");
    durable(&journal, Sequence(1)).await;
    let mut reader = journal.reader(Sequence::ZERO);
    let header = reader.next().await.expect("it reads");
    assert_eq!((header.chunks, header.bytes), (40, 40 * 256 * 1024));
    assert_eq!(body(&mut reader).await, chunks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_the_ring_leaves_behind_goes_on_from_the_store() {
    let mut place = Place::new();
    place.options.tail_bytes_max = 256 * 1024;
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    let chunks: Vec<Bytes> = (0..5).map(|n| bytes(n, 1000)).collect();
    for chunk in &chunks {
        intake.chunk(chunk.clone()).await.expect("taken");
    }
    intake.commit(commit(1)).await.expect("taken");
    let mut reader = journal.reader(Sequence::ZERO);
    reader.next().await.expect("it reads");
    assert_eq!(reader.chunk().await.expect("it reads"), Some(chunks[0].clone()));
    write(&journal, &mut intake, &vec![bytes(9, 20_000); 50]).await;
    assert_eq!(body(&mut reader).await, chunks[1..]);
    assert_eq!(reader.next().await.expect("it reads").sequence, Sequence(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_see_the_same_while_it_is_written() {
    let place = Place::new();
    let journal = place.open();
    let bodies = bodies(3_000);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut reader, expected) = (journal.reader(Sequence::ZERO), bodies.clone());
        readers.spawn(async move {
            for body_bytes in expected {
                // Cancelled at random: nothing may be lost or given twice.
                while let Err(_late) =
                    tokio::time::timeout(Duration::from_micros(50), reader.next()).await.map(Result::unwrap)
                {
                }
                assert_eq!(body(&mut reader).await, [body_bytes]);
            }
        });
    }
    let mut intake = journal.intake(&system("crm"));
    write(&journal, &mut intake, &bodies).await;
    while let Some(reader) = readers.join_next().await {
        reader.expect("the reader saw what was written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_of_a_journal_have_one_history_until_they_part() {
    let place = Place::new();
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    write(&journal, &mut intake, &bodies(3)).await;
    drop(intake);
    journal.close().await;
    let copy = place.copy();
    let mut both = Vec::new();
    for (place, body) in [(&place, 1), (&copy, 2)] {
        let journal = place.open();
        let mut intake = journal.intake(&system("crm"));
        write(&journal, &mut intake, &[bytes(body, 10), bytes(3, 10)]).await;
        let mut histories = Vec::new();
        for sequence in 0..=5 {
            histories.push(journal.history(Sequence(sequence)).await.expect("it is held"));
        }
        let mut reader = journal.reader(Sequence(3));
        assert_eq!(reader.next().await.expect("it reads").history, histories[4], "from the ring");
        let newest = journal.newest().await.expect("it is held");
        assert_eq!((newest.sequence, newest.history), (Sequence(5), Some(histories[5])));
        drop(intake);
        journal.close().await;
        let stored = place.open().reader(Sequence(3)).next().await.expect("it reads").history;
        assert_eq!(stored, histories[4], "from the store");
        both.push(histories);
    }
    assert_eq!(both[0][..4], both[1][..4]);
    assert!(
        both[0][4..].iter().zip(&both[1][4..]).all(|(one, other)| one != other),
        "also where a later body is the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_reader_learns_that_the_journal_closed() {
    let place = Place::new();
    let journal = place.open();
    let mut reader = journal.reader(Sequence::ZERO);
    let waiting = tokio::spawn(async move { reader.next().await });
    journal.close().await;
    assert!(matches!(waiting.await.expect("it ended"), Err(crate::journal::ReadError::Closed)));
}
