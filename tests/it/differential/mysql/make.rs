//! What every kind of DDL is: it makes statements.

use super::world::Table;
use crate::harness::rng::Rng;

/// Makes the statements; none where the table has not what they need.
pub type Make = fn(&mut Rng, &Table) -> Option<Vec<String>>;

pub fn alter(t: &Table, what: &str) -> String {
    format!("ALTER TABLE {} {what}", t.name)
}

pub fn fresh(rng: &mut Rng) -> String {
    format!("f{}", rng.below(1_000_000))
}

pub fn one(sql: String) -> Option<Vec<String>> {
    Some(vec![sql])
}

pub fn two(first: String, second: String) -> Option<Vec<String>> {
    Some(vec![first, second])
}
