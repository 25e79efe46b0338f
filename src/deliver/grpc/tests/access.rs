//! Who may come in, and what they see.

use super::fixture::*;
use crate::config::Access;
use crate::model::code;
use crate::wire::api::v1;
use crate::wire::api::v1::admin_service_client::AdminServiceClient;
use crate::wire::api::v1::catalog_service_client::CatalogServiceClient;
use crate::wire::descriptor;
use bytes::Bytes;
use prost::Message as _;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

const PATHS: [&str; 9] = [
    "/tailwater.v1.SubscriptionService/Subscribe",
    "/tailwater.v1.SubscriptionService/Acknowledge",
    "/tailwater.v1.CatalogService/ListTables",
    "/tailwater.v1.CatalogService/GetDescriptors",
    "/tailwater.v1.AdminService/GetStatus",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/made.up.Service/Call",
];

/// Calls any path with an empty message, which every message type takes.
async fn call(channel: &Channel, path: &'static str, token: Option<&str>) -> Result<(), Status> {
    let request = match token {
        Some(token) => with_token(token, Bytes::new()),
        None => Request::new(Bytes::new()),
    };
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("ready");
    let path = http::uri::PathAndQuery::from_static(path);
    let codec: ProstCodec<EmptyMessage, EmptyMessage> = ProstCodec::default();
    patiently(grpc.unary(request.map(|_| EmptyMessage {}), path, codec)).await.map(drop)
}

#[derive(Clone, PartialEq, prost::Message)]
struct EmptyMessage {}

#[tokio::test]
async fn no_rpc_is_reached_without_a_token_or_with_an_unknown_one() {
    let fixture = Fixture::start().await;
    let channel = fixture.channel().await;
    for path in PATHS {
        let status = call(&channel, path, None).await.expect_err("refused");
        assert_refused(&status, Code::Unauthenticated, code::TOKEN_MISSING);
        let status = call(&channel, path, Some("wrong")).await.expect_err("refused");
        assert_refused(&status, Code::Unauthenticated, code::TOKEN_UNKNOWN);
    }
}

#[tokio::test]
async fn roles_decide_and_what_has_no_rule_is_refused_even_to_the_operator() {
    let fixture = Fixture::start().await;
    let channel = fixture.channel().await;
    for path in PATHS.into_iter().take(5) {
        let status = call(&channel, path, Some(ROLELESS)).await.expect_err("refused");
        assert_refused(&status, Code::PermissionDenied, code::ROLE_MISSING);
    }
    let status = call(&channel, "/tailwater.v1.AdminService/GetStatus", Some(READER)).await.expect_err("refused");
    assert_refused(&status, Code::PermissionDenied, code::ROLE_MISSING);
    for path in ["/made.up.Service/Call", "/grpc.health.v1.Health/Watch"] {
        let status = call(&channel, path, Some(&fixture.operator)).await.expect_err("refused");
        assert_refused(&status, Code::PermissionDenied, code::RPC_WITHOUT_RULE);
    }
    call(&channel, "/grpc.health.v1.Health/Check", Some(ROLELESS)).await.expect("healthy");
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let status = call(&channel, reflection, Some(READER)).await.expect_err("refused");
    assert_refused(&status, Code::PermissionDenied, code::ROLE_MISSING);
}

#[tokio::test]
async fn without_entitlements_only_the_operator_reads() {
    let mut fixture = Fixture::with(Access { entitlements: None, ..access() }, limits()).await;
    fixture.commit(&[("public", "accounts", 1)]).await;
    let status = fixture.subscribe(READER, earliest(&["*"])).await.err().expect("refused");
    assert_refused(&status, Code::PermissionDenied, code::NOTHING_ENTITLED);
    let operator = fixture.operator.clone();
    let mut frames = fixture.subscribe(&operator, earliest(&["*"])).await.expect("raw");
    assert_eq!(frames.transaction().await.changes.len(), 1);
}

