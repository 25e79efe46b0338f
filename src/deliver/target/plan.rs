//! From the journal's changes to what is to be done at the target, table by table, in order. Pure: knows no connection.
//!
//! A batch is any number of whole transactions, or a part of one that is larger than a batch may be. Tables do not depend on
//! each other, so each has its own list of steps. Surprise: a plan runs ahead of the target. When a batch fails, plan and batch
//! are thrown away and made anew from what the target has.

use super::fold::{Fold, Image, Stamp};
use super::names::Seen;
use super::shape::Shape;
use super::table::{Alteration, State, Table};
use crate::deliver::mask::mask;
use crate::deliver::view::View;
use crate::journal::Header;
use crate::model::code;
use crate::model::copy::CopyPhase;
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use crate::model::schema::{Identity, SchemaId};
use crate::wire::api::v1::{Change, Op};
use crate::wire::fields::Malformed;
use crate::wire::row::KeyPlan;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// What is done to one table, in this order.
#[derive(Debug)]
pub enum Step {
    Alter(Alteration),
    /// Rows of distinct keys.
    Net(Fold),
    /// One after the other.
    Single(Vec<Single>),
}

/// A change that is not folded.
#[derive(Debug, PartialEq, Eq)]
pub enum Single {
    /// A row of a table without key.
    Append(Image),
    /// A whole row, whatever is there under its key.
    Put(Image),
    /// The row with the key of `before` becomes this.
    Move { before: Bytes, image: Image },
    /// Of a table without key: one row that is exactly `before` becomes this.
    Replace { before: Bytes, image: Image },
    /// The row with the key of `before`; without a key one row that is exactly `before`.
    Delete { before: Bytes },
}

/// What is to be done to one table.
#[derive(Debug)]
pub struct TableBatch {
    /// As it is once the steps are done.
    pub table: Table,
    /// Its record in the target is another one before.
    pub changed: bool,
    /// Each with the shape that the table has then.
    pub steps: Vec<(Step, Arc<Shape>)>,
}

/// The tables of a target as they are once everything planned so far is done.
pub struct Plan {
    slots: Vec<Slot>,
    known: HashMap<SchemaId, Option<Known>>,
    /// Rows planned since the last batch was taken.
    changes: u64,
}

struct Slot {
    table: Table,
    shape: Arc<Shape>,
    changed: bool,
    steps: Vec<(Step, Arc<Shape>)>,
    /// Of the steps.
    bytes: usize,
    open: Fold,
}

/// A schema version of a table of ours.
struct Known {
    slot: usize,
    shape: Arc<Shape>,
    /// Why no table can have this shape.
    refused: Option<Problem>,
    key: KeyPlan,
    keyed: bool,
    whole_rows: bool,
    view: View,
}

impl Known {
    fn of(slot: usize, seen: Seen) -> Self {
        let Seen { schema, view, policy, .. } = seen;
        let (shape, refused) = match Shape::of(&schema) {
            Ok(shape) => (Shape { policy, ..shape }, None),
            Err(column) => {
                let message = format!("column {column:?} has a name that Tailwater keeps for its own");
                (Shape::default(), Some(Problem::new(code::TARGET_COLUMN_CLASH, message)))
            }
        };
        Self {
            slot,
            refused,
            key: KeyPlan::of(&schema),
            keyed: shape.is_keyed(),
            whole_rows: schema.identity == Identity::Full && !shape.is_keyed(),
            shape: Arc::new(shape),
            view,
        }
    }
}

