//! `systems`: where each one is, how to log in, and which of its tables are captured.

use super::beside;
use crate::config::raw::{Node, Place, Value};
use crate::config::report::Report;
use crate::config::scalar;
use crate::config::section::{Keys, Section, named};
use crate::config::{Host, Passwords, PostgresSystem, System, Tls};
use crate::model::code;
use crate::model::name::SystemName;
use crate::model::pattern::{Pattern, Selection};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KEYS: Keys = Keys {
    known: &["kind", "host", "port", "user", "password", "database", "tables", "tls", "slot", "publication", "silence"],
    later: &[],
};
const TABLES: Keys = Keys { known: &["include", "exclude"], later: &[] };
const TLS: Keys = Keys { known: &["mode", "ca_file"], later: &["cert_file", "key_file"] };
const PASSWORD: Keys = Keys { known: &["env", "file"], later: &[] };

const KINDS: [&str; 3] = ["postgres", "mysql", "mariadb"];
const TLS_MODES: [&str; 2] = ["disable", "verify-full"];
const POSTGRES_PORT: u16 = 5432;
const SILENCE_DEFAULT: Duration = Duration::from_secs(30);
/// Below a second a busy server looks dead; beyond an hour a dead one looks busy.
const SILENCE_BOUNDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
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
    let host = required_text(&section, "host", report).map(host);
    let port = section
        .get("port")
        .map_or(Some(POSTGRES_PORT), |node| scalar::number(node, &section.name("port"), 1..=u16::MAX, report));
    let user = required_text(&section, "user", report);
    let password = password(&section, path, passwords, report);
    let database = required_text(&section, "database", report);
    let tables = section.require("tables", report).and_then(|node| selection(node, &section.name("tables"), report));
    let tls = tls(&section, host.as_ref(), path, report);
    let slot = identifier(&section, "slot", name, IDENTIFIER_BYTES_MAX, report);
    let publication_bytes_max = IDENTIFIER_BYTES_MAX - INSERT_ONLY_SUFFIX.len();
    let publication = identifier(&section, "publication", name, publication_bytes_max, report);
    let silence = section
        .get("silence")
        .map_or(Some(SILENCE_DEFAULT), |node| scalar::duration(node, &section.name("silence"), SILENCE_BOUNDS, report));
    kind?;
    let (host, port, user, password) = (host?, port?, user?.to_owned(), password?);
    let (database, tables, tls) = (database?.to_owned(), tables?, tls?);
    let (slot, publication, silence_max) = (slot?, publication?, silence?);
    Some(move |name| PostgresSystem {
        name,
        host,
        port,
        user,
        password,
        database,
        tables,
        tls,
        slot,
        publication,
        silence_max,
    })
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

fn required_text<'a>(section: &Section<'a>, key: &str, report: &mut Report) -> Option<&'a str> {
    let node = section.require(key, report)?;
    scalar::text(node, &section.name(key), report)
}

fn host(text: &str) -> Host {
    if text.starts_with('/') { Host::Unix(PathBuf::from(text)) } else { Host::Tcp(text.to_owned()) }
}

/// `None`: reported. `Some(None)`: none is configured, or passwords are not wanted.
fn password(
    section: &Section<'_>,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<Option<SecretString>> {
    let Some(node) = section.get("password") else { return Some(None) };
    let name = section.name("password");
    if !matches!(node.value, Value::Map(_) | Value::List(_)) {
        let message = format!("`{name}` must not stand here; write {{env: NAME}} or {{file: PATH}}");
        report.add(node.place, code::CONFIG_LITERAL_SECRET, message);
        return None;
    }
    let given = Section::open(node, &name, &PASSWORD, report)?;
    match (given.get("env"), given.get("file")) {
        (Some(node), None) => {
            let variable = scalar::text(node, &given.name("env"), report)?;
            secret(passwords.of_env(variable), node.place, report)
        }
        (None, Some(node)) => {
            let file = scalar::text(node, &given.name("file"), report)?;
            secret(passwords.of_file(&beside(path, file)), node.place, report)
        }
        _ => {
            report.add(given.place(), code::CONFIG_WRONG_VALUE, format!("`{name}` needs either `env` or `file`"));
            None
        }
    }
}

fn secret(
    found: Result<Option<SecretString>, String>,
    place: Place,
    report: &mut Report,
) -> Option<Option<SecretString>> {
    found.map_err(|missing| report.add(place, code::CONFIG_SECRET_MISSING, missing)).ok()
}

fn selection(node: &Node, path: &str, report: &mut Report) -> Option<Selection> {
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

/// `tls: MODE` or `tls: {mode: MODE, ca_file: PATH}`; by default off where nothing leaves the machine, and full elsewhere.
fn tls(section: &Section<'_>, host: Option<&Host>, path: &Path, report: &mut Report) -> Option<Tls> {
    let name = section.name("tls");
    let Some(node) = section.get("tls") else { return host.map(default_tls) };
    if !matches!(node.value, Value::Map(_)) {
        return scalar::choice(node, &name, &TLS_MODES, report).map(|mode| tls_mode(mode, None));
    }
    let given = Section::open(node, &name, &TLS, report)?;
    let mode =
        given.require("mode", report).and_then(|node| scalar::choice(node, &given.name("mode"), &TLS_MODES, report));
    let ca_file = match given.get("ca_file") {
        Some(node) => Some(beside(path, scalar::text(node, &given.name("ca_file"), report)?)),
        None => None,
    };
    if mode == Some("disable") && ca_file.is_some() {
        let message = format!("`{name}` has a ca_file but is disabled; write `mode: verify-full` to use it");
        report.add(given.place(), code::CONFIG_WRONG_VALUE, message);
        return None;
    }
    Some(tls_mode(mode?, ca_file))
}

fn tls_mode(mode: &str, ca_file: Option<PathBuf>) -> Tls {
    if mode == "disable" { Tls::Disable } else { Tls::VerifyFull { ca_file } }
}

fn default_tls(host: &Host) -> Tls {
    let stays_here = match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    };
    if stays_here { Tls::Disable } else { Tls::VerifyFull { ca_file: None } }
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
