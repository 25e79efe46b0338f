//! A table on one side, and the SQL that reads it there.
//!
//! What is read of each column, in which order, and how a row is found by its key's texts differs from server to server;
//! what comes out is the same text for the same value.

use super::row::Key;
use crate::model::name::TableName;
use crate::model::value_type::{Scalar, ValueType};
use crate::source::{mysql, postgres};

/// Tailwater's own column of a target's table.
pub const SEQUENCE: &str = "_tailwater_sequence";

/// A range or a page is read in a snapshot of its own, nothing else is.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

#[derive(Debug)]
pub struct Place {
    dialect: Dialect,
    /// As it stands after FROM.
    from: String,
    columns: Vec<Column>,
    /// Where the key's columns stand among them, in key order.
    key: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Postgres,
    Mysql,
}

/// A column in SQL.
#[derive(Debug, Clone)]
pub struct Column {
    /// What is read.
    read: String,
    /// What a text is compared with to find a row.
    found_by: String,
    /// What sorts as the bytes of the text that is read.
    sorted_by: String,
    /// How a text becomes what it is compared with.
    literal: Literal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Literal {
    Text,
    Number,
    Bytes,
    Bits,
    /// Without its zone, which is UTC.
    Instant,
    Microseconds,
    /// The bits of a number.
    Float,
}

impl Column {
    /// Of PostgreSQL. `builtin`: of a type of its own; the operators of others are out of sight, as nothing is on the search path.
    pub fn of_postgres(name: &str, builtin: bool) -> Self {
        let read = postgres::identifier(name);
        let found_by = if builtin { read.clone() } else { format!("pg_catalog.concat({read})") };
        Self::postgres(read, found_by)
    }

    /// Of PostgreSQL, that holds what a column of MySQL does.
    pub fn of_mysql_in_postgres(name: &str, value_type: Option<ValueType>) -> Self {
        let column = postgres::identifier(name);
        let read = match value_type {
            Some(ValueType::Scalar(Scalar::Float)) => format!("pg_catalog.float4send({column})"),
            Some(ValueType::Scalar(Scalar::Double)) => format!("pg_catalog.float8send({column})"),
            Some(ValueType::Scalar(Scalar::Time)) => {
                format!("(EXTRACT(epoch FROM {column}) * 1000000)::pg_catalog.int8")
            }
            _ => column,
        };
        Self::postgres(read.clone(), read)
    }

    fn postgres(read: String, found_by: String) -> Self {
        let sorted_by = format!("pg_catalog.convert_to(pg_catalog.concat({read}), 'UTF8')");
        Self { read, found_by, sorted_by, literal: Literal::Text }
    }

    /// Of MySQL or MariaDB. Where the order is not quite that of the texts, rows are only looked at twice.
    pub fn of_mysql(name: &str, value_type: Option<ValueType>) -> Self {
        let read = mysql::identifier(name);
        let scalar = match value_type {
            Some(ValueType::Scalar(scalar)) => scalar,
            _ => Scalar::String,
        };
        let (sorted_by, literal) = match scalar {
            Scalar::Int32 | Scalar::Int64 | Scalar::UInt32 | Scalar::UInt64 | Scalar::Decimal => {
                (format!("CAST({read} + 0 AS BINARY)"), Literal::Number)
            }
            Scalar::Bytes => (read.clone(), Literal::Bytes),
            Scalar::Bits => (format!("{read} + 0"), Literal::Bits),
            Scalar::Instant => (format!("CAST({read} AS BINARY)"), Literal::Instant),
            Scalar::Time => {
                (format!("CAST(TIME_TO_SEC({read}) * 1000000 + MICROSECOND({read}) AS BINARY)"), Literal::Microseconds)
            }
            Scalar::Float | Scalar::Double => (read.clone(), Literal::Float),
            Scalar::Date | Scalar::LocalDateTime => (format!("CAST({read} AS BINARY)"), Literal::Text),
            _ => (format!("CAST(CONVERT({read} USING utf8mb4) AS BINARY)"), Literal::Text),
        };
        let found_by = if literal == Literal::Float { format!("CAST({read} AS DOUBLE)") } else { read.clone() };
        Self { read, found_by, sorted_by, literal }
    }
}

impl Place {
    /// `only`: without the rows of a table's children, which are tables of their own.
    pub fn in_postgres(table: &TableName, only: bool, columns: Vec<Column>, key: Vec<usize>) -> Self {
        let only = if only { "ONLY " } else { "" };
        let from = format!("{only}{}.{}", postgres::identifier(&table.schema), postgres::identifier(&table.table));
        Self { dialect: Dialect::Postgres, from, columns, key }
    }

