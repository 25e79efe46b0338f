//! From database identifiers to protobuf names: the one escaping rule and the one collision rule.
//!
//! Escaping: ASCII letters, digits and underscores stay; another ASCII character becomes an underscore; any other character
//! becomes `u` and its code point in hex; a name that would start with a digit gets a letter in front. Collision: names
//! that differ only in case and underscores would meet in somebody's generated code, so the later one gets a number.
//! Which name a table or column got is kept for ever, so it never depends on what else exists today.

use std::fmt::Write as _;

/// The protobuf package of a schema's tables.
pub fn package(system: &str, schema: &str) -> String {
    format!("tailwater.{system}.{}", escape(schema, 's'))
}

/// The message name of a table, in upper camel case. `taken` says whether a candidate meets a name already given in the
/// package; two names meet when [`meet`] says so.
pub fn message(table: &str, taken: &dyn Fn(&str) -> bool) -> String {
    let name = upper_camel(&escape(table, 'T'));
    if !taken(&name) {
        return name;
    }
    (2_u32..).map(|number| format!("{name}_{number}")).find(|candidate| !taken(candidate)).unwrap_or(name)
}

/// The field name of a column. `number` is its field number, which makes it unique where `taken` says it is not.
pub fn field(column: &str, number: u32, taken: &dyn Fn(&str) -> bool) -> String {
    let name = escape(column, 'f');
    if taken(&name) { format!("{name}_{number}") } else { name }
}

/// Whether two names could become one in generated code, which changes case and drops underscores.
pub fn meet(one: &str, other: &str) -> bool {
    folded_characters(one).eq(folded_characters(other))
}

/// Two names meet when this is the same of both.
pub fn folded(name: &str) -> String {
    folded_characters(name).collect()
}

fn folded_characters(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase())
}

fn escape(name: &str, front: char) -> String {
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => escaped.push(c),
            c if c.is_ascii() => escaped.push('_'),
            // Writing into a String cannot fail.
            c => drop(write!(escaped, "u{:04x}", u32::from(c))),
        }
    }
    // protoc wants a letter at the front, and several generators drop leading underscores.
    if !escaped.starts_with(|c: char| c.is_ascii_alphabetic()) {
        escaped.insert(0, front);
    }
    escaped
}

fn upper_camel(name: &str) -> String {
    name.split('_')
        .flat_map(|word| {
            let mut chars = word.chars();
            chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_stay_and_odd_ones_become_identifiers() {
        let free = |_: &str| false;
        assert_eq!(package("erp", "public"), "tailwater.erp.public");
        assert_eq!(message("persons_organisation", &free), "PersonsOrganisation");
        assert_eq!(message("Order Lines", &free), "OrderLines");
        assert_eq!(field("order_no", 3, &free), "order_no");
        assert_eq!(field("größe", 3, &free), "gru00f6u00dfe");
        assert_eq!(field("2nd", 3, &free), "f2nd");
        assert_eq!(field("", 3, &free), "f");
    }

    #[test]
    fn names_that_meet_are_numbered() {
        let given = ["OrderLines", "OrderLines_2"];
        let taken = |candidate: &str| given.iter().any(|name| meet(name, candidate));
        assert_eq!(message("order-lines", &taken), "OrderLines_3");
        assert_eq!(field("orderLines", 7, &taken), "orderLines_7");
    }

    proptest! {
        #[test]
        fn every_name_is_a_protobuf_identifier(name: String) {
            for name in [message(&name, &|_| false), field(&name, 1, &|_| false)] {
                prop_assert!(name.starts_with(|c: char| c.is_ascii_alphabetic()));
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
            }
        }
    }
}
