//! What changed of a table around the moment of a snapshot, so that the rows that it sees need not be those of its place.
//!
//! MySQL has no snapshot that tells its place in the log. So the stream keeps what changes of the table from before the snapshot
//! is taken until the stream stands behind all that it can see: a row that changed meanwhile is as it was left, any other row is
//! as the snapshot has it. Nobody is locked out for that, and no load keeps it from ending. Surprises: a transaction comes in
//! the log before others can see it, so what came last before the window has to be seen to be visible; and a row is known by the
//! bytes of its key, which the log and a query give alike.

use crate::model::gtid::{Gtid, GtidSet};
use crate::model::name::TableName;
use crate::model::schema::{SchemaId, TableSchema};
use crate::wire::api::v1::{Change, Changes, Op};
use crate::wire::fields::Fields;
use bytes::Bytes;
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A window lasts for some milliseconds of the log, so this much is more than a copy can wish to hold in memory.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The rows that changed: images of the version `schema`, by the bytes of their keys.
#[derive(Debug, Default)]
pub struct Changed {
    schema: Option<SchemaId>,
    rows: HashMap<Vec<u8>, Row>,
    /// Who changed them.
    transactions: Vec<Gtid>,
}

#[derive(Debug)]
struct Row {
    /// How it was left; `None`: it is gone.
    image: Option<Bytes>,
    /// A snapshot saw it.
    read: bool,
}

/// What a row that a snapshot saw is by now.
#[derive(Debug, PartialEq, Eq)]
pub enum Now {
    Same,
    Gone,
    Is(Bytes),
}

impl Changed {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the images are of this version of the table.
    pub fn is_of(&self, schema: &TableSchema) -> bool {
        self.schema.is_none_or(|known| known == schema.id)
    }

    /// Where a snapshot is known to have seen all of it, nothing has changed.
    pub fn seen(self, visible: &GtidSet) -> Self {
        if self.transactions.iter().all(|gtid| visible.contains(gtid)) { Self::default() } else { self }
    }

    pub fn now(&mut self, schema: &TableSchema, row: &[u8]) -> Now {
        if self.rows.is_empty() {
            return Now::Same;
        }
        let changed = key(schema, row).and_then(|key| self.rows.get_mut(&key));
        let Some(changed) = changed else { return Now::Same };
        changed.read = true;
        changed.image.clone().map_or(Now::Gone, Now::Is)
    }

    /// Rows that are there and that no snapshot saw.
    pub fn unread(&self) -> impl Iterator<Item = &Bytes> {
        self.rows.values().filter(|row| !row.read).filter_map(|row| row.image.as_ref())
    }

    /// `None`: what came cannot be told row by row.
    fn take(&mut self, gtid: &Gtid, schema: &TableSchema, change: &Change, only_known: bool) -> Option<usize> {
        if change.op() == Op::Truncate || !self.is_of(schema) {
            return None;
        }
        self.schema = Some(schema.id);
        if self.transactions.last() != Some(gtid) {
            self.transactions.push(gtid.clone());
        }
        let mut bytes = 0;
        let mut put = |row: &Bytes, image: Option<Bytes>| {
            let key = key(schema, row)?;
            if only_known && !self.rows.contains_key(&key) {
                return Some(());
            }
            bytes += key.len() + image.as_ref().map_or(0, Bytes::len);
            self.rows.insert(key, Row { image, read: false });
            Some(())
        };
        if let Some(before) = &change.before {
            put(before, None)?;
        }
        if let Some(after) = &change.after {
            // A part of a chunk would keep all of it.
            put(after, Some(Bytes::copy_from_slice(after)))?;
        }
        Some(bytes)
    }
}

/// The bytes of a row's key, or of all of it where the table has none.
fn key(schema: &TableSchema, row: &[u8]) -> Option<Vec<u8>> {
    let is_keyed = schema.columns.iter().any(|column| column.shape.key);
    let is_key = |number: u32| schema.columns.iter().any(|column| column.number == number && column.shape.key);
    let mut key = Vec::new();
    for field in Fields::of(row) {
        let field = field.ok()?;
        if !is_keyed || is_key(field.number) {
            key.extend_from_slice(field.span);
        }
    }
    Some(key)
}

/// Asked for by the copier, before it takes its snapshot.
pub struct Opening {
    pub table: TableName,
    /// These are visible already.
    pub visible: GtidSet,
    /// Told, once the window is open, what the stream has taken before it.
    pub opened: oneshot::Sender<GtidSet>,
}

/// The stream's part: it is told what comes.
pub struct Window {
    table: TableName,
    visible: GtidSet,
    changed: Changed,
    bytes: usize,
    spoilt: bool,
}

impl Window {
    pub fn new(table: TableName, visible: GtidSet) -> Self {
        Self { table, visible, changed: Changed::default(), bytes: 0, spoilt: false }
    }

    pub fn is_on(&self, table: &TableName) -> bool {
        self.table == *table
    }

    /// Whether chunks of this transaction, the newest, were taken.
    pub fn has_of(&self, gtid: &Gtid) -> bool {
        self.changed.transactions.last() == Some(gtid)
    }

    /// Something came of the table that cannot be told row by row.
    pub fn spoil(&mut self) {
        self.spoilt = true;
        self.changed = Changed::default();
    }

    /// A chunk of a transaction.
    pub fn take(&mut self, gtid: &Gtid, chunk: &Bytes, schema_of: impl Fn(SchemaId) -> Option<Arc<TableSchema>>) {
        // Of a transaction that every snapshot sees, only what came behind one that is perhaps not seen is of interest.
        let is_seen = self.visible.contains(gtid);
        if self.spoilt || is_seen && self.changed.is_empty() {
            return;
        }
        let Ok(changes) = Changes::decode(chunk.clone()) else { return self.spoil() };
        for change in &changes.changes {
            let schema = schema_of(SchemaId(change.schema_id)).filter(|schema| schema.name == self.table);
            let Some(schema) = schema else { continue };
            match self.changed.take(gtid, &schema, change, is_seen) {
                Some(bytes) => self.bytes += bytes,
                None => return self.spoil(),
            }
        }
        if self.bytes > BYTES_MAX {
            self.spoil();
        }
    }

    /// What changed; `None`: that is not known row by row.
    pub fn close(self) -> Option<Changed> {
        (!self.spoilt).then_some(self.changed)
    }
}
