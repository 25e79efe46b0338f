//! One table as it lies on both sides, and how it is walked.
//!
//! Which way rows are walked depends on the key. Ranges need one order on both sides, and an index that has it: types
//! of PostgreSQL's own, and text only where it sorts by its bytes. Any other key is walked in one piece, sorted by the
//! text of its columns, which is one order everywhere but takes a sort. Rows without a key are counted.

mod mysql;
mod postgres;

use super::listed::SourceTable;
use super::place::{self, Place};
use super::reader::Sides;
use super::source::Source;
use super::trouble::Trouble;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;

/// Tailwater's own columns of a target's table.
const OWN: [&str; 2] = [place::SEQUENCE, "_tailwater_committed_at"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    Ranges,
    /// By key, in one piece.
    Sorted,
    /// Rows without key, sorted by their texts.
    Bag,
    /// Rows without key, in no order.
    Multiset,
}

#[derive(Debug)]
pub struct Layout {
    /// Names of all that are compared, in the order in which they are read.
    pub columns: Vec<String>,
    /// Where the key's columns stand among them, in key order.
    pub key: Vec<usize>,
    pub walk: Walk,
    /// The source says of a row which version of it one sees.
    pub source_has_versions: bool,
    pub only_in_target: Vec<String>,
    /// Generated columns, which no stream carries.
    pub only_in_source: Vec<String>,
    pub source: Place,
    pub target: Place,
}

impl Layout {
    /// Looks at the table on both sides.
    ///
    /// # Errors
    /// [`Trouble::Table`] when the two have not the same columns.
    pub async fn look(sides: &mut Sides, table: &SourceTable, target_table: &TableName) -> Result<Self, Trouble> {
        let target = postgres::columns(&mut sides.target, target_table).await?;
        let layout = match &mut sides.source {
            Source::Postgres(reader) => postgres::look(reader, &mut sides.target, table, target_table, &target).await?,
            Source::Mysql(reader) => mysql::look(reader, &mut sides.target, table, target_table, &target).await?,
        };
        let missing: Vec<_> = layout.columns.iter().filter(|name| !target.contains_key(*name)).cloned().collect();
        if !missing.is_empty() {
            return Err(differ(format!("{target_table} in the target has no column {}", missing.join(", "))));
        }
        let known = |name: &String| layout.columns.contains(name) || OWN.contains(&name.as_str());
        let mut only_in_target: Vec<_> = target.keys().filter(|name| !known(name)).cloned().collect();
        only_in_target.sort();
        Ok(Self { only_in_target, ..layout })
    }
}

fn places(key: &[String], columns: &[String]) -> Vec<usize> {
    key.iter().filter_map(|name| columns.iter().position(|column| column == name)).collect()
}

fn gone() -> Trouble {
    differ("the source has no such table any more".to_owned())
}

fn differ(message: String) -> Trouble {
    Trouble::Table(Problem::new(code::VERIFY_SHAPES_DIFFER, message))
}
