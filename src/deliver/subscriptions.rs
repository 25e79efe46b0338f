//! The live streams, and the durable subscriptions that outlive them.
//!
//! A durable subscription is a name bound to the subject that created it, with how far it acknowledged; the journal keeps
//! that. Here lives only what a restart may forget: which streams are open and how far each has looked. Surprise: a
//! takeover does not wait for the old stream. It is fenced at once, and told so when it is next read from.

use super::cursor::Cursor;
use super::refusal::{Kind, Refusal};
use super::resume::{From, Resume, Start};
use super::subject::Subject;
use crate::journal::{Journal, SubscriptionRecord};
use crate::model::code;
use crate::model::position::Sequence;
use crate::wire::api::v1;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

const NAME_BYTES_MAX: usize = 128;
const DURABLE_PER_SUBJECT_MAX: usize = 1024;

const METRIC_LIVE: &str = "tailwater_subscriptions_live";
const METRIC_LAG: &str = "tailwater_subscriber_lag_transactions";
/// The label value that all subscriptions without a name share.
const EPHEMERAL: &str = "ephemeral";

/// Of one server.
pub struct Subscriptions {
    journal: Journal,
    resume: Resume,
    live_max: usize,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    last_id: u64,
    streams: HashMap<u64, Stream>,
}

struct Stream {
    name: Option<Name>,
    subject: Arc<str>,
    progress: Arc<AtomicU64>,
    taken_over: CancellationToken,
}

/// A durable subscription's name: 1 to 128 of `[A-Za-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name(Arc<str>);

impl Name {
    /// # Errors
    /// What a name may be.
    pub fn new(name: &str) -> Result<Self, Refusal> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
            let message = format!("subscription: 1 to {NAME_BYTES_MAX} letters, digits, dots, underscores and hyphens");
            return Err(Refusal::new(Kind::Invalid, code::REQUEST_INVALID, message));
        }
        Ok(Self(name.into()))
    }
}

/// What a durable subscription does when what it acknowledged last is no longer held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// It is told, every time.
    Refused,
    /// It goes on from elsewhere, because somebody who knows said so.
    Accepted,
}

impl Subscriptions {
    pub fn new(journal: Journal, live_max: usize) -> Self {
        Self { resume: Resume::of(&journal), journal, live_max, live: Mutex::default() }
    }

    /// Takes a place among the live streams, and with a name that subscription's only one.
    ///
    /// # Errors
    /// The name is another subject's or has a live stream; there are too many streams.
    pub fn claim(self: &Arc<Self>, subject: &Subject, name: Option<&Name>, takeover: bool) -> Result<Claim, Refusal> {
        let mut live = self.live();
        if let Some(name) = name {
            self.check_owner(subject, name)?;
            live.make_way(subject, name, takeover)?;
        }
        if live.streams.len() >= self.live_max {
            let message = format!("{} subscriptions are live already", self.live_max);
            return Err(Refusal::new(Kind::Exhausted, code::SUBSCRIPTIONS_EXHAUSTED, message));
        }
        live.last_id += 1;
        let id = live.last_id;
        let stream = Stream {
            name: name.cloned(),
            subject: subject.name.clone(),
            progress: Arc::new(AtomicU64::new(self.journal.bounds().durable.0)),
            taken_over: CancellationToken::new(),
        };
        let (progress, taken_over) = (stream.progress.clone(), stream.taken_over.clone());
        live.streams.insert(id, stream);
        Ok(Claim { subscriptions: self.clone(), id, progress, taken_over })
    }

    /// Where the stream of a claim starts. A new durable subscription is recorded, with its start, before this returns.
    ///
    /// # Errors
    /// The cursor is not one of ours; the subject owns too many; the journal is stopped.
    pub async fn start(&self, subject: &Subject, name: Option<&Name>, from: From, gap: Gap) -> Result<Start, Refusal> {
        let Some(name) = name else { return self.resume.start(&from).await };
        if let Some(record) = self.journal.subscription(&name.0) {
            if gap == Gap::Refused
                && let Some(reason) = self.resume.is_of_elsewhere(&from).await?
            {
                return Ok(Start::Gone(reason));
            }
            let acknowledged = self.resume.checked(Cursor(record.acknowledged)).await?;
            if gap == Gap::Refused || matches!(acknowledged, Start::After(_)) {
                return Ok(acknowledged);
            }
        }
        let start = self.resume.start(&from).await?;
        if let Some(cursor) = start.cursor() {
            self.check_durable_count(subject)?;
            self.record(subject, name, cursor).await?;
        }
        Ok(start)
    }

    /// Moves a durable subscription on, never back; gives the place that then holds.
    ///
    /// # Errors
    /// It is not the subject's; the cursor is not ours, of another history or beyond what is durable; the journal is stopped.
    pub async fn acknowledge(&self, subject: &Subject, name: &Name, cursor: &str) -> Result<Cursor, Refusal> {
        let owned = self.journal.subscription(&name.0).is_some_and(|record| *record.subject == *subject.name);
        if !owned {
            return Err(not_found(Kind::NotFound, name));
        }
        let cursor = self.resume.acknowledged(cursor).await?;
        self.record(subject, name, cursor).await
    }

