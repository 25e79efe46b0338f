//! The differential run: random DDL among random DML in random sessions, publication edits, kills and restarts, on a real
//! server. After each round every captured table is the same at the target, by the servers' own text, or halted with a code.
//!
//! Nothing here knows what Tailwater makes of a statement: the lists of tables and columns, and the comparison, are the
//! catalogue's and the servers' own. The seed is printed; `TAILWATER_DIFFERENTIAL` sets the number of DDL statements.

mod ddl;
mod dml;
mod partitions;
mod run;
mod settle;
mod trouble;
mod world;

use crate::harness::postgres::Version;
use crate::harness::seed;
use run::Run;

/// Of each server, when nothing else is asked for.
const STATEMENTS: usize = 300;

async fn differential(version: Version) {
    let asked = std::env::var("TAILWATER_DIFFERENTIAL").ok().and_then(|text| text.parse().ok());
    let mut run = Run::start(version, seed()).await;
    while run.executed() < asked.unwrap_or(STATEMENTS) {
        run.round().await;
    }
    println!("{version:?}: {}", run.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_tables_each_is_the_same_or_halted_on_postgresql_15() {
    differential(Version::V15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_tables_each_is_the_same_or_halted_on_postgresql_17() {
    differential(Version::V17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_tables_each_is_the_same_or_halted_on_postgresql_18() {
    differential(Version::V18).await;
}
