//! One table as it lies on both sides, and the SQL that reads it there.
//!
//! Which way rows are walked depends on the key. Ranges need one order on both sides, and an index that has it: types
//! of PostgreSQL's own, and text only where it sorts by its bytes. Any other key is walked in one piece, sorted by the
//! text of its columns, which is one order everywhere but takes a sort. Without a key the whole row's text is the key.

use super::reader::{Reader, Sides};
use super::row::Key;
use super::trouble::Trouble;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::source::postgres::{describe, identifier, literal};
use std::collections::HashMap;

/// Tailwater's own columns of a target's table.
const OWN: [&str; 2] = ["_tailwater_sequence", "_tailwater_committed_at"];

/// Every part of a key is compared in a session of its own snapshot.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    Ranges,
    /// By key, in one piece.
    Sorted,
    /// Rows without key.
    Bag,
}

#[derive(Debug)]
pub struct Layout {
    /// All that are compared, in the order in which they are read.
    pub columns: Vec<String>,
    /// Where the key's columns stand among them, in key order.
    pub key: Vec<usize>,
    pub walk: Walk,
    pub only_in_target: Vec<String>,
    source: Place,
    target: Place,
}

/// The table on one side.
#[derive(Debug)]
struct Place {
    /// As it stands after FROM.
    from: String,
    /// What of each of the key's columns is compared with a text to find a row.
    key: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Source,
    Target,
}

/// A column on one side.
#[derive(Debug)]
struct Column {
    /// Of the type under all domains; none for a type that is not PostgreSQL's own.
    builtin: Option<String>,
    /// It has no collation, or one that sorts UTF-8 by its bytes.
    sorts_by_bytes: bool,
}

const COLUMNS: &str = "SELECT a.attname, b.oid < 16384, b.typname, CASE WHEN a.attcollation = 0 THEN true \
         WHEN pg_catalog.pg_encoding_to_char(d.encoding) <> 'UTF8' THEN false \
         WHEN co.collprovider = 'c' THEN co.collcollate IN ('C', 'POSIX') \
         WHEN co.collprovider = 'd' THEN d.datcollate IN ('C', 'POSIX') \
             AND COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' \
         ELSE false END \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() \
     LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation \
     CROSS JOIN LATERAL (WITH RECURSIVE base AS ( \
         SELECT t.* FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid \
         UNION ALL SELECT t.* FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype \
             WHERE base.typtype = 'd') \
         SELECT * FROM base WHERE typtype <> 'd') b";

impl Layout {
    /// Looks at the table on both sides. `partitioned`: in the source.
    ///
    /// # Errors
    /// [`Trouble::Table`] when the two have not the same columns.
    pub async fn look(
        sides: &mut Sides,
        table: &TableName,
        partitioned: bool,
        target_table: &TableName,
    ) -> Result<Self, Trouble> {
        let described = sides.source.ask(async |connection| describe(connection, table).await).await?;
        let described = described.ok_or_else(|| differ("the source has no such table any more".to_owned()))?;
        let source = columns(&mut sides.source, table).await?;
        let target = columns(&mut sides.target, target_table).await?;
        let missing: Vec<_> = described.columns.iter().filter(|name| !target.contains_key(*name)).cloned().collect();
        if !missing.is_empty() {
            return Err(differ(format!("{target_table} in the target has no column {}", missing.join(", "))));
        }
        let known = |name: &String| described.columns.contains(name) || OWN.contains(&name.as_str());
        let mut only_in_target: Vec<_> = target.keys().filter(|name| !known(name)).cloned().collect();
        only_in_target.sort();
        let place = |name: &String| described.columns.iter().position(|column| column == name);
        let key = described.key.iter().filter_map(place).collect();
        // A table's own rows without those of its children, which are tables of their own.
        let only = if partitioned { "" } else { "ONLY " };
        Ok(Self {
            key,
            walk: walk(&described.key, &source, &target),
            only_in_target,
            source: Place::new(format!("{only}{}", qualified(table)), &described.key, &source),
            target: Place::new(qualified(target_table), &described.key, &target),
            columns: described.columns,
        })
    }

    /// The source's next rows in key order; all of them from the first without `after`.
    pub fn page(&self, after: Option<&Key>, rows_max: usize) -> String {
        let sql = self.range(Of::Source, after, None);
        format!("{SNAPSHOT}; {sql} ORDER BY {} LIMIT {rows_max}; COMMIT", list(self.key_names()))
    }

    /// The target's rows behind `after`, up to `upto` and with it.
    pub fn target_range(&self, after: Option<&Key>, upto: Option<&Key>) -> String {
        format!("{SNAPSHOT}; {}; COMMIT", self.range(Of::Target, after, upto))
    }

