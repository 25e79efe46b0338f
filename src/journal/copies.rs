//! Copies of tables: which are wanted, and how far each has come. Only the writer thread changes them.

use super::queue::CopyRequest;
use crate::model::copy::{CopyPhase, CopyStep};
use crate::model::name::{SystemName, TableName};
use crate::model::position::Sequence;
use crate::model::schema::SchemaId;
use crate::model::time::UnixMicros;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Rows to be read again are kept up to so many; beyond, another copy follows.
pub const READ_AGAIN_MAX: usize = 10_000;

/// A table's newest copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyRecord {
    pub system: SystemName,
    pub table: TableName,
    /// From 1; the number that the wanted, running or last copy has.
    pub copy: u64,
    pub state: CopyState,
    /// While one runs: another is wanted after it.
    pub again: bool,
    /// The next `Begin` is to say that those who have the table need this copy, too.
    pub anew: bool,
    /// Why it is wanted, where rows may have changed without an event; empty where somebody asked for it.
    pub why: String,
    /// By which the source tells the table from another one of its name, as of the last `Begin`; empty where it does not.
    pub relation: String,
    /// Its `Begin`; [`Sequence::ZERO`] while it is only wanted.
    pub begin: Sequence,
    /// The key of the last row that was read, in key order, as the server's text. Empty: none yet, or no key.
    pub last_key: Vec<String>,
    /// In what order rows are read, in the source's own words, as of the last `Begin`: in another, `last_key` says nothing.
    pub key_order: String,
    /// Keys of [`MovedRow`]s, while it runs: to be read again before its `End`.
    pub to_read_again: BTreeSet<Vec<String>>,
    pub rows: u64,
    pub bytes: u64,
    /// How many rows the source thought the table had when the copy began.
    pub rows_estimate: u64,
    /// The table's version at `Begin`; `None` while it is only wanted.
    pub schema: Option<SchemaId>,
    /// Commit times of `Begin` and `End`; zero before.
    pub started: UnixMicros,
    pub finished: UnixMicros,
}

/// Numbers are the journal's record: append-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CopyState {
    Wanted = 1,
    Running = 2,
    Done = 3,
}

/// A row that got another key while some of its columns stayed, of which the source does not say what they hold. Whoever has
/// not got the row from a copy yet does not learn them, and the copy does not come by again if the new key lies behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedRow {
    pub table: TableName,
    /// The new key as the server's text, in the order of the table's columns.
    pub key: Vec<String>,
}

/// What one step of a copy brings its record to. `rows` and `bytes` are those of the whole copy so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyProgress {
    pub step: CopyStep,
    pub last_key: Vec<String>,
    /// What was read again in this step, of [`CopyRecord::to_read_again`].
    pub read_again: Vec<Vec<String>>,
    pub rows: u64,
    pub bytes: u64,
    pub rows_estimate: u64,
    pub schema: SchemaId,
    /// As [`CopyRecord::relation`].
    pub relation: String,
    /// Of a `Begin` that says who needs it: why another such copy is wanted all the same.
    pub again: Option<String>,
    /// As [`CopyRecord::key_order`].
    pub key_order: String,
}

impl CopyState {
    pub(super) fn from_number(number: u32) -> Option<Self> {
        [Self::Wanted, Self::Running, Self::Done].into_iter().find(|state| *state as u32 == number)
    }
}

impl CopyRecord {
    pub(super) fn wanted(system: SystemName, table: TableName, copy: u64) -> Self {
        Self {
            system,
            table,
            copy,
            state: CopyState::Wanted,
            again: false,
            anew: false,
            why: String::new(),
            relation: String::new(),
            begin: Sequence::ZERO,
            last_key: Vec::new(),
            key_order: String::new(),
            to_read_again: BTreeSet::new(),
            rows: 0,
            bytes: 0,
            rows_estimate: 0,
            schema: None,
            started: UnixMicros(0),
            finished: UnixMicros(0),
        }
    }

    /// Whether a copy that begins after `after` is on its way or done.
    fn serves(&self, after: Sequence) -> bool {
        match self.state {
            CopyState::Wanted => true,
            CopyState::Running => self.again || self.begin > after,
            CopyState::Done => self.begin > after,
        }
    }

    fn next(&self) -> Self {
        let next = Self::wanted(self.system.clone(), self.table.clone(), self.copy.saturating_add(1));
        let why = if self.anew { self.why.clone() } else { String::new() };
        Self { anew: self.anew, why, relation: self.relation.clone(), ..next }
    }

    /// After a copy was asked for that those need, too, who have the table.
    fn asked_anew(self) -> Self {
        let record = if self.state == CopyState::Done { self.next() } else { self };
        Self { anew: true, again: record.state == CopyState::Running, ..record }
    }

    /// After a step of a copy became transaction `sequence`.
    fn stepped(self, progress: CopyProgress, sequence: Sequence, time: UnixMicros) -> Self {
        let CopyProgress {
            step,
            last_key,
            read_again,
            rows,
            bytes,
            rows_estimate,
            schema,
            relation,
            again: why,
            key_order,
        } = progress;
        // Asked for while the Begin that does not say it was on its way.
        let anew = why.is_some() || self.anew && !(step.phase == CopyPhase::Begin && step.anew);
        let why = why.unwrap_or(self.why);
        let mut record = Self { copy: step.copy, last_key, rows, bytes, rows_estimate, anew, why, ..self };
        record.to_read_again.retain(|key| !read_again.contains(key));
        match step.phase {
            CopyPhase::Begin => Self {
                state: CopyState::Running,
                to_read_again: BTreeSet::new(),
                again: anew,
                begin: sequence,
                relation,
                key_order,
                schema: Some(schema),
                started: time,
                finished: UnixMicros(0),
                ..record
            },
            CopyPhase::Rows => record,
            CopyPhase::End if record.again => record.next(),
            CopyPhase::End => Self { state: CopyState::Done, to_read_again: BTreeSet::new(), finished: time, ..record },
        }
    }

