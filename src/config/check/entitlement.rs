//! `entitlements`: which rows and which fields a role may see.

use super::access::{known_role, patterns};
use super::contract::SENSITIVITY;
use super::predicate;
use crate::config::predicate::Predicate;
use crate::config::raw::{Node, Value};
use crate::config::report::{Report, did_you_mean};
use crate::config::scalar;
use crate::config::section::{Keys, Section, join, named};
use crate::config::{Columns, EntitledTo, Entitlement, Entity, Mask, Masked, Sensitivity};
use crate::model::code;
use crate::model::pattern::{Pattern, Selection};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ENTITLEMENT: Keys =
    Keys { known: &["role", "tables", "columns", "entity", "rows", "max_sensitivity", "mask"], later: &[] };
const COLUMNS: [&str; 2] = ["owned", "all"];
const MASKS: [(&str, Mask); 2] = [("omit", Mask::Omit), ("null", Mask::Null)];
const TAG: &str = "tag:";

/// What else the file defines. `None`: it could not be read.
pub(super) struct Known<'a> {
    pub systems: &'a [&'a str],
    pub roles: Option<&'a [&'a str]>,
    pub entities: Option<&'a BTreeMap<String, Arc<Entity>>>,
}

impl Known<'_> {
    fn entities(&self) -> impl Iterator<Item = &Entity> {
        self.entities.into_iter().flat_map(BTreeMap::values).map(|entity| &**entity)
    }

    /// The entities that a pattern means.
    fn meant(&self, pattern: &Pattern) -> Vec<&Entity> {
        self.entities().filter(|entity| pattern.matches(&entity.name)).collect()
    }
}

pub(super) fn entitlements(node: &Node, known: &Known<'_>, report: &mut Report) -> Option<Vec<Entitlement>> {
    let Value::List(items) = &node.value else {
        let message = format!("`entitlements` must be a list, found {}", node.value.kind());
        report.add(node.place, code::CONFIG_WRONG_KIND, message);
        return None;
    };
    let checked: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(index, item)| entitlement(item, &format!("entitlements[{index}]"), known, report))
        .collect();
    checked.into_iter().collect()
}

fn entitlement(node: &Node, path: &str, known: &Known<'_>, report: &mut Report) -> Option<Entitlement> {
    let section = Section::open(node, path, &ENTITLEMENT, report)?;
    let role = section.require("role", report).and_then(|node| {
        let role = scalar::text(node, &section.name("role"), report)?;
        known_role(role, node.place, known.roles, report).map(|()| role.to_owned())
    });
    let of = of(&section, known, report);
    let rows = rows(&section, of.as_ref(), known, report);
    let max_sensitivity = max_sensitivity(&section, of.as_ref(), report);
    let mask = mask(&section, of.as_ref(), known, report);
    Some(Entitlement { role: role?, of: of?, rows: rows?, max_sensitivity: max_sensitivity?, mask: mask? })
}

fn of(section: &Section<'_>, known: &Known<'_>, report: &mut Report) -> Option<EntitledTo> {
    match (section.get("tables"), section.get("entity")) {
        (Some(node), None) => {
            let tables = patterns(node, &section.name("tables"), known.systems, report);
            let columns = columns(section, known, report);
            let tables = Selection { include: tables?, exclude: Vec::new() };
            Some(EntitledTo::Tables { tables, columns: columns? })
        }
        (None, Some(node)) => {
            if let Some(node) = section.get("columns") {
                let message = format!("`{}` is of tables; an entity has fields", section.name("columns"));
                report.add(node.place, code::CONFIG_WRONG_VALUE, message);
            }
            entity(node, section, known, report).map(EntitledTo::Entity)
        }
        _ => {
            let message =
                format!("`{}` or `{}` is needed, and one of them only", section.name("tables"), section.name("entity"));
            report.add(section.place(), code::CONFIG_MISSING_KEY, message);
            None
        }
    }
}

fn entity(node: &Node, section: &Section<'_>, known: &Known<'_>, report: &mut Report) -> Option<Pattern> {
    let text = scalar::text(node, &section.name("entity"), report)?;
    let pattern = Pattern::new(text);
    if known.entities.is_some() && known.meant(&pattern).is_empty() {
        let names: Vec<&str> = known.entities().map(|entity| entity.name.as_str()).collect();
        let message = format!("`{text}` is no entity of any contract{}", did_you_mean(text, &names));
        report.add(node.place, code::CONFIG_UNKNOWN_NAME, message);
        return None;
    }
    Some(pattern)
}

