//! Rounds: what happens in one, and what of it is counted.

use super::super::trouble::{self, Trouble};
use super::world::{self, Table};
use super::{ddl, dml, partitions, publications, settle};
use crate::harness::postgres::{DATABASE, OWNER, Postgres, Version};
use crate::harness::rng::Rng;
use crate::harness::tailwater::Tailwater;
use crate::harness::warehouse;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;
use tokio_postgres::Client;

const STATEMENTS_A_ROUND: usize = 60;
const TABLES: usize = 10;
const PAUSE: Duration = Duration::from_secs(11);

pub struct Run {
    version: Version,
    source: Postgres,
    warehouse: Postgres,
    tailwater: Tailwater,
    rng: Rng,
    made: usize,
    /// By kind: executed, refused by the server.
    kinds: BTreeMap<&'static str, (usize, usize)>,
    troubles: BTreeMap<String, usize>,
    halts: BTreeMap<String, usize>,
}

impl Run {
    pub async fn start(version: Version, seed: u64) -> Self {
        let (source, warehouse) = (Postgres::of_version(version).await, Postgres::start_another().await);
        source.execute("CREATE SCHEMA elsewhere; ALTER SCHEMA elsewhere OWNER TO erp").await;
        let types = "CREATE TYPE public.mood AS ENUM ('sad', 'glad'); CREATE TYPE public.pair AS (a int, b text)";
        source.execute_as_owner(types).await;
        let tailwater = Tailwater::new(&warehouse::setup(&source, &warehouse));
        let (kinds, troubles, halts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut run =
            Self { version, source, warehouse, tailwater, rng: Rng::of(seed), made: 0, kinds, troubles, halts };
        run.refill().await;
        run.tailwater.up().await;
        run.settle().await;
        run
    }

    pub fn executed(&self) -> usize {
        self.kinds.values().map(|(executed, _)| executed).sum()
    }

    pub fn report(&self) -> String {
        format!(
            "{} statements: {:?}; troubles {:?}; halts {:?}",
            self.executed(),
            self.kinds,
            self.troubles,
            self.halts
        )
    }

    pub async fn round(&mut self) {
        self.refill().await;
        let trouble = trouble::of_a_round(&mut self.rng);
        *self.troubles.entry(format!("{trouble:?}")).or_default() += 1;
        let when = self.rng.below(STATEMENTS_A_ROUND);
        for statement in 0..STATEMENTS_A_ROUND {
            if statement == when {
                self.trouble(trouble).await;
            }
            self.statement().await;
        }
        if trouble == Trouble::Tailwater {
            self.tailwater.up().await;
        }
        self.settle().await;
    }

    /// So that there is enough to do something to.
    async fn refill(&mut self) {
        let client = self.session("").await;
        for _ in world::tables(&client).await.len()..TABLES {
            self.made += 1;
            for sql in ddl::create(&mut self.rng, &format!("t{}", self.made)) {
                client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            }
        }
    }

    async fn trouble(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::None => {}
            Trouble::Tailwater => self.tailwater.kill(),
            Trouble::ServerCrash => {
                self.source.kill();
                self.source.up().await;
            }
            Trouble::ServerRestart => {
                self.source.stop(Signal::INT);
                self.source.up().await;
            }
            Trouble::Pause => sleep(PAUSE).await,
        }
    }

    async fn statement(&mut self) {
        let session = dml::settings(&mut self.rng);
        let client = self.session(session).await;
        let tables = world::tables(&client).await;
        let (name, partitioned) = &tables[self.rng.below(tables.len())];
        let Some(table) = world::table(&client, name, *partitioned).await else { return };
        for _ in 0..self.rng.below(4) {
            self.change(&client, &table).await;
        }
        let (kind, statements) = self.definition(&table);
        let as_superuser = kind.starts_with("publication");
        let client = if as_superuser { self.source.client().await } else { client };
        let executed = self.execute(&client, &statements).await;
        let counted = self.kinds.entry(kind).or_default();
        if executed {
            counted.0 += 1
        } else {
            counted.1 += 1
        }
        if let Some(table) = world::table(&client, name, *partitioned).await {
            for _ in 0..self.rng.below(4) {
                self.change(&client, &table).await;
            }
        }
    }

    fn definition(&mut self, table: &Table) -> (&'static str, Vec<String>) {
        let rng = &mut self.rng;
        if rng.one_in(15) {
            let written = dml::statement(rng, table);
            return publications::edit(rng, self.version, &table.name, written);
        }
        let kinds = if table.partitioned && rng.one_in(2) { partitions::KINDS } else { ddl::KINDS };
        loop {
            let (kind, make) = kinds[rng.below(kinds.len())];
            if let Some(statements) = make(rng, table) {
                return (kind, statements);
            }
        }
    }

    /// One by one, or in a transaction, which may be rolled back; whether all went through.
    async fn execute(&mut self, client: &Client, statements: &[String]) -> bool {
        let together = self.rng.one_in(3);
        let undone = together && self.rng.one_in(4);
        let mut went = true;
        if together && client.batch_execute("BEGIN").await.is_err() {
            return false;
        }
        for sql in statements {
            // Later ones put back what earlier ones took away.
            went &= client.batch_execute(sql).await.is_ok();
            if !together && self.rng.one_in(150) {
                sleep(PAUSE).await;
            }
        }
        if together {
            let end = if undone { "ROLLBACK" } else { "COMMIT" };
            went &= client.batch_execute(end).await.is_ok();
        }
        went
    }

    /// What the server refuses has changed nothing.
    async fn change(&mut self, client: &Client, table: &Table) {
        let sql = dml::statement(&mut self.rng, table);
        let _refused = client.batch_execute(&sql).await;
    }

    async fn session(&self, settings: &str) -> Client {
        let client = self.source.socket().connect(OWNER, DATABASE).await.expect("the server accepts the owner");
        client.batch_execute(&format!("SET lock_timeout = '20s'; {settings}")).await.expect("set");
        client
    }

    /// Halted tables are put right: a resync where that is the next step, else they go.
    async fn settle(&mut self) {
        let halted = settle::settle(&self.source, &self.warehouse, &self.tailwater.door()).await;
        for (table, code) in halted {
            *self.halts.entry(code.clone()).or_default() += 1;
            if code.starts_with("TW-TGT") && self.rng.one_in(2) {
                let output = self.tailwater.cli(&["resync", warehouse::TARGET, &format!("erp.public.{table}")]);
                assert!(output.status.success(), "{output:?}");
            } else {
                self.source.execute_as_owner(&format!("DROP TABLE public.{table} CASCADE")).await;
            }
        }
    }
}