    fn moved(self, key: Vec<String>) -> Self {
        let mut record = self;
        record.to_read_again.insert(key);
        if record.to_read_again.len() > READ_AGAIN_MAX {
            return Self { again: true, to_read_again: BTreeSet::new(), ..record };
        }
        record
    }
}

/// The newest copy of every table, as far as it is durable.
pub(super) struct Copies {
    records: Mutex<BTreeMap<(SystemName, TableName), CopyRecord>>,
    changed: watch::Sender<u64>,
}

impl Copies {
    pub(super) fn new(records: Vec<CopyRecord>) -> Self {
        let records = records.into_iter().map(|record| (key(&record), record)).collect();
        Self { records: Mutex::new(records), changed: watch::Sender::new(0) }
    }

    pub(super) fn all(&self) -> Vec<CopyRecord> {
        self.records().values().cloned().collect()
    }

    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Only the writer thread, after the sync.
    fn put(&self, records: impl IntoIterator<Item = CopyRecord>) {
        let mut known = self.records();
        known.extend(records.into_iter().map(|record| (key(&record), record)));
        drop(known);
        self.changed.send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    pub(super) fn get(&self, system: &SystemName, table: &TableName) -> Option<CopyRecord> {
        self.records().get(&(system.clone(), table.clone())).cloned()
    }

    /// The first that is it, in the order of the names. Nobody else gets at the copies meanwhile.
    pub(super) fn find(&self, is_it: impl FnMut(&&CopyRecord) -> bool) -> Option<CopyRecord> {
        self.records().values().find(is_it).cloned()
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<(SystemName, TableName), CopyRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(record: &CopyRecord) -> (SystemName, TableName) {
    (record.system.clone(), record.table.clone())
}

/// What one group does to the copies: visible to the rest of the group at once, to others once it is durable.
#[derive(Default)]
pub(super) struct CopyChanges {
    records: BTreeMap<(SystemName, TableName), CopyRecord>,
    requests: Vec<(CopyRecord, tokio::sync::oneshot::Sender<CopyRecord>)>,
}

impl CopyChanges {
    pub(super) fn step(
        &mut self,
        copies: &Copies,
        system: &SystemName,
        progress: CopyProgress,
        sequence: Sequence,
        time: UnixMicros,
    ) {
        let table = progress.step.table.clone();
        let known = self.known(copies, system, &table);
        let known = known.unwrap_or_else(|| CopyRecord::wanted(system.clone(), table, progress.step.copy));
        self.put(known.stepped(progress, sequence, time));
    }

    /// Rows moved in a transaction of the source: a copy that runs has to read them again.
    pub(super) fn moved(&mut self, copies: &Copies, system: &SystemName, rows: Vec<MovedRow>) {
        for MovedRow { table, key } in rows {
            let at = (system.clone(), table);
            let here = self.records.remove(&at);
            let is_here = here.is_some();
            match here.or_else(|| copies.get(&at.0, &at.1)) {
                Some(known) if known.state == CopyState::Running => self.put(known.moved(key)),
                // Taken out above, if it was there.
                Some(known) if is_here => self.put(known),
                _ => {}
            }
        }
    }

    /// Gives whether there is something to write.
    pub(super) fn request(&mut self, copies: &Copies, request: CopyRequest) -> bool {
        let CopyRequest { system, table, after, anew, done } = request;
        let known = self.known(copies, &system, &table);
        let (record, changed) = match known {
            Some(known) if anew => (known.asked_anew(), true),
            Some(known) if known.serves(after) => (known, false),
            Some(known) if known.state == CopyState::Running => (CopyRecord { again: true, ..known }, true),
            Some(known) => (known.next(), true),
            None => (CopyRecord::wanted(system, table, 1), true),
        };
        if changed {
            self.put(record.clone());
        }
        self.requests.push((record, done));
        changed
    }

    /// Rows may have changed without an event: everybody who has the table needs another copy, whether it was copied before
    /// or came through the stream alone.
    pub(super) fn copy_again(&mut self, copies: &Copies, system: &SystemName, table: &TableName, why: &str) {
        let known = self.known(copies, system, table);
        let known = known.unwrap_or_else(|| CopyRecord::wanted(system.clone(), table.clone(), 1));
        self.put(CopyRecord { why: why.to_owned(), ..known.asked_anew() });
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &CopyRecord> {
        self.records.values()
    }

    pub(super) fn publish(self, copies: &Copies) {
        if !self.records.is_empty() {
            copies.put(self.records.into_values());
        }
        for (record, done) in self.requests {
            // Whoever asked may have gone; it is wanted all the same.
            let _ = done.send(record);
        }
    }

    fn known(&self, copies: &Copies, system: &SystemName, table: &TableName) -> Option<CopyRecord> {
        let here = self.records.get(&(system.clone(), table.clone()));
        here.cloned().or_else(|| copies.get(system, table))
    }

    fn put(&mut self, record: CopyRecord) {
        self.records.insert(key(&record), record);
    }
}
