//! Messages into transactions: the open one, its chunk under way, and the relations that rows refer to.
//!
//! The hot path: no await and no allocation for a row. It never asks anybody; what it cannot know (a relation) it hands
//! back. Surprise: `Relation` messages come again after every change of a table, also in the middle of a transaction.

use super::copy::Watch;
use super::encode::{CellError, ChunkEncoder, TablePlan};
use super::fault::Fault;
use crate::decode::postgres::message::{Cell, Message, Old, Relation, Tuple};
use crate::decode::postgres::types::TypeNames;
use crate::journal::{CHUNK_BYTES_MAX, MovedRow, READ_AGAIN_MAX};
use crate::model::checkpoint::PostgresFingerprint;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::position::Lsn;
use crate::model::problem::Problem;
use crate::model::schema::SchemaId;
use crate::model::time::UnixMicros;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub struct Assembly {
    /// What committed before it is journaled already.
    journaled: Lsn,
    relations: HashMap<u32, Captured>,
    stopped: HashSet<TableName>,
    /// Until a row comes.
    described: Option<u32>,
    types: TypeNames,
    open: Option<Open>,
    chunk: ChunkEncoder,
    /// Of a copy that is read beside the stream.
    watch: Option<Watch>,
}

/// What a relation's rows are to us.
pub enum Captured {
    As(Box<Table>),
    /// In the publication, but not configured.
    No,
}

pub struct Table {
    plan: TablePlan,
    /// The transaction that last noted its schema.
    noted_by: Option<Lsn>,
    /// Its rows are passed over until another copy of it begins.
    stopped: bool,
}

struct Open {
    commit_lsn: Lsn,
    commit_time: UnixMicros,
    xid: u32,
    /// Of the next change.
    ordinal: u64,
    schemas: BTreeSet<SchemaId>,
    /// See [`MovedRow`]: the new keys, each table's.
    moved: BTreeMap<TableName, BTreeSet<Vec<String>>>,
}

/// A transaction that is to be journaled.
#[derive(Debug, PartialEq, Eq)]
pub struct Completed {
    pub fingerprint: PostgresFingerprint,
    pub end_lsn: Lsn,
    pub changes: u64,
    pub schemas: Vec<SchemaId>,
    pub moved: Vec<MovedRow>,
}

/// What a message asks of the stream.
pub enum Step<'a> {
    Taken,
    /// A transaction begins that is not journaled yet.
    Begin {
        commit_lsn: Lsn,
        xid: u32,
    },
    /// To be described before its rows come.
    Relation(Relation<'a>),
    /// The last chunk, then the transaction.
    Commit(Completed),
    /// A transaction ended here that holds nothing to journal.
    Nothing(Lsn),
}

impl Assembly {
    pub fn new(journaled: Lsn) -> Self {
        Self {
            journaled,
            relations: HashMap::new(),
            stopped: HashSet::new(),
            described: None,
            types: TypeNames::default(),
            open: None,
            chunk: ChunkEncoder::default(),
            watch: None,
        }
    }

    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    pub fn types(&self) -> &TypeNames {
        &self.types
    }

    /// Whether the chunk is to be taken before a message of this many bytes. Encoded rows may be larger than their text,
    /// never by more than is allowed for here.
    pub fn is_full_for(&self, message_bytes: usize) -> bool {
        let after = self.chunk.len() + 2 * message_bytes + 1024;
        after > CHUNK_BYTES_MAX && !self.chunk.is_empty()
    }

    /// The chunk under way, unless it is empty.
    pub fn take_chunk(&mut self) -> Option<Bytes> {
        (!self.chunk.is_empty()).then(|| self.chunk.take())
    }

    /// The schema of a relation as the journal knows it; `None`: its rows are passed over.
    pub fn relation(&mut self, id: u32, plan: Option<TablePlan>) {
        let table = |plan: TablePlan| {
            let stopped = self.stopped.contains(&plan.schema.name);
            Captured::As(Box::new(Table { plan, noted_by: None, stopped }))
        };
        let captured = plan.map_or(Captured::No, table);
        self.relations.insert(id, captured);
        self.described = Some(id);
    }

    /// The relation that was described last, if no row has come since.
    pub fn described_last(&self) -> Option<u32> {
        self.described
    }

    /// A copy of the table begins here: what was passed over is in it.
    pub fn resume(&mut self, name: &TableName) {
        if !self.stopped.remove(name) {
            return;
        }
        for captured in self.relations.values_mut() {
            if let Captured::As(table) = captured
                && table.plan.schema.name == *name
            {
                table.stopped = false;
            }
        }
    }

    /// From here on, in the place of the watch before.
    pub fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    fn rewrites(&self, relation: u32) {
        if let Some(watch) = &self.watch {
            watch.saw(relation);
        }
    }

    /// # Errors
    /// [`Fault::Message`] and [`Fault::Protocol`] for what cannot be, [`Fault::Table`] for a value that is not its type's: its
    /// table's rows are passed over from there on.
    pub fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Fault> {
        match self.take_message(bytes) {
            Err(Fault::Cell(error)) => Err(self.stop(bytes, error)),
            taken => taken,
        }
    }

