//! A subscriber's copy of the tables, with the cursor that belongs to it, and the protocol's promises as checks.
//!
//! What came since Begin is applied at Commit together with the cursor, as a real subscriber would do in one database
//! transaction. Everything that the API rules out is an error here: an insert of a key that is there, an update of a row that
//! is not, a schema used before it was sent, a sequence or a commit position that goes back. Surprise: a transaction that was
//! delivered before is skipped only after it proved to be the same one.
//!
//! While a copy of a table runs, and before the first one of tables that held rows already ([`Replica::of_filled_tables`]),
//! changes may be of rows that are not here yet, and rows of the copy may be newer than their place. From its end on
//! everything is strict again.

use super::schema::{Row, Schema};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    /// Copies that ended, each with its table and the rows that it read.
    pub copies: Vec<(String, u64)>,
    copying: BTreeSet<String>,
    /// Rows are here only after a copy.
    filled: bool,
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
    /// Of tables that may hold rows from before anything was captured: they are whole from their first copy's end on.
    pub fn of_filled_tables() -> Self {
        Self { filled: true, ..Self::default() }
    }

    /// Whether everything that this table holds must be here.
    fn is_whole(&self, table: &str) -> bool {
        !self.copying.contains(table) && (!self.filled || self.copies.iter().any(|(copied, _)| copied == table))
    }

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
        if let Some(last) = last.filter(|last| !last.may_come_before(&transaction)) {
            return Err(format!("not in commit order: {transaction:?} after {last:?}"));
        }
        match open.snapshot {
            Some(Snapshot::Begin { table }) => self.begin_copy(table),
            Some(Snapshot::End { table, rows }) => self.end_copy(table, rows)?,
            None => {}
        }
        for (schema, change) in &open.changes {
            self.apply(schema, change).map_err(|error| format!("{error}, in {transaction:?}"))?;
        }
        self.applied.push(transaction);
        Ok(())
    }

    /// Of a table without key rows cannot be told apart, so it starts anew.
    fn begin_copy(&mut self, table: String) {
        if let Some(Table::Bag(rows)) = self.tables.get_mut(&table) {
            rows.clear();
        }
        self.copying.insert(table);
    }

    fn end_copy(&mut self, table: String, rows: u64) -> Result<(), String> {
        if !self.copying.remove(&table) {
            return Err(format!("a SnapshotEnd of {table} without its SnapshotBegin"));
        }
        self.copies.push((table, rows));
        Ok(())
    }

    fn apply(&mut self, schema: &Schema, change: &v1::Change) -> Result<(), String> {
        if change.op() == Op::Read && !self.copying.contains(&schema.table) {
            return Err(format!("{}, change {}: a row of a copy that does not run", schema.table, change.ordinal));
        }
        let known = if self.is_whole(&schema.table) { Known::All } else { Known::Some };
        let table = self.tables.entry(schema.table.clone()).or_insert_with(|| Table::for_schema(schema));
        table
            .apply(schema, change, known)
            .map_err(|error| format!("{}, change {}: {error}", schema.table, change.ordinal))
    }
}

impl Transaction {
    /// A step of a copy, which has no id, stands where the transaction before it ends, and the next may begin right there.
    fn may_come_before(&self, next: &Self) -> bool {
        let is_step = self.id.is_empty() || next.id.is_empty();
        self.commit_lsn < next.commit_lsn || is_step && self.commit_lsn == next.commit_lsn
    }
}

/// Which of a table's rows are here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    All,
    Some,
}

impl Table {
    fn for_schema(schema: &Schema) -> Self {
        if schema.key.is_empty() || schema.is_full() {
            Self::Bag(BTreeMap::new())
        } else {
            Self::Keyed(BTreeMap::new())
        }
    }

