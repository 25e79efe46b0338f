//! `/healthz`: the process answers. `/readyz`: every source streams, or is halted and waits for a person. `/metrics`.

use super::listener::Bounded;
use crate::telemetry::Metrics;
use crate::wire::api::v1::{SourceState, SourceStatus};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{Router, get};
use serde_json::json;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the routes show.
#[derive(Clone)]
pub struct Service {
    pub metrics: Metrics,
    /// Every source as it is now.
    pub sources: Arc<dyn Fn() -> Vec<SourceStatus> + Send + Sync>,
}

/// Serves until `stop`; requests under way are finished.
///
/// # Errors
/// The listener failed.
pub async fn serve(listener: TcpListener, service: Service, stop: CancellationToken) -> io::Result<()> {
    axum::serve(Bounded::new(listener), router(service)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(service: Service) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(0))
        .with_state(service)
}

async fn metrics(State(service): State<Service>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], service.metrics.render()).into_response()
}

/// Halted counts as ready: restarting Tailwater would not mend it, and its other sources are at work.
async fn ready(State(service): State<Service>) -> Response {
    let sources = (service.sources)();
    let ready = sources.iter().all(|source| matches!(source.state(), SourceState::Streaming | SourceState::Halted));
    let states: serde_json::Map<_, _> =
        sources.iter().map(|source| (source.system.clone(), json!(state_word(source.state())))).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "sources": states }))).into_response()
}

fn state_word(state: SourceState) -> &'static str {
    match state {
        SourceState::Unspecified => "unknown",
        SourceState::Connecting => "connecting",
        SourceState::Streaming => "streaming",
        SourceState::Retrying => "retrying",
        SourceState::Halted => "halted",
        SourceState::Stopped => "stopped",
    }
}
