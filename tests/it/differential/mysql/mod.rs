//! The differential run of MySQL and MariaDB. It does not do what `docs/unseen-changes.md` lists as not noticed, nor what halts
//! the whole source: compressed transactions (TW-MYS-005).

mod columns;
mod compare;
mod dml;
mod dress;
mod make;
mod partitions;
mod rows;
mod run;
mod sessions;
mod settle;
mod tables;
mod world;

use super::statements;
use crate::harness::mysql::Kind;
use crate::harness::seed;
use run::Run;

async fn differential(kind: Kind) {
    let mut run = Run::start(kind, seed()).await;
    while run.executed() < statements() {
        run.round().await;
    }
    println!("{kind:?}: {}", run.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_tables_each_is_the_same_or_halted_on_mysql() {
    differential(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_tables_each_is_the_same_or_halted_on_mariadb() {
    differential(Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_tables_each_is_the_same_or_halted_on_mariadb_11_8() {
    differential(Kind::MariadbNewer).await;
}