    #[cold]
    fn stop(&mut self, bytes: &[u8], error: CellError) -> Fault {
        let (relation, row) = match Message::parse(bytes) {
            Ok(Message::Insert { relation, new } | Message::Update { relation, new, .. }) => (relation, new),
            Ok(Message::Delete { relation, old: Old::Key(row) | Old::Full(row) }) => (relation, row),
            _ => return Fault::Cell(error),
        };
        let Some(Captured::As(table)) = self.relations.get_mut(&relation) else { return Fault::Cell(error) };
        let text = |cell| if let Cell::Text(text) = cell { Some(text) } else { None };
        let error = CellError { row: table.plan.named(row.cells().map(text)), ..error };
        let name = table.plan.schema.name.clone();
        table.stopped = true;
        self.stopped.insert(name.clone());
        Fault::Table(name, Problem::new(code::CELL_UNREADABLE, error.to_string()))
    }

    fn take_message<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Fault> {
        match Message::parse(bytes)? {
            Message::Insert { relation, new } => {
                self.change(relation, |chunk, plan, ordinal| Ok(chunk.insert(plan, ordinal, new)?))?;
            }
            Message::Update { relation, old, new } => {
                self.rewrites(relation);
                self.change(relation, |chunk, plan, ordinal| Ok(chunk.update(plan, ordinal, old, new)?))?;
                if let Old::Key(_) = old {
                    self.moved(relation, old, new)?;
                }
            }
            Message::Delete { relation, old } => {
                self.rewrites(relation);
                self.change(relation, |chunk, plan, ordinal| Ok(chunk.delete(plan, ordinal, old)?))?;
            }
            Message::Truncate { relations, cascade, restart_identity } => {
                for relation in relations {
                    self.rewrites(relation);
                    self.change(relation, |chunk, plan, ordinal| {
                        chunk.truncate(plan, ordinal, cascade, restart_identity);
                        Ok(())
                    })?;
                }
            }
            Message::Begin { commit_lsn, commit_time, xid } => {
                self.begin(commit_lsn, commit_time, xid)?;
                return Ok(if commit_lsn < self.journaled { Step::Taken } else { Step::Begin { commit_lsn, xid } });
            }
            Message::Commit { end_lsn, commit_lsn, .. } => return self.commit(commit_lsn, end_lsn),
            Message::Relation(relation) => return Ok(Step::Relation(relation)),
            Message::Type { oid, schema, name } => self.types.learn(oid, schema, name),
            Message::Origin { .. } | Message::Logical => {}
        }
        Ok(Step::Taken)
    }

    fn begin(&mut self, commit_lsn: Lsn, commit_time: UnixMicros, xid: u32) -> Result<(), Fault> {
        if self.open.is_some() {
            return Err(Fault::Protocol("BEGIN inside a transaction"));
        }
        self.open =
            Some(Open { commit_lsn, commit_time, xid, ordinal: 0, schemas: BTreeSet::new(), moved: BTreeMap::new() });
        Ok(())
    }

    fn change(
        &mut self,
        relation: u32,
        encode: impl FnOnce(&mut ChunkEncoder, &TablePlan, u64) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let open = self.open.as_mut().ok_or(Fault::Protocol("a row outside a transaction"))?;
        self.described = None;
        let captured =
            self.relations.get_mut(&relation).ok_or(Fault::Protocol("a row of a relation never described"))?;
        let Captured::As(table) = captured else { return Ok(()) };
        // The server sends again what it was not told to be durable.
        if open.commit_lsn < self.journaled || table.stopped {
            return Ok(());
        }
        encode(&mut self.chunk, &table.plan, open.ordinal)?;
        open.ordinal += 1;
        if table.noted_by != Some(open.commit_lsn) {
            table.noted_by = Some(open.commit_lsn);
            open.schemas.insert(table.plan.schema.id);
        }
        Ok(())
    }

    /// Notes a row that moved while some of its columns stayed.
    #[cold]
    fn moved(&mut self, relation: u32, old: Old<'_>, new: Tuple<'_>) -> Result<(), Fault> {
        let (Some(open), Some(Captured::As(table))) = (self.open.as_mut(), self.relations.get(&relation)) else {
            return Ok(());
        };
        let Some(key) = table.plan.moved_key(old, new) else { return Ok(()) };
        let text =
            |value: &[u8]| String::from_utf8(value.to_vec()).map_err(|_| Fault::Protocol("a key that is not text"));
        let key = key.into_iter().map(text).collect::<Result<_, _>>()?;
        let keys = open.moved.entry(table.plan.schema.name.clone()).or_default();
        if keys.len() <= READ_AGAIN_MAX {
            keys.insert(key);
        }
        Ok(())
    }

    fn commit(&mut self, commit_lsn: Lsn, end_lsn: Lsn) -> Result<Step<'static>, Fault> {
        let open = self.open.take().ok_or(Fault::Protocol("COMMIT outside a transaction"))?;
        if open.commit_lsn != commit_lsn || end_lsn <= commit_lsn {
            return Err(Fault::Protocol("COMMIT of another transaction than BEGIN's"));
        }
        if commit_lsn < self.journaled {
            tracing::debug!(%commit_lsn, "passed over a transaction that is journaled already");
        }
        if open.ordinal == 0 {
            return Ok(Step::Nothing(end_lsn));
        }
        let moved = open
            .moved
            .into_iter()
            .flat_map(|(table, keys)| keys.into_iter().map(move |key| MovedRow { table: table.clone(), key }));
        Ok(Step::Commit(Completed {
            fingerprint: PostgresFingerprint { xid: open.xid, commit_lsn, commit_time: open.commit_time },
            end_lsn,
            changes: open.ordinal,
            schemas: open.schemas.into_iter().collect(),
            moved: moved.collect(),
        }))
    }
}
