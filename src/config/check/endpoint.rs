//! How to reach a database and log in: the keys that systems and targets of every kind have in common.

use super::beside;
use crate::config::raw::{Place, Value};
use crate::config::report::Report;
use crate::config::scalar;
use crate::config::section::{Keys, Section};
use crate::config::{Host, MysqlEndpoint, Passwords, PostgresEndpoint, Tls};
use crate::model::code;
use secrecy::SecretString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TLS: Keys = Keys { known: &["mode", "ca_file"], later: &["cert_file", "key_file"] };
const PASSWORD: Keys = Keys { known: &["env", "file"], later: &[] };
const TLS_MODES: [&str; 2] = ["disable", "verify-full"];
const POSTGRES_PORT: u16 = 5432;
const MYSQL_PORT: u16 = 3306;
const SILENCE_DEFAULT: Duration = Duration::from_secs(30);
/// Below a second a busy server looks dead; beyond an hour a dead one looks busy.
const SILENCE_BOUNDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// `name`: the system's or target's. Every mistake is reported.
pub(super) fn endpoint(
    section: &Section<'_>,
    name: &str,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<PostgresEndpoint> {
    let server = server(section, POSTGRES_PORT, path, passwords, report);
    let database = required_text(section, "database", report);
    let MysqlEndpoint { host, port, user, password, tls, silence_max } = server?;
    Some(PostgresEndpoint {
        application: format!("tailwater/{name}"),
        host,
        port,
        user,
        password,
        database: database?.to_owned(),
        tls,
        silence_max,
    })
}

/// A MySQL or MariaDB server, whose databases are named in the patterns.
pub(super) fn mysql(
    section: &Section<'_>,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<MysqlEndpoint> {
    server(section, MYSQL_PORT, path, passwords, report)
}

fn server(
    section: &Section<'_>,
    port_default: u16,
    path: &Path,
    passwords: Passwords<'_>,
    report: &mut Report,
) -> Option<MysqlEndpoint> {
    let host = required_text(section, "host", report).map(host);
    let port = section
        .get("port")
        .map_or(Some(port_default), |node| scalar::number(node, &section.name("port"), 1..=u16::MAX, report));
    let user = required_text(section, "user", report);
    let password = password(section, path, passwords, report);
    let tls = tls(section, host.as_ref(), path, report);
    let silence = section
        .get("silence")
        .map_or(Some(SILENCE_DEFAULT), |node| scalar::duration(node, &section.name("silence"), SILENCE_BOUNDS, report));
    Some(MysqlEndpoint {
        host: host?,
        port: port?,
        user: user?.to_owned(),
        password: password?,
        tls: tls?,
        silence_max: silence?,
    })
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
