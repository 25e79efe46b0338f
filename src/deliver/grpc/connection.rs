//! One accepted connection and its clock.
//!
//! HTTP/2 has no timeout of its own for a peer that never finishes the handshake, or that answers pings for ever without
//! making a call. Both are ended here, below HTTP/2, as is everything that is left after the grace time of a stop.

use crate::config::Limits;
use std::future::Future;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// The client's preface and the header of its first frame (RFC 9113, sections 3.4 and 4.1).
const HANDSHAKE_BYTES: usize = 24 + 9;

pub struct Connection {
    stream: TcpStream,
    usage: Usage,
    received: usize,
    idle_max: Duration,
    /// When to look at the handshake, and after it at the idle time.
    check: Pin<Box<Sleep>>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// `place` is one of the connections that are allowed; `close` ends it at once.
    pub fn new(stream: TcpStream, place: OwnedSemaphorePermit, limits: &Limits, close: CancellationToken) -> Self {
        Self {
            stream,
            usage: Usage::new(),
            received: 0,
            idle_max: limits.idle_max,
            check: Box::pin(sleep(limits.handshake_max)),
            closed: Box::pin(close.cancelled_owned()),
            _place: place,
        }
    }

    fn poll_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        while self.check.as_mut().poll(cx).is_ready() {
            if self.received < HANDSHAKE_BYTES {
                return Err(Error::new(ErrorKind::TimedOut, "no HTTP/2 handshake in time"));
            }
            let until = self.usage.idle_since() + self.idle_max;
            if until <= Instant::now() {
                return Err(Error::new(ErrorKind::TimedOut, "no call for too long"));
            }
            self.check.as_mut().reset(until);
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        self.poll_alive(cx)?;
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.received = self.received.saturating_add(buffer.filled().len() - before);
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        self.poll_alive(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        self.poll_alive(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Connection {
    type ConnectInfo = Usage;

    fn connect_info(&self) -> Usage {
        self.usage.clone()
    }
}

/// The calls that a connection carries now. Cheap to clone; every request of the connection holds one.
#[derive(Clone)]
pub struct Usage(Arc<Mutex<Calls>>);

struct Calls {
    open: usize,
    /// The last one's end.
    ended: Instant,
}

impl Usage {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Calls { open: 0, ended: Instant::now() })))
    }

    /// A call begins; it ends when the result is dropped.
    pub fn begin(&self) -> InUse {
        self.calls().open += 1;
        InUse(self.clone())
    }

    fn idle_since(&self) -> Instant {
        let calls = self.calls();
        if calls.open > 0 { Instant::now() } else { calls.ended }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct InUse(Usage);

impl Drop for InUse {
    fn drop(&mut self) {
        let mut calls = self.0.calls();
        calls.open = calls.open.saturating_sub(1);
        calls.ended = Instant::now();
    }
}
