//! The order in which everything starts, and the order in which it ends.
//!
//! ```text
//! start:  data_dir ─► listeners ─► journal ─► sources ─► govern ─► targets ─► gRPC ─► HTTP ─► ready
//! stop:   sources (intake ends, what is whole is flushed and confirmed) ─► govern ─► targets ─► gRPC (streams drain) ─► HTTP ─► journal
//! ```
//! The one place that spawns. Surprise: HTTP outlives gRPC in a stop, so that `/healthz` answers while streams drain.

use super::data_dir::DataDir;
use super::endpoints::Endpoints;
use super::error::Error;
use super::listeners::Listeners;
use super::signals::Signals;
use super::status::StatusBoard;
use crate::config::{Config, System, Target};
use crate::console;
use crate::deliver::grpc::{self, ServeOptions};
use crate::deliver::target::status::TargetStatus;
use crate::deliver::target::{self, TargetHandle};
use crate::govern::status::GovernStatus;
use crate::govern::{self, GovernHandle};
use crate::journal::{self, Journal};
use crate::model::code;
use crate::model::name::SystemName;
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use crate::source::status::SourceStatus;
use crate::source::{self, SourceHandle};
use crate::telemetry::Metrics;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting, or what ended that should not have.
pub async fn run(config: Config, metrics: Metrics) -> Result<(), Error> {
    let mut signals = Signals::listen().map_err(|error| cannot_start(&error))?;
    let data_dir = DataDir::claim(&config.data_dir)?;
    let Listeners { grpc, http, endpoints } = Listeners::bind(&config.server).await?;
    let journal = open(&config, &data_dir).await?;
    let systems = Arc::new(config.systems.clone());
    let sources = Sources::start(&config, &journal);
    let govern = Govern::start(&config, &journal);
    let targets = Targets::start(&config, &systems, &journal, &sources.status());
    let board =
        Arc::new(StatusBoard::new(&config, journal.clone(), sources.status(), targets.status(), govern.status()));
    let serving = Serving { data_dir: &data_dir, journal: &journal, board: &board, resync: targets.commands() };
    let mut servers = Servers::start(&config, serving, (grpc, http), metrics.clone())?;
    endpoints.write(data_dir.path()).map_err(|error| cannot_start(&error))?;
    announce(&config, endpoints, &board);

    let ended = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping; a second signal ends at once");
            Ok(())
        }
        failed = servers.failed() => Err(failed),
        never = metrics.upkeep() => match never {},
    };
    signals.end_at_once();
    sources.stop().await;
    govern.stop(config.server.grace).await;
    targets.stop(config.server.grace).await;
    servers.stop().await;
    journal.close().await;
    Endpoints::remove(data_dir.path());
    tracing::info!("stopped");
    ended
}

fn cannot_start(error: &io::Error) -> Error {
    Error::refused(code::APP_DATA_DIR, error.to_string())
}

/// Off the async threads: it reads back the end of the log and may take seconds.
async fn open(config: &Config, data_dir: &DataDir) -> Result<Journal, Error> {
    let options = journal::Options {
        path: data_dir.journal(),
        lock_file: config.lock_file.clone(),
        sync: config.journal.sync,
        retention_bytes: config.retention.bytes,
        free_disk_bytes_min: config.retention.free_disk_bytes_min,
        queue_bytes_max: config.journal.queue_bytes_max,
        tail_bytes_max: config.journal.tail_bytes_max,
    };
    let opened = tokio::task::spawn_blocking(move || Journal::open(options)).await;
    Ok(opened.map_err(|error| stopped("opening the journal", &error.to_string()))??)
}

fn announce(config: &Config, endpoints: Endpoints, board: &StatusBoard) {
    for warning in board.warnings() {
        tracing::warn!("{warning}");
    }
    let Endpoints { grpc, http, pid } = endpoints;
    tracing::info!(%grpc, %http, pid, config = %config.path.display(), version = env!("CARGO_PKG_VERSION"), "ready");
}

fn stopped(what: &str, why: &str) -> Error {
    Error::Stopped(Problem::new(code::APP_STOPPED, format!("{what} ended: {why}")))
}

/// Every source on a task of its own.
struct Sources {
    handles: Vec<SourceHandle>,
    stop: CancellationToken,
}

impl Sources {
    fn start(config: &Config, journal: &Journal) -> Self {
        let stop = CancellationToken::new();
        let handles = config.systems.values().map(|system| source::spawn(system, journal, stop.clone())).collect();
        Self { handles, stop }
    }

    fn status(&self) -> Vec<watch::Receiver<SourceStatus>> {
        self.handles.iter().map(|handle| handle.status.clone()).collect()
    }

    /// Each finishes or drops its open transaction, flushes and confirms.
    async fn stop(self) {
        self.stop.cancel();
        for handle in self.handles {
            if let Err(error) = handle.join.await {
                tracing::error!(%error, "a source's task failed");
            }
        }
    }
}

