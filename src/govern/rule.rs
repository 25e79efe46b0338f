//! A contract in numbers: the tables that it needs, and the columns that its entity has.

use crate::config::{Entity, Join, MappedColumn};
use crate::model::name::{SystemName, TableName};
use std::sync::Arc;

/// The schema of entities, among Tailwater's own tables.
pub const SCHEMA: &str = "entity";

pub struct Rule {
    pub entity: Arc<Entity>,
    /// Numbered from 0.
    pub systems: Vec<SystemName>,
    /// Every use of a table, numbered from 0: one table may be joined twice.
    pub tables: Vec<Use>,
    /// Numbered from 0, as sides keep them.
    pub parts: Vec<OwnedPart>,
}

/// A table in its part of an entity.
pub struct Use {
    pub source: u8,
    pub table: TableName,
    /// `None`: the root.
    pub join: Option<(String, Join)>,
}

/// A column of the entity that holds a value.
pub struct OwnedPart {
    /// Its field's place in the contract.
    pub field: usize,
    /// Its name in events.
    pub column: String,
    /// Where each system has it, by the system's number.
    pub mapped: Vec<Option<MappedColumn>>,
    /// The owner's number.
    pub owner: u8,
}

impl Rule {
    pub fn of(entity: &Arc<Entity>) -> Self {
        let systems: Vec<SystemName> = entity.sources.keys().cloned().collect();
        // Far fewer than 256 of each: a contract is at most 1 MiB, and written by hand.
        let mut tables = Vec::new();
        for (number, source) in (0..).zip(entity.sources.values()) {
            tables.push(Use { source: number, table: source.root.clone(), join: None });
            tables.extend(source.joins.iter().map(|(name, join)| Use {
                source: number,
                table: join.table.clone(),
                join: Some((name.clone(), join.clone())),
            }));
        }
        let parts = parts(entity, &systems);
        Self { entity: Arc::clone(entity), systems, tables, parts }
    }

    /// Entities are tables of Tailwater's own.
    pub fn name(&self) -> TableName {
        TableName::new(SCHEMA, &self.entity.name)
    }

    pub fn system(&self, source: u8) -> &SystemName {
        &self.systems[usize::from(source)]
    }

    /// The number of a source's root.
    pub fn root(&self, source: u8) -> u8 {
        self.numbered().find(|(_, used)| used.source == source && used.join.is_none()).map_or(0, |(number, _)| number)
    }

    /// The tables that a source's root joins.
    pub fn joins(&self, source: u8) -> impl Iterator<Item = (u8, &str, &Join)> {
        let joined = self.numbered().filter(move |(_, used)| used.source == source);
        joined.filter_map(|(number, used)| used.join.as_ref().map(|(name, join)| (number, name.as_str(), join)))
    }

    pub fn numbered(&self) -> impl Iterator<Item = (u8, &Use)> {
        (0..).zip(&self.tables)
    }

    pub fn is_of(&self, number: u8, system: &SystemName, table: &TableName) -> bool {
        let used = &self.tables[usize::from(number)];
        self.system(used.source) == system && used.table == *table
    }

    /// The columns of a table that the contract speaks of, besides its key.
    pub fn columns(&self, number: u8) -> Vec<&str> {
        let used = &self.tables[usize::from(number)];
        let mut columns: Vec<&str> = Vec::new();
        match &used.join {
            Some((_, join)) => {
                columns.extend(join.on.iter().chain(&join.only).map(|(own, _)| own.as_str()));
                columns.extend(join.first_by.as_deref());
            }
            None => {
                let joined = self.joins(used.source).flat_map(|(_, _, join)| &join.on);
                columns.extend(joined.map(|(_, root)| root.as_str()));
                columns.extend(self.entity.sources.get(self.system(used.source)).map(|source| source.key.as_str()));
            }
        }
        let name = used.join.as_ref().map(|(name, _)| name);
        let mapped = self.parts.iter().filter_map(|part| part.mapped[usize::from(used.source)].as_ref());
        columns.extend(mapped.filter(|mapped| mapped.join.as_ref() == name).map(|mapped| mapped.column.as_str()));
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

fn parts(entity: &Entity, systems: &[SystemName]) -> Vec<OwnedPart> {
    let mut parts = Vec::new();
    for (place, field) in entity.fields.iter().enumerate() {
        let owned = field.map.get(&field.owner).into_iter().flatten();
        let owner = systems.iter().position(|system| *system == field.owner).unwrap_or_default();
        for (part, column) in owned.zip(field.columns()) {
            let same = |system: &SystemName| {
                let mapping = field.map.get(system)?;
                mapping.iter().find(|other| other.name == part.name).map(|other| other.column.clone())
            };
            // As above.
            let (mapped, owner) = (systems.iter().map(same).collect(), owner as u8);
            parts.push(OwnedPart { field: place, column, mapped, owner });
        }
    }
    parts
}