    /// Every live stream and every durable subscription.
    pub fn status(&self) -> Vec<v1::SubscriptionStatus> {
        let durable = self.journal.bounds().durable;
        let records = self.journal.subscriptions();
        let live = self.live();
        let mut all: Vec<_> = live.streams.values().map(|stream| stream.status(durable, &records)).collect();
        let idle = records.iter().filter(|record| live.named(&record.name).is_none());
        all.extend(idle.map(|record| v1::SubscriptionStatus {
            name: record.name.clone(),
            subject: record.subject.clone(),
            live: false,
            acknowledged_sequence: record.acknowledged.sequence.0,
            lag_transactions: durable.0.saturating_sub(record.acknowledged.sequence.0),
        }));
        all.sort_by(|a, b| (&a.name, &a.subject, a.lag_transactions).cmp(&(&b.name, &b.subject, b.lag_transactions)));
        all
    }

    /// Brings the gauges up to date; of the ephemeral ones the slowest counts.
    pub fn measure(&self) {
        let all = self.status();
        metrics::gauge!(METRIC_LIVE).set(all.iter().filter(|one| one.live).count() as f64);
        let ephemeral = all.iter().filter(|one| one.name.is_empty()).map(|one| one.lag_transactions).max();
        metrics::gauge!(METRIC_LAG, "subscription" => EPHEMERAL).set(ephemeral.unwrap_or(0) as f64);
        for one in all.into_iter().filter(|one| !one.name.is_empty()) {
            metrics::gauge!(METRIC_LAG, "subscription" => one.name).set(one.lag_transactions as f64);
        }
    }

    fn check_owner(&self, subject: &Subject, name: &Name) -> Result<(), Refusal> {
        match self.journal.subscription(&name.0) {
            Some(record) if *record.subject != *subject.name => Err(not_found(Kind::Forbidden, name)),
            _ => Ok(()),
        }
    }

    fn check_durable_count(&self, subject: &Subject) -> Result<(), Refusal> {
        let own = self.journal.subscriptions().iter().filter(|record| *record.subject == *subject.name).count();
        if own < DURABLE_PER_SUBJECT_MAX {
            return Ok(());
        }
        let message = format!("{} owns {own} durable subscriptions already", subject.name);
        Err(Refusal::new(Kind::Exhausted, code::SUBSCRIPTIONS_EXHAUSTED, message))
    }

    async fn record(&self, subject: &Subject, name: &Name, cursor: Cursor) -> Result<Cursor, Refusal> {
        let record =
            SubscriptionRecord { name: name.0.to_string(), subject: subject.name.to_string(), acknowledged: cursor.0 };
        match self.journal.acknowledge(record).await {
            Ok(held) => Ok(Cursor(held.acknowledged)),
            Err(error) => Err(Refusal::new(Kind::Unavailable, code::JOURNAL_UNAVAILABLE, error.to_string())),
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        // The map is whole after every statement, so a panic elsewhere does not make it wrong.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn named(&self, name: &str) -> Option<u64> {
        let of_name = |stream: &Stream| stream.name.as_ref().is_some_and(|own| *own.0 == *name);
        self.streams.iter().find(|(_, stream)| of_name(stream)).map(|(id, _)| *id)
    }

    /// Refuses a second live stream of the name, or ends the first.
    fn make_way(&mut self, subject: &Subject, name: &Name, takeover: bool) -> Result<(), Refusal> {
        let Some(id) = self.named(&name.0) else { return Ok(()) };
        let first = &self.streams[&id];
        if first.subject != subject.name {
            return Err(not_found(Kind::Forbidden, name));
        }
        if !takeover {
            let message = format!("subscription {} has a live stream", name.0);
            return Err(Refusal::new(Kind::Busy, code::SUBSCRIPTION_BUSY, message));
        }
        first.taken_over.cancel();
        self.streams.remove(&id);
        Ok(())
    }
}

impl Stream {
    fn status(&self, durable: Sequence, records: &[SubscriptionRecord]) -> v1::SubscriptionStatus {
        let name = self.name.as_ref().map_or("", |name| &name.0);
        let record = records.iter().find(|record| record.name == name);
        v1::SubscriptionStatus {
            name: name.to_owned(),
            subject: self.subject.to_string(),
            live: true,
            acknowledged_sequence: record.map_or(0, |record| record.acknowledged.sequence.0),
            lag_transactions: durable.0.saturating_sub(self.progress.load(Ordering::Relaxed)),
        }
    }
}

fn not_found(kind: Kind, name: &Name) -> Refusal {
    Refusal::new(kind, code::SUBSCRIPTION_NOT_FOUND, format!("subscription {} is not one of yours", name.0))
}

/// A live stream's place; given back when dropped.
pub struct Claim {
    subscriptions: Arc<Subscriptions>,
    id: u64,
    progress: Arc<AtomicU64>,
    taken_over: CancellationToken,
}

impl Claim {
    /// Everything up to here was looked at.
    pub fn looked_at(&self, sequence: Sequence) {
        self.progress.store(sequence.0, Ordering::Relaxed);
    }

    pub fn is_taken_over(&self) -> bool {
        self.taken_over.is_cancelled()
    }

    /// Returns once another stream took the subscription over. Cancel-safe.
    pub async fn taken_over(&self) {
        self.taken_over.cancelled().await;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.subscriptions.live().streams.remove(&self.id);
    }
}
