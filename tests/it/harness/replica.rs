//! A subscriber's copy of the tables, with the cursor that belongs to it, and the protocol's promises as checks.
//!
//! What came since Begin is applied at Commit together with the cursor, as a real subscriber would do in one database
//! transaction. Everything that the API rules out is an error here: an insert of a key that is there, an update of a row that
//! is not, a schema used before it was sent, a sequence or a commit position that goes back. Surprise: a transaction that was
//! delivered before is skipped only after it proved to be the same one.

use super::schema::{Row, Schema};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tailwater::wire::api::v1::{self, Op, frame, position};

pub type Key = Vec<Option<String>>;

#[derive(Default)]
pub struct Replica {
    /// By `system.schema.table`.
    pub tables: BTreeMap<String, Table>,
    /// Everything up to here is in `tables`.
    pub cursor: Option<String>,
    pub applied: Vec<Transaction>,
    /// Transactions that came once more.
    pub redelivered: u64,
    /// The server said that it cannot go on from where this replica is.
    pub gone: Option<v1::ResumePointGone>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    pub sequence: u64,
    pub system: String,
    pub commit_lsn: u64,
    /// The source's id of it.
    pub id: String,
    /// Keys inserted into the ledger, in order.
    pub ledger: Vec<String>,
}

#[derive(PartialEq, Eq, Debug)]
pub enum Table {
    /// Rows by key.
    Keyed(BTreeMap<Key, Row>),
    /// How often each row is there: a table without identity, or whose identity is the whole row.
    Bag(BTreeMap<Row, usize>),
}

/// The name of the table that holds one row for each transaction of the load.
pub const LEDGER: &str = "ledger";

impl Replica {
    pub fn last_sequence(&self) -> u64 {
        self.applied.last().map_or(0, |transaction| transaction.sequence)
    }

    /// Ledger keys in the order in which their transactions came, each with its transaction's id.
    pub fn ledger(&self) -> impl Iterator<Item = (&str, &str)> {
        self.applied
            .iter()
            .flat_map(|transaction| transaction.ledger.iter().map(|key| (transaction.id.as_str(), key.as_str())))
    }

    fn delivered(&self, sequence: u64) -> Option<&Transaction> {
        let at = self.applied.binary_search_by_key(&sequence, |transaction| transaction.sequence).ok()?;
        self.applied.get(at)
    }

    /// Takes a whole transaction in, once.
    fn commit(&mut self, open: Open, cursor: String) -> Result<(), String> {
        let transaction = open.transaction;
        self.cursor = Some(cursor);
        if transaction.sequence <= self.last_sequence() {
            self.redelivered += 1;
            return match self.delivered(transaction.sequence) {
                Some(before) if *before == transaction => Ok(()),
                before => Err(format!("{transaction:?} came before as {before:?}")),
            };
        }
        let last = self.applied.iter().rev().find(|last| last.system == transaction.system);
        if let Some(last) = last.filter(|last| last.commit_lsn >= transaction.commit_lsn) {
            return Err(format!("not in commit order: {transaction:?} after {last:?}"));
        }
        for (schema, change) in &open.changes {
            self.apply(schema, change).map_err(|error| format!("{error}, in {transaction:?}"))?;
        }
        self.applied.push(transaction);
        Ok(())
    }

    fn apply(&mut self, schema: &Schema, change: &v1::Change) -> Result<(), String> {
        let table = self.tables.entry(schema.table.clone()).or_insert_with(|| Table::for_schema(schema));
        table.apply(schema, change).map_err(|error| format!("{}, change {}: {error}", schema.table, change.ordinal))
    }
}

impl Table {
    fn for_schema(schema: &Schema) -> Self {
        if schema.key.is_empty() || schema.is_full() {
            Self::Bag(BTreeMap::new())
        } else {
            Self::Keyed(BTreeMap::new())
        }
    }

