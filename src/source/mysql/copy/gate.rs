//! Where the copier meets the stream: it asks the stream to stop at a place, and journals there what it read.
//!
//! The stream owns the way into the journal, so all of a source's transactions have one order. It never waits for the
//! copier but at a place that the copier asked for.

use crate::journal::CopyProgress;
use crate::model::gtid::GtidSet;
use crate::model::position::LogPlace;
use crate::model::schema::{SchemaId, TableSchema, TableShape};
use crate::source::mysql::settled::Listed;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What the copier asks of the stream, in order.
pub enum Request {
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

/// What a snapshot of the table saw committed, of the transactions that concern it: all of that, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// MySQL's snapshot is known by its ids.
    Ids(GtidSet),
    /// MariaDB's by where the log ended. Its numbers may fall, so they tell nothing.
    Log(LogPlace),
}

/// How far the stream has come.
#[derive(Debug, Clone, Copy)]
pub struct Whereabouts<'a> {
    pub executed: &'a GtidSet,
    /// Where the last transaction ended, or the stream began.
    pub committed: &'a LogPlace,
    /// Where the last event ended.
    pub end: &'a LogPlace,
}

impl Whereabouts<'_> {
    fn covers(&self, place: &Place) -> bool {
        match place {
            Place::Ids(ids) => self.executed.covers(ids),
            Place::Log(place) => self.end.order().max(self.committed.order()) >= place.order(),
        }
    }

    /// Whether nothing has come that is behind the place, where all before it has.
    fn is_exactly(&self, place: &Place) -> bool {
        match place {
            Place::Ids(ids) => self.executed == ids,
            Place::Log(place) => self.committed.order() <= place.order(),
        }
    }
}

/// A place to stop at.
pub struct Claim {
    place: Place,
    /// Whether the stream stood still while the snapshot was taken.
    stood: bool,
    /// The stream has looked at it before, and was not there yet.
    seen: bool,
    held: oneshot::Sender<Held>,
}

/// The stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// In the snapshot's place.
    Exactly,
    /// It was beyond that already: transactions of the table may be journaled that the snapshot does not see.
    Beyond,
}

impl Claim {
    /// How it is met where the stream stands, if it is.
    fn met(&mut self, stream: Whereabouts<'_>) -> Option<Held> {
        if !stream.covers(&self.place) {
            self.seen = true;
            return None;
        }
        // Come on the way, in the order of the log. MySQL's set may lack what was logged and not yet visible, of other
        // tables only, since the table was locked.
        let exact = self.seen || self.stood || stream.is_exactly(&self.place);
        Some(if exact { Held::Exactly } else { Held::Beyond })
    }
}

/// The stream's end of the gate.
pub struct Gate {
    requests: mpsc::Receiver<Request>,
    claim: Option<Claim>,
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
    (Gate { requests, claim: None }, Knocker(sender))
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
        self.claim = None;
    }

    /// Answers the claim if it is met where the stream is and somebody still waits; then the stream has to stand still.
    pub fn meet(&mut self, stream: Whereabouts<'_>) -> bool {
        let met = self.claim.as_mut().and_then(|claim| claim.met(stream));
        let Some(held) = met else { return false };
        self.claim.take().is_some_and(|claim| claim.held.send(held).is_ok())
    }
}

impl Knocker {
    /// Waits until the stream stands at the place.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn hold(&self, place: Place, stood: bool) -> Result<Held, Gone> {
        let (held, stands) = oneshot::channel();
        self.send(Request::Hold(Claim { place, stood, seen: false, held })).await?;
        stands.await.map_err(|_| Gone)
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

    fn set(text: &str) -> GtidSet {
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        GtidSet::Mysql(text.replace('A', uuid).parse().expect("a set"))
    }

    #[test]
    fn a_place_is_met_on_the_way_and_not_by_a_stream_that_was_beyond_it() {
        let claim = |stood| Claim { place: Place::Ids(set("A:1-5")), stood, seen: false, held: oneshot::channel().0 };
        let nowhere = LogPlace::default();
        let met = |claim: &mut Claim, executed: &str| {
            claim.met(Whereabouts { executed: &set(executed), committed: &nowhere, end: &nowhere })
        };
        assert_eq!(met(&mut claim(false), "A:1-5"), Some(Held::Exactly));
        assert_eq!(met(&mut claim(false), "A:1-6"), Some(Held::Beyond));
        assert_eq!(met(&mut claim(true), "A:1-6"), Some(Held::Exactly));
        let mut claim = claim(false);
        assert_eq!(met(&mut claim, "A:1-3"), None);
        // 6 was logged before 5, and visible only after the snapshot.
        assert_eq!(met(&mut claim, "A:1-6"), Some(Held::Exactly));
    }

    #[test]
    fn a_place_in_the_log_is_met_between_the_transactions_around_it() {
        let place = |text: &str| text.parse::<LogPlace>().expect("a place");
        let executed = GtidSet::Mariadb("0-1-5".parse().expect("a position"));
        let claimed = || Place::Log(place("b.000002:500"));
        let claim = || Claim { place: claimed(), stood: false, seen: false, held: oneshot::channel().0 };
        for (committed, end, met) in [
            ("b.000002:400", "b.000002:400", None),
            ("b.000002:500", "b.000002:500", Some(Held::Exactly)),
            ("b.000002:500", "b.000003:4", Some(Held::Exactly)),
            ("b.000001:900", "b.000002:500", Some(Held::Exactly)),
            ("b.000002:600", "b.000002:600", Some(Held::Beyond)),
            ("b.000002:500", "", Some(Held::Exactly)),
        ] {
            let end = if end.is_empty() { LogPlace::default() } else { place(end) };
            let stream = Whereabouts { executed: &executed, committed: &place(committed), end: &end };
            assert_eq!(claim().met(stream), met, "{committed} {end}");
        }
    }
}
