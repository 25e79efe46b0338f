//! A real journal with one source on it, and what a reader makes of it.

use super::server::{Kind, PASSWORD, Server, USER};
use crate::config::{Flavour, Host, MysqlEndpoint, MysqlSystem, System, Tls};
use crate::journal::{Journal, Options};
use crate::model::code::Code;
use crate::model::copy::CopyPhase;
use crate::model::name::SystemName;
use crate::model::pattern::{Pattern, Selection};
use crate::model::position::Sequence;
use crate::model::schema::{SchemaId, TableSchema};
use crate::source::status::{SourceStatus, State};
use crate::source::{SourceHandle, spawn};
use crate::wire::api::DESCRIPTORS;
use crate::wire::api::v1::{Changes, Op};
use crate::wire::{descriptor, json};
use prost::Message as _;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub const PATIENCE: Duration = Duration::from_secs(60);

pub type Cells = Map<String, Value>;

/// One change as a reader of the journal sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub transaction: String,
    pub table: String,
    pub op: Op,
    /// In a copy of the table, not in the log.
    pub copied: bool,
    pub before: Option<Cells>,
    pub after: Option<Cells>,
}

pub struct Attached {
    pub journal: Journal,
    system: System,
    running: Option<(SourceHandle, CancellationToken)>,
    _directory: TempDir,
}

/// All tables of the database `crm`, over TCP.
pub fn system(server: &Server) -> MysqlSystem {
    MysqlSystem {
        name: SystemName::new("crm").expect("a name"),
        flavour: if server.kind == Kind::Mysql { Flavour::Mysql } else { Flavour::Mariadb },
        endpoint: MysqlEndpoint {
            host: Host::Tcp("127.0.0.1".into()),
            port: server.port,
            user: USER.into(),
            password: Some(SecretString::from(PASSWORD)),
            tls: Tls::Disable,
            silence_max: Duration::from_secs(30),
        },
        database: None,
        tables: Selection { include: vec![Pattern::new("crm.*")], exclude: vec![] },
        server_id: 4711,
    }
}

impl Attached {
    /// A journal, and a source that does not run yet.
    pub fn idle(system: MysqlSystem) -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let journal = open(directory.path());
        Self { journal, system: System::Mysql(system), running: None, _directory: directory }
    }

    /// Waits until it streams.
    pub async fn to(server: &Server) -> Self {
        let mut attached = Self::idle(system(server));
        attached.start();
        attached.until(|status| status.state == State::Streaming).await;
        attached
    }

    pub fn start(&mut self) {
        let token = CancellationToken::new();
        self.running = Some((spawn(&self.system, &self.journal, token.clone()), token));
    }

    /// What the next start reads from.
    pub fn move_to(&mut self, system: MysqlSystem) {
        self.system = System::Mysql(system);
    }

    /// The source alone.
    pub async fn stop(&mut self) {
        let (source, token) = self.running.take().expect("it runs");
        token.cancel();
        timeout(PATIENCE, source.join).await.expect("a quick stop").expect("no panic");
    }

    pub async fn until(&mut self, reached: impl Fn(&SourceStatus) -> bool) -> SourceStatus {
        let (source, _) = self.running.as_mut().expect("it runs");
        if let Ok(Ok(status)) = timeout(PATIENCE, source.status.wait_for(reached)).await {
            return status.clone();
        }
        panic!("never came: {:?}", source.status.borrow())
    }

    /// Waits for a halt; gives its code.
    pub async fn halts(&mut self) -> Code {
        match self.until(|status| matches!(status.state, State::Halted(_))).await.state {
            State::Halted(problem) => problem.code,
            other => panic!("{other:?} was just seen to be a halt"),
        }
    }

    pub async fn end(mut self) {
        self.stop().await;
        self.end_stopped().await;
    }

    pub async fn end_stopped(self) {
        self.journal.close().await;
    }

    /// Writes a row of its own to the table `marks`, which must be there, and waits until it has come; gives all changes so
    /// far, but for those of that table.
    pub async fn level(&mut self, server: &Server) -> Vec<Seen> {
        let mark = format!("{:?}", std::time::Instant::now());
        server.execute(&format!("INSERT INTO marks (mark) VALUES ('{mark}')")).await;
        let wanted = Value::String(mark);
        let waited = async {
            loop {
                let seen = self.read().await;
                let is_mark = |seen: &Seen| seen.after.as_ref().and_then(|row| row.get("mark")) == Some(&wanted);
                if seen.iter().any(is_mark) {
                    return seen.into_iter().filter(|seen| seen.table != "marks").collect();
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(PATIENCE, waited).await {
            Ok(seen) => seen,
            Err(_) => {
                panic!("the mark never came: {:?}", self.running.as_ref().map(|(s, _)| s.status.borrow().clone()))
            }
        }
    }

    /// Everything in the journal.
    pub async fn read(&self) -> Vec<Seen> {
        let types = DescriptorPool::decode(DESCRIPTORS).expect("our own");
        let mut reader = self.journal.reader(Sequence::ZERO);
        let (mut seen, mut messages) = (Vec::new(), HashMap::new());
        while reader.ready() {
            let header = reader.next().await.expect("it reads");
            if matches!(&header.copy, Some(step) if step.phase != CopyPhase::Rows) {
                continue;
            }
            while let Some(chunk) = reader.chunk().await.expect("it reads") {
                for change in Changes::decode(chunk).expect("changes").changes {
                    let schema = self.journal.schema(SchemaId(change.schema_id)).expect("known");
                    let message = messages.entry(schema.id).or_insert_with(|| message(&types, &schema));
                    let row = |bytes: &bytes::Bytes| json::row(message, bytes).expect("a row");
                    seen.push(Seen {
                        transaction: header.transaction.clone(),
                        table: schema.name.table.to_string(),
                        op: change.op(),
                        copied: header.copy.is_some(),
                        before: change.before.as_ref().map(row),
                        after: change.after.as_ref().map(row),
                    });
                }
            }
        }
        seen
    }
}

fn message(types: &DescriptorPool, schema: &TableSchema) -> MessageDescriptor {
    let mut pool = types.clone();
    pool.add_file_descriptor_proto(descriptor::file(schema)).expect("a descriptor");
    pool.get_message_by_name(&schema.type_name).expect("its message")
}

/// The tables of most tests.
pub async fn create_tables(server: &Server) {
    server.execute("CREATE TABLE marks (mark varchar(80) PRIMARY KEY)").await;
    server.execute("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, note varchar(200))").await;
}

fn open(directory: &Path) -> Journal {
    let options = Options {
        path: directory.join("journal"),
        lock_file: directory.join("tailwater.lock"),
        sync: true,
        retention_bytes: 1 << 30,
        free_disk_bytes_min: 0,
        queue_bytes_max: 8 << 20,
        tail_bytes_max: 8 << 20,
    };
    Journal::open(options).expect("a journal")
}
