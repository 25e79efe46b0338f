//! MySQL and MariaDB into a PostgreSQL warehouse: every type as the table of types says, what changes and what is copied alike,
//! and `verify` that finds what is not so.

use crate::harness::mysql::{Kind, PASSWORD, Server, USER};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::warehouse::{self, ready, table};
use crate::harness::{eventually, holds, postgres};
use serde_json::Value;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(120);

/// The system `erp` on a MySQL or MariaDB server, with the warehouse as its target.
pub fn setup(server: &Server, warehouse: &Postgres) -> Setup {
    let section = warehouse::section(warehouse).replace("ERP_PASSWORD", "LAKE_PASSWORD");
    let kind = if server.kind == Kind::Mysql { "mysql" } else { "mariadb" };
    Setup {
        system: format!(
            "kind: {kind}\nhost: 127.0.0.1\nport: {}\nuser: {USER}\npassword: {{env: ERP_PASSWORD}}\nsilence: 5s\n",
            server.port
        ),
        systems: String::new(),
        tables: vec!["crm.*".into()],
        server: "grpc: 127.0.0.1:0\nhttp: 127.0.0.1:0\n".into(),
        rest: section,
        env: vec![("ERP_PASSWORD".into(), PASSWORD.into()), ("LAKE_PASSWORD".into(), postgres::PASSWORD.into())],
    }
}

/// `verify`'s exit and report.
pub fn verify(tailwater: &Tailwater, arguments: &[&str]) -> (bool, Value) {
    let output = tailwater.cli(&[&["verify", "--json"], arguments].concat());
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.success(), report)
}

fn assert_equal(tailwater: &Tailwater) {
    let (success, report) = verify(tailwater, &[]);
    assert!(success && report["equal"] == true, "{report:#}");
}

struct Scene {
    server: Server,
    warehouse: Postgres,
    tailwater: Tailwater,
}

impl Scene {
    async fn set(kind: Kind, prepare: &[&str]) -> Self {
        let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
        for sql in prepare {
            server.execute(sql).await;
        }
        let tailwater = Tailwater::start(setup(&server, &warehouse)).await;
        Self { server, warehouse, tailwater }
    }

    async fn ready(&self, tables: &[&str]) {
        ready(&self.tailwater.door(), tables, WITHIN).await;
    }

    async fn halts(&self, name: &str, code: &str) -> String {
        let door = self.tailwater.door();
        eventually("the table halts", WITHIN, async || {
            let table = table(&door, name).await?;
            holds(table.halt.as_ref().is_some_and(|halt| halt.code == code), || format!("{table:?}"))
        })
        .await;
        table(&door, name).await.ok().and_then(|table| table.halt).map(|halt| halt.message).unwrap_or_default()
    }
}

