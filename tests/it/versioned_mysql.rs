//! MariaDB's system-versioned tables: random changes, and the target holds the rows that the tables show, never their history.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::rng::Rng;
use crate::harness::tailwater::Tailwater;
use crate::harness::warehouse::ready;
use crate::harness::{eventually, holds, seed};
use crate::mysql_target::{setup, verify};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(120);
const CHANGES: usize = 150;

const TIME_HERE: &str = "DATE_FORMAT(s, '%Y-%m-%d %H:%i:%s.%f'), DATE_FORMAT(e, '%Y-%m-%d %H:%i:%s.%f')";
const TIME_THERE: &str = "to_char(s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), to_char(e AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')";

/// A table with a number `id`, a number `n` and a text `t`, and the columns of its period where they are declared.
struct Versioned {
    name: &'static str,
    made: &'static str,
    has_period: bool,
}

const TABLES: [Versioned; 8] = [
    Versioned {
        name: "plain",
        made: "(id int PRIMARY KEY, n int, t varchar(30)) WITH SYSTEM VERSIONING",
        has_period: false,
    },
    Versioned { name: "bare", made: "(id int, n int, t varchar(30)) WITH SYSTEM VERSIONING", has_period: false },
    Versioned {
        name: "declared",
        made: "(id int PRIMARY KEY, s timestamp(6) GENERATED ALWAYS AS ROW START, n int, e timestamp(6) GENERATED ALWAYS AS ROW END, \
               t varchar(30), PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING",
        has_period: true,
    },
    Versioned {
        name: "declared_bare",
        made: "(id int, n int, t varchar(30), s timestamp(6) GENERATED ALWAYS AS ROW START INVISIBLE, \
               e timestamp(6) GENERATED ALWAYS AS ROW END INVISIBLE, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING",
        has_period: true,
    },
    Versioned {
        name: "parted",
        made: "(id int PRIMARY KEY, n int, t varchar(30)) WITH SYSTEM VERSIONING \
               PARTITION BY SYSTEM_TIME LIMIT 1000 PARTITIONS 3",
        has_period: false,
    },
    Versioned {
        name: "partly",
        made: "(id int PRIMARY KEY, n int, t varchar(30) WITHOUT SYSTEM VERSIONING, at timestamp(6) NOT NULL DEFAULT '2026-01-01', \
               till timestamp(6) NOT NULL DEFAULT '2026-02-02', UNIQUE (t, id)) WITH SYSTEM VERSIONING",
        has_period: false,
    },
    Versioned {
        name: "hashed",
        made: "(id int PRIMARY KEY, n int, t text, twice int AS (n * 2) VIRTUAL, UNIQUE (t)) WITH SYSTEM VERSIONING",
        has_period: false,
    },
    // It begins without versions, and later has them for a while.
    Versioned { name: "switched", made: "(id int PRIMARY KEY, n int, t varchar(30))", has_period: false },
];

fn change(rng: &mut Rng, table: &Versioned, at: usize) -> String {
    let (name, id, n) = (table.name, rng.below(40), rng.below(1000));
    // Of a UNIQUE text, too.
    let row = format!("({id}, {n}, 'it''s {at} {id}')");
    match rng.below(12) {
        0..=2 => format!("INSERT IGNORE INTO {name} (id, n, t) VALUES {row}, ({}, {n}, 'two {at}')", 40 + id),
        3 => format!("REPLACE INTO {name} (id, n, t) VALUES {row}"),
        4 => format!("INSERT INTO {name} (id, n, t) VALUES {row} ON DUPLICATE KEY UPDATE n = {n}"),
        5 | 6 => format!("UPDATE {name} SET n = {n} WHERE id BETWEEN {id} AND {}", id + rng.below(9)),
        7 => format!("UPDATE {name} SET t = CONCAT(id, ' other {at}') WHERE id = {id} LIMIT 1"),
        8 => format!("UPDATE IGNORE {name} SET id = id + {} WHERE id = {id}", 1 + rng.below(90)),
        9 => format!("DELETE FROM {name} WHERE id = {id}"),
        10 => format!("DELETE FROM {name} WHERE n < {} LIMIT 3", rng.below(500)),
        _ => format!("UPDATE {name} SET n = n WHERE id > {}", rng.below(80)),
    }
}

struct World {
    server: Server,
    warehouse: Postgres,
    tailwater: Tailwater,
    rng: Rng,
}

impl World {
    async fn changes(&mut self, count: usize) {
        let mut client = self.server.client().await;
        for at in 0..count {
            let table = &TABLES[self.rng.below(TABLES.len())];
            let is_versioned = table.name != "switched";
            let sql = match self.rng.below(30) {
                0 if is_versioned => format!("DELETE HISTORY FROM {}", table.name),
                1 if is_versioned => format!("DELETE HISTORY FROM {} BEFORE SYSTEM_TIME NOW(6)", table.name),
                2 if is_versioned => {
                    let [start, end] = if table.has_period { ["s", "e"] } else { ["row_start", "row_end"] };
                    format!(
                        "SET STATEMENT system_versioning_insert_history = 1 FOR INSERT INTO {} (id, n, t, {start}, {end}) \
                         VALUES (7, 7, 'history {at}', '2020-01-01', '2020-0{}-01')",
                        table.name,
                        2 + self.rng.below(7)
                    )
                }
                3..=6 => {
                    execute(&mut client, "BEGIN").await;
                    for step in 0..self.rng.below(6) {
                        let sql = change(&mut self.rng, table, at * 10 + step);
                        execute(&mut client, &sql).await;
                    }
                    if self.rng.one_in(4) { "ROLLBACK".to_owned() } else { "COMMIT".to_owned() }
                }
                _ => change(&mut self.rng, table, at * 10),
            };
            execute(&mut client, &sql).await;
        }
    }

