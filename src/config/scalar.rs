//! Single values: text, numbers, sizes and durations with their units and bounds.
//!
//! Each function reports what is wrong, says what would be right, and gives `None`.

use super::raw::{Node, Value};
use super::report::{Report, did_you_mean};
use crate::model::code;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

const SIZE_UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];
const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

fn wrong_kind<T>(node: &Node, name: &str, wanted: &str, report: &mut Report) -> Option<T> {
    report.add(node.place, code::CONFIG_WRONG_KIND, format!("`{name}` must be {wanted}, found {}", node.value.kind()));
    None
}

fn wrong_value<T>(node: &Node, message: String, report: &mut Report) -> Option<T> {
    report.add(node.place, code::CONFIG_WRONG_VALUE, message);
    None
}

/// Text that is not empty.
pub(super) fn text<'a>(node: &'a Node, name: &str, report: &mut Report) -> Option<&'a str> {
    match &node.value {
        Value::Text(text) if text.is_empty() => wrong_value(node, format!("`{name}` is empty"), report),
        Value::Text(text) if text.contains('\0') => {
            wrong_value(node, format!("`{name}` holds a zero character"), report)
        }
        Value::Text(text) => Some(text),
        Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
            wrong_kind(node, name, "text (put it in quotes)", report)
        }
        _ => wrong_kind(node, name, "text", report),
    }
}

pub(super) fn truth(node: &Node, name: &str, report: &mut Report) -> Option<bool> {
    match node.value {
        Value::Bool(truth) => Some(truth),
        _ => wrong_kind(node, name, "true or false", report),
    }
}

/// A whole number within `bounds`.
pub(super) fn number<T>(node: &Node, name: &str, bounds: RangeInclusive<T>, report: &mut Report) -> Option<T>
where
    T: TryFrom<i128> + PartialOrd + Display,
{
    let Value::Integer(found) = node.value else { return wrong_kind(node, name, "a whole number", report) };
    let (low, high) = (bounds.start(), bounds.end());
    match T::try_from(found) {
        Ok(number) if bounds.contains(&number) => Some(number),
        _ => wrong_value(node, format!("`{name}` must be from {low} to {high}, found {found}"), report),
    }
}

/// One of a few words.
pub(super) fn choice(
    node: &Node,
    name: &str,
    choices: &'static [&'static str],
    report: &mut Report,
) -> Option<&'static str> {
    let found = text(node, name, report)?;
    let chosen = choices.iter().find(|choice| **choice == found).copied();
    if chosen.is_none() {
        let hint = did_you_mean(found, choices);
        report.add(node.place, code::CONFIG_WRONG_VALUE, format!("`{name}` cannot be `{found}`{hint}"));
    }
    chosen
}

/// A list of texts, each with its node for messages.
pub(super) fn texts<'a>(node: &'a Node, name: &str, report: &mut Report) -> Option<Vec<(&'a str, &'a Node)>> {
    let Value::List(items) = &node.value else { return wrong_kind(node, name, "a list", report) };
    let mut found = Vec::new();
    for item in items {
        found.extend(text(item, name, report).map(|text| (text, item)));
    }
    (found.len() == items.len()).then_some(found)
}

/// Bytes: a number, or a number with a unit.
pub(super) fn size(node: &Node, name: &str, bounds: RangeInclusive<u64>, report: &mut Report) -> Option<u64> {
    let parsed = match &node.value {
        Value::Integer(bytes) => u64::try_from(*bytes).ok(),
        Value::Text(text) => with_unit(text, &SIZE_UNITS),
        _ => return wrong_kind(node, name, "a size such as 10GiB", report),
    };
    let Some(bytes) = parsed else {
        let message =
            format!("`{name}` must be bytes or a size such as 512MiB or 10GiB (KiB, MiB, GiB, TiB; kB, MB, GB, TB)");
        return wrong_value(node, message, report);
    };
    if bounds.contains(&bytes) {
        return Some(bytes);
    }
    let (low, high) = (size_text(*bounds.start()), size_text(*bounds.end()));
    wrong_value(node, format!("`{name}` must be from {low} to {high}, found {}", size_text(bytes)), report)
}

/// A number with a unit; a bare number has no meaning here, because nobody can tell seconds from milliseconds.
pub(super) fn duration(
    node: &Node,
    name: &str,
    bounds: RangeInclusive<Duration>,
    report: &mut Report,
) -> Option<Duration> {
    let parsed = match &node.value {
        Value::Text(text) => with_unit(text, &DURATION_UNITS),
        Value::Integer(_) | Value::Float(_) => None,
        _ => return wrong_kind(node, name, "a duration such as 30s", report),
    };
    let Some(duration) = parsed.map(Duration::from_millis) else {
        return wrong_value(
            node,
            format!("`{name}` must be a number and a unit, such as 500ms, 30s, 5m or 1h"),
            report,
        );
    };
    if bounds.contains(&duration) {
        return Some(duration);
    }
    wrong_value(
        node,
        format!("`{name}` must be from {:?} to {:?}, found {duration:?}", bounds.start(), bounds.end()),
        report,
    )
}

/// `12GiB` → bytes. `None` for anything else, and beyond 64 bits.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// In the largest binary unit that leaves a whole number.
fn size_text(bytes: u64) -> String {
    let unit = SIZE_UNITS[..4].iter().rev().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| format!("{bytes}B"), |(name, factor)| format!("{}{name}", bytes / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_need_a_unit_that_exists() {
        for (text, bytes) in
            [("10GiB", Some(10 << 30)), ("1 kB", Some(1000)), ("1gib", None), ("GiB", None), ("-1B", None)]
        {
            assert_eq!(with_unit(text, &SIZE_UNITS), bytes, "{text}");
        }
        assert_eq!(with_unit("99999999999TiB", &SIZE_UNITS), None);
        assert_eq!(with_unit("500ms", &DURATION_UNITS), Some(500));
        assert_eq!(with_unit("2m", &DURATION_UNITS), Some(120_000));
        assert_eq!(with_unit("30", &DURATION_UNITS), None);
    }

    #[test]
    fn a_size_prints_in_its_largest_whole_unit() {
        assert_eq!(size_text(10 << 30), "10GiB");
        assert_eq!(size_text(1025), "1025B");
    }
}
