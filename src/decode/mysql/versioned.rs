//! Rows of MariaDB's system-versioned tables: which are a table's rows now, and which are history.
//!
//! A row is current as long as its ROW END column, a TIMESTAMP(6), holds the largest value that the server has. An UPDATE is
//! logged as one, and as an INSERT of what the row was before; a DELETE as an UPDATE that sets ROW END; a DELETE HISTORY as a
//! DELETE of what nobody sees in the table. Surprises: the largest value is another one from 11.5 on, and a log may be older than
//! its server; and where the columns of the period are not declared, only their names in the log tell of them.
//!
//! Source: MariaDB 10.11 and 11.8, seen in their logs; sql/handler.cc (`Vers_parse_info`).

use super::column::Storage;
use super::table_map::{Column, TableMap};

/// How the columns of a period are called that nobody declared.
pub const UNDECLARED: [&str; 2] = ["row_start", "row_end"];

/// 2038-01-19 03:14:07 and 2106-02-07 06:28:15.
const SECONDS_MAX: [[u8; 4]; 2] = [[0x7F, 0xFF, 0xFF, 0xFF], [0xFF, 0xFF, 0xFF, 0xFF]];
const MICROS_MAX: [u8; 3] = [0x0F, 0x42, 0x3F];

/// By the value of its ROW END column.
pub fn is_current(row_end: &[u8]) -> bool {
    SECONDS_MAX.iter().any(|seconds| row_end.strip_prefix(seconds) == Some(&MICROS_MAX))
}

/// Whether a column is of the type that a period has.
pub fn may_be_of_period(column: &Column) -> bool {
    matches!(column.storage, Storage::Timestamp { digits: 6 })
}

/// Where in an image of a versioned table ROW END is. `declared`: its name, where it has one of its own. Else the period is the
/// two columns side by side that are not listed in the catalogue: nobody declared them, or they were dropped since.
pub fn row_end(map: &TableMap, declared: Option<&str>, is_listed: impl Fn(&str) -> bool) -> Option<usize> {
    let is_declared = |column: &Column| may_be_of_period(column) && declared == Some(&*column.name);
    let is_unlisted = |column: &Column| may_be_of_period(column) && !is_listed(&column.name);
    let pairs = map.columns.iter().zip(map.columns.iter().skip(1));
    let pair = || pairs.map(|(start, end)| is_unlisted(start) && is_unlisted(end)).position(|is_period| is_period);
    map.columns.iter().position(is_declared).or_else(|| pair()?.checked_add(1))
}

#[cfg(test)]
mod tests {
    use super::super::table_map::Dialect;
    use super::super::table_map::tests::example;
    use super::*;

    #[test]
    fn a_row_is_current_until_the_end_of_time() {
        let hex = [&[0x7F, 0xFF, 0xFF, 0xFF][..], &[0xFF; 4], &[0x6B, 0x0C, 0x07, 0x7F]];
        let ends = hex.map(|seconds| is_current(&[seconds, &MICROS_MAX].concat()));
        assert_eq!(ends, [true, true, false]);
        assert!(!is_current(&[0xFF; 7]) && !is_current(&[]));
    }

    #[test]
    fn the_end_of_a_period_is_the_declared_one_or_the_second_that_is_not_listed() {
        let mut map = TableMap::parse(&example(true), Dialect::Mariadb).expect("a table map");
        let listed = |name: &str| ["id", "name", "mood", "small"].contains(&name);
        assert_eq!(row_end(&map, None, listed), None);
        let column = map.columns.first().cloned().expect("a column");
        for name in ["row_start", "row_end"] {
            let storage = Storage::Timestamp { digits: 6 };
            map.columns.push(Column { name: name.to_owned(), storage, ..column.clone() });
        }
        assert_eq!(row_end(&map, None, listed), Some(5));
        assert_eq!(row_end(&map, None, |_| true), None);
        assert_eq!(row_end(&map, Some("row_start"), |_| true), Some(4));
        assert_eq!(row_end(&map, Some("small"), |_| true), None);
    }
}
