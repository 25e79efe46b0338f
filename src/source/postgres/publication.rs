//! The two publications: exactly the configured tables, never all tables.
//!
//! `<publication>` carries tables whose rows can be identified, with every operation; `<publication>_insert_only` carries
//! the others with inserts and truncates, because a publication that publishes updates breaks the application's UPDATE of
//! a table without identity. Both exist before the slot, even when empty: a publication made later does not exist for the
//! log that was written before it. What a DBA made and covers the tables is left as it is.
//!
//! Once something was journaled, a table, operation, row filter or column list that somebody took away behind our back is
//! not put back silently: the source halts. A table that cannot join (another owner, a lock) halts alone, and the others go on.

use super::catalogue::publications::{self, Publication};
use super::catalogue::{Seen, ServerTable};
use super::fault::{Fault, ServerError};
use super::simple_query::{Connection, identifier};
use crate::config::PostgresSystem;
use crate::model::code::{self, Code};
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use std::collections::{BTreeMap, BTreeSet};

/// One publication as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    name: String,
    updates_and_deletes: bool,
    via_root: bool,
    tables: BTreeSet<TableName>,
}

/// One publication as it is, with those of the configured tables that it carries in effect.
struct Existing<'a> {
    is: &'a Publication,
    tables: BTreeSet<TableName>,
}

/// What was journaled before: nothing, or these tables.
#[derive(Debug, Clone, Copy)]
pub enum History<'a> {
    Empty,
    Captured(&'a BTreeSet<TableName>),
}

/// What there is to stream from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub names: Vec<String>,
    /// Configured tables that came later and cannot join: halted, while the others go on.
    pub left_out: Vec<(TableName, Problem)>,
    /// Something was changed on the server: what was seen of it before is old.
    pub changed: bool,
}

/// Statements that make the publications what they should be.
#[derive(Debug, Default)]
struct Changes {
    /// That make a publication, or set what it publishes.
    publications: Vec<String>,
    /// That put one table in or take it out.
    tables: BTreeMap<TableName, Vec<String>>,
}

/// Makes the publications what they should be.
///
/// # Errors
/// [`Fault::Halt`] when they may not be made, or were changed behind our back.
pub async fn ensure(
    connection: &mut Connection,
    system: &PostgresSystem,
    seen: &Seen,
    history: History<'_>,
) -> Result<Published, Fault> {
    let mut changes = Changes::default();
    let mut published = Published { names: Vec::new(), left_out: Vec::new(), changed: false };
    let wanted = wanted(&system.publication, &seen.tables);
    let existing = wanted.each_ref().map(|wanted| existing(&wanted.name, seen));
    if let History::Captured(captured) = history {
        nothing_was_lost(&wanted, &existing, captured)?;
    }
    let may_create = may_create(connection).await?;
    for (wanted, existing) in wanted.iter().zip(&existing) {
        // Without the right to create, an empty one is dispensable.
        if existing.is_none() && wanted.tables.is_empty() && !wanted.updates_and_deletes && !may_create {
            continue;
        }
        published.left_out.extend(changes.add(wanted, existing.as_ref(), history)?);
        published.names.push(wanted.name.clone());
    }
    published.changed = !changes.is_empty();
    published.left_out.extend(changes.apply(connection, history).await?);
    Ok(published)
}

/// What a first set-up would have to run for one publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    pub statements: Vec<String>,
    /// Somebody made it who is not us; only they may alter it.
    pub owned_by_another: bool,
    /// Why it would not do as it is, whoever owns it.
    pub problem: Option<Problem>,
}

