//! Images: every row of a contract's tables as it was last heard of, and which roots a change of one is about.
//!
//! Only the columns that the contract speaks of are kept. Two indexes go with them: a joined table's rows by what they are
//! joined on, and roots by what they join each table on. Surprise: doing a change twice leaves the same images, so a
//! transaction may be done in parts, and again from its start after a crash; which roots were met is remembered with them.

use super::Fault;
use super::cell::only;
use super::memory::Memory;
use super::note::{Names, last_parts};
use super::plan::{Plan, Plans};
use super::record::Row;
use super::rule::Rule;
use crate::journal::Journal;
use crate::model::code;
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use crate::model::schema::SchemaId;
use crate::wire::api::v1::{Change, Op};
use crate::wire::row::merge;
use bytes::Bytes;
use prost::Message as _;
use std::sync::Arc;

/// Pages that one step of a sweep looks at.
const SWEEP_PAGES: usize = 20;

/// Where the images of an entity's tables are, and what they are read by.
pub struct Images<'a> {
    pub rule: &'a Rule,
    pub names: &'a Names,
    pub plans: &'a mut Plans,
    pub memory: &'a mut Memory,
    pub journal: &'a Journal,
}

/// A row that is kept, and the version of its table that it is written in.
pub struct Image {
    pub row: Vec<u8>,
    pub plan: Arc<Plan>,
}