/// What makes entities, where there are contracts.
struct Govern {
    handle: Option<GovernHandle>,
    stop: CancellationToken,
}

impl Govern {
    fn start(config: &Config, journal: &Journal) -> Self {
        if config.access.entities.is_empty() {
            // Retention waits for who governed before, until it is known that nobody does.
            journal.keep_after(Sequence(u64::MAX));
        }
        let stop = CancellationToken::new();
        Self { handle: govern::spawn(&config.access.entities, journal, stop.clone()), stop }
    }

    fn status(&self) -> Option<watch::Receiver<GovernStatus>> {
        self.handle.as_ref().map(|handle| handle.status.clone())
    }

    /// The transaction under way becomes entities, or does so at the next start.
    async fn stop(self, grace: Duration) {
        self.stop.cancel();
        let Some(handle) = self.handle else { return };
        match timeout_at(Instant::now() + grace, handle.join).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the task that governs failed"),
            Err(_) => {
                tracing::warn!("what is governed now took longer than the grace time; it is done at the next start")
            }
        }
    }
}

/// Every target on a task of its own.
struct Targets {
    handles: BTreeMap<SystemName, TargetHandle>,
    stop: CancellationToken,
}

impl Targets {
    fn start(
        config: &Config,
        systems: &Arc<BTreeMap<SystemName, System>>,
        journal: &Journal,
        sources: &[watch::Receiver<SourceStatus>],
    ) -> Self {
        let stop = CancellationToken::new();
        let start = |(name, target): (&SystemName, &Target)| {
            (name.clone(), target::spawn(target, &config.access, systems, journal, sources, stop.clone()))
        };
        Self { handles: config.targets.iter().map(start).collect(), stop }
    }

    fn status(&self) -> Vec<watch::Receiver<TargetStatus>> {
        self.handles.values().map(|handle| handle.status.clone()).collect()
    }

    fn commands(&self) -> BTreeMap<String, mpsc::Sender<target::Command>> {
        self.handles.iter().map(|(name, handle)| (name.to_string(), handle.commands.clone())).collect()
    }

    /// Each commits the batch under way; one that takes longer than `grace` is given up, and the target drops it.
    async fn stop(self, grace: Duration) {
        self.stop.cancel();
        let deadline = Instant::now() + grace;
        for (name, handle) in self.handles {
            match timeout_at(deadline, handle.join).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a target's task failed"),
                Err(_) => tracing::warn!(target = %name, "its batch took longer than the grace time and is given up"),
            }
        }
    }
}

/// What the servers serve from.
struct Serving<'a> {
    data_dir: &'a DataDir,
    journal: &'a Journal,
    board: &'a Arc<StatusBoard>,
    resync: BTreeMap<String, mpsc::Sender<target::Command>>,
}

/// gRPC and HTTP.
struct Servers {
    grpc: JoinHandle<()>,
    grpc_stop: CancellationToken,
    http: JoinHandle<io::Result<()>>,
    http_stop: CancellationToken,
}

impl Servers {
    fn start(
        config: &Config,
        serving: Serving<'_>,
        (grpc, http): (TcpListener, TcpListener),
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let Serving { data_dir, journal, board, resync } = serving;
        let (grpc_stop, http_stop) = (CancellationToken::new(), CancellationToken::new());
        let status = Arc::clone(board);
        let server = grpc::serve(ServeOptions {
            listener: grpc,
            journal: journal.clone(),
            access: Arc::new(config.access.clone()),
            limits: config.server.limits.clone(),
            data_dir: data_dir.path().to_owned(),
            status: Arc::new(move || status.status()),
            targets: resync,
            stop: grpc_stop.clone(),
            grace: config.server.grace,
        })?;
        let status = Arc::clone(board);
        let service = console::Service { metrics, sources: Arc::new(move || status.sources()) };
        Ok(Self {
            grpc: tokio::spawn(server.finished()),
            http: tokio::spawn(console::serve(http, service, http_stop.clone())),
            grpc_stop,
            http_stop,
        })
    }

    /// Returns only if one of them ends by itself. Cancel-safe.
    async fn failed(&mut self) -> Error {
        tokio::select! {
            ended = &mut self.grpc => stopped("the gRPC server", &reason(ended.map(Ok))),
            ended = &mut self.http => stopped("the HTTP server", &reason(ended)),
        }
    }

    /// Streams drain within their grace time.
    async fn stop(self) {
        end(self.grpc, &self.grpc_stop).await;
        end(self.http, &self.http_stop).await;
    }
}

async fn end<T>(task: JoinHandle<T>, stop: &CancellationToken) {
    stop.cancel();
    // A handle that gave its result must not be polled again.
    if !task.is_finished() {
        let _ = task.await;
    }
}

/// Why a task ended that nobody stopped.
fn reason(ended: Result<io::Result<()>, JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "nobody asked it to".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    }
}
