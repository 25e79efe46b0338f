//! `tailwater subscribe --format json` in a process of its own, and every line that it ever printed.

use super::tailwater::{BINARY, Tailwater};
use super::{eventually, process};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const STOP_WITHIN: Duration = Duration::from_secs(10);

pub struct Listener {
    lines: Arc<Mutex<Vec<Value>>>,
    child: Child,
}

impl Listener {
    /// From the earliest transaction on; it connects again by itself.
    pub fn start(tailwater: &Tailwater, arguments: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["subscribe", "--from", "earliest", "--format", "json"]).args(arguments);
        command.arg("--config").arg(tailwater.config_path()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary is built");
        let (lines, out) = (Arc::new(Mutex::new(Vec::new())), child.stdout.take().expect("piped"));
        let printed = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("a JSON object a line");
                printed.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { lines, child }
    }

    pub fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many lines were printed, and gives those from `from` on.
    pub async fn reaches(&self, from: usize, upto: usize, within: Duration) -> Vec<Value> {
        eventually("the lines are printed", within, async || {
            let lines = self.lines();
            if lines.len() >= upto { Ok(()) } else { Err(format!("{} of {upto}: {lines:?}", lines.len())) }
        })
        .await;
        self.lines().split_off(from)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        process::end(&mut self.child, Signal::KILL, STOP_WITHIN);
    }
}
