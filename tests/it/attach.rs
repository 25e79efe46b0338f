//! The ways to a source: TCP with a password, unix socket, TLS with the certificate checked.

use crate::harness::eventually;
use crate::harness::follower::{Follower, Kind};
use crate::harness::load::{create_tables, mark};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Setup, Tailwater};
use std::time::Duration;
use tailwater::wire::api::v1::SourceState;

const WITHIN: Duration = Duration::from_secs(30);

async fn delivers(postgres: &Postgres, setup: Setup) {
    create_tables(postgres).await;
    let tailwater = Tailwater::start(setup).await;
    let follower = Follower::start(tailwater.door(), Kind::Ephemeral);
    follower.reaches(&mark(postgres).await, WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_with_a_scram_password() {
    let postgres = Postgres::start().await;
    delivers(&postgres, Setup::new(&postgres)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_unix_socket() {
    let postgres = Postgres::start().await;
    let mut setup = Setup::new(&postgres);
    setup.system =
        setup.system.replace("127.0.0.1", postgres.socket_dir().to_str().expect("temporary paths are UTF-8"));
    delivers(&postgres, setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_the_certificate_checked() {
    let (postgres, authority) = Postgres::with_tls().await;
    let mut setup = Setup::new(&postgres);
    setup.system += &format!("tls: {{mode: verify-full, ca_file: {}}}\n", authority.display());
    delivers(&postgres, setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_not_trusted() {
    let (postgres, authority) = Postgres::with_tls().await;
    std::fs::write(&authority, crate::harness::tls::certificates().authority).expect("the file is ours");
    let mut setup = Setup::new(&postgres);
    setup.system += &format!("tls: {{mode: verify-full, ca_file: {}}}\n", authority.display());
    let mut tailwater = Tailwater::new(&setup);
    tailwater.spawn();
    let door = tailwater.door();
    eventually("the source says why it does not stream", WITHIN, async || {
        let source = door.source().await?;
        match source.halt {
            Some(ref problem) if problem.code.starts_with("TW-SRC-") => {
                assert_ne!(source.state(), SourceState::Streaming);
                Ok(())
            }
            _ => Err(format!("{source:?}")),
        }
    })
    .await;
    let slots = postgres.text("SELECT count(*) FROM pg_replication_slots").await;
    assert_eq!(slots.as_deref(), Some("0"), "nothing was sent to a server that we do not know");
}
