//! Random rows and changes of them.

use super::world::{Column, Table};
use crate::harness::rng::Rng;

/// Keys come from here, and a partition is a quarter of it.
pub const KEYS: usize = 200;

pub fn statement(rng: &mut Rng, table: &Table) -> String {
    let name = &table.name;
    match rng.below(12) {
        0..5 => insert(rng, table),
        5..8 => match table.value(rng) {
            Some(column) => {
                format!("UPDATE IGNORE {name} SET {} = {} {}", column.name, value(rng, column), some(rng, table))
            }
            None => insert(rng, table),
        },
        8 if table.has_id() => {
            format!("UPDATE IGNORE {name} SET id = id + {} {}", rng.below(KEYS), some(rng, table))
        }
        9 if rng.one_in(4) => format!("TRUNCATE TABLE {name}"),
        10 if table.has_id() => {
            format!("DELETE a FROM {name} a JOIN {name} b ON a.id = b.id + {}", 1 + rng.below(9))
        }
        _ => format!("DELETE FROM {name} {}", some(rng, table)),
    }
}

pub fn insert(rng: &mut Rng, table: &Table) -> String {
    let written: Vec<_> = table.columns.iter().filter(|column| !column.generated).collect();
    let names: Vec<_> = written.iter().map(|column| &*column.name).collect();
    let mut rows = Vec::new();
    for _ in 0..1 + rng.below(5) {
        let values: Vec<_> = written.iter().map(|column| value(rng, column)).collect();
        rows.push(format!("({})", values.join(", ")));
    }
    let (name, names, rows) = (&table.name, names.join(", "), rows.join(", "));
    match rng.below(4) {
        0 => format!("REPLACE INTO {name} ({names}) VALUES {rows}"),
        1 if table.has_id() => {
            format!("INSERT INTO {name} ({names}) VALUES {rows} ON DUPLICATE KEY UPDATE id = id + {}", rng.below(3))
        }
        _ => format!("INSERT IGNORE INTO {name} ({names}) VALUES {rows}"),
    }
}

fn some(rng: &mut Rng, table: &Table) -> String {
    match table.has_id() {
        true if rng.one_in(2) => format!("WHERE id = {}", rng.below(KEYS)),
        true if rng.one_in(3) => format!("ORDER BY id LIMIT {}", rng.below(6)),
        true => format!("WHERE id % {} = 0", 2 + rng.below(9)),
        false => "LIMIT 3".to_owned(),
    }
}

fn value(rng: &mut Rng, column: &Column) -> String {
    let n = rng.below(KEYS);
    if column.name == "id" {
        return n.to_string();
    }
    if rng.one_in(8) {
        return if column.nullable { "NULL" } else { "DEFAULT" }.to_owned();
    }
    match &*column.data_type {
        "date" => format!("DATE '2026-01-01' + INTERVAL {n} DAY"),
        "datetime" => format!("TIMESTAMP '2026-11-29 01:02:03' + INTERVAL {n} HOUR"),
        "decimal" => format!("{n}.25"),
        "enum" => (1 + n % 3).to_string(),
        "set" => (n % 4).to_string(),
        "varbinary" => format!("x'{n:02X}00FF'"),
        "char" => format!("'c{n} '"),
        "varchar" => rng.pick(&["'v", "'é ", "'Ж "]).to_owned() + &format!("{n}'"),
        "text" => format!("REPEAT('text {n} ', {})", if rng.one_in(10) { 400 } else { 1 }),
        _ => n.to_string(),
    }
}