/// A type, its type in the target, and literals with what the target prints of them.
type Type = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const TYPES: &[Type] = &[
    ("tinyint", "smallint", &[("-128", "-128"), ("127", "127")]),
    ("tinyint unsigned", "smallint", &[("255", "255")]),
    ("smallint unsigned", "integer", &[("65535", "65535")]),
    ("mediumint", "integer", &[("-8388608", "-8388608")]),
    ("mediumint unsigned", "integer", &[("16777215", "16777215")]),
    ("int", "integer", &[("-2147483648", "-2147483648")]),
    ("int(9) zerofill", "bigint", &[("42", "42")]),
    ("int unsigned", "bigint", &[("4294967295", "4294967295")]),
    ("bigint", "bigint", &[("-9223372036854775808", "-9223372036854775808")]),
    ("bigint unsigned", "numeric(20,0)", &[("18446744073709551615", "18446744073709551615"), ("0", "0")]),
    ("decimal(12,2)", "numeric(12,2)", &[("-1234567890.10", "-1234567890.10"), ("0", "0.00")]),
    ("decimal(8,2) zerofill", "numeric(8,2)", &[("1.5", "1.50")]),
    ("decimal(65,30)", "numeric(65,30)", &[("0.5", "0.500000000000000000000000000000")]),
    ("float", "real", &[("16777217", "1.6777216e+07"), ("-0.1", "-0.1"), ("3.402823e38", "3.402823e+38")]),
    ("double", "double precision", &[("0.1", "0.1"), ("-1.7976931348623157e308", "-1.7976931348623157e+308")]),
    ("bit(1)", "bit(1)", &[("b'1'", "1")]),
    ("bit(11)", "bit(11)", &[("b'10100000001'", "10100000001")]),
    ("year", "smallint", &[("2155", "2155"), ("'0000'", "0")]),
    ("date", "date", &[("'1000-01-01'", "1000-01-01"), ("'9999-12-31'", "9999-12-31")]),
    ("time", "interval", &[("'-838:59:59'", "-838:59:59"), ("'00:00:00'", "00:00:00")]),
    ("time(6)", "interval", &[("'-00:00:00.000001'", "-00:00:00.000001"), ("'11:22:33.5'", "11:22:33.5")]),
    ("datetime", "timestamp(0) without time zone", &[("'9999-12-31 23:59:59'", "9999-12-31 23:59:59")]),
    (
        "datetime(6)",
        "timestamp(6) without time zone",
        &[("'1969-12-31 23:59:59.999999'", "1969-12-31 23:59:59.999999")],
    ),
    ("timestamp NULL", "timestamp(0) with time zone", &[("'2038-01-19 03:14:07'", "2038-01-19 03:14:07+00")]),
    ("timestamp(3) NULL", "timestamp(3) with time zone", &[("'2026-06-17 14:22:00.12'", "2026-06-17 14:22:00.12+00")]),
    ("char(5)", "character varying(5)", &[("'ab  '", "ab"), ("'grün€'", "grün€")]),
    ("char(0)", "text", &[("''", "")]),
    ("varchar(300)", "character varying(300)", &[("'😀 '", "😀 "), ("'o''quote \\\\ \\t'", "o'quote \\ \t")]),
    ("varchar(20) CHARACTER SET latin1", "character varying(20)", &[("'€grün'", "€grün")]),
    ("longtext", "text", &[("''", "")]),
    ("binary(4)", "bytea", &[("x'01'", "\\x01000000")]),
    ("varbinary(300)", "bytea", &[("x'00FF00'", "\\x00ff00"), ("''", "\\x")]),
    ("longblob", "bytea", &[("x'FFFE'", "\\xfffe")]),
    ("enum('a','it''s','ü')", "text", &[("'it''s'", "it's")]),
    ("set('a','b','c')", "text", &[("'a,c'", "a,c"), ("''", "")]),
    ("point", "bytea", &[("ST_GeomFromText('POINT(1 2)')", "\\x000000000101000000000000000000f03f0000000000000040")]),
];

const OF_MYSQL: &[Type] =
    &[("json", "json", &[("'{\"b\": 1.50, \"a\": \"\\\\u0000\"}'", "{\"a\": \"\\u0000\", \"b\": 1.5}")])];
const OF_MARIADB: &[Type] = &[
    ("json", "text", &[("'{\"b\":  1}'", "{\"b\":  1}")]),
    ("uuid", "uuid", &[("'123e4567-e89b-12d3-a456-426614174000'", "123e4567-e89b-12d3-a456-426614174000")]),
    ("inet6", "text", &[("'::1.2.3.4'", "::1.2.3.4"), ("'fe80::1:0:0:1'", "fe80::1:0:0:1")]),
];

