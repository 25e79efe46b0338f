//! What changes rows, or seems to, in other ways than a statement on the table itself, each kind by its name.

use super::dml::{self, KEYS};
use super::make::{Make, alter, fresh, one};

pub const KINDS: &[(&str, Make)] = &[
    ("trigger", |rng, t| {
        let (name, value) = (&t.name, &t.of_type(&["int", "bigint"])?.name);
        Some(vec![
            format!("CREATE TRIGGER {} BEFORE INSERT ON {name} FOR EACH ROW SET NEW.{value} = NEW.id % 7", fresh(rng)),
            dml::insert(rng, t),
        ])
    }),
    ("trigger that writes another table", |rng, t| {
        let body = format!("INSERT IGNORE INTO {} (id) VALUES (NEW.n + 1)", t.name);
        let trigger = fresh(rng);
        Some(vec![
            format!("CREATE TRIGGER other.{trigger} AFTER INSERT ON other.log FOR EACH ROW {body}")
                .replace("INTO ", "INTO crm."),
            format!("INSERT INTO other.log VALUES ({})", rng.below(KEYS)),
            format!("DROP TRIGGER other.{trigger}"),
        ])
    }),
    ("view", |rng, t| {
        let view = format!("other.{}", fresh(rng));
        let written = dml::insert(rng, t).replacen(&format!("INTO {} ", t.name), &format!("INTO {view} "), 1);
        Some(vec![
            format!("CREATE VIEW {view} AS SELECT * FROM crm.{}", t.name),
            written,
            format!("DELETE FROM {view} WHERE id % 5 = 0"),
            format!("DROP VIEW {view}"),
        ])
    }),
    ("procedure", |rng, t| {
        let procedure = format!("other.{}", fresh(rng));
        Some(vec![
            format!("CREATE PROCEDURE {procedure}() DELETE FROM crm.{} WHERE id % 3 = 0", t.name),
            format!("CALL {procedure}()"),
            format!("DROP PROCEDURE {procedure}"),
        ])
    }),
    ("statement format elsewhere", |rng, _| {
        Some(vec![
            "SET binlog_format = 'STATEMENT'".into(),
            format!("INSERT INTO other.log VALUES ({})", rng.below(KEYS)),
            "SET binlog_format = 'ROW'".into(),
        ])
    }),
    ("statement format", |rng, t| {
        let (format, written) = (rng.pick(&["STATEMENT", "MIXED"]), dml::statement(rng, t));
        Some(vec![format!("SET binlog_format = '{format}'"), written, "SET binlog_format = 'ROW'".into()])
    }),
    ("temporary table of the same name", |rng, t| {
        let name = &t.name;
        Some(vec![
            format!("CREATE TEMPORARY TABLE {name} (id int PRIMARY KEY, n int)"),
            format!("INSERT INTO {name} VALUES (1, 1), ({}, 2)", 2 + rng.below(KEYS)),
            rng.pick(&["TRUNCATE TABLE", "OPTIMIZE TABLE", "DROP TABLE"]).to_owned() + " " + name,
            format!("DROP TEMPORARY TABLE IF EXISTS {name}"),
        ])
    }),
    ("temporary table altered", |_, t| {
        let name = &t.name;
        Some(vec![
            format!("CREATE TEMPORARY TABLE {name} AS SELECT * FROM {name}"),
            format!("ALTER TABLE {name} ADD more int"),
            format!("DELETE FROM {name}"),
            format!("DROP TEMPORARY TABLE {name}"),
        ])
    }),
    ("savepoint", |rng, t| {
        Some(vec![
            "BEGIN".into(),
            dml::insert(rng, t),
            "SAVEPOINT s".into(),
            dml::insert(rng, t),
            "ROLLBACK TO SAVEPOINT s".into(),
            dml::insert(rng, t),
            "COMMIT".into(),
        ])
    }),
    ("savepoint with a table without transactions", |rng, t| {
        Some(vec![
            "CREATE TABLE IF NOT EXISTS other.quick (n int) ENGINE = MyISAM".into(),
            "BEGIN".into(),
            dml::insert(rng, t),
            "SAVEPOINT s".into(),
            "INSERT INTO other.quick VALUES (1)".into(),
            dml::insert(rng, t),
            "ROLLBACK TO s".into(),
            dml::insert(rng, t),
            rng.pick(&["COMMIT", "ROLLBACK"]).to_owned(),
        ])
    }),
    ("temporary table in a transaction", |rng, t| {
        Some(vec![
            "BEGIN".into(),
            dml::insert(rng, t),
            "CREATE TEMPORARY TABLE beside (n int)".into(),
            dml::insert(rng, t),
            rng.pick(&["COMMIT", "ROLLBACK"]).to_owned(),
            "DROP TEMPORARY TABLE IF EXISTS beside".into(),
        ])
    }),
    ("DDL in a transaction", |rng, t| {
        Some(vec!["BEGIN".into(), dml::insert(rng, t), alter(t, "COMMENT 'y'"), dml::insert(rng, t), "ROLLBACK".into()])
    }),
    ("lock tables", |rng, t| {
        Some(vec![
            format!("LOCK TABLES {} WRITE", t.name),
            dml::insert(rng, t),
            alter(t, &format!("ADD {} int DEFAULT 3", fresh(rng))),
            "UNLOCK TABLES".into(),
        ])
    }),
    ("two-phase", |rng, t| {
        let id = fresh(rng);
        let end = rng.pick(&["XA COMMIT", "XA COMMIT", "XA ROLLBACK"]);
        Some(vec![
            format!("XA START '{id}'"),
            dml::insert(rng, t),
            dml::insert(rng, t),
            format!("XA END '{id}'"),
            format!("XA PREPARE '{id}'"),
            format!("{end} '{id}'"),
        ])
    }),
    ("two-phase elsewhere", |rng, _| {
        let id = fresh(rng);
        Some(vec![
            format!("XA START '{id}'"),
            format!("INSERT INTO other.log VALUES ({})", rng.below(KEYS)),
            format!("XA END '{id}'"),
            format!("XA COMMIT '{id}' ONE PHASE"),
        ])
    }),
    ("flush logs", |_, _| one("FLUSH BINARY LOGS".into())),
    ("insert of a select", |_, t| one(format!("INSERT IGNORE INTO {} (id) SELECT id + 7 FROM {}", t.name, t.other))),
    ("update of two tables", |_, t| {
        let value = &t.of_type(&["int", "bigint"])?.name;
        one(format!("UPDATE IGNORE {} a JOIN {} b USING (id) SET a.{value} = 1, b.id = b.id + 50", t.name, t.other))
    }),
];
