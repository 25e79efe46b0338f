//! A stream that starts with the state.

use super::fixture::*;
use crate::journal::CopyState;
use crate::model::copy::CopyPhase;
use crate::wire::api::v1::frame::Frame;

const ACCOUNTS: (&str, &str) = ("public", "accounts");
const LEADS: (&str, &str) = ("public", "leads");
const BARE: (&str, &str) = ("public", "bare");
const HALTED: (&str, &str) = ("public", "halted");

/// A whole copy of so many rows.
async fn copy(fixture: &mut Fixture, number: u64, table: (&str, &str), rows: u64) {
    fixture.step_of_copy(number, table, CopyPhase::Begin, 0, 0).await;
    fixture.step_of_copy(number, table, CopyPhase::Rows, rows, rows).await;
    fixture.step_of_copy(number, table, CopyPhase::End, 0, rows).await;
}

/// How many rows each of the next transactions brings; of a copy's begin or end its table.
async fn next(frames: &mut Frames, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let transaction = frames.transaction().await;
        seen.push(match transaction.snapshot {
            Some(Frame::SnapshotBegin(begin)) => format!("begin {} {}", begin.table, begin.copy),
            Some(Frame::SnapshotEnd(end)) => format!("end {} {}", end.table, end.copy),
            _ => transaction.changes.len().to_string(),
        });
    }
    seen
}

#[tokio::test]
async fn each_table_begins_with_a_copy_of_it_that_is_made_once_for_all_who_ask() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[("public", "accounts", 1), ("public", "leads", 1)]).await;
    let mut first = fixture.subscribe(READER, state(&["crm.public.*"])).await.expect("allowed");
    let mut second = fixture.subscribe(READER, state(&["crm.public.leads"])).await.expect("allowed");
    let wanted: Vec<_> =
        fixture.journal.copies().into_iter().map(|copy| (copy.table.table, copy.copy, copy.state)).collect();
    assert_eq!(wanted, [("accounts".into(), 1, CopyState::Wanted), ("leads".into(), 1, CopyState::Wanted)]);

    fixture.commit(&[("public", "accounts", 2), ("public", "leads", 2)]).await;
    copy(&mut fixture, 1, LEADS, 3).await;
    fixture.commit(&[("public", "accounts", 4), ("public", "leads", 5)]).await;
    copy(&mut fixture, 1, ACCOUNTS, 6).await;
    fixture.commit(&[("public", "accounts", 7), ("public", "leads", 8)]).await;
    let all = ["begin leads 1", "3", "end leads 1", "5", "begin accounts 1", "6", "end accounts 1", "15"];
    assert_eq!(next(&mut first, 8).await, all);
    assert_eq!(next(&mut second, 5).await, ["begin leads 1", "3", "end leads 1", "5", "8"]);

    // Whoever asks later gets the same copies, which are still held.
    let mut later = fixture.subscribe(READER, state(&["crm.public.*"])).await.expect("allowed");
    assert_eq!(next(&mut later, 8).await, all);
    assert!(fixture.journal.copies().iter().all(|copy| copy.copy == 1 && copy.state == CopyState::Done));
}

#[tokio::test]
async fn the_newest_copy_counts_and_a_halted_table_comes_with_its_next_one() {
    let mut fixture = Fixture::start().await;
    copy(&mut fixture, 1, LEADS, 1).await;
    copy(&mut fixture, 1, HALTED, 1).await;
    copy(&mut fixture, 2, LEADS, 2).await;
    fixture.commit(&[("public", "halted", 3), ("public", "leads", 4)]).await;
    let mut frames = fixture.subscribe(READER, state(&["crm.public.*"])).await.expect("allowed");
    assert_eq!(next(&mut frames, 4).await, ["begin leads 2", "2", "end leads 2", "4"]);
    copy(&mut fixture, 2, HALTED, 5).await;
    assert_eq!(next(&mut frames, 3).await, ["begin halted 2", "5", "end halted 2"]);
}

#[tokio::test]
async fn of_a_table_without_identity_no_copy_is_as_good_as_a_new_one() {
    let mut fixture = Fixture::start().await;
    copy(&mut fixture, 1, BARE, 2).await;
    copy(&mut fixture, 1, LEADS, 1).await;
    let mut frames = fixture.subscribe(READER, state(&["crm.public.*"])).await.expect("allowed");
    let bare = fixture.journal.copies().into_iter().find(|copy| &*copy.table.table == "bare").expect("copied");
    assert_eq!((bare.copy, bare.state), (2, CopyState::Wanted));
    fixture.commit(&[("public", "bare", 3)]).await;
    copy(&mut fixture, 2, BARE, 4).await;
    fixture.commit(&[("public", "bare", 5)]).await;
    assert_eq!(next(&mut frames, 3).await, ["begin leads 1", "1", "end leads 1"]);
    assert_eq!(next(&mut frames, 4).await, ["begin bare 2", "4", "end bare 2", "5"]);
}
