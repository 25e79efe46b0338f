//! Columns added to a table that was copied. `ADD COLUMN … DEFAULT` gives every row a value without an event: only a new
//! copy tells it to those who have the rows already.
//!
//! The table as the server has it is compared with the version that its copy read, not with the newest one: a change that
//! came since may have described the new columns already, and still says nothing of the other rows.

use crate::journal::{CopyState, Journal};
use crate::model::name::SystemName;
use crate::model::schema::{TableSchema, TableShape};
use std::sync::Arc;

/// Tables of a system whose newest copy is done, as it read them.
pub fn copied(journal: &Journal, system: &SystemName) -> Vec<Arc<TableSchema>> {
    let done = journal.copies().into_iter().filter(|copy| copy.system == *system && copy.state == CopyState::Done);
    done.filter_map(|copy| journal.schema(copy.schema?)).collect()
}

/// Whether every column is there as it was, and others beside them.
pub fn has_only_more(copied: &TableSchema, now: &TableShape) -> bool {
    let stays = copied.columns.iter().all(|column| now.columns.contains(&column.shape));
    stays && now.columns.len() > copied.columns.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::TableName;
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
            origin: "".into(),
        };
        let more = |columns: &[(&str, &str)]| {
            let columns = columns.iter().map(|(name, declared)| shape(name, declared)).collect();
            has_only_more(
                &copied,
                &TableShape { name: copied.name.clone(), identity: Identity::Key, columns, origin: "".into() },
            )
        };
        assert!(more(&[("a", "int4"), ("b", "int4"), ("c", "int4")]));
        assert!(!more(&[("a", "int4"), ("b", "int4")]));
        assert!(!more(&[("a", "int4"), ("b", "int8"), ("c", "int4")]));
        assert!(!more(&[("a", "int4"), ("c", "int4"), ("d", "int4")]));
    }
}