/// Rows are there before, and come after; the target has each value as `TYPES` says, and `verify` agrees.
async fn every_type(kind: Kind) {
    let own = if kind == Kind::Mysql { OF_MYSQL } else { OF_MARIADB };
    let types: Vec<_> = TYPES.iter().chain(own).collect();
    let columns: Vec<_> = types.iter().enumerate().map(|(at, (declared, ..))| format!("c{at} {declared}")).collect();
    let create = format!("CREATE TABLE every (id int PRIMARY KEY, {})", columns.join(", "));
    let insert = |id: usize, row: usize| {
        let value = |(.., values): &&Type| values.get(row).map_or("NULL", |(literal, _)| literal).to_owned();
        format!("INSERT INTO every VALUES ({id}, {})", types.iter().map(value).collect::<Vec<_>>().join(", "))
    };
    let rows = types.iter().map(|(.., values)| values.len()).max().unwrap_or(0) + 1;
    let before: Vec<_> = (0..rows).map(|row| insert(row, row)).collect();
    let prepare: Vec<_> = [&create].into_iter().chain(&before).map(String::as_str).collect();
    let scene = Scene::set(kind, &prepare).await;
    scene.ready(&["every"]).await;
    for row in 0..rows {
        scene.server.execute(&insert(100 + row, row)).await;
    }
    scene.server.execute("INSERT INTO every (id) VALUES (200)").await;
    let set: Vec<_> = types.iter().enumerate().map(|(at, (.., values))| format!("c{at} = {}", values[0].0)).collect();
    scene.server.execute(&format!("UPDATE every SET {} WHERE id = 200", set.join(", "))).await;
    assert_equal(&scene.tailwater);
    let mut wrong = Vec::new();
    for (at, (declared, expected_type, values)) in types.iter().enumerate() {
        let of_type = format!(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'erp.every'::regclass AND attname = 'c{at}'"
        );
        let of_type = scene.warehouse.text(&of_type).await.unwrap_or_default();
        if of_type != *expected_type {
            wrong.push(format!("{declared} became {of_type}"));
        }
        for (row, (_, expected)) in values.iter().enumerate() {
            for id in [row, 100 + row].into_iter().chain((row == 0).then_some(200)) {
                let text = scene.warehouse.text(&format!("SELECT c{at}::text FROM erp.every WHERE id = {id}")).await;
                if text.as_deref() != Some(*expected) {
                    wrong.push(format!("{declared}: row {id} is {text:?}, not {expected:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{kind:?}:\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_mysql_has_its_own_in_the_target() {
    every_type(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_mariadb_has_its_own_in_the_target() {
    every_type(Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_follows_for_every_kind_of_key() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let scene = Scene::set(
            kind,
            &[
                "CREATE TABLE numbered (id bigint unsigned PRIMARY KEY, a varchar(40), b int DEFAULT 7, \
                 twice int AS (b * 2) STORED, thrice int AS (b * 3) VIRTUAL)",
                "INSERT INTO numbered (id, a) WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 900) \
                 SELECT n, CONCAT('row ', n) FROM n",
                "CREATE TABLE named (name varchar(40), at datetime(3), note text, PRIMARY KEY (name, at))",
                "INSERT INTO named VALUES ('Ärger', '2026-01-01', 'a'), ('b', '2026-01-01 10:00:00.5', NULL)",
                "CREATE TABLE bare (n int, note varchar(20))",
                "INSERT INTO bare VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL)",
                "CREATE TABLE `odd ``na\"me` (`ke\"y` varbinary(20) PRIMARY KEY, `Größe` decimal(6,2))",
            ],
        )
        .await;
        scene.ready(&["numbered", "named", "bare", "odd `na\"me"]).await;
        assert_equal(&scene.tailwater);
        for sql in [
            "INSERT INTO numbered (id, a) VALUES (18446744073709551615, NULL), (6001, 'o''quote')",
            "UPDATE numbered SET a = CONCAT(a, '!'), b = NULL WHERE id % 3 = 0",
            "DELETE FROM numbered WHERE id % 7 = 0",
            "UPDATE numbered SET id = id + 100000 WHERE id BETWEEN 100 AND 300",
            "UPDATE named SET name = 'ärger' WHERE name = 'Ärger'",
            "UPDATE named SET at = '2026-01-02', note = 'moved' WHERE name = 'b'",
            "INSERT INTO named VALUES ('z', '2026-01-01', 'b') ON DUPLICATE KEY UPDATE note = 'c'",
            "REPLACE INTO named VALUES ('z', '2026-01-01', 'd')",
            "UPDATE bare SET note = 'once' WHERE n = 1 LIMIT 1",
            "DELETE FROM bare WHERE n IS NULL",
            "INSERT INTO bare VALUES (2, NULL), (1, 'twice')",
            "INSERT INTO `odd ``na\"me` VALUES (x'00', 1.5), (x'0000', -1), (x'', NULL)",
            "UPDATE `odd ``na\"me` SET `ke\"y` = x'FF' WHERE `ke\"y` = x'00'",
        ] {
            scene.server.execute(sql).await;
        }
        assert_equal(&scene.tailwater);
        scene.server.execute("TRUNCATE TABLE numbered").await;
        scene.server.execute("INSERT INTO numbered (id, a) VALUES (1, 'after')").await;
        assert_equal(&scene.tailwater);
        let rows =
            scene.warehouse.text("SELECT string_agg(concat_ws(' ', id, a, b, twice, thrice), ',') FROM erp.numbered");
        assert_eq!(rows.await.as_deref(), Some("1 after 7 14 21"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_found_by_its_key() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let scene = Scene::set(
            kind,
            &[
                "CREATE TABLE t (id int, part binary(2), a varchar(40), d double, PRIMARY KEY (part, id))",
                "INSERT INTO t WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 900) \
                 SELECT n, IF(n % 2, x'0001', x'FF00'), CONCAT('row ', n), n / 3 FROM n",
                "CREATE TABLE named (name varchar(40) PRIMARY KEY, due time(3))",
                "INSERT INTO named VALUES ('a', '10:00:00.5'), ('B', NULL), ('c', '-1:00'), ('ß', '1:00')",
                "CREATE TABLE bare (n int, note varchar(20))",
                "INSERT INTO bare VALUES (1, 'twice'), (1, 'twice'), (2, NULL)",
            ],
        )
        .await;
        scene.ready(&["t", "named", "bare"]).await;
        assert_equal(&scene.tailwater);
        scene
            .warehouse
            .execute(
                "UPDATE erp.t SET d = d + 1e-13 WHERE id = 500; DELETE FROM erp.t WHERE id = 7; \
                 INSERT INTO erp.t VALUES (5000, '\\x0001', 'extra', 1); \
                 UPDATE erp.named SET due = '10:00:00.501' WHERE name = 'a'; DELETE FROM erp.named WHERE name = 'B'; \
                 INSERT INTO erp.named VALUES ('b', NULL); \
                 DELETE FROM erp.bare WHERE ctid = (SELECT min(ctid) FROM erp.bare WHERE n = 1); INSERT INTO erp.bare VALUES (3, 'x')",
            )
            .await;
        let (success, report) = verify(&scene.tailwater, &[]);
        assert!(!success && report["equal"] == false);
        let of = |name: &str| {
            let tables = report["tables"].as_array().expect("a list");
            tables.iter().find(|table| table["table"] == format!("erp.crm.{name}")).expect("it was looked at").clone()
        };
        let found = |name: &str| {
            let mut found: Vec<_> = of(name)["differences"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|difference| format!("{} {} {}", difference["kind"], difference["key"], difference["columns"]))
                .collect();
            found.sort();
            found
        };
        assert_eq!(
            found("t"),
            [
                r#""changed" {"part":"\\xff00","id":"500"} ["d"]"#,
                r#""extra" {"part":"\\x0001","id":"5000"} []"#,
                r#""missing" {"part":"\\x0001","id":"7"} []"#,
            ]
        );
        assert_eq!(
            found("named"),
            [r#""changed" {"name":"a"} ["due"]"#, r#""extra" {"name":"b"} []"#, r#""missing" {"name":"B"} []"#,]
        );
        let bare = of("bare");
        assert_eq!((&bare["missing"], &bare["extra"]), (&1.into(), &1.into()), "{bare}");
        let output = scene.tailwater.cli(&["resync", warehouse::TARGET, "*"]);
        assert!(output.status.success(), "{output:?}");
        scene.ready(&["t", "named", "bare"]).await;
        assert_equal(&scene.tailwater);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn added_columns_are_filled_and_anything_else_halts_until_a_resync() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let scene = Scene::set(
            kind,
            &[
                "CREATE TABLE t (id int PRIMARY KEY, a varchar(20))",
                "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
                "CREATE TABLE other (id int PRIMARY KEY)",
            ],
        )
        .await;
        scene.ready(&["t", "other"]).await;
        scene.server.execute("ALTER TABLE t ADD COLUMN b int NOT NULL DEFAULT 7").await;
        let warehouse = &scene.warehouse;
        eventually("the column is filled", WITHIN, async || {
            let there = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'erp.t'::regclass AND attname = 'b'";
            holds(warehouse.text(there).await.as_deref() == Some("1"), || "no such column".to_owned())
        })
        .await;
        scene.ready(&["t"]).await;
        assert_equal(&scene.tailwater);
        for sql in [
            "ALTER TABLE t RENAME COLUMN a TO c",
            "ALTER TABLE t DROP COLUMN b",
            "ALTER TABLE t MODIFY c varchar(50)",
            "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, c)",
        ] {
            scene.server.execute(sql).await;
            scene.server.execute("UPDATE t SET c = CONCAT(c, 'x') WHERE id = 2").await;
            scene.halts("t", "TW-TGT-011").await;
            scene.server.execute("INSERT INTO other SELECT COALESCE(MAX(id), 0) + 1 FROM other").await;
            let (_, report) = verify(&scene.tailwater, &["--table", "erp.crm.other"]);
            assert_eq!(report["equal"], true, "{report}");
            let output = scene.tailwater.cli(&["resync", warehouse::TARGET]);
            assert!(output.status.success(), "{output:?}");
            scene.ready(&["t", "other"]).await;
            assert_equal(&scene.tailwater);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_target_cannot_hold_halts_its_table_with_the_rows_key_and_the_column() {
    let scene = Scene::set(
        Kind::Mysql,
        &[
            "CREATE TABLE t (id int PRIMARY KEY, due date, note text)",
            "INSERT INTO t VALUES (1, '2026-01-01', 'a')",
            "CREATE TABLE other (id int PRIMARY KEY)",
        ],
    )
    .await;
    scene.ready(&["t", "other"]).await;
    for (sql, column) in
        [("INSERT INTO t VALUES (7, '2026-05-00', 'a')", "due"), ("INSERT INTO t VALUES (7, NULL, '\\0')", "note")]
    {
        scene.server.execute(sql).await;
        let message = scene.halts("t", "TW-TGT-015").await;
        assert!(message.contains(&format!("column \"{column}\" of the row with id=7")), "{message}");
        scene.server.execute("DELETE FROM t WHERE id = 7").await;
        scene.server.execute("INSERT INTO other SELECT COALESCE(MAX(id), 0) + 1 FROM other").await;
        assert!(scene.tailwater.cli(&["resync", warehouse::TARGET]).status.success());
        scene.ready(&["t", "other"]).await;
        assert_equal(&scene.tailwater);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_takes_the_name_of_another_is_copied_anew() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let scene = Scene::set(
            kind,
            &[
                "CREATE TABLE t (id int PRIMARY KEY, a varchar(20))",
                "INSERT INTO t VALUES (1, 'old'), (2, 'old')",
                "CREATE TABLE t_new LIKE t",
                "INSERT INTO t_new VALUES (2, 'new'), (3, 'new')",
                "CREATE TABLE u LIKE t",
                "INSERT INTO u VALUES (1, 'gone')",
            ],
        )
        .await;
        scene.ready(&["t", "t_new", "u"]).await;
        for sql in [
            "RENAME TABLE t TO t_aside, t_new TO t, t_aside TO t_new",
            "INSERT INTO t VALUES (7, 'later')",
            "DROP TABLE u",
            "CREATE TABLE u LIKE t",
            "INSERT INTO u VALUES (2, 'made anew')",
        ] {
            scene.server.execute(sql).await;
        }
        for (table, expected) in [("t", "2,3,7"), ("t_new", "1,2"), ("u", "2")] {
            let sql = format!("SELECT string_agg(id::text, ',' ORDER BY id) FROM erp.{table}");
            eventually("the new table's rows are there", WITHIN, async || {
                let here = scene.warehouse.text(&sql).await;
                holds(here.as_deref() == Some(expected), || format!("{table} has {here:?}"))
            })
            .await;
        }
        scene.ready(&["t", "t_new", "u"]).await;
        assert_equal(&scene.tailwater);
        assert!(scene.tailwater.cli(&["status"]).status.success(), "nothing halted");
    }
}
