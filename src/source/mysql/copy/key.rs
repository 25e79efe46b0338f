//! The key that a copy goes along: which columns, and the SQL that reads the rows behind a row.
//!
//! Surprises: a number compared with a string is compared as a double, so each part of a key is written as what it is; a FLOAT
//! is compared as the double that it is exactly, which its own text is not; dates that do not exist are written only in a
//! session that allows them; and `(a, b) > (x, y)` uses no index, so it is written out. ENUMs and SETs sort by number and
//! compare by text: with one in the key, as without any key, a table is read in one piece. Infinities and NaN do not exist, and
//! -0.0 is 0.

use super::gaps::Gaps;
use super::snapshot::qualified;
use crate::model::schema::{TableSchema, TableShape};
use crate::model::value_type::{Scalar, ValueType};
use crate::source::mysql::connection::{identifier, literal};
use mysql_async::Value;

/// Columns of a primary key in its order, with their places in a row. Empty: the table is read in one piece.
pub struct Key {
    columns: Vec<(String, usize, Scalar)>,
}

impl Key {
    /// `names`: the primary key's, in its order.
    pub fn new(shape: &TableShape, names: &[String]) -> Self {
        let column = |name: &String| {
            let place = shape.columns.iter().position(|column| *column.name == **name)?;
            let column = shape.columns.get(place)?;
            let ValueType::Scalar(scalar) = column.value_type else { return None };
            let is_label = ["enum(", "set("].iter().any(|word| column.declared_type.starts_with(word));
            let sorts = match scalar {
                Scalar::String => !is_label,
                Scalar::Int32 | Scalar::Int64 | Scalar::UInt32 | Scalar::UInt64 | Scalar::Decimal => true,
                Scalar::Float | Scalar::Double | Scalar::Bits | Scalar::Bytes => true,
                Scalar::Date | Scalar::Time | Scalar::LocalDateTime | Scalar::Instant => true,
                _ => false,
            };
            sorts.then(|| (name.clone(), place, scalar))
        };
        let columns: Option<Vec<_>> = names.iter().map(column).collect();
        Self { columns: columns.unwrap_or_default() }
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// A row's key as SQL, part by part.
    pub fn of(&self, row: &[Value]) -> Option<Vec<String>> {
        self.columns.iter().map(|(_, place, scalar)| sql(row.get(*place)?, *scalar)).collect()
    }

    /// The next rows in key order after `last_key`, all columns in the shape's order, and what is asked for behind them.
    pub fn rows_after(&self, shape: &TableShape, gaps: &Gaps, last_key: &[String], rows_max: u64) -> String {
        let columns: Vec<_> = shape.columns.iter().map(|column| identifier(&column.name)).collect();
        let mut query = format!("SELECT {}{} FROM {}", columns.join(", "), gaps.sql(), qualified(&shape.name));
        if self.columns.is_empty() {
            return query;
        }
        let names: Vec<_> = self.columns.iter().map(|(name, ..)| identifier(name)).collect();
        if let Some(behind) = behind(&names, last_key) {
            query += &format!(" WHERE {behind}");
        }
        query + &format!(" ORDER BY {} LIMIT {rows_max}", names.join(", "))
    }
}

/// The rows behind a key, as SQL: `a >= x AND (a > x OR (b > y))`. `None` without a key.
pub fn behind(names: &[String], last_key: &[String]) -> Option<String> {
    let (first, value) = (names.first()?, last_key.first()?);
    let (names, last_key) = (&names[1..], &last_key[1..]);
    Some(match behind(names, last_key) {
        None => format!("{first} > {value}"),
        Some(rest) => format!("{first} >= {value} AND ({first} > {value} OR ({rest}))"),
    })
}

fn sql(value: &Value, scalar: Scalar) -> Option<String> {
    Some(match (value, scalar) {
        (Value::Int(number), _) => number.to_string(),
        (Value::UInt(number), _) => number.to_string(),
        (Value::Float(number), _) => format!("{:e}", f64::from(*number)),
        (Value::Double(number), _) => format!("{number:e}"),
        (Value::Date(year, month, day, ..), Scalar::Date) => format!("DATE'{year:04}-{month:02}-{day:02}'"),
        (Value::Date(year, month, day, hours, minutes, seconds, micros), _) => {
            format!("TIMESTAMP'{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{micros:06}'")
        }
        (Value::Time(negative, days, hours, minutes, seconds, micros), _) => {
            let (sign, hours) = (if *negative { "-" } else { "" }, days * 24 + u32::from(*hours));
            format!("TIME'{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}'")
        }
        (Value::Bytes(bits), Scalar::Bits) => {
            bits.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)).to_string()
        }
        (Value::Bytes(text), Scalar::Decimal) => std::str::from_utf8(text).ok()?.to_owned(),
        (Value::Bytes(text), Scalar::String) => literal(std::str::from_utf8(text).ok()?),
        (Value::Bytes(bytes), _) => {
            format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        _ => return None,
    })
}

