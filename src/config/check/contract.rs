//! `contracts`: files of their own that say what an entity is made of and who owns what of it.

mod field;
mod source;

use super::beside;
use crate::config::load::another;
use crate::config::raw::{Node, Place, Value};
use crate::config::report::{Report, did_you_mean};
use crate::config::scalar;
use crate::config::section::{Keys, Section, join, named};
use crate::config::{Entity, EntityField, EntitySource, Sensitivity, System};
use crate::model::code;
use crate::model::name::SystemName;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const FILE: Keys = Keys { known: &["version", "entities"], later: &["validation", "reference"] };
const ENTITY: Keys = Keys { known: &["ids", "sources", "fields", "identity"], later: &["documentation"] };
const IDENTITY: Keys = Keys { known: &["exact"], later: &["candidates"] };

pub(super) const SENSITIVITY: [(&str, Sensitivity); 4] = [
    ("public", Sensitivity::Public),
    ("internal", Sensitivity::Internal),
    ("confidential", Sensitivity::Confidential),
    ("restricted", Sensitivity::Restricted),
];

const NAME_CHARS_MAX: usize = 48;
/// What every entity's rows have of their own.
const OWN_COLUMN: &str = "id";

/// Every entity of every contract under its name; `None` when one of them is wrong.
pub(super) fn contracts(
    node: &Node,
    path: &Path,
    systems: Option<&BTreeMap<SystemName, System>>,
    report: &mut Report,
) -> Option<BTreeMap<String, Arc<Entity>>> {
    let names: Vec<&str> = systems.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let mut entities = BTreeMap::new();
    let mut whole = true;
    for (given, node) in scalar::texts(node, "contracts", report)? {
        let file = beside(path, given);
        let found = another(&file, node.place, report)
            .and_then(|root| report.within(&file, |report| contract(&root, &names, report)));
        let Some(found) = found else {
            whole = false;
            continue;
        };
        for (place, entity) in found {
            if entities.contains_key(&entity.name) {
                let message = format!("the entity `{}` is defined by another contract", entity.name);
                report.within(&file, |report| report.add(place, code::CONFIG_DUPLICATE, message));
            }
            let missing = systems.and_then(|systems| not_captured(&entity, systems));
            if let Some(missing) = missing {
                let message = format!("{missing} is not among the tables of its system, so nothing of it would come");
                report.within(&file, |report| report.add(place, code::CONFIG_NOTHING_SELECTED, message));
            }
            entities.insert(entity.name.clone(), Arc::new(entity));
        }
    }
    whole.then_some(entities)
}

/// The first table that an entity needs and its system does not capture.
fn not_captured(entity: &Entity, systems: &BTreeMap<SystemName, System>) -> Option<String> {
    entity.sources.iter().find_map(|(name, source)| {
        let mut tables = std::iter::once(&source.root).chain(source.joins.values().map(|join| &join.table));
        let missing = tables.find(|table| !systems.get(name).is_some_and(|system| system.captures(table)))?;
        Some(format!("{name}.{missing}"))
    })
}

fn contract(root: &Node, systems: &[&str], report: &mut Report) -> Option<Vec<(Place, Entity)>> {
    let file = Section::open(root, "", &FILE, report)?;
    super::version(&file, report);
    let entities = file.require("entities", report)?;
    let mut found = Vec::new();
    let mut whole = true;
    for (name, place, node) in named(entities, "entities", report)? {
        let checked = identifier(name, place, "entity", report);
        match (checked, entity(name, node, systems, report)) {
            (Some(()), Some(entity)) => found.push((place, entity)),
            _ => whole = false,
        }
    }
    whole.then_some(found)
}

/// Names of entities, fields and parts become those of messages, tables and columns.
fn identifier(name: &str, place: Place, what: &str, report: &mut Report) -> Option<()> {
    let mut chars = name.chars();
    let fits = chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= NAME_CHARS_MAX;
    if fits {
        return Some(());
    }
    let message = format!(
        "the {what} `{name}` must be at most {NAME_CHARS_MAX} lower-case letters, digits and underscores, starting with a letter"
    );
    report.add(place, code::CONFIG_BAD_NAME, message);
    None
}

fn entity(name: &str, node: &Node, systems: &[&str], report: &mut Report) -> Option<Entity> {
    let section = Section::open(node, &format!("entities.{name}"), &ENTITY, report)?;
    let sources =
        section.require("sources", report).and_then(|node| sources(node, &section.name("sources"), systems, report));
    let own: Option<Vec<&str>> = sources.as_ref().map(|sources| sources.keys().map(SystemName::as_str).collect());
    // With sources that could not be read, every mention of one would be a false alarm.
    let known = own.as_deref().unwrap_or(systems);
    let ids = section.require("ids", report).and_then(|node| ids(node, &section.name("ids"), known, report));
    let fields = section.require("fields", report).and_then(|node| {
        let sources = sources.as_ref();
        field::fields(node, &section.name("fields"), known, sources, report)
    });
    let identity = match section.get("identity") {
        Some(node) => fields.as_ref().and_then(|fields| identity(node, &section, fields, known.len(), report)),
        None => Some(Vec::new()),
    };
    let (ids, fields) = (ids?, fields?);
    columns_differ(&ids, &fields, section.place(), report)?;
    Some(Entity { name: name.to_owned(), ids, sources: sources?, fields, identity: identity? })
}

