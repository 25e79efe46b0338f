//! What the server's catalogue says there is, asked again for each statement.

use crate::harness::mysql::{Kind, Server};
use crate::harness::rng::Rng;

/// Never altered: a row of it tells how far the target is.
pub const MARK: &str = "mark";

/// A base table of the database `crm`.
pub struct Table {
    pub server: Kind,
    pub name: String,
    /// The name of any other one.
    pub other: String,
    pub columns: Vec<Column>,
    pub partitions: Vec<String>,
    pub key: Vec<String>,
}

#[derive(Clone)]
pub struct Column {
    pub name: String,
    /// With its length or labels.
    pub kind: String,
    /// Without.
    pub data_type: String,
    pub generated: bool,
    pub nullable: bool,
}

pub async fn tables(server: &Server) -> Vec<String> {
    let sql = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'crm' AND table_name <> '{MARK}' \
         AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name"
    );
    server.rows(&sql).await.into_iter().flatten().flatten().collect()
}

pub async fn columns(server: &Server, table: &str) -> Vec<Column> {
    let sql = format!(
        "SELECT column_name, column_type, data_type, generation_expression, is_nullable FROM information_schema.columns \
         WHERE table_schema = 'crm' AND table_name = '{table}' ORDER BY ordinal_position"
    );
    let column = |row: Vec<Option<String>>| {
        let [name, kind, data_type, expression, nullable] = row.try_into().expect("five columns");
        Column {
            name: name.expect("a name"),
            kind: kind.expect("a type"),
            data_type: data_type.expect("a type"),
            generated: expression.is_some_and(|text| !text.is_empty()),
            nullable: nullable.as_deref() == Some("YES"),
        }
    };
    server.rows(&sql).await.into_iter().map(column).collect()
}

/// `None`: it has gone.
pub async fn table(server: &Server, rng: &mut Rng, name: &str) -> Option<Table> {
    let columns = columns(server, name).await;
    let names = async |sql: &str| -> Vec<String> { server.rows(sql).await.into_iter().flatten().flatten().collect() };
    let partitions = names(&format!(
        "SELECT partition_name FROM information_schema.partitions WHERE table_schema = 'crm' AND table_name = '{name}' \
         AND partition_name IS NOT NULL ORDER BY partition_ordinal_position"
    ))
    .await;
    let key = names(&format!(
        "SELECT column_name FROM information_schema.key_column_usage WHERE table_schema = 'crm' \
         AND table_name = '{name}' AND constraint_name = 'PRIMARY'"
    ))
    .await;
    let others: Vec<_> = tables(server).await.into_iter().filter(|other| other != name).collect();
    let other = others.get(rng.below(others.len().max(1)))?.clone();
    let table = Table { server: server.kind, name: name.to_owned(), other, columns, partitions, key };
    (!table.columns.is_empty()).then_some(table)
}

impl Table {
    /// Any column outside the key that is written.
    pub fn value(&self, rng: &mut Rng) -> Option<&Column> {
        let is_value = |column: &&Column| !column.generated && !self.key.contains(&column.name) && column.name != "id";
        let of: Vec<_> = self.columns.iter().filter(is_value).collect();
        (!of.is_empty()).then(|| of[rng.below(of.len())])
    }

    pub fn of_type(&self, data_types: &[&str]) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| !column.generated && column.name != "id" && data_types.contains(&&*column.data_type))
    }

    pub fn partition(&self, rng: &mut Rng) -> Option<&str> {
        (!self.partitions.is_empty()).then(|| &*self.partitions[rng.below(self.partitions.len())])
    }

    pub fn has_id(&self) -> bool {
        self.columns.iter().any(|column| column.name == "id")
    }
}
