//! What one transaction of the load does: a pure function of the worker's random numbers.
//!
//! A worker writes in its own range of keys, except in `stock`, where workers meet and sometimes deadlock.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fmt::Write as _;
use std::ops::Range;

pub const ROWS_MAX: i64 = 50_000;

/// Keys of one worker: far apart, so that they never meet, not even negated.
const WORKER_KEYS: i64 = 1_000_000_000_000;
/// Transactions between two rounds of DDL.
const DDL_EVERY: u64 = 40;

/// One thing to send.
pub enum Step {
    Sql(String),
    /// A `COPY … FROM STDIN` and its data.
    Copy(&'static str, String),
}

pub enum End {
    Commit,
    Rollback,
}

pub struct Worker {
    number: i64,
    rng: StdRng,
    next_key: i64,
    made: u64,
    /// Ranges of orders that were inserted as one.
    bulks: Vec<Range<i64>>,
    extra_column: bool,
}

impl Worker {
    pub fn new(seed: u64, number: i64) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_add(number.unsigned_abs()));
        let next_key = (number + 1) * WORKER_KEYS;
        Self { number, rng, next_key, made: 0, bulks: Vec::new(), extra_column: false }
    }

    /// The next transaction's steps, without BEGIN and its end.
    pub fn transaction(&mut self) -> (Vec<Step>, End) {
        self.made += 1;
        let mut steps =
            if self.made == 1 && self.number == 0 { vec![self.bulk_insert(ROWS_MAX)] } else { self.steps() };
        let place = self.rng.random_range(0..=steps.len());
        steps.insert(place, Step::Sql(format!("INSERT INTO ledger (worker) VALUES ({})", self.number)));
        let end = if self.made > 1 && self.one_in(12) { End::Rollback } else { End::Commit };
        (steps, end)
    }

    /// Milliseconds until the next one: a burst, or a pause.
    pub fn pause(&mut self) -> u64 {
        if self.one_in(4) { self.rng.random_range(0..30) } else { 0 }
    }

    /// DDL that was rolled back has not happened.
    pub fn set_extra_column(&mut self, had_extra_column: bool) {
        self.extra_column = had_extra_column;
    }

    pub fn has_extra_column(&self) -> bool {
        self.extra_column
    }

    fn steps(&mut self) -> Vec<Step> {
        if self.number == 0 && self.made.is_multiple_of(DDL_EVERY) {
            return self.ddl();
        }
        let count = self.rng.random_range(1..=4);
        (0..count).map(|_| self.step()).collect()
    }

    fn step(&mut self) -> Step {
        match self.rng.random_range(0..100) {
            0..2 => self.bulk(),
            2..16 => self.insert_orders(),
            16..30 => self.update_orders(),
            30..36 => self.delete_orders(),
            36..42 => self.change_keys(),
            42..46 => self.reuse_key(),
            46..52 => self.copy_orders(),
            52..62 => self.stock(),
            62..70 => self.audit(),
            70..76 => self.events(),
            76..86 => self.documents(),
            86..91 => self.odd_names(),
            91..95 => self.items(),
            _ => self.savepoint(),
        }
    }

    fn insert_orders(&mut self) -> Step {
        let keys = self.new_keys(5);
        let mut sql = "INSERT INTO orders (id, customer, status, amount, paid, due) VALUES ".to_owned();
        for (at, key) in keys.enumerate() {
            let (comma, customer) = (if at == 0 { "" } else { ", " }, self.rng.random_range(0..1_000));
            let amount = if self.one_in(5) { "NULL".into() } else { format!("{}.{:02}", customer * 7 - 300, at) };
            write!(sql, "{comma}({key}, {customer}, 'new ''ünïcode'' €', {amount}, {}, '2024-02-29')", at % 2 == 0)
                .expect("a string takes all");
        }
        Step::Sql(sql)
    }

    fn update_orders(&mut self) -> Step {
        let keys = self.old_keys(40);
        let status = ["'shipped'", "NULL", "''", "'paid, \"quoted\"'"][self.rng.random_range(0..4)];
        let set = format!(
            "status = {status}, amount = amount + 1.01, paid = NOT paid, changed = clock_timestamp() AT TIME ZONE 'UTC'"
        );
        Step::Sql(format!("UPDATE orders SET {set} WHERE id >= {} AND id < {}", keys.start, keys.end))
    }

    fn delete_orders(&mut self) -> Step {
        let keys = self.old_keys(20);
        Step::Sql(format!("DELETE FROM orders WHERE id >= {} AND id < {}", keys.start, keys.end))
    }

    fn change_keys(&mut self) -> Step {
        let keys = self.old_keys(10);
        let (from, to) = if self.one_in(2) { (keys.start, keys.end) } else { (1 - keys.end, 1 - keys.start) };
        Step::Sql(format!("UPDATE orders SET id = -id WHERE id >= {from} AND id < {to}"))
    }

    /// Deletes and inserts the same key in one transaction.
    fn reuse_key(&mut self) -> Step {
        let key = self.old_keys(1).start.min(self.next_key - 1);
        Step::Sql(format!(
            "DELETE FROM orders WHERE id IN ({key}, -{key}); INSERT INTO orders (id, customer) VALUES ({key}, 0)"
        ))
    }

    fn copy_orders(&mut self) -> Step {
        let mut data = String::new();
        for key in self.new_keys(200) {
            writeln!(data, "{key}\t{}\tcopied\\tin\\\\\t\\N", key % 1_000).expect("a string takes all");
        }
        Step::Copy("COPY orders (id, customer, status, amount) FROM STDIN", data)
    }

    fn stock(&mut self) -> Step {
        let (warehouse, sku, by) =
            (self.rng.random_range(0..5), self.rng.random_range(0..40), self.rng.random_range(1..9));
        let conflict = "ON CONFLICT (sku, warehouse) DO UPDATE SET quantity = stock.quantity + EXCLUDED.quantity";
        Step::Sql(match self.rng.random_range(0..10) {
            0 => format!("DELETE FROM stock WHERE warehouse = {warehouse} AND sku = 'sku-{sku}'"),
            1..3 => format!("UPDATE stock SET quantity = quantity + {by} WHERE sku = 'sku-{sku}'"),
            _ => format!("INSERT INTO stock VALUES ({warehouse}, 'sku-{sku}', {by}) {conflict}"),
        })
    }

    fn audit(&mut self) -> Step {
        let (who, amount) = (self.number, self.rng.random_range(0..20));
        Step::Sql(match self.rng.random_range(0..6) {
            0 => format!("UPDATE audit SET amount = amount * 1.5 WHERE who = '{who}' AND amount = {amount}"),
            1 => format!("DELETE FROM audit WHERE who = '{who}' AND amount = {amount}"),
            _ => format!("INSERT INTO audit SELECT '{who}', NULLIF('same', 'x'), {amount} FROM generate_series(1, 2)"),
        })
    }

    /// The update changes nothing, so that the inserts alone equal the table; the server still asks for an identity.
    fn events(&mut self) -> Step {
        let kind = self.number;
        Step::Sql(if self.one_in(3) {
            format!(
                "UPDATE events SET note = note WHERE kind = '{kind}' AND note = 'n{}'",
                self.rng.random_range(0..50)
            )
        } else {
            format!("INSERT INTO events (kind, note) VALUES ('{kind}', 'n{}')", self.rng.random_range(0..50))
        })
    }

    fn documents(&mut self) -> Step {
        let blocks = self.rng.random_range(1..2_000);
        let body = format!("(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, {blocks}))");
        let (new, old) = (self.new_keys(1).start, self.old_keys(60));
        let rows = format!("id >= {} AND id < {}", old.start, old.end);
        Step::Sql(match self.rng.random_range(0..6) {
            0..2 => format!(
                "INSERT INTO documents VALUES ({new}, 'title', {body}, '{{\"a\": [1, null]}}', decode(md5('{new}'), 'hex'))"
            ),
            2 => format!("UPDATE documents SET body = {body} WHERE {rows}"),
            3 => format!("UPDATE documents SET id = -id WHERE {rows}"),
            4 if self.one_in(4) => format!("DELETE FROM documents WHERE {rows}"),
            // The usual case: the large columns stay as they are.
            _ => format!("UPDATE documents SET title = title || '.' WHERE {rows}"),
        })
    }

    fn odd_names(&mut self) -> Step {
        let (new, old) = (self.new_keys(1).start, self.old_keys(60));
        let rows = format!(">= {} AND {{}} < {}", old.start, old.end);
        let rows = |column: &str| format!("{column} {}", rows.replace("{}", column));
        Step::Sql(match self.rng.random_range(0..4) {
            0 => format!(
                r#"UPDATE "Order Lines" SET "größe" = "größe" + 1, "line no" = NULL WHERE {}"#,
                rows(r#""Line No""#)
            ),
            1 => format!(r#"INSERT INTO "table" VALUES ({new}, 'by')"#),
            2 => format!(r#"UPDATE "table" SET "order" = "order" || '!' WHERE {}"#, rows(r#""user""#)),
            _ => format!(r#"INSERT INTO "Order Lines" VALUES (38, 'from', {new}, 'where', 'group by')"#),
        })
    }

    fn items(&mut self) -> Step {
        let (new, old) = (self.new_keys(1).start, self.old_keys(60));
        Step::Sql(if self.one_in(2) {
            format!("INSERT INTO items (id, name) VALUES ({new}, 'item')")
        } else {
            format!("UPDATE items SET name = name || '+' WHERE id >= {} AND id < {}", old.start, old.end)
        })
    }

    /// DDL with writes before and after it in the same transaction.
    fn ddl(&mut self) -> Vec<Step> {
        let keys = self.new_keys(3);
        let write =
            |columns: &str, key: i64, values: &str| format!("INSERT INTO items ({columns}) VALUES ({key}, {values})");
        let (change, after) = if self.extra_column {
            ("ALTER TABLE items DROP COLUMN extra".to_owned(), write("id, name", keys.start + 1, "'after drop'"))
        } else {
            (
                "ALTER TABLE items ADD COLUMN extra text".to_owned(),
                write("id, name, extra", keys.start + 1, "'after add', 'more'"),
            )
        };
        self.extra_column = !self.extra_column;
        vec![Step::Sql(write("id, name", keys.start, "'before'")), Step::Sql(change), Step::Sql(after)]
    }

    /// Work that is taken back, between work that is not.
    fn savepoint(&mut self) -> Step {
        let keys = self.new_keys(4);
        let insert = |key: i64| format!("INSERT INTO orders (id, customer) VALUES ({key}, 1)");
        let (kept, undone) = (insert(keys.start), insert(keys.start + 1));
        // The undone key is inserted again.
        Step::Sql(format!(
            "{kept}; SAVEPOINT s; {undone}; DELETE FROM orders WHERE id = {}; ROLLBACK TO s; {undone}",
            keys.start
        ))
    }

    /// A large statement on a range that was inserted as one.
    fn bulk(&mut self) -> Step {
        let known = self.bulks.len();
        if known > 0 && self.one_in(2) {
            let at = self.rng.random_range(0..known);
            let Range { start, end } = self.bulks[at].clone();
            let rows = format!("id >= {start} AND id < {end}");
            if known > 2 || self.one_in(3) {
                self.bulks.swap_remove(at);
                return Step::Sql(format!("DELETE FROM orders WHERE {rows}"));
            }
            return Step::Sql(format!("UPDATE orders SET status = status || '*' WHERE {rows}"));
        }
        // As many small ones as large ones.
        let rows = f64::exp(self.rng.random_range(0.0..(ROWS_MAX as f64).ln())) as i64;
        self.bulk_insert(rows)
    }

    fn bulk_insert(&mut self, rows: i64) -> Step {
        let keys = self.next_key..self.next_key + rows;
        self.next_key = keys.end;
        self.bulks.push(keys.clone());
        let select = format!(
            "SELECT n, n % 97, 'bulk', n % 1000 / 7.0, true, '2024-01-01' FROM generate_series({}, {}) n",
            keys.start,
            keys.end - 1
        );
        Step::Sql(format!("INSERT INTO orders (id, customer, status, amount, paid, due) {select}"))
    }

    /// 1 to `most` keys that were never used.
    fn new_keys(&mut self, most: i64) -> Range<i64> {
        let start = self.next_key;
        self.next_key += self.rng.random_range(1..=most).max(4);
        start..self.next_key
    }

    /// 1 to `most` keys, most likely recent ones; some are not there any more, or in another table.
    fn old_keys(&mut self, most: i64) -> Range<i64> {
        let first = (self.number + 1) * WORKER_KEYS;
        let back = self.rng.random_range(1..3_000);
        let start = (self.next_key - back).max(first);
        start..start + self.rng.random_range(1..=most)
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_range(0..n) == 0
    }
}
