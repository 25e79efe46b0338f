//! Rounds: what happens in one, and what of it is counted.

use super::super::trouble::{self, Trouble};
use super::world::{self, MARK, Table};
use super::{columns, dml, dress, partitions, rows, sessions, settle, tables};
use crate::harness::mysql::{Kind, Server, USER};
use crate::harness::postgres::Postgres;
use crate::harness::rng::Rng;
use crate::harness::tailwater::Tailwater;
use crate::harness::warehouse::TARGET;
use crate::mysql_target::setup;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

const STATEMENTS_A_ROUND: usize = 175;
const STATEMENTS_A_TROUBLE: usize = 35;
const TABLES: usize = 10;
/// More than these are dropped.
const TABLES_MAX: usize = 16;
const PAUSE: Duration = Duration::from_secs(11);

pub struct Run {
    source: Server,
    warehouse: Postgres,
    tailwater: Tailwater,
    killed: bool,
    rng: Rng,
    made: usize,
    rounds: usize,
    /// By kind: executed, refused by the server.
    kinds: BTreeMap<&'static str, (usize, usize)>,
    dresses: BTreeMap<&'static str, usize>,
    troubles: BTreeMap<String, usize>,
    halts: BTreeMap<String, usize>,
    /// What was done in this round, for whoever looks for a fault.
    log: Vec<String>,
}