    async fn is_same(&self, when: &str) {
        for table in &TABLES {
            let name = table.name;
            ready(&self.tailwater.door(), &[name], WITHIN).await;
            let (here, there) = if table.has_period {
                (format!("id, n, t, {TIME_HERE}"), format!("id, n, t, {TIME_THERE}"))
            } else {
                ("id, n, t".to_owned(), "id, n, t".to_owned())
            };
            eventually("the target is the source", WITHIN, async || {
                let mut here = self.server.rows(&format!("SELECT {here} FROM crm.{name}")).await;
                let mut there = self.warehouse.rows(&format!("SELECT {there} FROM erp.{name}")).await;
                here.sort();
                there.sort();
                holds(here == there, || format!("{when}, {name}: {here:?} in the source, {there:?} in the target"))
            })
            .await;
        }
        let (success, report) = verify(&self.tailwater, &[]);
        assert!(success, "{when}: {report:#}");
    }

    /// Each table's newest copy.
    async fn copies(&self) -> Vec<(String, u64)> {
        let source = self.tailwater.door().source().await.expect("it streams");
        let copy = |table: &tailwater::wire::api::v1::TableStatus| table.copy.as_ref().map_or(0, |copy| copy.copy);
        source.tables.iter().map(|table| (table.table.clone(), copy(table))).collect()
    }
}

/// What the server refuses (a key that is there) is fine.
async fn execute(client: &mut Conn, sql: &str) {
    match client.query_drop(sql).await {
        Ok(()) | Err(mysql_async::Error::Server(_)) => {}
        Err(error) => panic!("{sql}: {error}"),
    }
}

async fn the_current_rows_are_captured(kind: Kind) {
    let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
    for Versioned { name, made, .. } in &TABLES {
        server.execute(&format!("CREATE TABLE {name} {made}")).await;
    }
    server.execute("CREATE TABLE remade (id int PRIMARY KEY, n int, t varchar(30)) WITH SYSTEM VERSIONING").await;
    // What the tables were then is not what they are.
    server.execute("SET GLOBAL system_versioning_asof = '2020-05-05'").await;
    let tailwater = Tailwater::new(&setup(&server, &warehouse));
    let mut world = World { server, warehouse, tailwater, rng: Rng::of(seed()) };
    world.changes(CHANGES).await;
    world.tailwater.up().await;
    world.is_same("copied").await;
    let copies = world.copies().await;
    world.changes(CHANGES).await;
    world.is_same("streamed").await;
    assert_eq!(world.copies().await, copies, "{kind:?}: nothing was altered");

    world.server.execute("ALTER TABLE switched ADD SYSTEM VERSIONING").await;
    world.server.execute("ALTER TABLE parted DROP PARTITION p0").await;
    let keep = "SET STATEMENT system_versioning_alter_history = KEEP FOR ALTER TABLE";
    world.server.execute(&format!("{keep} plain ADD COLUMN more int DEFAULT 3 FIRST")).await;
    world.server.execute(&format!("{keep} declared FORCE, ALGORITHM = COPY")).await;
    world.changes(CHANGES).await;
    world.is_same("altered").await;

    // What the log tells is older than the catalogue.
    world.tailwater.stop();
    world.changes(CHANGES).await;
    world.server.execute("ALTER TABLE switched DROP SYSTEM VERSIONING").await;
    for sql in ["INSERT INTO remade VALUES (1, 1, 'a'), (2, 2, 'b')", "UPDATE remade SET n = 5", "DROP TABLE remade"] {
        world.server.execute(sql).await;
    }
    world.server.execute("CREATE TABLE remade (id int PRIMARY KEY, n int, t varchar(30))").await;
    world.server.execute("INSERT INTO remade VALUES (3, 3, 'c')").await;
    world.changes(CHANGES).await;
    world.tailwater.up().await;
    world.is_same("resumed").await;
    ready(&world.tailwater.door(), &["remade"], WITHIN).await;
    world.changes(CHANGES).await;
    world.is_same("streamed again").await;
    let remade = world.warehouse.rows("SELECT id, n, t FROM erp.remade").await;
    assert_eq!(remade, [["3", "3", "c"].map(|cell| Some(cell.to_owned()))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_rows_of_versioned_tables_are_captured_on_mariadb() {
    the_current_rows_are_captured(Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_rows_of_versioned_tables_are_captured_on_mariadb_11_8() {
    the_current_rows_are_captured(Kind::MariadbNewer).await;
}
