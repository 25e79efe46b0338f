//! From what the file says to [`Config`]: every key checked, every default filled in, every mistake reported.
//!
//! Does no I/O but through [`Passwords`]. Each check gives `None` once it has reported, so that one mistake is told once
//! and its neighbours are still looked at.

mod access;
mod endpoint;
mod limits;
mod system;
mod target;

use super::raw::Node;
use super::report::Report;
use super::scalar;
use super::section::{Keys, Section};
use super::{Config, Passwords};
use crate::model::code;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const KEYS: Keys = Keys {
    known: &[
        "version",
        "data_dir",
        "lock_file",
        "systems",
        "roles",
        "entitlements",
        "subjects",
        "targets",
        "server",
        "retention",
        "journal",
    ],
    later: &["contracts", "validation", "reference"],
};

/// The only version of the format so far.
const VERSION: i64 = 1;

/// `path`: the file that `root` was read from; relative paths in it start beside it.
pub(super) fn check(root: &Node, path: &Path, passwords: Passwords<'_>, report: &mut Report) -> Option<Config> {
    let file = Section::open(root, "", &KEYS, report)?;
    version(&file, report);
    let data_dir = file.require("data_dir", report).and_then(|node| scalar::text(node, "data_dir", report));
    let lock_file = file.get("lock_file").map(|node| scalar::text(node, "lock_file", report));
    let systems = file.require("systems", report).and_then(|node| system::systems(node, path, passwords, report));
    let names: Vec<&str> = systems.iter().flatten().map(|(name, _)| name.as_str()).collect();
    let access = access::access(&file, &names, report);
    let targets = match file.get("targets") {
        Some(node) => {
            let roles: Option<Vec<&str>> =
                access.as_ref().map(|access| access.roles.iter().map(String::as_str).collect());
            let entitlements = file.get("entitlements").is_some();
            let known = target::Known { systems: &names, roles: roles.as_deref(), entitlements };
            target::targets(node, &known, path, passwords, report)
        }
        None => Some(BTreeMap::new()),
    };
    let server = limits::server(file.get("server"), report);
    let retention = limits::retention(file.get("retention"), report);
    let journal = limits::journal(file.get("journal"), report);
    Some(Config {
        path: path.to_owned(),
        data_dir: beside(path, data_dir?),
        lock_file: match lock_file {
            Some(given) => beside(path, given?),
            None => path.with_extension("lock"),
        },
        systems: systems?,
        access: access?,
        targets: targets?,
        server: server?,
        retention: retention?,
        journal: journal?,
    })
}

fn version(file: &Section<'_>, report: &mut Report) {
    let Some(node) = file.require("version", report) else { return };
    if node.value != super::raw::Value::Integer(VERSION.into()) {
        report.add(node.place, code::CONFIG_VERSION, format!("this Tailwater reads `version: {VERSION}`"));
    }
}

/// `given` as it stands beside the configuration file; an absolute path stays as it is.
fn beside(path: &Path, given: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(given)
}
