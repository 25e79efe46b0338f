//! Whatever dies, and whenever: every committed change arrives, exactly once, in commit order.

use crate::harness::follower::{Follower, Kind};
use crate::harness::load::{Load, create_tables};
use crate::harness::oracle::Oracle;
use crate::harness::postgres::Postgres;
use crate::harness::replica::Replica;
use crate::harness::tailwater::{Door, Setup, Tailwater};
use crate::harness::{compare, eventually, holds, rounds, seed};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use std::time::Duration;

const KILLS: usize = 6;
const CATCH_UP_WITHIN: Duration = Duration::from_secs(120);

/// A source under load, Tailwater, and two subscribers that follow it.
struct Scene {
    postgres: Postgres,
    oracle: Oracle,
    tailwater: Tailwater,
    load: Load,
    followers: [Follower; 2],
    random: StdRng,
}

impl Scene {
    async fn set() -> Self {
        let seed = seed();
        let postgres = Postgres::start().await;
        create_tables(&postgres).await;
        let oracle = Oracle::start(&postgres).await;
        let tailwater = Tailwater::start(Setup::new(&postgres)).await;
        let followers =
            [Kind::Durable("warehouse"), Kind::Ephemeral].map(|kind| Follower::start(tailwater.door(), kind));
        let load = Load::start(&postgres, seed);
        Self { postgres, oracle, tailwater, load, followers, random: StdRng::seed_from_u64(seed) }
    }

    /// Lets things run for a random while: the moment is the test's subject, not a way of waiting for something.
    async fn a_while(&mut self) {
        let millis = self.random.random_range(50..2_500);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn transactions_arrive(&self) {
        let from = self.followers[1].look(Replica::last_sequence);
        eventually("transactions arrive", CATCH_UP_WITHIN, async || {
            let now = self.followers[1].look(Replica::last_sequence);
            holds(now > from, || format!("still at {now}; {:?}", self.followers[1].last_error()))
        })
        .await;
    }

    /// Ends the load, lets everybody catch up, and compares.
    async fn check(self) {
        let last = self.load.stop(&self.postgres).await;
        let catalog = {
            for follower in &self.followers {
                follower.reaches(&last, CATCH_UP_WITHIN).await;
            }
            self.tailwater.door().tables().await
        };
        for follower in self.followers {
            let replica = follower.stop().await;
            println!("{} transactions, {} delivered again", replica.applied.len(), replica.redelivered);
            self.oracle.assert_same_order(&self.postgres, &replica).await;
            compare::assert_equal(&self.postgres, &catalog, &replica).await;
        }
    }
}

/// Connections to the source since this process started.
async fn streams(door: &Door) {
    eventually("the source streams again", CATCH_UP_WITHIN, async || {
        let source = door.source().await?;
        holds(source.state() == tailwater::wire::api::v1::SourceState::Streaming, || format!("{source:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_tailwater_at_any_moment_loses_and_doubles_nothing() {
    let mut scene = Scene::set().await;
    for _ in 0..rounds(KILLS) {
        scene.a_while().await;
        scene.tailwater.kill();
        scene.tailwater.up().await;
    }
    scene.transactions_arrive().await;
    scene.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_of_the_source_and_cut_connections_mend_themselves() {
    let mut scene = Scene::set().await;
    for round in 0..rounds(KILLS) {
        scene.a_while().await;
        match round % 3 {
            0 => {
                let cut = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name LIKE 'tailwater%'";
                scene.postgres.text(cut).await;
            }
            1 => {
                scene.postgres.kill();
                scene.postgres.up().await;
            }
            _ => {
                scene.postgres.stop(Signal::QUIT);
                scene.postgres.up().await;
            }
        }
        streams(&scene.tailwater.door()).await;
        scene.transactions_arrive().await;
    }
    assert!(scene.tailwater.is_running(), "tailwater needed no restart");
    scene.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_under_load_ends_in_time_and_goes_on_where_it_was() {
    let mut scene = Scene::set().await;
    for _ in 0..2 {
        scene.transactions_arrive().await;
        let status = scene.tailwater.stop();
        assert!(status.success(), "SIGTERM ends it with {status}");
        scene.tailwater.up().await;
    }
    scene.check().await;
}
