//! What a subject may see of one version of a table or entity: which rows, and which fields of each.
//!
//! Every entitlement of one of its roles that means the table is a grant. A row is seen if some grant admits it, and of it the
//! fields that those grants show. A field that no contract classifies, an entitlement that cannot be decided, a column that is
//! new: not seen.

use super::rows::Rows;
use crate::config::predicate::Literal;
use crate::config::{Columns, EntitledTo, Entitlement, Entity, EntityField, Mask, Masked};
use crate::model::schema::{Column, Identity, SchemaId, TableSchema};
use crate::model::value_type::{Scalar, ValueType};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Clone)]
pub enum View {
    Nothing,
    /// All rows as they are.
    Whole,
    Part(Arc<Part>),
}

/// Some rows, or some fields.
#[derive(Debug)]
pub struct Part {
    pub grants: Vec<Grant>,
    /// Fields that its type has; null where no grant shows them.
    pub described: BTreeSet<u32>,
    pub key: BTreeSet<u32>,
    /// Every row comes with everything that it was and is: the entity's do, and those of a table that logs them whole.
    pub is_complete: bool,
}

#[derive(Debug)]
pub struct Grant {
    pub shown: BTreeSet<u32>,
    /// `None`: of all rows.
    pub rows: Option<Rows>,
}

/// By what a view is made.
pub struct Entitled<'a> {
    /// Those of the subject's roles.
    pub entitlements: &'a [Entitlement],
    pub attributes: &'a BTreeMap<String, Vec<Literal>>,
    pub contracts: &'a BTreeMap<String, Arc<Entity>>,
}

impl View {
    pub fn of(schema: &TableSchema, entitled: &Entitled<'_>) -> Self {
        let key: BTreeSet<u32> =
            schema.columns.iter().filter(|column| column.shape.key).map(|column| column.number).collect();
        let all: BTreeSet<u32> = schema.columns.iter().map(|column| column.number).collect();
        let is_complete = schema.is_entity() || schema.identity == Identity::Full;
        let (mut grants, mut described) = (Vec::new(), BTreeSet::new());
        for entitlement in entitled.entitlements {
            let Some(fields) = fields(schema, entitlement, entitled.contracts) else { continue };
            // A row that cannot be told from others cannot be followed.
            if !key.is_subset(&fields.shown) {
                told(schema, "its key is not among what is shown");
                continue;
            }
            if key.is_empty() && entitlement.rows.is_some() {
                told(schema, "it has no key, so nobody could be told which of its rows go out of sight");
                continue;
            }
            let rows = match &entitlement.rows {
                None => None,
                Some(_) if !is_complete => {
                    told(
                        schema,
                        "its row images are not complete, so `rows` cannot be decided (REPLICA IDENTITY FULL)",
                    );
                    continue;
                }
                Some(predicate) => match Rows::of(predicate, schema, entitled.attributes) {
                    Ok(rows) => Some(rows),
                    Err(why) => {
                        told(schema, &why);
                        continue;
                    }
                },
            };
            described.extend(fields.shown.iter().chain(&fields.null));
            grants.push(Grant { shown: fields.shown, rows });
        }
        if grants.iter().any(|grant| grant.rows.is_none() && grant.shown == all) {
            return Self::Whole;
        }
        if grants.is_empty() {
            return Self::Nothing;
        }
        Self::Part(Arc::new(Part { grants, described, key, is_complete }))
    }

    pub fn sees_anything(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The table as its type is described to the subject.
    pub fn described(&self, schema: &TableSchema) -> TableSchema {
        let mut schema = schema.clone();
        match self {
            Self::Whole => {}
            Self::Nothing => schema.columns.clear(),
            Self::Part(part) => {
                schema.columns.retain(|column| part.described.contains(&column.number));
                // They would tell of columns that were never seen.
                schema.reserved.clear();
            }
        }
        schema
    }

    /// Whether every row is seen.
    pub fn sees_every_row(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Whole => true,
            Self::Part(part) => part.grants.iter().any(|grant| grant.rows.is_none()),
        }
    }
}

/// An entitlement that gives nothing is told, once, since nobody else would notice.
fn told(schema: &TableSchema, why: &str) {
    static TOLD: Mutex<BTreeSet<(SchemaId, String)>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert((schema.id, why.to_owned())) {
        tracing::warn!(table = %schema.full_name(), why, "an entitlement gives nothing of this table");
    }
}

struct FieldsOf {
    shown: BTreeSet<u32>,
    null: BTreeSet<u32>,
}

