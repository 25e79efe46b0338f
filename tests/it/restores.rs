//! An older copy of the data directory is put back. What its readers have applied of the history that is gone must not pass for
//! the one that it goes on with: each is told by its code, and after the next step that the code names all is equal.

use crate::harness::follower::{Follower, Kind as Follow};
use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::Tailwater;
use crate::harness::warehouse::{self, TARGET, ready, status};
use crate::harness::{eventually, holds};
use crate::mysql;
use crate::mysql_target::{setup, verify};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tailwater::wire::api::v1::{AcknowledgeRequest, TargetState};

const WITHIN: Duration = Duration::from_secs(60);
const LEDGER: &str = "CREATE TABLE ledger (entry varchar(80) PRIMARY KEY)";
const SUBSCRIPTION: &str = "books";

/// A MySQL server, whose log Tailwater reads again after a restore, and a warehouse.
struct Scene {
    server: Server,
    warehouse: Postgres,
    tailwater: Tailwater,
    entries: usize,
}

impl Scene {
    async fn set() -> Self {
        let (server, warehouse) = (Server::start(Kind::Mysql).await, Postgres::start().await);
        server.execute(LEDGER).await;
        let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
        let mut scene = Self { server, warehouse, tailwater, entries: 0 };
        scene.write(3).await;
        scene.ready().await;
        scene.level().await;
        scene
    }

    /// So many transactions.
    async fn write(&mut self, entries: usize) {
        for _ in 0..entries {
            self.entries += 1;
            self.server.execute(&format!("INSERT INTO ledger VALUES ('{}')", self.last())).await;
        }
    }

    fn last(&self) -> String {
        format!("entry {}", self.entries)
    }

    async fn ready(&self) {
        ready(&self.tailwater.door(), &["ledger"], WITHIN).await;
    }

    /// Waits until the warehouse has every entry, and the target stands at the journal's end.
    async fn level(&self) -> u64 {
        let door = self.tailwater.door();
        eventually("the target is level", WITHIN, async || {
            let found = self.warehouse.text("SELECT count(*) FROM erp.ledger").await;
            let expected = self.entries.to_string();
            holds(found.as_ref() == Some(&expected), || format!("{found:?} of {expected}"))?;
            let (target, journal) = (status(&door).await?.sequence, sequence(&self.tailwater).await?);
            holds(target == journal, || format!("at {target} of {journal}")).map(|()| target)
        })
        .await
    }

    /// Waits until the journal has come so far without a target.
    async fn grows_to(&self, end: u64) {
        eventually("the journal grows", WITHIN, async || {
            let now = sequence(&self.tailwater).await?;
            holds(now >= end, || format!("at {now} of {end}"))
        })
        .await;
    }

    fn stop(&mut self) {
        assert!(self.tailwater.stop().success());
    }

    fn copy_of_data(&self) -> PathBuf {
        self.tailwater.dir().join("copy")
    }

    fn save(&self) {
        copy(&self.tailwater.data_dir(), &self.copy_of_data());
    }

    fn restore(&self) {
        std::fs::remove_dir_all(self.tailwater.data_dir()).expect("the directory is ours");
        copy(&self.copy_of_data(), &self.tailwater.data_dir());
    }

    /// Steps of a copy take sequences that the restored journal gives to other transactions.
    async fn snapshot(&self) {
        let before = sequence(&self.tailwater).await.expect("it answers");
        assert!(self.tailwater.cli(&["snapshot", "erp.crm.ledger"]).status.success());
        self.grows_to(before + 3).await;
    }

    async fn target_halts(&self, code: &str) {
        let door = self.tailwater.door();
        eventually("the target halts", WITHIN, async || {
            let status = status(&door).await?;
            let halted = status.state() == TargetState::Halted;
            holds(halted && status.halt.as_ref().is_some_and(|halt| halt.code == code), || format!("{status:?}"))
        })
        .await;
    }

    async fn mends(&mut self) {
        assert!(self.tailwater.cli(&["resync", TARGET]).status.success());
        self.ready().await;
        self.write(1).await;
        self.level().await;
        let (success, report) = verify(&self.tailwater, &[]);
        assert!(success && report["equal"] == true, "{report:#}");
    }
}

async fn sequence(tailwater: &Tailwater) -> Result<u64, String> {
    tailwater.door().status().await?.journal.map(|journal| journal.sequence).ok_or_else(|| "no journal".to_owned())
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("cp is there").success());
}

