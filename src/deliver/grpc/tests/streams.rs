//! What a stream carries, how it ends, and that readers do not wait for each other.

use super::fixture::*;
use crate::model::code;
use crate::wire::api::v1::frame::Frame;
use tonic::Code;

#[tokio::test]
async fn many_small_transactions_and_a_large_one_arrive_whole_in_responses_below_one_mebibyte() {
    let mut fixture = Fixture::start().await;
    for _ in 0..500 {
        fixture.commit(&[("public", "accounts", 3)]).await;
    }
    fixture.commit_rows(&[("public", "accounts", 5_000)], 1_000).await;
    let mut frames = fixture.subscribe(READER, earliest(&["crm.public.*"])).await.expect("allowed");
    for sequence in 1..=500 {
        let seen = frames.transaction().await;
        assert_eq!((seen.sequence, seen.changes.len()), (sequence, 3));
        assert_eq!(seen.schemas.len(), usize::from(sequence == 1), "a schema is sent once, before its first use");
    }
    let large = frames.transaction().await;
    assert_eq!((large.sequence, large.changes.len()), (501, 5_000));
    assert!(large.changes.iter().enumerate().all(|(at, change)| change.ordinal == at as u64));
    assert!(frames.largest_response > 100_000 && frames.largest_response <= 1024 * 1024, "{}", frames.largest_response);
}

#[tokio::test]
async fn a_reader_that_does_not_read_delays_nobody() {
    let mut fixture = Fixture::start().await;
    let mut slow = fixture.subscribe(READER, latest(&["*"])).await.expect("allowed");
    let mut fast = fixture.subscribe(OTHER, latest(&["*"])).await.expect("allowed");
    slow.started().await;
    fast.started().await;
    // More than every window and buffer on the way to the slow reader holds.
    for sequence in 1..=40 {
        fixture.commit_rows(&[("public", "accounts", 1_000)], 1_000).await;
        assert_eq!(fast.transaction().await.sequence, sequence);
    }
    for sequence in 1..=40 {
        assert_eq!(slow.transaction().await.sequence, sequence);
    }
}

#[tokio::test]
async fn a_transaction_without_anything_visible_sends_nothing() {
    let mut fixture = Fixture::start().await;
    let mut frames = fixture.subscribe(READER, latest(&["*"])).await.expect("allowed");
    frames.started().await;
    fixture.commit(&[("secret", "salaries", 10)]).await;
    let seen = fixture.commit(&[("public", "accounts", 1)]).await;
    assert!(matches!(frames.next().await, Ok(Some(Frame::Schema(_)))));
    assert!(matches!(frames.next().await, Ok(Some(Frame::Begin(begin))) if begin.sequence == seen.0));
}

#[tokio::test]
async fn a_stop_ends_streams_between_transactions_and_cuts_off_those_that_do_not_read() {
    let mut fixture = Fixture::start().await;
    let mut reading = fixture.subscribe(READER, latest(&["*"])).await.expect("allowed");
    let mut stuck = fixture.subscribe(OTHER, latest(&["*"])).await.expect("allowed");
    reading.started().await;
    stuck.started().await;
    for _ in 0..40 {
        fixture.commit_rows(&[("public", "accounts", 1_000)], 1_000).await;
        reading.transaction().await;
    }
    fixture.stop.cancel();
    assert_refused(&reading.end().await, Code::Unavailable, code::SERVER_STOPPING);
    patiently(fixture.server.take().expect("running").finished()).await;
    assert!(stuck.end().await.code() != Code::Ok);
}
