//! `kill -9` leaves the page cache alone, so it cannot see a missing sync. A power cut can: after each kill the journal keeps
//! only what was synced, and still nothing is lost that a subscriber was shown or the source was told.

use crate::harness::follower::{Follower, Kind};
use crate::harness::load::{Load, create_tables};
use crate::harness::oracle::Oracle;
use crate::harness::postgres::Postgres;
use crate::harness::power_cut::Shim;
use crate::harness::replica::Replica;
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::{compare, eventually, holds, rounds, seed};
use std::time::Duration;
use tailwater::wire::api::v1::SourceState;

const CUTS: usize = 3;
const WITHIN: Duration = Duration::from_secs(120);

struct Scene {
    postgres: Postgres,
    oracle: Oracle,
    tailwater: Tailwater,
    load: Load,
    follower: Follower,
    shim: Shim,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn set(sections: &str) -> Self {
        let postgres = Postgres::start().await;
        create_tables(&postgres).await;
        let oracle = Oracle::start(&postgres).await;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let shim = Shim::build(dir.path());
        let mut setup = Setup::new(&postgres).with(sections);
        setup.env.extend(shim.env());
        let tailwater = Tailwater::start(setup).await;
        let follower = Follower::start(tailwater.door(), Kind::Ephemeral);
        let load = Load::start(&postgres, seed());
        Self { postgres, oracle, tailwater, load, follower, shim, _dir: dir }
    }

    /// Waits until the follower was shown this many more transactions and the source was told of some.
    async fn shown(&self, more: usize) {
        let before = self.follower.look(|replica| replica.applied.len());
        let told = self.confirmed().await;
        eventually("the follower is shown transactions and the source is told", WITHIN, async || {
            let shown = self.follower.look(|replica| replica.applied.len());
            let confirmed = self.confirmed().await;
            holds(shown >= before + more && confirmed != told, || {
                format!("{shown} shown, confirmed {confirmed:?}, {:?}", self.follower.last_error())
            })
        })
        .await;
    }

    async fn confirmed(&self) -> Option<String> {
        let sql = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'tailwater_erp'";
        self.postgres.text(sql).await
    }

    /// Kills it and takes away what was not synced.
    fn cut(&mut self) {
        self.tailwater.kill();
        let lost = self.shim.cut(&self.tailwater.data_dir());
        println!("the cut took {lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_that_anybody_was_told() {
    let mut scene = Scene::set("").await;
    for _ in 0..rounds(CUTS) {
        scene.shown(50).await;
        scene.cut();
        scene.tailwater.up().await;
    }
    let last = scene.load.stop(&scene.postgres).await;
    scene.follower.reaches(&last, WITHIN).await;
    let catalog = scene.tailwater.door().tables().await;
    let replica = scene.follower.stop().await;
    scene.oracle.assert_same_order(&scene.postgres, &replica).await;
    compare::assert_equal(&scene.postgres, &catalog, &replica).await;
}

/// The test above must be able to fail: without syncs the same cut loses what was shown, and that is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn without_sync_the_same_power_cut_is_noticed() {
    let mut scene = Scene::set("journal: {sync: false}\n").await;
    scene.shown(50).await;
    scene.cut();
    scene.tailwater.spawn();
    let door = scene.tailwater.door();
    eventually("the loss is noticed", WITHIN, async || {
        let gone = scene.follower.look(|replica: &Replica| replica.gone.clone());
        if let Some(gone) = gone {
            return holds(gone.code.starts_with("TW-"), || format!("{gone:?}"));
        }
        if !scene.tailwater.is_running() {
            return holds(scene.tailwater.log().contains("TW-JRN-"), || "it ended without a code".into());
        }
        let source = door.source().await?;
        let halted = source.state() == SourceState::Halted
            && source.halt.as_ref().is_some_and(|halt| halt.code.starts_with("TW-"));
        holds(halted, || format!("{source:?}; follower: {:?}", scene.follower.last_error()))
    })
    .await;
}
