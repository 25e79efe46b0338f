//! The harness by itself: what the other tests rely on must be able to fail.

use crate::harness::load::{Load, create_tables};
use crate::harness::oracle::Oracle;
use crate::harness::postgres::{DATABASE, PASSWORD, Postgres, USER};
use crate::harness::{eventually, holds, seed};
use rustix::process::Signal;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_load_survives_crashes_of_the_server_and_leaves_a_ledger_in_commit_order() {
    let mut postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let oracle = Oracle::start(&postgres).await;
    let load = Load::start(&postgres, seed());
    for signal in [Some(Signal::QUIT), None] {
        let before = load.committed();
        eventually("the load commits", Duration::from_secs(60), async || {
            holds(load.committed() > before + 200, || format!("{} committed", load.committed()))
        })
        .await;
        match signal {
            Some(signal) => postgres.stop(signal),
            None => postgres.kill(),
        }
        postgres.up().await;
    }
    let last = load.stop(&postgres).await;
    let (ledger, count) = (oracle.ledger(&postgres).await, postgres.text("SELECT count(*) FROM ledger").await);
    assert_eq!(ledger.last().map(|(_, key)| key.clone()), Some(last));
    assert_eq!(Some(ledger.len().to_string()), count);

    for table in ["orders", "stock", "audit", "events", "documents", "\"Order Lines\"", "\"table\"", "items"] {
        let rows = postgres.text(&format!("SELECT count(*) FROM {table}")).await;
        assert_ne!(rows.as_deref(), Some("0"), "the load left nothing in {table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_asks_for_the_password_over_tcp() {
    let postgres = Postgres::start().await;
    let connect = async |password: &str| {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(postgres.port()).user(USER).dbname(DATABASE).password(password);
        config.connect(tokio_postgres::NoTls).await.is_ok()
    };
    assert!(connect(PASSWORD).await);
    assert!(!connect("wrong").await);
}
