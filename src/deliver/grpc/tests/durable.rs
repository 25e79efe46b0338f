//! Durable subscriptions: one owner, one live stream, acknowledgements that only go forward.

use super::fixture::*;
use crate::model::code;
use crate::wire::api::v1;
use tonic::Code;

const ACCOUNT: (&str, &str, usize) = ("public", "accounts", 1);

#[tokio::test]
async fn a_second_stream_is_refused_and_a_takeover_ends_the_first() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[ACCOUNT]).await;
    let request = durable("warehouse", earliest(&["*"]));
    let mut first = fixture.subscribe(READER, request.clone()).await.expect("allowed");
    first.started().await;
    let refused = fixture.subscribe(READER, request.clone()).await.err().expect("refused");
    assert_refused(&refused, Code::AlreadyExists, code::SUBSCRIPTION_BUSY);
    let takeover = v1::SubscribeRequest { takeover: true, ..request.clone() };
    let mut second = fixture.subscribe(READER, takeover).await.expect("allowed");
    second.started().await;
    assert_refused(&first.end().await, Code::Aborted, code::SUBSCRIPTION_TAKEN_OVER);
    // The first one's end must not have given the second one's place away.
    let refused = fixture.subscribe(READER, request).await.err().expect("refused");
    assert_refused(&refused, Code::AlreadyExists, code::SUBSCRIPTION_BUSY);
    assert_eq!(second.transaction().await.changes.len(), 1);
}

#[tokio::test]
async fn a_name_belongs_to_the_subject_that_created_it() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[ACCOUNT]).await;
    let request = durable("warehouse", earliest(&["*"]));
    let mut frames = fixture.subscribe(READER, request.clone()).await.expect("allowed");
    let cursor = frames.transaction().await.cursor;
    let takeover = v1::SubscribeRequest { takeover: true, ..request };
    let live = fixture.subscribe(OTHER, takeover.clone()).await.err().expect("refused");
    assert_refused(&live, Code::PermissionDenied, code::SUBSCRIPTION_NOT_FOUND);
    drop(frames);
    let idle = fixture.subscribe(OTHER, takeover).await.err().expect("refused");
    assert_refused(&idle, Code::PermissionDenied, code::SUBSCRIPTION_NOT_FOUND);
    let foreign = fixture.acknowledge(OTHER, "warehouse", &cursor).await.expect_err("refused");
    let unknown = fixture.acknowledge(OTHER, "nothing", &cursor).await.expect_err("refused");
    assert_refused(&foreign, Code::NotFound, code::SUBSCRIPTION_NOT_FOUND);
    assert_eq!(foreign.message().replace("warehouse", "X"), unknown.message().replace("nothing", "X"));
}

#[tokio::test]
async fn acknowledging_is_monotonic_and_decides_where_the_next_stream_starts() {
    let mut fixture = Fixture::start().await;
    for _ in 0..3 {
        fixture.commit(&[ACCOUNT]).await;
    }
    let request = durable("warehouse", earliest(&["*"]));
    let mut frames = fixture.subscribe(READER, request.clone()).await.expect("allowed");
    let seen = [frames.transaction().await, frames.transaction().await, frames.transaction().await];
    assert_eq!(fixture.acknowledge(READER, "warehouse", &seen[1].cursor).await.expect("held"), seen[1].cursor);
    // An earlier cursor changes nothing.
    assert_eq!(fixture.acknowledge(READER, "warehouse", &seen[0].cursor).await.expect("held"), seen[1].cursor);
    drop(frames);
    let takeover = v1::SubscribeRequest { takeover: true, ..request };
    let mut frames = fixture.subscribe(READER, takeover).await.expect("allowed");
    assert_eq!(frames.transaction().await.sequence, seen[2].sequence);
}

#[tokio::test]
async fn a_new_durable_subscription_remembers_its_start_before_anything_is_acknowledged() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[ACCOUNT]).await;
    let request = durable("warehouse", latest(&["*"]));
    let mut frames = fixture.subscribe(READER, request.clone()).await.expect("allowed");
    frames.started().await;
    let second = fixture.commit(&[ACCOUNT]).await;
    drop(frames);
    let takeover = v1::SubscribeRequest { takeover: true, ..request };
    let mut frames = fixture.subscribe(READER, takeover).await.expect("allowed");
    assert_eq!(frames.transaction().await.sequence, second.0);
}

#[tokio::test]
async fn only_what_is_durable_here_can_be_acknowledged() {
    let mut fixture = Fixture::start().await;
    let mut elsewhere = Fixture::start().await;
    fixture.commit(&[ACCOUNT]).await;
    elsewhere.commit(&[ACCOUNT]).await;
    let request = durable("warehouse", earliest(&["*"]));
    let mut frames = fixture.subscribe(READER, request.clone()).await.expect("allowed");
    frames.started().await;
    let mut foreign = elsewhere.subscribe(READER, request).await.expect("allowed");
    let foreign = foreign.transaction().await.cursor;
    let refused = fixture.acknowledge(READER, "warehouse", &foreign).await.expect_err("refused");
    assert_refused(&refused, Code::FailedPrecondition, code::RESUME_POINT_GONE);
    let refused = fixture.acknowledge(READER, "warehouse", "garbled").await.expect_err("refused");
    assert_refused(&refused, Code::InvalidArgument, code::CURSOR_UNREADABLE);
}
