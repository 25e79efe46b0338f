//! Random DDL of tables, each kind by its name. What a statement writes in between is part of it: a table that is somewhere
//! else for a while, a key that is another for a while.

use super::columns::TYPES;
use super::dml;
use super::make::{Make, alter, fresh, one, two};
use super::world::Table;
use crate::harness::mysql::Kind;
use crate::harness::rng::Rng;

pub const KINDS: &[(&str, Make)] = &[
    ("drop key", |_, t| one(alter(t, "DROP PRIMARY KEY"))),
    ("add key", |_, t| one(alter(t, "ADD PRIMARY KEY (id)"))),
    ("another key", |rng, t| {
        let name = &t.of_type(&["int", "bigint", "date", "varchar"])?.name;
        let key = rng.pick(&["ADD PRIMARY KEY (id, ", "ADD PRIMARY KEY ("]);
        one(alter(t, &format!("DROP PRIMARY KEY, {key}{name})")))
    }),
    ("unique key", |rng, t| {
        one(alter(t, &format!("ADD UNIQUE {} ({})", fresh(rng), t.of_type(&["int", "date"])?.name)))
    }),
    ("unique key alone", |rng, t| {
        one(alter(t, &format!("DROP PRIMARY KEY, MODIFY id int NOT NULL, ADD UNIQUE {} (id)", fresh(rng))))
    }),
    ("index", |rng, t| {
        let (index, name) = (fresh(rng), &t.of_type(&["int", "date", "decimal", "datetime"])?.name);
        two(format!("CREATE INDEX {index} ON {} ({name})", t.name), format!("DROP INDEX {index} ON {}", t.name))
    }),
    ("comment", |_, t| one(alter(t, "COMMENT 'C:\\\\, RENAME TO it'"))),
    ("auto_increment", |rng, t| {
        two(alter(t, "MODIFY id int AUTO_INCREMENT"), alter(t, &format!("AUTO_INCREMENT = {}", rng.below(500))))
    }),
    ("optimize and analyze", |_, t| two(format!("OPTIMIZE TABLE {}", t.name), format!("ANALYZE TABLE {}", t.name))),
    ("force", |_, t| one(alter(t, "FORCE"))),
    ("row format", |rng, t| one(alter(t, &format!("ROW_FORMAT = {}", rng.pick(&["COMPACT", "DYNAMIC", "REDUNDANT"]))))),
    ("order by", |_, t| one(alter(t, "ORDER BY id DESC"))),
    ("another engine", |rng, t| one(alter(t, &format!("ENGINE = {}", rng.pick(&["MyISAM", "InnoDB", "InnoDB"]))))),
    ("memory engine", |_, t| one(alter(t, "ENGINE = MEMORY"))),
    ("truncate", |_, t| one(format!("TRUNCATE TABLE {}", t.name))),
    ("rename away and back", |rng, t| {
        let away = fresh(rng);
        Some(away_and_back(rng, t, &away))
    }),
    ("another database and back", |rng, t| Some(away_and_back(rng, t, &format!("other.{}", t.name)))),
    ("rename", |rng, t| one(alter(t, &format!("RENAME TO {}", fresh(rng))))),
    ("rename and alter", |rng, t| one(alter(t, &format!("RENAME AS {}, COMMENT = 'x', ADD INDEX (id)", fresh(rng))))),
    ("swap tables", |_, t| {
        let (a, b) = (&t.name, &t.other);
        one(format!("RENAME TABLE {a} TO swapping, {b} TO {a}, swapping TO {b}"))
    }),
    ("replaced by a copy", |rng, t| {
        let (name, copy) = (&t.name, fresh(rng));
        Some(vec![
            format!("CREATE TABLE {copy} LIKE {name}"),
            format!("INSERT IGNORE INTO {copy} (id) VALUES (1), (2), (3)"),
            format!("RENAME TABLE {name} TO other.{copy}, {copy} TO {name}"),
            format!("DROP TABLE other.{copy}"),
        ])
    }),
    ("made again", |rng, t| {
        let sql = create(rng, t.server, &t.name);
        Some(vec![format!("DROP TABLE {}", t.name), sql, format!("INSERT INTO {} (id) VALUES (1), (2)", t.name)])
    }),
    ("dropped among others", |_, t| one(format!("DROP TABLE IF EXISTS other.none, crm.{}", t.name))),
    ("create table as", |rng, t| one(format!("CREATE TABLE {} SELECT * FROM {}", fresh(rng), t.name))),
    ("create table as, with a key", |rng, t| {
        one(format!("CREATE TABLE {} (PRIMARY KEY (id)) IGNORE SELECT * FROM {}", fresh(rng), t.name))
    }),
    ("create table if not exists as", |_, t| {
        one(format!("CREATE TABLE IF NOT EXISTS {} SELECT * FROM {}", t.name, t.other))
    }),
    ("foreign key", |rng, t| {
        let (mother, column) = (fresh(rng), fresh(rng));
        let does = rng.pick(&["", "ON DELETE CASCADE ON UPDATE CASCADE", "ON DELETE SET NULL ON UPDATE CASCADE"]);
        let name = &t.name;
        Some(vec![
            format!("CREATE TABLE {mother} (id int PRIMARY KEY, n int)"),
            format!("INSERT INTO {mother} VALUES (0, 0), (1, 1), (2, 2), (3, 3)"),
            format!("ALTER TABLE {name} ADD {column} int, ADD FOREIGN KEY ({column}) REFERENCES {mother} (id) {does}"),
            format!("UPDATE IGNORE {name} SET {column} = id % 4"),
            format!("DELETE FROM {mother} WHERE id = 1"),
            format!("UPDATE {mother} SET id = 20 WHERE id = 2"),
        ])
    }),
    ("unlogged: add column", |rng, t| Some(unlogged(alter(t, &format!("ADD {} int DEFAULT 5", fresh(rng)))))),
    ("unlogged: drop column", |rng, t| Some(unlogged(alter(t, &format!("DROP {}", t.value(rng)?.name))))),
    ("unlogged: not null", |_, t| {
        Some(unlogged(alter(t, &format!("MODIFY {} int NOT NULL", t.of_type(&["int"]).filter(|c| c.nullable)?.name))))
    }),
];

