//! What is to be done to the publications, as SQL.

use super::super::simple_query::{identifier, qualified};
use crate::model::name::TableName;
use std::collections::{BTreeMap, HashSet};

/// One of the two publications as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    pub updates_and_deletes: bool,
}

impl Wanted {
    pub fn set_options(&self) -> String {
        format!("ALTER PUBLICATION {} SET ({});", identifier(&self.name), self.options())
    }

    /// `tables`: with these from the start.
    fn create<'a>(&self, tables: impl IntoIterator<Item = &'a TableName>) -> String {
        let tables = list(tables);
        let tables = if tables.is_empty() { tables } else { format!(" FOR TABLE {tables}") };
        format!("CREATE PUBLICATION {}{tables} WITH ({});", identifier(&self.name), self.options())
    }

    /// With the root's name on what its partitions log.
    fn options(&self) -> String {
        let publish = if self.updates_and_deletes { "insert, update, delete, truncate" } else { "insert, truncate" };
        format!("publish = '{publish}', publish_via_partition_root = true")
    }
}

/// Of one publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Create(Wanted),
    SetOptions(Wanted),
}

/// Of one table's place in a publication.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Move {
    Out { publication: String },
    In { publication: String },
}

/// Everything that makes the publications what they should be.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub publications: Vec<Change>,
    pub tables: BTreeMap<TableName, Vec<Move>>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.publications.is_empty() && self.tables.is_empty()
    }

    pub fn take_out(&mut self, table: &TableName, publication: &str) {
        let out = Move::Out { publication: publication.to_owned() };
        self.tables.entry(table.clone()).or_default().insert(0, out);
    }

    pub fn put_in(&mut self, table: &TableName, publication: &str) {
        self.tables.entry(table.clone()).or_default().push(Move::In { publication: publication.to_owned() });
    }

    /// But for these tables.
    pub fn without(&self, tables: &[TableName]) -> Self {
        let (mut others, tables) = (self.clone(), tables.iter().collect::<HashSet<_>>());
        others.tables.retain(|table, _| !tables.contains(table));
        others
    }

    /// For one transaction each: the publications themselves first, and so many tables. Nothing is no part.
    pub fn parts(self, tables_max: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut part = Self { publications: self.publications, tables: BTreeMap::new() };
        for (table, moves) in self.tables {
            if part.tables.len() == tables_max {
                parts.push(std::mem::take(&mut part));
            }
            part.tables.insert(table, moves);
        }
        parts.extend((!part.is_empty()).then_some(part));
        parts
    }

    /// All of it, tables together, for one transaction or for a person.
    pub fn statements(&self) -> Vec<String> {
        let mut moves: BTreeMap<&Move, Vec<&TableName>> = BTreeMap::new();
        for (table, of_table) in &self.tables {
            of_table.iter().for_each(|one| moves.entry(one).or_default().push(table));
        }
        let mut statements = Vec::new();
        for change in &self.publications {
            statements.push(match change {
                Change::Create(wanted) => {
                    let into = Move::In { publication: wanted.name.clone() };
                    wanted.create(moves.remove(&into).unwrap_or_default())
                }
                Change::SetOptions(wanted) => wanted.set_options(),
            });
        }
        statements.extend(moves.into_iter().map(|(one, tables)| one.sql(tables)));
        statements
    }

    /// What is to be done to the publications themselves, before any table moves.
    pub fn of_publications(&self) -> String {
        let sql = |change: &Change| match change {
            Change::Create(wanted) => wanted.create([]),
            Change::SetOptions(wanted) => wanted.set_options(),
        };
        self.publications.iter().map(sql).collect::<Vec<_>>().join(" ")
    }

    /// For one transaction: a table that moves between the two is never in neither.
    pub fn of_table(&self, table: &TableName) -> String {
        let moves = self.tables.get(table).into_iter().flatten();
        moves.map(|one| one.sql([table])).collect::<Vec<_>>().join(" ")
    }
}

impl Move {
    fn sql<'a>(&self, tables: impl IntoIterator<Item = &'a TableName>) -> String {
        let (publication, change) = match self {
            Self::Out { publication } => (publication, "DROP"),
            Self::In { publication } => (publication, "ADD"),
        };
        format!("ALTER PUBLICATION {} {change} TABLE {};", identifier(publication), list(tables))
    }
}

/// `ONLY` keeps inheritance children out, which have their own place in the list.
fn list<'a>(tables: impl IntoIterator<Item = &'a TableName>) -> String {
    let only = |table: &TableName| format!("ONLY {}", qualified(table));
    tables.into_iter().map(only).collect::<Vec<_>>().join(", ")
}
