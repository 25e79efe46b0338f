//! Which of the server's tables are configured, and what identifies their rows.
//!
//! Surprise: a partition whose ancestor is configured is left out, because its changes travel under the ancestor's name
//! (`publish_via_partition_root`). A deferrable primary key is no identity: the server refuses an UPDATE of such a table in
//! a publication that publishes updates (RelationGetIndexList in src/backend/utils/cache/relcache.c).

use super::fault::Fault;
use super::simple_query::{Connection, Row, literal};
use crate::model::name::TableName;
use crate::model::pattern::Selection;
use crate::model::schema::Identity;
use std::collections::HashMap;

/// A configured table as it is on the server now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTable {
    pub name: TableName,
    /// Its oid: a table that was made anew under the name, or got it from another, has another one.
    pub relation: u32,
    pub identity: Identity,
    pub partitioned: bool,
}

struct Found {
    table: ServerTable,
    parent: Option<u32>,
}

const TABLES: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, \
     EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate), \
     EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident), \
     (SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid AND c.relispartition) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' \
     AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 2, 3";

/// In the order of their names.
///
/// # Errors
/// Those of the connection.
pub async fn configured(connection: &mut Connection, selection: &Selection) -> Result<Vec<ServerTable>, Fault> {
    let rows = connection.query(TABLES).await?;
    let found = rows.iter().map(found).collect::<Result<HashMap<u32, Found>, Fault>>()?;
    Ok(choose(&found, selection))
}

fn found(row: &Row) -> Result<(u32, Found), Fault> {
    let name = |column| row.text(column).ok_or(Fault::Protocol("a table without a name"));
    let identity = match row.text(4) {
        Some("f") => Identity::Full,
        Some("d") if row.is_true(5) => Identity::Key,
        Some("i") if row.is_true(6) => Identity::Key,
        _ => Identity::Nothing,
    };
    let (name, relation) = (TableName::new(name(1)?, name(2)?), row.some(0)?);
    let table = ServerTable { name, relation, identity, partitioned: row.text(3) == Some("p") };
    Ok((relation, Found { table, parent: row.parse(7)? }))
}

fn choose(found: &HashMap<u32, Found>, selection: &Selection) -> Vec<ServerTable> {
    let selected = |found: &&Found| selection.matches(&found.table.name.to_string());
    let parent = |child: &&Found| child.parent.and_then(|oid| found.get(&oid));
    let mut tables: Vec<_> = found
        .values()
        .filter(selected)
        .filter(|table| !std::iter::successors(parent(table), parent).any(|ancestor| selected(&ancestor)))
        .map(|found| found.table.clone())
        .collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    tables
}

/// The columns of a table's primary key, in key order; none without one, or with a deferrable one. Replica identity FULL
/// marks every column as key, so the stream alone cannot tell.
///
/// # Errors
/// Those of the connection.
pub async fn primary_key(connection: &mut Connection, table: &TableName) -> Result<Vec<String>, Fault> {
    let sql = format!(
        "SELECT a.attname FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
         WHERE i.indisprimary AND i.indimmediate AND k.place <= i.indnkeyatts AND n.nspname = {} AND c.relname = {} ORDER BY k.place",
        literal(&table.schema),
        literal(&table.table)
    );
    connection.query(&sql).await?.iter().map(|row| row.some(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pattern::Pattern;

    #[test]
    fn a_partition_travels_as_its_configured_ancestor_and_else_as_itself() {
        let table = |name: &str, parent| Found {
            table: ServerTable {
                name: TableName::new("public", name),
                relation: 1,
                identity: Identity::Key,
                partitioned: false,
            },
            parent,
        };
        let found = HashMap::from([
            (1, table("log", None)),
            (2, table("log_2026", Some(1))),
            (3, table("log_2026_11", Some(2))),
            (4, table("other", None)),
        ]);
        let names = |include: &str| {
            let selection = Selection { include: vec![Pattern::new(include)], exclude: vec![] };
            choose(&found, &selection).iter().map(|table| table.name.table.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("public.*"), ["log", "other"]);
        assert_eq!(names("*.log_2026_11"), ["log_2026_11"]);
        assert_eq!(names("*2026*"), ["log_2026"]);
    }
}