/// `None`: the entitlement does not mean the table.
fn fields(
    schema: &TableSchema,
    entitlement: &Entitlement,
    contracts: &BTreeMap<String, Arc<Entity>>,
) -> Option<FieldsOf> {
    let classified = match &entitlement.of {
        EntitledTo::Entity(pattern) => {
            let entity = contracts.get(&*schema.name.table).filter(|_| schema.is_entity())?;
            // What another contract made was classified by that one, and nothing else knows how.
            if *schema.origin != *entity.fingerprint() {
                return None;
            }
            pattern.matches(&entity.name).then(|| of_entity(schema, entity))?
        }
        EntitledTo::Tables { tables, columns } => {
            if schema.is_entity() || !tables.matches(&schema.full_name()) {
                return None;
            }
            let mapped = of_table(schema, contracts);
            if tables.means_one()
                && let Some(name) = names_nothing(&mapped, &entitlement.mask)
            {
                told(schema, &format!("its mask names {name}, which it does not have"));
                return None;
            }
            match columns {
                Columns::All => mapped,
                // A table of which its system owns nothing.
                Columns::Owned if !mapped.iter().any(|column| column.is_owned) => return None,
                Columns::Owned => {
                    mapped.into_iter().filter(|column| column.is_owned || column.is_plain_key()).collect()
                }
            }
        }
    };
    let is_raw = matches!(entitlement.of, EntitledTo::Tables { columns: Columns::All, .. });
    let mut fields = FieldsOf { shown: BTreeSet::new(), null: BTreeSet::new() };
    for column in classified {
        let too_sensitive = column.fields.iter().any(|field| field.sensitivity > entitlement.max_sensitivity);
        if too_sensitive && !is_raw {
            continue;
        }
        match mask_of(&column, &entitlement.mask) {
            None => fields.shown.insert(column.column.number),
            Some(Mask::Null) => fields.null.insert(column.column.number),
            Some(Mask::Omit) => false,
        };
    }
    Some(fields)
}

/// A column, and the fields of contracts that it is a part of.
struct Classified<'a> {
    column: &'a Column,
    fields: Vec<&'a EntityField>,
    /// What masks may call it besides its own name.
    names: Vec<&'a str>,
    is_owned: bool,
    /// The contract names it, as a key or to join by.
    is_named: bool,
}

impl Classified<'_> {
    fn is_called(&self, name: &str) -> bool {
        *self.column.shape.name == *name || self.names.contains(&name)
    }

    /// Of the key, and nothing that tells of anybody: what the contract names, or a number that stands for the row.
    fn is_plain_key(&self) -> bool {
        let shape = &self.column.shape;
        let is_number = matches!(
            shape.value_type,
            ValueType::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::UInt32 | Scalar::UInt64)
        );
        shape.key && (self.is_named || is_number || &*shape.declared_type == "uuid")
    }
}

/// A name that is masked and that no column has.
fn names_nothing<'m>(columns: &[Classified<'_>], masks: &'m [(Masked, Mask)]) -> Option<&'m str> {
    masks.iter().find_map(|(masked, _)| match masked {
        Masked::Name(name) if !columns.iter().any(|column| column.is_called(name)) => Some(name.as_str()),
        _ => None,
    })
}

fn of_entity<'a>(schema: &'a TableSchema, entity: &'a Entity) -> Vec<Classified<'a>> {
    let classify = |column: &'a Column| {
        let name = &*column.shape.name;
        let fields: Vec<_> =
            entity.fields.iter().filter(|field| field.columns().any(|column| column == *name)).collect();
        let is_own = column.shape.key || entity.ids.values().any(|id| id == name);
        // A column of a contract before this one: of it nothing is known any more.
        let is_known = is_own || !fields.is_empty();
        let names = fields.iter().map(|field| field.name.as_str()).collect();
        is_known.then_some(Classified { column, fields, names, is_owned: true, is_named: true })
    };
    schema.columns.iter().filter_map(classify).collect()
}

fn of_table<'a>(schema: &'a TableSchema, contracts: &'a BTreeMap<String, Arc<Entity>>) -> Vec<Classified<'a>> {
    let classify = |column: &'a Column| {
        let is_mapped = |entity: &Entity, field: &EntityField| {
            let Some(source) = entity.sources.get(&schema.system) else { return false };
            let parts = field.map.get(&schema.system).into_iter().flatten();
            parts.into_iter().any(|part| {
                let table = match &part.column.join {
                    None => Some(&source.root),
                    Some(name) => source.joins.get(name).map(|join| &join.table),
                };
                table == Some(&schema.name) && part.column.column == *column.shape.name
            })
        };
        let fields: Vec<&EntityField> = contracts
            .values()
            .flat_map(|entity| entity.fields.iter().filter(move |field| is_mapped(entity, field)))
            .collect();
        let is_owned = !fields.is_empty() && fields.iter().all(|field| field.owner == schema.system);
        let names = fields.iter().map(|field| field.name.as_str()).collect();
        let is_named = contracts.values().any(|entity| is_named_by(entity, schema, &column.shape.name));
        Classified { column, fields, names, is_owned, is_named }
    };
    schema.columns.iter().map(classify).collect()
}

/// Whether a contract uses a column of a table to find rows by.
fn is_named_by(entity: &Entity, schema: &TableSchema, column: &str) -> bool {
    let Some(source) = entity.sources.get(&schema.system) else { return false };
    let of_joins = source.joins.values().any(|join| {
        let own = join.on.iter().any(|(own, _)| join.table == schema.name && own == column);
        own || join.on.iter().any(|(_, root)| source.root == schema.name && root == column)
    });
    of_joins || source.root == schema.name && source.key == column
}

/// The strictest of those that mean the column.
fn mask_of(column: &Classified<'_>, masks: &[(Masked, Mask)]) -> Option<Mask> {
    let means = |masked: &Masked| match masked {
        Masked::Name(name) => column.is_called(name),
        Masked::Tag(tag) => column.fields.iter().any(|field| field.tags.contains(tag)),
    };
    let mut found = masks.iter().filter(|(masked, _)| means(masked)).map(|(_, mask)| *mask);
    let first = found.next()?;
    Some(if first == Mask::Omit || found.any(|mask| mask == Mask::Omit) { Mask::Omit } else { Mask::Null })
}