    pub fn in_mysql(table: &TableName, columns: Vec<Column>, key: Vec<usize>) -> Self {
        let from = format!("{}.{}", mysql::identifier(&table.schema), mysql::identifier(&table.table));
        Self { dialect: Dialect::Mysql, from, columns, key }
    }

    /// The next rows in key order; all of them from the first without `after`.
    pub fn page(&self, after: Option<&Key>, rows_max: usize) -> String {
        let sql = format!("{} ORDER BY {} LIMIT {rows_max}", self.select_range(after, None), list(self.found_by()));
        self.in_snapshot(sql)
    }

    /// The rows behind `after`, up to `upto` and with it.
    pub fn range(&self, after: Option<&Key>, upto: Option<&Key>) -> String {
        self.in_snapshot(self.select_range(after, upto))
    }

    fn select_range(&self, after: Option<&Key>, upto: Option<&Key>) -> String {
        let after = after.and_then(|bound| self.behind(bound));
        let upto = upto.and_then(|bound| self.up_to(bound));
        let conditions: Vec<_> = after.into_iter().chain(upto).collect();
        let conditions =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        format!("SELECT {} FROM {}{conditions}", self.column_list(), self.from)
    }

    /// A snapshot of one statement is a statement's own in MySQL.
    fn in_snapshot(&self, sql: String) -> String {
        match self.dialect {
            Dialect::Postgres => format!("{SNAPSHOT}; {sql}; COMMIT"),
            Dialect::Mysql => sql,
        }
    }

    fn behind(&self, bound: &Key) -> Option<String> {
        // A bound is a key that the source has given.
        let literals = self.literals(bound)?;
        match self.dialect {
            Dialect::Postgres => Some(format!("({}) > ({})", list(self.found_by()), literals.join(", "))),
            Dialect::Mysql => mysql::behind(&self.found_by().collect::<Vec<_>>(), &literals),
        }
    }

    fn up_to(&self, bound: &Key) -> Option<String> {
        match self.dialect {
            Dialect::Postgres => Some(format!("({}) <= ({})", list(self.found_by()), self.literals(bound)?.join(", "))),
            Dialect::Mysql => self.behind(bound).map(|behind| format!("NOT ({behind})")),
        }
    }

    /// All rows in the order of the key's texts.
    pub fn sorted(&self) -> String {
        let order = self.key_columns().map(|column| column.sorted_by.clone());
        format!("SELECT {} FROM {} ORDER BY {}", self.column_list(), self.from, list(order))
    }

    /// All rows as they come.
    pub fn all(&self) -> String {
        format!("SELECT {} FROM {}", self.column_list(), self.from)
    }

    /// All rows of a target as they come, each with its version, its sequence and where it lies behind its columns.
    pub fn all_with_sequence(&self) -> String {
        format!("SELECT {}, xmin, {SEQUENCE}, ctid FROM {}", self.column_list(), self.from)
    }