fn sources(
    node: &Node,
    path: &str,
    systems: &[&str],
    report: &mut Report,
) -> Option<BTreeMap<SystemName, EntitySource>> {
    let mut sources = BTreeMap::new();
    let mut whole = true;
    for (name, place, node) in named(node, path, report)? {
        let system = known_system(name, place, systems, report);
        match (system, source::source(node, &join(path, name), report)) {
            (Some(system), Some(source)) => {
                sources.insert(system, source);
            }
            _ => whole = false,
        }
    }
    if whole && sources.is_empty() {
        report.add(node.place, code::CONFIG_CONTRACT, format!("`{path}` is empty: nobody has the entity"));
        return None;
    }
    whole.then_some(sources)
}

fn known_system(name: &str, place: Place, systems: &[&str], report: &mut Report) -> Option<SystemName> {
    // With systems that could not be read, no name can be called unknown.
    if !systems.is_empty() && !systems.contains(&name) {
        let message = format!("`{name}` is no system here{}", did_you_mean(name, systems));
        report.add(place, code::CONFIG_UNKNOWN_NAME, message);
        return None;
    }
    SystemName::new(name).ok()
}

/// `customer_id: crm`, turned round.
fn ids(node: &Node, path: &str, systems: &[&str], report: &mut Report) -> Option<BTreeMap<SystemName, String>> {
    let mut ids = BTreeMap::new();
    let mut whole = true;
    for (name, place, node) in named(node, path, report)? {
        let named = identifier(name, place, "id", report);
        let system = scalar::text(node, &join(path, name), report)
            .and_then(|system| known_system(system, node.place, systems, report));
        let (Some(()), Some(system)) = (named, system) else {
            whole = false;
            continue;
        };
        if let Some(other) = ids.insert(system.clone(), name.to_owned()) {
            let message = format!("`{other}` and `{name}` are both what {system} calls it");
            report.add(place, code::CONFIG_CONTRACT, message);
        }
    }
    let unnamed: Vec<_> = systems.iter().filter(|system| !ids.keys().any(|known| known.as_str() == **system)).collect();
    for system in unnamed.iter().filter(|_| whole) {
        report.add(node.place, code::CONFIG_CONTRACT, format!("`{path}` has no name for what {system} calls it"));
    }
    (whole && unnamed.is_empty()).then_some(ids)
}

/// `exact: [[tax_id], [name, postal_code]]`
fn identity(
    node: &Node,
    section: &Section<'_>,
    fields: &[EntityField],
    systems: usize,
    report: &mut Report,
) -> Option<Vec<Vec<String>>> {
    let section = Section::open(node, &section.name("identity"), &IDENTITY, report)?;
    let (node, name) = (section.require("exact", report)?, section.name("exact"));
    let Value::List(items) = &node.value else {
        let message = format!("`{name}` must be a list of lists of fields, found {}", node.value.kind());
        report.add(node.place, code::CONFIG_WRONG_KIND, message);
        return None;
    };
    let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let mut identities = Vec::new();
    for item in items {
        let mut whole = Vec::new();
        for (field, node) in scalar::texts(item, &name, report)? {
            let Some(found) = fields.iter().find(|known| known.name == field) else {
                let message = format!("`{field}` is no field{}", did_you_mean(field, &known));
                report.add(node.place, code::CONFIG_UNKNOWN_NAME, message);
                return None;
            };
            if found.map.len() < systems {
                let message = format!("`{field}` identifies, so each system needs a column for it");
                report.add(node.place, code::CONFIG_CONTRACT, message);
                return None;
            }
            whole.push(field.to_owned());
        }
        if whole.is_empty() {
            report.add(
                item.place,
                code::CONFIG_CONTRACT,
                format!("`{name}` has an empty list: everything would be the same"),
            );
            return None;
        }
        identities.push(whole);
    }
    Some(identities)
}

fn columns_differ(
    ids: &BTreeMap<SystemName, String>,
    fields: &[EntityField],
    place: Place,
    report: &mut Report,
) -> Option<()> {
    let mut seen = BTreeSet::from([OWN_COLUMN.to_owned()]);
    for column in ids.values().cloned().chain(fields.iter().flat_map(EntityField::columns)) {
        if seen.contains(&column) {
            report.add(place, code::CONFIG_CONTRACT, format!("two things would be called `{column}` in its events"));
            return None;
        }
        seen.insert(column);
    }
    Some(())
}
