//! Columns added to a table that was copied. `ADD COLUMN … DEFAULT` gives every row a value without an event: only a new
//! copy tells it to those who have the rows already.
//!
//! The table as the server has it is compared with the version that its copy read, not with the newest one: a change that
//! came since may have described the new columns already, and still says nothing of the other rows.

use super::catalogue;
use super::fault::Fault;
use super::simple_query::{Connection, Row};
use crate::journal::{CopyState, Journal};
use crate::model::name::{SystemName, TableName};
use crate::model::schema::{TableSchema, TableShape};
use std::collections::HashMap;

/// Asks for a new copy of each copied table that has got columns since. Once: what the new copy reads has them.
///
/// # Errors
/// Those of the connection, and [`Fault::Journal`].
pub async fn copy_again(connection: &mut Connection, journal: &Journal, system: &SystemName) -> Result<(), Fault> {
    let done = journal.copies().into_iter().filter(|copy| copy.system == *system && copy.state == CopyState::Done);
    let copied: Vec<_> = done.filter_map(|copy| journal.schema(copy.schema?)).collect();
    if copied.is_empty() {
        return Ok(());
    }
    let columns = connection.query(COLUMNS).await?.iter().map(count).collect::<Result<HashMap<_, _>, Fault>>()?;
    for schema in copied {
        // Most tables have as many as before, and are not looked at more closely.
        if columns.get(&schema.name).is_none_or(|count| *count <= schema.columns.len()) {
            continue;
        }
        let Some(shape) = catalogue::shape(connection, &schema.name).await? else { continue };
        if has_only_more(&schema, &shape) {
            tracing::info!(%system, table = %schema.name, "columns were added: the table is copied anew");
            journal.request_copy(system, &schema.name, journal.bounds().durable).await?;
        }
    }
    Ok(())
}

const COLUMNS: &str = "SELECT n.nspname, c.relname, count(*) FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
     WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' GROUP BY 1, 2";

fn count(row: &Row) -> Result<(TableName, usize), Fault> {
    match (row.text(0), row.text(1)) {
        (Some(schema), Some(table)) => Ok((TableName::new(schema, table), row.some(2)?)),
        _ => Err(Fault::Protocol("a table without a name")),
    }
}

/// Whether every column is there as it was, and others beside them.
fn has_only_more(copied: &TableSchema, now: &TableShape) -> bool {
    let stays = copied.columns.iter().all(|column| now.columns.contains(&column.shape));
    stays && now.columns.len() > copied.columns.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schema::{Column, ColumnShape, Identity, SchemaId};
    use crate::model::value_type::{Scalar, ValueType};

    fn shape(name: &str, declared: &str) -> ColumnShape {
        let value_type = ValueType::Scalar(Scalar::Int32);
        ColumnShape { name: name.into(), value_type, declared_type: declared.into(), key: false }
    }

    #[test]
    fn only_a_table_that_has_all_it_had_and_more_is_copied_for_it() {
        let column = |(number, name)| Column { shape: shape(name, "int4"), number, field: name.into() };
        let copied = TableSchema {
            id: SchemaId(1),
            system: SystemName::new("erp").expect("a name"),
            name: TableName::new("public", "t"),
            identity: Identity::Key,
            columns: [(1, "a"), (2, "b")].map(column).to_vec(),
            type_name: "tailwater.erp.public.T".into(),
            reserved: Vec::new(),
        };
        let more = |columns: &[(&str, &str)]| {
            let columns = columns.iter().map(|(name, declared)| shape(name, declared)).collect();
            has_only_more(&copied, &TableShape { name: copied.name.clone(), identity: Identity::Key, columns })
        };
        assert!(more(&[("a", "int4"), ("b", "int4"), ("c", "int4")]));
        assert!(!more(&[("a", "int4"), ("b", "int4")]));
        assert!(!more(&[("a", "int4"), ("b", "int8"), ("c", "int4")]));
        assert!(!more(&[("a", "int4"), ("c", "int4"), ("d", "int4")]));
    }
}
