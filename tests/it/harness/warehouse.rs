//! A second PostgreSQL server that Tailwater writes, and what it must hold: each source table, row for row, by the servers'
//! own text.

use super::postgres::{self, Postgres};
use super::tailwater::{Door, Setup};
use super::{eventually, holds};
use std::collections::BTreeMap;
use std::time::Duration;
use tailwater::wire::api::v1::{TargetStatus, TargetTableState, TargetTableStatus};

pub const TARGET: &str = "warehouse";
/// The target's schema for the system `erp`.
const SCHEMA: &str = "erp";
const DIFFERENCES_SHOWN: usize = 5;

/// The section that names `warehouse` as a target of everything.
pub fn section(warehouse: &Postgres) -> String {
    let (port, user, database) = (warehouse.port(), postgres::USER, postgres::DATABASE);
    format!(
        "targets:\n  {TARGET}:\n    kind: postgres\n    host: 127.0.0.1\n    port: {port}\n    user: {user}\n    \
         password: {{env: ERP_PASSWORD}}\n    database: {database}\n    tables: {{include: [\"erp.*\"]}}\n"
    )
}

pub fn setup(source: &Postgres, warehouse: &Postgres) -> Setup {
    Setup::new(source).with(&section(warehouse))
}

/// # Errors
/// There is no status now.
pub async fn status(door: &Door) -> Result<TargetStatus, String> {
    let status = door.status().await?;
    status.targets.into_iter().find(|target| target.target == TARGET).ok_or_else(|| "status without it".to_owned())
}

/// # Errors
/// There is no status now, or no such table in it.
pub async fn table(door: &Door, name: &str) -> Result<TargetTableStatus, String> {
    let status = status(door).await?;
    let found = status.tables.iter().find(|table| table.table == name).cloned();
    found.ok_or_else(|| format!("{name} is not in {status:?}"))
}

/// Waits until all of these tables are ready.
pub async fn ready(door: &Door, tables: &[&str], within: Duration) {
    eventually("the tables are ready", within, async || {
        for name in tables {
            let found = table(door, name).await?;
            holds(found.state() == TargetTableState::Ready, || format!("{found:?}"))?;
        }
        Ok(())
    })
    .await;
}

/// Waits until everything that the source has committed by now is in the target.
pub async fn passed(source: &Postgres, door: &Door, within: Duration) {
    let end = source.text("SELECT pg_current_wal_insert_lsn()").await.expect("an LSN");
    // Something for the log to end with even if nothing comes by itself.
    source.text("SELECT pg_current_xact_id()").await;
    let end = lsn(&end);
    eventually("the source is journaled", within, async || {
        let source = door.source().await?;
        holds(lsn(&source.checkpoint) >= end, || format!("{source:?}"))
    })
    .await;
    let sequence = door.status().await.expect("it answers").journal.expect("a journal").sequence;
    eventually("the target has passed", within, async || {
        let target = status(door).await?;
        holds(target.sequence >= sequence, || format!("not at {sequence}: {target:?}"))
    })
    .await;
}

fn lsn(text: &str) -> u64 {
    let (high, low) = text.split_once('/').unwrap_or(("0", "0"));
    let part = |text| u64::from_str_radix(text, 16).unwrap_or(0);
    part(high) << 32 | part(low)
}

/// Fails with the differences when a table of the source's schema `public` is not the same in the target.
pub async fn assert_same(source: &Postgres, warehouse: &Postgres, tables: &[&str]) {
    let mut differences = Vec::new();
    for table in tables {
        let (columns, known) = (columns(source, table).await, known(warehouse, table).await);
        let lacking: Vec<_> = columns.iter().filter(|column| !known.contains(column)).collect();
        differences.extend((!lacking.is_empty()).then(|| format!("{table} has no {lacking:?} at the target")));
        differences.extend(difference(source, warehouse, table).await);
    }
    assert!(differences.is_empty(), "the target is not the source:\n{}", differences.join("\n"));
}

/// What the source's log carries.
async fn columns(source: &Postgres, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'public.{}'::regclass AND attnum > 0 AND NOT attisdropped \
         AND attgenerated = '' ORDER BY attnum",
        quoted(table)
    );
    source.rows(&sql).await.into_iter().flatten().flatten().collect()
}

async fn known(warehouse: &Postgres, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = '{SCHEMA}' AND table_name = '{table}'"
    );
    warehouse.rows(&sql).await.into_iter().flatten().flatten().collect()
}

/// How a table differs from the source's, if it does.
pub async fn difference(source: &Postgres, warehouse: &Postgres, table: &str) -> Option<String> {
    let (columns, known) = (columns(source, table).await, known(warehouse, table).await);
    let text = |column: &String| format!("{}::text", quoted(column));
    let here: Vec<_> = columns.iter().map(text).collect();
    // A column that was added without values comes with the first change after it.
    let there: Vec<_> =
        columns.iter().map(|column| if known.contains(column) { text(column) } else { "NULL".to_owned() }).collect();
    let here = bag(source, &format!("SELECT {} FROM public.{}", here.join(", "), quoted(table))).await;
    let there = bag(warehouse, &format!("SELECT {} FROM {SCHEMA}.{}", there.join(", "), quoted(table))).await;
    let differing: Vec<_> = here.keys().chain(there.keys()).filter(|row| here.get(*row) != there.get(*row)).collect();
    if differing.is_empty() {
        return None;
    }
    let shown = differing.iter().take(DIFFERENCES_SHOWN).map(|row| {
        let (here, there) = (here.get(*row).unwrap_or(&0), there.get(*row).unwrap_or(&0));
        format!("  {:.200} is there {here} times in the source, {there} in the target", format!("{row:?}"))
    });
    let shown: Vec<_> = shown.collect();
    Some(format!("{table}: {} rows differ of {}\n{}", differing.len(), here.len(), shown.join("\n")))
}

async fn bag(server: &Postgres, sql: &str) -> BTreeMap<Vec<Option<String>>, usize> {
    let mut rows = BTreeMap::new();
    for row in server.rows(sql).await {
        *rows.entry(row).or_default() += 1;
    }
    rows
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
