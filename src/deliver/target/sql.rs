//! The statements for one table of the target. Pure text; `apply` runs them.

use super::shape::{COMMITTED_AT, Column, SEQUENCE, Shape};
use super::values::put_literal;
use crate::model::name::TableName;
use crate::model::position::Sequence;
use crate::model::value_type::{Scalar, ValueType};
pub use crate::source::postgres::qualified;
use crate::source::postgres::{identifier, literal};

fn list(parts: impl Iterator<Item = String>, separator: &str) -> String {
    parts.collect::<Vec<_>>().join(separator)
}

/// All columns, our own two at the end.
pub fn columns(shape: &Shape) -> String {
    let own = [SEQUENCE, COMMITTED_AT].map(identifier);
    list(shape.columns.iter().map(|column| identifier(&column.name)).chain(own), ", ")
}

fn key(shape: &Shape) -> String {
    list(shape.key().map(|column| identifier(&column.name)), ", ")
}

fn definition(column: &Column) -> String {
    format!("{} {}", identifier(&column.name), column.sql_type)
}

/// Fails where a table of that name is there: it would be somebody else's.
pub fn create(name: &TableName, shape: &Shape) -> String {
    let own = [format!("{} bigint", identifier(SEQUENCE)), format!("{} timestamptz", identifier(COMMITTED_AT))];
    let mut parts: Vec<_> = shape.columns.iter().map(definition).chain(own).collect();
    if shape.is_keyed() {
        parts.push(format!("PRIMARY KEY ({})", key(shape)));
    }
    let (schema, table) = (identifier(&name.schema), qualified(name));
    format!("CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE {table} ({})", parts.join(", "))
}

/// Empties a table of ours and gives it another shape in place, so that grants and views on it stay.
pub fn remake(name: &TableName, old: &Shape, new: &Shape) -> String {
    let table = qualified(name);
    let key_changes = key_types(old) != key_types(new);
    let mut changes = Vec::new();
    for column in &old.columns {
        let quoted = identifier(&column.name);
        match new.columns.iter().find(|now| now.name == column.name) {
            None => changes.push(format!("DROP COLUMN {quoted}")),
            Some(now) => {
                if now.sql_type != column.sql_type {
                    changes.push(format!("ALTER COLUMN {quoted} TYPE {} USING NULL", now.sql_type));
                }
                if column.key && !now.key {
                    changes.push(format!("ALTER COLUMN {quoted} DROP NOT NULL"));
                }
            }
        }
    }
    let is_new = |column: &&Column| !old.columns.iter().any(|known| known.name == column.name);
    changes.extend(new.columns.iter().filter(is_new).map(|column| format!("ADD COLUMN {}", definition(column))));
    if key_changes && new.is_keyed() {
        changes.push(format!("ADD PRIMARY KEY ({})", key(new)));
    }
    let mut sql = clear(name);
    if key_changes && old.is_keyed() {
        // Its name is the server's choice, so the catalogue says it; gone by hand, there is none to drop.
        let drop_key = format!(
            "DO {}",
            literal(&format!(
                "DECLARE drop_it text := (SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) \
                 FROM pg_catalog.pg_constraint WHERE contype = 'p' AND conrelid = {}::regclass); \
                 BEGIN IF drop_it IS NOT NULL THEN EXECUTE drop_it; END IF; END",
                literal(&table)
            ))
        );
        sql += &format!("; {drop_key}");
    }
    if !changes.is_empty() {
        sql += &format!("; ALTER TABLE {table} {}", changes.join(", "));
    }
    sql
}

fn key_types(shape: &Shape) -> Vec<(&str, &str)> {
    shape.key().map(|column| (column.name.as_str(), column.sql_type.as_str())).collect()
}

/// Columns that are there already are left as they are.
pub fn add_columns(name: &TableName, shape: &Shape) -> String {
    let add = |column: &Column| format!("ADD COLUMN IF NOT EXISTS {}", definition(column));
    format!("ALTER TABLE {} {}", qualified(name), list(shape.columns.iter().map(add), ", "))
}

