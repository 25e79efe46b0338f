//! Random tables, rows and images, the server as the oracle: what a copy brings, what the log brings and what is in the target
//! are all what the server says the row is. The seed is printed; `TAILWATER_SEED` takes one.

mod mysql;
mod postgres;

use crate::harness::follower::{Follower, Kind};
use crate::harness::postgres::Postgres;
use crate::harness::replica::{Replica, Table};
use crate::harness::schema::Row;
use crate::harness::tailwater::Tailwater;
use crate::harness::warehouse::{self, assert_same, passed, ready};
use crate::harness::{eventually, holds, seed};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use tailwater::wire::api::v1;

const WITHIN: Duration = Duration::from_secs(120);
const TABLES: usize = 20;
/// Before the copy, and again while it is followed.
const ROWS: usize = 120;
const CHANGES: usize = 80;

struct RandomTable {
    name: String,
    /// Declared type and whether it may be null; columns are called c0, c1, …
    columns: Vec<(&'static str, bool)>,
    /// Updates and deletes are captured.
    identified: bool,
}

impl RandomTable {
    fn make(number: usize, random: &mut StdRng) -> (Self, String) {
        let name = format!("t{number}");
        let keys = if number % 6 >= 4 { 0 } else { random.random_range(1..=2) };
        let mut columns: Vec<_> = (0..keys).map(|_| (*postgres::KEYS.choose(random).expect("some"), false)).collect();
        for _ in 0..random.random_range(4..9) {
            columns.push((*postgres::TYPES.choose(random).expect("some"), true));
        }
        let mut sql = format!("CREATE TABLE {name} (n int");
        for (at, (declared, nullable)) in columns.iter().enumerate() {
            let _ = write!(sql, ", c{at} {declared}{}", if *nullable { "" } else { " NOT NULL" });
        }
        if keys > 0 {
            let _ =
                write!(sql, ", PRIMARY KEY ({})", (0..keys).map(|at| format!("c{at}")).collect::<Vec<_>>().join(", "));
        }
        sql += ");";
        // Keyed, keyed and full, full alone, none at all.
        let full = number % 6 == 3 || number % 6 == 4;
        if full {
            let _ = write!(sql, " ALTER TABLE {name} REPLICA IDENTITY FULL;");
        }
        (Self { name, columns, identified: keys > 0 || full }, sql)
    }

    fn insert(&self, n: usize, random: &mut StdRng) -> String {
        let cells = self.columns.iter().map(|(declared, nullable)| postgres::cell(declared, *nullable, random));
        format!("INSERT INTO {} VALUES ({n}, {})", self.name, cells.collect::<Vec<_>>().join(", "))
    }

    fn change(&self, n: usize, random: &mut StdRng) -> String {
        if !self.identified || random.random_ratio(1, 4) {
            return self.insert(n + 10_000, random);
        }
        if random.random_ratio(1, 8) {
            return format!("DELETE FROM {} WHERE n = {n}", self.name);
        }
        let mut sets = Vec::new();
        for (at, (declared, nullable)) in self.columns.iter().enumerate() {
            if random.random_ratio(1, 3) {
                sets.push(format!("c{at} = {}", postgres::cell(declared, *nullable, random)));
            }
        }
        sets.push("n = n".to_owned());
        format!("UPDATE {} SET {} WHERE n = {n}", self.name, sets.join(", "))
    }
}

/// Equal keys may come by chance; anything else is an error of the test.
async fn run(client: &tokio_postgres::Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql).await {
        let code = error.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some("23505"), "{sql}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_stream_and_target_hold_what_postgres_holds() {
    let mut random = StdRng::seed_from_u64(seed());
    let (source, warehouse) = (Postgres::start().await, Postgres::start_another().await);
    source.execute_as_owner(postgres::PREPARE).await;
    let tables: Vec<_> = (0..TABLES).map(|number| RandomTable::make(number, &mut random)).collect();
    let client = source.client().await;
    for (table, sql) in &tables {
        source.execute_as_owner(sql).await;
        for n in 0..ROWS {
            run(&client, &table.insert(n, &mut random)).await;
        }
    }
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    let follower = Follower::start_with(tailwater.door(), Kind::Ephemeral, Replica::of_filled_tables());
    let names: Vec<_> = tables.iter().map(|(table, _)| table.name.as_str()).collect();
    ready(&tailwater.door(), &names, WITHIN).await;
    for (table, _) in &tables {
        for n in 0..CHANGES {
            run(&client, &table.change(n, &mut random)).await;
        }
    }
    passed(&source, &tailwater.door(), WITHIN).await;
    let sequence = tailwater.door().status().await.expect("it answers").journal.expect("a journal").sequence;
    eventually("the subscriber has it all", WITHIN, async || {
        holds(follower.look(Replica::last_sequence) >= sequence, || follower.last_error().unwrap_or_default())
    })
    .await;
    let catalog = tailwater.door().tables().await;
    let replica = follower.stop().await;
    let mut rows = 0;
    for name in &names {
        let table = catalog.iter().find(|table| table.table == *name).expect("it is known");
        rows += assert_as_the_server_says(&source, table, &replica).await;
    }
    println!("{rows} rows");
    assert!(rows >= 2_000, "{rows} rows in the end, of {} inserted", TABLES * (ROWS + CHANGES));
    assert_same(&source, &warehouse, &names).await;
}

/// The server reads each of the subscriber's cells as the column's type and prints it: then it has to be what it prints of the row
/// itself.
async fn assert_as_the_server_says(source: &Postgres, table: &v1::Table, replica: &Replica) -> usize {
    let types = format!(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0",
        table.table
    );
    let types: BTreeMap<_, _> =
        source.rows(&types).await.into_iter().filter_map(|row| Some((row[0].clone()?, row[1].clone()?))).collect();
    let expected =
        table.columns.iter().map(|column| format!("\"{}\"::text", column.name)).collect::<Vec<_>>().join(", ");
    let mut truth = bag(source.rows(&format!("SELECT {expected} FROM {}", table.table)).await);
    let rows: Vec<Row> = match replica.tables.get(&format!("erp.public.{}", table.table)) {
        Some(Table::Keyed(rows)) => rows.values().cloned().collect(),
        Some(Table::Bag(rows)) => rows.iter().flat_map(|(row, times)| vec![row.clone(); *times]).collect(),
        None => Vec::new(),
    };
    for some in rows.chunks(100) {
        let literal = |row: &Row, number: u32| match row.get(&number) {
            Some(text) => format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
            None => "NULL".to_owned(),
        };
        let selects = some.iter().map(|row| {
            let cells = table
                .columns
                .iter()
                .map(|column| format!("{}::text::{}::text", literal(row, column.number), types[&column.name]));
            format!("SELECT {}", cells.collect::<Vec<_>>().join(", "))
        });
        for row in source.rows(&selects.collect::<Vec<_>>().join(" UNION ALL ")).await {
            match truth.get_mut(&row) {
                Some(left) if *left > 0 => *left -= 1,
                _ => panic!("{}: the source has no row {row:?}", table.table),
            }
        }
    }
    truth.retain(|_, left| *left > 0);
    assert!(truth.is_empty(), "{}: only the source has {truth:?}", table.table);
    rows.len()
}

fn bag(rows: Vec<Vec<Option<String>>>) -> BTreeMap<Vec<Option<String>>, usize> {
    let mut bag = BTreeMap::new();
    for row in rows {
        *bag.entry(row).or_default() += 1;
    }
    bag
}