    /// All rows in the order of their texts, one cell each; then the row's version, where it lies, and in the target
    /// its sequence. Of equal rows the newest come last. PostgreSQL's alone.
    pub fn bag(&self, is_target: bool) -> String {
        let (sequence, order) =
            if is_target { (SEQUENCE, "sequence NULLS FIRST, lies") } else { ("NULL::pg_catalog.int8", "lies") };
        format!(
            "SELECT whole, version, relation::pg_catalog.text || lies::pg_catalog.text, sequence FROM ( \
                 SELECT ROW({})::pg_catalog.text AS whole, xmin AS version, tableoid::pg_catalog.regclass AS relation, \
                     ctid AS lies, {sequence} AS sequence FROM {}) AS read \
             ORDER BY pg_catalog.convert_to(whole, 'UTF8'), {order}",
            self.column_list(),
            self.from,
        )
    }

    pub fn count(&self) -> String {
        format!("SELECT count(*) FROM {}", self.from)
    }

    /// The rows of these keys, each with its version after its columns, where there is one to be had. A key that this side
    /// cannot hold has no row.
    pub fn lookup<'k>(&self, keys: impl Iterator<Item = &'k Key>) -> String {
        let (columns, from) = (self.column_list(), &self.from);
        match self.dialect {
            Dialect::Postgres => {
                let keys = keys.filter_map(|key| Some(format!("({})", self.literals(key)?.join(", "))));
                format!("SELECT {columns}, xmin FROM {from} WHERE ({}) IN ({})", list(self.found_by()), list(keys))
            }
            // MariaDB finds none by the index where several columns stand in one comparison.
            Dialect::Mysql => {
                let same = |key: &Key| {
                    let parts =
                        self.found_by().zip(self.literals(key)?).map(|(column, text)| format!("{column} = {text}"));
                    Some(format!("({})", parts.collect::<Vec<_>>().join(" AND ")))
                };
                let rows: Vec<_> = keys.filter_map(same).collect();
                let rows = if rows.is_empty() { "FALSE".to_owned() } else { rows.join(" OR ") };
                format!("SELECT {columns} FROM {from} WHERE {rows}")
            }
        }
    }

    fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|place| self.columns.get(*place))
    }

    fn found_by(&self) -> impl Iterator<Item = String> {
        self.key_columns().map(|column| column.found_by.clone())
    }

    /// `None` for a key that this side cannot hold.
    fn literals(&self, key: &Key) -> Option<Vec<String>> {
        self.key_columns().zip(key).map(|(column, text)| column.literal.of(self.dialect, text)).collect()
    }

    fn column_list(&self) -> String {
        list(self.columns.iter().map(|column| column.read.clone()))
    }
}

impl Literal {
    /// The other side's text as this side writes it; `None` where it is of no value of that kind. A target's table is in other
    /// hands, and what it holds must not become a part of a statement on the source unseen.
    fn of(self, dialect: Dialect, text: &str) -> Option<String> {
        if dialect == Dialect::Postgres {
            return Some(postgres::literal(text));
        }
        match self {
            Self::Text => Some(mysql::literal(text)),
            Self::Number => made_of(text, |byte| byte.is_ascii_digit() || b"-.".contains(&byte)).map(str::to_owned),
            Self::Bytes => hex(text).map(|digits| format!("x'{digits}'")),
            Self::Bits => made_of(text, |byte| b"01".contains(&byte)).map(|bits| format!("b'{bits}'")),
            Self::Instant => Some(mysql::literal(text.trim_end_matches("+00"))),
            Self::Microseconds => text.parse().ok().map(span),
            Self::Float => hex(text).and_then(float),
        }
    }
}

fn hex(text: &str) -> Option<&str> {
    made_of(text.strip_prefix("\\x")?, |byte| byte.is_ascii_hexdigit())
}

fn made_of(text: &str, is_fit: impl Fn(u8) -> bool) -> Option<&str> {
    text.bytes().all(is_fit).then_some(text)
}

