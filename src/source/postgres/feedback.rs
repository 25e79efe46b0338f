//! The write half: what the server is told, by a task of its own.
//!
//! It confirms only what the journal calls durable, and never waits for a sink: the server hears from it while everything
//! downstream is blocked. Each timed update asks for an answer, so that a healthy connection is never silent.

use super::fault::Fault;
use crate::model::checkpoint::Checkpoint;
use crate::model::position::Lsn;
use crate::model::time::UnixMicros;
use crate::source::status::Reporter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

/// Updates about a moving checkpoint come at most this often.
const COALESCE: Duration = Duration::from_millis(50);
/// The longest time between two timed updates; also how fresh the server's log end is.
const INTERVAL_MAX: Duration = Duration::from_secs(1);
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// What a stop waits for the journal and the server.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// Microseconds from 1970-01-01 to 2000-01-01, the server's epoch.
const SERVER_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Handle on the task; dropping it ends the task.
pub struct Feedback {
    shared: Arc<Shared>,
    finish: Option<oneshot::Sender<Lsn>>,
    task: AbortOnDropHandle<Result<(), Fault>>,
}

#[derive(Default)]
struct Shared {
    received: AtomicU64,
    asked: Notify,
    ask: Notify,
}

/// How often a server that drops readers silent for `wal_sender_timeout` hears from us; zero: it never drops any.
pub fn interval(wal_sender_timeout: Duration) -> Duration {
    if wal_sender_timeout.is_zero() { INTERVAL_MAX } else { (wal_sender_timeout / 2).clamp(INTERVAL_MIN, INTERVAL_MAX) }
}

impl Feedback {
    pub fn spawn<W>(
        write: W,
        durable: watch::Receiver<Option<Checkpoint>>,
        interval: Duration,
        reporter: Reporter,
    ) -> Self
    where
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let shared = Arc::new(Shared::default());
        let (finish, finished) = oneshot::channel();
        let task = Task { write, durable, interval, reporter, shared: shared.clone(), sent: Instant::now() };
        Self { shared, finish: Some(finish), task: AbortOnDropHandle::new(tokio::spawn(task.run(finished))) }
    }

    /// The server has sent up to here.
    pub fn received(&self, received: Lsn) {
        self.shared.received.fetch_max(received.0, Ordering::Relaxed);
    }

    /// Asks the server how far it is.
    pub fn ask(&self) {
        self.shared.ask.notify_one();
    }

    /// The server asks for an answer now.
    pub fn asked(&self) {
        self.shared.asked.notify_one();
    }

    /// Waits until the server cannot be told any more. Cancel-safe.
    pub async fn failed(&mut self) -> Fault {
        match (&mut self.task).await {
            Ok(Err(fault)) => fault,
            Ok(Ok(())) | Err(_) => Fault::Closed,
        }
    }

    /// Waits a short while for `handed_over` to become durable, confirms what is, and takes leave.
    pub async fn finish(mut self, handed_over: Lsn) {
        if let Some(finish) = self.finish.take() {
            // An ended task needs no leave.
            let _ = finish.send(handed_over);
        }
        let _ = timeout(FINISH_MAX * 2, &mut self.task).await;
    }
}

struct Task<W> {
    write: W,
    durable: watch::Receiver<Option<Checkpoint>>,
    interval: Duration,
    reporter: Reporter,
    shared: Arc<Shared>,
    sent: Instant,
}

impl<W: AsyncWrite + Unpin> Task<W> {
    async fn run(mut self, mut finish: oneshot::Receiver<Lsn>) -> Result<(), Fault> {
        self.send(true).await?;
        let shared = self.shared.clone();
        loop {
            tokio::select! {
                handed_over = &mut finish => return self.take_leave(handed_over.unwrap_or_default()).await,
                () = shared.asked.notified() => self.send(false).await?,
                () = shared.ask.notified() => self.send(true).await?,
                () = sleep_until(self.sent + self.interval) => self.send(true).await?,
                () = moved(&mut self.durable, self.sent + COALESCE) => self.send(false).await?,
            }
        }
    }

    async fn take_leave(mut self, handed_over: Lsn) -> Result<(), Fault> {
        let reached = |checkpoint: &Option<Checkpoint>| flushed(checkpoint) >= handed_over;
        let _ = timeout(FINISH_MAX, self.durable.wait_for(reached)).await;
        self.send(false).await?;
        let mut leave = bytes::BytesMut::new();
        postgres_protocol::message::frontend::copy_done(&mut leave);
        postgres_protocol::message::frontend::terminate(&mut leave);
        self.write.write_all(&leave).await?;
        Ok(self.write.shutdown().await?)
    }

    async fn send(&mut self, ask: bool) -> Result<(), Fault> {
        let flushed = flushed(&self.durable.borrow_and_update());
        self.reporter.flushed(flushed);
        let received = Lsn(self.shared.received.load(Ordering::Relaxed)).max(flushed);
        self.write.write_all(&status_update(received, flushed, UnixMicros::now(), ask)).await?;
        self.write.flush().await?;
        self.sent = Instant::now();
        Ok(())
    }
}

/// Waits for the checkpoint to move, and until `earliest`: what moves meanwhile is told together. Cancel-safe.
async fn moved(durable: &mut watch::Receiver<Option<Checkpoint>>, earliest: Instant) {
    sleep_until(earliest).await;
    if durable.changed().await.is_err() {
        // The journal is closed: only the timed updates go on.
        std::future::pending::<()>().await;
    }
}

fn flushed(checkpoint: &Option<Checkpoint>) -> Lsn {
    match checkpoint {
        Some(Checkpoint::Postgres(checkpoint)) => checkpoint.flushed,
        // Of another kind of server: judged before a stream starts.
        Some(Checkpoint::Mysql(_) | Checkpoint::Governed(_)) | None => Lsn::default(),
    }
}

const STATUS_UPDATE_BYTES: usize = 39;

/// CopyData with a standby status update: written, flushed and applied LSN, our clock, whether to answer at once.
fn status_update(received: Lsn, flushed: Lsn, now: UnixMicros, ask: bool) -> Vec<u8> {
    let mut message = Vec::with_capacity(STATUS_UPDATE_BYTES);
    message.extend_from_slice(b"d\0\0\0\x26r");
    for lsn in [received, flushed, flushed] {
        message.extend_from_slice(&lsn.0.to_be_bytes());
    }
    message.extend_from_slice(&now.0.saturating_sub(SERVER_EPOCH_MICROS).to_be_bytes());
    message.push(u8::from(ask));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_update_has_the_length_it_says() {
        let message = status_update(Lsn(3), Lsn(2), UnixMicros(SERVER_EPOCH_MICROS + 1), true);
        assert_eq!(message.len(), STATUS_UPDATE_BYTES);
        assert_eq!(usize::from(message[4]) + 1, message.len());
        assert_eq!(message[6..14], 3u64.to_be_bytes());
        assert_eq!(message[30..], [0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn the_server_hears_from_us_at_half_its_timeout_at_the_latest() {
        assert_eq!(interval(Duration::ZERO), INTERVAL_MAX);
        assert_eq!(interval(Duration::from_secs(60)), INTERVAL_MAX);
        assert_eq!(interval(Duration::from_millis(800)), Duration::from_millis(400));
    }
}
