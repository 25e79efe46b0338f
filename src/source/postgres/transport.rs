//! A byte stream to a server: unix socket or TCP, in the clear or under TLS.
//!
//! Knows nothing of the protocol but the one exchange that asks for TLS. Surprise: the answer to it is read as exactly one
//! byte, so that nothing an attacker sent before the handshake can count as being inside it.

use super::fault::Fault;
use super::relay::Relay;
use super::simple_query::Purpose;
use super::tls;
use crate::config::{Host, PostgresEndpoint, Tls};
use crate::model::code;
use crate::model::problem::Problem;
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

/// Name look-up, connect and TLS handshake together.
const CONNECT_MAX: Duration = Duration::from_secs(10);

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub type Stream = Box<dyn Duplex>;

pub struct Transport {
    pub stream: Stream,
    /// Nobody on the way can read: a unix socket, or TLS with a checked certificate.
    pub private: bool,
    /// What SCRAM can bind to.
    pub channel_binding: Option<Vec<u8>>,
}

/// `host:port`, or the socket's path.
pub fn address(endpoint: &PostgresEndpoint) -> String {
    match &endpoint.host {
        Host::Tcp(host) => format!("{host}:{}", endpoint.port),
        Host::Unix(directory) => socket_path(directory, endpoint.port),
    }
}

fn socket_path(directory: &Path, port: u16) -> String {
    format!("{}/.s.PGSQL.{port}", directory.display())
}

/// # Errors
/// [`Fault::Connect`] and [`Fault::Tls`]; [`Fault::Retry`] when the server does not do TLS.
pub async fn open(endpoint: &PostgresEndpoint, purpose: Purpose) -> Result<Transport, Fault> {
    let too_long = |_| Fault::Connect { address: address(endpoint), source: io::ErrorKind::TimedOut.into() };
    timeout(CONNECT_MAX, connect(endpoint, purpose)).await.map_err(too_long)?
}

async fn connect(endpoint: &PostgresEndpoint, purpose: Purpose) -> Result<Transport, Fault> {
    let failed = |source| Fault::Connect { address: address(endpoint), source };
    match &endpoint.host {
        Host::Unix(directory) => {
            let stream = UnixStream::connect(socket_path(directory, endpoint.port)).await.map_err(failed)?;
            let stream = of_socket(purpose, stream, UnixStream::into_std, UnixStream::from_std).map_err(failed)?;
            Ok(Transport { stream, private: true, channel_binding: None })
        }
        Host::Tcp(host) => {
            let stream = tcp(host, endpoint.port).await.map_err(failed)?;
            let stream = of_socket(purpose, stream, TcpStream::into_std, TcpStream::from_std).map_err(failed)?;
            match &endpoint.tls {
                Tls::Disable => Ok(Transport { stream, private: false, channel_binding: None }),
                Tls::VerifyFull { ca_file } => encrypt(endpoint, stream, host, ca_file.as_deref()).await,
            }
        }
    }
}

/// A walsender's socket goes to a thread of its own, and for that from one runtime to another.
fn of_socket<S: Duplex + 'static, T: Send + 'static>(
    purpose: Purpose,
    socket: S,
    detach: fn(S) -> io::Result<T>,
    attach: fn(T) -> io::Result<S>,
) -> io::Result<Stream> {
    match purpose {
        Purpose::Queries => Ok(Box::new(socket)),
        Purpose::Replication => {
            let socket = detach(socket)?;
            Ok(Box::new(Relay::over(move || attach(socket))?))
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_keepalive(true)?;
        socket.set_nodelay(true)?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn encrypt(
    endpoint: &PostgresEndpoint,
    mut stream: Stream,
    host: &str,
    ca_file: Option<&Path>,
) -> Result<Transport, Fault> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    match stream.read_u8().await? {
        b'S' => {}
        b'N' => {
            let message = format!("{} answers that it does not do TLS", address(endpoint));
            return Err(Fault::Retry(Problem::new(code::TLS_FAILED, message)));
        }
        // An error message instead: the postmaster has no process for us now.
        b'E' => {
            let message = format!("{} cannot start a process for the connection", address(endpoint));
            return Err(Fault::Retry(Problem::new(code::SERVER_UNAVAILABLE, message)));
        }
        _ => return Err(Fault::Protocol("the answer to SSLRequest is neither S nor N")),
    }
    let failed = |source| Fault::Tls { address: address(endpoint), source };
    let stream = tls::shake_hands(stream, host, ca_file).await.map_err(failed)?;
    let channel_binding = tls::channel_binding(&stream);
    Ok(Transport { stream: Box::new(stream), private: true, channel_binding })
}