/// Everybody goes on to 3 + 3 entries and a copy; then the copy of the data directory from before is put back and grows, unseen
/// by its readers, to `beyond` transactions beyond where they stand.
async fn grown_past_its_readers(beyond: usize) {
    let mut scene = Scene::set().await;
    scene.stop();
    scene.save();
    scene.tailwater.up().await;
    let follower = Follower::start(scene.tailwater.door(), Follow::Ephemeral);
    let durable = Follower::start(scene.tailwater.door(), Follow::Durable(SUBSCRIPTION));
    scene.snapshot().await;
    scene.write(3).await;
    let end = scene.level().await;
    follower.reaches(&scene.last(), WITHIN).await;
    durable.reaches(&scene.last(), WITHIN).await;
    let (replica, books) = (follower.stop().await, durable.stop().await);
    scene.stop();

    scene.restore();
    scene.tailwater.configure(&mysql::setup(&scene.server));
    scene.tailwater.up().await;
    // The three from before are read again, and three take the place of the copy's steps.
    scene.write(3 + beyond).await;
    scene.grows_to(end + beyond as u64).await;
    scene.stop();

    scene.tailwater.configure(&setup(&scene.server, &scene.warehouse));
    scene.tailwater.up().await;
    scene.target_halts("TW-TGT-007").await;
    let door = scene.tailwater.door();
    let follower = Follower::start_with(door.clone(), Follow::Ephemeral, replica);
    eventually("the cursor is refused", WITHIN, async || {
        holds(follower.look(|replica| replica.gone.is_some()), || format!("{:?}", follower.last_error()))
    })
    .await;
    let cursor = books.cursor.expect("it has applied something");
    // The restored journal knows nothing of the name yet.
    let again = Follower::start(door.clone(), Follow::Durable(SUBSCRIPTION));
    again.reaches(&scene.last(), WITHIN).await;
    let request = AcknowledgeRequest { subscription: SUBSCRIPTION.to_owned(), cursor };
    let mut client = door.subscriptions().await.expect("tailwater runs");
    let refused = client.acknowledge(door.request(request)).await.expect_err("of another history");
    assert!(refused.message().contains("TW-DLV-012"), "{refused:?}");
    scene.mends().await;
    again.reaches(&scene.last(), WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_journal_that_grew_past_its_readers_is_another_history_to_them() {
    grown_past_its_readers(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_journal_that_grew_to_where_its_readers_stand_is_another_history_to_them() {
    grown_past_its_readers(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_journal_from_where_its_readers_stand_goes_on_and_so_does_what_an_earlier_version_left() {
    let mut scene = Scene::set().await;
    let follower = Follower::start(scene.tailwater.door(), Follow::Ephemeral);
    follower.reaches(&scene.last(), WITHIN).await;
    scene.stop();
    scene.save();
    scene.restore();
    scene.tailwater.up().await;
    scene.write(2).await;
    scene.level().await;
    follower.reaches(&scene.last(), WITHIN).await;
    // No kill of ours is another history either.
    scene.tailwater.kill();
    scene.tailwater.up().await;
    scene.write(2).await;
    scene.level().await;
    follower.reaches(&scene.last(), WITHIN).await;
    follower.stop().await;
    let target = status(&scene.tailwater.door()).await.expect("it answers");
    assert!(target.halt.is_none(), "{target:?}");
    // As an earlier version left it.
    scene.stop();
    scene.warehouse.execute("ALTER TABLE _tailwater.positions DROP COLUMN history").await;
    scene.tailwater.up().await;
    let noted = "SELECT count(*) FROM _tailwater.positions WHERE history IS NOT NULL";
    eventually("it notes its history", WITHIN, async || {
        let found = scene.warehouse.text(noted).await;
        holds(found.as_deref() == Some("1"), || format!("{found:?}"))
    })
    .await;
    scene.write(1).await;
    scene.level().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_journal_whose_target_is_ahead_of_it_halts_the_target() {
    let mut scene = Scene::set().await;
    scene.stop();
    scene.save();
    scene.tailwater.up().await;
    scene.snapshot().await;
    scene.write(3).await;
    scene.level().await;
    scene.stop();
    scene.restore();
    scene.tailwater.up().await;
    scene.target_halts("TW-TGT-007").await;
    scene.mends().await;
    let target = warehouse::status(&scene.tailwater.door()).await.expect("it answers");
    assert!(target.halt.is_none(), "{target:?}");
}
