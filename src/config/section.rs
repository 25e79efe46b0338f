//! A section of the file under examination: which keys it may have, which it must have, and what it has.

use super::raw::{Node, Place, Value};
use super::report::{Report, did_you_mean, nearest};
use crate::model::code;
use std::collections::{BTreeMap, BTreeSet};

/// The keys that a section knows.
pub(super) struct Keys {
    pub known: &'static [&'static str],
    /// Reserved: they have a meaning, in a version to come. Refused, because ignoring one would be lying.
    pub later: &'static [&'static str],
}

/// A section whose keys are all known and given once.
pub(super) struct Section<'a> {
    /// `systems.erp`; empty for the whole file.
    path: String,
    place: Place,
    entries: BTreeMap<&'a str, &'a Node>,
    /// Keys that a misspelt one probably means: not reported as missing too.
    meant: BTreeSet<&'static str>,
}

impl<'a> Section<'a> {
    /// Reports unknown, reserved and repeated keys. `None` when there is no section here at all.
    pub fn open(node: &'a Node, path: &str, keys: &Keys, report: &mut Report) -> Option<Self> {
        let mut entries = BTreeMap::new();
        let mut meant = BTreeSet::new();
        for (name, place, value) in named(node, path, report)? {
            if keys.later.contains(&name) {
                report.add(place, code::CONFIG_LATER, format!("`{}` is not in this version", join(path, name)));
            } else if keys.known.contains(&name) {
                entries.insert(name, value);
            } else {
                meant.extend(nearest(name, keys.known));
                let hint = did_you_mean(name, keys.known);
                report.add(place, code::CONFIG_UNKNOWN_KEY, format!("unknown key `{}`{hint}", join(path, name)));
            }
        }
        Some(Self { path: path.to_owned(), place: node.place, entries, meant })
    }

    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries.get(key).copied()
    }

    /// Reports the key as missing when it is.
    pub fn require(&self, key: &str, report: &mut Report) -> Option<&'a Node> {
        let node = self.get(key);
        if node.is_none() && !self.meant.contains(key) {
            report.add(self.place, code::CONFIG_MISSING_KEY, format!("`{}` is missing", self.name(key)));
        }
        node
    }

    /// The key's full name for messages.
    pub fn name(&self, key: &str) -> String {
        join(&self.path, key)
    }

    pub fn place(&self) -> Place {
        self.place
    }
}

/// The entries of a section whose keys are names that people choose. Reports names given twice; the first one stays.
pub(super) fn named<'a>(node: &'a Node, path: &str, report: &mut Report) -> Option<Vec<(&'a str, Place, &'a Node)>> {
    let Value::Map(entries) = &node.value else {
        let what = if path.is_empty() { "the file" } else { path };
        report.add(
            node.place,
            code::CONFIG_WRONG_KIND,
            format!("{what} must be a section of keys, found {}", node.value.kind()),
        );
        return None;
    };
    let mut first: BTreeMap<&str, Place> = BTreeMap::new();
    let mut kept = Vec::new();
    for (key, value) in entries {
        if let Some(earlier) = first.get(key.text.as_str()) {
            let message = format!("`{}` was given before, in line {}", join(path, &key.text), earlier.line);
            report.add(key.place, code::CONFIG_DUPLICATE, message);
        } else {
            first.insert(&key.text, key.place);
            kept.push((key.text.as_str(), key.place, value));
        }
    }
    Some(kept)
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