    fn apply(&mut self, schema: &Schema, change: &v1::Change) -> Result<(), String> {
        let row = |bytes: &Option<prost::bytes::Bytes>| bytes.as_ref().map(|bytes| schema.row(bytes)).transpose();
        let (before, after) = (row(&change.before)?, row(&change.after)?);
        match (change.op(), before, after) {
            (Op::Insert, None, Some(after)) => self.insert(schema, after),
            (Op::Update, before, Some(after)) => {
                let old = self.remove(schema, before.as_ref().unwrap_or(&after))?;
                self.insert(schema, with_unchanged(after, &old, &change.unchanged)?)
            }
            (Op::Delete, Some(before), None) => self.remove(schema, &before).map(drop),
            (Op::Truncate, None, None) => {
                *self = Self::for_schema(schema);
                Ok(())
            }
            (op, before, after) => Err(format!("{op:?} with before {before:?} and after {after:?}")),
        }
    }

    fn insert(&mut self, schema: &Schema, row: Row) -> Result<(), String> {
        match self {
            Self::Keyed(rows) => match rows.insert(schema.key_of(&row), row) {
                None => Ok(()),
                Some(there) => Err(format!("inserts a key that is there: {:?}", schema.key_of(&there))),
            },
            Self::Bag(rows) => {
                *rows.entry(row).or_default() += 1;
                Ok(())
            }
        }
    }

    /// `image`: what is known of the row, at least its identity.
    fn remove(&mut self, schema: &Schema, image: &Row) -> Result<Row, String> {
        match self {
            Self::Keyed(rows) => {
                let key = schema.key_of(image);
                rows.remove(&key).ok_or_else(|| format!("changes a row that is not there: {key:?}"))
            }
            Self::Bag(rows) => {
                let count = rows.get_mut(image).ok_or_else(|| format!("changes a row that is not there: {image:?}"))?;
                *count -= 1;
                if *count == 0 {
                    rows.remove(image);
                }
                Ok(image.clone())
            }
        }
    }
}

/// Puts back what the source left out because the update did not touch it.
fn with_unchanged(mut after: Row, old: &Row, unchanged: &[u32]) -> Result<Row, String> {
    for number in unchanged {
        let Some(kept) = old.get(number) else {
            return Err(format!("field {number} is said to be unchanged but was null"));
        };
        if after.insert(*number, kept.clone()).is_some() {
            return Err(format!("field {number} is said to be unchanged and has a value"));
        }
    }
    Ok(after)
}

/// One connection's view: schemas live as long as their stream, and so does a transaction that has begun.
#[derive(Default)]
pub struct Stream {
    schemas: HashMap<u32, Arc<Schema>>,
    open: Option<Open>,
    last_sequence: u64,
}

struct Open {
    transaction: Transaction,
    changes: Vec<(Arc<Schema>, v1::Change)>,
}

impl Stream {
    /// # Errors
    /// Which promise the server broke.
    pub fn take(&mut self, replica: &mut Replica, frame: v1::Frame) -> Result<(), String> {
        match frame.frame.ok_or("an empty frame")? {
            frame::Frame::Schema(schema) => {
                let known = self.schemas.insert(schema.id, Arc::new(Schema::new(&schema)?));
                known.map_or(Ok(()), |_| Err(format!("schema {} was sent twice", schema.id)))
            }
            frame::Frame::Begin(begin) => self.begin(begin),
            frame::Frame::Changes(changes) => self.changes(changes),
            frame::Frame::Commit(commit) => {
                let open = self.open.take().ok_or("a Commit without a Begin")?;
                replica.commit(open, commit.cursor)
            }
            frame::Frame::Heartbeat(heartbeat) => {
                replica.cursor = Some(heartbeat.cursor);
                holds_outside(self.open.is_none(), "a Heartbeat")
            }
            frame::Frame::ResumePointGone(gone) => {
                replica.gone = Some(gone);
                holds_outside(self.open.is_none(), "ResumePointGone")
            }
        }
    }

