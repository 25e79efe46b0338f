//! One cell: from PostgreSQL's text to a protobuf field.
//!
//! The one place where `decode`'s parsers meet `wire`'s writers. `None` means that the text is not what its type promises.

use crate::decode::postgres::{array, calendar, text};
use crate::model::value_type::Scalar;
use crate::wire::cell::{self, Special};
use crate::wire::varint::{
    FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, put_bytes, put_tag, put_varint, varint_len, zigzag,
};
use calendar::Bounded;
use std::str::from_utf8;

/// Buffers for arrays, kept between cells.
#[derive(Default)]
pub(super) struct Arrays {
    values: Vec<u8>,
    shape: Vec<u8>,
}

/// Writes a field `number` that holds `text`.
#[inline]
pub(super) fn write_scalar(scalar: Scalar, number: u32, text: &[u8], declared: &str, out: &mut Vec<u8>) -> Option<()> {
    match scalar {
        Scalar::String => {
            from_utf8(text).ok()?;
            put_bytes(out, number, text);
            return Some(());
        }
        Scalar::Bytes => {
            // The text's length says how many bytes it stands for.
            put_tag(out, number, LENGTH_DELIMITED);
            put_varint(out, (text.len().checked_sub(2)? / 2) as u64);
            return text::bytes(text, out);
        }
        Scalar::Bool | Scalar::Int32 | Scalar::Int64 | Scalar::UInt32 | Scalar::UInt64 => put_tag(out, number, VARINT),
        Scalar::Float => put_tag(out, number, FIXED32),
        Scalar::Double => put_tag(out, number, FIXED64),
        _ => put_tag(out, number, LENGTH_DELIMITED),
    }
    write_value(scalar, text, declared, out)
}

/// The value alone, its length in front where it has one.
#[inline]
fn write_value(scalar: Scalar, text: &[u8], declared: &str, out: &mut Vec<u8>) -> Option<()> {
    match scalar {
        Scalar::Bool => put_varint(out, text::boolean(text)?.into()),
        Scalar::Int32 => put_varint(out, zigzag(i32::try_from(text::integer(text)?).ok()?.into())),
        Scalar::Int64 => put_varint(out, zigzag(text::integer(text)?)),
        Scalar::UInt32 => put_varint(out, u32::try_from(text::integer(text)?).ok()?.into()),
        // No type of PostgreSQL is one.
        Scalar::UInt64 => put_varint(out, u64::try_from(text::integer(text)?).ok()?),
        Scalar::Float => out.extend_from_slice(&text::float(text)?.to_le_bytes()),
        Scalar::Double => out.extend_from_slice(&text::double(text)?.to_le_bytes()),
        Scalar::Decimal => write_decimal(text, out)?,
        Scalar::String => write_length_delimited(from_utf8(text).ok()?.as_bytes(), out),
        Scalar::Bytes => {
            let mut bytes = Vec::new();
            text::bytes(text, &mut bytes)?;
            write_length_delimited(&bytes, out);
        }
        Scalar::Date => write_bounded(calendar::date(text)?, 2, out, cell::date),
        Scalar::Time => cell::time(out, calendar::time(text)?),
        Scalar::TimeWithOffset => {
            let (microseconds, offset_seconds) = calendar::time_with_offset(text)?;
            cell::time_with_offset(out, microseconds, offset_seconds);
        }
        Scalar::LocalDateTime | Scalar::Instant => {
            write_bounded(calendar::timestamp(text)?, 3, out, |out, at| cell::timestamp(out, at.seconds, at.nanos));
        }
        Scalar::Interval => write_bounded(calendar::interval(text)?, 2, out, |out, interval| {
            cell::interval(out, interval.months, interval.days, interval.microseconds);
        }),
        Scalar::Json => cell::json(out, from_utf8(text).ok()?),
        Scalar::Bits => {
            let mut bits = Vec::with_capacity(text.len().div_ceil(8));
            let length = text::bits(text, &mut bits)?;
            cell::bits(out, &bits, length);
        }
        Scalar::Other => cell::other(out, declared, from_utf8(text).ok()?),
    }
    Some(())
}

