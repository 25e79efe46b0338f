//! The two publications: exactly the configured tables, never all tables.
//!
//! `<publication>` carries tables whose rows can be identified, with every operation; `<publication>_insert_only` carries
//! the others with inserts and truncates. Both exist before the slot, even when empty: a publication made later does not
//! exist for the log that was written before it. What a DBA made and covers the tables is left as it is.
//!
//! Once something was journaled, a table, operation, row filter or column list that somebody took away behind our back is
//! not put back silently: that table halts. So does one that cannot join (another owner, a lock). The others go on.

mod apply;
mod changes;
mod judge;

pub use apply::Refusals;

use super::catalogue::{Seen, ServerTable};
use super::fault::Fault;
use super::simple_query::Connection;
use crate::config::PostgresSystem;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use changes::Changes;
use judge::{Broken, Judgement};
use std::collections::BTreeSet;

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
    /// Configured tables that do not travel, or not whole: halted, while the others go on.
    pub left_out: Vec<(TableName, Problem)>,
    /// Something was changed on the server: what was seen of it before is old.
    pub changed: bool,
}

/// Makes the publications what they should be. `refusals`: of the looks before.
///
/// # Errors
/// [`Fault::Halt`] when they may not be made at a set-up, or one that carried a captured table is gone.
pub async fn ensure(
    connection: &mut Connection,
    system: &PostgresSystem,
    seen: &Seen,
    history: History<'_>,
    refusals: &mut Refusals,
) -> Result<Published, Fault> {
    let may_create = may_create(connection).await?;
    let judgement = judge::judge(&system.publication, seen, history, may_create).map_err(Fault::Halt)?;
    let Judgement { names, ours, others, broken } = judgement;
    let is_set_up = matches!(history, History::Empty);
    let mut left_out: Vec<_> = broken.into_iter().map(|Broken { table, problem, .. }| (table, problem)).collect();
    left_out.extend(others.tables.keys().map(|table| (table.clone(), left_to_owner(&others, table))));
    if let (true, Some((_, problem))) = (is_set_up, left_out.first()) {
        let problem = if others.is_empty() { problem.clone() } else { not_ours(&others.statements().join(" ")) };
        return Err(Fault::Halt(problem));
    }
    let changed = apply::apply(connection, &ours, is_set_up, refusals).await?;
    left_out.extend(refusals.problems());
    Ok(Published { names, left_out, changed })
}

fn left_to_owner(others: &Changes, table: &TableName) -> Problem {
    let sql = [others.of_publications(), others.of_table(table)];
    not_ours(sql.join(" ").trim())
}

fn not_ours(sql: &str) -> Problem {
    Problem::new(code::PERMISSION_MISSING, format!("a publication is not ours to alter; its owner can: {sql}"))
}

/// What a first set-up would have to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    pub statements: Vec<String>,
    /// Somebody made the publication who is not us; only they may alter it.
    pub owned_by_another: bool,
    /// Why it would not do as it is, whoever owns it.
    pub problem: Option<Problem>,
}

/// What the two publications lack. Changes nothing.
pub fn look(system: &PostgresSystem, seen: &Seen) -> Vec<Outlook> {
    let Ok(judgement) = judge::judge(&system.publication, seen, History::Empty, false) else { return Vec::new() };
    let changes = [(judgement.ours, false), (judgement.others, true)].map(|(changes, owned_by_another)| Outlook {
        statements: changes.statements(),
        owned_by_another,
        problem: None,
    });
    let broken = judgement.broken.into_iter().map(|Broken { problem, sql, .. }| Outlook {
        statements: vec![sql],
        owned_by_another: false,
        problem: Some(problem),
    });
    changes.into_iter().chain(broken).filter(|outlook| !outlook.statements.is_empty()).collect()
}

/// Whether one of the two carries the table now.
pub fn carries(table: &ServerTable) -> bool {
    !table.entry.carriers.is_empty()
}

async fn may_create(connection: &mut Connection) -> Result<bool, Fault> {
    let rows = connection.query("SELECT pg_catalog.has_database_privilege(current_database(), 'CREATE')").await?;
    Ok(rows.first().is_some_and(|row| row.is_true(0)))
}
