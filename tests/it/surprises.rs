//! What the source must not do behind our back: each surprise halts it with a code, and nothing is skipped. Connection
//! trouble is no surprise and mends itself.

use crate::harness::follower::{Follower, Kind};
use crate::harness::load::{create_tables, mark};
use crate::harness::postgres::{PASSWORD, Postgres};
use crate::harness::replica::Replica;
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::{eventually, holds};
use rustix::process::Signal;
use std::time::Duration;
use tailwater::wire::api::v1::SourceState;

const WITHIN: Duration = Duration::from_secs(60);
const SLOT: &str = "tailwater_erp";

/// A source with one transaction delivered, and Tailwater stopped.
async fn attached_and_stopped() -> (Postgres, Tailwater, Replica) {
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let mut tailwater = Tailwater::start(Setup::new(&postgres)).await;
    let follower = Follower::start(tailwater.door(), Kind::Ephemeral);
    follower.reaches(&mark(&postgres).await, WITHIN).await;
    let replica = follower.stop().await;
    assert!(tailwater.stop().success());
    (postgres, tailwater, replica)
}

/// Starts it and checks that it halts with a code that `explain` knows, says so everywhere, and delivers nothing.
async fn halts(postgres: &Postgres, tailwater: &mut Tailwater, replica: Replica) -> String {
    tailwater.up().await;
    let door = tailwater.door();
    let code = eventually("the source halts", WITHIN, async || {
        let source = door.source().await?;
        match source.halt.clone().filter(|_| source.state() == SourceState::Halted) {
            Some(halt) => Ok(halt.code),
            None => Err(format!("{source:?}")),
        }
    })
    .await;
    assert!(code.starts_with("TW-SRC-"), "{code}");
    assert!(tailwater.status_json().to_string().contains(&code), "status --json names {code}");
    let explained = tailwater.cli(&["explain", &code]);
    assert!(explained.status.success() && String::from_utf8_lossy(&explained.stdout).contains(&code), "{explained:?}");

    let before = replica.last_sequence();
    mark(postgres).await;
    let follower = Follower::start_with(door.clone(), Kind::Ephemeral, replica);
    // A second look at the status comes after everything that the halt could still have let through.
    eventually("it stays halted", WITHIN, async || {
        let source = door.source().await?;
        holds(source.state() == SourceState::Halted && follower.connections() > 0, || {
            format!("{:?}", follower.last_error())
        })
    })
    .await;
    assert_eq!(follower.stop().await.last_sequence(), before, "nothing comes from a halted source");
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_slot_halts() {
    let (postgres, mut tailwater, replica) = attached_and_stopped().await;
    mark(&postgres).await;
    postgres.execute(&format!("SELECT pg_drop_replication_slot('{SLOT}')")).await;
    assert_eq!(halts(&postgres, &mut tailwater, replica).await, "TW-SRC-010");
    let slots = postgres.text(&format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{SLOT}'")).await;
    assert_eq!(slots.as_deref(), Some("0"), "it is not made again silently");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_somebody_advanced_halts() {
    let (postgres, mut tailwater, replica) = attached_and_stopped().await;
    mark(&postgres).await;
    postgres.execute(&format!("SELECT pg_replication_slot_advance('{SLOT}', pg_current_wal_lsn())")).await;
    assert_eq!(halts(&postgres, &mut tailwater, replica).await, "TW-SRC-013");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_publication_halts() {
    let (postgres, mut tailwater, replica) = attached_and_stopped().await;
    mark(&postgres).await;
    postgres.execute("DROP PUBLICATION tailwater_erp").await;
    assert_eq!(halts(&postgres, &mut tailwater, replica).await, "TW-SRC-015");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_behind_the_same_address_halts() {
    let (mut postgres, mut tailwater, replica) = attached_and_stopped().await;
    let port = postgres.port();
    postgres.stop(Signal::INT);
    let mut other = Postgres::start_another().await;
    other.move_to_port(port).await;
    create_tables(&other).await;
    assert_eq!(halts(&other, &mut tailwater, replica).await, "TW-SRC-006");
}

/// A cold copy of the server takes its slot back, too. What it was given since is known by its commit time alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_copy_that_grew_past_the_checkpoint_halts_where_commit_times_are_kept() {
    let mut postgres = Postgres::with_settings("track_commit_timestamp = on\n").await;
    create_tables(&postgres).await;
    let mut tailwater = Tailwater::start(Setup::new(&postgres)).await;
    let follower = Follower::start(tailwater.door(), Kind::Ephemeral);
    follower.reaches(&mark(&postgres).await, WITHIN).await;
    assert!(tailwater.stop().success());
    let (data, saved) = (postgres.socket_dir().join("data"), postgres.socket_dir().join("saved"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(copied.expect("cp is there").success());
    };
    postgres.stop(Signal::INT);
    copy(&data, &saved);
    postgres.up().await;
    tailwater.up().await;
    follower.reaches(&mark(&postgres).await, WITHIN).await;
    let replica = follower.stop().await;
    assert!(tailwater.stop().success());
    postgres.stop(Signal::INT);
    std::fs::remove_dir_all(&data).expect("the directory is ours");
    copy(&saved, &data);
    postgres.up().await;
    for _ in 0..50 {
        mark(&postgres).await;
    }
    assert_eq!(halts(&postgres, &mut tailwater, replica).await, "TW-SRC-009");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_data_directory_halts() {
    let (postgres, mut tailwater, replica) = attached_and_stopped().await;
    mark(&postgres).await;
    std::fs::remove_dir_all(tailwater.data_dir()).expect("the directory is ours");
    tailwater.up().await;
    let door = tailwater.door();
    eventually("the slot is ahead of an empty journal", WITHIN, async || {
        let source = door.source().await?;
        holds(source.state() == SourceState::Halted, || format!("{source:?}"))
    })
    .await;
    // The journal is another one now, and a subscriber of the old one is told.
    let follower = Follower::start_with(door, Kind::Ephemeral, replica);
    eventually("the old cursor is refused", WITHIN, async || {
        holds(follower.look(|replica| replica.gone.is_some()), || format!("{:?}", follower.last_error()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_again_until_it_is_right() {
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    postgres.set_password("another").await;
    let mut tailwater = Tailwater::new(&Setup::new(&postgres));
    tailwater.spawn();
    let door = tailwater.door();
    eventually("it retries", WITHIN, async || {
        let source = door.source().await?;
        let code = source.halt.as_ref().map(|problem| problem.code.clone()).unwrap_or_default();
        holds(source.state() == SourceState::Retrying && code.starts_with("TW-SRC-"), || format!("{source:?}"))
    })
    .await;
    postgres.set_password(PASSWORD).await;
    tailwater.ready().await;
    let follower = Follower::start(door, Kind::Ephemeral);
    follower.reaches(&mark(&postgres).await, WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_for_a_while_is_followed_again() {
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let mut postgres = postgres;
    let mut tailwater = Tailwater::start(Setup::new(&postgres)).await;
    let follower = Follower::start(tailwater.door(), Kind::Ephemeral);
    follower.reaches(&mark(&postgres).await, WITHIN).await;
    // A fast stop waits for walsenders to be done: it hangs when a subscriber of the log does not confirm.
    postgres.stop(Signal::INT);
    let door = tailwater.door();
    eventually("it retries", WITHIN, async || {
        let source = door.source().await?;
        holds(source.state() == SourceState::Retrying, || format!("{source:?}"))
    })
    .await;
    postgres.up().await;
    follower.reaches(&mark(&postgres).await, WITHIN).await;
    assert!(tailwater.is_running());
    assert_eq!(follower.connections(), 1, "subscribers did not notice");
}
