//! The import order of ARCHITECTURE.md, kept: who may use whom, and which crates stay where.
//!
//! Reads the text of `src`, so that an edge in a test module or behind a `cfg` counts like any other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// An area uses areas of lower rank, and of its own rank only what [`SIDEWAYS`] names.
const RANKS: [(&str, u8); 13] = [
    ("model", 0),
    ("decode", 1),
    ("wire", 1),
    ("config", 1),
    ("telemetry", 1),
    ("journal", 2),
    ("source", 2),
    ("govern", 3),
    ("deliver", 4),
    ("console", 5),
    ("app", 6),
    ("cli", 6),
    ("main", 6),
];

/// Edges inside one rank: a source hands to the journal; commands run the app.
const SIDEWAYS: [(&str, &str); 4] = [("source", "journal"), ("cli", "app"), ("main", "cli"), ("main", "app")];

/// Areas that are pure: no runtime, no storage, no transport.
const PURE: [&str; 2] = ["model", "decode"];
const IMPURE_CRATES: [&str; 3] = ["tokio", "rocksdb", "tonic"];

#[test]
fn every_area_uses_only_those_before_it() {
    let problems: Vec<_> = sources().iter().flat_map(|(path, area, text)| problems(path, area, text)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn only_the_journal_knows_rocksdb() {
    let others: Vec<_> =
        sources().into_iter().filter(|(_, area, text)| area != "journal" && names_crate(text, "rocksdb")).collect();
    assert!(others.is_empty(), "{:?}", others.iter().map(|(path, ..)| path).collect::<Vec<_>>());
}

#[test]
fn the_rules_can_fail() {
    for (area, text) in [
        ("decode", "use crate::journal::Journal;"),
        ("journal", "use crate::source::postgres;"),
        ("model", "fn f() { crate::wire::name() }"),
        ("source", "use crate::{\n    model::code,\n    deliver::{grpc, cursor},\n};"),
        ("config", "pub use crate::telemetry::init;"),
        ("decode", "use tokio::io::AsyncRead;"),
        ("nobody", "use crate::model::code;"),
    ] {
        assert!(!problems("made/up.rs", area, text).is_empty(), "{area}: {text}");
    }
    for (area, text) in [
        ("source", "use crate::journal::Journal;\nuse crate::model::{code, position::Lsn};"),
        ("journal", "// not like crate::source\nuse crate::model::code;"),
        ("decode", "use super::message;"),
    ] {
        assert_eq!(problems("made/up.rs", area, text), Vec::<String>::new(), "{area}: {text}");
    }
    assert!(names_crate("let db = rocksdb::DB::open();", "rocksdb") && !names_crate("my_rocksdb::x", "rocksdb"));
}

fn problems(path: &str, area: &str, text: &str) -> Vec<String> {
    let Some(rank) = rank(area) else { return vec![format!("{path}: the area {area} has no place in the order")] };
    let text = without_comments(text);
    let mut problems: Vec<_> = uses(&text)
        .into_iter()
        .filter(|used| {
            used != area && !SIDEWAYS.contains(&(area, used)) && self::rank(used).is_none_or(|other| other >= rank)
        })
        .map(|used| format!("{path}: {area} must not use {used}"))
        .collect();
    if PURE.contains(&area) {
        let impure = IMPURE_CRATES.iter().filter(|name| names_crate(&text, name));
        problems.extend(impure.map(|name| format!("{path}: {area} must not know {name}")));
    }
    problems
}

fn rank(area: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == area).map(|(_, rank)| *rank)
}

/// The areas named after `crate::`, alone or in braces.
fn uses(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, prefix) in text.match_indices("crate::").chain(text.match_indices("tailwater::")) {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads(group)),
            None => found.extend(identifier(rest)),
        }
    }
    // Macros and the protobuf package are no areas.
    found.retain(|name| rank(name).is_some() || name.chars().all(|c| c.is_ascii_lowercase()));
    found.remove("v1");
    found.remove("types");
    found
}

/// The first names of a brace group's items.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut starts) = (0_usize, vec![0]);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts.push(at + 1),
            _ => {}
        }
    }
    starts.into_iter().filter_map(|at| identifier(group[at..].trim_start())).collect()
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

fn names_crate(text: &str, name: &str) -> bool {
    let text = without_comments(text);
    let needle = format!("{name}::");
    text.match_indices(&needle)
        .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Path, area and text of every source file.
fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 20, "{} files are not the whole of src", found.len());
    found
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<(String, String, String)>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && path != root.join("lib.rs") {
            let place = path.strip_prefix(root).expect("it is below src").to_string_lossy().into_owned();
            let area = place.split(['/', '.']).next().unwrap_or_default().to_owned();
            found.push((place, area, fs::read_to_string(&path).expect("src is readable")));
        }
    }
}