#[tokio::test]
async fn a_subject_sees_only_what_its_roles_and_its_patterns_select() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[("secret", "salaries", 2)]).await;
    let mixed =
        fixture.commit(&[("public", "accounts", 2), ("secret", "salaries", 1500), ("public", "leads", 1)]).await;
    let mut frames = fixture.subscribe(READER, earliest(&["*"])).await.expect("allowed");
    let seen = frames.transaction().await;
    assert_eq!((seen.sequence, seen.changes.len()), (mixed.0, 3));
    let tables: Vec<_> = seen.schemas.iter().map(|schema| schema.table.as_str()).collect();
    assert_eq!(tables, ["accounts", "leads"]);
    let mut frames = fixture.subscribe(READER, earliest(&["crm.public.leads"])).await.expect("allowed");
    assert_eq!(frames.transaction().await.changes.len(), 1);
    let operator = fixture.operator.clone();
    let mut frames = fixture.subscribe(&operator, earliest(&["*"])).await.expect("allowed");
    assert_eq!(frames.transaction().await.changes.len(), 2);
    assert_eq!(frames.transaction().await.changes.len(), 1503);
}

#[tokio::test]
async fn requests_that_cannot_be_meant_are_refused() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[("public", "accounts", 1), ("secret", "salaries", 1)]).await;
    let entities = v1::SubscribeRequest { entities: vec!["customer".to_owned()], ..earliest(&["*"]) };
    for (request, status, code) in [
        (earliest(&[]), Code::InvalidArgument, code::REQUEST_INVALID),
        (earliest(&[""]), Code::InvalidArgument, code::REQUEST_INVALID),
        (earliest(&["*"; 257]), Code::InvalidArgument, code::REQUEST_INVALID),
        (entities, Code::InvalidArgument, code::ENTITIES_NOT_OFFERED),
        (earliest(&["crm.public.nothing"]), Code::NotFound, code::TABLE_NOT_FOUND),
        (earliest(&["crm.secret.salaries"]), Code::NotFound, code::TABLE_NOT_FOUND),
        (durable("a b", earliest(&["*"])), Code::InvalidArgument, code::REQUEST_INVALID),
        (after(&["*"], "garbled"), Code::InvalidArgument, code::CURSOR_UNREADABLE),
    ] {
        let refused = fixture.subscribe(READER, request).await.err().expect("refused");
        assert_refused(&refused, status, code);
    }
}

#[tokio::test]
async fn the_catalogue_shows_only_what_may_be_seen() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[("public", "accounts", 1), ("secret", "salaries", 1)]).await;
    let mut catalog = CatalogServiceClient::new(fixture.channel().await);
    let request = |tables: &[&str]| v1::ListTablesRequest {
        tables: tables.iter().map(|t| (*t).to_owned()).collect(),
        ..Default::default()
    };
    let tables = catalog.list_tables(with_token(READER, request(&[]))).await.expect("allowed").into_inner().tables;
    assert_eq!(tables.iter().map(|table| table.table.as_str()).collect::<Vec<_>>(), ["accounts"]);
    assert_eq!(tables[0].columns[0].declared_type, "bytea");
    let hidden = catalog.list_tables(with_token(READER, request(&["crm.secret.salaries"]))).await;
    assert_refused(&hidden.expect_err("refused"), Code::NotFound, code::TABLE_NOT_FOUND);
    let all = v1::GetDescriptorsRequest::default();
    let set = catalog.get_descriptors(with_token(READER, all)).await.expect("allowed").into_inner();
    let visible: Vec<_> =
        fixture.journal.current_schemas().into_iter().filter(|schema| &*schema.name.table == "accounts").collect();
    assert_eq!(set.file_descriptor_set, descriptor::set(&visible).encode_to_vec());
}

#[tokio::test]
async fn status_holds_the_apps_part_and_the_subscriptions() {
    let mut fixture = Fixture::start().await;
    fixture.commit(&[("public", "accounts", 1)]).await;
    let mut frames = fixture.subscribe(READER, durable("warehouse", earliest(&["*"]))).await.expect("allowed");
    frames.started().await;
    frames.transaction().await;
    let mut admin = AdminServiceClient::new(fixture.channel().await);
    let request = with_token(&fixture.operator, v1::GetStatusRequest {});
    let status = admin.get_status(request).await.expect("allowed").into_inner();
    assert_eq!(status.version, "test");
    let [subscription] = &status.subscriptions[..] else { panic!("{status:?}") };
    assert_eq!((subscription.name.as_str(), subscription.subject.as_str()), ("warehouse", READER));
    assert_eq!((subscription.live, subscription.acknowledged_sequence, subscription.lag_transactions), (true, 0, 0));
}
