//! Who may come in, and what they may see.

use crate::harness::load::{create_tables, mark};
use crate::harness::postgres::{PASSWORD, Postgres};
use crate::harness::tailwater::{Door, Setup, Tailwater, said};
use crate::harness::{eventually, holds};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tailwater::wire::api::v1::subscribe_request::From;
use tailwater::wire::api::v1::{
    AcknowledgeRequest, Boundary, GetDescriptorsRequest, GetStatusRequest, ListTablesRequest, SubscribeRequest, frame,
};
use tonic::Code;

const WITHIN: Duration = Duration::from_secs(30);
const TOKEN: &str = "a-token-that-only-the-analyst-has";
/// SHA-256 of [`TOKEN`].
const TOKEN_HASH: &str = "sha256:5b1bbeffcb7e53e76461e0fb6a7b11e75ad13db2d677be809c6e3b3a1cd84606";

/// A running Tailwater that has captured something, with one subject of the role `analytics`.
async fn running(entitlements: &str) -> (Postgres, Tailwater) {
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let subjects =
        format!("roles: [analytics]\nsubjects:\n  analyst: {{roles: [analytics], token_hash: \"{TOKEN_HASH}\"}}\n");
    let tailwater = Tailwater::start(Setup::new(&postgres).with(&subjects).with(entitlements)).await;
    mark(&postgres).await;
    let door = tailwater.door();
    // Not through the catalogue: with entitlements the operator sees no more of it than its role may.
    eventually("something is captured", WITHIN, async || {
        let source = door.source().await?;
        holds(source.transactions > 0, || format!("{source:?}"))
    })
    .await;
    (postgres, tailwater)
}

/// What each RPC answers; an empty refusal is an answer.
async fn answers(door: &Door) -> Vec<(&'static str, Option<Code>)> {
    let mut subscriptions = door.subscriptions().await.expect("tailwater runs");
    let mut catalog = door.catalog().await.expect("tailwater runs");
    let mut admin = door.admin().await.expect("tailwater runs");
    let code = |status: tonic::Status| status.code();
    let acknowledge = AcknowledgeRequest { subscription: "s".into(), cursor: "c".into() };
    vec![
        ("Subscribe", subscribe(&mut subscriptions, door).await.err().map(code)),
        ("Acknowledge", subscriptions.acknowledge(door.request(acknowledge)).await.err().map(code)),
        ("ListTables", catalog.list_tables(door.request(ListTablesRequest::default())).await.err().map(code)),
        (
            "GetDescriptors",
            catalog.get_descriptors(door.request(GetDescriptorsRequest::default())).await.err().map(code),
        ),
        ("GetStatus", admin.get_status(door.request(GetStatusRequest {})).await.err().map(code)),
    ]
}

type Subscriptions =
    tailwater::wire::api::v1::subscription_service_client::SubscriptionServiceClient<tonic::transport::Channel>;
type Frames = tonic::Streaming<tailwater::wire::api::v1::SubscribeResponse>;

async fn subscribe(client: &mut Subscriptions, door: &Door) -> Result<Frames, tonic::Status> {
    let from = Some(From::Boundary(Boundary::Earliest.into()));
    let request = SubscribeRequest { tables: vec!["*".into()], from, ..Default::default() };
    Ok(client.subscribe(door.request(request)).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_needs_a_token() {
    let (_postgres, tailwater) = running("").await;
    for token in ["", "wrong"] {
        for (rpc, code) in answers(&tailwater.door().with_token(token)).await {
            assert_eq!(code, Some(Code::Unauthenticated), "{rpc} with the token {token:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_entitlements_a_remote_subject_reads_nothing_and_the_operator_is_warned() {
    let (_postgres, tailwater) = running("").await;
    let analyst = tailwater.door().with_token(TOKEN);
    for (rpc, code) in answers(&analyst).await {
        // The catalogue may also answer with nothing in it.
        let empty = matches!(rpc, "ListTables") && code.is_none() && analyst.tables().await.is_empty();
        assert!(
            empty || code == Some(Code::PermissionDenied) || (rpc == "Acknowledge" && code.is_some()),
            "{rpc}: {code:?}"
        );
    }
    let status = tailwater.door().status().await.expect("the operator may ask");
    assert_eq!(status.policy, "none");
    assert!(!status.warnings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entitled_role_reads_exactly_its_tables() {
    let entitlements = "entitlements:\n  - {role: analytics, tables: [\"erp.public.items\"], columns: all}\n";
    let (postgres, tailwater) = running(entitlements).await;
    let analyst = tailwater.door().with_token(TOKEN);
    let visible: Vec<_> = analyst.tables().await.into_iter().map(|table| table.table).collect();
    assert_eq!(visible, ["items"]);

    let mut stream =
        subscribe(&mut analyst.subscriptions().await.expect("it runs"), &analyst).await.expect("the role may read");
    mark(&postgres).await;
    let (mut tables, mut commits) = (BTreeSet::new(), 0);
    while commits < 2 {
        let response =
            tokio::time::timeout(WITHIN, stream.message()).await.expect("in time").map_err(said).expect("a frame");
        for frame in response.expect("the stream goes on").frames {
            match frame.frame {
                Some(frame::Frame::Schema(schema)) => drop(tables.insert(schema.table)),
                Some(frame::Frame::Commit(_)) => commits += 1,
                _ => {}
            }
        }
    }
    // Each transaction also wrote to the ledger.
    assert_eq!(tables, BTreeSet::from(["items".to_owned()]));
    let status = analyst.status().await;
    assert!(status.as_ref().is_err_and(|refused| refused.contains("PermissionDenied")), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_token_is_only_the_owners_to_read() {
    let (_postgres, tailwater) = running("").await;
    let metadata = std::fs::metadata(tailwater.data_dir().join("operator.token")).expect("it is made at start");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_others_can_reach_is_refused_at_start() {
    let postgres = Postgres::start().await;
    for server in ["grpc: 0.0.0.0:0\nhttp: 127.0.0.1:0\n", "grpc: 127.0.0.1:0\nhttp: \"[::]:0\"\n"] {
        let mut tailwater = Tailwater::new(&Setup { server: server.into(), ..Setup::new(&postgres) });
        tailwater.spawn();
        assert_eq!(tailwater.wait().code(), Some(2), "{server}");
        assert!(tailwater.log().contains("TW-CFG-016"), "{}", tailwater.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_reaches_no_log_no_error_and_no_status() {
    let (mut postgres, tailwater) = running("").await;
    // Also while it is refused and while the server is away.
    postgres.set_password("another").await;
    postgres.stop(rustix::process::Signal::QUIT);
    postgres.up().await;
    let door = tailwater.door();
    eventually("the password is refused", WITHIN, async || {
        let source = door.source().await?;
        holds(source.halt.is_some(), || format!("{source:?}"))
    })
    .await;
    let said = [tailwater.log(), tailwater.status_json().to_string(), door.http_get("/metrics").expect("it runs").1];
    for text in said {
        assert!(!text.is_empty());
        for part in [PASSWORD, "s3cret", TOKEN] {
            assert!(!text.contains(part), "{part} is in:\n{text}");
        }
    }
}
