//! `systems`: where each one is, how to log in, and which of its tables are captured.

use super::endpoint::endpoint;
use crate::config::raw::{Node, Place};
use crate::config::report::Report;
use crate::config::scalar;
use crate::config::section::{Keys, Section, named};
use crate::config::{Passwords, PostgresSystem, System};
use crate::model::code;
use crate::model::name::SystemName;
use crate::model::pattern::{Pattern, Selection};
use std::collections::BTreeMap;
use std::path::Path;

const KEYS: Keys = Keys {
    known: &["kind", "host", "port", "user", "password", "database", "tables", "tls", "slot", "publication", "silence"],
    later: &[],
};
const TABLES: Keys = Keys { known: &["include", "exclude"], later: &[] };

const KINDS: [&str; 3] = ["postgres", "mysql", "mariadb"];
/// PostgreSQL's `NAMEDATALEN - 1`.
const IDENTIFIER_BYTES_MAX: usize = 63;
const INSERT_ONLY_SUFFIX: &str = "_insert_only";

/// Every system under its name; `None` when one of them is wrong.
pub(super) fn systems(
    node: &Node,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<BTreeMap<SystemName, System>> {
    let entries = named(node, "systems", report)?;
    if entries.is_empty() {
        report.add(node.place, code::CONFIG_NOTHING_SELECTED, "`systems` is empty: there is nothing to read");
        return None;
    }
    let mut systems = BTreeMap::new();
    let mut whole = true;
    for (name, place, node) in entries {
        let name_checked = system_name(name, place, report);
        let postgres = postgres(node, name, path, passwords, report);
        match (name_checked, postgres) {
            (Some(name), Some(postgres)) => {
                let postgres = postgres(name.clone());
                systems.insert(name, System::Postgres(postgres));
            }
            _ => whole = false,
        }
    }
    whole.then_some(systems)
}

fn system_name(name: &str, place: Place, report: &mut Report) -> Option<SystemName> {
    SystemName::new(name)
        .map_err(|wrong| report.add(place, code::CONFIG_BAD_NAME, format!("the system's name `{name}` {wrong}")))
        .ok()
}

/// All but the name, which is checked beside it so that both are reported.
fn postgres(
    node: &Node,
    name: &str,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<impl FnOnce(SystemName) -> PostgresSystem> {
    let section = Section::open(node, &format!("systems.{name}"), &KEYS, report)?;
    let kind = kind(&section, report);
    let endpoint = endpoint(&section, name, path, passwords, report);
    let tables = section.require("tables", report).and_then(|node| selection(node, &section.name("tables"), report));
    let slot = identifier(&section, "slot", name, IDENTIFIER_BYTES_MAX, report);
    let publication_bytes_max = IDENTIFIER_BYTES_MAX - INSERT_ONLY_SUFFIX.len();
    let publication = identifier(&section, "publication", name, publication_bytes_max, report);
    kind?;
    let (endpoint, tables, slot, publication) = (endpoint?, tables?, slot?, publication?);
    Some(move |name| PostgresSystem { name, endpoint, tables, slot, publication })
}

fn kind(section: &Section<'_>, report: &mut Report) -> Option<()> {
    let node = section.require("kind", report)?;
    let kind = scalar::choice(node, &section.name("kind"), &KINDS, report)?;
    if kind == "postgres" {
        return Some(());
    }
    report.add(node.place, code::CONFIG_LATER, format!("`kind: {kind}` is not in this version; it reads `postgres`"));
    None
}

pub(super) fn selection(node: &Node, path: &str, report: &mut Report) -> Option<Selection> {
    let section = Section::open(node, path, &TABLES, report)?;
    let include = section.require("include", report).and_then(|node| patterns(node, &section.name("include"), report));
    let exclude =
        section.get("exclude").map_or(Some(Vec::new()), |node| patterns(node, &section.name("exclude"), report));
    let (include, exclude) = (include?, exclude?);
    if include.is_empty() {
        let message = format!("`{}` is empty: no table would be captured", section.name("include"));
        report.add(section.place(), code::CONFIG_NOTHING_SELECTED, message);
        return None;
    }
    Some(Selection { include, exclude })
}

/// Patterns over `schema.table`.
fn patterns(node: &Node, name: &str, report: &mut Report) -> Option<Vec<Pattern>> {
    let mut whole = true;
    let texts = scalar::texts(node, name, report)?;
    for (text, node) in &texts {
        if !text.contains(['.', '*']) {
            let message = format!("`{text}` matches no table: names are schema.table, did you mean `public.{text}`?");
            report.add(node.place, code::CONFIG_NOTHING_SELECTED, message);
            whole = false;
        }
    }
    whole.then(|| texts.iter().map(|(text, _)| Pattern::new(text)).collect())
}

/// A replication slot's or publication's name. PostgreSQL allows slots `[a-z0-9_]`; we hold publications to the same.
fn identifier(section: &Section<'_>, key: &str, system: &str, bytes_max: usize, report: &mut Report) -> Option<String> {
    let Some(node) = section.get(key) else { return Some(format!("tailwater_{system}")) };
    let text = scalar::text(node, &section.name(key), report)?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.len() <= bytes_max && text.chars().all(allowed) {
        return Some(text.to_owned());
    }
    let message =
        format!("`{}` must be at most {bytes_max} lower-case letters, digits and underscores", section.name(key));
    report.add(node.place, code::CONFIG_BAD_NAME, message);
    None
}
