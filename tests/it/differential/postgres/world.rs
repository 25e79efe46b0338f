//! What the server's catalogue says there is, asked anew for each statement.

use crate::harness::postgres::TextRow;
use crate::harness::rng::Rng;
use tokio_postgres::{Client, SimpleQueryMessage};

/// A logged table of the schema `public` that is no partition.
pub struct Table {
    pub name: String,
    pub partitioned: bool,
    pub columns: Vec<Column>,
    /// Names, in no order.
    pub partitions: Vec<String>,
    pub key: Vec<String>,
}

pub struct Column {
    pub name: String,
    pub kind: String,
    pub generated: bool,
}

/// Names, and whether it is partitioned.
pub async fn tables(client: &Client) -> Vec<(String, bool)> {
    let sql = "SELECT relname, relkind = 'p' FROM pg_class WHERE relnamespace = 'public'::regnamespace \
               AND relkind IN ('r', 'p') AND relpersistence = 'p' AND NOT relispartition ORDER BY relname";
    let rows = ask(client, sql).await.unwrap_or_default().into_iter();
    rows.map(|row| (row[0].clone().expect("a name"), row[1].as_deref() == Some("t"))).collect()
}

/// `None`: it has gone.
pub async fn table(client: &Client, name: &str, partitioned: bool) -> Option<Table> {
    let sql = format!(
        "SELECT attname, format_type(atttypid, atttypmod), attgenerated <> '' FROM pg_attribute \
         WHERE attrelid = 'public.{name}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    );
    let column = |row: TextRow| Column {
        name: row[0].clone().expect("a name"),
        kind: row[1].clone().expect("a type"),
        generated: row[2].as_deref() == Some("t"),
    };
    let columns = ask(client, &sql).await?.into_iter().map(column).collect();
    let names = |rows: Vec<TextRow>| rows.into_iter().flatten().flatten().collect();
    let sql = format!("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'public.{name}'::regclass");
    let partitions = names(ask(client, &sql).await?);
    let sql = format!(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
         WHERE i.indrelid = 'public.{name}'::regclass AND i.indisprimary"
    );
    let key = names(ask(client, &sql).await?);
    Some(Table { name: name.to_owned(), partitioned, columns, partitions, key })
}

/// `None`: the server refuses.
pub async fn ask(client: &Client, sql: &str) -> Option<Vec<TextRow>> {
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    };
    Some(client.simple_query(sql).await.ok()?.into_iter().filter_map(row).collect())
}

impl Table {
    /// Any column outside the key that is written.
    pub fn value(&self, rng: &mut Rng) -> Option<&Column> {
        let is_value = |column: &&Column| !column.generated && !self.key.contains(&column.name) && column.name != "id";
        let of: Vec<_> = self.columns.iter().filter(is_value).collect();
        (!of.is_empty()).then(|| of[rng.below(of.len())])
    }

    pub fn partition(&self, rng: &mut Rng) -> Option<&str> {
        (!self.partitions.is_empty()).then(|| &*self.partitions[rng.below(self.partitions.len())])
    }
}
