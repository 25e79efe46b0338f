//! A connection to a target that may be at work for as long as it takes, and that is still noticed when it is dead.
//!
//! A merge or a sweep of a large table says nothing for minutes, and so does a statement that waits for somebody's lock. After
//! `silence` the server is asked over a second connection whether it is still at it; no answer means that both are gone.

use crate::config::PostgresEndpoint;
use crate::source::postgres::{Connection, Fault, Purpose, Row};
use std::time::Duration;
use tokio::time::timeout;

/// Plans for a handful of rows against a large table: an index look-up each, whatever statistics say of a stage. And what the
/// server holds locked for us it gives up a minute after the network between us has gone, not two hours.
const SETTINGS: &str = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; \
     SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";

pub struct Target {
    connection: Connection,
    endpoint: PostgresEndpoint,
    pid: String,
}

impl Target {
    /// # Errors
    /// Those of the connection.
    pub async fn open(endpoint: &PostgresEndpoint) -> Result<Self, Fault> {
        let mut connection = Connection::open(endpoint, Purpose::Queries).await?;
        let rows = connection.query("SELECT pg_catalog.pg_backend_pid()").await?;
        let pid = rows.first().ok_or(Fault::Protocol("no process id"))?.some(0)?;
        connection.query(SETTINGS).await?;
        connection.wait_for_ever();
        Ok(Self { connection, endpoint: endpoint.clone(), pid })
    }

    /// The rows of one statement, or of several together.
    ///
    /// # Errors
    /// As [`Connection::query`]; [`Fault::Silent`] when the server is gone.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Fault> {
        let Self { connection, endpoint, pid } = self;
        patiently(endpoint, pid, connection.query(sql)).await
    }

    /// # Errors
    /// As [`Connection::copy_in`]; [`Fault::Silent`] when the server is gone.
    pub async fn copy_in(&mut self, sql: &str, data: &[u8]) -> Result<(), Fault> {
        let Self { connection, endpoint, pid } = self;
        patiently(endpoint, pid, connection.copy_in(sql, data)).await
    }
}

async fn patiently<T>(
    endpoint: &PostgresEndpoint,
    pid: &str,
    answer: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let silence_max = endpoint.silence_max;
    let mut answer = std::pin::pin!(answer);
    loop {
        if let Ok(answer) = timeout(silence_max, &mut answer).await {
            return answer;
        }
        if !is_at_work(endpoint, pid, silence_max).await {
            return Err(Fault::Silent(silence_max));
        }
        tracing::warn!(target = endpoint.application, "the target has been at one statement for long: see pg_locks");
    }
}

async fn is_at_work(endpoint: &PostgresEndpoint, pid: &str, within: Duration) -> bool {
    let ask = async {
        let mut second = Connection::open(endpoint, Purpose::Queries).await?;
        let sql = format!("SELECT 1 FROM pg_catalog.pg_stat_activity WHERE pid = {pid}");
        second.query(&sql).await
    };
    matches!(timeout(within, ask).await, Ok(Ok(rows)) if !rows.is_empty())
}
