//! The two publications: exactly the configured tables, never all tables.
//!
//! `<publication>` carries tables whose rows can be identified, with every operation; `<publication>_insert_only` carries
//! the others with inserts and truncates, because a publication that publishes updates breaks the application's UPDATE of
//! a table without identity. Both exist before the slot, even when empty: a publication made later does not exist for the
//! log that was written before it. What a DBA made and covers the tables is left as it is.
//!
//! Once something was journaled, a table, operation, row filter or column list that somebody changed behind our back is
//! not mended silently: changes are missing then, and the source halts.

use super::fault::Fault;
use super::simple_query::{Connection, Row, identifier, literal};
use super::tables::ServerTable;
use crate::config::PostgresSystem;
use crate::model::code::{self, Code};
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use std::collections::BTreeSet;

const SUFFIX: &str = "_insert_only";

/// One publication as it is on the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Existing {
    /// We may alter it.
    ours: bool,
    /// FOR ALL TABLES, or whole schemas (15): its list cannot simply be set.
    wide: bool,
    inserts_and_truncates: bool,
    updates_and_deletes: bool,
    via_root: bool,
    /// What it carries in effect.
    tables: BTreeSet<TableName>,
    /// Tables with a row filter or a column list.
    filtered: BTreeSet<TableName>,
}

/// One publication as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    name: String,
    updates_and_deletes: bool,
    via_root: bool,
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
    /// Configured tables that came later and that only a publication's owner can add: halted, while the others go on.
    pub left_out: Vec<(TableName, Problem)>,
}

