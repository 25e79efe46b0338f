//! Random DDL of partitions.

use super::ddl::{Make, fresh};
use super::dml::{self, KEYS};
use super::world::Table;
use crate::harness::rng::Rng;

pub const KINDS: &[(&str, Make)] = &[
    ("partition made", |rng, t| {
        let bounds = bounds(3 + rng.below(7));
        Some(vec![format!("CREATE TABLE public.{} PARTITION OF public.{} {bounds}", fresh(rng), t.name)])
    }),
    ("partition made unlogged", |rng, t| {
        let (part, bounds) = (fresh(rng), bounds(3 + rng.below(7)));
        Some(vec![
            format!("CREATE UNLOGGED TABLE public.{part} PARTITION OF public.{} {bounds}", t.name),
            dml::insert(rng, t),
            format!("ALTER TABLE public.{part} SET LOGGED"),
        ])
    }),
    ("partition attached", |rng, t| Some(attached(rng, t).1)),
    ("partition attached for a while", |rng, t| {
        let (part, mut statements) = attached(rng, t);
        statements.push(dml::statement(rng, t));
        statements.push(format!("ALTER TABLE public.{} DETACH PARTITION public.{part}", t.name));
        statements.push(format!("DROP TABLE public.{part}"));
        Some(statements)
    }),
    ("partition detached", |rng, t| {
        Some(vec![format!("ALTER TABLE public.{} DETACH PARTITION {}", t.name, t.partition(rng)?)])
    }),
    ("partition detached for a while", |rng, t| {
        let (name, number) = (&t.name, rng.below(3));
        Some(vec![
            format!("ALTER TABLE public.{name} DETACH PARTITION public.{name}_{number}"),
            format!(
                "UPDATE public.{name}_{number} SET id = id WHERE false; DELETE FROM public.{name}_{number} WHERE id % 2 = 0"
            ),
            format!("ALTER TABLE public.{name} ATTACH PARTITION public.{name}_{number} {}", bounds(number)),
        ])
    }),
    ("partition detached concurrently", |rng, t| {
        Some(vec![format!("ALTER TABLE public.{} DETACH PARTITION {} CONCURRENTLY", t.name, t.partition(rng)?)])
    }),
    ("partition dropped", |rng, t| Some(vec![format!("DROP TABLE {}", t.partition(rng)?)])),
    ("partition truncated", |rng, t| Some(vec![format!("TRUNCATE {}", t.partition(rng)?)])),
    ("partition rewritten", |rng, t| Some(vec![format!("VACUUM FULL {}", t.partition(rng)?)])),
    ("partition unlogged for a while", |rng, t| {
        let part = t.partition(rng)?;
        let set = |to: &str| format!("ALTER TABLE {part} SET {to}");
        Some(vec![set("UNLOGGED"), dml::statement(rng, t), set("LOGGED")])
    }),
    ("partition left unlogged", |rng, t| {
        rng.one_in(3).then_some(())?;
        Some(vec![format!("ALTER TABLE {} SET UNLOGGED", t.partition(rng)?)])
    }),
    ("partition of another identity for a while", |rng, t| {
        let part = t.partition(rng)?;
        let set = |to: &str| format!("ALTER TABLE {part} REPLICA IDENTITY {to}");
        Some(vec![set(rng.pick(&["FULL", "NOTHING"])), dml::statement(rng, t), set("DEFAULT")])
    }),
    ("partition truncated by itself and written", |rng, t| {
        let part = t.partition(rng)?.to_owned();
        Some(vec![format!("TRUNCATE {part}"), dml::insert(rng, t)])
    }),
    ("default partition", |rng, t| {
        Some(vec![format!("CREATE TABLE public.{} PARTITION OF public.{} DEFAULT", fresh(rng), t.name)])
    }),
    ("partition with partitions", |rng, t| {
        let (name, part, number) = (&t.name, fresh(rng), 3 + rng.below(7));
        Some(vec![
            format!("CREATE TABLE public.{part} PARTITION OF public.{name} {} PARTITION BY RANGE (id)", bounds(number)),
            format!("CREATE TABLE public.{part}_0 PARTITION OF public.{part} {}", bounds(number)),
        ])
    }),
];

/// A table with a row of its own, attached; its name, and the statements.
fn attached(rng: &mut Rng, t: &Table) -> (String, Vec<String>) {
    let (name, part, number) = (&t.name, fresh(rng), 3 + rng.below(7));
    let id = number * KEYS / 10 + rng.below(KEYS / 10);
    let statements = vec![
        format!("CREATE TABLE public.{part} (LIKE public.{name} INCLUDING ALL)"),
        format!("INSERT INTO public.{part} (id) VALUES ({id})"),
        format!("ALTER TABLE public.{name} ATTACH PARTITION public.{part} {}", bounds(number)),
    ];
    (part, statements)
}

/// Of the partition with this number; from 10 on there are keys that only a default partition takes.
pub fn bounds(number: usize) -> String {
    let each = KEYS / 10;
    format!("FOR VALUES FROM ({}) TO ({})", number * each, (number + 1) * each)
}
