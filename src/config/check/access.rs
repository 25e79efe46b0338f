//! `roles`, `entitlements` and `subjects`: who may come in and what they may see.

use super::entitlement::{self, Known};
use crate::config::predicate::{Literal, Predicate};
use crate::config::raw::{Node, Place, Value};
use crate::config::report::{Report, did_you_mean};
use crate::config::scalar;
use crate::config::section::{Keys, Section, join, named};
use crate::config::{Access, Entitlement, Entity, Subject};
use crate::model::code;
use crate::model::pattern::Pattern;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SUBJECT: Keys = Keys { known: &["roles", "attributes", "token_hash"], later: &[] };
/// Names that the server uses itself.
const SUBJECTS_RESERVED: [&str; 1] = ["operator"];
const NAME_CHARS_MAX: usize = 64;

/// `systems`: the names that patterns may start with.
pub(super) fn access(
    file: &Section<'_>,
    systems: &[&str],
    entities: Option<&BTreeMap<String, Arc<Entity>>>,
    report: &mut Report,
) -> Option<Access> {
    let roles = file.get("roles").map_or(Some(Vec::new()), |node| roles(node, report));
    // With roles that could not be read, every mention of one would be a false alarm.
    let known: Option<Vec<&str>> = roles.as_ref().map(|roles| roles.iter().map(String::as_str).collect());
    let known = known.as_deref();
    let entitlements = match file.get("entitlements") {
        Some(node) => entitlement::entitlements(node, &Known { systems, roles: known, entities }, report).map(Some),
        None => Some(None),
    };
    let roles_needed = file.get("entitlements").is_some();
    let subjects = match file.get("subjects") {
        Some(node) => subjects(node, known, report),
        None => Some(BTreeMap::new()),
    };
    if roles_needed {
        without_roles(file.get("subjects"), subjects.as_ref(), report);
    }
    if let (Some(Some(entitlements)), Some(subjects)) = (&entitlements, &subjects) {
        without_attributes(file.get("subjects"), subjects, entitlements, report);
    }
    let entities = Arc::new(entities?.clone());
    Some(Access { roles: roles?, entitlements: entitlements?, entities, subjects: subjects? })
}

fn roles(node: &Node, report: &mut Report) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut whole = true;
    let roles = scalar::texts(node, "roles", report)?;
    for (role, node) in &roles {
        whole &= name(role, node.place, "role", report).is_some();
        if !seen.insert(*role) {
            report.add(node.place, code::CONFIG_DUPLICATE, format!("the role `{role}` was given before"));
            whole = false;
        }
    }
    whole.then(|| roles.iter().map(|(role, _)| (*role).to_owned()).collect())
}

fn name(name: &str, place: Place, what: &str, report: &mut Report) -> Option<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(allowed) {
        return Some(());
    }
    let message = format!("the {what} `{name}` must be at most {NAME_CHARS_MAX} letters, digits and any of - _ .");
    report.add(place, code::CONFIG_BAD_NAME, message);
    None
}

pub(super) fn known_role(role: &str, place: Place, known: Option<&[&str]>, report: &mut Report) -> Option<()> {
    let Some(known) = known else { return Some(()) };
    if known.contains(&role) {
        return Some(());
    }
    let hint = did_you_mean(role, known);
    report.add(place, code::CONFIG_UNKNOWN_ROLE, format!("`roles` has no role `{role}`{hint}"));
    None
}

/// Patterns over `system.schema.table`. One whose first part names no system is a slip.
pub(super) fn patterns(node: &Node, name: &str, systems: &[&str], report: &mut Report) -> Option<Vec<Pattern>> {
    let texts = scalar::texts(node, name, report)?;
    let mut whole = true;
    for (text, node) in &texts {
        let system = text.split('.').next().unwrap_or_default();
        // With systems that could not be read, no name can be called unknown.
        let unknown = !systems.is_empty() && !system.contains('*') && !systems.contains(&system);
        if unknown {
            let hint = did_you_mean(system, systems);
            let message = format!("`{text}` matches no table: `{system}` is no system{hint}");
            report.add(node.place, code::CONFIG_NOTHING_SELECTED, message);
            whole = false;
        }
    }
    whole.then(|| texts.iter().map(|(text, _)| Pattern::new(text)).collect())
}

fn subjects(node: &Node, roles: Option<&[&str]>, report: &mut Report) -> Option<BTreeMap<String, Subject>> {
    let mut subjects = BTreeMap::new();
    let mut hashes: BTreeMap<[u8; 32], &str> = BTreeMap::new();
    let mut whole = true;
    for (name, place, node) in named(node, "subjects", report)? {
        let Some(subject) = subject(name, place, node, roles, report) else {
            whole = false;
            continue;
        };
        if let Some(other) = hashes.insert(subject.token_hash, name) {
            let message = format!("the subjects `{other}` and `{name}` have the same token");
            report.add(place, code::CONFIG_DUPLICATE, message);
        }
        subjects.insert(name.to_owned(), subject);
    }
    whole.then_some(subjects)
}

