//! Cursors: strictly after, and "resume point gone" instead of a gap.

use super::fixture::*;
use crate::deliver::cursor::{Cursor, Sealer};
use crate::model::code;
use crate::model::position::{History, Reached, Sequence};
use crate::wire::api::v1;
use crate::wire::api::v1::frame::Frame;
use tonic::Code;

const ACCOUNT: (&str, &str, usize) = ("public", "accounts", 1);

#[tokio::test]
async fn resuming_continues_strictly_after_the_cursor() {
    let mut fixture = Fixture::start().await;
    for _ in 0..5 {
        fixture.commit(&[ACCOUNT]).await;
    }
    let mut frames = fixture.subscribe(READER, earliest(&["*"])).await.expect("allowed");
    for expected in 1..=5 {
        let seen = frames.transaction().await;
        assert_eq!(seen.sequence, expected);
        let mut resumed = fixture.subscribe(READER, after(&["*"], &seen.cursor)).await.expect("allowed");
        assert_eq!(resumed.started().await, seen.cursor);
        if expected < 5 {
            assert_eq!(resumed.transaction().await.sequence, expected + 1);
        }
    }
}

#[tokio::test]
async fn latest_starts_after_what_is_durable_and_its_heartbeat_resumes_there() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[ACCOUNT]).await;
    let mut frames = fixture.subscribe(READER, latest(&["*"])).await.expect("allowed");
    let start = frames.started().await;
    let second = fixture.commit(&[ACCOUNT]).await;
    assert_eq!(frames.transaction().await.sequence, second.0);
    let mut resumed = fixture.subscribe(READER, after(&["*"], &start)).await.expect("allowed");
    assert_eq!(resumed.transaction().await.sequence, second.0);
}

async fn assert_gone(frames: &mut Frames, oldest: u64) {
    match frames.next().await {
        Ok(Some(Frame::ResumePointGone(gone))) => {
            assert_eq!((gone.code.as_str(), gone.oldest_sequence), (code::RESUME_POINT_GONE.as_str(), oldest));
        }
        other => panic!("expected the resume point to be gone, got {other:?}"),
    }
    assert_refused(&frames.end().await, Code::OutOfRange, code::RESUME_POINT_GONE);
}

#[tokio::test]
async fn another_journals_cursor_is_gone_and_one_beyond_what_is_durable_too() {
    let mut fixture = Fixture::start().await;
    let mut elsewhere = Fixture::start().await;
    fixture.commit(&[ACCOUNT]).await;
    elsewhere.commit(&[ACCOUNT]).await;
    let foreign = elsewhere.subscribe(READER, earliest(&["*"])).await.expect("allowed").transaction().await.cursor;
    let mut frames = fixture.subscribe(READER, after(&["*"], &foreign)).await.expect("told in the stream");
    assert_gone(&mut frames, 1).await;
    // As after restoring an older backup of the same journal.
    let sealer = Sealer::of(&fixture.journal);
    let history = Some(fixture.journal.history(Sequence(1)).await.expect("it is held"));
    let ahead = sealer.seal(Cursor(Reached { sequence: Sequence(2), history }));
    let mut frames = fixture.subscribe(READER, after(&["*"], &ahead)).await.expect("told in the stream");
    assert_gone(&mut frames, 1).await;
}

#[tokio::test]
async fn a_cursor_of_another_history_is_gone_and_one_that_an_earlier_version_gave_out_goes_on() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[ACCOUNT]).await;
    fixture.commit(&[ACCOUNT]).await;
    let at_first = |history| Sealer::of(&fixture.journal).seal(Cursor(Reached { sequence: Sequence(1), history }));
    let (other, unknown) = (at_first(Some(History([9; 16]))), at_first(None));
    let mut frames = fixture.subscribe(READER, after(&["*"], &other)).await.expect("told in the stream");
    assert_gone(&mut frames, 1).await;
    let mut frames = fixture.subscribe(READER, after(&["*"], &unknown)).await.expect("allowed");
    let known = frames.started().await;
    assert_eq!(frames.transaction().await.sequence, 2);
    let history = Some(fixture.journal.history(Sequence(1)).await.expect("it is held"));
    assert_eq!(known, at_first(history), "the next cursor has the history that the journal has there");
}