pub fn clear(name: &TableName) -> String {
    format!("TRUNCATE ONLY {}", qualified(name))
}

/// Leaves rows from this sequence on without one.
pub fn disown(name: &TableName, from: Sequence) -> String {
    let sequence = identifier(SEQUENCE);
    format!("UPDATE ONLY {} SET {sequence} = NULL WHERE {sequence} >= {from}", qualified(name))
}

/// A row without a sequence was put there by somebody else.
pub fn sweep(name: &TableName, before: Sequence) -> String {
    let sequence = identifier(SEQUENCE);
    format!("DELETE FROM ONLY {} WHERE {sequence} < {before} OR {sequence} IS NULL", qualified(name))
}

/// A copy of the table's columns to put many rows into first.
pub fn create_stage(stage: &str, name: &TableName) -> String {
    format!("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DELETE ROWS", identifier(stage), qualified(name))
}

/// `source`: rows of [`columns`], as VALUES or SELECT. Whole rows, whatever is there.
pub fn upsert(name: &TableName, shape: &Shape, source: &str) -> String {
    let set = |column: String| format!("{column} = EXCLUDED.{column}");
    // A key's text may be another though the server calls the two equal: 1.0 and 1.00.
    let settable = |column: &&Column| !column.key || !is_exact(column);
    let own = [SEQUENCE, COMMITTED_AT].map(identifier);
    let sets = shape.columns.iter().filter(settable).map(|column| identifier(&column.name)).chain(own).map(set);
    let (table, columns, key) = (qualified(name), columns(shape), key(shape));
    format!("INSERT INTO {table} ({columns}) {source} ON CONFLICT ({key}) DO UPDATE SET {}", list(sets, ", "))
}

/// Whether equal values of the column's type have one text.
fn is_exact(column: &Column) -> bool {
    use Scalar::{Bool, Bytes, Date, Instant, Int32, Int64, LocalDateTime, String, Time, UInt32, UInt64};
    let ValueType::Scalar(scalar) = column.value_type().unwrap_or(ValueType::Scalar(Scalar::Other)) else {
        return false;
    };
    matches!(scalar, Bool | Int32 | Int64 | UInt32 | UInt64 | String | Bytes | Date | Time | LocalDateTime | Instant)
}

pub fn append(name: &TableName, shape: &Shape, source: &str) -> String {
    format!("INSERT INTO {} ({}) {source}", qualified(name), columns(shape))
}

pub fn copy(table: &str, columns: &str) -> String {
    format!("COPY {table} ({columns}) FROM STDIN")
}

pub fn delete_staged(name: &TableName, shape: &Shape, stage: &str) -> String {
    let same = |column: &Column| format!("t.{0} = s.{0}", identifier(&column.name));
    let matches = list(shape.key().map(same), " AND ");
    format!("DELETE FROM ONLY {} t USING {} s WHERE {matches}", qualified(name), identifier(stage))
}

/// `keys`: brackets around each key's literals where it has several columns.
pub fn delete_listed(name: &TableName, shape: &Shape, keys: &[String]) -> String {
    format!("DELETE FROM ONLY {} WHERE ({}) IN ({})", qualified(name), key(shape), keys.join(", "))
}

pub fn key_columns(shape: &Shape) -> String {
    key(shape)
}

/// Names and cells, `None` for null: what a row has, or is to have.
pub type Cells<'a> = Vec<(&'a Column, Option<&'a str>)>;

pub fn update(name: &TableName, set: &Cells<'_>, own: &str, row: &str) -> String {
    let mut sql = format!("UPDATE ONLY {} SET ", qualified(name));
    for (column, cell) in set {
        sql += &identifier(&column.name);
        sql += " = ";
        put_literal(*cell, &mut sql);
        sql += ", ";
    }
    sql + own + " WHERE " + row
}

