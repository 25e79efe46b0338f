//! Where the copier meets the stream: it asks the stream to stop at a place, and journals there what it read.
//!
//! ```text
//!  copier: Hold(claim) ─► stream goes on until the claim is met, stops, answers
//!          Describe, Chunk …, Commit ─► the journal, in the place where the stream stands
//!          Release, or another Hold ─► stream goes on
//! ```
//! The stream owns the way into the journal, so all of a source's transactions have one order. It never waits for the
//! copier but at a place that the copier asked for, and keepalives are answered meanwhile by `feedback`.

use super::beside::Watch;
use super::snapshot::Snapshot;
use crate::journal::CopyProgress;
use crate::model::position::Lsn;
use crate::model::schema::{SchemaId, TableSchema, TableShape};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What the copier asks of the stream, in order.
pub enum Request {
    Hold(Claim),
    /// The rest only while held.
    Describe(TableShape, oneshot::Sender<Arc<TableSchema>>),
    /// A serialised `tailwater.v1.Changes`.
    Chunk(Bytes),
    /// In the place of the one before.
    Watch(Watch),
    /// Answered once everything that was committed so far is durable. Not between a chunk and its commit.
    Settle(oneshot::Sender<()>),
    /// Completes a step of the copy with the chunks before it.
    Commit {
        progress: CopyProgress,
        schema: SchemaId,
        changes: u64,
    },
    Release,
}

/// A place to stop at.
pub struct Claim {
    pub place: Place,
    pub held: oneshot::Sender<Held>,
}

/// Where to stop.
#[derive(Debug, Clone)]
pub enum Place {
    /// Between the next two transactions, whichever they are.
    Here,
    /// Where the snapshot belongs. Everything that it sees committed before `log_end`: a commit record is written before its
    /// transaction becomes visible.
    Of { snapshot: Snapshot, log_end: Lsn },
    /// Behind what commits before this LSN, before what commits from there on; the stream has not passed it.
    Before(Lsn),
}

/// The stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Everything that the snapshot sees is journaled, and nothing else.
    Exactly,
    /// Before a transaction that the snapshot does not see though others that it sees may come behind it: they committed at
    /// the same moment.
    BeforeUnseen,
    /// Behind a transaction that the snapshot does not see: rows read under it would be older than the journal.
    TooLate,
}

/// Where the stream stands when it looks at a claim.
#[derive(Debug, Clone, Copy)]
pub enum Standing {
    /// Between two transactions; everything before this LSN has come.
    Between(Lsn),
    /// At the begin of a transaction, of which nothing is journaled yet.
    Begin { commit_lsn: Lsn, xid: u32 },
}

impl Place {
    /// How it is met where the stream stands, if it is.
    fn met(&self, standing: Standing) -> Option<Held> {
        let reached = |lsn| match standing {
            Standing::Between(here) => here >= lsn,
            Standing::Begin { commit_lsn, .. } => commit_lsn >= lsn,
        };
        match (self, standing) {
            (Self::Here, _) => Some(Held::Exactly),
            (Self::Before(lsn), _) => reached(*lsn).then_some(Held::Exactly),
            (Self::Of { log_end, .. }, _) if reached(*log_end) => Some(Held::Exactly),
            (Self::Of { .. }, Standing::Between(_)) => None,
            (Self::Of { snapshot, .. }, Standing::Begin { xid, .. }) => {
                (!snapshot.sees(xid)).then_some(Held::BeforeUnseen)
            }
        }
    }
}

/// The stream's end of the gate.
pub struct Gate {
    requests: mpsc::Receiver<Request>,
    claim: Option<Claim>,
    /// The claim came when something that it must come before had passed already.
    late: bool,
    /// The newest transactions that the stream went on into.
    passed: VecDeque<u32>,
}

/// The copier's end.
#[derive(Clone)]
pub struct Knocker(mpsc::Sender<Request>);

/// The stream is gone.
#[derive(Debug)]
pub struct Gone;

/// As many chunks wait between the copier and the journal at most.
const REQUESTS_MAX: usize = 2;
/// A transaction is in the stream before it is visible: between the two lies the end of its commit, longer where it waits
/// for a standby. So many that come after it can be told apart from it; four bytes each.
const PASSED_MAX: usize = 1 << 18;