    fn apply(&mut self, schema: &Schema, change: &v1::Change, known: Known) -> Result<(), String> {
        let row = |bytes: &Option<prost::bytes::Bytes>| bytes.as_ref().map(|bytes| schema.row(bytes)).transpose();
        let (before, after) = (row(&change.before)?, row(&change.after)?);
        match (change.op(), before, after) {
            (Op::Insert, None, Some(after)) if known == Known::All => self.insert(schema, after),
            (Op::Insert | Op::Read, None, Some(after)) => {
                self.put(schema, after);
                Ok(())
            }
            (Op::Update, before, Some(after)) if known == Known::Some => {
                self.update_if_known(schema, before.as_ref(), after, &change.unchanged)
            }
            (Op::Delete, Some(before), None) if known == Known::Some => {
                // What is not here needs no removal.
                let _ = self.remove(schema, &before);
                Ok(())
            }
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
        match self.put(schema, row) {
            None => Ok(()),
            Some(there) => Err(format!("inserts a key that is there: {:?}", schema.key_of(&there))),
        }
    }

    /// Gives the row that had the key before.
    fn put(&mut self, schema: &Schema, row: Row) -> Option<Row> {
        match self {
            Self::Keyed(rows) => rows.insert(schema.key_of(&row), row),
            Self::Bag(rows) => {
                *rows.entry(row).or_default() += 1;
                None
            }
        }
    }

    /// A row that is not here and does not come whole is left to the copy.
    fn update_if_known(
        &mut self,
        schema: &Schema,
        before: Option<&Row>,
        after: Row,
        unchanged: &[u32],
    ) -> Result<(), String> {
        let old = self.remove(schema, before.unwrap_or(&after));
        // The copy may have brought the row under its new key already.
        let old = old.or_else(|_| self.remove(schema, &after));
        match old {
            Ok(old) => drop(self.put(schema, with_unchanged(after, &old, unchanged)?)),
            Err(_) if unchanged.is_empty() => drop(self.put(schema, after)),
            Err(_) => {}
        }
        Ok(())
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
    snapshot: Option<Snapshot>,
}

enum Snapshot {
    Begin { table: String },
    End { table: String, rows: u64 },
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
            frame::Frame::SnapshotBegin(begin) => {
                self.snapshot(Snapshot::Begin { table: format!("{}.{}.{}", begin.system, begin.schema, begin.table) })
            }
            frame::Frame::SnapshotEnd(end) => {
                let table = format!("{}.{}.{}", end.system, end.schema, end.table);
                self.snapshot(Snapshot::End { table, rows: end.rows })
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
        let commit_lsn = match begin.position.and_then(|position| position.position) {
            Some(position::Position::Postgres(place)) => place.commit_lsn,
            Some(position::Position::Mysql(place) | position::Position::Mariadb(place)) => binlog_order(&place),
            None => return Err(format!("transaction {} has no position", begin.sequence)),
        };
        let transaction = Transaction {
            sequence: begin.sequence,
            system: begin.system,
            commit_lsn,
            id: begin.transaction,
            ledger: Vec::new(),
        };
        self.open = Some(Open { transaction, changes: Vec::new(), snapshot: None });
        Ok(())
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), String> {
        let open = self.open.as_mut().ok_or("a copy's begin or end without a Begin")?;
        if !open.changes.is_empty() || open.snapshot.replace(snapshot).is_some() {
            return Err("a copy's begin or end that is not alone in its transaction".into());
        }
        Ok(())
    }

    fn changes(&mut self, changes: v1::Changes) -> Result<(), String> {
        let open = self.open.as_mut().ok_or("Changes without a Begin")?;
        if open.snapshot.is_some() {
            return Err("changes beside a copy's begin or end".into());
        }
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

/// The file's number, then the offset: grows with each transaction of one server.
fn binlog_order(place: &v1::BinlogPosition) -> u64 {
    let number = place.file.rsplit_once('.').and_then(|(_, number)| number.parse::<u64>().ok());
    number.unwrap_or(0) << 40 | place.offset
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

    /// As [`begin`], of a step of a copy.
    fn step(sequence: u64, lsn: u64) -> v1::Frame {
        let mut begin = begin(sequence, lsn);
        if let Some(frame::Frame::Begin(begin)) = &mut begin.frame {
            begin.transaction.clear();
        }
        begin
    }

    fn snapshot_begin() -> v1::Frame {
        let begin = v1::SnapshotBegin { system: "erp".into(), schema: "public".into(), table: "t".into(), copy: 1 };
        v1::Frame { frame: Some(frame::Frame::SnapshotBegin(begin)) }
    }

    fn snapshot_end() -> v1::Frame {
        let end =
            v1::SnapshotEnd { system: "erp".into(), schema: "public".into(), table: "t".into(), copy: 1, rows: 5 };
        v1::Frame { frame: Some(frame::Frame::SnapshotEnd(end)) }
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
    fn a_copy_makes_a_table_whole_and_its_steps_stand_between_transactions() {
        let mut replica = Replica::of_filled_tables();
        assert!(!replica.is_whole("erp.public.t"));
        let frames = [begin(1, 10), commit("a"), step(2, 12), snapshot_begin(), commit("b")];
        take(&mut replica, frames).unwrap();
        assert!(!replica.is_whole("erp.public.t"));
        let frames = [step(3, 12), snapshot_end(), commit("c"), begin(4, 12), commit("d")];
        take(&mut replica, frames).unwrap();
        assert!(replica.is_whole("erp.public.t") && replica.copies == [("erp.public.t".to_owned(), 5)]);
    }

    #[test]
    fn broken_promises_are_seen() {
        for (broken, frames) in [
            ("without its SnapshotBegin", vec![step(1, 10), snapshot_end(), commit("a")]),
            ("not alone", vec![step(1, 10), snapshot_begin(), snapshot_end()]),
            ("without a Begin", vec![snapshot_begin()]),
            ("not in commit order", vec![step(1, 10), snapshot_begin(), commit("a"), begin(2, 9), commit("b")]),
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