pub const OF_MARIADB: &[(&str, Make)] = &[
    ("alter ignore", |rng, t| {
        let name = &t.of_type(&["int", "date"])?.name;
        one(format!("ALTER IGNORE TABLE {} ADD UNIQUE {} ({name})", t.name, fresh(rng)))
    }),
    ("create or replace", |rng, t| {
        one(create(rng, t.server, &t.name).replacen("CREATE TABLE", "CREATE OR REPLACE TABLE", 1))
    }),
    ("create or replace as", |_, t| {
        one(format!("CREATE OR REPLACE TABLE {} (PRIMARY KEY (id)) IGNORE SELECT * FROM {}", t.name, t.other))
    }),
    ("system versioning", |_, t| one(alter(t, "ADD SYSTEM VERSIONING"))),
    ("system versioning for a while", |rng, t| {
        let alter = |what: &str| alter(t, what);
        Some(vec![alter("ADD SYSTEM VERSIONING"), dml::insert(rng, t), alter("DROP SYSTEM VERSIONING")])
    }),
    ("delete returning", |_, t| one(format!("DELETE FROM {} WHERE id % 4 = 0 RETURNING id", t.name))),
    ("drop column if exists", |rng, t| one(alter(t, &format!("DROP COLUMN IF EXISTS {}", t.value(rng)?.name)))),
    ("online with a lock", |rng, t| one(alter(t, &format!("WAIT 5 ADD IF NOT EXISTS {} int DEFAULT 6", fresh(rng))))),
    ("aria", |_, t| one(alter(t, "ENGINE = Aria"))),
    ("default with an expression", |rng, t| one(alter(t, &format!("ADD {} int DEFAULT (id + 3)", fresh(rng))))),
    ("wrapped dml", |rng, t| one(format!("SET STATEMENT sql_mode = '' FOR {}", dml::statement(rng, t)))),
    ("column without versions", |rng, t| one(alter(t, &format!("ADD {} int WITHOUT SYSTEM VERSIONING", fresh(rng))))),
];

/// A random table, with a primary key more often than not.
pub fn create(rng: &mut Rng, server: Kind, name: &str) -> String {
    let engine = match rng.below(16) {
        0 => "MyISAM",
        1 => "MEMORY",
        2 if server != Kind::Mysql => "Aria",
        _ => "InnoDB",
    };
    // A MEMORY table has no long texts.
    let types: Vec<_> = TYPES.iter().copied().filter(|kind| engine != "MEMORY" || *kind != "text").collect();
    let mut columns: Vec<_> = (0..1 + rng.below(5)).map(|n| format!("c{n} {}", rng.pick(&types))).collect();
    columns.insert(0, format!("id int{}", if rng.one_in(6) { "" } else { " PRIMARY KEY" }));
    if rng.one_in(4) && engine != "MEMORY" {
        columns.push(format!("g int AS (id * 2) {}", rng.pick(&["STORED", "VIRTUAL"])));
    }
    let versions = if server != Kind::Mysql && rng.one_in(20) { " WITH SYSTEM VERSIONING" } else { "" };
    let parts = if engine == "InnoDB" && !rng.one_in(3) {
        " PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (50), PARTITION p1 VALUES LESS THAN (100), \
         PARTITION p2 VALUES LESS THAN (150), PARTITION p3 VALUES LESS THAN MAXVALUE)"
    } else {
        ""
    };
    format!("CREATE TABLE {name} ({}) ENGINE = {engine}{versions}{parts}", columns.join(", "))
}

fn away_and_back(rng: &mut Rng, t: &Table, there: &str) -> Vec<String> {
    let name = &t.name;
    let written = dml::insert(rng, t).replacen(&format!("INTO {name} "), &format!("INTO {there} "), 1);
    vec![format!("RENAME TABLE {name} TO {there}"), written, format!("ALTER TABLE {there} RENAME TO crm.{name}")]
}

/// When a table was made or altered is known to the second.
fn unlogged(sql: String) -> Vec<String> {
    let set = |to: u8| format!("SET sql_log_bin = {to}");
    let wait = || "DO SLEEP(1.1)".to_owned();
    vec![wait(), set(0), sql, set(1), wait()]
}
