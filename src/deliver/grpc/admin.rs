//! `AdminService`: the app says how sources, journal and targets are, this server how the subscriptions are.

use super::{StatusSource, captured};
use crate::deliver::refusal::{Kind, Refusal};
use crate::deliver::subscriptions::Subscriptions;
use crate::deliver::target::Command;
use crate::journal::Journal;
use crate::model::code;
use crate::model::name::{SystemName, TableName};
use crate::model::pattern::Pattern;
use crate::wire::api::v1;
use crate::wire::api::v1::admin_service_server::AdminService;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

/// How long a target may take to take a command.
const ANSWER_MAX: Duration = Duration::from_secs(20);

pub struct Admin {
    pub status: StatusSource,
    pub targets: BTreeMap<String, mpsc::Sender<Command>>,
    pub journal: Journal,
    pub subscriptions: Arc<Subscriptions>,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::GetStatusResponse>, Status> {
        let subscriptions = self.subscriptions.status();
        Ok(Response::new(v1::GetStatusResponse { subscriptions, ..(self.status)() }))
    }

    async fn request_snapshot(
        &self,
        request: Request<v1::RequestSnapshotRequest>,
    ) -> Result<Response<v1::RequestSnapshotResponse>, Status> {
        let chosen = chosen(&request.get_ref().tables, captured::tables(&(self.status)()))?;
        let after = self.journal.bounds().durable;
        let mut tables = Vec::new();
        for (system, table) in chosen {
            let asked = self.journal.request_copy(&system, &table, after).await;
            asked.map_err(|error| Refusal::new(Kind::Unavailable, code::JOURNAL_UNAVAILABLE, error.to_string()))?;
            tables.push(format!("{system}.{table}"));
        }
        Ok(Response::new(v1::RequestSnapshotResponse { tables }))
    }

    async fn resync(&self, request: Request<v1::ResyncRequest>) -> Result<Response<v1::ResyncResponse>, Status> {
        let tables = self.resync_tables(request.into_inner()).await?;
        Ok(Response::new(v1::ResyncResponse { tables }))
    }
}

impl Admin {
    async fn resync_tables(&self, request: v1::ResyncRequest) -> Result<Vec<String>, Refusal> {
        let v1::ResyncRequest { target, tables } = request;
        let unknown = |message| Refusal::new(Kind::NotFound, code::TARGET_UNKNOWN, message);
        let busy = || Refusal::new(Kind::Unavailable, code::TARGET_BUSY, format!("{target} does not answer now"));
        let Some(commands) = self.targets.get(&target) else {
            return Err(unknown(format!("there is no target {target:?}")));
        };
        let (done, answer) = oneshot::channel();
        let patterns = tables.iter().map(|table| Pattern::new(table)).collect();
        commands.try_send(Command::Resync { tables: patterns, done }).map_err(|_| busy())?;
        // Given up after that long, the command is not obeyed later: its answer has nowhere to go.
        let answer = timeout(ANSWER_MAX, answer).await.map_err(|_| busy())?.map_err(|_| busy())?;
        let names = answer.map_err(|problem| Refusal { kind: Kind::Precondition, problem })?;
        if names.is_empty() && !tables.is_empty() {
            return Err(unknown(format!("{target} has no table {}", tables.join(" or "))));
        }
        Ok(names)
    }
}

/// Those that a pattern matches, by their full names. Each exact name has to match, and of the patterns at least one.
fn chosen(
    patterns: &[String],
    captured: Vec<(SystemName, TableName)>,
) -> Result<Vec<(SystemName, TableName)>, Refusal> {
    if patterns.is_empty() {
        return Err(Refusal::new(Kind::Invalid, code::REQUEST_INVALID, "tables: at least one pattern is needed"));
    }
    let none = |which: &str| {
        let message = format!("no captured table is {which}, or it is halted");
        Refusal::new(Kind::NotFound, code::TABLE_NOT_FOUND, message)
    };
    let matches = |pattern: &String, (system, table): &(SystemName, TableName)| {
        Pattern::new(pattern).matches(&format!("{system}.{table}"))
    };
    let unknown = |name: &&String| !name.contains('*') && !captured.iter().any(|table| matches(name, table));
    if let Some(unknown) = patterns.iter().find(unknown) {
        return Err(none(unknown));
    }
    let wanted = |table: &(SystemName, TableName)| patterns.iter().any(|pattern| matches(pattern, table));
    let chosen: Vec<_> = captured.into_iter().filter(wanted).collect();
    if chosen.is_empty() { Err(none(&patterns.join(" or "))) } else { Ok(chosen) }
}
