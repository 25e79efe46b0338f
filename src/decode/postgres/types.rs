//! PostgreSQL's types as its log names them, onto the table of `model::types`.
//!
//! Built-in types are known by OID; the others by the name that a Type message gives them, which for a domain is that of
//! its base type. What has no typed form travels as the server's text with the type's name.

use super::message::{Relation, RelationColumn};
use crate::model::name::TableName;
use crate::model::schema::{ColumnShape, Identity, TableShape};
use crate::model::types;
use crate::model::value_type::{Scalar, ValueType};
use postgres_types::Type;
use std::collections::HashMap;

/// Names of types beyond the built-in ones, as pgoutput's Type messages teach them. Domains come as their base type.
#[derive(Debug, Default)]
pub struct TypeNames {
    by_oid: HashMap<u32, String>,
}

impl TypeNames {
    pub fn learn(&mut self, oid: u32, schema: &str, name: &str) {
        let name = if schema == "pg_catalog" { name.to_owned() } else { format!("{schema}.{name}") };
        self.by_oid.insert(oid, name);
    }

    /// `int4`, `_text`, `public.mood`; the bare OID for a type nobody has named.
    fn name(&self, oid: u32) -> String {
        match (self.by_oid.get(&oid), Type::from_oid(oid)) {
            (Some(name), _) => name.clone(),
            (None, Some(builtin)) => builtin.name().to_owned(),
            (None, None) => format!("oid {oid}"),
        }
    }
}

/// By what a table's rows are told apart, where the catalogue knows it better than a Relation message says it: a message's
/// key flags mean nothing under FULL, and leave a generated column of the key out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub identity: Identity,
    /// Names of the key's columns, in any order.
    pub key: Vec<String>,
}

/// What a Relation message says of its table. `judged` takes the place of its replica identity and key flags.
pub fn shape(relation: &Relation<'_>, names: &TypeNames, judged: Option<&Judged>) -> TableShape {
    let columns = relation.columns.iter().map(|column| column_shape(column, names, judged)).collect::<Vec<_>>();
    let identity = match (judged, relation.replica_identity) {
        (Some(judged), _) => judged.identity,
        (None, b'f') => Identity::Full,
        (None, _) if columns.iter().any(|column| column.key) => Identity::Key,
        (None, _) => Identity::Nothing,
    };
    TableShape { name: TableName::new(relation.schema, relation.table), identity, columns, origin: "".into() }
}

fn column_shape(column: &RelationColumn<'_>, names: &TypeNames, judged: Option<&Judged>) -> ColumnShape {
    let type_name = names.name(column.type_oid);
    ColumnShape {
        name: column.name.into(),
        value_type: value_type(&type_name),
        declared_type: declared(&type_name, column.modifier).into(),
        key: judged.map_or(column.key, |judged| judged.key.iter().any(|name| name == column.name)),
    }
}

/// How values of the type of this name travel.
pub fn value_type(type_name: &str) -> ValueType {
    if let Some(scalar) = scalar(type_name) {
        return ValueType::Scalar(scalar);
    }
    match type_name.strip_prefix('_').and_then(scalar) {
        Some(element) => ValueType::Array(element),
        None => ValueType::Scalar(Scalar::Other),
    }
}

fn scalar(type_name: &str) -> Option<Scalar> {
    types::postgres(type_name).map(|known| known.scalar)
}

/// The type as the server would print it with its modifier (format_type in src/backend/utils/adt/format_type.c).
fn declared(type_name: &str, modifier: i32) -> String {
    if let Some(element) = type_name.strip_prefix('_') {
        return format!("{}[]", declared(element, modifier));
    }
    // Variable-length types count their four-byte header into the modifier.
    let length = modifier.saturating_sub(4);
    match (type_name, modifier) {
        ("numeric", 4..) => {
            // The scale is a signed number of eleven bits since PostgreSQL 15.
            let scale = ((length & 0x7FF) ^ 1024).saturating_sub(1024);
            format!("numeric({},{scale})", length >> 16 & 0xFFFF)
        }
        ("varchar", 4..) => format!("character varying({length})"),
        ("bpchar", 4..) => format!("character({length})"),
        ("bit", 0..) => format!("bit({modifier})"),
        ("varbit", 0..) => format!("bit varying({modifier})"),
        ("time", 0..) => format!("time({modifier}) without time zone"),
        ("timetz", 0..) => format!("time({modifier}) with time zone"),
        ("timestamp", 0..) => format!("timestamp({modifier}) without time zone"),
        ("timestamptz", 0..) => format!("timestamp({modifier}) with time zone"),
        _ => long_name(type_name).to_owned(),
    }
}

fn long_name(type_name: &str) -> &str {
    match type_name {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "varchar" => "character varying",
        "bpchar" => "character",
        "varbit" => "bit varying",
        "char" => "\"char\"",
        "time" => "time without time zone",
        "timetz" => "time with time zone",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(replica_identity: u8) -> Relation<'static> {
        let column = |name, key, type_oid, modifier| RelationColumn { name, key, type_oid, modifier };
        Relation {
            id: 1,
            schema: "public",
            table: "orders",
            replica_identity,
            columns: vec![
                column("id", true, 20, -1),
                column("amount", replica_identity == b'f', 1700, (12 << 16 | 2) + 4),
                column("tags", replica_identity == b'f', 1009, -1),
                column("mood", replica_identity == b'f', 70_000, -1),
                column("percent", replica_identity == b'f', 70_001, -1),
            ],
        }
    }

    #[test]
    fn a_relation_becomes_a_shape_with_declared_types() {
        let mut types = TypeNames::default();
        types.learn(70_000, "public", "mood");
        types.learn(70_001, "pg_catalog", "numeric");
        let shape = shape(&relation(b'd'), &types, None);
        let seen: Vec<_> = shape.columns.iter().map(|c| (&*c.declared_type, c.value_type, c.key)).collect();
        assert_eq!(
            seen,
            [
                ("bigint", ValueType::Scalar(Scalar::Int64), true),
                ("numeric(12,2)", ValueType::Scalar(Scalar::Decimal), false),
                ("text[]", ValueType::Array(Scalar::String), false),
                ("public.mood", ValueType::Scalar(Scalar::Other), false),
                ("numeric", ValueType::Scalar(Scalar::Decimal), false),
            ]
        );
        assert_eq!(shape.identity, Identity::Key);
    }

    #[test]
    fn under_full_identity_the_key_is_the_primary_key_and_not_every_column() {
        let judged = Judged { identity: Identity::Full, key: vec!["id".to_owned()] };
        let shape = shape(&relation(b'f'), &TypeNames::default(), Some(&judged));
        assert_eq!(shape.identity, Identity::Full);
        assert_eq!(shape.columns.iter().filter(|column| column.key).count(), 1);
    }

    #[test]
    fn a_numeric_scale_may_be_negative() {
        assert_eq!(declared("numeric", (5 << 16 | (-2 & 0x7FF)) + 4), "numeric(5,-2)");
        assert_eq!(declared("_varchar", 44), "character varying(40)[]");
    }
}