/// Makes the publications what they should be.
///
/// # Errors
/// [`Fault::Halt`] when they may not be made, or were changed behind our back.
pub async fn ensure(
    connection: &mut Connection,
    system: &PostgresSystem,
    tables: &[ServerTable],
    history: History<'_>,
) -> Result<Published, Fault> {
    let mut statements = Vec::new();
    let mut published = Published { names: Vec::new(), left_out: Vec::new() };
    let wanted = wanted(&system.publication, tables);
    let mut existing = Vec::new();
    for publication in &wanted {
        existing.push(read(connection, &publication.name).await?);
    }
    if let History::Captured(captured) = history {
        nothing_was_lost(&wanted, &existing, captured)?;
    }
    let may_create = may_create(connection).await?;
    for (wanted, existing) in wanted.iter().zip(&existing) {
        // Without the right to create, an empty one is dispensable.
        if existing.is_none() && wanted.tables.is_empty() && !wanted.updates_and_deletes && !may_create {
            continue;
        }
        match mend(wanted, existing.as_ref(), history)? {
            Mending::By(sql) => statements.extend(sql),
            Mending::LeavesOut(tables) => published.left_out.extend(tables),
        }
        published.names.push(wanted.name.clone());
    }
    apply(connection, &statements).await?;
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

/// How each of the two publications stands. Changes nothing.
///
/// # Errors
/// Those of the connection.
pub async fn look(
    connection: &mut Connection,
    system: &PostgresSystem,
    tables: &[ServerTable],
) -> Result<Vec<Outlook>, Fault> {
    let mut outlooks = Vec::new();
    for wanted in wanted(&system.publication, tables) {
        outlooks.push(match read(connection, &wanted.name).await? {
            // Dispensable: nothing would go through it.
            None if wanted.tables.is_empty() && !wanted.updates_and_deletes => continue,
            None => Outlook { statements: vec![create(&wanted)], owned_by_another: false, problem: None },
            Some(existing) => match narrowed(&wanted, &existing) {
                Some((problem, sql)) => {
                    Outlook { statements: vec![sql], owned_by_another: !existing.ours, problem: Some(problem) }
                }
                None => Outlook {
                    statements: alterations(&wanted, &existing),
                    owned_by_another: !existing.ours,
                    problem: None,
                },
            },
        });
    }
    Ok(outlooks)
}

/// Whether one of the two carries the table now.
///
/// # Errors
/// Those of the connection.
pub async fn carries(connection: &mut Connection, system: &PostgresSystem, table: &TableName) -> Result<bool, Fault> {
    let names = names(&system.publication).map(|name| literal(&name)).join(", ");
    let sql = format!(
        "SELECT 1 FROM pg_catalog.pg_publication_tables WHERE pubname IN ({names}) AND schemaname = {} AND tablename = {}",
        literal(&table.schema),
        literal(&table.table)
    );
    Ok(!connection.query(&sql).await?.is_empty())
}

fn names(publication: &str) -> [String; 2] {
    [publication.to_owned(), format!("{publication}{SUFFIX}")]
}

fn wanted(publication: &str, tables: &[ServerTable]) -> [Wanted; 2] {
    let of = |name: String, updates_and_deletes: bool| {
        let fits = |table: &&ServerTable| (table.identity != Identity::Nothing) == updates_and_deletes;
        let tables: Vec<_> = tables.iter().filter(fits).collect();
        Wanted {
            name,
            updates_and_deletes,
            via_root: tables.iter().any(|table| table.partitioned),
            tables: tables.into_iter().map(|table| table.name.clone()).collect(),
        }
    };
    let [all, inserts_only] = names(publication);
    [of(all, true), of(inserts_only, false)]
}

async fn may_create(connection: &mut Connection) -> Result<bool, Fault> {
    let rows = connection.query("SELECT pg_catalog.has_database_privilege(current_database(), 'CREATE')").await?;
    Ok(rows.first().is_some_and(|row| row.is_true(0)))
}

async fn read(connection: &mut Connection, name: &str) -> Result<Option<Existing>, Fault> {
    let name = literal(name);
    let sql = format!(
        "SELECT pg_catalog.pg_has_role(pubowner, 'USAGE'), puballtables, pubinsert AND pubtruncate, \
         pubupdate AND pubdelete, pubviaroot, pubupdate OR pubdelete, current_setting('server_version_num')::int >= 150000 \
         FROM pg_catalog.pg_publication WHERE pubname = {name}"
    );
    let rows = connection.query(&sql).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let sql = format!("SELECT schemaname, tablename FROM pg_catalog.pg_publication_tables WHERE pubname = {name}");
    let tables = connection.query(&sql).await?.iter().map(table).collect::<Result<_, Fault>>()?;
    let (schemas, filtered) =
        if row.is_true(6) { read_since_15(connection, &name).await? } else { (false, BTreeSet::new()) };
    Ok(Some(Existing {
        ours: row.is_true(0),
        wide: row.is_true(1) || schemas,
        inserts_and_truncates: row.is_true(2),
        updates_and_deletes: row.is_true(3),
        via_root: row.is_true(4),
        tables,
        filtered,
    }))
}

/// Whether whole schemas are in it, and which tables have row filters or column lists.
async fn read_since_15(connection: &mut Connection, name: &str) -> Result<(bool, BTreeSet<TableName>), Fault> {
    let sql = format!(
        "SELECT 1 FROM pg_catalog.pg_publication_namespace s \
         JOIN pg_catalog.pg_publication p ON p.oid = s.pnpubid WHERE p.pubname = {name}"
    );
    let schemas = !connection.query(&sql).await?.is_empty();
    let sql = format!(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_publication_rel r \
         JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE p.pubname = {name} AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)"
    );
    Ok((schemas, connection.query(&sql).await?.iter().map(table).collect::<Result<_, Fault>>()?))
}

fn table(row: &Row) -> Result<TableName, Fault> {
    match (row.text(0), row.text(1)) {
        (Some(schema), Some(table)) => Ok(TableName::new(schema, table)),
        _ => Err(Fault::Protocol("a table without a name")),
    }
}

/// Nothing that was captured before has dropped out of the stream since.
fn nothing_was_lost(
    wanted: &[Wanted],
    existing: &[Option<Existing>],
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
            !existing.inserts_and_truncates || wanted.updates_and_deletes && !existing.updates_and_deletes;
        if lacks_operation && !existing.tables.is_disjoint(captured) {
            let message = format!("publication {:?} lacks operations; mend with: {}", wanted.name, set_options(wanted));
            return halt(code::PUBLICATION_ALTERED, message);
        }
        let lost: Vec<_> =
            wanted.tables.iter().filter(|table| captured.contains(*table) && !carried.contains(table)).collect();
        if !lost.is_empty() {
            let tables = list(lost.iter().copied());
            let add = format!("ALTER PUBLICATION {} ADD TABLE {tables};", identifier(&wanted.name));
            let message = format!("publication {:?} no longer has {tables}; mend with: {add}", wanted.name);
            return halt(code::PUBLICATION_ALTERED, message);
        }
    }
    Ok(())
}

enum Mending {
    /// No statement when all is as wanted.
    By(Vec<String>),
    LeavesOut(Vec<(TableName, Problem)>),
}

