//! The servers' types: how their values travel and what they become in a target. The one table that decoders, protobuf
//! messages, targets and the published page (`docs/types.md`) go by. What is not here travels as
//! the server's text from PostgreSQL, and halts a source of MySQL or MariaDB.

use super::value_type::Scalar;

/// A type of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerType {
    /// PostgreSQL: `pg_type.typname`. MySQL and MariaDB: the word that the declared type begins with, and ` unsigned` where
    /// that makes another type.
    pub name: &'static str,
    pub scalar: Scalar,
    pub target: Target,
    /// What people should know of its values; empty: exact, nothing special.
    pub note: &'static str,
}

/// The type of a column in a PostgreSQL target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// As the source declares it.
    Same,
    Is(&'static str),
    /// What the source has in brackets follows.
    With(&'static str),
    /// Digits of a second follow, 0 where the source says none; then the rest of the name.
    Digits(&'static str, &'static str),
    /// `character varying` of the source's length, `text` where that is 0.
    Varying,
}

const INFINITE: &str = "`infinity` and `-infinity` are special values";
const ZERO_DATES: &str = "dates with a zero in them, and such as the calendar does not have, are special values with their text; \
     PostgreSQL has none for them, so there they halt the table";

const fn same(name: &'static str, scalar: Scalar, note: &'static str) -> ServerType {
    ServerType { name, scalar, target: Target::Same, note }
}

const fn into(name: &'static str, scalar: Scalar, target: Target, note: &'static str) -> ServerType {
    ServerType { name, scalar, target, note }
}

pub const POSTGRES: &[ServerType] = &[
    same("bool", Scalar::Bool, ""),
    same("int2", Scalar::Int32, ""),
    same("int4", Scalar::Int32, ""),
    same("int8", Scalar::Int64, ""),
    same("oid", Scalar::UInt32, ""),
    same("xid", Scalar::UInt32, ""),
    same("cid", Scalar::UInt32, ""),
    same("float4", Scalar::Float, "NaN and both infinities; -0 stays -0"),
    same("float8", Scalar::Double, "NaN and both infinities; -0 stays -0"),
    same("numeric", Scalar::Decimal, "every digit and the scale; `NaN`, `infinity` and `-infinity` are special values"),
    same("text", Scalar::String, ""),
    same("varchar", Scalar::String, ""),
    same("bpchar", Scalar::String, "with the blanks that pad it"),
    same("name", Scalar::String, ""),
    same("char", Scalar::String, ""),
    same("uuid", Scalar::String, "as the server prints it"),
    same("xml", Scalar::String, "as the server prints it"),
    same("bytea", Scalar::Bytes, ""),
    same("date", Scalar::Date, INFINITE),
    same("time", Scalar::Time, "24:00 too"),
    same("timetz", Scalar::TimeWithOffset, "24:00 too"),
    same("timestamp", Scalar::LocalDateTime, INFINITE),
    same("timestamptz", Scalar::Instant, INFINITE),
    same(
        "interval",
        Scalar::Interval,
        "months, days and microseconds apart; `infinity` and `-infinity` (17) are special values",
    ),
    same("json", Scalar::Json, "the text as it was written"),
    same("jsonb", Scalar::Json, "the text as the server prints it"),
    same("bit", Scalar::Bits, ""),
    same("varbit", Scalar::Bits, ""),
];

/// MySQL's and MariaDB's.
pub const MYSQL: &[ServerType] = &[
    into("tinyint", Scalar::Int32, Target::Is("smallint"), "`tinyint(1)` is a number like any other"),
    into("tinyint unsigned", Scalar::UInt32, Target::Is("smallint"), ""),
    same("smallint", Scalar::Int32, ""),
    into("smallint unsigned", Scalar::UInt32, Target::Is("integer"), ""),
    into("mediumint", Scalar::Int32, Target::Is("integer"), ""),
    into("mediumint unsigned", Scalar::UInt32, Target::Is("integer"), ""),
    into("int", Scalar::Int32, Target::Is("integer"), ""),
    into("int unsigned", Scalar::UInt32, Target::Is("bigint"), ""),
    same("bigint", Scalar::Int64, ""),
    into("bigint unsigned", Scalar::UInt64, Target::Is("numeric(20,0)"), ""),
    into("year", Scalar::Int32, Target::Is("smallint"), "0000 is 0"),
    into(
        "decimal",
        Scalar::Decimal,
        Target::With("numeric"),
        "every digit and the scale, without the zeros of ZEROFILL",
    ),
    into("float", Scalar::Float, Target::Is("real"), "the bits that the server stores, not the digits that it prints"),
    into("double", Scalar::Double, Target::Is("double precision"), ""),
    same("bit", Scalar::Bits, ""),
    same("date", Scalar::Date, ZERO_DATES),
    into("time", Scalar::Time, Target::Is("interval"), "a span of up to 838 hours of either sign"),
    into("datetime", Scalar::LocalDateTime, Target::Digits("timestamp", " without time zone"), ZERO_DATES),
    into("timestamp", Scalar::Instant, Target::Digits("timestamp", " with time zone"), ZERO_DATES),
    into("char", Scalar::String, Target::Varying, "without the blanks that pad it, as the server gives it"),
    into("varchar", Scalar::String, Target::Varying, ""),
    into("tinytext", Scalar::String, Target::Is("text"), ""),
    same("text", Scalar::String, ""),
    into("mediumtext", Scalar::String, Target::Is("text"), ""),
    into("longtext", Scalar::String, Target::Is("text"), ""),
    into("enum", Scalar::String, Target::Is("text"), "the label; the empty text for what was no label"),
    into("set", Scalar::String, Target::Is("text"), "the labels with commas, as the server prints it"),
    same("json", Scalar::Json, "MySQL's: the text as the server prints it. MariaDB's is a LONGTEXT"),
    into("binary", Scalar::Bytes, Target::Is("bytea"), "with the zeros that pad it"),
    into("varbinary", Scalar::Bytes, Target::Is("bytea"), ""),
    into("tinyblob", Scalar::Bytes, Target::Is("bytea"), ""),
    into("blob", Scalar::Bytes, Target::Is("bytea"), ""),
    into("mediumblob", Scalar::Bytes, Target::Is("bytea"), ""),
    into("longblob", Scalar::Bytes, Target::Is("bytea"), ""),
    into(
        "vector",
        Scalar::Bytes,
        Target::Is("bytea"),
        "as the server stores it: floats of 4 bytes, little-endian; MariaDB's are declared as `varbinary`",
    ),
    into("geometry", Scalar::Bytes, Target::Is("bytea"), GEOMETRY),
    into("point", Scalar::Bytes, Target::Is("bytea"), GEOMETRY),
    into("linestring", Scalar::Bytes, Target::Is("bytea"), GEOMETRY),
    into("polygon", Scalar::Bytes, Target::Is("bytea"), GEOMETRY),
    into("multipoint", Scalar::Bytes, Target::Is("bytea"), GEOMETRY),
    into("multilinestring", Scalar::Bytes, Target::Is("bytea"), GEOMETRY),
    into("multipolygon", Scalar::Bytes, Target::Is("bytea"), GEOMETRY),
    into("geomcollection", Scalar::Bytes, Target::Is("bytea"), GEOMETRY),
    same("uuid", Scalar::String, "MariaDB's"),
    into("inet4", Scalar::String, Target::Is("text"), "MariaDB's, as the server prints it"),
    into("inet6", Scalar::String, Target::Is("text"), "MariaDB's, as the server prints it"),
];

const GEOMETRY: &str = "as the server stores it: 4 bytes of SRID, little-endian, then WKB";

/// PostgreSQL's type of this name.
pub fn postgres(name: &str) -> Option<&'static ServerType> {
    POSTGRES.iter().find(|known| known.name == name)
}

