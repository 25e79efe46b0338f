//! Definitions, and statements of administration, by their first words. `None`: not known wholly, so every name in it counts.
//!
//! What a trigger, procedure, event or view says is of no interest: what its body changes is logged as rows when it does.

use super::cursor::Cursor;
use super::name::{self, RawTable};
use super::session::Session;
use super::{Definition, Effect, Rewrite, Statement, Target, alter, create, index};

/// What a statement does to the tables that it names.
pub type Effects<'a> = Vec<(RawTable<'a>, Effect)>;

/// No table's rows or values.
pub fn nothing() -> Option<Statement> {
    Some(Statement::Definition(Definition::default()))
}

pub fn of(effects: &Effects<'_>, opens: bool, session: &Session<'_>) -> Statement {
    let targets = |(table, effect): &(RawTable<'_>, Effect)| {
        let effect = *effect;
        table.targets(session).into_iter().map(move |target| (target, effect))
    };
    finished(effects.iter().flat_map(targets).collect(), opens)
}

pub fn of_databases(databases: Vec<Target>, effect: Effect) -> Statement {
    finished(databases.into_iter().map(|target| (target, effect)).collect(), false)
}

fn finished(mut effects: Vec<(Target, Effect)>, opens: bool) -> Statement {
    effects.sort();
    effects.dedup();
    Statement::Definition(Definition { effects, opens })
}

pub fn read(mut cursor: Cursor<'_>, session: &Session<'_>) -> Option<Statement> {
    let effects = match &*cursor.keyword()? {
        "CREATE" => return create::read(cursor, session),
        "ALTER" => return alter::read(cursor, session),
        "DROP" => return dropped(cursor, session),
        "RENAME" => renamed(cursor)?,
        "TRUNCATE" => truncated(cursor)?,
        "OPTIMIZE" => maintained(cursor, Effect::Rebuilt)?,
        "REPAIR" => maintained(cursor, Effect::Rewritten(Rewrite::Repaired))?,
        // SET STATEMENT was taken off, ANALYZE with a statement behind it too.
        "GRANT" | "REVOKE" | "SET" | "FLUSH" | "ANALYZE" | "CHECK" | "CACHE" | "LOCK" | "UNLOCK" | "INSTALL"
        | "UNINSTALL" | "RESET" | "PURGE" | "USE" | "SHOW" | "KILL" => return nothing(),
        _ => return None,
    };
    Some(of(&effects, false, session))
}

fn dropped(mut cursor: Cursor<'_>, session: &Session<'_>) -> Option<Statement> {
    let start = cursor;
    // A temporary table has its name to itself.
    let effects = match &*cursor.keyword()? {
        "TABLE" | "TABLES" => dropped_tables(cursor)?,
        "SEQUENCE" => dropped_tables(cursor)?,
        "DATABASE" | "SCHEMA" => {
            cursor.pass("IF EXISTS");
            let database = cursor.name()?;
            cursor.end()?;
            return Some(of_databases(name::databases(database, session), Effect::Dropped));
        }
        "INDEX" => index::dropped(cursor)?,
        "TEMPORARY" | "VIEW" | "TRIGGER" | "PROCEDURE" | "FUNCTION" | "EVENT" | "USER" | "ROLE" | "SERVER"
        | "PACKAGE" | "LIBRARY" | "TABLESPACE" | "PREPARE" => return nothing(),
        _ if start.sees("UNDO TABLESPACE")
            || start.sees("LOGFILE GROUP")
            || start.sees("RESOURCE GROUP")
            || start.sees("SPATIAL REFERENCE") =>
        {
            return nothing();
        }
        _ => return None,
    };
    Some(of(&effects, false, session))
}

fn dropped_tables(mut cursor: Cursor<'_>) -> Option<Effects<'_>> {
    cursor.pass("IF EXISTS");
    let tables = cursor.tables()?;
    cursor.pass_wait();
    cursor.pass_any(&["RESTRICT", "CASCADE"]);
    cursor.end()?;
    Some(tables.into_iter().map(|table| (table, Effect::Dropped)).collect())
}

/// `RENAME TABLE a TO b, c WAIT 5 TO d`.
fn renamed(mut cursor: Cursor<'_>) -> Option<Effects<'_>> {
    if cursor.pass("USER") {
        return Some(Vec::new());
    }
    if !cursor.pass_any(&["TABLE", "TABLES"]) {
        return None;
    }
    cursor.pass("IF EXISTS");
    let mut tables = Vec::new();
    loop {
        tables.push((cursor.table()?, Effect::Renamed));
        cursor.pass_wait();
        if !cursor.pass("TO") {
            return None;
        }
        tables.push((cursor.table()?, Effect::Renamed));
        if !cursor.pass_sign(b',') {
            break;
        }
    }
    cursor.end()?;
    Some(tables)
}

fn truncated(mut cursor: Cursor<'_>) -> Option<Effects<'_>> {
    let mut with_word = cursor;
    // A table may be named `table` only in quotes.
    if with_word.pass("TABLE") {
        cursor = with_word;
    }
    let table = cursor.table()?;
    cursor.pass_wait();
    cursor.end()?;
    Some(vec![(table, Effect::Truncated)])
}

/// `OPTIMIZE TABLE a, b QUICK`.
fn maintained(mut cursor: Cursor<'_>, effect: Effect) -> Option<Effects<'_>> {
    cursor.pass_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
    if cursor.pass("VIEW") {
        return Some(Vec::new());
    }
    if !cursor.pass_any(&["TABLE", "TABLES"]) {
        return None;
    }
    let tables = cursor.tables()?;
    cursor.pass_wait();
    while cursor.pass_any(&["QUICK", "EXTENDED", "USE_FRM", "FORCE"]) {}
    cursor.end()?;
    Some(tables.into_iter().map(|table| (table, effect)).collect())
}
