//! What a table of the target looks like, and what another version of its source's table would mean for it.
//!
//! Types come from the source's declared types (`types`), never from protobuf. Surprise: a type that the target cannot be
//! expected to have (an enum, a composite, an extension's) becomes `text` there, with the server's text exactly as it was.

use super::types::sql_type;
use crate::model::schema::{Identity, TableSchema};
use crate::model::value_type::ValueType;
use serde::{Deserialize, Serialize};

/// Columns of our own in every table.
pub const SEQUENCE: &str = "_tailwater_sequence";
pub const COMMITTED_AT: &str = "_tailwater_committed_at";
/// No source column may start so.
pub const OWN_PREFIX: &str = "_tailwater_";

/// A table of the target, without our own columns. Serialised in the target itself: names are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shape {
    pub columns: Vec<Column>,
    /// Updates and deletes name the whole row, for want of a key.
    #[serde(default)]
    pub whole_rows: bool,
    /// By what its rows and columns were chosen; empty: they are whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// The field's number in rows.
    pub number: u32,
    /// At the source.
    pub declared: String,
    /// At the target.
    pub sql_type: String,
    /// How values travel: [`ValueType::number`].
    pub value_type: u8,
    pub key: bool,
}

impl Column {
    /// `None`: a later version wrote this.
    pub fn value_type(&self) -> Option<ValueType> {
        ValueType::from_number(self.value_type)
    }
}

/// What another version of the source's table means for the target's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    None,
    /// Columns that only were added.
    Added(Vec<Column>),
    /// A rename, a drop, another type or key: why.
    Other(String),
}

impl Shape {
    /// # Errors
    /// The name of a column that meets ours.
    pub fn of(schema: &TableSchema) -> Result<Self, String> {
        let columns = schema.columns.iter().map(|column| Column {
            name: column.shape.name.to_string(),
            number: column.number,
            declared: column.shape.declared_type.to_string(),
            sql_type: sql_type(&column.shape),
            value_type: column.shape.value_type.number(),
            key: column.shape.key,
        });
        let columns: Vec<_> = columns.collect();
        match columns.iter().find(|column| column.name.starts_with(OWN_PREFIX)) {
            Some(column) => Err(column.name.clone()),
            None => {
                let whole_rows = schema.identity == Identity::Full && !columns.iter().any(|column| column.key);
                Ok(Self { columns, whole_rows, policy: String::new() })
            }
        }
    }

    pub fn key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.key)
    }

    pub fn is_keyed(&self) -> bool {
        self.key().next().is_some()
    }

    /// From this to `newer`.
    pub fn difference(&self, newer: &Shape) -> Difference {
        for column in &self.columns {
            let Some(now) = newer.columns.iter().find(|now| now.name == column.name) else {
                return Difference::Other(format!("column {:?} was dropped or renamed", column.name));
            };
            if now.declared != column.declared {
                let (before, now) = (&column.declared, &now.declared);
                return Difference::Other(format!("column {:?} was {before} and is {now}", column.name));
            }
            if now.number != column.number {
                return Difference::Other(format!("column {:?} was dropped and added again", column.name));
            }
            if now.key != column.key {
                return Difference::Other(format!("the key is another: column {:?}", column.name));
            }
        }
        let is_new = |column: &&Column| !self.columns.iter().any(|known| known.name == column.name);
        let added: Vec<_> = newer.columns.iter().filter(is_new).cloned().collect();
        match added.iter().find(|column| column.key) {
            Some(column) => Difference::Other(format!("the key is another: column {:?} was added to it", column.name)),
            None if added.is_empty() => Difference::None,
            None => Difference::Added(added),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::{SystemName, TableName};
    use crate::model::schema::{self, ColumnShape, SchemaId};
    use crate::model::value_type::Scalar;

    fn shape(columns: &[(&str, u32, &str, bool)]) -> Shape {
        let columns = columns.iter().map(|(name, number, declared, key)| schema::Column {
            shape: ColumnShape {
                name: (*name).into(),
                value_type: ValueType::Scalar(if declared.contains('.') { Scalar::Other } else { Scalar::String }),
                declared_type: (*declared).into(),
                key: *key,
            },
            number: *number,
            field: "".into(),
        });
        let schema = TableSchema {
            id: SchemaId(1),
            system: SystemName::new("erp").expect("a name"),
            name: TableName::new("s", "t"),
            identity: Identity::Key,
            columns: columns.collect(),
            type_name: "".into(),
            reserved: vec![],
            origin: "".into(),
        };
        Shape::of(&schema).expect("no clash")
    }

    #[test]
    fn added_columns_are_followed_and_anything_else_is_told() {
        let before = shape(&[("id", 1, "bigint", true), ("a", 2, "text", false)]);
        assert_eq!(before.difference(&before), Difference::None);
        let reordered = shape(&[("a", 2, "text", false), ("id", 1, "bigint", true)]);
        assert_eq!(before.difference(&reordered), Difference::None);
        let added = shape(&[("id", 1, "bigint", true), ("a", 2, "text", false), ("b", 3, "public.mood", false)]);
        let Difference::Added(columns) = before.difference(&added) else { panic!("added") };
        assert_eq!((columns.len(), columns[0].sql_type.as_str()), (1, "text"));
        for (newer, told) in [
            (shape(&[("id", 1, "bigint", true)]), "dropped or renamed"),
            (shape(&[("id", 1, "bigint", true), ("b", 3, "text", false)]), "\"a\" was dropped or renamed"),
            (shape(&[("id", 1, "bigint", true), ("a", 3, "integer", false)]), "was text and is integer"),
            (shape(&[("id", 1, "bigint", true), ("a", 3, "text", false)]), "added again"),
            (shape(&[("id", 1, "bigint", true), ("a", 2, "text", true)]), "the key is another"),
            (shape(&[("id", 1, "bigint", true), ("a", 2, "text", false), ("b", 3, "text", true)]), "added to it"),
        ] {
            let Difference::Other(why) = before.difference(&newer) else { panic!("{newer:?}") };
            assert!(why.contains(told), "{why}");
        }
    }

    #[test]
    fn a_shape_reads_back_from_what_is_kept_in_the_target() {
        let kept = r#"{"columns":[{"name":"id","number":1,"declared":"bigint","sql_type":"bigint","value_type":8,"key":true}]}"#;
        let read: Shape = serde_json::from_str(kept).expect("reads");
        assert_eq!(read, shape(&[("id", 1, "bigint", true)]));
    }
}
