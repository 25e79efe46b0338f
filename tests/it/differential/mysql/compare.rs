//! A table in both servers, row for row, by the servers' own text of the values.

use super::super::postgres::ask;
use super::world::{self, Column};
use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use std::collections::BTreeMap;

const DIFFERENCES_SHOWN: usize = 5;

type Bag = BTreeMap<Vec<Option<String>>, usize>;

/// How it differs, if it does.
pub async fn difference(server: &Server, warehouse: &Postgres, table: &str) -> Option<String> {
    let mut columns = world::columns(server, table).await;
    // From 11 on MariaDB leaves them out of its log.
    columns.retain(|column| server.kind != Kind::MariadbNewer || !column.generated);
    let client = warehouse.client().await;
    let sql = format!(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass('erp.{table}') \
         AND attnum > 0 AND NOT attisdropped"
    );
    let types = ask(&client, &sql).await.unwrap_or_default().into_iter();
    let types: BTreeMap<_, _> = types.map(|row| (row[0].clone(), row[1].clone())).collect();
    let mut there = Vec::new();
    for Column { name, .. } in &columns {
        match types.get(&Some(name.clone())) {
            None => return Some(format!("the target has no column {name}")),
            Some(kind) if kind.as_deref() == Some("bytea") => there.push(format!("upper(encode(\"{name}\", 'hex'))")),
            Some(_) => there.push(format!("\"{name}\"::text")),
        }
    }
    let here: Vec<_> = columns.iter().map(text).collect();
    let here = bag(server.rows(&format!("SELECT {} FROM {table}", here.join(", "))).await);
    let Some(there) = ask(&client, &format!("SELECT {} FROM erp.\"{table}\"", there.join(", "))).await else {
        return Some("the target refuses the comparison".to_owned());
    };
    told(&here, &bag(there))
}

/// The target has no zero dates and shows NULL.
fn text(column: &Column) -> String {
    let name = &column.name;
    match &*column.data_type {
        "varbinary" => format!("HEX(`{name}`)"),
        "date" => format!("NULLIF(CAST(`{name}` AS CHAR), '0000-00-00')"),
        "datetime" => format!("NULLIF(CAST(`{name}` AS CHAR), '0000-00-00 00:00:00')"),
        _ => format!("CAST(`{name}` AS CHAR CHARACTER SET utf8mb4)"),
    }
}

fn bag(rows: Vec<Vec<Option<String>>>) -> Bag {
    let mut bag = Bag::new();
    for row in rows {
        *bag.entry(row).or_default() += 1;
    }
    bag
}

fn told(here: &Bag, there: &Bag) -> Option<String> {
    let differing: Vec<_> = here.keys().chain(there.keys()).filter(|row| here.get(*row) != there.get(*row)).collect();
    if differing.is_empty() {
        return None;
    }
    let shown = differing.iter().take(DIFFERENCES_SHOWN).map(|row| {
        let (here, there) = (here.get(*row).unwrap_or(&0), there.get(*row).unwrap_or(&0));
        format!("  {:.200} is {here} times in the source, {there} in the target", format!("{row:?}"))
    });
    let shown: Vec<_> = shown.collect();
    Some(format!("{} rows differ of {}\n{}", differing.len(), here.len(), shown.join("\n")))
}