fn subject(subject: &str, place: Place, node: &Node, roles: Option<&[&str]>, report: &mut Report) -> Option<Subject> {
    let name_checked = name(subject, place, "subject", report).and_then(|()| not_reserved(subject, place, report));
    let section = Section::open(node, &format!("subjects.{subject}"), &SUBJECT, report)?;
    let given = section.get("roles").map_or(Some(Vec::new()), |node| given_roles(node, &section, roles, report));
    let attributes = match section.get("attributes") {
        Some(node) => attributes(node, &section.name("attributes"), report),
        None => Some(BTreeMap::new()),
    };
    let token_hash =
        section.require("token_hash", report).and_then(|node| token_hash(node, &section.name("token_hash"), report));
    name_checked?;
    Some(Subject { name: subject.to_owned(), roles: given?, attributes: attributes?, token_hash: token_hash? })
}

/// Values, or lists of values.
fn attributes(node: &Node, path: &str, report: &mut Report) -> Option<BTreeMap<String, Vec<Literal>>> {
    let mut attributes = BTreeMap::new();
    let mut whole = true;
    for (name, _, node) in named(node, path, report)? {
        let nodes = if let Value::List(items) = &node.value { items.iter().collect() } else { vec![node] };
        let values: Option<Vec<_>> = nodes.into_iter().map(|node| literal(node, &join(path, name), report)).collect();
        match values {
            Some(values) => {
                attributes.insert(name.to_owned(), values);
            }
            None => whole = false,
        }
    }
    whole.then_some(attributes)
}

fn literal(node: &Node, name: &str, report: &mut Report) -> Option<Literal> {
    match &node.value {
        Value::Bool(truth) => Some(Literal::Bool(*truth)),
        Value::Integer(number) if i64::try_from(*number).is_ok() => i64::try_from(*number).ok().map(Literal::Number),
        _ => scalar::text(node, name, report).map(|text| Literal::Text(text.to_owned())),
    }
}

/// A predicate that compares with an attribute which a subject has not would leave it with nothing, unexplained.
fn without_attributes(
    node: Option<&Node>,
    subjects: &BTreeMap<String, Subject>,
    entitlements: &[Entitlement],
    report: &mut Report,
) {
    let Some(Node { value: Value::Map(entries), .. }) = node else { return };
    for (key, _) in entries {
        let Some(subject) = subjects.get(&key.text) else { continue };
        let own = entitlements.iter().filter(|entitlement| subject.roles.contains(&entitlement.role));
        for entitlement in own {
            let needed = entitlement.rows.iter().flat_map(Predicate::attributes);
            for attribute in needed.filter(|attribute| !subject.attributes.contains_key(*attribute)) {
                let role = &entitlement.role;
                let message =
                    format!("the subject `{}` needs the attribute `{attribute}` for its role {role}", key.text);
                report.add(key.place, code::CONFIG_NO_ROLES, message);
            }
        }
    }
}

fn not_reserved(subject: &str, place: Place, report: &mut Report) -> Option<()> {
    if !SUBJECTS_RESERVED.contains(&subject) {
        return Some(());
    }
    report.add(
        place,
        code::CONFIG_BAD_NAME,
        format!("the subject `{subject}` is Tailwater's own; choose another name"),
    );
    None
}

pub(super) fn given_roles(
    node: &Node,
    section: &Section<'_>,
    known: Option<&[&str]>,
    report: &mut Report,
) -> Option<Vec<String>> {
    let given = scalar::texts(node, &section.name("roles"), report)?;
    let checked: Vec<_> = given
        .iter()
        .map(|(role, node)| known_role(role, node.place, known, report).map(|()| (*role).to_owned()))
        .collect();
    checked.into_iter().collect()
}

/// `sha256:` and 64 hexadecimal digits.
fn token_hash(node: &Node, name: &str, report: &mut Report) -> Option<[u8; 32]> {
    let text = scalar::text(node, name, report)?;
    let hash = text.strip_prefix("sha256:").and_then(hex32);
    if hash.is_none() {
        let message = format!("`{name}` must be `sha256:` and 64 hexadecimal digits; `tailwater token` prints it");
        report.add(node.place, code::CONFIG_TOKEN_HASH, message);
    }
    hash
}

fn hex32(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

/// Once there are entitlements only roles decide, so every subject needs one.
fn without_roles(node: Option<&Node>, subjects: Option<&BTreeMap<String, Subject>>, report: &mut Report) {
    let (Some(Node { value: Value::Map(entries), .. }), Some(subjects)) = (node, subjects) else { return };
    for (key, _) in entries {
        if subjects.get(&key.text).is_some_and(|subject| subject.roles.is_empty()) {
            let message = format!("the subject `{}` has no roles and would see nothing", key.text);
            report.add(key.place, code::CONFIG_NO_ROLES, message);
        }
    }
}
