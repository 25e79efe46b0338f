//! Contracts: what an entity is made of, and which system owns each of its fields.

use crate::model::name::{SystemName, TableName};
use ring::digest;
use std::collections::BTreeMap;

/// Something that several systems hold a version of: a root row in each, and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// `[a-z][a-z0-9_]*`.
    pub name: String,
    /// Where what each system calls it goes: the field's name, by system.
    pub ids: BTreeMap<SystemName, String>,
    pub sources: BTreeMap<SystemName, EntitySource>,
    /// In the order of the file.
    pub fields: Vec<EntityField>,
    /// Two systems mean the same where they agree in all fields of one of these, and no other of theirs does.
    pub identity: Vec<Vec<String>>,
}

/// An entity in one system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntitySource {
    /// One row is one of the entity.
    pub root: TableName,
    /// The root's key.
    pub key: String,
    /// By the names that mappings use.
    pub joins: BTreeMap<String, Join>,
    /// What stands before the root's key in the system's id.
    pub id_prefix: String,
}

/// A table whose row belongs to a root's. Where several do, the first counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    pub table: TableName,
    /// Columns of this table, and those of the root that they equal.
    pub on: Vec<(String, String)>,
    /// Columns of this table, and the texts that they have.
    pub only: Vec<(String, String)>,
    /// The row with the least of this column is the first; without it that with the least key.
    pub first_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityField {
    pub name: String,
    /// Whose changes are published.
    pub owner: SystemName,
    /// Has the owner.
    pub map: BTreeMap<SystemName, Mapping>,
    /// Applied to every text, in this order.
    pub normalise: Vec<Normalise>,
    pub sensitivity: Sensitivity,
    pub tags: Vec<String>,
}

/// Where a field's value is in one system.
pub type Mapping = Vec<Part>;

/// A part of a field; one without a name is all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: Option<String>,
    pub column: MappedColumn,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedColumn {
    /// `None`: of the root.
    pub join: Option<String>,
    pub column: String,
}

/// What is done to a text before it is compared and published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalise {
    /// Unicode's compatibility composition.
    Nfkc,
    /// Runs of white space become one space; none at either end.
    CollapseWhitespace,
    Lowercase,
    Uppercase,
    /// Letters and digits only.
    Alphanumeric,
}

/// Who may see a field, from everybody up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sensitivity {
    Public,
    /// The default, of fields and of what entitlements reach.
    Internal,
    Confidential,
    Restricted,
}

impl Entity {
    /// Stands for all that decides what the entity is: another contract, another fingerprint.
    pub fn fingerprint(&self) -> String {
        let hash = digest::digest(&digest::SHA256, format!("{self:?}").as_bytes());
        hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl EntityField {
    /// The columns that it has in an event: one for each part.
    pub fn columns(&self) -> impl Iterator<Item = String> {
        let parts = self.map.get(&self.owner).into_iter().flatten();
        parts.map(|part| column_of(&self.name, part.name.as_deref()))
    }
}

/// `billing_address` and `city`: `billing_address_city`.
pub fn column_of(field: &str, part: Option<&str>) -> String {
    part.map_or_else(|| field.to_owned(), |part| format!("{field}_{part}"))
}
