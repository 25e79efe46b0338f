//! SIGTERM and SIGINT: the first asks for a graceful stop, the second ends the process at once, which is as safe.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// As the shell reports a process that ended by SIGTERM.
const ENDED_AT_ONCE: i32 = 143;

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one's name. Cancel-safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// From here on a signal ends the process.
    pub fn end_at_once(mut self) {
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "second signal: ending at once");
            std::process::exit(ENDED_AT_ONCE);
        });
    }
}