/// Without contracts nobody owns anything, so a raw copy must be written out.
fn columns(section: &Section<'_>, known: &Known<'_>, report: &mut Report) -> Option<Columns> {
    let name = section.name("columns");
    let no_contracts = known.entities.is_some_and(BTreeMap::is_empty);
    match section.get("columns") {
        Some(node) => match scalar::choice(node, &name, &COLUMNS, report)? {
            "owned" if no_contracts => {
                let message = format!("`{name}: owned`, and there are no `contracts` that say who owns what");
                report.add(node.place, code::CONFIG_CONTRACT, message);
                None
            }
            "owned" => Some(Columns::Owned),
            _ => Some(Columns::All),
        },
        None if no_contracts => {
            let message = format!("`{name}` is missing: a raw copy must be written out, `columns: all`");
            report.add(section.place(), code::CONFIG_RAW_COPY, message);
            None
        }
        None => Some(Columns::Owned),
    }
}

fn rows(
    section: &Section<'_>,
    of: Option<&EntitledTo>,
    known: &Known<'_>,
    report: &mut Report,
) -> Option<Option<Predicate>> {
    let Some(node) = section.get("rows") else { return Some(None) };
    let name = section.name("rows");
    let text = scalar::text(node, &name, report)?;
    let predicate = match predicate::parse(text) {
        Ok(predicate) => predicate,
        Err(why) => {
            report.add(node.place, code::CONFIG_WRONG_VALUE, format!("`{name}`: {why}"));
            return None;
        }
    };
    if let Some(EntitledTo::Entity(pattern)) = of {
        for entity in known.meant(pattern) {
            let columns = columns_of(entity);
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            if let Some(unknown) = predicate.columns().into_iter().find(|column| !columns.contains(column)) {
                let message =
                    format!("`{name}`: {} has no `{unknown}`{}", entity.name, did_you_mean(unknown, &columns));
                report.add(node.place, code::CONFIG_UNKNOWN_NAME, message);
                return None;
            }
        }
    }
    Some(Some(predicate))
}

/// What a predicate may look at.
fn columns_of(entity: &Entity) -> BTreeSet<String> {
    entity.ids.values().cloned().chain(entity.fields.iter().flat_map(crate::config::EntityField::columns)).collect()
}

fn max_sensitivity(section: &Section<'_>, of: Option<&EntitledTo>, report: &mut Report) -> Option<Sensitivity> {
    let Some(node) = section.get("max_sensitivity") else { return Some(Sensitivity::Internal) };
    let name = section.name("max_sensitivity");
    if let Some(EntitledTo::Tables { columns: Columns::All, .. }) = of {
        let message =
            format!("`{name}`: with `columns: all` there are columns that no contract classifies; use `owned`");
        report.add(node.place, code::CONFIG_CONTRACT, message);
        return None;
    }
    word(node, &name, &SENSITIVITY, report)
}

fn mask(
    section: &Section<'_>,
    of: Option<&EntitledTo>,
    known: &Known<'_>,
    report: &mut Report,
) -> Option<Vec<(Masked, Mask)>> {
    let Some(node) = section.get("mask") else { return Some(Vec::new()) };
    let path = section.name("mask");
    let mut masks = Vec::new();
    let mut whole = true;
    for (name, place, node) in named(node, &path, report)? {
        let masked = match name.strip_prefix(TAG) {
            Some(tag) => {
                let tags: BTreeSet<&str> = known
                    .entities()
                    .flat_map(|entity| &entity.fields)
                    .flat_map(|field| &field.tags)
                    .map(String::as_str)
                    .collect();
                let tags: Vec<&str> = tags.into_iter().collect();
                if known.entities.is_some() && !tags.contains(&tag) {
                    let message = format!("`{tag}` is no tag of any field{}", did_you_mean(tag, &tags));
                    report.add(place, code::CONFIG_UNKNOWN_NAME, message);
                    whole = false;
                }
                Masked::Tag(tag.to_owned())
            }
            None => {
                if let Some(EntitledTo::Entity(pattern)) = of {
                    let meant = known.meant(pattern);
                    let fields = meant.iter().flat_map(|entity| &entity.fields).map(|field| field.name.as_str());
                    let ids = meant.iter().flat_map(|entity| entity.ids.values()).map(String::as_str);
                    let names: Vec<&str> = fields.chain(ids).collect();
                    if known.entities.is_some() && !names.contains(&name) {
                        let message = format!("`{name}` is no field{}", did_you_mean(name, &names));
                        report.add(place, code::CONFIG_UNKNOWN_NAME, message);
                        whole = false;
                    }
                }
                Masked::Name(name.to_owned())
            }
        };
        match word(node, &join(&path, name), &MASKS, report) {
            Some(mask) => masks.push((masked, mask)),
            None => whole = false,
        }
    }
    whole.then_some(masks)
}

/// One of a few words that each mean something. A `null` without quotes is the word, too.
pub(super) fn word<T: Copy>(node: &Node, name: &str, known: &[(&str, T)], report: &mut Report) -> Option<T> {
    let text = if node.value == Value::Null { "null" } else { scalar::text(node, name, report)? };
    let found = known.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let message = format!("`{name}` cannot be `{text}`{}", did_you_mean(text, &words));
        report.add(node.place, code::CONFIG_WRONG_VALUE, message);
    }
    found
}