    fn begin(&mut self, begin: v1::Begin) -> Result<(), String> {
        holds_outside(self.open.is_none(), "a second Begin")?;
        if begin.sequence <= self.last_sequence {
            return Err(format!("sequence {} after {}", begin.sequence, self.last_sequence));
        }
        self.last_sequence = begin.sequence;
        let Some(position::Position::Postgres(place)) = begin.position.and_then(|position| position.position) else {
            return Err(format!("transaction {} has no position", begin.sequence));
        };
        let transaction = Transaction {
            sequence: begin.sequence,
            system: begin.system,
            commit_lsn: place.commit_lsn,
            id: begin.transaction,
            ledger: Vec::new(),
        };
        self.open = Some(Open { transaction, changes: Vec::new() });
        Ok(())
    }

    fn changes(&mut self, changes: v1::Changes) -> Result<(), String> {
        let open = self.open.as_mut().ok_or("Changes without a Begin")?;
        for change in changes.changes {
            let schema = self
                .schemas
                .get(&change.schema_id)
                .ok_or_else(|| format!("schema {} was not sent", change.schema_id))?;
            if let Some((_, last)) = open.changes.last().filter(|(_, last)| last.ordinal >= change.ordinal) {
                return Err(format!("ordinal {} after {}", change.ordinal, last.ordinal));
            }
            if schema.table.ends_with(LEDGER) && change.op() == Op::Insert {
                let row = schema.row(change.after.as_deref().unwrap_or_default())?;
                open.transaction.ledger.extend(schema.key_of(&row).into_iter().flatten());
            }
            open.changes.push((Arc::clone(schema), change));
        }
        Ok(())
    }
}

fn holds_outside(outside: bool, what: &str) -> Result<(), String> {
    if outside { Ok(()) } else { Err(format!("{what} inside a transaction")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(sequence: u64, commit_lsn: u64) -> v1::Frame {
        let place = position::Position::Postgres(v1::PostgresPosition { commit_lsn });
        let position = Some(v1::Position { position: Some(place) });
        let begin = v1::Begin {
            sequence,
            system: "erp".into(),
            position,
            transaction: format!("x{sequence}"),
            ..Default::default()
        };
        v1::Frame { frame: Some(frame::Frame::Begin(begin)) }
    }

    fn commit(cursor: &str) -> v1::Frame {
        v1::Frame { frame: Some(frame::Frame::Commit(v1::Commit { cursor: cursor.into() })) }
    }

    fn take(replica: &mut Replica, frames: impl IntoIterator<Item = v1::Frame>) -> Result<(), String> {
        let mut stream = Stream::default();
        frames.into_iter().try_for_each(|frame| stream.take(replica, frame))
    }

    #[test]
    fn a_transaction_counts_at_its_commit_and_only_once() {
        let mut replica = Replica::default();
        take(&mut replica, [begin(3, 10)]).unwrap();
        assert_eq!((replica.cursor.clone(), replica.last_sequence()), (None, 0), "nothing before the commit");
        take(&mut replica, [begin(3, 10), commit("c3")]).unwrap();
        take(&mut replica, [begin(3, 10), commit("c3"), begin(5, 11), commit("c5")]).unwrap();
        assert_eq!((replica.applied.len(), replica.redelivered), (2, 1));
    }

    #[test]
    fn broken_promises_are_seen() {
        for (broken, frames) in [
            ("not in commit order", vec![begin(1, 10), commit("a"), begin(2, 9), commit("b")]),
            ("came before as", vec![begin(1, 10), commit("a"), begin(2, 11), commit("b")]),
            ("sequence 1 after 2", vec![begin(2, 10), commit("a"), begin(1, 11)]),
            ("inside a transaction", vec![begin(1, 10), begin(2, 11)]),
            ("without a Begin", vec![commit("a")]),
        ] {
            let mut replica = Replica::default();
            if broken == "came before as" {
                take(&mut replica, [begin(2, 99), commit("z")]).unwrap();
            }
            let error = take(&mut replica, frames).expect_err(broken);
            assert!(error.contains(broken), "{error}");
        }
    }
}