impl Run {
    pub async fn start(kind: Kind, seed: u64) -> Self {
        let (source, warehouse) = (Server::start(kind).await, Postgres::start().await);
        source.execute("CREATE DATABASE other CHARACTER SET utf8mb4").await;
        source.execute("CREATE TABLE other.log (n int)").await;
        source.execute(&format!("GRANT LOCK TABLES ON *.* TO {USER}@'%'")).await;
        source.execute(&format!("CREATE TABLE {MARK} (id int PRIMARY KEY, n int)")).await;
        let tailwater = Tailwater::new(&setup(&source, &warehouse));
        let mut run = Self {
            source,
            warehouse,
            tailwater,
            killed: false,
            rng: Rng::of(seed),
            made: 0,
            rounds: 0,
            kinds: BTreeMap::new(),
            dresses: BTreeMap::new(),
            troubles: BTreeMap::new(),
            halts: BTreeMap::new(),
            log: Vec::new(),
        };
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
            "{} statements: {:?}; written {:?}; troubles {:?}; halts {:?}",
            self.executed(),
            self.kinds,
            self.dresses,
            self.troubles,
            self.halts
        )
    }

    pub async fn round(&mut self) {
        self.log.clear();
        self.refill().await;
        for statement in 0..STATEMENTS_A_ROUND {
            if statement % STATEMENTS_A_TROUBLE == STATEMENTS_A_TROUBLE / 2 {
                self.trouble().await;
            }
            self.statement().await;
        }
        self.tailwater_up().await;
        self.settle().await;
        println!("round {} ends after {} statements", self.rounds, self.executed());
    }

    /// So that there is enough to do something to, and not ever more.
    async fn refill(&mut self) {
        let there = world::tables(&self.source).await;
        for table in there.iter().skip(TABLES_MAX) {
            self.drop_table(table).await;
        }
        for _ in there.len()..TABLES {
            self.made += 1;
            let name = format!("t{}", self.made);
            let sql = tables::create(&mut self.rng, self.source.kind, &name);
            self.log.push(sql.clone());
            self.source.execute(&sql).await;
            if let Some(table) = world::table(&self.source, &mut self.rng, &name).await {
                let sql = dml::insert(&mut self.rng, &table);
                self.source.execute(&sql).await;
            }
        }
    }

    /// Killed, it starts again with the next trouble.
    async fn trouble(&mut self) {
        self.tailwater_up().await;
        let trouble = trouble::of_a_round(&mut self.rng);
        *self.troubles.entry(format!("{trouble:?}")).or_default() += 1;
        self.log.push(format!("-- {trouble:?}"));
        match trouble {
            Trouble::None => {}
            Trouble::Tailwater => {
                self.tailwater.kill();
                self.killed = true;
            }
            Trouble::ServerCrash => {
                self.source.stop(Signal::KILL);
                self.source.up().await;
            }
            Trouble::ServerRestart => {
                self.source.stop(Signal::TERM);
                self.source.up().await;
            }
            Trouble::Pause => sleep(PAUSE).await,
        }
    }

    async fn tailwater_up(&mut self) {
        if std::mem::take(&mut self.killed) {
            self.tailwater.up().await;
        }
    }

    async fn statement(&mut self) {
        let tables = world::tables(&self.source).await;
        if tables.len() < 3 {
            return self.refill().await;
        }
        let name = &tables[self.rng.below(tables.len())];
        let mut conn = sessions::session(&self.source, &mut self.rng).await;
        let Some(table) = world::table(&self.source, &mut self.rng, name).await else { return };
        self.changes(&mut conn, &table).await;
        let (kind, statements) = self.definition(&table);
        let executed = self.execute(&mut conn, &table, statements).await;
        let counted = self.kinds.entry(kind).or_default();
        if executed {
            counted.0 += 1;
        } else {
            counted.1 += 1;
        }
        if let Some(table) = world::table(&self.source, &mut self.rng, name).await {
            self.changes(&mut conn, &table).await;
        }
    }

    fn definition(&mut self, table: &Table) -> (&'static str, Vec<String>) {
        let rng = &mut self.rng;
        let is_mysql = table.server == Kind::Mysql;
        loop {
            let kinds = match rng.below(10) {
                0..3 => columns::KINDS,
                3..6 if !table.partitions.is_empty() => partitions::KINDS,
                6 | 7 => rows::KINDS,
                8 if !is_mysql => tables::OF_MARIADB,
                9 if !is_mysql && !table.partitions.is_empty() => partitions::OF_MARIADB,
                _ => tables::KINDS,
            };
            let (kind, make) = kinds[rng.below(kinds.len())];
            if let Some(statements) = make(rng, table) {
                return (kind, statements);
            }
        }
    }

    /// Whether all went through.
    async fn execute(&mut self, conn: &mut Conn, table: &Table, statements: Vec<String>) -> bool {
        let mut went = true;
        for sql in statements {
            let is_definition = ["ALTER", "CREATE TABLE", "TRUNCATE", "RENAME", "DROP TABLE"];
            let (dress, sql) = match is_definition.iter().any(|word| sql.starts_with(word)) {
                true => dress::dress(&mut self.rng, table.server, sql),
                false => ("plain", sql),
            };
            // Later ones put back what earlier ones took away.
            let done = self.run(conn, &sql).await;
            *self.dresses.entry(dress).or_default() += usize::from(done);
            went &= done;
            if self.rng.one_in(400) {
                sleep(PAUSE).await;
            }
        }
        went
    }

    /// What the server refuses has changed nothing.
    async fn changes(&mut self, conn: &mut Conn, table: &Table) {
        let (in_transaction, undone) = (self.rng.one_in(3), self.rng.one_in(4));
        if in_transaction {
            self.run(conn, "BEGIN").await;
        }
        for _ in 0..self.rng.below(4) {
            let sql = dml::statement(&mut self.rng, table);
            self.run(conn, &sql).await;
        }
        if in_transaction {
            self.run(conn, if undone { "ROLLBACK" } else { "COMMIT" }).await;
        }
    }

    async fn run(&mut self, conn: &mut Conn, sql: &str) -> bool {
        let done = conn.query_drop(sql).await;
        let end = done.as_ref().err().map(|error| format!(" -- {error}")).unwrap_or_default();
        self.log.push(format!("[{}] {sql:.600}{end}", conn.id()));
        done.is_ok()
    }

    async fn drop_table(&self, table: &str) {
        let mut conn = self.source.client().await;
        for sql in ["SET foreign_key_checks = 0", &format!("DROP TABLE {table}")] {
            conn.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }

    /// Halted tables are put right: a resync where that is the next step, else they go.
    async fn settle(&mut self) {
        self.rounds += 1;
        let halted = settle::settle(&self.source, &self.warehouse, &self.tailwater.door(), self.rounds).await;
        for (table, code) in halted {
            *self.halts.entry(code.clone()).or_default() += 1;
            if code.starts_with("TW-TGT") && self.rng.one_in(2) {
                let output = self.tailwater.cli(&["resync", TARGET, &format!("erp.crm.{table}")]);
                assert!(output.status.success(), "{output:?}");
            } else {
                self.drop_table(&table).await;
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the statements of this round, by session:\n{}", self.log.join("\n"));
            println!("--- until then: {}", self.report());
        }
    }
}