pub fn gate() -> (Gate, Knocker) {
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    (Gate { requests, claim: None, late: false, passed: VecDeque::new() }, Knocker(sender))
}

impl Gate {
    /// The next request; `None` when the copier is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Request> {
        self.requests.recv().await
    }

    pub fn claim(&mut self, claim: Claim) {
        // What passes from now on is looked at when it begins.
        self.late = match &claim.place {
            Place::Of { snapshot, .. } => self.passed.iter().any(|xid| !snapshot.sees(*xid)),
            Place::Here | Place::Before(_) => false,
        };
        self.claim = Some(claim);
    }

    /// Nobody waits any more.
    pub fn disclaim(&mut self) {
        self.claim = None;
    }

    /// Answers the claim if it is met here and somebody still waits; then the stream has to stand still.
    pub fn meet(&mut self, standing: Standing) -> bool {
        let Some(claim) = &self.claim else { return false };
        let met = if self.late { Some(Held::TooLate) } else { claim.place.met(standing) };
        let Some(held) = met else { return false };
        self.claim.take().is_some_and(|claim| claim.held.send(held).is_ok())
    }

    /// The stream goes on from where it stood.
    pub fn pass(&mut self, standing: Standing) {
        let Standing::Begin { xid, .. } = standing else { return };
        if self.passed.len() == PASSED_MAX {
            self.passed.pop_front();
        }
        self.passed.push_back(xid);
    }
}

impl Knocker {
    /// Waits until the stream stands at the place.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn hold(&self, place: Place) -> Result<Held, Gone> {
        let (held, stands) = oneshot::channel();
        self.send(Request::Hold(Claim { place, held })).await?;
        stands.await.map_err(|_| Gone)
    }

    /// # Errors
    /// [`Gone`].
    pub async fn describe(&self, shape: TableShape) -> Result<Arc<TableSchema>, Gone> {
        let (described, schema) = oneshot::channel();
        self.send(Request::Describe(shape, described)).await?;
        schema.await.map_err(|_| Gone)
    }

    /// Waits until everything that was committed so far is durable.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn settle(&self) -> Result<(), Gone> {
        let (done, settled) = oneshot::channel();
        self.send(Request::Settle(done)).await?;
        settled.await.map_err(|_| Gone)
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
    fn a_place_is_met_where_the_stream_has_brought_what_the_snapshot_sees_and_not_before() {
        let snapshot = "100:105:102".parse().expect("a snapshot");
        let place = Place::Of { snapshot, log_end: Lsn(500) };
        let begin = |commit_lsn, xid| Standing::Begin { commit_lsn: Lsn(commit_lsn), xid };
        let met = |standing| place.met(standing);
        assert_eq!(met(Standing::Between(Lsn(499))), None);
        assert_eq!(met(Standing::Between(Lsn(500))), Some(Held::Exactly));
        assert_eq!(met(begin(400, 101)), None);
        assert_eq!(met(begin(400, 102)), Some(Held::BeforeUnseen));
        assert_eq!(met(begin(400, 105)), Some(Held::BeforeUnseen));
        assert_eq!(met(begin(500, 102)), Some(Held::Exactly));
        let met = |standing| Place::Before(Lsn(500)).met(standing);
        assert_eq!((met(begin(499, 7)), met(Standing::Between(Lsn(499)))), (None, None));
        assert_eq!((met(begin(500, 7)), met(Standing::Between(Lsn(500)))), (Some(Held::Exactly), Some(Held::Exactly)));
        assert_eq!(Place::Here.met(begin(1, 7)), Some(Held::Exactly));
    }

    #[tokio::test]
    async fn a_snapshot_that_does_not_see_what_the_stream_has_passed_is_too_late() {
        let (mut gate, _) = gate();
        gate.pass(Standing::Begin { commit_lsn: Lsn(400), xid: 105 });
        let (held, stands) = oneshot::channel();
        let place = Place::Of { snapshot: "100:105:102".parse().expect("a snapshot"), log_end: Lsn(500) };
        gate.claim(Claim { place, held });
        assert!(gate.meet(Standing::Between(Lsn(410))));
        assert_eq!(stands.await, Ok(Held::TooLate));
    }
}
