//! The questions to the server's catalogue, and their answers put together: all configured tables, or one.
//!
//! One snapshot for all questions. Nothing here takes a lock on a table: a view or a function that opens tables
//! (`pg_publication_tables`, `pg_partition_tree`) would wait behind somebody's ALTER.

use super::entry::{ColumnEntry, Entry, PartitionEntry};
use super::identity::{self, Declared};
use super::publications;
use super::user_types::UserTypes;
use super::{Seen, ServerTable};
use crate::config::PostgresSystem;
use crate::decode::postgres::message::{Relation, RelationColumn};
use crate::decode::postgres::types::{self, Judged};
use crate::model::name::TableName;
use crate::model::pattern::Selection;
use crate::model::schema::Identity;
use crate::source::postgres::fault::Fault;
use crate::source::postgres::simple_query::{Connection, Row, literal};
use std::collections::HashMap;

/// The configured tables in the order of their names, and the publications.
///
/// # Errors
/// Those of the connection.
pub async fn read(connection: &mut Connection, system: &PostgresSystem) -> Result<Seen, Fault> {
    connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let relations = relations(connection, None).await?;
    let chosen = choose(&relations, &system.tables);
    let seen = put_together(connection, system, &relations, &chosen).await?;
    connection.query("COMMIT").await?;
    Ok(seen)
}

/// One table by its name, as it would be captured; `None` when it is gone. Inside whatever transaction the connection is in.
///
/// # Errors
/// Those of the connection.
pub async fn read_one(
    connection: &mut Connection,
    system: &PostgresSystem,
    table: &TableName,
) -> Result<Option<ServerTable>, Fault> {
    let relations = relations(connection, Some(table)).await?;
    let Some(oid) = relations.values().find(|relation| relation.name == *table).map(|relation| relation.oid) else {
        return Ok(None);
    };
    Ok(put_together(connection, system, &relations, &[oid]).await?.tables.pop())
}

/// A table, or a partition of one.
pub(super) struct Found {
    pub oid: u32,
    pub name: TableName,
    pub schema_oid: u32,
    /// Updates and deletes that the server has counted.
    pub writes: u64,
    pub columns_ever: i32,
    pub kind: char,
    pub permanent: bool,
    pub parent: Option<u32>,
    /// The transaction that made it a partition; 0: it is none.
    pub attached_by: u32,
    /// The transaction that put it into its schema.
    pub placed_by: u32,
    pub file: u32,
    pub declared: Declared,
}

const RELATIONS: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence = 'p', \
     (SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid AND c.relispartition), \
     c.relfilenode, c.relreplident, k.names, k.generated, \
     EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         AND a.attgenerated <> ''), n.oid, \
     pg_catalog.pg_stat_get_tuples_updated(c.oid) + pg_catalog.pg_stat_get_tuples_deleted(c.oid), c.relnatts, \
     (SELECT h.xmin FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid AND c.relispartition), \
     (SELECT d.xmin FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid \
         AND d.objsubid = 0 AND d.refclassid = 'pg_catalog.pg_namespace'::regclass LIMIT 1) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN LATERAL (SELECT string_agg(a.attname, E'\\x01' ORDER BY k.place) AS names, \
             bool_or(a.attgenerated <> '') AS generated \
         FROM pg_catalog.pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
         WHERE i.indrelid = c.oid AND k.place <= i.indnkeyatts AND i.indisvalid AND i.indimmediate AND CASE c.relreplident \
             WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END) k ON true \
     WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// Between the names of a key's columns; no identifier holds it in practice, and a wrong split would name no column.
const SEPARATOR: char = '\u{1}';

async fn relations(connection: &mut Connection, only: Option<&TableName>) -> Result<HashMap<u32, Found>, Fault> {
    let mut sql = RELATIONS.to_owned();
    if let Some(table) = only {
        sql += &format!(
            " AND c.oid IN (WITH RECURSIVE tree(oid) AS ( \
                 SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = {} AND c.relname = {} \
                 UNION ALL SELECT h.inhrelid FROM tree JOIN pg_catalog.pg_inherits h ON h.inhparent = tree.oid \
                 JOIN pg_catalog.pg_class p ON p.oid = h.inhrelid AND p.relispartition) SELECT oid FROM tree)",
            literal(&table.schema),
            literal(&table.table)
        );
    }
    connection.query(&sql).await?.iter().map(|row| found(row).map(|found| (found.oid, found))).collect()
}

fn found(row: &Row) -> Result<Found, Fault> {
    let names = row.text(8).map(|names| names.split(SEPARATOR).map(str::to_owned).collect());
    let declared = Declared {
        setting: character(row, 7)?,
        key: names.unwrap_or_default(),
        key_is_generated: row.is_true(9),
        has_generated: row.is_true(10),
    };
    Ok(Found {
        oid: row.some(0)?,
        name: TableName::new(text(row, 1)?, text(row, 2)?),
        schema_oid: row.some(11)?,
        writes: row.parse(12)?.unwrap_or_default(),
        columns_ever: row.some(13)?,
        kind: character(row, 3)?,
        permanent: row.is_true(4),
        parent: row.parse(5)?,
        attached_by: row.parse(14)?.unwrap_or_default(),
        placed_by: row.parse(15)?.unwrap_or_default(),
        file: row.some(6)?,
        declared,
    })
}

