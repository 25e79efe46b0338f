//! `sources.<system>`: the root of an entity in one system, and the tables that hang on it.

use crate::config::raw::{Node, Place, Value};
use crate::config::report::Report;
use crate::config::scalar;
use crate::config::section::{Keys, Section, join, named};
use crate::config::{EntitySource, Join};
use crate::model::code;
use crate::model::name::TableName;
use std::collections::BTreeMap;

const SOURCE: Keys = Keys { known: &["root", "join", "id_prefix"], later: &[] };
const ROOT: Keys = Keys { known: &["table", "key"], later: &[] };
const JOIN: Keys = Keys { known: &["table", "on", "only", "first_by"], later: &[] };

pub(super) fn source(node: &Node, path: &str, report: &mut Report) -> Option<EntitySource> {
    let section = Section::open(node, path, &SOURCE, report)?;
    let root = section.require("root", report).and_then(|node| root(node, &section.name("root"), report));
    let joins = section.get("join").map_or(Some(BTreeMap::new()), |node| joins(node, &section.name("join"), report));
    let id_prefix = match section.get("id_prefix") {
        Some(node) => scalar::text(node, &section.name("id_prefix"), report).map(str::to_owned),
        None => Some(String::new()),
    };
    let (root, key) = root?;
    Some(EntitySource { root, key, joins: joins?, id_prefix: id_prefix? })
}

fn root(node: &Node, path: &str, report: &mut Report) -> Option<(TableName, String)> {
    let section = Section::open(node, path, &ROOT, report)?;
    let table = section.require("table", report).and_then(|node| table(node, &section.name("table"), report));
    let key = section.require("key", report).and_then(|node| scalar::text(node, &section.name("key"), report));
    Some((table?, key?.to_owned()))
}

fn joins(node: &Node, path: &str, report: &mut Report) -> Option<BTreeMap<String, Join>> {
    let mut joins = BTreeMap::new();
    let mut whole = true;
    for (name, place, node) in named(node, path, report)? {
        let named = super::identifier(name, place, "join", report);
        match (named, one(node, &join(path, name), report)) {
            (Some(()), Some(one)) => {
                joins.insert(name.to_owned(), one);
            }
            _ => whole = false,
        }
    }
    whole.then_some(joins)
}

fn one(node: &Node, path: &str, report: &mut Report) -> Option<Join> {
    let section = Section::open(node, path, &JOIN, report)?;
    let table = section.require("table", report).and_then(|node| table(node, &section.name("table"), report));
    let on = section.require("on", report).and_then(|node| pairs(node, &section.name("on"), report));
    let only = section.get("only").map_or(Some(Vec::new()), |node| pairs(node, &section.name("only"), report));
    let first_by = match section.get("first_by") {
        Some(node) => Some(scalar::text(node, &section.name("first_by"), report)?.to_owned()),
        None => None,
    };
    Some(Join { table: table?, on: on?, only: only?, first_by })
}

/// `schema.table`, exactly.
fn table(node: &Node, name: &str, report: &mut Report) -> Option<TableName> {
    let text = scalar::text(node, name, report)?;
    match text.split_once('.') {
        Some((schema, table)) if !text.contains('*') && !schema.is_empty() && !table.is_empty() => {
            Some(TableName::new(schema, table))
        }
        _ => wrong(node.place, format!("`{name}` must be one table, as schema.table; found `{text}`"), report),
    }
}

/// Columns, and what each equals: another column, or a text.
fn pairs(node: &Node, path: &str, report: &mut Report) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for (column, _, node) in named(node, path, report)? {
        let text = match &node.value {
            Value::Integer(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            _ => scalar::text(node, &join(path, column), report)?.to_owned(),
        };
        pairs.push((column.to_owned(), text));
    }
    if pairs.is_empty() {
        return wrong(node.place, format!("`{path}` is empty"), report);
    }
    Some(pairs)
}

fn wrong<T>(place: Place, message: String, report: &mut Report) -> Option<T> {
    report.add(place, code::CONFIG_WRONG_VALUE, message);
    None
}
