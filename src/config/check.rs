//! From what the file says to [`Config`]: every key checked, every default filled in, every mistake reported.
//!
//! Does no I/O but through [`Passwords`]. Each check gives `None` once it has reported, so that one mistake is told once
//! and its neighbours are still looked at.

mod access;
mod contract;
mod endpoint;
mod entitlement;
mod limits;
mod predicate;
mod system;
mod target;

use super::raw::Node;
use super::report::Report;
use super::scalar;
use super::section::{Keys, Section};
use super::{Access, Config, Passwords, Target};
use crate::model::code;
use crate::model::name::SystemName;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const KEYS: Keys = Keys {
    known: &[
        "version",
        "data_dir",
        "lock_file",
        "systems",
        "contracts",
        "roles",
        "entitlements",
        "subjects",
        "targets",
        "server",
        "retention",
        "journal",
    ],
    later: &["validation", "reference"],
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
    let entities = match file.get("contracts") {
        Some(node) => contract::contracts(node, path, systems.as_ref(), report),
        None => Some(BTreeMap::new()),
    };
    let access = access::access(&file, &names, entities.as_ref(), report);
    let targets = match file.get("targets") {
        Some(node) => {
            let roles: Option<Vec<&str>> =
                access.as_ref().map(|access| access.roles.iter().map(String::as_str).collect());
            let entitlements = file.get("entitlements").is_some();
            let entities: Option<Vec<&str>> =
                entities.as_ref().map(|entities| entities.keys().map(String::as_str).collect());
            let known =
                target::Known { systems: &names, roles: roles.as_deref(), entities: entities.as_deref(), entitlements };
            let targets = target::targets(node, &known, path, passwords, report);
            if let (Some(targets), Some(access)) = (&targets, &access) {
                without_attributes(node, targets, access, report);
            }
            targets
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

/// A target has roles and no attributes, so none of its roles may need one.
fn without_attributes(node: &Node, targets: &BTreeMap<SystemName, Target>, access: &Access, report: &mut Report) {
    for target in targets.values() {
        let entitlements = access.entitlements.iter().flatten();
        let own = entitlements.filter(|entitlement| target.roles.contains(&entitlement.role));
        for entitlement in own.filter(|own| own.rows.as_ref().is_some_and(|rows| !rows.attributes().is_empty())) {
            let (name, role) = (&target.name, &entitlement.role);
            let message = format!("the target `{name}` has no attributes, which the rows of its role {role} need");
            report.add(node.place, code::CONFIG_NO_ROLES, message);
        }
    }
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
