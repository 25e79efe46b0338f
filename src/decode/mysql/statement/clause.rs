//! The clauses of ALTER TABLE. A list of what is known to keep rows and values; everything else rewrites them.
//!
//! Each clause that keeps was checked against the servers (see `tests/`), with strict and lax sql_modes, with and without foreign
//! key checks and with system versioning. A clause has to be read to its end: what follows without a comma (options, partitioning)
//! is the next one.

use super::Rewrite;
use super::cursor::Cursor;
use super::index;
use super::name::RawTable;
use super::token::Token;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clause<'a> {
    Keeps,
    /// ALGORITHM: whether the server would rather fail than copy the table. The last one counts.
    NeverCopies(bool),
    Rewrites(Rewrite),
    Renames(RawTable<'a>),
    /// Rows go from or to another table.
    Takes(RawTable<'a>, Rewrite),
}

/// Options with a number or a keyword that are of no consequence for rows.
const PLAIN_OPTIONS: &[&str] = &[
    "AUTO_INCREMENT",
    "AVG_ROW_LENGTH",
    "CHECKSUM",
    "TABLE_CHECKSUM",
    "DELAY_KEY_WRITE",
    "KEY_BLOCK_SIZE",
    "MAX_ROWS",
    "MIN_ROWS",
    "PACK_KEYS",
    "ROW_FORMAT",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
];

/// `None`: a clause that is not known.
pub fn read<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    let start = *cursor;
    let word = cursor.keyword()?;
    match &*word {
        "ADD" => add(cursor),
        "DROP" => drop(cursor),
        "ALTER" => alter(cursor),
        "RENAME" => rename(cursor),
        "MODIFY" | "CHANGE" => rest_of_clause(cursor, Rewrite::ColumnChanged),
        "CONVERT" => convert(cursor),
        "EXCHANGE" => exchange(cursor),
        "ORDER" => rest(cursor, Rewrite::OptionChanged),
        "REORGANIZE" | "COALESCE" | "TRUNCATE" | "REBUILD" | "REMOVE" | "PARTITION" => {
            rest(cursor, Rewrite::PartitionsChanged)
        }
        "REPAIR" if cursor.sees("PARTITION") => rest(cursor, Rewrite::Repaired),
        "ANALYZE" | "CHECK" | "OPTIMIZE" if cursor.sees("PARTITION") => {
            rest(cursor, Rewrite::PartitionsChanged).map(|_| Clause::Keeps)
        }
        "DISCARD" | "IMPORT" => rest(cursor, Rewrite::TablespaceChanged),
        "ENABLE" | "DISABLE" => cursor.pass("KEYS").then_some(Clause::Keeps),
        "WITH" | "WITHOUT" => cursor.pass("VALIDATION").then_some(Clause::Keeps),
        "FORCE" => Some(Clause::Keeps),
        "ALGORITHM" => index::algorithm(cursor).map(Clause::NeverCopies),
        _ => {
            *cursor = start;
            option(cursor)
        }
    }
}

fn add<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    // A column may have the name `partition`, `system`, `period` or `vector`.
    if cursor.pass("PARTITION") {
        return add_partition(cursor);
    }
    if cursor.sees("SYSTEM VERSIONING") || cursor.sees("PERIOD FOR") {
        return rest_of_clause(cursor, Rewrite::VersioningChanged);
    }
    if cursor.pass("CONSTRAINT") {
        cursor.pass("IF NOT EXISTS");
        if !["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"].iter().any(|word| cursor.sees(word)) {
            cursor.name()?;
        }
    }
    if cursor.sees("PRIMARY KEY") {
        return rest_of_clause(cursor, Rewrite::KeyChanged);
    }
    if cursor.pass("FOREIGN KEY") {
        index::foreign_key(cursor)?;
    } else if cursor.pass("CHECK") {
        index::check(cursor)?;
    } else if cursor.pass_any(&["INDEX", "KEY", "VECTOR INDEX", "VECTOR KEY"]) {
        index::body(cursor)?;
    } else if cursor.pass_any(&["UNIQUE", "FULLTEXT", "SPATIAL"]) {
        cursor.pass_any(&["INDEX", "KEY"]);
        index::body(cursor)?;
    } else {
        return rest_of_clause(cursor, Rewrite::ColumnAdded);
    }
    Some(Clause::Keeps)
}

/// Behind ADD PARTITION: more of them at an end of the range, or rows spread over more.
fn add_partition<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    let mut ahead = *cursor;
    ahead.pass_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
    ahead.pass("IF NOT EXISTS");
    let known = if ahead.pass("PARTITIONS") { ahead.name().map(|_| ()) } else { ahead.parentheses() };
    if known.is_none() {
        return rest_of_clause(cursor, Rewrite::ColumnAdded);
    }
    *cursor = ahead;
    Some(Clause::Keeps)
}

fn drop<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    if cursor.pass("PARTITION") {
        return rest(cursor, Rewrite::PartitionsChanged);
    }
    if cursor.sees("SYSTEM VERSIONING") || cursor.sees("PERIOD FOR") {
        return rest_of_clause(cursor, Rewrite::VersioningChanged);
    }
    if cursor.sees("PRIMARY KEY") {
        return rest_of_clause(cursor, Rewrite::KeyChanged);
    }
    if !cursor.pass_any(&["INDEX", "KEY", "FOREIGN KEY", "CONSTRAINT", "CHECK"]) {
        return rest_of_clause(cursor, Rewrite::ColumnDropped);
    }
    cursor.pass("IF EXISTS");
    let is_primary = cursor.name()?.is("PRIMARY");
    Some(if is_primary { Clause::Rewrites(Rewrite::KeyChanged) } else { Clause::Keeps })
}

