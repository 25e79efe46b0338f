//! ALTER: a table keeps its rows and values only if each of its clauses is one that is known to.

use super::clause::{self, Clause};
use super::create::pass_attributes;
use super::cursor::Cursor;
use super::definition::{Effects, nothing, of, of_databases};
use super::session::Session;
use super::{Effect, Rewrite, Statement, name};

pub fn read(mut cursor: Cursor<'_>, session: &Session<'_>) -> Option<Statement> {
    let mut ignores = false;
    loop {
        let start = cursor;
        match &*cursor.keyword()? {
            // MariaDB.
            "ONLINE" | "OFFLINE" => {}
            "IGNORE" => ignores = true,
            "TABLE" => return Some(of(&table(cursor, ignores)?, false, session)),
            "SEQUENCE" => {
                cursor.pass("IF EXISTS");
                let sequence = cursor.table()?;
                return Some(of(&vec![(sequence, Effect::Rewritten(Rewrite::SequenceChanged))], false, session));
            }
            "DATABASE" | "SCHEMA" => return database(cursor, session),
            "VIEW" | "PROCEDURE" | "FUNCTION" | "EVENT" | "USER" | "SERVER" | "INSTANCE" | "TABLESPACE" | "LIBRARY"
            | "ROLE" => return nothing(),
            "ALGORITHM" | "DEFINER" | "SQL" => pass_attributes(&mut cursor)?,
            _ if start.sees("UNDO TABLESPACE") || start.sees("LOGFILE GROUP") || start.sees("RESOURCE GROUP") => {
                return nothing();
            }
            _ => return None,
        }
    }
}

/// Defaults for tables that are made later; but the name of its directory may be written in another way.
fn database(mut cursor: Cursor<'_>, session: &Session<'_>) -> Option<Statement> {
    let mut named = cursor;
    let name = named.name();
    if named.pass("UPGRADE") {
        return Some(of_databases(name::databases(name?, session), Effect::Renamed));
    }
    cursor.skip_clause()?;
    cursor.end()?;
    nothing()
}

/// Clauses between commas; partitioning follows the last one without any, and so do options one another.
fn table(mut cursor: Cursor<'_>, ignores: bool) -> Option<Effects<'_>> {
    cursor.pass("IF EXISTS");
    let table = cursor.table()?;
    cursor.pass_wait();
    let mut effects = Vec::new();
    if ignores {
        effects.push((table, Effect::Rewritten(Rewrite::RowsIgnored)));
    }
    let mut kept = Effect::Rebuilt;
    while cursor.clone().end().is_none() {
        match clause::read(&mut cursor)? {
            Clause::Keeps => {}
            Clause::NeverCopies(never) => kept = if never { Effect::Kept } else { Effect::Rebuilt },
            Clause::Rewrites(why) => effects.push((table, Effect::Rewritten(why))),
            Clause::Renames(other) => effects.extend([(table, Effect::Renamed), (other, Effect::Renamed)]),
            Clause::Takes(other, why) => {
                effects.extend([(table, Effect::Rewritten(why)), (other, Effect::Rewritten(why))]);
            }
        }
        cursor.pass_sign(b',');
    }
    if effects.is_empty() {
        effects.push((table, kept));
    }
    Some(effects)
}