/// Our own two columns set.
pub fn own(sequence: Sequence, committed_at: &str) -> String {
    format!("{} = {sequence}, {} = '{committed_at}'", identifier(SEQUENCE), identifier(COMMITTED_AT))
}

/// Which row: by its key.
pub fn with_key(key: &Cells<'_>) -> String {
    let condition = |(column, cell): &(&Column, Option<&str>)| {
        let mut condition = format!("{} = ", identifier(&column.name));
        put_literal(*cell, &mut condition);
        condition
    };
    list(key.iter().map(condition), " AND ")
}

/// Which row: one of those that are exactly this, by the server's own text, since not every type can be compared.
pub fn one_exactly(name: &TableName, cells: &Cells<'_>) -> String {
    let condition = |(column, cell): &(&Column, Option<&str>)| {
        let column = identifier(&column.name);
        let Some(cell) = cell else { return format!("{column} IS NULL") };
        let mut condition = format!("{column}::text = (");
        put_literal(Some(cell), &mut condition);
        condition
    };
    let typed = |part: &(&Column, Option<&str>)| {
        let condition = condition(part);
        if part.1.is_some() { format!("{condition}::{})::text", part.0.sql_type) } else { condition }
    };
    let conditions = list(cells.iter().map(typed), " AND ");
    format!("ctid = (SELECT ctid FROM ONLY {} WHERE {conditions} LIMIT 1)", qualified(name))
}

pub fn delete(name: &TableName, row: &str) -> String {
    format!("DELETE FROM ONLY {} WHERE {row}", qualified(name))
}

/// Takes the row `new` out of the way of `old`, where both are there and two: equal keys can have several texts.
pub fn make_way(name: &TableName, old: &str, new: &str) -> String {
    let table = qualified(name);
    format!("DELETE FROM ONLY {table} WHERE {new} AND NOT ({old}) AND EXISTS (SELECT FROM ONLY {table} WHERE {old})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, sql_type: &str, scalar: Scalar, key: bool) -> Column {
        Column {
            name: name.into(),
            number: 1,
            declared: sql_type.into(),
            sql_type: sql_type.into(),
            value_type: ValueType::Scalar(scalar).number(),
            key,
        }
    }

    fn shape() -> Shape {
        let columns =
            vec![column("id", "numeric", Scalar::Decimal, true), column("Odd \"name", "text", Scalar::String, false)];
        Shape { columns, whole_rows: false, policy: String::new() }
    }

    #[test]
    fn odd_names_are_quoted_and_a_key_that_has_several_texts_is_set_too() {
        let name = TableName::new("erp", "order");
        let sql = upsert(&name, &shape(), "SELECT 1");
        assert!(
            sql.starts_with("INSERT INTO \"erp\".\"order\" (\"id\", \"Odd \"\"name\", \"_tailwater_sequence\""),
            "{sql}"
        );
        assert!(sql.contains("DO UPDATE SET \"id\" = EXCLUDED.\"id\", \"Odd \"\"name\" ="), "{sql}");
    }

    #[test]
    fn a_table_is_remade_in_place() {
        let name = TableName::new("erp", "t");
        let new = Shape {
            columns: vec![column("id", "bigint", Scalar::Int64, true), column("b", "text", Scalar::String, false)],
            whole_rows: false,
            policy: String::new(),
        };
        let sql = remake(&name, &shape(), &new);
        let places: Vec<_> = [
            "TRUNCATE",
            "DROP CONSTRAINT",
            "ALTER COLUMN \"id\" TYPE bigint USING NULL",
            "DROP COLUMN \"Odd",
            "ADD COLUMN \"b\" text",
            "ADD PRIMARY KEY (\"id\")",
        ]
        .iter()
        .map(|part| sql.find(part))
        .collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{sql}");
        assert_eq!(remake(&name, &shape(), &shape()), "TRUNCATE ONLY \"erp\".\"t\"");
    }
}