/// What each of the two publications lacks. Changes nothing.
pub fn look(system: &PostgresSystem, seen: &Seen) -> Vec<Outlook> {
    let mut outlooks = Vec::new();
    for wanted in wanted(&system.publication, &seen.tables) {
        outlooks.push(match existing(&wanted.name, seen) {
            // Dispensable: nothing would go through it.
            None if wanted.tables.is_empty() && !wanted.updates_and_deletes => continue,
            None => Outlook { statements: vec![create(&wanted)], owned_by_another: false, problem: None },
            Some(existing) => match narrowed(&wanted, &existing) {
                Some((problem, sql)) => {
                    Outlook { statements: vec![sql], owned_by_another: !existing.is.ours, problem: Some(problem) }
                }
                None => {
                    let changes = alterations(&wanted, &existing);
                    Outlook { statements: changes.statements(), owned_by_another: !existing.is.ours, problem: None }
                }
            },
        });
    }
    outlooks
}

/// Whether one of the two carries the table now.
pub fn carries(table: &ServerTable) -> bool {
    !table.entry.carriers.is_empty()
}

fn existing<'a>(name: &str, seen: &'a Seen) -> Option<Existing<'a>> {
    let is = seen.publications.find(name)?;
    let carried = |table: &&ServerTable| table.entry.carriers.iter().any(|carrier| carrier.is_of(is));
    Some(Existing { is, tables: seen.tables.iter().filter(carried).map(|table| table.name.clone()).collect() })
}

fn wanted(publication: &str, tables: &[ServerTable]) -> [Wanted; 2] {
    let of = |name: String, updates_and_deletes: bool| {
        let fits = |table: &&ServerTable| (table.identity() != Identity::Nothing) == updates_and_deletes;
        let tables: Vec<_> = tables.iter().filter(fits).collect();
        Wanted {
            name,
            updates_and_deletes,
            via_root: tables.iter().any(|table| table.partitioned),
            tables: tables.into_iter().map(|table| table.name.clone()).collect(),
        }
    };
    let [all, inserts_only] = publications::names(publication);
    [of(all, true), of(inserts_only, false)]
}

async fn may_create(connection: &mut Connection) -> Result<bool, Fault> {
    let rows = connection.query("SELECT pg_catalog.has_database_privilege(current_database(), 'CREATE')").await?;
    Ok(rows.first().is_some_and(|row| row.is_true(0)))
}

