//! The differential run of PostgreSQL, with publication edits.

mod ddl;
mod dml;
mod partitions;
mod publications;
mod run;
mod settle;
mod world;

use super::statements;
use crate::harness::postgres::Version;
use crate::harness::seed;
use run::Run;
pub use world::ask;

async fn differential(version: Version) {
    let mut run = Run::start(version, seed()).await;
    while run.executed() < statements() {
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
