//! Puts the server together, runs it, and stops it.
//!
//! A stop ends each stream at a transaction's end; what is not done within the grace time is cut off.

use super::auth::Tokens;
use super::catalog::Catalog;
use super::gate::Gate;
use super::subscribe::{Shared, SubscriptionService};
use super::{Error, admin, limits, listen, operator_token, reflection};
use crate::config::{Access, Limits};
use crate::deliver::subscriptions::Subscriptions;
use crate::deliver::target;
use crate::journal::Journal;
use crate::wire::api::v1;
use crate::wire::api::v1::admin_service_server::AdminServiceServer;
use crate::wire::api::v1::catalog_service_server::CatalogServiceServer;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// How long cut-off connections may take to notice.
const CUT_OFF_MAX: Duration = Duration::from_secs(1);

/// Says how everything but the subscriptions is. Called for each `GetStatus`; must not block.
pub type StatusSource = Arc<dyn Fn() -> v1::GetStatusResponse + Send + Sync>;

pub struct ServeOptions {
    /// From [`super::bind`].
    pub listener: TcpListener,
    pub journal: Journal,
    pub access: Arc<Access>,
    pub limits: Limits,
    /// Where the operator's token is.
    pub data_dir: PathBuf,
    pub status: StatusSource,
    /// Where each target takes commands.
    pub targets: BTreeMap<String, mpsc::Sender<target::Command>>,
    /// Cancelled to stop.
    pub stop: CancellationToken,
    /// How long open streams may take to end after that.
    pub grace: Duration,
}

/// A running server.
pub struct ServerHandle {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl ServerHandle {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns once the server has stopped: after `stop`, or by itself only if it failed.
    pub async fn finished(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the gRPC server failed");
        }
    }
}

/// Starts serving, on a task of its own. Reads or makes the operator's token first: two small file operations.
///
/// # Errors
/// The listener is not on loopback; the operator's token is not safe or not usable.
pub fn serve(options: ServeOptions) -> Result<ServerHandle, Error> {
    let address = options.listener.local_addr().map_err(|error| Error::listen("the listener", error))?;
    listen::check_loopback(address)?;
    let operator_token = operator_token::ensure(&options.data_dir)?;
    let tokens = Tokens::new(&options.access, &operator_token)
        .map_err(|_| Error::listen("tokens", io::Error::other("no random bytes")))?;
    let subscriptions = Arc::new(Subscriptions::new(options.journal.clone(), options.limits.subscriptions_max));
    let routes = routes(&options, &subscriptions)?;
    Ok(ServerHandle { address, task: tokio::spawn(run(options, subscriptions, tokens, routes)) })
}

fn routes(options: &ServeOptions, subscriptions: &Arc<Subscriptions>) -> Result<Routes, Error> {
    let request_bytes_max = options.limits.request_bytes_max;
    let shared = Shared {
        journal: options.journal.clone(),
        access: options.access.clone(),
        subscriptions: subscriptions.clone(),
        status: options.status.clone(),
        stop: options.stop.clone(),
        request_bytes_max,
    };
    let catalog = Catalog { journal: options.journal.clone(), access: options.access.clone() };
    let admin = admin::Admin {
        status: options.status.clone(),
        targets: options.targets.clone(),
        journal: options.journal.clone(),
        subscriptions: subscriptions.clone(),
    };
    // The reporter is dropped: the server as a whole (service "") serves from its first to its last call.
    let (_, health) = tonic_health::server::health_reporter();
    let reflection =
        reflection::service(request_bytes_max).map_err(|error| Error::listen("reflection", io::Error::other(error)))?;
    Ok(Routes::new(SubscriptionService(Arc::new(shared)))
        .add_service(CatalogServiceServer::new(catalog).max_decoding_message_size(request_bytes_max))
        .add_service(AdminServiceServer::new(admin).max_decoding_message_size(request_bytes_max))
        .add_service(health.max_decoding_message_size(request_bytes_max))
        .add_service(reflection))
}

async fn run(options: ServeOptions, subscriptions: Arc<Subscriptions>, tokens: Tokens, routes: Routes) {
    let close = CancellationToken::new();
    let incoming = listen::accept(options.listener, options.limits.clone(), close.clone());
    let server = limits::server(&options.limits)
        .layer(Gate::new(tokens))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, options.stop.clone().cancelled_owned());
    tokio::pin!(server);
    tokio::select! {
        result = &mut server => return ended(result),
        () = measure(&subscriptions) => {}
        () = options.stop.cancelled() => {}
    }
    if let Ok(result) = timeout(options.grace, &mut server).await {
        return ended(result);
    }
    tracing::warn!("streams were still open after the grace time; cutting them off");
    close.cancel();
    if let Ok(result) = timeout(CUT_OFF_MAX, server).await {
        ended(result);
    }
}

fn ended(result: Result<(), tonic::transport::Error>) {
    if let Err(error) = result {
        tracing::error!(%error, "the gRPC server ended");
    }
}

async fn measure(subscriptions: &Subscriptions) {
    let mut ticks = interval(MEASURE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        subscriptions.measure();
    }
}
