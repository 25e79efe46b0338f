//! One entity's life: its tables are copied, it is put together, it is published, and followed from then on.
//!
//! ```text
//!  waiting for copies ─► copying ─► assembling, in steps ─► following ─► (contract changed, halted) ─► waiting for copies
//! ```
//! Nothing of it is told before every table is whole: an entity that lacks one system's fields would look as if they were null.

use super::Fault;
use super::event;
use super::images::{Images, unreadable};
use super::memory::Memory;
use super::note::{Names, last_parts};
use super::plan::{Plan, Plans};
use super::record::{Counts, State, Table};
use super::rule::Rule;
use super::settle::{is_unsettled, settle};
use super::verdict::Moment;
use crate::config::Entity;
use crate::journal::{Header, Journal};
use crate::model::code::{self, Code};
use crate::model::copy::CopyPhase;
use crate::model::name::{SystemName, TableName};
use crate::model::problem::Problem;
use crate::model::schema::{SchemaId, TableSchema, TableShape};
use crate::wire::api::v1::{Change, Changes};
use prost::Message as _;
use std::sync::Arc;

/// How many roots one step takes.
const STEP_ROOTS: usize = 5_000;

/// Numbers are [`State::phase`]'s.
const COPYING: u32 = 1;
const FOLLOWING: u32 = 2;
const HALTED: u32 = 3;
/// [`Table::phase`]'s.
const WAITS: u32 = 1;
const COPIED: u32 = 2;
const WHOLE: u32 = 3;

pub struct Governed {
    pub rule: Rule,
    names: Names,
    plans: Plans,
    pub state: State,
    pub counts: Counts,
    schema: Option<Arc<TableSchema>>,
    /// A table's version is new: the entity's may be too.
    shape_is_open: bool,
    /// How far the sweep at the end of a copy has come.
    swept: Option<Vec<u8>>,
}

impl Governed {
    /// As the notes know it. The flag: it is to be made anew, by another contract or after a halt.
    pub fn open(entity: &Arc<Entity>, memory: &Memory) -> Result<(Self, bool), Fault> {
        let (rule, names) = (Rule::of(entity), Names::of(&entity.name));
        let state = memory.get(&names.state())?.and_then(|value| State::decode(&value[..]).ok()).unwrap_or_default();
        let counts = memory.get(&names.counts())?.and_then(|value| Counts::decode(&value[..]).ok()).unwrap_or_default();
        let fits =
            state.fingerprint == entity.fingerprint().into_bytes() && [COPYING, FOLLOWING].contains(&state.phase);
        let (plans, schema) = (Plans::default(), None);
        Ok((Self { rule, names, plans, state, counts, schema, shape_is_open: true, swept: None }, !fits))
    }

    /// Forgets what was made; ids stay. Gives the prefixes of the notes that are to go.
    pub fn start_over(&mut self, memory: &mut Memory) -> Vec<Vec<u8>> {
        let tables = vec![Table { phase: WAITS, ..Table::default() }; self.rule.tables.len()];
        self.state = State {
            fingerprint: self.rule.entity.fingerprint().into_bytes(),
            phase: COPYING,
            tables,
            ..State::default()
        };
        self.counts = Counts::default();
        self.keep(memory);
        self.names.made().collect()
    }

    fn keep(&self, memory: &mut Memory) {
        memory.put(self.names.state(), self.state.encode_to_vec());
        memory.put(self.names.counts(), self.counts.encode_to_vec());
    }

    pub fn halt(&mut self, problem: &Problem, memory: &mut Memory) {
        self.state.phase = HALTED;
        self.state.code = problem.code.to_string();
        self.state.message.clone_from(&problem.message);
        self.keep(memory);
    }

    pub fn problem(&self) -> Option<Problem> {
        let code = Code::find(&self.state.code).filter(|_| self.state.phase == HALTED)?;
        Some(Problem::new(code, self.state.message.clone()))
    }

    pub fn is_following(&self) -> bool {
        self.state.phase == FOLLOWING
    }

    /// Every table is whole, and the entity is not put together yet.
    pub fn is_to_assemble(&self) -> bool {
        self.state.phase == COPYING && self.state.tables.iter().all(|table| table.phase == WHOLE)
    }

    /// Tables that are waited for.
    pub fn waits_for(&self) -> Vec<String> {
        let tables = self.rule.numbered().zip(&self.state.tables);
        let open = tables.filter(|(_, table)| self.state.phase == COPYING && table.phase != WHOLE);
        let mut names: Vec<_> =
            open.map(|((_, used), _)| format!("{}.{}", self.rule.system(used.source), used.table)).collect();
        names.dedup();
        names
    }

