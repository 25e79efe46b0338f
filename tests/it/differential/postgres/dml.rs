//! Random rows and changes of them.

use super::world::{Column, Table};
use crate::harness::rng::Rng;

/// Keys come from here, and a partition is a tenth of it.
pub const KEYS: usize = 200;

const SETTINGS: &[&str] = &[
    "",
    "",
    "SET synchronous_commit = off",
    "SET datestyle = 'SQL, DMY'",
    "SET timezone = 'Asia/Kathmandu'",
    "SET bytea_output = 'escape'",
    "SET intervalstyle = 'sql_standard'",
    "SET extra_float_digits = -5",
    "SET standard_conforming_strings = off",
    "SET default_transaction_isolation = 'serializable'",
    "SET search_path = pg_catalog, public",
];

/// Of one session.
pub fn settings(rng: &mut Rng) -> &'static str {
    rng.pick(SETTINGS)
}

pub fn statement(rng: &mut Rng, table: &Table) -> String {
    let name = &table.name;
    match rng.below(10) {
        0..4 => insert(rng, table),
        4..7 => match table.value(rng) {
            Some(column) => {
                format!("UPDATE public.{name} SET {} = {} {}", column.name, value(rng, column), some(rng, table))
            }
            None => insert(rng, table),
        },
        7 if table.columns.iter().any(|column| column.name == "id") => {
            format!("UPDATE public.{name} SET id = id + {} {}", rng.below(KEYS), some(rng, table))
        }
        8 if rng.one_in(4) => format!("TRUNCATE public.{name}"),
        _ => format!("DELETE FROM public.{name} {}", some(rng, table)),
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
    let (names, rows) = (names.join(", "), rows.join(", "));
    format!("INSERT INTO public.{} ({names}) OVERRIDING SYSTEM VALUE VALUES {rows} ON CONFLICT DO NOTHING", table.name)
}

fn some(rng: &mut Rng, table: &Table) -> String {
    match table.columns.iter().find(|column| column.name == "id") {
        Some(_) if rng.one_in(2) => format!("WHERE id = {}", rng.below(KEYS)),
        Some(_) => format!("WHERE id % {} = 0", 2 + rng.below(9)),
        None => String::new(),
    }
}

fn value(rng: &mut Rng, column: &Column) -> String {
    let n = rng.below(KEYS);
    if column.name == "id" {
        return n.to_string();
    }
    if rng.one_in(8) {
        return "NULL".to_owned();
    }
    match &*column.kind {
        "integer" | "bigint" | "smallint" => n.to_string(),
        "boolean" => n.is_multiple_of(2).to_string(),
        "bytea" => format!("decode('{n:02x}00ff', 'hex')"),
        "double precision" => format!("{n} / 7.0"),
        "jsonb" => format!("'{{\"n\": {n}}}'"),
        "date" => format!("date '2026-01-01' + {n}"),
        kind if kind.starts_with("timestamp") => format!("timestamp '2026-11-29 01:02:03.456' + interval '{n} hours'"),
        kind if kind.starts_with("numeric") => format!("{n}.25"),
        "integer[]" => format!("ARRAY[{n}, NULL, 3]"),
        "mood" => format!(
            "(SELECT enumlabel FROM pg_enum WHERE enumtypid = 'public.mood'::regtype ORDER BY oid LIMIT 1 OFFSET {})::text::public.mood",
            n % 2
        ),
        "pair" => format!("('({n},x)'::text)::public.pair"),
        kind if kind.starts_with("character varying") => format!("'v{n}'"),
        _ => format!("repeat('text {n} ', {})", if rng.one_in(10) { 400 } else { 1 }),
    }
}