/// Names and types of the key: what `last_key` is of.
pub fn shape_of(schema: &TableSchema) -> Vec<(&str, &str)> {
    let key = schema.columns.iter().filter(|column| column.shape.key);
    key.map(|column| (&*column.shape.name, &*column.shape.declared_type)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::TableName;
    use crate::model::schema::{ColumnShape, Identity};

    fn shape(columns: &[(&str, &str, Scalar)]) -> TableShape {
        let column = |(name, declared, scalar): &(&str, &str, Scalar)| ColumnShape {
            name: (*name).into(),
            value_type: ValueType::Scalar(*scalar),
            declared_type: (*declared).into(),
            key: true,
        };
        let columns = columns.iter().map(column).collect();
        TableShape { name: TableName::new("crm", "t"), identity: Identity::Full, columns, origin: "".into() }
    }

    #[test]
    fn rows_behind_a_key_are_asked_for_part_by_part_and_each_as_what_it_is() {
        let shape = shape(&[("a", "bigint", Scalar::Int64), ("b", "varchar(9)", Scalar::String)]);
        let key = Key::new(&shape, &["b".to_owned(), "a".to_owned()]);
        let last = key.of(&[Value::Int(7), Value::Bytes(b"it's".to_vec())]).expect("a key");
        assert_eq!(
            key.rows_after(&shape, &Gaps::default(), &last, 10),
            "SELECT `a`, `b` FROM `crm`.`t` WHERE `b` >= 'it''s' AND (`b` > 'it''s' OR (`b` = 'it''s' AND (`a` > 7))) \
             ORDER BY `b`, `a` LIMIT 10"
                .replace("(`b` = 'it''s' AND (`a` > 7))", "(`a` > 7)")
        );
        assert_eq!(
            key.rows_after(&shape, &Gaps::default(), &[], 10),
            "SELECT `a`, `b` FROM `crm`.`t` ORDER BY `b`, `a` LIMIT 10"
        );
    }

    #[test]
    fn each_value_is_written_as_what_it_is_compared_as() {
        let written = |value, scalar| sql(&value, scalar).expect("it is written");
        assert_eq!(written(Value::Float(0.1), Scalar::Float), "1.0000000149011612e-1");
        assert_eq!(written(Value::Double(-5e-324), Scalar::Double), "-5e-324");
        assert_eq!(written(Value::Date(0, 0, 0, 0, 0, 0, 0), Scalar::Date), "DATE'0000-00-00'");
        let moment = Value::Date(2023, 2, 31, 1, 2, 3, 4);
        assert_eq!(written(moment, Scalar::LocalDateTime), "TIMESTAMP'2023-02-31 01:02:03.000004'");
        assert_eq!(written(Value::Time(true, 34, 22, 59, 58, 7), Scalar::Time), "TIME'-838:59:58.000007'");
        assert_eq!(written(Value::Bytes(vec![1, 0]), Scalar::Bits), "256");
    }

    #[test]
    fn a_table_that_has_no_key_to_go_along_is_read_in_one_piece() {
        let shape = shape(&[("a", "enum('x')", Scalar::String)]);
        let key = Key::new(&shape, &["a".to_owned()]);
        assert!(key.is_empty() && Key::new(&shape, &[]).is_empty());
        assert_eq!(key.rows_after(&shape, &Gaps::default(), &[], 10), "SELECT `a` FROM `crm`.`t`");
    }
}