    /// Tables of which no copy has begun yet.
    pub fn wanted(&self) -> Vec<(SystemName, TableName)> {
        let tables = self.rule.numbered().zip(&self.state.tables);
        let waiting = tables.filter(|(_, table)| self.state.phase == COPYING && table.phase == WAITS);
        waiting.map(|((_, used), _)| (self.rule.system(used.source).clone(), used.table.clone())).collect()
    }

    /// The uses of a schema's table.
    fn uses(&self, schema: &TableSchema) -> Vec<u8> {
        let uses = self.rule.numbered().map(|(number, _)| number);
        uses.filter(|number| self.rule.is_of(*number, &schema.system, &schema.name)).collect()
    }

    /// Whether a transaction is about this entity.
    pub fn concerns(&self, schemas: &[Arc<TableSchema>]) -> bool {
        self.state.phase != HALTED && schemas.iter().any(|schema| !self.uses(schema).is_empty())
    }

    /// A transaction begins: its tables' versions, and where copies of them stand.
    pub fn begin(
        &mut self,
        header: &Header,
        schemas: &[Arc<TableSchema>],
        memory: &mut Memory,
        journal: &Journal,
    ) -> Result<(), Fault> {
        for schema in schemas {
            for number in self.uses(schema) {
                let table = &mut self.state.tables[usize::from(number)];
                if table.schema != schema.id.0 {
                    let known = std::mem::replace(&mut table.schema, schema.id.0);
                    let is_kept = table.phase != WAITS;
                    self.shape_is_open = true;
                    let plan = self.plans.get(&self.rule, number, schema.id.0, || Some(Arc::clone(schema)))?;
                    if is_kept && known != 0 {
                        let before = self.plans.get(&self.rule, number, known, || journal.schema(SchemaId(known)))?;
                        if !plan.goes_on_as(&before) {
                            let what = "its key, or a column that the contract speaks of, is another";
                            let message = format!("{}: {what}", schema.full_name());
                            return Err(Problem::new(code::ENTITY_MISFIT, message).into());
                        }
                    }
                    memory.put(self.names.state(), self.state.encode_to_vec());
                }
            }
        }
        let Some(step) = header.copy.as_ref().filter(|step| step.phase == CopyPhase::Begin) else { return Ok(()) };
        for number in self.copied(header, step) {
            let table = &mut self.state.tables[usize::from(number)];
            table.begin = header.sequence.0;
            table.anew |= step.anew;
            if table.phase == WAITS {
                table.phase = COPIED;
            }
            memory.put(self.names.state(), self.state.encode_to_vec());
        }
        Ok(())
    }

    fn copied(&self, header: &Header, step: &crate::model::copy::CopyStep) -> Vec<u8> {
        let numbers = self.rule.numbered().map(|(number, _)| number);
        numbers.filter(|number| self.rule.is_of(*number, &header.system, &step.table)).collect()
    }

