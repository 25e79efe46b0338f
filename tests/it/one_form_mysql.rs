//! The log and the catalogue describe a table in one form: neither a stream, a copy, a restart nor a resync sees another table
//! where there was no DDL.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Door, Tailwater};
use crate::harness::warehouse::{TARGET, ready};
use crate::harness::{eventually, holds};
use crate::mysql_target::{setup, verify};
use mysql_async::prelude::Queryable;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(120);

/// A table, and how each side prints its rows. `{}` in `rows` is another number each time.
struct Odd {
    kinds: &'static [Kind],
    name: &'static str,
    made: &'static [&'static str],
    rows: &'static [&'static str],
    here: &'static str,
    there: &'static str,
}

const MARIADB: &[Kind] = &[Kind::Mariadb, Kind::MariadbNewer];

const ODD: &[Odd] = &[
    Odd {
        kinds: &Kind::ALL,
        name: "labels",
        made: &[
            r#"CREATE TABLE labels (id int PRIMARY KEY, e enum('it''s','c:\\x','"q"','a,b','nl\n','','\0','\r\t','\\''') NOT NULL,
               s set('a\\b','c''d','"'), l enum('ü','\\') CHARACTER SET latin1, b enum('a','\\') CHARACTER SET binary)"#,
        ],
        rows: &[r"INSERT INTO labels VALUES ({}, 'c:\\x', 'a\\b,\'', 'ü', 'a') ON DUPLICATE KEY UPDATE e = 'it''s'"],
        here: r"SELECT id, HEX(CONVERT(e USING utf8mb4)), HEX(CONVERT(s USING utf8mb4)), HEX(CONVERT(l USING utf8mb4)), b FROM crm.labels ORDER BY id",
        there: "SELECT id, upper(encode(convert_to(e, 'UTF8'), 'hex')), upper(encode(convert_to(s, 'UTF8'), 'hex')), upper(encode(convert_to(l, 'UTF8'), 'hex')), b FROM erp.labels ORDER BY id",
    },
    Odd {
        kinds: &Kind::ALL,
        name: "raw_labels",
        made: &[
            "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'",
            r"CREATE TABLE raw_labels (id int PRIMARY KEY, e enum('c:\x','\''','😀','😁') CHARACTER SET utf8mb4)",
        ],
        rows: &[r"INSERT INTO raw_labels VALUES ({}, 'c:\\x')", "INSERT INTO raw_labels VALUES ({}0001, '😁')"],
        here: "SELECT id, e FROM crm.raw_labels ORDER BY id",
        there: "SELECT id, e FROM erp.raw_labels ORDER BY id",
    },
    Odd {
        kinds: &Kind::ALL,
        name: "wide_labels",
        made: &[r"CREATE TABLE wide_labels (id int PRIMARY KEY, a enum('x','你\\','a''b') CHARACTER SET ucs2,
              b set('😀','z') CHARACTER SET utf16, c enum('一丅','\\') CHARACTER SET gbk, d enum('😀','\n') CHARACTER SET utf32)"],
        rows: &[r"INSERT INTO wide_labels VALUES ({}, '你\\', 'z,😀', '一丅', '\n')"],
        here: "SELECT id, a, b, c, d FROM crm.wide_labels ORDER BY id",
        there: "SELECT id, a, b, c, d FROM erp.wide_labels ORDER BY id",
    },
    Odd {
        kinds: &Kind::ALL,
        name: "unseen",
        made: &[
            "CREATE TABLE unseen (id int PRIMARY KEY, a int DEFAULT 7 INVISIBLE, b varchar(20), DB_ROW_HASH_1 int DEFAULT 3)",
        ],
        rows: &["INSERT INTO unseen (id, b) VALUES ({}, 'b{}')"],
        here: "SELECT id, a, b, DB_ROW_HASH_1 FROM crm.unseen ORDER BY id",
        there: "SELECT id, a, b, \"DB_ROW_HASH_1\" FROM erp.unseen ORDER BY id",
    },
    Odd {
        kinds: &[Kind::Mysql],
        name: "by_expression",
        made: &[
            "CREATE TABLE by_expression (id int PRIMARY KEY, b varchar(20), j json, KEY ((lower(b))), UNIQUE KEY ((id + 1)), \
             KEY ((CAST(j AS unsigned ARRAY))))",
        ],
        rows: &[
            "INSERT INTO by_expression VALUES ({0}, 'B{0}', '[1, 2]')",
            "UPDATE by_expression SET b = CONCAT(b, 'x')",
        ],
        here: "SELECT id, b, j FROM crm.by_expression ORDER BY id",
        there: "SELECT id, b, j FROM erp.by_expression ORDER BY id",
    },
    Odd {
        kinds: MARIADB,
        name: "hashed_named",
        made: &["CREATE TABLE hashed_named (id int PRIMARY KEY, DB_ROW_HASH_1 int, t text, UNIQUE (t))"],
        rows: &["INSERT INTO hashed_named VALUES ({0}, 1, 't{0}')", "UPDATE hashed_named SET DB_ROW_HASH_1 = id"],
        here: "SELECT id, DB_ROW_HASH_1, t FROM crm.hashed_named ORDER BY id",
        there: "SELECT id, \"DB_ROW_HASH_1\", t FROM erp.hashed_named ORDER BY id",
    },
    Odd {
        kinds: &[Kind::Mysql, Kind::MariadbNewer],
        name: "vectors",
        made: &["CREATE TABLE vectors (id int PRIMARY KEY, v vector(3) NOT NULL, w varbinary(12))"],
        rows: &["INSERT INTO vectors VALUES ({}, x'0000803F0000204000002000', x'00FF')"],
        here: "SELECT id, LOWER(HEX(v)), LOWER(HEX(w)) FROM crm.vectors ORDER BY id",
        there: "SELECT id, encode(v, 'hex'), encode(w, 'hex') FROM erp.vectors ORDER BY id",
    },
    Odd {
        kinds: MARIADB,
        name: "hashed",
        made: &["CREATE TABLE hashed (id int PRIMARY KEY, b blob, t text, n int, UNIQUE (b), UNIQUE (t, n))"],
        rows: &["INSERT INTO hashed VALUES ({0}, 'b{0}', 't{0}', 1)", "UPDATE hashed SET n = n + 1"],
        here: "SELECT id, LOWER(HEX(b)), t, n FROM crm.hashed ORDER BY id",
        there: "SELECT id, encode(b, 'hex'), t, n FROM erp.hashed ORDER BY id",
    },
    Odd {
        kinds: MARIADB,
        name: "hashed_bare",
        made: &["CREATE TABLE hashed_bare (b blob NOT NULL, UNIQUE (b), n int)"],
        rows: &["INSERT INTO hashed_bare VALUES ('b{0}', {0})", "UPDATE hashed_bare SET n = n + 1 WHERE n % 2 = 0"],
        here: "SELECT LOWER(HEX(b)), n FROM crm.hashed_bare ORDER BY 1",
        there: "SELECT encode(b, 'hex'), n FROM erp.hashed_bare ORDER BY 1",
    },
    Odd {
        kinds: &[Kind::Mysql],
        name: "keyed_by_the_server",
        made: &[
            "SET SESSION sql_generate_invisible_primary_key = ON",
            "CREATE TABLE keyed_by_the_server (a int, b text)",
        ],
        rows: &[
            "INSERT INTO keyed_by_the_server VALUES ({0}, 'b')",
            "UPDATE keyed_by_the_server SET a = a + 1, b = 'c' WHERE a = 1",
        ],
        here: "SELECT my_row_id, a, b FROM crm.keyed_by_the_server ORDER BY 1",
        there: "SELECT my_row_id, a, b FROM erp.keyed_by_the_server ORDER BY 1",
    },
];