/// MySQL's or MariaDB's type, and what the declared one has in brackets, with them. `None` also for what reads like a type of
/// PostgreSQL, such as `time without time zone`.
pub fn mysql(declared: &str) -> Option<(&'static ServerType, &str)> {
    let (bare, sign) = match declared.strip_suffix(" unsigned") {
        Some(bare) => (bare, " unsigned"),
        None => (declared, ""),
    };
    let (word, brackets) = bare.split_at(bare.find('(').unwrap_or(bare.len()));
    if !brackets.is_empty() && !brackets.ends_with(')') {
        return None;
    }
    let is_it = |known: &&ServerType| known.name.strip_prefix(word) == Some(sign);
    let found = MYSQL.iter().find(is_it).or_else(|| MYSQL.iter().find(|known| known.name == word))?;
    Some((found, brackets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_declared_type_is_found_with_its_sign_and_its_brackets() {
        let found = |declared| mysql(declared).map(|(found, brackets)| (found.name, brackets));
        assert_eq!(found("bigint unsigned"), Some(("bigint unsigned", "")));
        assert_eq!(found("decimal(12,2) unsigned"), Some(("decimal", "(12,2)")));
        assert_eq!(found("enum('a (b)','c unsigned')"), Some(("enum", "('a (b)','c unsigned')")));
        assert_eq!(found("double"), Some(("double", "")));
        for postgres in ["double precision", "time without time zone", "timestamp(3) with time zone", "bit varying(5)"]
        {
            assert_eq!(found(postgres), None, "{postgres}");
        }
        assert_eq!(found("nothing"), None);
    }

    #[test]
    fn no_type_stands_there_twice() {
        for types in [POSTGRES, MYSQL] {
            let names: HashSet<_> = types.iter().map(|known| known.name).collect();
            assert_eq!(names.len(), types.len());
        }
    }
}
