//! Which type a column has in the target, by the type that its source declares.
//!
//! By the one table for all sources (`model::types`): the names that PostgreSQL prints and those of MySQL and MariaDB never mean
//! two things, but for geometries, which travel as another kind of value. Surprises: MySQL's TIME is a span, so an interval; its
//! JSON becomes `json`, because `jsonb` takes no U+0000; its CHAR is `varchar`, since MySQL strips what `character` pads.

use crate::model::schema::ColumnShape;
use crate::model::types::{self, Target};
use crate::model::value_type::{Scalar, ValueType};

/// The column's type in the target.
pub fn sql_type(column: &ColumnShape) -> String {
    let declared = &*column.declared_type;
    match column.value_type {
        ValueType::Scalar(Scalar::Other) if is_of_somebodys_making(declared) => "text".to_owned(),
        ValueType::Scalar(scalar) => match types::mysql(declared) {
            Some((known, brackets)) if known.scalar == scalar => of(known.target, declared, brackets),
            _ => declared.to_owned(),
        },
        ValueType::Array(_) => declared.to_owned(),
    }
}

/// A name with a schema is of somebody's own making; the others look things up in a catalogue that is not the source's.
fn is_of_somebodys_making(declared: &str) -> bool {
    declared.contains('.')
        || declared.starts_with("oid ")
        || ["reg", "aclitem", "pg_"].iter().any(|start| declared.starts_with(start))
}

fn of(target: Target, declared: &str, brackets: &str) -> String {
    match target {
        Target::Same => declared.to_owned(),
        Target::Is(name) => name.to_owned(),
        Target::With(name) => format!("{name}{brackets}"),
        Target::Digits(name, rest) if brackets.is_empty() => format!("{name}(0){rest}"),
        Target::Digits(name, rest) => format!("{name}{brackets}{rest}"),
        Target::Varying if brackets == "(0)" => "text".to_owned(),
        Target::Varying => format!("character varying{brackets}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(declared: &str, scalar: Scalar) -> String {
        sql_type(&ColumnShape {
            name: "c".into(),
            value_type: ValueType::Scalar(scalar),
            declared_type: declared.into(),
            key: false,
        })
    }

    #[test]
    fn postgres_types_stay_what_they_are_but_for_those_of_somebodys_making() {
        for (declared, scalar) in [
            ("numeric(12,2)", Scalar::Decimal),
            ("character varying(40)", Scalar::String),
            ("character(3)", Scalar::String),
            ("double precision", Scalar::Double),
            ("timestamp(3) without time zone", Scalar::LocalDateTime),
            ("timestamp with time zone", Scalar::Instant),
            ("time(3) with time zone", Scalar::TimeWithOffset),
            ("time without time zone", Scalar::Time),
            ("bit varying(5)", Scalar::Bits),
            ("point", Scalar::Other),
            ("\"char\"", Scalar::Other),
        ] {
            assert_eq!(of(declared, scalar), declared);
        }
        let value_type = ValueType::Array(Scalar::Double);
        let declared_type = "double precision[]".into();
        assert_eq!(
            sql_type(&ColumnShape { name: "c".into(), value_type, declared_type, key: false }),
            "double precision[]"
        );
        for declared in ["public.mood", "regclass", "oid 4711", "pg_lsn"] {
            assert_eq!(of(declared, Scalar::Other), "text", "{declared}");
        }
    }

    #[test]
    fn mysql_types_become_ones_that_hold_each_of_their_values() {
        for (declared, scalar, expected) in [
            ("tinyint", Scalar::Int32, "smallint"),
            ("tinyint unsigned", Scalar::UInt32, "smallint"),
            ("smallint unsigned", Scalar::UInt32, "integer"),
            ("mediumint unsigned", Scalar::UInt32, "integer"),
            ("int", Scalar::Int32, "integer"),
            ("int unsigned", Scalar::UInt32, "bigint"),
            ("bigint", Scalar::Int64, "bigint"),
            ("bigint unsigned", Scalar::UInt64, "numeric(20,0)"),
            ("decimal(65,30) unsigned", Scalar::Decimal, "numeric(65,30)"),
            ("float unsigned", Scalar::Float, "real"),
            ("double", Scalar::Double, "double precision"),
            ("year", Scalar::Int32, "smallint"),
            ("date", Scalar::Date, "date"),
            ("time(3)", Scalar::Time, "interval"),
            ("datetime", Scalar::LocalDateTime, "timestamp(0) without time zone"),
            ("timestamp(6)", Scalar::Instant, "timestamp(6) with time zone"),
            ("char(0)", Scalar::String, "text"),
            ("char(36)", Scalar::String, "character varying(36)"),
            ("varchar(255)", Scalar::String, "character varying(255)"),
            ("enum('a (b)','timestamp')", Scalar::String, "text"),
            ("bit(11)", Scalar::Bits, "bit(11)"),
            ("json", Scalar::Json, "json"),
            ("binary(16)", Scalar::Bytes, "bytea"),
            ("point", Scalar::Bytes, "bytea"),
            ("uuid", Scalar::String, "uuid"),
            ("inet6", Scalar::String, "text"),
        ] {
            assert_eq!(of(declared, scalar), expected, "{declared}");
        }
    }
}
