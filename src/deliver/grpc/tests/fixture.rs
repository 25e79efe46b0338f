//! A journal, a server in front of it, and clients.

use crate::config::{Access, Entitlement, Limits, Subject};
use crate::deliver::grpc::{ServeOptions, ServerHandle, bind, read_operator_token, serve};
use crate::journal::{Commit, CopyProgress, Intake, Journal, Options};
use crate::model::checkpoint::{Checkpoint, PostgresCheckpoint, PostgresServer};
use crate::model::code;
use crate::model::copy::{CopyPhase, CopyStep};
use crate::model::name::{SystemName, TableName};
use crate::model::pattern::{Pattern, Selection};
use crate::model::position::{Lsn, Position, Sequence};
use crate::model::schema::{ColumnShape, Identity, TableShape};
use crate::model::time::UnixMicros;
use crate::model::value_type::{Scalar, ValueType};
use crate::wire::api::v1;
use crate::wire::api::v1::subscribe_request::From;
use crate::wire::api::v1::subscription_service_client::SubscriptionServiceClient;
use bytes::Bytes;
use prost::Message as _;
use ring::digest;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use v1::frame::Frame;

/// Long enough for a loaded machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub const GRACE: Duration = Duration::from_secs(2);

/// The tokens of the configured subjects: their names.
pub const READER: &str = "reader";
pub const OTHER: &str = "other";
pub const ROLELESS: &str = "roleless";

pub struct Fixture {
    pub journal: Journal,
    pub intake: Intake,
    pub server: Option<ServerHandle>,
    pub stop: CancellationToken,
    pub operator: String,
    pub address: String,
    lsn: u64,
    /// Removed with the fixture, and after the journal in it.
    _dir: TempDir,
}

pub fn limits() -> Limits {
    Limits {
        connections_max: 16,
        streams_per_connection_max: 16,
        subscriptions_max: 16,
        request_bytes_max: 64 * 1024,
        header_bytes_max: 16 * 1024,
        handshake_max: Duration::from_secs(5),
        idle_max: Duration::from_secs(60),
    }
}

