//! Tables with known rows, and a picture of all rows of all tables.

use super::wire::Client;
use std::collections::BTreeMap;

/// What is common to both dialects.
const COMMON: &[&str] = &[
    "CREATE TABLE crm.t (id INT PRIMARY KEY, a INT, b VARCHAR(20), c DATETIME, e ENUM('x','y'), \
     v INT AS (a + 1) VIRTUAL, s DOUBLE AS (a / 7) STORED, KEY ib (b)) ENGINE=InnoDB CHARSET=latin1",
    "INSERT INTO crm.t (id, a, b, c, e) VALUES (1, 1, 'é', '2020-01-01', 'x'), (2, NULL, '', '0000-00-00', ''), \
     (3, 3, NULL, NULL, NULL), (4, 3, 'x ', '2020-02-29 01:02:03', 'y')",
    "CREATE TABLE crm.u (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
    "INSERT INTO crm.u VALUES (1, 5), (2, 5), (3, NULL)",
    "CREATE TABLE crm.p (id INT PRIMARY KEY, a INT) ENGINE=InnoDB PARTITION BY RANGE (id) \
     (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20), PARTITION p2 VALUES LESS THAN (30))",
    "INSERT INTO crm.p VALUES (1, 1), (2, 2), (11, 11), (12, NULL), (21, 21)",
    "CREATE TABLE crm.h (id INT PRIMARY KEY, a INT, s DOUBLE AS (a / 7) STORED) ENGINE=InnoDB \
     PARTITION BY HASH (id) PARTITIONS 3",
    "INSERT INTO crm.h (id, a) VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, NULL)",
    "CREATE TABLE crm.parent (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
    "INSERT INTO crm.parent VALUES (1, 1), (2, 2), (3, 3)",
    "CREATE TABLE crm.child (id INT PRIMARY KEY, a INT, \
     CONSTRAINT fk FOREIGN KEY (a) REFERENCES crm.parent (id) ON DELETE CASCADE ON UPDATE CASCADE) ENGINE=InnoDB",
    "INSERT INTO crm.child VALUES (1, 1), (2, 2), (3, NULL)",
    "CREATE TABLE crm.m (id INT PRIMARY KEY, a INT, b CHAR(10), s DOUBLE AS (a / 7) STORED) ENGINE=MyISAM",
    "INSERT INTO crm.m (id, a, b) VALUES (1, 1, 'é'), (2, 2, ''), (3, NULL, 'x')",
    "CREATE TABLE crm.k (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b TIMESTAMP NULL, CONSTRAINT ck CHECK (a > 0), \
     UNIQUE KEY ua (a)) ENGINE=InnoDB",
    "INSERT INTO crm.k VALUES (1, 1, '2020-01-01'), (2, 2, '0000-00-00'), (3, NULL, NULL)",
    "CREATE TABLE crm.`t_ö` (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
    "INSERT INTO crm.`t_ö` VALUES (1, 1)",
    "CREATE TABLE crm.`表チ` (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
    "INSERT INTO crm.`表チ` VALUES (1, 1)",
    "CREATE TABLE crm.`誠乣` (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
    "INSERT INTO crm.`誠乣` VALUES (1, 1)",
    "CREATE TABLE crm.`a``b\\` (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
    "INSERT INTO crm.`a``b\\` VALUES (1, 1)",
    "CREATE VIEW crm.w AS SELECT id, a FROM crm.u",
    "CREATE TABLE other.t (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
    "INSERT INTO other.t VALUES (1, 1)",
    "CREATE TABLE other.u (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
    "INSERT INTO other.u VALUES (1, 1), (2, 2)",
];

const MARIADB: &[&str] = &[
    "SET timestamp = 1000000000",
    "CREATE TABLE crm.sv (id INT PRIMARY KEY, a INT) ENGINE=InnoDB WITH SYSTEM VERSIONING",
    "INSERT INTO crm.sv VALUES (1, 1), (2, 2)",
    "SET timestamp = 1000000100",
    "UPDATE crm.sv SET a = 9 WHERE id = 1",
    "DELETE FROM crm.sv WHERE id = 2",
    "SET timestamp = DEFAULT",
    "CREATE SEQUENCE crm.sq",
];

#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Picture {
    /// By column; rows are in the key's order.
    pub columns: BTreeMap<String, Vec<Option<Vec<u8>>>>,
    pub generated: Vec<String>,
}

pub type Pictures = BTreeMap<String, Picture>;

/// Not logged, as the session that makes them does not log.
pub fn make(client: &mut Client, mariadb: bool) {
    for table in client
        .must("SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ('crm', 'other', 'fresh')")
    {
        let name = String::from_utf8(table[0].clone().expect("the server answers so")).expect("the server answers so");
        client.must(&format!("DROP DATABASE `{name}`"));
    }
    client.must("CREATE DATABASE crm CHARACTER SET utf8mb4");
    client.must("CREATE DATABASE other CHARACTER SET utf8mb4");
    for sql in COMMON.iter().chain(if mariadb { MARIADB } else { &[] }) {
        client.must(sql);
    }
}

pub fn picture(client: &mut Client) -> Pictures {
    let tables = client.must(
        "SELECT c.table_schema, c.table_name, c.column_name, c.extra, t.table_type FROM information_schema.columns c \
         JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
         WHERE c.table_schema IN ('crm', 'other', 'fresh') AND t.table_type <> 'VIEW' ORDER BY 1, 2, c.ordinal_position",
    );
    let text = |value: &Option<Vec<u8>>| String::from_utf8(value.clone().unwrap_or_default()).expect("UTF-8");
    let mut columns: BTreeMap<(String, String, String), Vec<(String, String)>> = BTreeMap::new();
    for row in &tables {
        let key = (text(&row[0]), text(&row[1]), text(&row[4]));
        columns.entry(key).or_default().push((text(&row[2]), text(&row[3])));
    }
    let mut pictures = Pictures::new();
    for ((schema, table, kind), columns) in columns {
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let mut names: Vec<_> = columns.iter().map(|(name, _)| quoted(name)).collect();
        let mut versions = "";
        if kind == "SYSTEM VERSIONED" {
            names.extend(["ROW_START".to_owned(), "ROW_END".to_owned()]);
            versions = " FOR SYSTEM_TIME ALL";
        }
        let list = names.join(", ");
        let sql = format!("SELECT {list} FROM {}.{}{versions}", quoted(&schema), quoted(&table));
        let mut rows = match client.query(sql.as_bytes()) {
            Ok(rows) => rows,
            // Discarded, corrupted.
            Err(error) => vec![vec![Some(error.into_bytes()); names.len()]],
        };
        rows.sort();
        let cells = |index: usize| rows.iter().map(|row| row[index].clone()).collect();
        pictures.insert(
            format!("{schema}.{table}"),
            Picture {
                columns: names.iter().enumerate().map(|(index, name)| (name.clone(), cells(index))).collect(),
                generated: columns
                    .iter()
                    .filter(|(_, extra)| extra.contains("STORED"))
                    .map(|(name, _)| quoted(name))
                    .collect(),
            },
        );
    }
    pictures
}
