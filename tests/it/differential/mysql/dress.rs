//! The same statement, written in another way.

use crate::harness::mysql::Kind;
use crate::harness::rng::Rng;

/// What was done to it, and the statement.
pub fn dress(rng: &mut Rng, server: Kind, sql: String) -> (&'static str, String) {
    match rng.below(14) {
        0 => ("a comment before", format!("/* it's \"quoted */ {sql}")),
        1 => ("a line comment before", format!("-- it's one\n{sql}")),
        2 => ("a versioned comment", format!("/*!50100 {sql} */")),
        3 if server != Kind::Mysql => ("SET STATEMENT", format!("SET STATEMENT max_statement_time = 100 FOR {sql}")),
        4 if server != Kind::Mysql => ("a comment of MariaDB", format!("/*M!100100 {sql} */")),
        5 => ("lower case", sql.replacen("ALTER TABLE", "alter\ttable", 1)),
        6 => ("a comment within", sql.replacen("ALTER TABLE ", "ALTER/**/TABLE crm . ", 1)),
        7 if server != Kind::Mysql && !sql.contains('\'') => ("prepared", format!("EXECUTE IMMEDIATE '{sql}'")),
        _ => ("plain", sql),
    }
}
