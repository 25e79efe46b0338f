//! All entities and what is remembered of them: the part that reads the store, and so blocks.

use super::Fault;
use super::entity::Governed;
use super::memory::Memory;
use super::note::{self, Names};
use super::record::{self, Part};
use super::status::EntityStatus;
use crate::config::Entity;
use crate::journal::{Header, Journal, NoteChange};
use crate::model::name::SystemName;
use crate::model::name::TableName;
use crate::model::schema::{TableSchema, TableShape};
use crate::wire::api::v1::{Change, Changes};
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct Desk {
    journal: Journal,
    pub memory: Memory,
    entities: Vec<Governed>,
}

/// What a transaction comes to, or a step of it.
#[derive(Default)]
pub struct Outcome {
    /// With their ordinals, entity after entity.
    pub changes: Vec<Change>,
    /// Of the changes.
    pub schemas: Vec<Arc<TableSchema>>,
    pub notes: Vec<NoteChange>,
    /// Another step follows.
    pub more: bool,
}

impl Desk {
    /// Gives the notes to begin with: those of entities that start over are gone.
    pub fn open(
        journal: Journal,
        entities: &BTreeMap<String, Arc<Entity>>,
        all_anew: bool,
    ) -> Result<(Self, Vec<NoteChange>), Fault> {
        let mut memory = Memory::new(journal.notes());
        let (mut governed, mut notes) = (Vec::new(), Vec::new());
        let before = memory.get(note::GOVERNED)?.and_then(|value| record::Governed::decode(&value[..]).ok());
        // One that was left out has missed what happened meanwhile.
        for left_out in before.unwrap_or_default().entities.iter().filter(|name| !entities.contains_key(*name)) {
            memory.delete(Names::of(left_out).state());
        }
        let now = record::Governed { entities: entities.keys().cloned().collect() };
        memory.put(note::GOVERNED.to_vec(), now.encode_to_vec());
        for entity in entities.values() {
            let (mut one, anew) = Governed::open(entity, &memory)?;
            if anew || all_anew {
                notes.extend(one.start_over(&mut memory).into_iter().map(NoteChange::DeleteAll));
            }
            governed.push(one);
        }
        notes.extend(memory.take());
        Ok((Self { journal, memory, entities: governed }, notes))
    }

    /// Tables whose copies are waited for.
    pub fn wanted(&self) -> Vec<(SystemName, TableName)> {
        self.entities.iter().flat_map(Governed::wanted).collect()
    }

    pub fn concerns(&self, schemas: &[Arc<TableSchema>]) -> bool {
        self.entities.iter().any(|entity| entity.concerns(schemas))
    }

    /// Does something for each entity that is not halted. What goes wrong with one halts that one.
    fn each(
        &mut self,
        mut work: impl FnMut(&mut Governed, &mut Memory, &Journal) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Self { journal, memory, entities } = self;
        for entity in entities.iter_mut().filter(|entity| entity.problem().is_none()) {
            match work(entity, memory, journal) {
                Err(Fault::Entity(problem)) => {
                    let name = &entity.rule.entity.name;
                    tracing::error!(entity = %name, %problem, next = problem.code.entry().next, "entity halted");
                    entity.halt(&problem, memory);
                }
                other => other?,
            }
        }
        Ok(())
    }

    pub fn begin(&mut self, header: &Header, schemas: &[Arc<TableSchema>]) -> Result<(), Fault> {
        self.each(|entity, memory, journal| entity.begin(header, schemas, memory, journal))
    }

    pub fn apply(&mut self, header: &Header, chunk: &Bytes) -> Result<(), Fault> {
        let changes = Changes::decode(chunk.clone()).map_err(|_| super::images::unreadable())?;
        self.each(|entity, memory, journal| entity.apply(header, &changes, memory, journal))
    }

    /// See [`Governed::end`].
    pub fn end(&mut self, header: &Header) -> Result<bool, Fault> {
        let mut more = false;
        self.each(|entity, memory, journal| {
            more |= entity.end(header, memory, journal)?;
            Ok(())
        })?;
        Ok(more)
    }

    /// How many chunks of a transaction are in the notes already, from before a crash.
    pub fn part(&self, header: &Header) -> Result<u64, Fault> {
        let part = self.memory.get(note::PART)?.and_then(|value| Part::decode(&value[..]).ok());
        Ok(part.filter(|part| part.sequence == header.sequence.0).map_or(0, |part| part.chunks))
    }

    /// What is in the notes by now is so much of a transaction.
    pub fn put_part(&mut self, header: &Header, chunks: u64) {
        let part = Part { sequence: header.sequence.0, chunks };
        self.memory.put(note::PART.to_vec(), part.encode_to_vec());
    }

    /// See [`Governed::commit`].
    pub fn commit(&mut self, header: &Header) -> Result<Outcome, Fault> {
        let mut outcome = Outcome::default();
        self.each(|entity, memory, journal| {
            let (changes, more) = entity.commit(header, memory, journal)?;
            outcome.more |= more;
            if let Some(schema) = entity.schema().filter(|_| !changes.is_empty()) {
                super::status::published(&entity.rule.entity.name, changes.len() as u64);
                outcome.schemas.push(Arc::clone(schema));
                outcome.changes.extend(changes);
            }
            Ok(())
        })?;
        for (ordinal, change) in (0..).zip(&mut outcome.changes) {
            change.ordinal = ordinal;
        }
        outcome.notes = self.memory.take();
        Ok(outcome)
    }

    /// The shape of the first entity whose own is open.
    pub fn open_shape(&mut self) -> Result<Option<TableShape>, Fault> {
        let mut open = None;
        self.each(|entity, _, journal| {
            if open.is_none() {
                open = entity.open_shape(journal)?;
            }
            Ok(())
        })?;
        Ok(open)
    }

    pub fn described(&mut self, schema: &Arc<TableSchema>) -> Result<(), Fault> {
        self.each(|entity, _, _| {
            if entity.rule.name() == schema.name {
                entity.described(Arc::clone(schema))?;
            }
            Ok(())
        })
    }

    /// A step of putting an entity together. The names of those that are done with it now; `None` when none is to be.
    pub fn assemble(&mut self) -> Result<Option<Vec<TableName>>, Fault> {
        let (mut worked, mut done) = (false, Vec::new());
        self.each(|entity, memory, journal| {
            if entity.is_to_assemble() {
                worked = true;
                if !entity.assemble(memory, journal)? {
                    done.push(entity.rule.name());
                }
            }
            Ok(())
        })?;
        Ok(worked.then_some(done))
    }

    /// Entities that are followed, and their types.
    pub fn followed(&self) -> Vec<Arc<TableSchema>> {
        self.entities
            .iter()
            .filter(|entity| entity.is_following())
            .filter_map(|entity| entity.schema().cloned())
            .collect()
    }

    /// See [`Governed::read`].
    pub fn read(&mut self, name: &TableName, after: u64) -> Result<Option<(u64, Vec<Change>)>, Fault> {
        let mut read = None;
        self.each(|entity, memory, _| {
            if entity.rule.name() == *name {
                read = entity.read(after, memory)?;
            }
            Ok(())
        })?;
        Ok(read)
    }

    pub fn status(&self) -> Vec<EntityStatus> {
        self.entities.iter().map(EntityStatus::of).collect()
    }
}