fn write_length_delimited(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_decimal(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match text::numeric(text)? {
        text::Numeric::Finite(text) => cell::decimal(out, text),
        text::Numeric::NotANumber => cell::special(out, 2, Special::NotANumber),
        text::Numeric::Infinity => cell::special(out, 2, Special::Infinity),
        text::Numeric::NegativeInfinity => cell::special(out, 2, Special::NegativeInfinity),
    }
    Some(())
}

/// `special_field`: the number of the message's `special`.
fn write_bounded<T>(value: Bounded<T>, special_field: u8, out: &mut Vec<u8>, finite: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Bounded::Value(value) => finite(out, value),
        Bounded::Infinity => cell::special(out, special_field, Special::Infinity),
        Bounded::NegativeInfinity => cell::special(out, special_field, Special::NegativeInfinity),
    }
}

/// Field numbers of the array messages and `ArrayShape`.
mod field {
    pub const SHAPE: u32 = 1;
    pub const VALUES: u32 = 2;
    pub const LENGTHS: u32 = 1;
    pub const LOWER_BOUNDS: u32 = 2;
    pub const NULLS: u32 = 3;
}

/// Writes a field `number` that holds the array `text`.
pub(super) fn write_array(
    scalar: Scalar,
    number: u32,
    text: &[u8],
    declared: &str,
    out: &mut Vec<u8>,
    arrays: &mut Arrays,
) -> Option<()> {
    let Arrays { values, shape: shape_bytes } = arrays;
    values.clear();
    shape_bytes.clear();
    let element_type = declared.strip_suffix("[]").unwrap_or(declared);
    let packed = is_packed(scalar);
    let shape = array::parse(text, |element| {
        if !packed {
            put_tag(values, field::VALUES, LENGTH_DELIMITED);
        }
        let Some(text) = element else {
            write_default(scalar, values);
            return Some(());
        };
        write_value(scalar, text, element_type, values)
    })?;
    put_varints(shape_bytes, field::LENGTHS, shape.lengths.iter().map(|length| u64::from(*length)));
    put_varints(shape_bytes, field::LOWER_BOUNDS, shape.lower_bounds.iter().map(|bound| zigzag(i64::from(*bound))));
    put_varints(shape_bytes, field::NULLS, shape.nulls.iter().map(|index| u64::from(*index)));

    let values_len = if packed { field_len(values.len()) } else { values.len() };
    put_tag(out, number, LENGTH_DELIMITED);
    put_varint(out, (field_len(shape_bytes.len()) + values_len) as u64);
    put_bytes(out, field::SHAPE, shape_bytes);
    if packed {
        put_bytes(out, field::VALUES, values);
    } else {
        out.extend_from_slice(values);
    }
    Some(())
}

/// Numbers stand in one field, one behind the other.
fn is_packed(scalar: Scalar) -> bool {
    matches!(
        scalar,
        Scalar::Bool | Scalar::Int32 | Scalar::Int64 | Scalar::UInt32 | Scalar::UInt64 | Scalar::Float | Scalar::Double
    )
}

/// What stands in the place of a null element.
fn write_default(scalar: Scalar, out: &mut Vec<u8>) {
    match scalar {
        Scalar::Float => out.extend_from_slice(&0_f32.to_le_bytes()),
        Scalar::Double => out.extend_from_slice(&0_f64.to_le_bytes()),
        // A zero varint, or an empty message or string.
        _ => out.push(0),
    }
}

fn put_varints(out: &mut Vec<u8>, number: u32, values: impl Iterator<Item = u64> + Clone) {
    let length: usize = values.clone().map(varint_len).sum();
    if length > 0 {
        put_tag(out, number, LENGTH_DELIMITED);
        put_varint(out, length as u64);
        values.for_each(|value| put_varint(out, value));
    }
}