impl Odd {
    async fn is_same(&self, server: &Server, warehouse: &Postgres) -> Result<(), String> {
        let here = server.rows(self.here).await;
        let there = warehouse.rows(self.there).await;
        holds(here == there && !here.is_empty(), || format!("{}: {here:?} here, {there:?} there", self.name))
    }

    async fn write(&self, server: &Server, number: u32) {
        let mut client = server.client().await;
        client.query_drop("USE crm").await.expect("there");
        for sql in self.rows {
            let sql = sql.replace("{}", &number.to_string()).replace("{0}", &number.to_string());
            client.query_drop(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }
}

struct World {
    server: Server,
    warehouse: Postgres,
    tailwater: Tailwater,
    odd: Vec<&'static Odd>,
}

impl World {
    async fn settle(&self, when: &str) {
        let names: Vec<_> = self.odd.iter().map(|odd| odd.name).collect();
        ready(&self.tailwater.door(), &names, WITHIN).await;
        for odd in &self.odd {
            eventually(when, WITHIN, async || odd.is_same(&self.server, &self.warehouse).await).await;
        }
        ready(&self.tailwater.door(), &names, WITHIN).await;
        let (success, report) = verify(&self.tailwater, &[]);
        assert!(success, "{when}: {report:#}");
    }

    async fn write(&self, number: u32) {
        for odd in &self.odd {
            odd.write(&self.server, number).await;
        }
    }
}

/// The table's number of its newest description, and its newest copy.
async fn described(door: &Door) -> Vec<(String, u32)> {
    let mut tables: Vec<_> = door.tables().await.into_iter().map(|table| (table.table, table.schema_id)).collect();
    tables.sort();
    tables
}

async fn copied(door: &Door) -> Vec<(String, u64)> {
    let source = door.source().await.expect("it streams");
    let copy =
        |table: &tailwater::wire::api::v1::TableStatus| table.copy.as_ref().map(|copy| copy.copy).unwrap_or_default();
    source.tables.iter().map(|table| (table.table.clone(), copy(table))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_one_form_whoever_describes_it() {
    for kind in Kind::ALL {
        let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
        let odd: Vec<_> = ODD.iter().filter(|odd| odd.kinds.contains(&kind)).collect();
        server.execute("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'").await;
        if kind == Kind::Mysql {
            server.execute("SET GLOBAL show_gipk_in_create_table_and_information_schema = OFF").await;
        }
        for odd in &odd {
            let mut client = server.client().await;
            client.query_drop("USE crm").await.expect("there");
            for sql in odd.made {
                client.query_drop(*sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
            odd.write(&server, 1).await;
        }
        let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
        let mut world = World { server, warehouse, tailwater, odd };
        world.settle("copied").await;
        let before = (described(&world.tailwater.door()).await, copied(&world.tailwater.door()).await);
        world.write(2).await;
        world.settle("streamed").await;
        world.tailwater.stop();
        world.write(3).await;
        world.tailwater.up().await;
        world.settle("restarted").await;
        world.write(4).await;
        world.settle("streamed after a restart").await;
        let door = world.tailwater.door();
        assert_eq!((described(&door).await, copied(&door).await), before, "{kind:?}: nothing was altered");
        let output = world.tailwater.cli(&["resync", TARGET, "*"]);
        assert!(output.status.success(), "{output:?}");
        world.write(5).await;
        world.settle("resynced").await;
        world.write(6).await;
        world.settle("streamed after a resync").await;
        assert_eq!(described(&door).await, before.0, "{kind:?}: nothing was altered");
    }
}