/// Those that travel under their own names: a partition whose ancestor is configured travels under that one's
/// (`publish_via_partition_root`).
fn choose(relations: &HashMap<u32, Found>, selection: &Selection) -> Vec<u32> {
    let selected = |found: &&Found| found.kind != 'f' && found.permanent && selection.matches(&found.name.to_string());
    let parent = |child: &&Found| child.parent.and_then(|oid| relations.get(&oid));
    let mut chosen: Vec<_> = relations
        .values()
        .filter(selected)
        .filter(|table| !std::iter::successors(parent(table), parent).any(|ancestor| selected(&ancestor)))
        .collect();
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    chosen.into_iter().map(|found| found.oid).collect()
}

async fn put_together(
    connection: &mut Connection,
    system: &PostgresSystem,
    relations: &HashMap<u32, Found>,
    chosen: &[u32],
) -> Result<Seen, Fault> {
    let publications = publications::read(connection, &system.publication).await?;
    let mut columns = columns(connection, chosen).await?;
    let types = UserTypes::read(connection, chosen).await?;
    let partitions = partitions(connection, relations, chosen).await?;
    let version: u32 = single(connection, "SELECT current_setting('server_version_num')").await?;
    let children = Children::of(relations);
    let mut tables = Vec::new();
    for found in chosen.iter().filter_map(|oid| relations.get(oid)) {
        let below = children.below(found.oid);
        let fit = identity::judge(found, &below, version, publications.carries_generated());
        let columns = columns.remove(&found.oid).unwrap_or_default();
        let relation = Relation {
            id: found.oid,
            schema: &found.name.schema,
            table: &found.name.table,
            replica_identity: b'd',
            columns: columns.iter().map(as_in_the_stream).collect(),
        };
        let judged = Judged { identity: fit.identity, key: fit.key.clone() };
        let shape = types::shape(&relation, &types.names, Some(&judged));
        let number = |name: &String| columns.iter().find(|column| column.name == *name).map(|column| column.number);
        let writes = below.iter().map(|one| one.writes).sum::<u64>() + found.writes;
        let entry = Entry {
            relation: found.oid,
            file: found.file,
            identity: Entry::identity_number(fit.identity),
            key: fit.key.iter().filter_map(number).collect(),
            partitions: below.iter().filter_map(|one| partitions.get(&one.oid).cloned()).collect(),
            types: types.of(columns.iter().map(|column| column.type_oid)),
            carriers: publications.carriers(found, relations),
            columns_ever: found.columns_ever,
            columns,
            away: false,
            untold: if fit.identity == Identity::Nothing { writes } else { 0 },
        };
        let (name, partitioned) = (found.name.clone(), found.kind == 'p');
        let has_generated = below.iter().chain([&found]).any(|one| one.declared.has_generated);
        tables.push(ServerTable {
            name,
            shape,
            key: fit.key,
            partitioned,
            has_generated,
            unfit: fit.unfit,
            writes,
            entry,
        });
    }
    Ok(Seen { tables, publications })
}

fn as_in_the_stream(column: &ColumnEntry) -> RelationColumn<'_> {
    let ColumnEntry { name, type_oid, modifier, .. } = column;
    RelationColumn { name, key: false, type_oid: *type_oid, modifier: *modifier }
}

/// The partitions of each partitioned table.
struct Children<'a>(HashMap<u32, Vec<&'a Found>>);

impl<'a> Children<'a> {
    fn of(relations: &'a HashMap<u32, Found>) -> Self {
        let mut children: HashMap<u32, Vec<&Found>> = HashMap::new();
        for found in relations.values() {
            if let Some(parent) = found.parent {
                children.entry(parent).or_default().push(found);
            }
        }
        Self(children)
    }

    /// At all levels, by oid.
    fn below(&self, root: u32) -> Vec<&'a Found> {
        let of = |parent: u32| self.0.get(&parent).into_iter().flatten().copied();
        let mut below: Vec<&Found> = of(root).collect();
        let mut at = 0;
        while let Some(oid) = below.get(at).map(|found| found.oid) {
            below.extend(of(oid));
            at += 1;
        }
        below.sort_by_key(|found| found.oid);
        below
    }
}