    fn images<'a>(&'a mut self, memory: &'a mut Memory, journal: &'a Journal) -> Images<'a> {
        Images { rule: &self.rule, names: &self.names, plans: &mut self.plans, memory, journal }
    }

    /// Takes in a part of a transaction.
    pub fn apply(
        &mut self,
        header: &Header,
        changes: &Changes,
        memory: &mut Memory,
        journal: &Journal,
    ) -> Result<(), Fault> {
        for change in &changes.changes {
            let Some(schema) = journal.schema(SchemaId(change.schema_id)) else { return Err(unreadable().into()) };
            for number in self.uses(&schema) {
                let table = &self.state.tables[usize::from(number)];
                let (phase, whole) = (table.phase, table.phase == WHOLE && !table.anew);
                if phase != WAITS {
                    self.images(memory, journal).apply(number, change, header.sequence, whole)?;
                }
            }
        }
        Ok(())
    }

    /// A transaction's body is through: a copy may end with it, and what it did not read goes, in steps. Whether there is more.
    pub fn end(&mut self, header: &Header, memory: &mut Memory, journal: &Journal) -> Result<bool, Fault> {
        let Some(step) = header.copy.as_ref().filter(|step| step.phase == CopyPhase::End) else { return Ok(false) };
        for number in self.copied(header, step) {
            let Table { phase, begin, .. } = self.state.tables[usize::from(number)];
            // Without a begin it was swept already, in a step before.
            if phase == WAITS || begin == 0 {
                continue;
            }
            // Gone from the source since the copy before.
            let after = self.swept.take();
            self.swept = self.images(memory, journal).remove_older(number, begin, after)?;
            if self.swept.is_some() {
                return Ok(true);
            }
            let table = &mut self.state.tables[usize::from(number)];
            (table.phase, table.begin, table.anew) = (WHOLE, 0, false);
            memory.put(self.names.state(), self.state.encode_to_vec());
        }
        Ok(false)
    }

    /// What a transaction comes to, a step of it; and whether there is more.
    pub fn commit(
        &mut self,
        header: &Header,
        memory: &mut Memory,
        journal: &Journal,
    ) -> Result<(Vec<Change>, bool), Fault> {
        let Some(schema) = self.schema.clone().filter(|_| self.is_following()) else { return Ok((Vec::new(), false)) };
        let moment = Moment { sequence: header.sequence, commit_time: header.commit_time };
        let changes = self.settle(&schema, Some(&moment), STEP_ROOTS, memory, journal)?;
        Ok((changes, is_unsettled(&self.names, memory)?))
    }

    fn settle(
        &mut self,
        schema: &TableSchema,
        moment: Option<&Moment>,
        roots_max: usize,
        memory: &mut Memory,
        journal: &Journal,
    ) -> Result<Vec<Change>, Fault> {
        let mut counts = self.counts.clone();
        let changes = settle(&mut self.images(memory, journal), schema, &mut counts, moment, roots_max)?;
        if counts != self.counts {
            memory.put(self.names.counts(), counts.encode_to_vec());
            self.counts = counts;
        }
        Ok(changes)
    }

    /// A step of putting it together for the first time. False once nothing is left: it is followed from then on.
    pub fn assemble(&mut self, memory: &mut Memory, journal: &Journal) -> Result<bool, Fault> {
        let Some(schema) = self.schema.clone() else { return Err(unreadable().into()) };
        if is_unsettled(&self.names, memory)? {
            self.settle(&schema, None, STEP_ROOTS, memory, journal)?;
            return Ok(true);
        }
        self.forget_ids(memory)?;
        self.state.phase = FOLLOWING;
        self.keep(memory);
        Ok(false)
    }

    /// Of roots that are gone: the next one of their keys is another.
    fn forget_ids(&self, memory: &mut Memory) -> Result<(), Fault> {
        for (source, system) in (0..).zip(&self.rule.systems) {
            let (prefix, mut after) = (self.names.ids(system), None);
            while let Some(page) = memory.page(&prefix, after.as_deref())? {
                after = page.last().map(|(name, _)| name.clone());
                for (name, _) in page {
                    if let Some([root]) = last_parts::<1>(&name, &prefix)
                        && memory.get(&self.names.side(source, &root))?.is_none()
                    {
                        memory.delete(name);
                    }
                }
            }
        }
        Ok(())
    }

    /// What its rows look like, where that is not known or may have changed.
    pub fn open_shape(&mut self, journal: &Journal) -> Result<Option<TableShape>, Fault> {
        let ready = self.is_following() || self.is_to_assemble();
        if !ready || !self.shape_is_open {
            return Ok(None);
        }
        let (rule, tables, plans) = (&self.rule, &self.state.tables, &mut self.plans);
        let plan = |number: u8| -> Result<Arc<Plan>, Fault> {
            let schema = tables[usize::from(number)].schema;
            Ok(plans.get(rule, number, schema, || journal.schema(SchemaId(schema)))?)
        };
        event::shape(rule, plan).map(Some)
    }

    /// The version of its own type from now on.
    ///
    /// # Errors
    /// A column has another type than the values that are known.
    pub fn described(&mut self, schema: Arc<TableSchema>) -> Result<(), Problem> {
        if let Some(known) = &self.schema {
            let types =
                |schema: &TableSchema| schema.columns.iter().map(|column| column.shape.value_type).collect::<Vec<_>>();
            if types(known) != types(&schema) {
                let message = format!("{}: a column's type has changed", schema.full_name());
                return Err(Problem::new(code::ENTITY_MISFIT, message));
            }
        }
        self.schema = Some(schema);
        self.shape_is_open = false;
        Ok(())
    }

    pub fn schema(&self) -> Option<&Arc<TableSchema>> {
        self.schema.as_ref()
    }

    /// The next rows of it behind an id, as a copy reads them; the id of the last one with them. Empty after the last.
    pub fn read(&self, after: u64, memory: &mut Memory) -> Result<Option<(u64, Vec<Change>)>, Fault> {
        let Some(schema) = &self.schema else { return Ok(None) };
        let prefix = self.names.all();
        let Some(page) = memory.page(&prefix, Some(&self.names.one(after)))? else { return Ok(None) };
        let (mut last, mut changes) = (after, Vec::new());
        let crosswalk = super::crosswalk::Crosswalk { rule: &self.rule, names: &self.names, memory };
        for (name, _) in page {
            let Some([id]) = last_parts::<1>(&name, &prefix) else { continue };
            let Ok(id) = id.try_into().map(u64::from_be_bytes) else { continue };
            let one = crosswalk.one(id)?;
            let row = event::row(&crosswalk, id, &one)?;
            changes.extend(row.map(|row| event::read(schema, &row)));
            last = id;
        }
        Ok(Some((last, changes)))
    }
}
