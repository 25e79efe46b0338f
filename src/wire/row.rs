//! A row's wire form: its key, what an update left out, and two images of one row made into one.
//!
//! Nothing is decoded that is not needed: rows are compared and merged as spans of bytes.

use super::fields::{Fields, Malformed, Value, unzigzag};
use crate::model::schema::TableSchema;
use crate::model::value_type::{Scalar, ValueType};
use bytes::Bytes;

/// Where a schema version's key stands in its rows.
pub struct KeyPlan {
    columns: Vec<KeyColumn>,
}

struct KeyColumn {
    number: u32,
    value_type: ValueType,
}

impl KeyPlan {
    pub fn of(schema: &TableSchema) -> Self {
        let key = schema.columns.iter().filter(|column| column.shape.key);
        Self {
            columns: key
                .map(|column| KeyColumn { number: column.number, value_type: column.shape.value_type })
                .collect(),
        }
    }

    /// Bytes that are the same for two rows exactly when the server calls their keys equal. `None`: a key of a type of which
    /// that is not known, or a row without its key.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn key(&self, row: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        let mut parts = vec![None; self.columns.len()];
        for field in Fields::of(row) {
            let field = field?;
            if let Some(place) = self.columns.iter().position(|column| column.number == field.number) {
                parts[place] = Some(field.value);
            }
        }
        let mut key = Vec::with_capacity(16);
        for (column, part) in self.columns.iter().zip(parts) {
            let Some(part) = part else { return Ok(None) };
            if !put_part(column.value_type, part, &mut key)? {
                return Ok(None);
            }
        }
        Ok(Some(key))
    }
}

/// Appends bytes that are the same for two values exactly when the server calls them equal. False for a type of which that
/// is not known.
///
/// # Errors
/// [`Malformed`].
pub fn put_part(value_type: ValueType, value: Value<'_>, key: &mut Vec<u8>) -> Result<bool, Malformed> {
    let ValueType::Scalar(scalar) = value_type else { return Ok(false) };
    let bytes = match (scalar, value) {
        // In one form, so that a signed number and an unsigned one are the same where their values are.
        (Scalar::Int32 | Scalar::Int64, Value::Varint(value)) => {
            key.extend_from_slice(&i128::from(unzigzag(value)).to_be_bytes());
            return Ok(true);
        }
        (Scalar::Bool | Scalar::UInt32 | Scalar::UInt64, Value::Varint(value)) => {
            key.extend_from_slice(&i128::from(value).to_be_bytes());
            return Ok(true);
        }
        (Scalar::Decimal, Value::Bytes(message)) => return put_decimal(message, key),
        (Scalar::String | Scalar::Bytes, Value::Bytes(bytes))
        | (Scalar::Date | Scalar::Time | Scalar::LocalDateTime | Scalar::Instant | Scalar::Bits, Value::Bytes(bytes)) => {
            bytes
        }
        (Scalar::Float | Scalar::Double | Scalar::Other | Scalar::Json, _)
        | (Scalar::Interval | Scalar::TimeWithOffset, _) => return Ok(false),
        _ => return Err(Malformed),
    };
    key.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    key.extend_from_slice(bytes);
    Ok(true)
}

/// 1.0 and 1.00 are one key.
fn put_decimal(message: &[u8], key: &mut Vec<u8>) -> Result<bool, Malformed> {
    for field in Fields::of(message) {
        let field = field?;
        if field.number != 1 {
            continue;
        }
        let text = field.value.text()?;
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
        let text = if text == "-0" { "0" } else { text };
        key.extend_from_slice(&(text.len() as u64).to_be_bytes());
        key.extend_from_slice(text.as_bytes());
        return Ok(true);
    }
    // NaN and infinities.
    Ok(false)
}

/// `newer`, with the fields that it left out as `unchanged` taken from `older`, which is the row before it and itself lacks
/// `older_unchanged`. Gives the row, and what is still left out.
///
/// # Errors
/// [`Malformed`].
pub fn merge(
    newer: &Bytes,
    unchanged: &[u32],
    older: &Bytes,
    older_unchanged: &[u32],
) -> Result<(Bytes, Vec<u32>), Malformed> {
    if unchanged.is_empty() {
        return Ok((newer.clone(), Vec::new()));
    }
    let mut row = newer.to_vec();
    for field in Fields::of(older) {
        let field = field?;
        if unchanged.contains(&field.number) {
            row.extend_from_slice(field.span);
        }
    }
    let left = unchanged.iter().copied().filter(|number| older_unchanged.contains(number)).collect();
    Ok((row.into(), left))
}

#[cfg(test)]
mod tests {
    use super::super::varint::{put_bytes, put_number, put_tag, zigzag};
    use super::*;
    use crate::model::name::{SystemName, TableName};
    use crate::model::schema::{Column, ColumnShape, Identity, SchemaId};

    fn plan(types: &[Scalar]) -> KeyPlan {
        let columns = (1..).zip(types).map(|(number, scalar)| Column {
            shape: ColumnShape {
                name: format!("c{number}").into(),
                value_type: ValueType::Scalar(*scalar),
                declared_type: "".into(),
                key: true,
            },
            number,
            field: "".into(),
        });
        KeyPlan::of(&TableSchema {
            id: SchemaId(1),
            system: SystemName::new("erp").expect("a name"),
            name: TableName::new("s", "t"),
            identity: Identity::Key,
            columns: columns.collect(),
            type_name: "".into(),
            reserved: vec![],
            origin: "".into(),
        })
    }

    fn decimal_row(text: &str) -> Vec<u8> {
        let mut row = Vec::new();
        put_tag(&mut row, 1, crate::wire::varint::LENGTH_DELIMITED);
        super::super::cell::decimal(&mut row, text);
        row
    }

    #[test]
    fn keys_are_equal_exactly_where_the_server_calls_them_so() {
        let decimals = plan(&[Scalar::Decimal]);
        let key = |text: &str| decimals.key(&decimal_row(text)).expect("well formed").expect("a key");
        assert_eq!(key("1.0"), key("1.00"));
        assert_eq!(key("0"), key("-0.0"));
        assert_ne!(key("10"), key("1"));
        let texts = plan(&[Scalar::String, Scalar::String]);
        let row = |a: &[u8], b: &[u8]| {
            let mut row = Vec::new();
            put_bytes(&mut row, 1, a);
            put_bytes(&mut row, 2, b);
            texts.key(&row).expect("well formed").expect("a key")
        };
        assert_ne!(row(b"a", b"bc"), row(b"ab", b"c"));
    }

    #[test]
    fn a_key_that_cannot_be_told_apart_is_none() {
        let mut row = Vec::new();
        put_number(&mut row, 7, 1);
        assert_eq!(plan(&[Scalar::Int32]).key(&row), Ok(None), "without its key");
        assert_eq!(plan(&[Scalar::Double]).key(&[9, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(None));
    }

    #[test]
    fn what_an_update_left_out_comes_from_the_row_before_it() {
        let row = |fields: &[(u32, i64)]| {
            let mut row = Vec::new();
            fields.iter().for_each(|(number, value)| put_number(&mut row, *number, zigzag(*value)));
            Bytes::from(row)
        };
        let (merged, left) = merge(&row(&[(1, 5)]), &[2, 3], &row(&[(1, 4), (2, 9)]), &[3]).expect("well formed");
        assert_eq!((merged, left), (row(&[(1, 5), (2, 9)]), vec![3]));
    }
}
