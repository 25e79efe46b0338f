//! Runs the changes, for a bounded time: somebody else's locks are theirs, and the stream waits for our answers.

use super::super::fault::{Fault, ServerError};
use super::super::simple_query::Connection;
use super::changes::Changes;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Somebody else's lock on a table is not waited for longer: nobody is to wait behind ours.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";
/// Each takes a lock until the end of its transaction, and the server has room for so many (`max_locks_per_transaction`).
const TABLES_AT_ONCE: usize = 500;
/// In which tables are tried one by one. What is left over has its turn at the next look.
const ONE_BY_ONE_MAX: Duration = Duration::from_secs(3);

/// Tables that could not join, and why: those that were tried last are last.
#[derive(Debug, Default)]
pub struct Refusals(VecDeque<(TableName, Problem)>);

impl Refusals {
    pub fn problems(&self) -> impl Iterator<Item = (TableName, Problem)> + '_ {
        self.0.iter().cloned()
    }

    /// It has its turn before those that were tried.
    fn postpone(&mut self, table: &TableName, sql: &str) {
        if !self.0.iter().any(|(refused, _)| refused == table) {
            let message = format!("tables before it were locked, so it waits for the next look; to be run: {sql}");
            self.0.push_front((table.clone(), Problem::new(code::TABLE_LOCKED, message)));
        }
    }

    fn put(&mut self, table: &TableName, problem: Problem) {
        self.0.retain(|(refused, _)| refused != table);
        self.0.push_back((table.clone(), problem));
    }
}

/// Many at once where that goes, else table by table; those that cannot join are in `refusals` afterwards. Gives whether
/// anything was changed.
///
/// # Errors
/// Those of the connection; at a set-up [`Fault::Halt`] where rights are missing, so that one person can set all of it.
pub async fn apply(
    connection: &mut Connection,
    changes: &Changes,
    is_set_up: bool,
    refusals: &mut Refusals,
) -> Result<bool, Fault> {
    refusals.0.retain(|(table, _)| changes.tables.contains_key(table));
    if changes.is_empty() {
        return Ok(false);
    }
    let mut turns: Vec<_> = refusals.problems().map(|(table, _)| table).collect();
    let untried = changes.without(&turns);
    let (mut changed, mut refused) = (false, Vec::new());
    for part in untried.parts(TABLES_AT_ONCE) {
        let sql = part.statements().join(" ");
        tracing::info!(sql, "setting publications");
        match run(connection, &sql).await? {
            Ok(()) => changed = true,
            Err(error) if is_set_up && is_forbidden(&error) => return Err(Fault::Halt(forbidden(&error, &sql))),
            Err(_) => {
                changed |= set_options(connection, &part).await?;
                refused.extend(part.tables.into_keys());
            }
        }
    }
    turns.splice(0..0, refused);
    Ok(one_by_one(connection, changes, &turns, refusals).await? || changed)
}

/// What concerns the publications themselves; gives whether there is such a thing.
async fn set_options(connection: &mut Connection, changes: &Changes) -> Result<bool, Fault> {
    let sql = changes.of_publications();
    match run(connection, &sql).await? {
        Ok(()) => Ok(!sql.is_empty()),
        Err(error) if is_forbidden(&error) => Err(Fault::Halt(forbidden(&error, &sql))),
        Err(error) => Err(error.into()),
    }
}

async fn one_by_one(
    connection: &mut Connection,
    changes: &Changes,
    turns: &[TableName],
    refusals: &mut Refusals,
) -> Result<bool, Fault> {
    let (begun, mut changed) = (Instant::now(), false);
    for table in turns {
        let sql = changes.of_table(table);
        if begun.elapsed() > ONE_BY_ONE_MAX {
            refusals.postpone(table, &sql);
            continue;
        }
        match run(connection, &sql).await? {
            Ok(()) => {
                changed = true;
                refusals.0.retain(|(refused, _)| refused != table);
            }
            Err(error) => refusals.put(table, cannot_join(&error, &sql)),
        }
    }
    Ok(changed)
}

/// One transaction. Within: what the server says against it.
async fn run(connection: &mut Connection, sql: &str) -> Result<Result<(), ServerError>, Fault> {
    match connection.query(&format!("BEGIN READ WRITE; {LOCK_TIMEOUT}; {sql} COMMIT")).await {
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
