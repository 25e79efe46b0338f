//! How old the oldest transaction is that a target has not applied. Looked up in the journal now and then, whatever the target
//! does: also while it is down, or before its first connection.

use super::status::Reporter;
use crate::journal::Journal;
use crate::model::position::Sequence;
use crate::model::time::UnixMicros;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// It is there: a reader that waits longer waits for something else.
const READ_MAX: Duration = Duration::from_secs(1);

pub async fn watch(journal: Journal, reporter: Reporter, stop: CancellationToken) {
    let started = UnixMicros::now();
    let mut known: Option<(Sequence, UnixMicros)> = None;
    loop {
        let waits_since = match reporter.sequence() {
            applied if applied >= journal.bounds().durable => None,
            // Where it stands is for the target to say, which it has not yet.
            Sequence::ZERO => Some(started),
            applied => match known.filter(|(sequence, _)| *sequence == applied) {
                Some((_, since)) => Some(since),
                None => {
                    let since = next_commit(&journal, applied).await.unwrap_or(started);
                    known = Some((applied, since));
                    Some(since)
                }
            },
        };
        reporter.waits(waits_since);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// `None`: the journal has trimmed it, or cannot read it, which the target says itself.
async fn next_commit(journal: &Journal, applied: Sequence) -> Option<UnixMicros> {
    let mut reader = journal.reader(applied);
    Some(timeout(READ_MAX, reader.next()).await.ok()?.ok()?.commit_time)
}
