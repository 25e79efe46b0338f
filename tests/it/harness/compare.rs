//! Source against replica: every column of every row, by the server's own text.

use super::postgres::{self, Postgres};
use super::replica::{Key, Replica, Table};
use super::schema::Row;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tailwater::wire::api::v1;

const DIFFERENCES_SHOWN: usize = 10;
const CELL_CHARS_SHOWN: usize = 60;

/// Fails with the differences when any table of the schema `public` is not the same in the source and in the replica.
pub async fn assert_equal(postgres: &Postgres, catalog: &[v1::Table], replica: &Replica) {
    let tables =
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1";
    let mut differences = String::new();
    for name in postgres.rows(tables).await.into_iter().flatten().flatten() {
        let full = format!("erp.public.{name}");
        let table = catalog.iter().find(|table| table.schema == "public" && table.table == name);
        let rows = replica.tables.get(&full);
        match (table, rows) {
            (Some(table), Some(rows)) => difference(postgres, table, rows, &mut differences).await,
            // A table that never changed has no schema here yet.
            _ => {
                let count = postgres.text(&format!("SELECT count(*) FROM {}", quoted(&name))).await;
                if count.as_deref() != Some("0") {
                    writeln!(differences, "{full}: {count:?} rows in the source, unknown here")
                        .expect("a string takes all");
                }
            }
        }
    }
    assert!(differences.is_empty(), "the replica is not the source:\n{differences}");
}

async fn difference(postgres: &Postgres, table: &v1::Table, rows: &Table, differences: &mut String) {
    let source = read(postgres, table).await;
    let columns: BTreeMap<u32, &str> =
        table.columns.iter().map(|column| (column.number, column.name.as_str())).collect();
    let mut found = Vec::new();
    match rows {
        Table::Keyed(rows) => {
            let key: Vec<u32> = table.columns.iter().filter(|column| column.key).map(|column| column.number).collect();
            let source: BTreeMap<Key, &Row> =
                source.keys().map(|row| (key.iter().map(|number| row.get(number).cloned()).collect(), row)).collect();
            // The replica's keys are in key order, the catalogue's in column order.
            let here = rows.values().map(|row| (key.iter().map(|number| row.get(number).cloned()).collect(), row));
            compare_keyed(&source, &here.collect(), &columns, &mut found);
        }
        Table::Bag(rows) => compare_bags(&source, rows, &columns, &mut found),
    }
    if !found.is_empty() {
        let shown = found[..found.len().min(DIFFERENCES_SHOWN)].join("\n  ");
        writeln!(differences, "{}: {} differences\n  {shown}", table.table, found.len()).expect("a string takes all");
    }
}

/// The source's rows by field number, each with how often it is there.
async fn read(postgres: &Postgres, table: &v1::Table) -> BTreeMap<Row, usize> {
    let names: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
    let sql = format!("SELECT {} FROM {}.{}", names.join(", "), quoted(&table.schema), quoted(&table.table));
    let numbers = || table.columns.iter().map(|column| column.number);
    let mut rows = BTreeMap::new();
    for row in postgres::rows(&postgres.client().await, &sql).await {
        let row: Row = numbers().zip(row).filter_map(|(number, cell)| Some((number, cell?))).collect();
        *rows.entry(row).or_default() += 1;
    }
    rows
}

fn compare_keyed(
    source: &BTreeMap<Key, &Row>,
    here: &BTreeMap<Key, &Row>,
    columns: &BTreeMap<u32, &str>,
    found: &mut Vec<String>,
) {
    for (key, row) in source {
        match here.get(key) {
            None => found.push(format!("{key:?} is missing here")),
            Some(there) => compare_cells(&format!("{key:?}"), row, there, columns, found),
        }
    }
    let extra = here.keys().filter(|key| !source.contains_key(*key));
    found.extend(extra.map(|key| format!("{key:?} is only here")));
}

/// Only columns that the table still has: a dropped column's old values do not count.
fn compare_cells(key: &str, source: &Row, here: &Row, columns: &BTreeMap<u32, &str>, found: &mut Vec<String>) {
    for (number, column) in columns {
        let (source, here) = (source.get(number), here.get(number));
        if source != here {
            found.push(format!("{key} {column}: source {}, here {}", short(source), short(here)));
        }
    }
}

fn compare_bags(
    source: &BTreeMap<Row, usize>,
    here: &BTreeMap<Row, usize>,
    columns: &BTreeMap<u32, &str>,
    found: &mut Vec<String>,
) {
    let named = |row: &Row| {
        let cells =
            row.iter().map(|(number, cell)| format!("{}={}", columns.get(number).unwrap_or(&"?"), short(Some(cell))));
        cells.collect::<Vec<_>>().join(" ")
    };
    for row in source.keys().chain(here.keys().filter(|row| !source.contains_key(*row))) {
        let (there, here) = (source.get(row).copied().unwrap_or(0), here.get(row).copied().unwrap_or(0));
        if there != here {
            found.push(format!("[{}] is there {there} times in the source, {here} here", named(row)));
        }
    }
}

fn short(cell: Option<&String>) -> String {
    let Some(cell) = cell else { return "null".into() };
    let mut shown: String = cell.chars().take(CELL_CHARS_SHOWN).collect();
    if shown.len() < cell.len() {
        write!(shown, "… ({} bytes)", cell.len()).expect("a string takes all");
    }
    format!("{shown:?}")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