/// `reader` and `other` see `crm.public.*`; `roleless` is known but has no role.
pub fn access() -> Access {
    let subject = |name: &str, roles: &[&str]| {
        let mut token_hash = [0; 32];
        token_hash.copy_from_slice(digest::digest(&digest::SHA256, name.as_bytes()).as_ref());
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        (name.to_owned(), Subject { name: name.to_owned(), roles, attributes: Default::default(), token_hash })
    };
    let tables = Selection { include: vec![Pattern::new("crm.public.*")], exclude: vec![] };
    let everything = Selection { include: vec![Pattern::new("*")], exclude: vec![] };
    Access {
        entities: Arc::default(),
        roles: vec!["sales".to_owned(), "admin".to_owned()],
        entitlements: Some(vec![Entitlement::raw("sales", tables), Entitlement::raw("admin", everything)]),
        subjects: [subject(READER, &["sales"]), subject(OTHER, &["sales"]), subject(ROLELESS, &[])].into(),
    }
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(access(), limits()).await
    }

    pub async fn with(access: Access, limits: Limits) -> Self {
        Self::with_retention(access, limits, 1 << 30).await
    }

    pub async fn with_retention(access: Access, limits: Limits, retention_bytes: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let options = Options {
            path: dir.path().join("journal"),
            lock_file: dir.path().join("tailwater.lock"),
            sync: false,
            retention_bytes,
            free_disk_bytes_min: 0,
            queue_bytes_max: 32 << 20,
            tail_bytes_max: 32 << 20,
        };
        let journal = tokio::task::spawn_blocking(|| Journal::open(options)).await.expect("ran").expect("opened");
        let stop = CancellationToken::new();
        let server = serve(ServeOptions {
            listener: bind("127.0.0.1:0".parse().expect("an address")).await.expect("bound"),
            journal: journal.clone(),
            access: Arc::new(access),
            limits,
            data_dir: dir.path().to_owned(),
            status: Arc::new(|| v1::GetStatusResponse {
                version: "test".to_owned(),
                sources: vec![source()],
                ..Default::default()
            }),
            targets: std::collections::BTreeMap::new(),
            stop: stop.clone(),
            grace: GRACE,
        })
        .expect("served");
        let intake = journal.intake(&SystemName::new("crm").expect("a name"));
        let operator = read_operator_token(dir.path()).expect("made");
        let address = format!("http://{}", server.address());
        Self { _dir: dir, journal, intake, server: Some(server), stop, operator, address, lsn: 0 }
    }

    /// One durable step of a first copy, with so many rows read in it, of `copied` so far.
    pub async fn copy_step(&mut self, table: (&str, &str), phase: CopyPhase, rows: u64, copied: u64) -> Sequence {
        self.step_of_copy(1, table, phase, rows, copied).await
    }

    pub async fn step_of_copy(
        &mut self,
        copy: u64,
        table: (&str, &str),
        phase: CopyPhase,
        rows: u64,
        copied: u64,
    ) -> Sequence {
        let schema = self.intake.describe(&shape(table.0, table.1)).await.expect("described").id;
        let read = |ordinal| v1::Change {
            schema_id: schema.0,
            op: v1::Op::Read.into(),
            ordinal,
            after: Some(Bytes::from_static(b"\x0a\x01x")),
            ..Default::default()
        };
        if rows > 0 {
            let chunk = v1::Changes { changes: (0..rows).map(read).collect() };
            self.intake.chunk(chunk.encode_to_vec().into()).await.expect("queued");
        }
        let progress = CopyProgress {
            step: CopyStep { table: TableName::new(table.0, table.1), copy, phase, anew: false },
            last_key: Vec::new(),
            read_again: Vec::new(),
            rows: copied,
            bytes: 0,
            rows_estimate: 0,
            schema,
            relation: String::new(),
            again: None,
            key_order: String::new(),
        };
        let before = self.journal.bounds().durable;
        let step = Commit { copy: Some(progress), transaction: String::new(), ..commit(self.lsn, rows, vec![schema]) };
        self.intake.commit(step).await.expect("queued");
        *self.journal.durable().wait_for(|durable| *durable > before).await.expect("open")
    }

    /// One durable transaction of one-byte rows, so many in each table, in chunks of 1,000 changes.
    pub async fn commit(&mut self, tables: &[(&str, &str, usize)]) -> Sequence {
        self.commit_rows(tables, 1).await
    }

    pub async fn commit_rows(&mut self, tables: &[(&str, &str, usize)], row_bytes: usize) -> Sequence {
        let mut schemas = Vec::new();
        let mut changes = Vec::new();
        for (schema, table, count) in tables {
            let described = self.intake.describe(&shape(schema, table)).await.expect("described");
            schemas.push(described.id);
            let row = Bytes::from(vec![0; row_bytes]);
            for _ in 0..*count {
                let (schema_id, ordinal) = (described.id.0, changes.len() as u64);
                let after = Some(row.clone());
                changes.push(v1::Change { schema_id, op: v1::Op::Insert.into(), ordinal, after, ..Default::default() });
            }
        }
        schemas.sort();
        schemas.dedup();
        let total = changes.len() as u64;
        for chunk in changes.chunks((200_000 / (row_bytes + 20)).clamp(1, 1000)) {
            let chunk = v1::Changes { changes: chunk.to_vec() }.encode_to_vec();
            self.intake.chunk(chunk.into()).await.expect("queued");
        }
        self.lsn += 8;
        let before = self.journal.bounds().durable;
        self.intake.commit(commit(self.lsn, total, schemas)).await.expect("queued");
        let mut durable = self.journal.durable();
        *durable.wait_for(|durable| *durable > before).await.expect("open")
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(self.address.clone()).expect("an address")
    }

    pub async fn channel(&self) -> Channel {
        self.endpoint().connect().await.expect("connected")
    }

    pub async fn client(&self) -> SubscriptionServiceClient<Channel> {
        SubscriptionServiceClient::new(self.channel().await)
    }

    pub async fn subscribe(&self, token: &str, request: v1::SubscribeRequest) -> Result<Frames, Status> {
        Frames::open(&mut self.client().await, token, request).await
    }

    pub async fn acknowledge(&self, token: &str, subscription: &str, cursor: &str) -> Result<String, Status> {
        let request = v1::AcknowledgeRequest { subscription: subscription.to_owned(), cursor: cursor.to_owned() };
        let response = self.client().await.acknowledge(with_token(token, request)).await?;
        Ok(response.into_inner().cursor)
    }
}

/// A response stream, frame by frame.
pub struct Frames {
    stream: Streaming<v1::SubscribeResponse>,
    ready: VecDeque<Frame>,
    pub largest_response: usize,
}

/// A transaction as a subscriber sees it.
#[derive(Debug)]
pub struct Seen {
    pub sequence: u64,
    pub schemas: Vec<v1::Schema>,
    pub changes: Vec<v1::Change>,
    /// Where a copy begins or ends.
    pub snapshot: Option<Frame>,
    pub cursor: String,
}

impl Frames {
    pub async fn open(
        client: &mut SubscriptionServiceClient<Channel>,
        token: &str,
        request: v1::SubscribeRequest,
    ) -> Result<Self, Status> {
        let stream = patiently(client.subscribe(with_token(token, request))).await?.into_inner();
        Ok(Self { stream, ready: VecDeque::new(), largest_response: 0 })
    }

    pub async fn next(&mut self) -> Result<Option<Frame>, Status> {
        while self.ready.is_empty() {
            let Some(response) = patiently(self.stream.message()).await? else { return Ok(None) };
            self.largest_response = self.largest_response.max(response.encoded_len());
            self.ready.extend(response.frames.into_iter().filter_map(|frame| frame.frame));
        }
        Ok(self.ready.pop_front())
    }

    /// The cursor of the heartbeat that every stream starts with.
    pub async fn started(&mut self) -> String {
        match self.next().await {
            Ok(Some(Frame::Heartbeat(heartbeat))) => heartbeat.cursor,
            other => panic!("expected a heartbeat, got {other:?}"),
        }
    }