    fn range(&self, of: Of, after: Option<&Key>, upto: Option<&Key>) -> String {
        let key = list(self.key_names());
        let after = after.map(|bound| format!("({key}) > ({})", literals(bound)));
        let upto = upto.map(|bound| format!("({key}) <= ({})", literals(bound)));
        let conditions: Vec<_> = after.into_iter().chain(upto).collect();
        let conditions =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        format!("SELECT {} FROM {}{conditions}", self.column_list(), self.place(of).from)
    }

    /// All rows in the order of the key's texts.
    pub fn sorted(&self, of: Of) -> String {
        let texts = self.key_names().map(|name| format!("pg_catalog.convert_to(pg_catalog.concat({name}), 'UTF8')"));
        let (columns, from, texts) = (self.column_list(), &self.place(of).from, list(texts));
        format!("SELECT {columns} FROM {from} ORDER BY {texts}")
    }

    /// All rows in the order of their texts, one cell each; then the row's version, where it lies, and in the target
    /// its sequence. Of equal rows the newest come last.
    pub fn bag(&self, of: Of) -> String {
        let (sequence, order) = match of {
            Of::Source => ("NULL::pg_catalog.int8", "lies"),
            Of::Target => (OWN[0], "sequence NULLS FIRST, lies"),
        };
        format!(
            "SELECT whole, version, relation::pg_catalog.text || lies::pg_catalog.text, sequence FROM ( \
                 SELECT ROW({})::pg_catalog.text AS whole, xmin AS version, tableoid::pg_catalog.regclass AS relation, \
                     ctid AS lies, {sequence} AS sequence FROM {}) AS read \
             ORDER BY pg_catalog.convert_to(whole, 'UTF8'), {order}",
            self.column_list(),
            self.place(of).from,
        )
    }

    /// The rows of these keys, each with its version after its columns.
    pub fn lookup<'k>(&self, of: Of, keys: impl Iterator<Item = &'k Key>) -> String {
        let place = self.place(of);
        let keys = list(keys.map(|key| format!("({})", literals(key))));
        let (columns, from, key) = (self.column_list(), &place.from, list(place.key.iter().cloned()));
        format!("SELECT {columns}, xmin FROM {from} WHERE ({key}) IN ({keys})")
    }

    fn place(&self, of: Of) -> &Place {
        match of {
            Of::Source => &self.source,
            Of::Target => &self.target,
        }
    }

    fn column_list(&self) -> String {
        list(self.columns.iter().map(|name| identifier(name)))
    }

    fn key_names(&self) -> impl Iterator<Item = String> {
        self.key.iter().filter_map(|place| self.columns.get(*place)).map(|name| identifier(name))
    }
}

impl Place {
    fn new(from: String, key: &[String], columns: &HashMap<String, Column>) -> Self {
        let own = |name: &String| columns.get(name).is_some_and(|column| column.builtin.is_some());
        let found_by = |name: &String| {
            let column = identifier(name);
            // The operators of other types are out of sight, as nothing is on the search path.
            if own(name) { column } else { format!("pg_catalog.concat({column})") }
        };
        Self { from, key: key.iter().map(found_by).collect() }
    }
}

fn walk(key: &[String], source: &HashMap<String, Column>, target: &HashMap<String, Column>) -> Walk {
    let in_one_order = |name: &String| match (source.get(name), target.get(name)) {
        (Some(source), Some(target)) => {
            source.builtin.is_some()
                && source.builtin == target.builtin
                && source.sorts_by_bytes
                && target.sorts_by_bytes
        }
        _ => false,
    };
    match key {
        [] => Walk::Bag,
        key if key.iter().all(in_one_order) => Walk::Ranges,
        _ => Walk::Sorted,
    }
}

async fn columns(side: &mut Reader, table: &TableName) -> Result<HashMap<String, Column>, Trouble> {
    let (schema, name) = (literal(&table.schema), literal(&table.table));
    let rows = side.query(&format!("{COLUMNS} WHERE n.nspname = {schema} AND c.relname = {name}")).await?;
    let text = |cell: Option<&str>| cell.unwrap_or_default().to_owned();
    let column = |row: &crate::source::postgres::Row| Column {
        builtin: row.is_true(1).then(|| text(row.text(2))),
        sorts_by_bytes: row.is_true(3),
    };
    Ok(rows.iter().map(|row| (text(row.text(0)), column(row))).collect())
}

fn differ(message: String) -> Trouble {
    Trouble::Table(Problem::new(code::VERIFY_SHAPES_DIFFER, message))
}

fn qualified(table: &TableName) -> String {
    format!("{}.{}", identifier(&table.schema), identifier(&table.table))
}

fn literals(key: &Key) -> String {
    list(key.iter().map(|text| literal(text)))
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
