//! `fields`: who owns each, where each system keeps it, and how it is written.

use super::{SENSITIVITY, identifier, known_system};
use crate::config::check::entitlement::word;
use crate::config::raw::{Node, Value};
use crate::config::report::{Report, did_you_mean};
use crate::config::scalar;
use crate::config::section::{Keys, Section, join, named};
use crate::config::{EntityField, EntitySource, MappedColumn, Mapping, Normalise, Part, Sensitivity};
use crate::model::code;
use crate::model::name::SystemName;
use std::collections::{BTreeMap, BTreeSet};

const FIELD: Keys = Keys {
    known: &["owner", "map", "normalise", "sensitivity", "tags"],
    later: &["type", "shared", "group", "reference"],
};
const NORMALISE: [(&str, Normalise); 5] = [
    ("nfkc", Normalise::Nfkc),
    ("collapse_whitespace", Normalise::CollapseWhitespace),
    ("lowercase", Normalise::Lowercase),
    ("uppercase", Normalise::Uppercase),
    ("alphanumeric", Normalise::Alphanumeric),
];

type Sources<'a> = Option<&'a BTreeMap<SystemName, EntitySource>>;

pub(super) fn fields(
    node: &Node,
    path: &str,
    systems: &[&str],
    sources: Sources<'_>,
    report: &mut Report,
) -> Option<Vec<EntityField>> {
    let mut fields = Vec::new();
    let mut whole = true;
    for (name, place, node) in named(node, path, report)? {
        let named = identifier(name, place, "field", report);
        match (named, field(name, node, &join(path, name), systems, sources, report)) {
            (Some(()), Some(field)) => fields.push(field),
            _ => whole = false,
        }
    }
    whole.then_some(fields)
}

fn field(
    name: &str,
    node: &Node,
    path: &str,
    systems: &[&str],
    sources: Sources<'_>,
    report: &mut Report,
) -> Option<EntityField> {
    let section = Section::open(node, path, &FIELD, report)?;
    let owner = section.require("owner", report).and_then(|node| {
        let owner = scalar::text(node, &section.name("owner"), report)?;
        known_system(owner, node.place, systems, report)
    });
    let map = section.require("map", report).and_then(|node| map(node, &section.name("map"), systems, sources, report));
    let normalise = words(&section, "normalise", &NORMALISE, report);
    let sensitivity = sensitivity(&section, report);
    let tags = tags(&section, report);
    let (owner, map) = (owner?, map?);
    let Some(parts) = map.get(&owner) else {
        let message = format!("{owner} owns `{name}`, so it needs a column there");
        report.add(section.place(), code::CONFIG_CONTRACT, message);
        return None;
    };
    let owned: BTreeSet<_> = parts.iter().map(|part| &part.name).collect();
    for (system, parts) in &map {
        if let Some(part) = parts.iter().find(|part| !owned.contains(&part.name)) {
            let what = part.name.as_deref().map_or("the whole".to_owned(), |part| format!("`{part}`"));
            let message = format!("{system} has {what} of `{name}`, for which its owner {owner} has no column");
            report.add(section.place(), code::CONFIG_CONTRACT, message);
            return None;
        }
    }
    Some(EntityField {
        name: name.to_owned(),
        owner,
        map,
        normalise: normalise?,
        sensitivity: sensitivity?,
        tags: tags?,
    })
}

fn map(
    node: &Node,
    path: &str,
    systems: &[&str],
    sources: Sources<'_>,
    report: &mut Report,
) -> Option<BTreeMap<SystemName, Mapping>> {
    let mut map = BTreeMap::new();
    let mut whole = true;
    for (name, place, node) in named(node, path, report)? {
        let system = known_system(name, place, systems, report);
        let source = system.as_ref().and_then(|system| sources?.get(system));
        match (system, mapping(node, &join(path, name), source, report)) {
            (Some(system), Some(mapping)) => {
                map.insert(system, mapping);
            }
            _ => whole = false,
        }
    }
    whole.then_some(map)
}

/// `name`, `vat.code`, or a section with a column for each part.
fn mapping(node: &Node, path: &str, source: Option<&EntitySource>, report: &mut Report) -> Option<Mapping> {
    let Value::Map(_) = &node.value else {
        return Some(vec![Part { name: None, column: column(node, path, source, report)? }]);
    };
    let mut parts = Vec::new();
    for (name, place, node) in named(node, path, report)? {
        identifier(name, place, "part", report)?;
        parts.push(Part { name: Some(name.to_owned()), column: column(node, &join(path, name), source, report)? });
    }
    if parts.is_empty() {
        report.add(node.place, code::CONFIG_CONTRACT, format!("`{path}` has no parts"));
        return None;
    }
    Some(parts)
}

fn column(node: &Node, path: &str, source: Option<&EntitySource>, report: &mut Report) -> Option<MappedColumn> {
    let text = scalar::text(node, path, report)?;
    let Some((name, column)) = text.split_once('.') else {
        return Some(MappedColumn { join: None, column: text.to_owned() });
    };
    if let Some(source) = source.filter(|source| !source.joins.contains_key(name)) {
        let known: Vec<&str> = source.joins.keys().map(String::as_str).collect();
        let message = format!("`{text}`: there is no join `{name}`{}", did_you_mean(name, &known));
        report.add(node.place, code::CONFIG_UNKNOWN_NAME, message);
        return None;
    }
    Some(MappedColumn { join: Some(name.to_owned()), column: column.to_owned() })
}

fn sensitivity(section: &Section<'_>, report: &mut Report) -> Option<Sensitivity> {
    match section.get("sensitivity") {
        Some(node) => word(node, &section.name("sensitivity"), &SENSITIVITY, report),
        None => Some(Sensitivity::Internal),
    }
}

fn tags(section: &Section<'_>, report: &mut Report) -> Option<Vec<String>> {
    let Some(node) = section.get("tags") else { return Some(Vec::new()) };
    let tags = scalar::texts(node, &section.name("tags"), report)?;
    tags.into_iter().map(|(tag, node)| identifier(tag, node.place, "tag", report).map(|()| tag.to_owned())).collect()
}

fn words<T: Copy>(section: &Section<'_>, key: &str, known: &[(&str, T)], report: &mut Report) -> Option<Vec<T>> {
    let Some(node) = section.get(key) else { return Some(Vec::new()) };
    let texts = scalar::texts(node, &section.name(key), report)?;
    texts.into_iter().map(|(_, node)| word(node, &section.name(key), known, report)).collect()
}
