//! Where the copier meets the stream: it asks the stream to stop at a place, and journals there what it read.
//!
//! The stream owns the way into the journal, so all of a source's transactions have one order. It never waits for the
//! copier but at a place that the copier asked for.

use super::window::{Changed, Opening, Window};
use crate::journal::CopyProgress;
use crate::model::gtid::{Gtid, GtidSet};
use crate::model::name::TableName;
use crate::model::position::LogPlace;
use crate::model::schema::{SchemaId, TableSchema, TableShape};
use crate::source::mysql::settled::Listed;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What the copier asks of the stream, in order.
pub enum Request {
    Watch(Opening),
    Hold(Claim),
    /// The rest only while held.
    Describe(TableShape, oneshot::Sender<Arc<TableSchema>>),
    /// A serialised `tailwater.v1.Changes`.
    Chunk(Bytes),
    /// Completes a step of the copy with the chunks before it.
    Commit {
        progress: CopyProgress,
        schema: SchemaId,
        changes: u64,
        /// Of a `Begin` on MariaDB: as of before the snapshot.
        listed: Option<Listed>,
    },
    Release,
}

/// What is known of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It saw of the table what is before its place in the log, all of that, and nothing else.
    AtPlace,
    /// The same, and nobody can write to the table until the copier is done.
    Locked,
    /// It saw nothing behind its place. The stream has kept what changed since before it was taken.
    Watched,
}

/// How far the stream has come.
#[derive(Debug, Clone, Copy)]
pub struct Whereabouts<'a> {
    /// Where the last transaction ended, or the stream began.
    pub committed: &'a LogPlace,
    /// Where the last event ended.
    pub end: &'a LogPlace,
}

impl Whereabouts<'_> {
    fn has_reached(&self, place: &LogPlace) -> bool {
        self.end.order().max(self.committed.order()) >= place.order()
    }

    /// Whether nothing has come that is behind the place, where all before it has.
    fn is_exactly(&self, place: &LogPlace) -> bool {
        self.committed.order() <= place.order()
    }
}

/// A place to stop at.
pub struct Claim {
    place: LogPlace,
    taken: Taken,
    /// The stream has looked at it before, and was not there yet.
    seen: bool,
    held: oneshot::Sender<Held>,
}

/// The stream stands.
#[derive(Debug)]
pub enum Held {
    /// Where the rows that the snapshot saw are those of the table, but for these.
    Exactly(Changed),
    /// Transactions of the table may be journaled that the snapshot does not see.
    Beyond,
}

impl Claim {
    /// Whether the stream is where it has to stop.
    fn is_met(&mut self, stream: Whereabouts<'_>) -> bool {
        let is_met = stream.has_reached(&self.place);
        self.seen |= !is_met;
        is_met
    }

    /// What is to be said where it is met.
    fn answer(&self, stream: Whereabouts<'_>, window: Option<Window>) -> Held {
        let none = || Some(Changed::default());
        let changed = match self.taken {
            Taken::Locked => none(),
            Taken::Watched => window.and_then(Window::close),
            // Come on the way, in the order of the log.
            Taken::AtPlace if self.seen || stream.is_exactly(&self.place) => none(),
            Taken::AtPlace => None,
        };
        changed.map_or(Held::Beyond, Held::Exactly)
    }
}

/// The stream's end of the gate.
pub struct Gate {
    requests: mpsc::Receiver<Request>,
    claim: Option<Claim>,
    opening: Option<Opening>,
    window: Option<Window>,
}

/// The copier's end.
#[derive(Clone)]
pub struct Knocker(mpsc::Sender<Request>);

/// The stream is gone.
#[derive(Debug)]
pub struct Gone;

/// As many chunks wait between the copier and the journal at most.
const REQUESTS_MAX: usize = 2;

pub fn gate() -> (Gate, Knocker) {
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    (Gate { requests, claim: None, opening: None, window: None }, Knocker(sender))
}