/// Nothing that was captured before has dropped out of the stream since.
fn nothing_was_lost(
    wanted: &[Wanted],
    existing: &[Option<Existing<'_>>],
    captured: &BTreeSet<TableName>,
) -> Result<(), Fault> {
    let carried: BTreeSet<_> = existing.iter().flatten().flat_map(|publication| &publication.tables).collect();
    for (wanted, existing) in wanted.iter().zip(existing) {
        let create = || create(wanted);
        let Some(existing) = existing else {
            if wanted.updates_and_deletes || !wanted.tables.is_disjoint(captured) {
                let message = format!("publication {:?} does not exist; it would be: {}", wanted.name, create());
                return halt(code::PUBLICATION_MISSING, message);
            }
            continue;
        };
        let lacks_operation =
            !existing.is.inserts_and_truncates || wanted.updates_and_deletes && !existing.is.updates_and_deletes;
        if lacks_operation && !existing.tables.is_disjoint(captured) {
            let message = format!("publication {:?} lacks operations; fix with: {}", wanted.name, set_options(wanted));
            return halt(code::PUBLICATION_ALTERED, message);
        }
        let lost: Vec<_> =
            wanted.tables.iter().filter(|table| captured.contains(*table) && !carried.contains(table)).collect();
        if !lost.is_empty() {
            let tables = list(lost.iter().copied());
            let add = format!("ALTER PUBLICATION {} ADD TABLE {tables};", identifier(&wanted.name));
            let message = format!("publication {:?} no longer has {tables}; fix with: {add}", wanted.name);
            return halt(code::PUBLICATION_ALTERED, message);
        }
    }
    Ok(())
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.publications.is_empty() && self.tables.is_empty()
    }

    fn statements(&self) -> Vec<String> {
        self.publications.iter().chain(self.tables.values().flatten()).cloned().collect()
    }

    /// What makes one publication as wanted; gives the tables that only its owner can put in.
    fn add(
        &mut self,
        wanted: &Wanted,
        existing: Option<&Existing<'_>>,
        history: History<'_>,
    ) -> Result<Vec<(TableName, Problem)>, Fault> {
        let Some(existing) = existing else {
            self.publications.push(create(wanted));
            return Ok(Vec::new());
        };
        if let Some((problem, _)) = narrowed(wanted, existing) {
            return Err(Fault::Halt(problem));
        }
        let changes = alterations(wanted, existing);
        if !existing.is.ours && !changes.is_empty() {
            return left_to_its_owner(wanted, &changes, history);
        }
        self.publications.extend(changes.publications);
        for (table, statements) in changes.tables {
            self.tables.entry(table).or_default().extend(statements);
        }
        Ok(Vec::new())
    }

    /// All or nothing: a table that moves between the two is never in neither. Where that fails and something was captured
    /// before, table by table; gives those that could not join, and why.
    async fn apply(
        &self,
        connection: &mut Connection,
        history: History<'_>,
    ) -> Result<Vec<(TableName, Problem)>, Fault> {
        let sql = self.statements().join(" ");
        if sql.is_empty() {
            return Ok(Vec::new());
        }
        tracing::info!(sql, "setting publications");
        let Err(error) = run(connection, &sql).await? else { return Ok(Vec::new()) };
        if matches!(history, History::Empty) {
            return Err(if is_forbidden(&error) { Fault::Halt(forbidden(&error, &sql)) } else { error.into() });
        }
        if !self.publications.is_empty() {
            let sql = self.publications.join(" ");
            if let Err(error) = run(connection, &sql).await? {
                return Err(if is_forbidden(&error) { Fault::Halt(forbidden(&error, &sql)) } else { error.into() });
            }
        }
        if let (true, [(table, _)]) = (self.publications.is_empty(), &*self.tables.iter().collect::<Vec<_>>()) {
            return Ok(vec![((*table).clone(), cannot_join(&error, &sql))]);
        }
        let mut left_out = Vec::new();
        for (table, statements) in &self.tables {
            let sql = statements.join(" ");
            if let Err(error) = run(connection, &sql).await? {
                left_out.push((table.clone(), cannot_join(&error, &sql)));
            }
        }
        Ok(left_out)
    }
}

/// Somebody else's lock on a table is not waited for longer: nobody is to wait behind ours.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

/// One transaction. Within: what the server says against it.
async fn run(connection: &mut Connection, sql: &str) -> Result<Result<(), ServerError>, Fault> {
    match connection.query(&format!("BEGIN; {LOCK_TIMEOUT}; {sql} COMMIT")).await {
        // Of the connection, or of the server as a whole.
        Err(Fault::Server(error)) if !["08", "57", "53"].iter().any(|class| error.sqlstate.starts_with(class)) => {
            connection.query("ROLLBACK").await?;
            Ok(Err(error))
        }
        other => other.map(|_| Ok(())),
    }
}

fn is_forbidden(error: &ServerError) -> bool {
    error.sqlstate == "42501"
}

fn forbidden(error: &ServerError, sql: &str) -> Problem {
    Problem::new(code::PERMISSION_MISSING, format!("{error}; a superuser or the tables' owner can: {sql}"))
}

fn cannot_join(error: &ServerError, sql: &str) -> Problem {
    match error.sqlstate.as_str() {
        "42501" => forbidden(error, sql),
        "55P03" => Problem::new(code::TABLE_LOCKED, format!("{error}; to be run: {sql}")),
        _ => Problem::new(code::PUBLICATION_REFUSED, format!("{error}; refused was: {sql}")),
    }
}