impl Images<'_> {
    /// Does one change of a table. `whole`: every row of the table is here.
    pub fn apply(&mut self, table: u8, change: &Change, sequence: Sequence, whole: bool) -> Result<(), Fault> {
        match change.op() {
            Op::Insert | Op::Update | Op::Read => {
                let Some(after) = &change.after else { return Ok(()) };
                self.put(table, change, after, sequence, whole)
            }
            Op::Delete => {
                let Some(before) = &change.before else { return Ok(()) };
                let key = self.plan(table, change.schema_id)?.key(before)?;
                self.remove(table, &key)
            }
            Op::Truncate => self.clear(table),
            Op::Unspecified | Op::Created | Op::LeftScope => Ok(()),
        }
    }

    fn put(&mut self, table: u8, change: &Change, after: &Bytes, sequence: Sequence, whole: bool) -> Result<(), Fault> {
        let plan = self.plan(table, change.schema_id)?;
        let key = plan.key(after)?;
        let old_key = match &change.before {
            Some(before) => plan.key(before)?,
            None => key.clone(),
        };
        let unchanged: Vec<u32> =
            change.unchanged.iter().copied().filter(|number| plan.needed.contains(number)).collect();
        let mut row = after.clone();
        if !unchanged.is_empty() {
            let Some(old) = self.get(table, &old_key)? else {
                // Not copied yet: the copy comes by, or reads a row that moves again.
                let is_missing = whole && !self.is_asked_anew(table);
                return if is_missing { Err(unknown(&plan).into()) } else { self.remove(table, &old_key) };
            };
            row = merge(after, &unchanged, &old.row.into(), &[]).map_err(|malformed| plan.damaged(malformed))?.0;
        }
        if old_key != key {
            self.remove(table, &old_key)?;
        }
        self.unlink(table, &key)?;
        let row = only(&row, &plan.needed).map_err(|malformed| plan.damaged(malformed))?;
        self.link(table, &key, &Image { row: row.clone(), plan: Arc::clone(&plan) })?;
        let record = Row { sequence: sequence.0, schema: change.schema_id, row };
        self.memory.put(self.names.row(table, &key), record.encode_to_vec());
        Ok(())
    }

    /// Takes a row away, if it is here.
    fn remove(&mut self, table: u8, key: &[u8]) -> Result<(), Fault> {
        self.unlink(table, key)?;
        self.memory.delete(self.names.row(table, key));
        Ok(())
    }

    /// Takes the rows away that were last heard of before a transaction, some thousands of them; gives how far it has come.
    pub fn remove_older(&mut self, table: u8, than: u64, after: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Fault> {
        let prefix = self.names.rows(table);
        let mut after = after;
        for _ in 0..SWEEP_PAGES {
            let Some(page) = self.memory.page(&prefix, after.as_deref())? else { return Ok(None) };
            after = page.last().map(|(name, _)| name.clone());
            for (name, value) in page {
                let Some([key]) = last_parts::<1>(&name, &prefix) else { continue };
                if Row::decode(&value[..]).map_err(|_| unreadable())?.sequence < than {
                    self.remove(table, &key)?;
                }
            }
        }
        Ok(after)
    }

    /// All rows: a TRUNCATE.
    fn clear(&mut self, table: u8) -> Result<(), Fault> {
        let mut after = None;
        loop {
            after = self.remove_older(table, u64::MAX, after)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Rows that are not here may be in a copy that is asked for because the table is another one.
    fn is_asked_anew(&self, table: u8) -> bool {
        let (system, used) =
            (self.rule.system(self.rule.tables[usize::from(table)].source), &self.rule.tables[usize::from(table)]);
        let copies = self.journal.copies().into_iter();
        copies.filter(|copy| copy.anew).any(|copy| copy.system == *system && copy.table == used.table)
    }

    pub fn get(&mut self, table: u8, key: &[u8]) -> Result<Option<Image>, Fault> {
        let Some(value) = self.memory.get(&self.names.row(table, key))? else { return Ok(None) };
        let Row { schema, row, .. } = Row::decode(&value[..]).map_err(|_| unreadable())?;
        Ok(Some(Image { row, plan: self.plan(table, schema)? }))
    }

    fn plan(&mut self, table: u8, schema: u32) -> Result<Arc<Plan>, Problem> {
        let journal = self.journal;
        self.plans.get(self.rule, table, schema, || journal.schema(SchemaId(schema)))
    }

    /// The row's place in the indexes, and the roots that it is about.
    fn link(&mut self, table: u8, key: &[u8], image: &Image) -> Result<(), Fault> {
        for index in self.indexes(table, key, image)? {
            match index {
                Index::Parent(name) => self.memory.put(name, Vec::new()),
                Index::Child { name, on } => {
                    self.memory.put(name, Vec::new());
                    self.mark_parents(table, &on)?;
                }
            }
        }
        self.mark_root(table, key);
        Ok(())
    }

    /// The reverse, for the image that is here.
    fn unlink(&mut self, table: u8, key: &[u8]) -> Result<(), Fault> {
        let Some(image) = self.get(table, key)? else { return Ok(()) };
        for index in self.indexes(table, key, &image)? {
            match index {
                Index::Parent(name) => self.memory.delete(name),
                Index::Child { name, on } => {
                    self.memory.delete(name);
                    self.mark_parents(table, &on)?;
                }
            }
        }
        self.mark_root(table, key);
        Ok(())
    }

    fn indexes(&self, table: u8, key: &[u8], image: &Image) -> Result<Vec<Index>, Problem> {
        let used = &self.rule.tables[usize::from(table)];
        let Image { row, plan } = image;
        let Some((_, join)) = &used.join else {
            let mut parents = Vec::new();
            for (joined, _, join) in self.rule.joins(used.source) {
                let on = plan.joined_on(row, join.on.iter().map(|(_, root)| root.as_str()))?;
                parents.extend(on.map(|on| Index::Parent(self.names.parent(joined, &on, key))));
            }
            return Ok(parents);
        };
        if !plan.passes(row, join)? {
            return Ok(Vec::new());
        }
        let on = plan.joined_on(row, join.on.iter().map(|(own, _)| own.as_str()))?;
        Ok(on.map(|on| Index::Child { name: self.names.child(table, &on, key), on }).into_iter().collect())
    }

    fn mark_root(&mut self, table: u8, key: &[u8]) {
        let used = &self.rule.tables[usize::from(table)];
        if used.join.is_none() {
            self.memory.put(self.names.dirty(used.source, key), Vec::new());
        }
    }

    fn mark_parents(&mut self, table: u8, on: &[u8]) -> Result<(), Fault> {
        let source = self.rule.tables[usize::from(table)].source;
        let prefix = self.names.parents(table, on);
        for (name, _) in self.memory.list(&prefix)? {
            if let Some([root]) = last_parts::<1>(&name, &prefix) {
                self.memory.put(self.names.dirty(source, &root), Vec::new());
            }
        }
        Ok(())
    }
}

/// An entry of an index.
enum Index {
    /// Of a root, by what it joins a table on.
    Parent(Vec<u8>),
    /// Of a joined table's row.
    Child { name: Vec<u8>, on: Vec<u8> },
}

fn unknown(plan: &Plan) -> Problem {
    Problem::new(code::ENTITY_ROW_UNKNOWN, plan.schema.full_name())
}

pub fn unreadable() -> Problem {
    Problem::new(code::ENTITY_JOURNAL_UNREADABLE, "a note does not read")
}
