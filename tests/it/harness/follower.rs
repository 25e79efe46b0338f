//! A subscriber that keeps following: connects, applies to its [`Replica`], and connects again whenever the connection ends.
//!
//! An ephemeral one resumes from the cursor that it keeps with its replica. A durable one leaves that to the server and
//! acknowledges now and then, so it is sent some transactions again after a crash.

use super::replica::{Replica, Stream};
use super::tailwater::{Door, said};
use super::{eventually, holds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tailwater::wire::api::v1::subscribe_request::From;
use tailwater::wire::api::v1::{AcknowledgeRequest, Boundary, SubscribeRequest, SubscribeResponse};
use tokio::task::JoinHandle;
use tonic::Streaming;

const RECONNECT_AFTER: Duration = Duration::from_millis(50);
/// Transactions between two acknowledgements.
const ACKNOWLEDGE_EVERY: usize = 20;

#[derive(Clone)]
pub enum Kind {
    /// Holds its cursor itself.
    Ephemeral,
    /// The server holds its cursor under this name.
    Durable(&'static str),
    /// Starts with the rows that the tables have, and holds its cursor itself from there on.
    State,
}

pub struct Follower {
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    replica: Replica,
    /// A promise that the server broke; the follower has ended.
    violation: Option<String>,
    /// Why the last connection ended or was refused.
    last_error: Option<String>,
    connections: u64,
}

impl Follower {
    /// Follows everything from the earliest transaction on.
    pub fn start(door: Door, kind: Kind) -> Self {
        Self::start_with(door, kind, Replica::default())
    }

    /// Follows on from what `replica` holds.
    pub fn start_with(door: Door, kind: Kind, replica: Replica) -> Self {
        let shared = Arc::new(Mutex::new(Shared { replica, ..Shared::default() }));
        let task = tokio::spawn(follow(door, kind, Arc::clone(&shared)));
        Self { shared, task }
    }

    /// A look at the replica now.
    ///
    /// # Panics
    /// When the server broke a promise.
    pub fn look<T>(&self, at: impl FnOnce(&Replica) -> T) -> T {
        let shared = lock(&self.shared);
        if let Some(violation) = &shared.violation {
            panic!("the server broke a promise: {violation}");
        }
        at(&shared.replica)
    }

    pub fn connections(&self) -> u64 {
        lock(&self.shared).connections
    }

    pub fn last_error(&self) -> Option<String> {
        lock(&self.shared).last_error.clone()
    }

    /// Waits until the transaction with this ledger key is applied.
    pub async fn reaches(&self, ledger: &str, within: Duration) {
        eventually("the follower has it all", within, async || {
            let found = self
                .look(|replica| replica.applied.iter().rev().any(|seen| seen.ledger.iter().any(|key| key == ledger)));
            let (last, error) = (self.look(Replica::last_sequence), self.last_error());
            holds(found, || format!("ledger {ledger} has not come; at sequence {last}; last error {error:?}"))
        })
        .await;
    }

    /// Ends it and gives its replica.
    pub async fn stop(self) -> Replica {
        self.look(|_| ());
        self.task.abort();
        let _ = self.task.await;
        std::mem::take(&mut lock(&self.shared).replica)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(door: Door, kind: Kind, shared: Arc<Mutex<Shared>>) {
    while lock(&shared).violation.is_none() && lock(&shared).replica.gone.is_none() {
        if let Err(error) = follow_once(&door, &kind, &shared).await {
            lock(&shared).last_error = Some(error);
        }
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}

/// One connection's life. An error is a lost or refused connection.
async fn follow_once(door: &Door, kind: &Kind, shared: &Mutex<Shared>) -> Result<(), String> {
    let mut client = door.subscriptions().await?;
    let request = request(kind, lock(shared).replica.cursor.clone());
    let mut stream = client.subscribe(door.request(request)).await.map_err(said)?.into_inner();
    lock(shared).connections += 1;
    let (mut view, mut acknowledged) = (Stream::default(), lock(shared).replica.applied.len());
    while let Some(response) = next(&mut stream).await? {
        let (applied, cursor) = {
            let mut shared = lock(shared);
            for frame in response.frames {
                if let Err(violation) = view.take(&mut shared.replica, frame) {
                    shared.violation = Some(violation);
                    return Ok(());
                }
            }
            (shared.replica.applied.len(), shared.replica.cursor.clone())
        };
        if let (Kind::Durable(name), Some(cursor)) = (kind, cursor)
            && applied >= acknowledged + ACKNOWLEDGE_EVERY
        {
            let request = AcknowledgeRequest { subscription: (*name).into(), cursor };
            client.acknowledge(door.request(request)).await.map_err(said)?;
            acknowledged = applied;
        }
    }
    Ok(())
}

async fn next(stream: &mut Streaming<SubscribeResponse>) -> Result<Option<SubscribeResponse>, String> {
    stream.message().await.map_err(said)
}

fn request(kind: &Kind, cursor: Option<String>) -> SubscribeRequest {
    let earliest = From::Boundary(Boundary::Earliest.into());
    let (subscription, from) = match (kind, cursor) {
        (Kind::Durable(name), _) => ((*name).to_owned(), earliest),
        (Kind::Ephemeral | Kind::State, Some(cursor)) => (String::new(), From::Cursor(cursor)),
        (Kind::Ephemeral, None) => (String::new(), earliest),
        (Kind::State, None) => (String::new(), From::Boundary(Boundary::State.into())),
    };
    // A connection that was cut may still count as live on the other side.
    let takeover = !subscription.is_empty();
    SubscribeRequest {
        tables: vec!["*".into()],
        entities: Vec::new(),
        from: Some(from),
        subscription,
        takeover,
        accept_gap: false,
    }
}
