//! What a client cannot use up.

use super::fixture::*;
use crate::config::Limits;
use crate::model::code;
use crate::wire::api::v1;
use crate::wire::api::v1::subscription_service_client::SubscriptionServiceClient;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

async fn raw(fixture: &Fixture) -> TcpStream {
    let address = fixture.address.strip_prefix("http://").expect("an address");
    TcpStream::connect(address).await.expect("connected")
}

/// Waits until the server closes; what it sends before is not looked at.
async fn closed(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    patiently(async { while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {} }).await;
}

#[tokio::test]
async fn an_oversized_request_is_refused() {
    let fixture = Fixture::start().await;
    let cursor = "x".repeat(limits().request_bytes_max + 1);
    let status = fixture.subscribe(READER, after(&["*"], &cursor)).await.err().expect("refused");
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
}

#[tokio::test]
async fn a_flood_of_headers_is_refused_before_it_is_looked_at() {
    let fixture = Fixture::start().await;
    let mut request = with_token(READER, v1::AcknowledgeRequest::default());
    for at in 0..2_000 {
        let name = tonic::metadata::MetadataKey::from_bytes(format!("x-flood-{at}").as_bytes()).expect("a name");
        request.metadata_mut().insert(name, "0123456789".parse().expect("a value"));
    }
    let status = patiently(fixture.client().await.acknowledge(request)).await.expect_err("refused");
    assert!(status.metadata().get("tailwater-code").is_none(), "reached a handler: {status:?}");
}

#[tokio::test]
async fn live_subscriptions_are_capped_and_a_closed_one_makes_room() {
    let fixture = Fixture::with(access(), Limits { subscriptions_max: 2, ..limits() }).await;
    let mut first = fixture.subscribe(READER, latest(&["*"])).await.expect("allowed");
    let mut second = fixture.subscribe(READER, latest(&["*"])).await.expect("allowed");
    first.started().await;
    second.started().await;
    let refused = fixture.subscribe(READER, latest(&["*"])).await.err().expect("refused");
    assert_refused(&refused, Code::ResourceExhausted, code::SUBSCRIPTIONS_EXHAUSTED);
    drop(first);
    patiently(async { while fixture.subscribe(READER, latest(&["*"])).await.is_err() {} }).await;
}

#[tokio::test]
async fn streams_beyond_the_cap_of_a_connection_wait_for_one_to_end() {
    let fixture = Fixture::with(access(), Limits { streams_per_connection_max: 2, ..limits() }).await;
    let mut client = fixture.client().await;
    let mut first = Frames::open(&mut client, READER, latest(&["*"])).await.expect("allowed");
    let mut second = Frames::open(&mut client, READER, latest(&["*"])).await.expect("allowed");
    first.started().await;
    second.started().await;
    let mut more = client.clone();
    let mut third = tokio::spawn(async move { Frames::open(&mut more, READER, latest(&["*"])).await });
    // A call on another connection comes back while the third stream still waits.
    fixture.subscribe(READER, latest(&["*"])).await.expect("allowed").started().await;
    assert!(!third.is_finished());
    drop(first);
    patiently(&mut third).await.expect("ran").expect("allowed").started().await;
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_a_closed_one_makes_room() {
    let fixture = Fixture::with(access(), Limits { connections_max: 1, ..limits() }).await;
    let mut frames = fixture.subscribe(READER, latest(&["*"])).await.expect("allowed");
    frames.started().await;
    closed(&mut raw(&fixture).await).await;
    drop(frames);
    patiently(async {
        loop {
            let Ok(channel) = fixture.endpoint().connect().await else { continue };
            if Frames::open(&mut SubscriptionServiceClient::new(channel), READER, latest(&["*"])).await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_does_not_finish_the_handshake_is_cut_off() {
    let fixture = Fixture::with(access(), Limits { handshake_max: Duration::from_millis(50), ..limits() }).await;
    closed(&mut raw(&fixture).await).await;
    let mut half = raw(&fixture).await;
    half.write_all(b"PRI * HTTP/2.0\r\n").await.expect("written");
    closed(&mut half).await;
}

const PREFACE_AND_SETTINGS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_cut_off_and_an_open_stream_is_not() {
    let mut fixture = Fixture::with(access(), Limits { idle_max: Duration::from_secs(1), ..limits() }).await;
    let mut frames = fixture.subscribe(READER, latest(&["*"])).await.expect("allowed");
    frames.started().await;
    let mut mute = raw(&fixture).await;
    mute.write_all(PREFACE_AND_SETTINGS).await.expect("written");
    closed(&mut mute).await;
    let sequence = fixture.commit(&[("public", "accounts", 1)]).await;
    assert_eq!(frames.transaction().await.sequence, sequence.0);
}

#[tokio::test]
async fn a_peer_that_answers_pings_but_makes_no_call_is_cut_off() {
    const PING: u8 = 6;
    const ACKNOWLEDGED: u8 = 1;
    let fixture = Fixture::with(access(), Limits { idle_max: Duration::from_secs(1), ..limits() }).await;
    let mut stream = raw(&fixture).await;
    stream.write_all(PREFACE_AND_SETTINGS).await.expect("written");
    let mut pings = 0;
    patiently(async {
        let mut header = [0; 9];
        while stream.read_exact(&mut header).await.is_ok() {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let mut payload = vec![0; length];
            if stream.read_exact(&mut payload).await.is_err() {
                break;
            }
            if header[3] == PING && header[4] != ACKNOWLEDGED {
                pings += 1;
                header[4] = ACKNOWLEDGED;
                // The server may have closed meanwhile; the next read tells.
                let _ = stream.write_all(&[&header[..], &payload].concat()).await;
            }
        }
    })
    .await;
    assert!(pings > 0, "it was cut off for the ping, not for the missing call");
}