impl Gate {
    /// The next request; `None` when the copier is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Request> {
        self.requests.recv().await
    }

    pub fn claim(&mut self, claim: Claim) {
        self.claim = Some(claim);
    }

    /// Nobody waits any more.
    pub fn disclaim(&mut self) {
        (self.claim, self.opening, self.window) = (None, None, None);
    }

    /// Answers the claim if it is met where the stream is and somebody still waits; then the stream has to stand still.
    pub fn meet(&mut self, stream: Whereabouts<'_>) -> bool {
        let Some(mut claim) = self.claim.take() else { return false };
        if !claim.is_met(stream) {
            self.claim = Some(claim);
            return false;
        }
        let held = claim.answer(stream, self.window.take());
        claim.held.send(held).is_ok()
    }

    /// A window is to be opened as soon as the stream is between two transactions.
    pub fn open(&mut self, opening: Opening) {
        self.opening = Some(opening);
    }

    /// Opens the window that is asked for, between two transactions; gives its table.
    pub fn open_window(&mut self, executed: &GtidSet) -> Option<TableName> {
        let Opening { table, visible, opened } = self.opening.take()?;
        self.window = Some(Window::new(table.clone(), visible));
        // Whoever asked may have given up meanwhile, and says so.
        let _ = opened.send(executed.clone());
        Some(table)
    }

    /// Where one is open.
    pub fn window(&mut self) -> Option<&mut Window> {
        self.window.as_mut()
    }

    /// A transaction ended of which nothing, or nobody knows what, counts.
    pub fn undone(&mut self, gtid: &Gtid) {
        if let Some(window) = self.window.as_mut().filter(|window| window.has_of(gtid)) {
            window.spoil();
        }
    }

    /// Something came of the table that cannot be told row by row.
    pub fn spoil(&mut self, table: &TableName) {
        if let Some(window) = self.window.as_mut().filter(|window| window.is_on(table)) {
            window.spoil();
        }
    }
}

impl Knocker {
    /// Waits until the stream stands at the place.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn hold(&self, place: LogPlace, taken: Taken) -> Result<Held, Gone> {
        let (held, stands) = oneshot::channel();
        self.send(Request::Hold(Claim { place, taken, seen: false, held })).await?;
        stands.await.map_err(|_| Gone)
    }

    /// Has the stream keep what changes of the table from here on, but for what is `visible`; gives what it has taken before.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn watch(&self, table: TableName, visible: GtidSet) -> Result<GtidSet, Gone> {
        let (opened, is_open) = oneshot::channel();
        self.send(Request::Watch(Opening { table, visible, opened })).await?;
        is_open.await.map_err(|_| Gone)
    }

    /// # Errors
    /// [`Gone`].
    pub async fn describe(&self, shape: TableShape) -> Result<Arc<TableSchema>, Gone> {
        let (described, schema) = oneshot::channel();
        self.send(Request::Describe(shape, described)).await?;
        schema.await.map_err(|_| Gone)
    }

    /// # Errors
    /// [`Gone`].
    pub async fn send(&self, request: Request) -> Result<(), Gone> {
        self.0.send(request).await.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_log_is_met_between_the_transactions_around_it() {
        let place = |text: &str| text.parse::<LogPlace>().expect("a place");
        let claim = |taken| Claim { place: place("b.000002:500"), taken, seen: false, held: oneshot::channel().0 };
        for (committed, end, met) in [
            ("b.000002:400", "b.000002:400", None),
            ("b.000002:500", "b.000002:500", Some(true)),
            ("b.000002:500", "b.000003:4", Some(true)),
            ("b.000001:900", "b.000002:500", Some(true)),
            ("b.000002:600", "b.000002:600", Some(false)),
            ("b.000002:500", "", Some(true)),
        ] {
            let end = if end.is_empty() { LogPlace::default() } else { place(end) };
            let committed = place(committed);
            let stream = Whereabouts { committed: &committed, end: &end };
            let answer = |taken| {
                let mut claim = claim(taken);
                claim.is_met(stream).then(|| matches!(claim.answer(stream, None), Held::Exactly(_)))
            };
            assert_eq!(answer(Taken::AtPlace), met, "{committed} {end}");
            assert_eq!(answer(Taken::Locked), met.map(|_| true), "{committed} {end}");
            // Without its window nothing is known.
            assert_eq!(answer(Taken::Watched), met.map(|_| false), "{committed} {end}");
        }
    }
}
