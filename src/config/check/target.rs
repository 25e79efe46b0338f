//! `targets`: the databases that Tailwater writes, what they get, and under which names.

use super::access::{given_roles, patterns};
use super::endpoint::endpoint;
use crate::config::raw::{Node, Place};
use crate::config::report::{Report, did_you_mean};
use crate::config::scalar;
use crate::config::section::{Keys, Section, named};
use crate::config::{Passwords, Target};
use crate::model::code;
use crate::model::name::SystemName;
use crate::model::pattern::{Pattern, Selection};
use std::collections::BTreeMap;
use std::path::Path;

const KEYS: Keys = Keys {
    known: &[
        "kind", "host", "port", "user", "password", "database", "tls", "silence", "roles", "tables", "schema",
        "entities",
    ],
    later: &[],
};
const TABLES: Keys = Keys { known: &["include", "exclude"], later: &[] };
const KINDS: [&str; 3] = ["postgres", "mysql", "mariadb"];
const SCHEMA_DEFAULT: &str = "{system}";
/// PostgreSQL's `NAMEDATALEN - 1`.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// What the rest of the file says that targets refer to.
pub(super) struct Known<'a> {
    pub systems: &'a [&'a str],
    /// `None`: they could not be read.
    pub roles: Option<&'a [&'a str]>,
    pub entities: Option<&'a [&'a str]>,
    pub entitlements: bool,
}

/// Every target under its name; `None` when one of them is wrong.
pub(super) fn targets(
    node: &Node,
    known: &Known<'_>,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<BTreeMap<SystemName, Target>> {
    let mut targets = BTreeMap::new();
    let mut whole = true;
    for (name, place, node) in named(node, "targets", report)? {
        let name_checked = target_name(name, place, known.systems, report);
        let target = target(node, name, known, path, passwords, report);
        match (name_checked, target) {
            (Some(name), Some(target)) => {
                targets.insert(name.clone(), target(name));
            }
            _ => whole = false,
        }
    }
    whole.then_some(targets)
}

/// Systems and targets share one set of names: status, metrics and `verify` name either.
fn target_name(name: &str, place: Place, systems: &[&str], report: &mut Report) -> Option<SystemName> {
    if systems.contains(&name) {
        let message = format!("`{name}` is a system already; a target needs a name of its own");
        report.add(place, code::CONFIG_DUPLICATE, message);
        return None;
    }
    SystemName::new(name)
        .map_err(|wrong| report.add(place, code::CONFIG_BAD_NAME, format!("the target's name `{name}` {wrong}")))
        .ok()
}

fn target(
    node: &Node,
    name: &str,
    known: &Known<'_>,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<impl FnOnce(SystemName) -> Target + use<>> {
    let section = Section::open(node, &format!("targets.{name}"), &KEYS, report)?;
    let kind = kind(&section, report);
    let endpoint = endpoint(&section, name, path, passwords, report);
    let roles = roles(&section, known, report);
    let tables =
        section.require("tables", report).and_then(|node| selection(node, &section.name("tables"), known, report));
    let schema = schema(&section, report);
    let entities = entities(&section, known, report);
    kind?;
    let (endpoint, roles, tables, schema, entities) = (endpoint?, roles?, tables?, schema?, entities?);
    Some(move |name| Target { name, endpoint, roles, tables, schema, entities })
}

fn kind(section: &Section<'_>, report: &mut Report) -> Option<()> {
    let node = section.require("kind", report)?;
    let kind = scalar::choice(node, &section.name("kind"), &KINDS, report)?;
    if kind == "postgres" {
        return Some(());
    }
    report.add(node.place, code::CONFIG_LATER, format!("`kind: {kind}` is not in this version; it writes `postgres`"));
    None
}

/// Needed once there are entitlements: without a role a target would get nothing.
fn roles(section: &Section<'_>, known: &Known<'_>, report: &mut Report) -> Option<Vec<String>> {
    match section.get("roles") {
        Some(node) => {
            let given = given_roles(node, section, known.roles, report);
            if known.entitlements && given.as_ref().is_some_and(Vec::is_empty) {
                let message = format!("`{}` is empty: with `entitlements` only roles decide", section.name("roles"));
                report.add(node.place, code::CONFIG_NO_ROLES, message);
            }
            given
        }
        None if known.entitlements => {
            let message = format!("`{}` is missing: with `entitlements` only roles decide", section.name("roles"));
            report.add(section.place(), code::CONFIG_NO_ROLES, message);
            None
        }
        None => Some(Vec::new()),
    }
}

fn selection(node: &Node, path: &str, known: &Known<'_>, report: &mut Report) -> Option<Selection> {
    let section = Section::open(node, path, &TABLES, report)?;
    let include = section
        .require("include", report)
        .and_then(|node| patterns(node, &section.name("include"), known.systems, report));
    let exclude = section
        .get("exclude")
        .map_or(Some(Vec::new()), |node| patterns(node, &section.name("exclude"), known.systems, report));
    Some(Selection { include: include?, exclude: exclude? })
}

/// Patterns over the names of entities; each has to mean one.
fn entities(section: &Section<'_>, known: &Known<'_>, report: &mut Report) -> Option<Vec<Pattern>> {
    let Some(node) = section.get("entities") else { return Some(Vec::new()) };
    let texts = scalar::texts(node, &section.name("entities"), report)?;
    let mut whole = true;
    for (text, node) in &texts {
        let pattern = Pattern::new(text);
        if known.entities.is_some_and(|entities| !entities.iter().any(|entity| pattern.matches(entity))) {
            let hint = did_you_mean(text, known.entities.unwrap_or_default());
            report.add(node.place, code::CONFIG_UNKNOWN_NAME, format!("`{text}` is no entity of any contract{hint}"));
            whole = false;
        }
    }
    whole.then(|| texts.iter().map(|(text, _)| Pattern::new(text)).collect())
}

/// The name of the schema on the target: text with `{system}` and `{schema}` in it.
fn schema(section: &Section<'_>, report: &mut Report) -> Option<String> {
    let Some(node) = section.get("schema") else { return Some(SCHEMA_DEFAULT.to_owned()) };
    let name = section.name("schema");
    let text = scalar::text(node, &name, report)?;
    let plain = text.replace("{system}", "").replace("{schema}", "");
    let message = if plain.contains(['{', '}']) {
        format!("`{name}` knows {{system}} and {{schema}}, found {text}")
    } else if text.is_empty() || text.len() > IDENTIFIER_BYTES_MAX {
        format!("`{name}` must be from 1 to {IDENTIFIER_BYTES_MAX} bytes long")
    } else if plain.starts_with("pg_") || text == "information_schema" {
        format!("`{name}`: PostgreSQL keeps {text} for itself")
    } else {
        return Some(text.to_owned());
    };
    report.add(node.place, code::CONFIG_BAD_NAME, message);
    None
}
