//! The listener: on loopback only, with a cap on connections.

use super::Error;
use super::connection::Connection;
use crate::config::Limits;
use crate::model::code;
use crate::model::problem::Problem;
use futures_util::stream::{Stream, unfold};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// After an accept that failed, such as for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// One line in the log for all connections refused in this time.
const WARN_EVERY: Duration = Duration::from_secs(10);

const METRIC_REFUSED: &str = "tailwater_connections_refused_total";

/// # Errors
/// The address is not on loopback, or in use.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    check_loopback(address)?;
    TcpListener::bind(address).await.map_err(|error| Error::listen(&address.to_string(), error))
}

/// # Errors
/// The address is not on loopback.
pub fn check_loopback(address: SocketAddr) -> Result<(), Error> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let message = format!("{address} can be reached from elsewhere, and connections are not encrypted yet");
    Err(Error::NotLoopback(Problem::new(code::LISTENER_NOT_LOOPBACK, message)))
}

/// The connections as they come in; one too many is closed at once. `close` ends them all.
pub fn accept(
    listener: TcpListener,
    limits: Limits,
    close: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let door = Door { listener, places, limits, close, quiet_until: Instant::now() };
    unfold(door, |mut door| async move { Some((Ok(door.next().await), door)) })
}

struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    limits: Limits,
    close: CancellationToken,
    quiet_until: Instant,
}

impl Door {
    async fn next(&mut self) -> Connection {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Some(connection) = self.admit(stream) {
                return connection;
            }
        }
    }

    fn admit(&mut self, stream: TcpStream) -> Option<Connection> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.refused();
            return None;
        };
        // Without it small responses wait for the peer's acknowledgement. A failure means the peer is gone already.
        stream.set_nodelay(true).ok()?;
        Some(Connection::new(stream, place, &self.limits, self.close.clone()))
    }

    fn refused(&mut self) {
        metrics::counter!(METRIC_REFUSED).increment(1);
        if self.quiet_until <= Instant::now() {
            self.quiet_until = Instant::now() + WARN_EVERY;
            let connections_max = self.limits.connections_max;
            tracing::warn!(code = %code::CONNECTIONS_EXHAUSTED, connections_max, "too many connections; closing new ones");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_listened_on() {
        for (address, fits) in [
            ("127.0.0.1:7071", true),
            ("127.9.9.9:1", true),
            ("[::1]:7071", true),
            ("0.0.0.0:7071", false),
            ("[::]:7071", false),
            ("192.168.1.1:7071", false),
        ] {
            assert_eq!(check_loopback(address.parse().expect("an address")).is_ok(), fits, "{address}");
        }
    }
}
