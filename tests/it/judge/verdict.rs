//! Whether what was found in a statement covers what the server did.

use super::log::Logged;
use super::tables::{Picture, Pictures};
use tailwater::decode::mysql::statement::{Effect, Rewrite, Session, Statement, Status, Target};
use tailwater::decode::mysql::table_map::Dialect;
use tailwater::decode::mysql::types::Charsets;

/// What the statements in the log were found to do.
pub struct Found {
    pub effects: Vec<(Target, Effect)>,
    pub wrong: Vec<String>,
}

pub fn find(logged: &Logged, dialect: Dialect, charsets: &Charsets) -> Found {
    let mut found = Found { effects: Vec::new(), wrong: Vec::new() };
    for query in &logged.queries {
        let session = Session::new(dialect, &Status::parse(&query.status), &query.schema, charsets);
        let statement = Statement::parse(&query.text, &session);
        let opens = match &statement {
            Statement::Begin => true,
            Statement::Definition(definition) => definition.opens || dialect == Dialect::Mariadb,
            // MariaDB has no BEGIN of its own.
            _ => dialect == Dialect::Mariadb,
        };
        if query.rows_follow && !opens && !matches!(statement, Statement::Savepoint) {
            found.wrong.push("rows follow, and the statement does not open".to_owned());
        }
        match statement {
            Statement::Definition(definition) => found.effects.extend(definition.effects),
            Statement::Unknown(mentions) | Statement::Changes(mentions) => {
                let unknown = Effect::Rewritten(Rewrite::Unrecognised);
                found.effects.extend(mentions.into_iter().map(|target| (target, unknown)));
            }
            _ => {}
        }
    }
    found
}

fn names(target: &Target, table: &str) -> bool {
    let (schema, name) = table.split_once('.').expect("both");
    match target {
        Target::Table(named) => named.table == name && named.schema.as_deref().is_none_or(|named| named == schema),
        Target::Database(database) => database == schema,
        Target::Like(named) => {
            is_like(&named.table, name) && named.schema.as_deref().is_none_or(|named| is_like(named, schema))
        }
        Target::DatabaseLike(database) => is_like(database, schema),
        Target::Unreadable { schema: named } => named.as_deref().is_none_or(|named| named == schema),
    }
}

/// A question mark stands for any one character.
fn is_like(holed: &str, name: &str) -> bool {
    holed.chars().count() == name.chars().count()
        && holed.chars().zip(name.chars()).all(|(holed, character)| holed == '?' || holed == character)
}

pub fn of<'a>(found: &'a Found, table: &str) -> Vec<&'a Effect> {
    found.effects.iter().filter(|(target, _)| names(target, table)).map(|(_, effect)| effect).collect()
}

/// Tables of which something is missed.
pub fn missed(before: &Pictures, after: &Pictures, logged: &Logged, found: &Found) -> Vec<String> {
    let mut missed = Vec::new();
    for table in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
        let (old, new) = (before.get(table), after.get(table));
        if old.map(|old| &old.columns) == new.map(|new| &new.columns) {
            continue;
        }
        let same_columns = old.zip(new).is_some_and(|(old, new)| old.columns.keys().eq(new.columns.keys()));
        if same_columns && logged.rows.contains(table) {
            continue;
        }
        // A cascade is in no log of MariaDB's; the catalogue knows who has a foreign key.
        let cascades =
            same_columns && found.effects.iter().all(|(_, effect)| *effect == Effect::Rewritten(Rewrite::Unrecognised));
        if cascades && (logged.rows.contains("crm.parent") || !of(found, "crm.parent").is_empty()) {
            continue;
        }
        let effects = of(found, table);
        let only_generated = old.zip(new).is_some_and(|(old, new)| same_columns && differs_only_in_generated(old, new));
        let covered = effects.iter().any(|effect| match effect {
            Effect::Kept => false,
            Effect::Rebuilt => only_generated,
            Effect::Created => old.is_none(),
            Effect::Dropped => new.is_none(),
            // RENAME without rows, and so on, would be a mistake as well, but a harmless one.
            Effect::Truncated => new.is_some_and(|new| new.columns.values().all(Vec::is_empty)),
            Effect::Replaced | Effect::Renamed | Effect::Rewritten(_) => true,
        });
        if !covered {
            missed.push(format!("{table}: {effects:?}"));
        }
    }
    missed
}

fn differs_only_in_generated(old: &Picture, new: &Picture) -> bool {
    old.columns.iter().all(|(name, cells)| new.columns.get(name) == Some(cells) || new.generated.contains(name))
}

/// Tables that are the same and would be copied again, and why.
pub fn needless(before: &Pictures, after: &Pictures, found: &Found) -> Vec<Effect> {
    let same = before.iter().filter(|(name, old)| after.get(*name).is_some_and(|new| new.columns == old.columns));
    let copies = |name: &String| of(found, name).into_iter().find(|effect| **effect > Effect::Created).copied();
    same.filter_map(|(name, _)| copies(name)).collect()
}