/// Bytes of a length-delimited field with a number below 16.
fn field_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::{SystemName, TableName};
    use crate::model::schema::{Column, ColumnShape, Identity, SchemaId, TableSchema};
    use crate::model::value_type::ValueType;
    use crate::wire::{descriptor, json};
    use prost_reflect::DescriptorPool;
    use serde_json::{Value, json};

    /// One column's text, through the wire form, as JSON.
    fn through(value_type: ValueType, declared: &str, text: &str) -> Option<Value> {
        let mut out = Vec::new();
        let mut arrays = Arrays::default();
        match value_type {
            ValueType::Scalar(scalar) => write_scalar(scalar, 1, text.as_bytes(), declared, &mut out)?,
            ValueType::Array(scalar) => write_array(scalar, 1, text.as_bytes(), declared, &mut out, &mut arrays)?,
        }
        let shape = ColumnShape { name: "v".into(), value_type, declared_type: declared.into(), key: false };
        let schema = TableSchema {
            id: SchemaId(1),
            system: SystemName::new("erp").unwrap(),
            name: TableName::new("public", "t"),
            identity: Identity::Key,
            columns: vec![Column { shape, number: 1, field: "v".into() }],
            type_name: "tailwater.erp.public.T".into(),
            reserved: vec![],
            origin: "".into(),
        };
        let pool = DescriptorPool::from_file_descriptor_set(descriptor::set(&[schema.into()])).unwrap();
        let message = pool.get_message_by_name("tailwater.erp.public.T").unwrap();
        Some(json::row(&message, &out).unwrap()["v"].clone())
    }

    #[test]
    fn scalars_come_out_as_what_the_server_meant() {
        for (scalar, text, value) in [
            (Scalar::Bool, "f", json!(false)),
            (Scalar::Int32, "-7", json!(-7)),
            (Scalar::Int64, "-9223372036854775808", json!("-9223372036854775808")),
            (Scalar::UInt32, "4294967295", json!(4_294_967_295_u32)),
            (Scalar::Float, "0.1", json!(0.1)),
            (Scalar::Double, "-Infinity", json!({"special": "-infinity"})),
            (Scalar::Decimal, "-0.0010", json!("-0.0010")),
            (Scalar::Decimal, "NaN", json!({"special": "NaN"})),
            (Scalar::String, "", json!("")),
            (Scalar::Bytes, "\\x00ff", json!("AP8=")),
            (Scalar::Bytes, "\\x", json!("")),
            (Scalar::Date, "0044-03-15 BC", json!("-0043-03-15")),
            (Scalar::Date, "infinity", json!({"special": "infinity"})),
            (Scalar::Time, "24:00:00", json!("24:00:00")),
            (Scalar::TimeWithOffset, "01:02:03.5-03:30", json!("01:02:03.5-03:30")),
            (Scalar::LocalDateTime, "2024-02-29 12:00:00.000001", json!("2024-02-29T12:00:00.000001")),
            (Scalar::Instant, "1970-01-01 00:00:00+00", json!("1970-01-01T00:00:00Z")),
            (Scalar::Interval, "P-1Y2DT-0.5S", json!("P-12M2DT-0.5S")),
            (Scalar::Json, "{\"a\": 1.00, \"a\": 2}", json!("{\"a\": 1.00, \"a\": 2}")),
            (Scalar::Bits, "1010101011", json!("1010101011")),
            (Scalar::Other, "(1,2)", json!({"type": "point", "text": "(1,2)"})),
        ] {
            assert_eq!(through(ValueType::Scalar(scalar), "point", text), Some(value), "{scalar:?} {text}");
        }
    }

    #[test]
    fn arrays_keep_nulls_dimensions_and_bounds() {
        for (scalar, text, value) in [
            (Scalar::Int32, "{1,NULL,-3}", json!([1, null, -3])),
            (Scalar::Int64, "{}", json!([])),
            (Scalar::Double, "{NULL,1.5}", json!([null, 1.5])),
            (Scalar::String, "{a,NULL,\"NULL\",\"\"}", json!(["a", null, "NULL", ""])),
            (Scalar::Decimal, "{{1.0,NaN},{NULL,2}}", json!([["1.0", {"special": "NaN"}], [null, "2"]])),
            (Scalar::Bool, "[0:1]={t,f}", json!({"lower_bounds": [0], "values": [true, false]})),
            (Scalar::Bytes, "{\"\\\\x01\",NULL}", json!(["AQ==", null])),
            (Scalar::Date, "{1970-01-02}", json!(["1970-01-02"])),
        ] {
            assert_eq!(through(ValueType::Array(scalar), "x[]", text), Some(value), "{scalar:?} {text}");
        }
    }

    #[test]
    fn text_that_is_no_value_of_the_type_is_refused() {
        for (scalar, text) in
            [(Scalar::Int32, "2147483648"), (Scalar::UInt32, "-1"), (Scalar::Bytes, "x"), (Scalar::Bytes, "\\x0")]
        {
            assert_eq!(through(ValueType::Scalar(scalar), "x", text), None, "{scalar:?} {text}");
        }
    }
}