impl Plan {
    pub fn new(tables: impl IntoIterator<Item = Table>) -> Self {
        let slots = tables.into_iter().map(Slot::new).collect();
        Self { slots, known: HashMap::new(), changes: 0 }
    }

    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.slots.iter().map(|slot| &slot.table)
    }

    /// Adds or changes a table's record between batches, once the target has it.
    pub fn put(&mut self, table: Table) {
        match self.slots.iter_mut().find(|slot| slot.table.source == table.source) {
            Some(slot) => *slot = Slot::new(table),
            None => self.slots.push(Slot::new(table)),
        }
        // A schema that was nobody's may be this table's.
        self.known.clear();
    }

    /// Memory that the batch takes, about.
    pub fn bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.bytes + slot.open.bytes()).sum()
    }

    /// Whether the transaction's body has to be read; takes in what its header alone says.
    pub fn begin(&mut self, header: &Header, seen: impl Fn(SchemaId) -> Option<Seen>) -> bool {
        for id in &header.schemas {
            if !self.known.contains_key(id) {
                let known = seen(*id).and_then(|seen| {
                    let slot = self.slots.iter().position(|slot| slot.table.source.is(&seen.schema))?;
                    if seen.is_outdated {
                        // The copy that follows brings what is made now.
                        return None;
                    }
                    if !seen.view.sees_anything() {
                        let copied = header.copy.as_ref().is_some_and(|step| step.phase == CopyPhase::Begin);
                        // A version from before may pass by while a copy is waited for.
                        if copied || self.slots[slot].table.takes_changes() {
                            let name = seen.schema.full_name();
                            self.slots[slot].halt(Problem::new(code::TARGET_SEES_NOTHING, name));
                        }
                        return None;
                    }
                    Some(Known::of(slot, seen))
                });
                self.known.insert(*id, known);
            }
        }
        if let Some(step) = &header.copy
            && step.phase != CopyPhase::Rows
        {
            self.copy_step(header, step.phase, step.anew);
            return false;
        }
        let known = header.schemas.iter().filter_map(|id| self.known.get(id)?.as_ref());
        known.into_iter().any(|known| self.slots[known.slot].takes(header))
    }

    fn copy_step(&mut self, header: &Header, phase: CopyPhase, anew: bool) {
        let Some(Some(known)) = header.schemas.first().and_then(|id| self.known.get(id)) else { return };
        let slot = &mut self.slots[known.slot];
        slot.close_fold();
        let before = slot.table.clone();
        let alterations = match (phase, &known.refused) {
            (CopyPhase::End, _) => slot.table.copy_ends_as(header.sequence, &known.shape).map_err(changed),
            (_, Some(_)) if matches!(slot.table.state, State::Halted(_)) => Ok(Vec::new()),
            (_, Some(problem)) => Err(problem.clone()),
            (_, None) => slot.table.copy_begins(header.sequence, (*known.shape).clone(), anew).map_err(changed),
        };
        match alterations {
            Ok(alterations) => {
                if slot.table.shape != before.shape {
                    slot.shape = Arc::clone(&known.shape);
                }
                alterations.into_iter().for_each(|alteration| slot.step(Step::Alter(alteration)));
            }
            Err(problem) => slot.table.halt(problem),
        }
        slot.changed |= slot.table != before;
    }

    /// One change of a transaction whose body was asked for.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn change(&mut self, header: &Header, change: Change) -> Result<(), Malformed> {
        let id = SchemaId(change.schema_id);
        let Some(Some(known)) = self.known.get(&id) else { return Ok(()) };
        let slot = &mut self.slots[known.slot];
        if !slot.takes(header) {
            return Ok(());
        }
        if !Arc::ptr_eq(&slot.shape, &known.shape) && !slot.follow(header.sequence, known) {
            return Ok(());
        }
        let change = match &known.view {
            View::Part(part) => match mask(change, part).map_err(|_| Malformed)? {
                Some(change) => change,
                None => return Ok(()),
            },
            View::Whole | View::Nothing => change,
        };
        self.changes += 1;
        let stamp = Stamp { sequence: header.sequence, committed_at: header.commit_time };
        slot.take(known, change, stamp)
    }

    /// What is to be done, leaving nothing planned; and how many changes led to it.
    pub fn take_batch(&mut self) -> (Vec<TableBatch>, u64) {
        let batches = self.slots.iter_mut().filter_map(Slot::take_batch).collect();
        (batches, std::mem::take(&mut self.changes))
    }
}

impl Slot {
    fn new(table: Table) -> Self {
        let shape = Arc::new(table.shape.clone().unwrap_or_default());
        Self { table, shape, changed: false, steps: Vec::new(), bytes: 0, open: Fold::default() }
    }

    fn halt(&mut self, problem: Problem) {
        if !matches!(self.table.state, State::Halted(_)) {
            self.close_fold();
            self.table.halt(problem);
            self.changed = true;
        }
    }

    /// Whether the table, as it is now, takes changes of such a transaction: a copy's rows are for those who follow it.
    fn takes(&self, header: &Header) -> bool {
        self.table.takes_changes() && (header.copy.is_none() || self.table.state == State::Copying)
    }