    /// The next whole transaction; heartbeats are passed over.
    pub async fn transaction(&mut self) -> Seen {
        let mut seen =
            Seen { sequence: 0, schemas: Vec::new(), changes: Vec::new(), snapshot: None, cursor: String::new() };
        loop {
            match self.next().await.expect("a frame").expect("a frame") {
                Frame::Heartbeat(_) => {}
                Frame::Schema(schema) => seen.schemas.push(schema),
                Frame::Begin(begin) => {
                    assert_eq!(seen.sequence, 0, "a transaction began inside another");
                    seen.sequence = begin.sequence;
                }
                Frame::Changes(changes) => seen.changes.extend(changes.changes),
                Frame::Commit(commit) => {
                    seen.cursor = commit.cursor;
                    return seen;
                }
                Frame::ResumePointGone(gone) => panic!("{gone:?}"),
                frame @ (Frame::SnapshotBegin(_) | Frame::SnapshotEnd(_)) => {
                    assert!(seen.sequence > 0, "outside a transaction");
                    assert_eq!(seen.snapshot.replace(frame), None, "alone in its transaction");
                }
            }
        }
    }

    /// The status that the stream ends with; frames before it are passed over.
    pub async fn end(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok(""),
                Err(status) => return status,
            }
        }
    }
}

pub fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a header value");
    request.metadata_mut().insert("authorization", value);
    request
}

pub async fn patiently<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

/// `system.schema.table` patterns from the start of the journal.
pub fn earliest(tables: &[&str]) -> v1::SubscribeRequest {
    from(tables, From::Boundary(v1::Boundary::Earliest.into()))
}

pub fn state(tables: &[&str]) -> v1::SubscribeRequest {
    from(tables, From::Boundary(v1::Boundary::State.into()))
}

pub fn latest(tables: &[&str]) -> v1::SubscribeRequest {
    from(tables, From::Boundary(v1::Boundary::Latest.into()))
}

pub fn after(tables: &[&str], cursor: &str) -> v1::SubscribeRequest {
    from(tables, From::Cursor(cursor.to_owned()))
}

pub fn durable(name: &str, request: v1::SubscribeRequest) -> v1::SubscribeRequest {
    v1::SubscribeRequest { subscription: name.to_owned(), ..request }
}

fn from(tables: &[&str], from: From) -> v1::SubscribeRequest {
    let tables = tables.iter().map(|table| (*table).to_owned()).collect();
    v1::SubscribeRequest { tables, from: Some(from), ..Default::default() }
}

/// Asserts a status and the code that it carries.
#[track_caller]
pub fn assert_refused(status: &Status, expected: tonic::Code, code: crate::model::code::Code) {
    assert_eq!(status.code(), expected, "{status:?}");
    assert!(status.message().starts_with(code.as_str()), "{status:?}");
    let metadata = status.metadata().get("tailwater-code").and_then(|value| value.to_str().ok());
    assert_eq!(metadata, Some(code.as_str()));
}

/// Captures two tables; another one is halted, and of one nobody knows what was updated.
fn source() -> v1::SourceStatus {
    let table = |schema: &str, table: &str, halt| v1::TableStatus {
        schema: schema.to_owned(),
        table: table.to_owned(),
        halt,
        ..Default::default()
    };
    let halt = Some(v1::Problem { code: code::PERMISSION_MISSING.to_string(), ..Default::default() });
    let untold = Some(v1::Problem { code: code::CHANGES_UNTOLD.to_string(), ..Default::default() });
    let tables = vec![
        table("public", "accounts", None),
        table("public", "leads", None),
        table("public", "halted", halt),
        table("public", "bare", untold),
    ];
    let state = v1::SourceState::Streaming.into();
    v1::SourceStatus { system: "crm".to_owned(), state, tables, ..Default::default() }
}

/// `bare` has no identity.
fn shape(schema: &str, table: &str) -> TableShape {
    let is_keyed = table != "bare";
    let column = ColumnShape {
        name: "id".into(),
        value_type: ValueType::Scalar(Scalar::Bytes),
        declared_type: "bytea".into(),
        key: is_keyed,
    };
    TableShape {
        name: TableName::new(schema, table),
        identity: if is_keyed { Identity::Key } else { Identity::Nothing },
        columns: vec![column],
        origin: "".into(),
    }
}

fn commit(lsn: u64, changes: u64, schemas: Vec<crate::model::schema::SchemaId>) -> Commit {
    let server =
        PostgresServer { system_identifier: 1, timeline: 1, database: "crm".to_owned(), slot: "tailwater".to_owned() };
    let checkpoint = Checkpoint::Postgres(PostgresCheckpoint { flushed: Lsn(lsn + 8), server, last: None });
    Commit {
        position: Position::Postgres { commit_lsn: Lsn(lsn) },
        commit_time: UnixMicros(1_700_000_000_000_000),
        transaction: lsn.to_string(),
        changes,
        schemas,
        checkpoint,
        copy: None,
        moved: Vec::new(),
        cause: None,
        notes: Vec::new(),
    }
}