#[tokio::test]
async fn a_durable_subscription_whose_reader_brings_a_cursor_of_another_history_is_gone() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[ACCOUNT]).await;
    fixture.commit(&[ACCOUNT]).await;
    let request = durable("warehouse", earliest(&["*"]));
    let mut frames = fixture.subscribe(READER, request.clone()).await.expect("allowed");
    let first = frames.transaction().await.cursor;
    drop(frames);
    let reached = Reached { sequence: Sequence(2), history: Some(History([9; 16])) };
    let other = Sealer::of(&fixture.journal).seal(Cursor(reached));
    let refused = fixture.acknowledge(READER, "warehouse", &other).await.expect_err("refused");
    assert_refused(&refused, Code::FailedPrecondition, code::RESUME_POINT_GONE);
    fixture.acknowledge(READER, "warehouse", &first).await.expect("held");
    let brings = v1::SubscribeRequest { takeover: true, ..durable("warehouse", after(&["*"], &other)) };
    let mut frames = fixture.subscribe(READER, brings.clone()).await.expect("told in the stream");
    assert_gone(&mut frames, 1).await;
    let accepted = v1::SubscribeRequest { accept_gap: true, ..brings };
    let mut frames = fixture.subscribe(READER, accepted).await.expect("allowed");
    assert_eq!(frames.transaction().await.sequence, 2);
}

/// Until retention has taken the first transactions and is at rest: it goes on beside this, and what is read next must not go
/// with it.
async fn trim_the_first(fixture: &mut Fixture) {
    patiently(async {
        while fixture.journal.bounds().oldest.0 <= 2 {
            fixture.commit_rows(&[("public", "accounts", 1000)], 1000).await;
        }
        let mut before = 0;
        while before != fixture.journal.bounds().oldest.0 {
            before = fixture.journal.bounds().oldest.0;
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_trimmed_cursor_is_gone_and_earliest_goes_on_from_the_oldest_held() {
    let mut fixture = Fixture::with_retention(access(), limits(), 4 << 20).await;
    fixture.commit(&[ACCOUNT]).await;
    let first = fixture.subscribe(READER, earliest(&["*"])).await.expect("allowed").transaction().await.cursor;
    trim_the_first(&mut fixture).await;
    let mut frames = fixture.subscribe(READER, after(&["*"], &first)).await.expect("told in the stream");
    let Ok(Some(Frame::ResumePointGone(gone))) = frames.next().await else { panic!("the resume point is gone") };
    assert!(gone.oldest_sequence > 2);
    assert_refused(&frames.end().await, Code::OutOfRange, code::RESUME_POINT_GONE);
    let mut frames = fixture.subscribe(READER, earliest(&["*"])).await.expect("allowed");
    assert!(frames.transaction().await.sequence >= gone.oldest_sequence);
}

#[tokio::test]
async fn a_durable_subscription_past_retention_goes_on_only_when_the_gap_is_accepted() {
    let mut fixture = Fixture::with_retention(access(), limits(), 4 << 20).await;
    fixture.commit(&[ACCOUNT]).await;
    let request = durable("warehouse", earliest(&["*"]));
    let mut frames = fixture.subscribe(READER, request.clone()).await.expect("allowed");
    let first = frames.transaction().await.cursor;
    fixture.acknowledge(READER, "warehouse", &first).await.expect("held");
    drop(frames);
    trim_the_first(&mut fixture).await;
    let again = v1::SubscribeRequest { takeover: true, ..request };
    let mut frames = fixture.subscribe(READER, again.clone()).await.expect("told in the stream");
    assert!(matches!(frames.next().await, Ok(Some(Frame::ResumePointGone(_)))));
    drop(frames);
    let accepted = v1::SubscribeRequest { accept_gap: true, ..again.clone() };
    let mut frames = fixture.subscribe(READER, accepted).await.expect("allowed");
    let oldest = frames.transaction().await;
    fixture.acknowledge(READER, "warehouse", &oldest.cursor).await.expect("held");
    drop(frames);
    // From here on it is an ordinary subscription again.
    let mut frames = fixture.subscribe(READER, again).await.expect("allowed");
    assert_eq!(frames.transaction().await.sequence, oldest.sequence + 1);
}
