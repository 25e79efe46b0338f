//! The period of a system-versioned table of MariaDB, where its columns are declared, and of what it is: of times, or of numbers of
//! transactions. What changes in a table of the latter kind is logged as statements.

use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;

/// Name and type of a column, as [`super::ServerTable::columns`] has it, that tells which rows of a versioned table are current.
pub fn row_end(column: &str) -> Option<(&str, &str)> {
    let mut parts = column.rsplitn(7, '|');
    let is_end = parts.next() == Some("ROW END");
    let of_type = parts.nth(4)?;
    is_end.then_some((parts.next()?, of_type))
}

/// Why such a table cannot be captured, if it cannot.
pub fn unfit(table: &TableName, columns: &[String]) -> Option<Problem> {
    let mut ends = columns.iter().filter_map(|column| row_end(column));
    ends.find(|(_, of_type)| of_type.starts_with("bigint"))?;
    let message =
        format!("{table} keeps old versions of its rows by transactions, and its changes are logged as statements");
    Some(Problem::new(code::TABLE_VERSIONED, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_period_is_found_by_what_generates_it() {
        let ends = ["e|timestamp(6)||NO|PRI|STORED GENERATED|ROW END", "a|b|bigint(20) unsigned||NO|PRI|x|ROW END"];
        assert_eq!(ends.map(row_end), [Some(("e", "timestamp(6)")), Some(("a|b", "bigint(20) unsigned"))]);
        let others = ["s|timestamp(6)||NO||STORED GENERATED|ROW START", "ROW END|int||NO|||", ""];
        assert_eq!(others.map(row_end), [None; 3]);
    }
}
