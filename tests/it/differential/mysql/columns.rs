//! Random DDL of columns, each kind by its name.

use super::make::{Make, alter, fresh, one, two};
use super::world::{Column, Table};
use crate::harness::rng::Rng;

/// Their text is the same on both servers.
pub const TYPES: &[&str] = &[
    "int",
    "bigint",
    "smallint",
    "int unsigned",
    "varchar(20)",
    "varchar(30) CHARACTER SET latin1",
    "char(5)",
    "text",
    "decimal(12,2)",
    "date",
    "datetime",
    "varbinary(10)",
    "enum('sad','glad','mad')",
    "set('a','b','c')",
];

pub const KINDS: &[(&str, Make)] = &[
    ("add column", |rng, t| one(alter(t, &format!("ADD {} {} {}", fresh(rng), rng.pick(TYPES), place(rng, t))))),
    ("add column with default", |rng, t| one(alter(t, &format!("ADD {} int DEFAULT {}", fresh(rng), rng.below(9))))),
    ("add column not null", |rng, t| one(alter(t, &format!("ADD {} varchar(9) NOT NULL DEFAULT 'x'", fresh(rng))))),
    ("add column instantly", |rng, t| {
        one(alter(t, &format!("ADD COLUMN {} int DEFAULT {}, ALGORITHM = INSTANT", fresh(rng), rng.below(9))))
    }),
    ("add columns", |rng, t| {
        one(alter(t, &format!("ADD ({} int, {} {} NULL)", fresh(rng), fresh(rng), rng.pick(TYPES))))
    }),
    ("add invisible column", |rng, t| one(alter(t, &format!("ADD {} int INVISIBLE DEFAULT 4", fresh(rng))))),
    ("drop column", |rng, t| one(alter(t, &format!("DROP {}", t.value(rng)?.name)))),
    ("drop column, add it again", |rng, t| {
        let name = &t.value(rng)?.name;
        one(alter(t, &format!("DROP COLUMN {name}, ADD COLUMN {name} int DEFAULT 7")))
    }),
    ("drop column, then add it again", |rng, t| {
        let Column { name, kind, .. } = t.value(rng)?;
        two(alter(t, &format!("DROP COLUMN {name}")), alter(t, &format!("ADD COLUMN {name} {kind}")))
    }),
    ("rename column", |rng, t| one(alter(t, &format!("RENAME COLUMN {} TO {}", t.value(rng)?.name, fresh(rng))))),
    ("swap columns", |rng, t| {
        let (a, b) = (&t.value(rng)?.name, &t.value(rng)?.name);
        (a != b).then(|| vec![alter(t, &format!("RENAME COLUMN {a} TO {b}, RENAME COLUMN {b} TO {a}"))])
    }),
    ("change column", |rng, t| {
        one(alter(t, &format!("CHANGE {} {} {} {}", t.value(rng)?.name, fresh(rng), rng.pick(TYPES), place(rng, t))))
    }),
    ("modify column", |rng, t| one(alter(t, &format!("MODIFY {} {}", t.value(rng)?.name, rng.pick(TYPES))))),
    ("move column", |rng, t| {
        let Column { name, kind, .. } = t.value(rng)?;
        one(alter(t, &format!("MODIFY COLUMN {name} {kind} {}", place(rng, t))))
    }),
    ("another character set", |rng, t| {
        let name = &t.of_type(&["varchar", "text", "char"])?.name;
        let set = rng.pick(&["latin1", "utf8mb4", "ascii", "cp1251"]);
        two("SET sql_mode = ''".into(), alter(t, &format!("MODIFY {name} varchar(100) CHARACTER SET {set}")))
    }),
    ("convert to character set", |rng, t| {
        let set = rng.pick(&["latin1", "utf8mb4", "cp1251", "utf8mb4 COLLATE utf8mb4_bin"]);
        two("SET sql_mode = ''".into(), alter(t, &format!("CONVERT TO CHARACTER SET {set}")))
    }),
    ("default character set", |rng, t| {
        one(alter(t, &format!("DEFAULT CHARACTER SET {}", rng.pick(&["latin1", "utf8mb4"]))))
    }),
    ("not null", |rng, t| {
        let Column { name, kind, .. } = t.value(rng)?;
        two("SET sql_mode = ''".into(), alter(t, &format!("MODIFY {name} {kind} NOT NULL")))
    }),
    ("null again", |rng, t| {
        let Column { name, kind, .. } = t.value(rng)?;
        one(alter(t, &format!("MODIFY {name} {kind} NULL")))
    }),
    ("widen", |_, t| one(alter(t, &format!("MODIFY {} varchar(100)", t.of_type(&["varchar", "char"])?.name)))),
    ("set default", |rng, t| {
        one(alter(t, &format!("ALTER COLUMN {} SET DEFAULT {}", t.of_type(&["int", "bigint"])?.name, rng.below(9))))
    }),
    ("drop default", |rng, t| one(alter(t, &format!("ALTER {} DROP DEFAULT", t.value(rng)?.name)))),
    ("comment on a column", |rng, t| {
        let Column { name, kind, .. } = t.value(rng)?;
        one(alter(t, &format!("MODIFY {name} {kind} COMMENT 'it''s a comment, DROP x'")))
    }),
    ("add stored column", |rng, t| {
        one(alter(t, &format!("ADD {} int GENERATED ALWAYS AS (id * {}) STORED", fresh(rng), 2 + rng.below(9))))
    }),
    ("add virtual column", |rng, t| {
        one(alter(t, &format!("ADD {} int AS (id + {}) VIRTUAL", fresh(rng), 2 + rng.below(9))))
    }),
    ("another expression", |rng, t| {
        let name = &t.columns.iter().find(|column| column.generated)?.name;
        let how = rng.pick(&["STORED", "VIRTUAL"]);
        one(alter(t, &format!("MODIFY {name} int GENERATED ALWAYS AS (id - {}) {how}", rng.below(99))))
    }),
    ("generated no longer", |_, t| {
        let name = &t.columns.iter().find(|column| column.generated)?.name;
        one(alter(t, &format!("MODIFY {name} int")))
    }),
    ("drop generated column", |_, t| {
        one(alter(t, &format!("DROP {}", t.columns.iter().find(|column| column.generated)?.name)))
    }),
    ("labels in another order", |_, t| {
        one(alter(t, &format!("MODIFY {} enum('mad','glad','sad')", t.of_type(&["enum"])?.name)))
    }),
    ("labels renamed", |_, t| {
        let name = &t.of_type(&["enum"])?.name;
        two("SET sql_mode = ''".into(), alter(t, &format!("MODIFY {name} enum('one','glad','sad')")))
    }),
    ("labels appended", |_, t| {
        let Column { name, kind, .. } = t.of_type(&["enum", "set"])?;
        let kind = kind.replace(')', ",'more')");
        one(alter(t, &format!("MODIFY {name} {kind}")))
    }),
    ("another set", |_, t| {
        let name = &t.of_type(&["set"])?.name;
        two("SET sql_mode = ''".into(), alter(t, &format!("MODIFY {name} set('c','b')")))
    }),
    ("check constraint", |_, t| one(alter(t, "ADD CHECK (id > -5)"))),
    ("functional index", |rng, t| one(alter(t, &format!("ADD INDEX {} ((id + 1))", fresh(rng))))),
];

fn place(rng: &mut Rng, t: &Table) -> String {
    match rng.below(3) {
        0 => "FIRST".to_owned(),
        1 => format!("AFTER {}", t.columns[rng.below(t.columns.len())].name),
        _ => String::new(),
    }
}