fn alter<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    if cursor.pass_any(&["INDEX", "KEY"]) {
        cursor.pass("IF EXISTS");
        cursor.name()?;
        let known = cursor.pass_any(&["VISIBLE", "INVISIBLE", "NOT IGNORED", "IGNORED"]);
        return known.then_some(Clause::Keeps);
    }
    if cursor.pass_any(&["CHECK", "CONSTRAINT"]) {
        cursor.name()?;
        return cursor.pass_any(&["NOT ENFORCED", "ENFORCED"]).then_some(Clause::Keeps);
    }
    cursor.pass("COLUMN");
    cursor.pass("IF EXISTS");
    cursor.name()?;
    if cursor.pass("DROP DEFAULT") {
        return Some(Clause::Keeps);
    }
    if cursor.pass("SET DEFAULT") {
        return default(cursor).map(|()| Clause::Keeps);
    }
    rest_of_clause(cursor, Rewrite::ColumnChanged)
}

/// An expression: up to a comma, or the partitioning.
fn default(cursor: &mut Cursor<'_>) -> Option<()> {
    while !["PARTITION", "REMOVE"].iter().any(|word| cursor.sees(word)) {
        if cursor.sees_sign(b'(') {
            cursor.parentheses()?;
        } else if cursor.sees_sign(b',') || cursor.sees_sign(b';') || cursor.next().is_none() {
            break;
        }
    }
    Some(())
}

fn rename<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    if cursor.sees("COLUMN") {
        return rest_of_clause(cursor, Rewrite::ColumnRenamed);
    }
    if cursor.pass_any(&["INDEX", "KEY"]) {
        cursor.pass("IF EXISTS");
        cursor.name()?;
        cursor.pass("TO").then_some(())?;
        cursor.name()?;
        return Some(Clause::Keeps);
    }
    let _ = cursor.pass_any(&["TO", "AS"]) || cursor.pass_sign(b'=');
    cursor.table().map(Clause::Renames)
}

/// To another character set, or MariaDB: between a table and a partition.
fn convert<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    if cursor.pass("TO") {
        return rest_of_clause(cursor, Rewrite::CharsetConverted);
    }
    if cursor.pass("PARTITION") {
        cursor.name()?;
        cursor.pass("TO TABLE").then_some(())?;
    } else if !cursor.pass("TABLE") {
        return None;
    }
    let other = cursor.table()?;
    rest(cursor, Rewrite::PartitionsChanged)?;
    Some(Clause::Takes(other, Rewrite::PartitionsChanged))
}

fn exchange<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    cursor.pass("PARTITION").then_some(())?;
    cursor.name()?;
    cursor.pass("WITH TABLE").then_some(())?;
    let other = cursor.table()?;
    cursor.pass_any(&["WITH VALIDATION", "WITHOUT VALIDATION"]);
    Some(Clause::Takes(other, Rewrite::PartitionsChanged))
}

fn option<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    if cursor.pass_any(PLAIN_OPTIONS) || cursor.pass("LOCK") {
        cursor.pass_sign(b'=');
        cursor.name()?;
        return Some(Clause::Keeps);
    }
    if cursor.pass("COMMENT") {
        cursor.pass_sign(b'=');
        cursor.text()?;
        return Some(Clause::Keeps);
    }
    cursor.pass("DEFAULT");
    // For columns that are added later.
    if cursor.pass_any(&["CHARACTER SET", "CHAR SET", "CHARSET", "COLLATE"]) {
        cursor.pass_sign(b'=');
        return cursor.name().map(|_| Clause::Keeps).or_else(|| cursor.text().map(|()| Clause::Keeps));
    }
    if cursor.pass("ENGINE") {
        cursor.pass_sign(b'=');
        let into_innodb = cursor.name()?.is("INNODB");
        return Some(if into_innodb { Clause::Keeps } else { Clause::Rewrites(Rewrite::EngineChanged) });
    }
    other_option(cursor)
}

/// `NAME = value`.
fn other_option<'a>(cursor: &mut Cursor<'a>) -> Option<Clause<'a>> {
    cursor.name()?;
    cursor.pass_sign(b'=').then_some(())?;
    match cursor.next()? {
        Token::Word(_) | Token::Text | Token::Quoted(..) => Some(Clause::Rewrites(Rewrite::OptionChanged)),
        Token::Sign(_) => None,
    }
}

/// Up to a comma. No other table's rows can be meant there.
fn rest_of_clause<'a>(cursor: &mut Cursor<'a>, why: Rewrite) -> Option<Clause<'a>> {
    cursor.skip_clause()?;
    Some(Clause::Rewrites(why))
}

/// To the end, commas or not: of clauses that nothing may follow.
fn rest<'a>(cursor: &mut Cursor<'a>, why: Rewrite) -> Option<Clause<'a>> {
    cursor.skip_clause()?;
    while cursor.pass_sign(b',') {
        cursor.skip_clause()?;
    }
    Some(Clause::Rewrites(why))
}
