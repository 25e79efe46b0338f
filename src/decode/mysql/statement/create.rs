//! CREATE: what is made, and whether its name meant something else before.

use super::cursor::Cursor;
use super::definition::{Effects, nothing, of, of_databases};
use super::session::Session;
use super::token::Token;
use super::{Effect, Rewrite, Statement, index, name};

/// Engines whose new tables are empty. MERGE, FEDERATED, CONNECT and their like show rows that are there already.
const OWN_ENGINES: &[&str] = &["INNODB", "MYISAM", "ARIA", "MEMORY", "HEAP", "ROCKSDB", "CSV", "ARCHIVE", "BLACKHOLE"];

pub fn read(mut cursor: Cursor<'_>, session: &Session<'_>) -> Option<Statement> {
    let replaces = cursor.pass("OR REPLACE");
    let made = if replaces { Effect::Replaced } else { Effect::Created };
    loop {
        let start = cursor;
        match &*cursor.keyword()? {
            "TABLE" => return table(cursor, made, session),
            // A sequence is a table. One that replaces a table takes its rows away.
            "SEQUENCE" => {
                cursor.pass("IF NOT EXISTS");
                let effects: Effects<'_> = vec![(cursor.table()?, made)];
                return Some(of(&effects, false, session));
            }
            "DATABASE" | "SCHEMA" if replaces => {
                let database = cursor.name()?;
                return Some(of_databases(name::databases(database, session), Effect::Dropped));
            }
            "UNIQUE" | "FULLTEXT" | "SPATIAL" | "VECTOR" if cursor.sees("INDEX") => {}
            "ONLINE" | "OFFLINE" => {}
            "INDEX" => return index::created(cursor).map(|effects| of(&effects, false, session)),
            // A temporary table has its name to itself.
            "TEMPORARY" | "VIEW" | "TRIGGER" | "PROCEDURE" | "FUNCTION" | "EVENT" | "PACKAGE" | "LIBRARY"
            | "DATABASE" | "SCHEMA" | "USER" | "ROLE" | "SERVER" | "TABLESPACE" => return nothing(),
            "ALGORITHM" | "DEFINER" | "SQL" | "AGGREGATE" => pass_attributes(&mut cursor)?,
            _ if start.sees("UNDO TABLESPACE")
                || start.sees("LOGFILE GROUP")
                || start.sees("RESOURCE GROUP")
                || start.sees("SPATIAL REFERENCE") =>
            {
                return nothing();
            }
            _ => return None,
        }
    }
}

/// `ALGORITHM = MERGE DEFINER = 'a'@'b' SQL SECURITY INVOKER`, up to what they are of.
pub fn pass_attributes(cursor: &mut Cursor<'_>) -> Option<()> {
    const OBJECTS: [&str; 6] = ["VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE"];
    while !OBJECTS.iter().any(|object| cursor.sees(object)) {
        cursor.next()?;
    }
    Some(())
}

fn table(mut cursor: Cursor<'_>, made: Effect, session: &Session<'_>) -> Option<Statement> {
    cursor.pass("IF NOT EXISTS");
    let table = cursor.table()?;
    let body = Body::of(cursor)?;
    let mut effects = vec![(table, made)];
    if body.is_filled {
        effects.push((table, Effect::Rewritten(Rewrite::Filled)));
    }
    Some(of(&effects, body.opens, session))
}

/// What matters of all that follows a new table's name.
#[derive(Default)]
struct Body {
    /// The rows are not in the log as rows: of a query or of another server.
    is_filled: bool,
    /// It ends in START TRANSACTION.
    opens: bool,
}

impl Body {
    /// Keywords are never names there, except behind a dot: their like have to be quoted.
    fn of(mut cursor: Cursor<'_>) -> Option<Self> {
        let mut body = Self::default();
        let (mut behind_dot, mut depth) = (false, 0_u32);
        loop {
            let is_name = std::mem::replace(&mut behind_dot, cursor.sees_sign(b'.'));
            body.opens = !is_name && cursor.sees("START TRANSACTION") && ends_behind(cursor, 2);
            if body.opens {
                return Some(body);
            }
            if !is_name {
                body.is_filled |= cursor.sees("SELECT") || cursor.sees("TABLE") || is_row_list(cursor);
                // In parentheses it is a column, or a partition's, which has the table's.
                body.is_filled |= depth == 0 && is_foreign_engine(cursor);
            }
            match cursor.next() {
                Some(Token::Sign(b'(')) => depth = depth.saturating_add(1),
                Some(Token::Sign(b')')) => depth = depth.saturating_sub(1),
                Some(_) => {}
                None => return cursor.end().map(|()| body),
            }
        }
    }
}

fn ends_behind(mut cursor: Cursor<'_>, tokens: usize) -> bool {
    for _ in 0..tokens {
        cursor.next();
    }
    cursor.end().is_some()
}

/// VALUES (1), (2); not a partition's VALUES LESS THAN or VALUES IN.
fn is_row_list(mut cursor: Cursor<'_>) -> bool {
    cursor.pass("VALUES") && (cursor.sees_sign(b'(') || cursor.sees("ROW"))
}

/// ENGINE = MERGE.
fn is_foreign_engine(mut cursor: Cursor<'_>) -> bool {
    if !cursor.pass("ENGINE") {
        return false;
    }
    cursor.pass_sign(b'=');
    !cursor.name().is_some_and(|engine| OWN_ENGINES.iter().any(|own| engine.is(own)))
}