    /// Whether the table goes on with rows of this shape.
    fn follow(&mut self, sequence: Sequence, known: &Known) -> bool {
        self.close_fold();
        let before = self.table.clone();
        let followed = match &known.refused {
            Some(problem) => Err(problem.clone()),
            None => self.table.change_comes(sequence, &known.shape).map_err(changed),
        };
        let goes_on = match followed {
            Ok(alteration) => {
                self.shape = Arc::clone(&known.shape);
                alteration.into_iter().for_each(|alteration| self.step(Step::Alter(alteration)));
                true
            }
            Err(problem) => {
                self.table.halt(problem);
                false
            }
        };
        self.changed |= self.table != before;
        goes_on
    }

    fn take(&mut self, known: &Known, change: Change, stamp: Stamp) -> Result<(), Malformed> {
        let op = change.op();
        if op == Op::Truncate {
            // What was folded goes with the rest.
            self.open = Fold::default();
            self.step(Step::Alter(Alteration::Clear));
            return Ok(());
        }
        let image = change.after.map(|row| Image { row, unchanged: change.unchanged, stamp });
        if !known.keyed {
            keyless(op, known.whole_rows, change.before, image).into_iter().for_each(|single| self.single(single));
            return Ok(());
        }
        let key_of = |row: &Bytes| known.key.key(row);
        match (op, change.before, image) {
            // What left the target's scope is gone from it.
            (Op::Delete | Op::LeftScope, Some(before), _) => match key_of(&before)? {
                Some(key) => self.open.delete(key, before),
                None => self.single(Single::Delete { before }),
            },
            (Op::Update, before, Some(image)) => {
                let old_key = before.as_ref().map(key_of).transpose()?;
                match (key_of(&image.row)?, old_key) {
                    (Some(key), None) => self.open.update(key, image)?,
                    (Some(key), Some(Some(old))) if key == old => self.open.update(key, image)?,
                    // Without the old row the key is the same.
                    _ => {
                        let before = before.unwrap_or_else(|| image.row.clone());
                        self.single(Single::Move { before, image });
                    }
                }
            }
            (Op::Insert | Op::Read | Op::Created, _, Some(image)) => match key_of(&image.row)? {
                Some(key) => self.open.insert(key, image),
                None => self.single(Single::Put(image)),
            },
            _ => return Err(Malformed),
        }
        Ok(())
    }

    fn single(&mut self, single: Single) {
        self.close_fold();
        self.bytes += single.bytes();
        match self.steps.last_mut() {
            Some((Step::Single(singles), shape)) if Arc::ptr_eq(shape, &self.shape) => singles.push(single),
            _ => self.step(Step::Single(vec![single])),
        }
    }

    /// Behind all that came before for this table.
    fn step(&mut self, step: Step) {
        self.close_fold();
        self.steps.push((step, Arc::clone(&self.shape)));
    }

    fn close_fold(&mut self) {
        if !self.open.is_empty() {
            let fold = std::mem::take(&mut self.open);
            self.bytes += fold.bytes();
            self.steps.push((Step::Net(fold), Arc::clone(&self.shape)));
        }
    }

    fn take_batch(&mut self) -> Option<TableBatch> {
        self.close_fold();
        self.bytes = 0;
        if self.steps.is_empty() && !self.changed {
            return None;
        }
        let (steps, changed) = (std::mem::take(&mut self.steps), std::mem::take(&mut self.changed));
        Some(TableBatch { table: self.table.clone(), changed, steps })
    }
}

fn changed(why: String) -> Problem {
    Problem::new(code::TARGET_TABLE_CHANGED, why)
}

/// `None`: such a table's source does not send it.
fn keyless(op: Op, whole_rows: bool, before: Option<Bytes>, image: Option<Image>) -> Option<Single> {
    match (op, before, image) {
        (Op::Insert | Op::Read | Op::Created, _, Some(image)) => Some(Single::Append(image)),
        (Op::Update, Some(before), Some(image)) if whole_rows => Some(Single::Replace { before, image }),
        (Op::Delete, Some(before), _) if whole_rows => Some(Single::Delete { before }),
        _ => None,
    }
}

impl Single {
    /// Of memory, about.
    fn bytes(&self) -> usize {
        const OVERHEAD: usize = 128;
        OVERHEAD
            + match self {
                Self::Append(image) | Self::Put(image) => image.row.len(),
                Self::Move { before, image } | Self::Replace { before, image } => before.len() + image.row.len(),
                Self::Delete { before } => before.len(),
            }
    }
}
