//! What a QUERY event's statement does to a stream: begins, ends, changes shapes, or changes rows behind our back.
//!
//! No SQL parser: the first words decide, and what they do not tell is [`Statement::Unknown`], which must not be passed over.
//! Surprises: with row logging DDL still comes as its text, TRUNCATE is DDL, and so are the ALTERs of partitions that drop
//! rows without an event.

use super::moved::{Moved, Parsed};
use super::words::{Named, Words};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    Begin,
    Commit,
    /// Of a transaction of which something had to be logged all the same.
    Rollback,
    Savepoint,
    Truncate(Named),
    /// An ALTER that removes or exchanges rows without an event for each.
    RowsRemoved(Named),
    /// From here on these names mean nothing, or other tables.
    Moved(Moved),
    /// Shapes may have changed. `opens`: row events follow in the same transaction (CREATE TABLE … SELECT).
    Definition {
        opens: bool,
    },
    Xa,
    /// Rows were changed by a statement.
    Changes,
    Unknown,
}

impl Statement {
    pub fn parse(text: &[u8]) -> Self {
        match Moved::parse(text) {
            Parsed::Moved(moved) => return Self::Moved(moved),
            Parsed::Unreadable => return Self::Unknown,
            Parsed::Other => {}
        }
        let mut words = Words::of(text);
        let Some(first) = words.next() else { return Self::Unknown };
        match &*first.upper() {
            "BEGIN" | "START" => Self::Begin,
            "COMMIT" => Self::Commit,
            "SAVEPOINT" | "RELEASE" => Self::Savepoint,
            "ROLLBACK" => Self::Rollback,
            "XA" => Self::Xa,
            "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "LOAD" | "CALL" | "WITH" | "DO" | "SELECT" | "VALUES"
            | "HANDLER" => Self::Changes,
            "TRUNCATE" => truncate(&mut words),
            "ALTER" => alter(&mut words),
            "CREATE" => Self::Definition { opens: ends_with_start(text) },
            "DROP" | "RENAME" | "GRANT" | "REVOKE" | "SET" | "FLUSH" | "ANALYZE" | "OPTIMIZE" | "REPAIR" | "CHECK"
            | "INSTALL" | "UNINSTALL" => Self::Definition { opens: false },
            _ => Self::Unknown,
        }
    }
}

/// MySQL writes CREATE TABLE … SELECT as `CREATE TABLE … START TRANSACTION`, its rows, and a commit.
fn ends_with_start(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    let end = text.len().checked_sub(b"START TRANSACTION".len()).and_then(|start| text.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(b"START TRANSACTION"))
}

fn truncate(words: &mut Words<'_>) -> Statement {
    words.pass(&["TABLE"]);
    words.named().map_or(Statement::Unknown, Statement::Truncate)
}

fn alter(words: &mut Words<'_>) -> Statement {
    let definition = Statement::Definition { opens: false };
    // MariaDB: ALTER ONLINE IGNORE TABLE IF EXISTS.
    let table = loop {
        match words.next() {
            Some(word) if word.is("TABLE") => break true,
            Some(word) if word.is("ONLINE") || word.is("IGNORE") => {}
            _ => break false,
        }
    };
    if !table {
        return definition;
    }
    words.pass(&["IF", "EXISTS"]);
    let Some(table) = words.named() else { return Statement::Unknown };
    let rest: Vec<_> = words.map(|word| word.upper()).collect();
    let follows = |verbs: &[&str], nouns: &[&str]| {
        rest.windows(2).any(|pair| matches!(pair, [a, b] if verbs.contains(&&**a) && nouns.contains(&&**b)))
    };
    let removes = follows(&["DROP", "TRUNCATE", "EXCHANGE", "CONVERT"], &["PARTITION"])
        || follows(&["DISCARD", "IMPORT"], &["TABLESPACE", "PARTITION"]);
    if removes { Statement::RowsRemoved(table) } else { definition }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Statement {
        Statement::parse(text.as_bytes())
    }

    fn table(schema: Option<&str>, table: &str) -> Named {
        Named { schema: schema.map(str::to_owned), table: table.to_owned() }
    }

    #[test]
    fn the_first_words_say_what_a_statement_does() {
        for (text, statement) in [
            ("BEGIN", Statement::Begin),
            ("COMMIT", Statement::Commit),
            ("ROLLBACK", Statement::Rollback),
            ("SAVEPOINT `a`", Statement::Savepoint),
            ("XA START X'01',X'',1", Statement::Xa),
            ("/* app */ insert into t values (1)", Statement::Changes),
            ("-- x\n# y\nUPDATE t SET a = 1", Statement::Changes),
            ("/*!50003 DELETE FROM t */", Statement::Changes),
            ("CREATE TABLE t (id int)", Statement::Definition { opens: false }),
            ("CREATE TABLE `t` (`a` int) START TRANSACTION", Statement::Definition { opens: true }),
            ("ALTER TABLE t ADD COLUMN b int DEFAULT 3", Statement::Definition { opens: false }),
            ("ALTER USER x IDENTIFIED BY 'TABLE'", Statement::Definition { opens: false }),
            ("DROP VIEW t", Statement::Definition { opens: false }),
            ("DROP DATABASE d", Statement::Moved(Moved::Database("d".to_owned()))),
            ("MERGE INTO t", Statement::Unknown),
            ("", Statement::Unknown),
        ] {
            assert_eq!(parse(text), statement, "{text}");
        }
    }

    #[test]
    fn a_truncated_table_is_named() {
        assert_eq!(parse("TRUNCATE t"), Statement::Truncate(table(None, "t")));
        assert_eq!(parse("truncate table `a``b`.`t 1` /* x */"), Statement::Truncate(table(Some("a`b"), "t 1")));
        assert_eq!(parse("TRUNCATE TABLE crm . orders"), Statement::Truncate(table(Some("crm"), "orders")));
        assert_eq!(parse("TRUNCATE 'x'"), Statement::Unknown);
    }

    #[test]
    fn an_alter_that_takes_rows_away_is_told_from_one_that_does_not() {
        let removed = |schema, name| Statement::RowsRemoved(table(schema, name));
        assert_eq!(parse("ALTER TABLE s.t DROP PARTITION p1"), removed(Some("s"), "t"));
        assert_eq!(parse("alter table t\ntruncate partition all"), removed(None, "t"));
        assert_eq!(parse("ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u"), removed(None, "t"));
        assert_eq!(parse("ALTER TABLE t IMPORT TABLESPACE"), removed(None, "t"));
        assert_eq!(
            parse("ALTER TABLE t ADD PARTITION (PARTITION p2 VALUES LESS THAN (9))"),
            Statement::Definition { opens: false }
        );
        assert_eq!(parse("ALTER TABLE t COMMENT 'DROP PARTITION p'"), Statement::Definition { opens: false });
    }

    proptest! {
        #[test]
        fn hostile_statements_never_panic(text: Vec<u8>, sql in "[A-Za-z`'\"\\\\/*!#. -]{0,60}") {
            let _ = (Statement::parse(&text), parse(&sql), parse(&format!("ALTER TABLE {sql}")));
        }
    }
}