/// What makes it as wanted.
fn mend(wanted: &Wanted, existing: Option<&Existing>, history: History<'_>) -> Result<Mending, Fault> {
    let Some(existing) = existing else { return Ok(Mending::By(vec![create(wanted)])) };
    if let Some((problem, _)) = narrowed(wanted, existing) {
        return Err(Fault::Halt(problem));
    }
    let statements = alterations(wanted, existing);
    if existing.ours || statements.is_empty() {
        return Ok(Mending::By(statements));
    }
    let message =
        format!("publication {:?} is not ours to alter; its owner can: {}", wanted.name, statements.join(" "));
    let missing: Vec<_> = wanted.tables.difference(&existing.tables).cloned().collect();
    match history {
        History::Captured(captured)
            if statements.len() == missing.len().min(1) && !missing.iter().any(|table| captured.contains(table)) =>
        {
            let left_out = |table: TableName| {
                let (name, add) = (&wanted.name, add_tables(wanted, [&table]));
                let message = format!("publication {name:?} is not ours to alter; its owner can: {add}");
                (table, Problem::new(code::PERMISSION_MISSING, message))
            };
            Ok(Mending::LeavesOut(missing.into_iter().map(left_out).collect()))
        }
        _ => halt(code::PERMISSION_MISSING, message),
    }
}

/// It leaves rows or columns out: why that will not do, and the SQL that mends it.
fn narrowed(wanted: &Wanted, existing: &Existing) -> Option<(Problem, String)> {
    let table = existing.filtered.intersection(&wanted.tables).next()?;
    let sql = format!("ALTER PUBLICATION {} SET TABLE {};", identifier(&wanted.name), list(&wanted.tables));
    let message =
        format!("publication {:?} carries only some rows or columns of {table}; mend with: {sql}", wanted.name);
    Some((Problem::new(code::PUBLICATION_ALTERED, message), sql))
}

/// The statements that make it as wanted; none when it is.
fn alterations(wanted: &Wanted, existing: &Existing) -> Vec<String> {
    let mut statements = Vec::new();
    if existing.tables != wanted.tables
        && (existing.ours && !existing.wide || !wanted.tables.is_subset(&existing.tables))
    {
        statements.push(set_tables(wanted, existing));
    }
    let operations = existing.inserts_and_truncates && existing.updates_and_deletes == wanted.updates_and_deletes;
    if !operations || wanted.via_root && !existing.via_root {
        statements.push(set_options(wanted));
    }
    statements
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

/// `SET TABLE` takes at least one; an empty list is reached by dropping what is there.
fn set_tables(wanted: &Wanted, existing: &Existing) -> String {
    let name = identifier(&wanted.name);
    if wanted.tables.is_empty() {
        format!("ALTER PUBLICATION {name} DROP TABLE {};", list(&existing.tables))
    } else if existing.wide || !existing.ours {
        // What else somebody has put into it is theirs to take out.
        add_tables(wanted, wanted.tables.difference(&existing.tables))
    } else {
        format!("ALTER PUBLICATION {name} SET TABLE {};", list(&wanted.tables))
    }
}

fn add_tables<'a>(wanted: &Wanted, tables: impl IntoIterator<Item = &'a TableName>) -> String {
    format!("ALTER PUBLICATION {} ADD TABLE {};", identifier(&wanted.name), list(tables))
}

/// `ONLY` keeps inheritance children out, which have their own place in the list.
fn list<'a>(tables: impl IntoIterator<Item = &'a TableName>) -> String {
    let quoted = |table: &TableName| format!("ONLY {}.{}", identifier(&table.schema), identifier(&table.table));
    tables.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// All or nothing: one message is one transaction, so a table moving between the two is never in neither.
async fn apply(connection: &mut Connection, statements: &[String]) -> Result<(), Fault> {
    if statements.is_empty() {
        return Ok(());
    }
    let sql = statements.join(" ");
    tracing::info!(sql, "setting publications");
    match connection.query(&sql).await {
        Err(Fault::Server(error)) if error.sqlstate == "42501" => {
            let message = format!("{error}; a superuser or the tables' owner can: {sql}");
            halt(code::PERMISSION_MISSING, message)
        }
        other => other.map(drop),
    }
}

fn halt<T>(code: Code, message: String) -> Result<T, Fault> {
    Err(Fault::Halt(Problem::new(code, message)))
}
