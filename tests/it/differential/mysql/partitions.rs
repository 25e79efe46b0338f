//! Random DDL of partitions.

use super::dml::KEYS;
use super::make::{Make, alter, fresh, one, two};

pub const KINDS: &[(&str, Make)] = &[
    ("partition dropped", |rng, t| one(alter(t, &format!("DROP PARTITION {}", t.partition(rng)?)))),
    ("partition truncated", |rng, t| one(alter(t, &format!("TRUNCATE PARTITION {}", t.partition(rng)?)))),
    ("all partitions truncated", |_, t| one(alter(t, "TRUNCATE PARTITION ALL"))),
    ("partition added", |rng, t| {
        let from = 2 * KEYS + rng.below(KEYS);
        one(alter(t, &format!("ADD PARTITION (PARTITION {} VALUES LESS THAN ({from}))", fresh(rng))))
    }),
    ("partition of the rest added", |rng, t| {
        one(alter(t, &format!("ADD PARTITION (PARTITION {} VALUES LESS THAN MAXVALUE)", fresh(rng))))
    }),
    ("partition reorganised", |rng, t| {
        let (first, second) = (t.partitions.first()?, t.partitions.get(1)?);
        let into = format!("PARTITION {} VALUES LESS THAN ({})", fresh(rng), KEYS / 2);
        one(alter(t, &format!("REORGANIZE PARTITION {first}, {second} INTO ({into})")))
    }),
    ("partition rebuilt", |rng, t| one(alter(t, &format!("REBUILD PARTITION {}", t.partition(rng)?)))),
    ("partition optimised", |rng, t| one(alter(t, &format!("OPTIMIZE PARTITION {}", t.partition(rng)?)))),
    ("partition exchanged", |rng, t| {
        let (partner, part) = (fresh(rng), t.partition(rng)?);
        Some(vec![
            format!("CREATE TABLE {partner} LIKE {}", t.name),
            format!("ALTER TABLE {partner} REMOVE PARTITIONING"),
            format!("INSERT INTO {partner} (id) SELECT id FROM {} PARTITION ({part}) WHERE id % 3 > 0", t.name),
            alter(t, &format!("EXCHANGE PARTITION {part} WITH TABLE {partner}")),
        ])
    }),
    // Without rows: they could bring a key that another partition has, too, and nothing notices that.
    ("partition exchanged, unvalidated", |rng, t| {
        let (partner, part) = (fresh(rng), t.partition(rng)?);
        Some(vec![
            format!("CREATE TABLE {partner} LIKE {}", t.name),
            format!("ALTER TABLE {partner} REMOVE PARTITIONING"),
            alter(t, &format!("EXCHANGE PARTITION {part} WITH TABLE {partner} WITHOUT VALIDATION")),
        ])
    }),
    ("partition exchanged with rows of another table", |rng, t| {
        let (partner, part) = (format!("other.{}", fresh(rng)), t.partition(rng)?.to_owned());
        Some(vec![
            format!("CREATE TABLE {partner} LIKE {}", t.name),
            format!("ALTER TABLE {partner} REMOVE PARTITIONING"),
            format!("INSERT INTO {partner} (id) SELECT id FROM {} PARTITION ({part}) WHERE id % 3 > 0", t.name),
            alter(t, &format!("EXCHANGE PARTITION {part} WITH TABLE {partner}")),
            format!("DROP TABLE {partner}"),
        ])
    }),
    ("rows of a partition deleted", |rng, t| one(format!("DELETE FROM {} PARTITION ({})", t.name, t.partition(rng)?))),
    ("partitioning removed", |_, t| one(alter(t, "REMOVE PARTITIONING"))),
    ("partitioned otherwise", |rng, t| {
        one(alter(t, &format!("PARTITION BY HASH (id) PARTITIONS {}", 1 + rng.below(4))))
    }),
    ("partitions coalesced", |_, t| {
        two(alter(t, "PARTITION BY KEY () PARTITIONS 4"), alter(t, "COALESCE PARTITION 2"))
    }),
];

pub const OF_MARIADB: &[(&str, Make)] = &[
    ("partition converted to a table", |rng, t| {
        one(alter(t, &format!("CONVERT PARTITION {} TO TABLE {}", t.partition(rng)?, fresh(rng))))
    }),
    ("table converted to a partition", |rng, t| {
        let (table, part, last) = (fresh(rng), fresh(rng), t.partitions.last()?);
        Some(vec![
            alter(t, &format!("CONVERT PARTITION {last} TO TABLE {table}")),
            format!("INSERT IGNORE INTO {table} (id) VALUES (151), (152)"),
            alter(t, &format!("CONVERT TABLE {table} TO PARTITION {part} VALUES LESS THAN MAXVALUE")),
        ])
    }),
];
