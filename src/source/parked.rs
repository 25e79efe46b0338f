//! A source whose journal takes nothing gives its connection back after a while.
//!
//! A server that is shut down waits until what it has sent is confirmed, and we confirm only what is durable: it would wait
//! until somebody kills it. A short wait is not worth a new connection, so it is a long one that counts.

use crate::journal::Journal;
use crate::model::code;
use crate::model::problem::Problem;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long intake has waited when the connection is given back.
const LET_GO_AFTER: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Waits until the journal has taken nothing for a long time; gives what then to say. Cancel-safe.
pub async fn for_long(journal: &Journal) -> Problem {
    let mut since = None;
    loop {
        match journal.stats().parked {
            None => since = None,
            Some(why) if since.get_or_insert_with(Instant::now).elapsed() >= LET_GO_AFTER => {
                let seconds = LET_GO_AFTER.as_secs();
                let message =
                    format!("intake has waited for {seconds} s, so the server is left alone meanwhile: {why}");
                return Problem::new(code::INTAKE_WAITS, message);
            }
            Some(_) => {}
        }
        sleep(LOOK_AGAIN).await;
    }
}
