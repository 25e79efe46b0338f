//! A statement's first words: transaction control, rows changed by a statement, or a definition.

use super::cursor::Cursor;
use super::reading::Reading;
use super::session::Session;
use super::{Statement, definition, mention};

/// What `text` does, read in this one way.
pub fn read(text: &[u8], reading: Reading, session: &Session<'_>) -> Statement {
    let mut cursor = Cursor::of(text, reading);
    while cursor.pass("SET STATEMENT") {
        if pass_assignments(&mut cursor).is_none() {
            return Statement::Unknown(mention::all(Cursor::of(text, reading), session));
        }
    }
    let start = cursor;
    if start.sees("IMPORT TABLE") {
        // The files that it names say which tables it makes, with their rows.
        return Statement::Unknown(mention::all_and_more(start, session));
    }
    let known = control(start).or_else(|| changes(start, session)).or_else(|| definition::read(start, session));
    known.unwrap_or_else(|| Statement::Unknown(mention::all(start, session)))
}

/// MariaDB: `SET STATEMENT a = 1, b = (SELECT 2) FOR …`.
fn pass_assignments(cursor: &mut Cursor<'_>) -> Option<()> {
    while !cursor.pass("FOR") {
        if cursor.sees_sign(b'(') {
            cursor.parentheses()?;
        } else {
            cursor.next()?;
        }
    }
    Some(())
}

fn control(mut cursor: Cursor<'_>) -> Option<Statement> {
    let statement = match &*cursor.keyword()? {
        "BEGIN" => {
            cursor.pass("WORK");
            // MariaDB: BEGIN NOT ATOMIC.
            cursor.end()?;
            Statement::Begin
        }
        "START" if cursor.sees("TRANSACTION") => Statement::Begin,
        "COMMIT" => Statement::Commit,
        "SAVEPOINT" => Statement::Savepoint,
        "RELEASE" if cursor.sees("SAVEPOINT") => Statement::Savepoint,
        "ROLLBACK" => {
            cursor.pass("WORK");
            if cursor.sees("TO") { Statement::RollbackTo } else { Statement::Rollback }
        }
        "XA" => Statement::Xa,
        _ => return None,
    };
    Some(statement)
}

fn changes(start: Cursor<'_>, session: &Session<'_>) -> Option<Statement> {
    let mut cursor = start;
    // ( SELECT … )
    if cursor.sees_sign(b'(') {
        return Some(Statement::Changes(mention::all_and_more(start, session)));
    }
    let mentions = match &*cursor.keyword()? {
        "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "LOAD" => mention::all(start, session),
        "CALL" | "WITH" | "DO" | "SELECT" | "VALUES" | "TABLE" | "HANDLER" => mention::all_and_more(start, session),
        // MariaDB: ANALYZE FORMAT=JSON UPDATE … runs it.
        "ANALYZE" => {
            cursor.pass_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
            if cursor.pass_any(&["TABLE", "TABLES"]) {
                return None;
            }
            mention::all_and_more(start, session)
        }
        _ => return None,
    };
    Some(Statement::Changes(mentions))
}
