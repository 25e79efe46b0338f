//! What a connection asked for and nobody waits for any more is cancelled at the server: a server process that runs a query
//! does not notice by itself that its client is gone, and would sort or wait on, one for each time that we try again.
//!
//! Whoever gives a query up drops its connection, so this is done there. The server is asked over a connection of its own,
//! for a bounded time and once; it never answers. Where that comes to nothing, as when this process is killed, the server
//! looks itself whether we are there ([`LOOK_FOR_US`]).

use super::simple_query::Purpose;
use super::transport;
use crate::config::PostgresEndpoint;
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Refused where the server's system cannot tell; that is no reason not to connect.
pub const LOOK_FOR_US: &str = "SET client_connection_check_interval = '5s'";
/// Connecting, and until the server has taken note.
const CANCEL_MAX: Duration = Duration::from_secs(15);

/// A server process, and what it knows us by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    pub process: i32,
    secret: i32,
}

impl Backend {
    /// From the body of a BackendKeyData.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (process, secret) = body.split_first_chunk::<4>()?;
        Some(Self { process: i32::from_be_bytes(*process), secret: i32::from_be_bytes(secret.try_into().ok()?) })
    }
}

/// What runs on a connection. Dropping it while something does cancels that.
pub struct Running {
    endpoint: PostgresEndpoint,
    /// `None`: something between us and the server keeps its key to itself.
    backend: Option<Backend>,
    busy: bool,
}

impl Running {
    pub fn new(endpoint: &PostgresEndpoint, backend: Option<Backend>) -> Self {
        Self { endpoint: endpoint.clone(), backend, busy: false }
    }

    pub fn process(&self) -> Option<i32> {
        self.backend.map(|backend| backend.process)
    }

    pub fn begins(&mut self) {
        self.busy = true;
    }

    pub fn ends(&mut self) {
        self.busy = false;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (true, Some(backend)) = (self.busy, self.backend) else { return };
        // Without a runtime the process is at its end.
        let Ok(runtime) = Handle::try_current() else { return };
        let endpoint = self.endpoint.clone();
        tracing::info!(
            address = transport::address(&endpoint),
            process = backend.process,
            "cancelling a query given up"
        );
        runtime.spawn(async move {
            if !matches!(timeout(CANCEL_MAX, cancel(&endpoint, backend)).await, Ok(Some(()))) {
                tracing::debug!(process = backend.process, "the query could not be cancelled");
            }
        });
    }
}

/// Until the server has taken note; `None` where it cannot be reached.
async fn cancel(endpoint: &PostgresEndpoint, Backend { process, secret }: Backend) -> Option<()> {
    let mut stream = transport::open(endpoint, Purpose::Queries).await.ok()?.stream;
    let mut request = BytesMut::new();
    frontend::cancel_request(process, secret, &mut request);
    stream.write_all(&request).await.ok()?;
    stream.flush().await.ok()?;
    // The server closes the connection once it has signalled the process.
    stream.read(&mut [0]).await.ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_exactly_or_not_at_all() {
        let key = Backend { process: 7, secret: -2 };
        assert_eq!(Backend::parse(&[0, 0, 0, 7, 255, 255, 255, 254]), Some(key));
        assert_eq!(
            (Backend::parse(&[0, 0, 0, 7, 1]), Backend::parse(&[0; 12]), Backend::parse(b"")),
            (None, None, None)
        );
    }
}