fn left_to_its_owner(
    wanted: &Wanted,
    changes: &Changes,
    history: History<'_>,
) -> Result<Vec<(TableName, Problem)>, Fault> {
    let may_wait = |captured: &BTreeSet<TableName>| {
        changes.publications.is_empty() && !changes.tables.keys().any(|table| captured.contains(table))
    };
    match history {
        History::Captured(captured) if may_wait(captured) => {
            let left_out = |(table, statements): (&TableName, &Vec<String>)| {
                let (name, sql) = (&wanted.name, statements.join(" "));
                let message = format!("publication {name:?} is not ours to alter; its owner can: {sql}");
                (table.clone(), Problem::new(code::PERMISSION_MISSING, message))
            };
            Ok(changes.tables.iter().map(left_out).collect())
        }
        _ => {
            let sql = changes.statements().join(" ");
            let message = format!("publication {:?} is not ours to alter; its owner can: {sql}", wanted.name);
            halt(code::PERMISSION_MISSING, message)
        }
    }
}

/// It leaves rows or columns out, or has more columns than are read: why that will not do, and the SQL that changes it.
fn narrowed(wanted: &Wanted, existing: &Existing<'_>) -> Option<(Problem, String)> {
    let name = identifier(&wanted.name);
    if existing.is.generated && !wanted.tables.is_empty() {
        let sql = format!("ALTER PUBLICATION {name} SET (publish_generated_columns = none);");
        let message = format!("publication {:?} carries generated columns; fix with: {sql}", wanted.name);
        return Some((Problem::new(code::PUBLICATION_ALTERED, message), sql));
    }
    let filtered = existing.is.members.iter().find(|member| member.filtered && wanted.tables.contains(&member.table));
    let table = &filtered?.table;
    let sql = format!("ALTER PUBLICATION {name} SET TABLE {};", list(&wanted.tables));
    let message =
        format!("publication {:?} carries only some rows or columns of {table}; fix with: {sql}", wanted.name);
    Some((Problem::new(code::PUBLICATION_ALTERED, message), sql))
}

/// What makes it as wanted; nothing when it is. What else somebody has put into a publication of whole schemas or of
/// another owner is theirs to take out.
fn alterations(wanted: &Wanted, existing: &Existing<'_>) -> Changes {
    let mut changes = Changes::default();
    let name = identifier(&wanted.name);
    let is = existing.is;
    if is.ours && !is.is_wide() {
        for member in is.members.iter().filter(|member| !wanted.tables.contains(&member.table)) {
            let drop = format!("ALTER PUBLICATION {name} DROP TABLE {};", list([&member.table]));
            changes.tables.entry(member.table.clone()).or_default().push(drop);
        }
    }
    for table in wanted.tables.difference(&existing.tables) {
        let add = format!("ALTER PUBLICATION {name} ADD TABLE {};", list([table]));
        changes.tables.entry(table.clone()).or_default().push(add);
    }
    let operations = is.inserts_and_truncates
        && is.updates_and_deletes == wanted.updates_and_deletes
        && is.updates_or_deletes == wanted.updates_and_deletes;
    if !operations || wanted.via_root && !is.via_root {
        changes.publications.push(set_options(wanted));
    }
    changes
}

fn create(wanted: &Wanted) -> String {
    let name = identifier(&wanted.name);
    let tables = if wanted.tables.is_empty() { String::new() } else { format!(" FOR TABLE {}", list(&wanted.tables)) };
    format!("CREATE PUBLICATION {name}{tables} WITH ({});", options(wanted))
}

fn set_options(wanted: &Wanted) -> String {
    format!("ALTER PUBLICATION {} SET ({});", identifier(&wanted.name), options(wanted))
}

fn options(wanted: &Wanted) -> String {
    let publish = if wanted.updates_and_deletes { "insert, update, delete, truncate" } else { "insert, truncate" };
    format!("publish = '{publish}', publish_via_partition_root = true")
}

/// `ONLY` keeps inheritance children out, which have their own place in the list.
fn list<'a>(tables: impl IntoIterator<Item = &'a TableName>) -> String {
    let quoted = |table: &TableName| format!("ONLY {}.{}", identifier(&table.schema), identifier(&table.table));
    tables.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn halt<T>(code: Code, message: String) -> Result<T, Fault> {
    Err(Fault::Halt(Problem::new(code, message)))
}