/// The columns that the stream carries, by number. A default that was given and dropped again has left its mark where the
/// rows are: at the partitions.
async fn columns(connection: &mut Connection, chosen: &[u32]) -> Result<HashMap<u32, Vec<ColumnEntry>>, Fault> {
    let sql = format!(
        "WITH RECURSIVE tree(root, oid) AS (SELECT oid, oid FROM unnest({0}) AS chosen(oid) UNION ALL \
             SELECT tree.root, h.inhrelid FROM tree JOIN pg_catalog.pg_inherits h ON h.inhparent = tree.oid \
             JOIN pg_catalog.pg_class p ON p.oid = h.inhrelid AND p.relispartition), \
         given AS (SELECT tree.root, a.attname FROM tree JOIN pg_catalog.pg_attribute a ON a.attrelid = tree.oid \
             WHERE a.attnum > 0 AND NOT a.attisdropped AND (a.atthasdef OR a.atthasmissing OR a.attidentity <> '')) \
         SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.xmin, \
             NOT EXISTS (SELECT 1 FROM given WHERE given.root = a.attrelid AND given.attname = a.attname) \
         FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = ANY ({0}) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY 1, 2",
        oids(chosen)
    );
    let mut columns: HashMap<u32, Vec<ColumnEntry>> = HashMap::new();
    for row in connection.query(&sql).await? {
        columns.entry(row.some(0)?).or_default().push(ColumnEntry {
            number: row.some(1)?,
            name: text(&row, 2)?.to_owned(),
            type_oid: row.some(3)?,
            modifier: row.some(4)?,
            defined_by: row.some(5)?,
            null_before: row.is_true(6),
        });
    }
    Ok(columns)
}

/// Of every partition below a chosen table. One was *born* as a partition when one of its columns and its system columns
/// were written by one command: ATTACH writes all columns again, and no later command makes two alike. (The command is
/// `cmin`, which a rolled-back ALTER may overwrite; the partition is then taken for attached.)
async fn partitions(
    connection: &mut Connection,
    relations: &HashMap<u32, Found>,
    chosen: &[u32],
) -> Result<HashMap<u32, PartitionEntry>, Fault> {
    let children = Children::of(relations);
    let below: Vec<_> = chosen.iter().flat_map(|root| children.below(*root)).map(|found| found.oid).collect();
    if below.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT c.oid, c.relfilenode, bool_or(a.xmin::text = s.xmin::text AND a.cmin::text = s.cmin::text) AND c.relkind <> 'f' \
         FROM pg_catalog.pg_class c \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_catalog.pg_attribute s ON s.attrelid = c.oid AND s.attnum = -1 \
         WHERE c.oid = ANY ({}) GROUP BY c.oid, c.relfilenode, c.relkind",
        oids(&below)
    );
    let partition = |row: &Row| {
        let entry = PartitionEntry {
            relation: row.some(0)?,
            file: row.some(1)?,
            born: row.is_true(2),
            attached_by: relations.get(&row.some(0)?).map_or(0, |found| found.attached_by),
        };
        Ok((entry.relation, entry))
    };
    connection.query(&sql).await?.iter().map(partition).collect()
}

pub(super) fn oids(oids: &[u32]) -> String {
    let oids: Vec<_> = oids.iter().map(u32::to_string).collect();
    format!("'{{{}}}'::oid[]", oids.join(","))
}

async fn single<T: std::str::FromStr>(connection: &mut Connection, sql: &str) -> Result<T, Fault> {
    connection.query(sql).await?.first().ok_or(Fault::Protocol("an empty answer"))?.some(0)
}

fn character(row: &Row, column: usize) -> Result<char, Fault> {
    text(row, column)?.chars().next().ok_or(Fault::Protocol("an empty answer"))
}

pub(super) fn text(row: &Row, column: usize) -> Result<&str, Fault> {
    row.text(column).ok_or(Fault::Protocol("a table without a description"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pattern::Pattern;

    fn found(oid: u32, name: &str, parent: Option<u32>) -> Found {
        let declared = Declared { setting: 'd', key: Vec::new(), key_is_generated: false, has_generated: false };
        let (name, kind) = (TableName::new("public", name), if oid < 4 { 'p' } else { 'r' });
        Found {
            oid,
            name,
            schema_oid: 1,
            writes: 0,
            columns_ever: 0,
            kind,
            permanent: true,
            parent,
            attached_by: 0,
            placed_by: 0,
            file: 0,
            declared,
        }
    }

    #[test]
    fn a_partition_travels_as_its_configured_ancestor_and_else_as_itself() {
        let tables = [("log", None), ("log_2026", Some(1)), ("log_2026_11", Some(2)), ("other", None)];
        let tables = (1..).zip(tables).map(|(oid, (name, parent))| (oid, found(oid, name, parent)));
        let relations: HashMap<_, _> = tables.collect();
        let names = |include: &str| {
            let selection = Selection { include: vec![Pattern::new(include)], exclude: vec![] };
            let name = |oid| relations[&oid].name.table.to_string();
            choose(&relations, &selection).into_iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names("public.*"), ["log", "other"]);
        assert_eq!(names("*.log_2026_11"), ["log_2026_11"]);
        assert_eq!(names("*2026*"), ["log_2026"]);
        assert_eq!(Children::of(&relations).below(1).iter().map(|found| found.oid).collect::<Vec<_>>(), [2, 3]);
    }
}