/// A TIME of so many microseconds.
fn span(micros: i64) -> String {
    let (sign, micros) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    format!("'{sign}{:02}:{:02}:{:02}.{micros:06}'", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A number by its bits in hexadecimal digits, of four bytes or eight; neither an infinity nor NaN.
fn float(digits: &str) -> Option<String> {
    let number = match digits.len() {
        8 => f64::from(f32::from_bits(u32::from_str_radix(digits, 16).ok()?)),
        _ => f64::from_bits(u64::from_str_radix(digits, 16).ok()?),
    };
    number.is_finite().then(|| format!("{number:e}"))
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(scalar: Scalar) -> Option<ValueType> {
        Some(ValueType::Scalar(scalar))
    }

    #[test]
    fn a_row_of_mysql_is_found_by_what_each_part_of_its_key_is() {
        for (of, text, expected) in [
            (Scalar::UInt64, "18446744073709551615", "`k` = 18446744073709551615"),
            (Scalar::String, "it's \\", "`k` = 'it''s \\\\'"),
            (Scalar::Bytes, "\\x00ff", "`k` = x'00ff'"),
            (Scalar::Bits, "101", "`k` = b'101'"),
            (Scalar::Instant, "2026-06-17 00:00:00.5+00", "`k` = '2026-06-17 00:00:00.5'"),
            (Scalar::Time, "-3020399000001", "`k` = '-838:59:59.000001'"),
            (Scalar::Float, "\\x3dcccccd", "CAST(`k` AS DOUBLE) = 1.0000000149011612e-1"),
        ] {
            let place = Place::in_mysql(&TableName::new("crm", "t"), vec![Column::of_mysql("k", scalar(of))], vec![0]);
            let sql = place.lookup([vec![text.to_owned()]].iter());
            assert_eq!(sql, format!("SELECT `k` FROM `crm`.`t` WHERE ({expected})"));
        }
    }

    #[test]
    fn a_key_that_the_other_side_cannot_hold_is_not_asked_for() {
        for (of, text) in [
            (Scalar::Int64, "NaN"),
            (Scalar::Decimal, "1 OR 1 = 1"),
            (Scalar::Bytes, "\\x00' OR 'a' = 'a"),
            (Scalar::Bits, "101' OR 1 = 1"),
            (Scalar::Time, "9223372036854775808"),
            (Scalar::Double, "\\x7ff0000000000000"),
        ] {
            let place = Place::in_mysql(&TableName::new("crm", "t"), vec![Column::of_mysql("k", scalar(of))], vec![0]);
            assert_eq!(place.lookup([vec![text.to_owned()]].iter()), "SELECT `k` FROM `crm`.`t` WHERE FALSE", "{text}");
        }
    }

    #[test]
    fn ranges_of_both_sides_begin_and_end_at_the_same_key() {
        let (after, upto) = (vec!["7".to_owned(), "\\x00".to_owned()], vec!["8".to_owned(), "\\x01".to_owned()]);
        let types = [("a", scalar(Scalar::Int32)), ("b", scalar(Scalar::Bytes))];
        let columns = |of: fn(&str, Option<ValueType>) -> Column| types.map(|(name, of_it)| of(name, of_it)).to_vec();
        let name = TableName::new("s", "t");
        let source = Place::in_mysql(&name, columns(Column::of_mysql), vec![0, 1]);
        assert_eq!(
            source.page(Some(&after), 10),
            "SELECT `a`, `b` FROM `s`.`t` WHERE `a` >= 7 AND (`a` > 7 OR (`b` > x'00')) ORDER BY `a`, `b` LIMIT 10"
        );
        let target = Place::in_postgres(&name, false, columns(Column::of_mysql_in_postgres), vec![0, 1]);
        let sql = target.range(Some(&after), Some(&upto));
        assert!(
            sql.contains("WHERE (\"a\", \"b\") > ('7',  E'\\\\x00') AND (\"a\", \"b\") <= ('8',  E'\\\\x01')"),
            "{sql}"
        );
    }
}
