//! `systems`: where each one is, how to log in, and which of its tables are captured.

use super::endpoint;
use crate::config::raw::{Node, Place, Value};
use crate::config::report::Report;
use crate::config::scalar;
use crate::config::section::{Keys, Section, named};
use crate::config::{Flavour, MysqlSystem, Passwords, PostgresSystem, System};
use crate::model::code;
use crate::model::name::SystemName;
use crate::model::pattern::{Pattern, Selection};
use std::collections::BTreeMap;
use std::path::Path;

const KEYS: Keys = Keys {
    known: &["kind", "host", "port", "user", "password", "database", "tables", "tls", "slot", "publication", "silence"],
    later: &[],
};
/// MySQL and MariaDB.
const MYSQL_KEYS: Keys = Keys {
    known: &["kind", "host", "port", "user", "password", "database", "tables", "tls", "server_id", "silence"],
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
        let system = match flavour(node) {
            Some(flavour) => mysql(node, name, flavour, path, passwords, report).map(Unnamed::Mysql),
            None => postgres(node, name, path, passwords, report).map(Unnamed::Postgres),
        };
        match (name_checked, system) {
            (Some(name), Some(Unnamed::Postgres(system))) => {
                systems.insert(name.clone(), System::Postgres(system(name)));
            }
            (Some(name), Some(Unnamed::Mysql(system))) => {
                systems.insert(name.clone(), System::Mysql(system(name)));
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
enum Unnamed<P, M> {
    Postgres(P),
    Mysql(M),
}

/// Which keys there are depends on the kind, so it is looked at first; what is wrong with it is told with the others.
fn flavour(node: &Node) -> Option<Flavour> {
    let Value::Map(entries) = &node.value else { return None };
    let (_, kind) = entries.iter().find(|(key, _)| key.text == "kind")?;
    match &kind.value {
        Value::Text(kind) if kind == "mysql" => Some(Flavour::Mysql),
        Value::Text(kind) if kind == "mariadb" => Some(Flavour::Mariadb),
        _ => None,
    }
}

fn mysql(
    node: &Node,
    name: &str,
    flavour: Flavour,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<impl FnOnce(SystemName) -> MysqlSystem> {
    let section = Section::open(node, &format!("systems.{name}"), &MYSQL_KEYS, report)?;
    let endpoint = endpoint::mysql(&section, path, passwords, report);
    let tables = section.require("tables", report).and_then(|node| selection(node, &section.name("tables"), report));
    let server_id = section.get("server_id").map_or(Some(server_id_of(name)), |node| {
        scalar::number(node, &section.name("server_id"), 1..=u32::MAX, report)
    });
    let database = match section.get("database") {
        Some(node) => Some(scalar::text(node, &section.name("database"), report)?.to_owned()),
        None => None,
    };
    let (endpoint, tables, server_id) = (endpoint?, tables?, server_id?);
    Some(move |name| MysqlSystem { name, flavour, endpoint, database, tables, server_id })
}

/// The same at every start, and far from the small numbers that people give: FNV-1a of the name, its highest bit set.
fn server_id_of(name: &str) -> u32 {
    let hash = name.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash | 1 << 31
}

fn postgres(
    node: &Node,
    name: &str,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<impl FnOnce(SystemName) -> PostgresSystem> {
    let section = Section::open(node, &format!("systems.{name}"), &KEYS, report)?;
    let kind = kind(&section, report);
    let endpoint = endpoint::endpoint(&section, name, path, passwords, report);
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
    scalar::choice(node, &section.name("kind"), &KINDS, report).map(drop)
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
