//! How long a copy waits for its server, and that nothing of it runs on there once it is given up.
//!
//! What only asks or locks is answered at once or not at all. The rows of a chunk are waited for as long as the server lives,
//! which is asked over the other connection: given up, they would be read from the start. Meanwhile the stream stands still and
//! does not see that the server hangs.

use super::snapshot::Connections;
use super::{Trouble, Worker};
use crate::config::MysqlEndpoint;
use crate::model::name::TableName;
use crate::source::mysql::connection::Connection;
use crate::source::mysql::fault::Fault;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A chunk that takes longer is told of.
const TOLD_AFTER: Duration = Duration::from_secs(5);
const SLOW: &str = "the server, which is still reading the next rows";

/// The answer to what takes the server no time.
pub(super) async fn at_once<T>(
    silence_max: Duration,
    answer: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout(silence_max, answer).await.map_err(|_| Fault::Silent(silence_max))?
}

impl Worker {
    /// The next row of a chunk, while `other` is answered.
    pub(super) async fn patiently<T>(
        &self,
        other: &mut Connection,
        table: &TableName,
        row: impl Future<Output = T>,
    ) -> Result<T, Trouble> {
        let silence_max = self.system.endpoint.silence_max;
        let mut row = std::pin::pin!(row);
        if let Ok(row) = timeout(TOLD_AFTER.min(silence_max), &mut row).await {
            return Ok(row);
        }
        if self.reporter.copy_waits(table, Some(SLOW)) {
            tracing::warn!(system = %self.system.name, %table, "the server takes long to read rows for a copy");
        }
        loop {
            at_once(silence_max, other.execute("DO 1")).await?;
            if let Ok(row) = timeout(silence_max, &mut row).await {
                self.reporter.copy_waits(table, None);
                return Ok(row);
            }
        }
    }
}

/// A query that nobody waits for any more would run on until the server has something to send.
impl Drop for Connections {
    fn drop(&mut self) {
        if !self.reads {
            return;
        }
        let (endpoint, reader) = (self.endpoint.clone(), self.reader.id());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(kill(endpoint, reader));
        }
    }
}

/// Ends one of our own sessions, which everybody may. A server that is not there has none.
async fn kill(endpoint: MysqlEndpoint, session: u32) {
    let killed = async { Connection::open(&endpoint).await?.execute(&format!("KILL {session}")).await };
    if let Err(fault) = at_once(endpoint.silence_max, killed).await {
        tracing::debug!(%fault, session, "a query that was given up could not be ended");
    }
}
