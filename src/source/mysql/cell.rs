//! One cell: from the log's or a snapshot's value to a protobuf field.
//!
//! The one place where `decode`'s values meet `wire`'s writers. Both ways that a value comes, as the log stores it and as the
//! binary protocol sends it, end in the same writers, so that they give the same field. `None` means that the bytes are not
//! what their type promises.

use crate::decode::mysql::calendar::{Date, DateTime, Timestamp};
use crate::decode::mysql::types::ColumnKind;
use crate::decode::mysql::value::Value;
use crate::decode::mysql::{decimal, json};
use crate::model::value_type::{Scalar, ValueType};
use crate::source::buffer::{KEPT_BYTES_MAX, shrink};
use crate::wire::cell;
use crate::wire::varint::{FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, put_bytes, put_tag, put_varint, zigzag};

/// A buffer for what is put together, kept between cells.
#[derive(Default)]
pub struct Scratch {
    text: String,
    bytes: Vec<u8>,
}

impl Scratch {
    /// What one huge cell needed is given back.
    pub fn shrink(&mut self) {
        shrink(&mut self.bytes);
        if self.text.capacity() > KEPT_BYTES_MAX {
            self.text = String::new();
        }
    }
}

/// Writes a field `number` that holds a value of the log.
#[inline]
pub fn write_logged(
    kind: &ColumnKind,
    number: u32,
    value: Value<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Option<()> {
    match value {
        Value::Int(value) => write_int(kind, number, value, out)?,
        Value::UInt(value) => write_uint(number, value, out),
        Value::Float(value) => write_float(number, value, out),
        Value::Double(value) => write_double(number, value, out),
        Value::Decimal(stored, precision, scale) => {
            scratch.text.clear();
            decimal::text(stored, precision, scale, &mut scratch.text)?;
            write_decimal(number, &scratch.text, out);
        }
        Value::Date(date) => write_date(number, date, scratch, out),
        Value::Time(micros) => write_time(number, micros, out),
        Value::DateTime(value, digits) => write_date_time(number, value, digits, scratch, out),
        Value::Timestamp(value, digits) => write_timestamp(number, value, digits, scratch, out),
        Value::Bits(stored, bits) => write_bits(number, stored, bits, scratch, out)?,
        Value::Label(index) => put_bytes(out, number, label(kind, index)?.as_bytes()),
        Value::Labels(bits) => {
            scratch.text.clear();
            labels(kind, bits, &mut scratch.text)?;
            put_bytes(out, number, scratch.text.as_bytes());
        }
        Value::Text(text) => {
            scratch.bytes.clear();
            kind.charset.as_ref()?.append(text, &mut scratch.bytes)?;
            put_bytes(out, number, &scratch.bytes);
        }
        Value::Padded(stored, length) => {
            let length = usize::from(length);
            scratch.bytes.clear();
            scratch.bytes.extend_from_slice(stored);
            if stored.len() > length {
                return None;
            }
            scratch.bytes.resize(length, 0);
            put_bytes(out, number, &scratch.bytes);
        }
        Value::Bytes(stored) => put_bytes(out, number, stored),
        Value::Json(document) => {
            scratch.text.clear();
            json::text(document, &mut scratch.text)?;
            write_json(number, &scratch.text, out);
        }
        Value::Disguised(stored, disguised) => {
            scratch.text.clear();
            disguised.text(stored, &mut scratch.text)?;
            put_bytes(out, number, scratch.text.as_bytes());
        }
    }
    Some(())
}

/// Writes a field `number` that holds a value of the binary protocol, all text of which is UTF-8. `digits`: of a second, as the
/// column is declared.
pub fn write_read(
    value_type: ValueType,
    digits: u8,
    bits: u16,
    number: u32,
    value: &mysql_async::Value,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Option<()> {
    use mysql_async::Value as Sent;
    let ValueType::Scalar(scalar) = value_type else { return None };
    match (scalar, value) {
        (Scalar::Int32 | Scalar::Int64, Sent::Int(value)) => put_zigzag(number, *value, out),
        (Scalar::Int32 | Scalar::Int64, Sent::UInt(value)) => put_zigzag(number, i64::try_from(*value).ok()?, out),
        (Scalar::UInt32 | Scalar::UInt64, Sent::UInt(value)) => write_uint(number, *value, out),
        (Scalar::UInt32 | Scalar::UInt64, Sent::Int(value)) => write_uint(number, u64::try_from(*value).ok()?, out),
        (Scalar::Float, Sent::Float(value)) => write_float(number, *value, out),
        (Scalar::Double, Sent::Double(value)) => write_double(number, *value, out),
        (Scalar::Decimal, Sent::Bytes(text)) => {
            scratch.text.clear();
            decimal::without_fill(std::str::from_utf8(text).ok()?, &mut scratch.text);
            write_decimal(number, &scratch.text, out);
        }
        (Scalar::String, Sent::Bytes(text)) => {
            std::str::from_utf8(text).ok()?;
            put_bytes(out, number, text);
        }
        (Scalar::Bytes, Sent::Bytes(bytes)) => put_bytes(out, number, bytes),
        (Scalar::Json, Sent::Bytes(text)) => write_json(number, std::str::from_utf8(text).ok()?, out),
        (Scalar::Bits, Sent::Bytes(stored)) => write_bits(number, stored, bits, scratch, out)?,
        (Scalar::Date, Sent::Date(year, month, day, ..)) => {
            write_date(number, Date { year: *year, month: *month, day: *day }, scratch, out);
        }
        (Scalar::LocalDateTime, sent @ Sent::Date(..)) => {
            write_date_time(number, date_time(sent)?, digits, scratch, out);
        }
        (Scalar::Instant, sent @ Sent::Date(..)) => {
            // The session's time zone is UTC.
            let value = date_time(sent)?;
            let timestamp = match value.seconds_and_nanos() {
                Some((seconds, nanos)) => Some((u32::try_from(seconds).ok()?, nanos)),
                None => None,
            };
            write_timestamp(number, timestamp, digits, scratch, out);
        }
        (Scalar::Time, Sent::Time(negative, days, hours, minutes, seconds, micros)) => {
            let hours = i64::from(*days) * 24 + i64::from(*hours);
            let seconds = (hours * 60 + i64::from(*minutes)) * 60 + i64::from(*seconds);
            let time = seconds * 1_000_000 + i64::from(*micros);
            write_time(number, if *negative { -time } else { time }, out);
        }
        _ => return None,
    }
    Some(())
}

fn date_time(sent: &mysql_async::Value) -> Option<DateTime> {
    let mysql_async::Value::Date(year, month, day, hours, minutes, seconds, micros) = sent else { return None };
    let seconds = (u64::from(*hours) * 60 + u64::from(*minutes)) * 60 + u64::from(*seconds);
    let date = Date { year: *year, month: *month, day: *day };
    Some(DateTime { date, micros: seconds * 1_000_000 + u64::from(*micros) })
}

fn write_int(kind: &ColumnKind, number: u32, value: i64, out: &mut Vec<u8>) -> Option<()> {
    match kind.value_type {
        ValueType::Scalar(Scalar::Int32 | Scalar::Int64) => put_zigzag(number, value, out),
        // YEAR is unsigned to the log and small.
        _ => write_uint(number, u64::try_from(value).ok()?, out),
    }
    Some(())
}

fn put_zigzag(number: u32, value: i64, out: &mut Vec<u8>) {
    put_tag(out, number, VARINT);
    put_varint(out, zigzag(value));
}

fn write_uint(number: u32, value: u64, out: &mut Vec<u8>) {
    put_tag(out, number, VARINT);
    put_varint(out, value);
}

fn write_float(number: u32, value: f32, out: &mut Vec<u8>) {
    put_tag(out, number, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

fn write_double(number: u32, value: f64, out: &mut Vec<u8>) {
    put_tag(out, number, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn write_decimal(number: u32, text: &str, out: &mut Vec<u8>) {
    put_tag(out, number, LENGTH_DELIMITED);
    cell::decimal(out, text);
}

fn write_json(number: u32, text: &str, out: &mut Vec<u8>) {
    put_tag(out, number, LENGTH_DELIMITED);
    cell::json(out, text);
}

fn write_time(number: u32, micros: i64, out: &mut Vec<u8>) {
    put_tag(out, number, LENGTH_DELIMITED);
    cell::time(out, micros);
}

fn write_date(number: u32, date: Date, scratch: &mut Scratch, out: &mut Vec<u8>) {
    put_tag(out, number, LENGTH_DELIMITED);
    match date.days() {
        Some(days) => cell::date(out, days),
        None => {
            scratch.text.clear();
            date.write(&mut scratch.text);
            cell::no_date(out, 2, 3, &scratch.text);
        }
    }
}

fn write_date_time(number: u32, value: DateTime, digits: u8, scratch: &mut Scratch, out: &mut Vec<u8>) {
    put_tag(out, number, LENGTH_DELIMITED);
    match value.seconds_and_nanos() {
        Some((seconds, nanos)) => cell::timestamp(out, seconds, nanos),
        None => {
            scratch.text.clear();
            value.write(digits, &mut scratch.text);
            cell::no_date(out, 3, 4, &scratch.text);
        }
    }
}

fn write_timestamp(number: u32, value: Timestamp, digits: u8, scratch: &mut Scratch, out: &mut Vec<u8>) {
    put_tag(out, number, LENGTH_DELIMITED);
    match value {
        Some((seconds, nanos)) => cell::timestamp(out, seconds.into(), nanos),
        None => {
            let zero = DateTime { date: Date { year: 0, month: 0, day: 0 }, micros: 0 };
            scratch.text.clear();
            zero.write(digits, &mut scratch.text);
            cell::no_date(out, 3, 4, &scratch.text);
        }
    }
}

/// Stored to the right, as a number; sent to the left, as a string of bits.
fn write_bits(number: u32, stored: &[u8], bits: u16, scratch: &mut Scratch, out: &mut Vec<u8>) -> Option<()> {
    let length = usize::from(bits.div_ceil(8));
    if stored.len() != length {
        return None;
    }
    let unused = (8 - bits % 8) % 8;
    scratch.bytes.clear();
    for (index, byte) in stored.iter().enumerate() {
        let next = stored.get(index + 1).copied().unwrap_or(0);
        let pair = u16::from_be_bytes([*byte, next]) << unused;
        scratch.bytes.push(pair.to_be_bytes()[0]);
    }
    put_tag(out, number, LENGTH_DELIMITED);
    cell::bits(out, &scratch.bytes, bits.into());
    Some(())
}

fn label(kind: &ColumnKind, index: u64) -> Option<&str> {
    let Some(index) = index.checked_sub(1) else { return Some("") };
    kind.labels.get(usize::try_from(index).ok()?).map(String::as_str)
}

fn labels(kind: &ColumnKind, bits: u64, out: &mut String) -> Option<()> {
    for bit in (0..u64::BITS).filter(|bit| bits >> bit & 1 == 1) {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(kind.labels.get(bit as usize)?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(value_type: Scalar, labels: &[&str]) -> ColumnKind {
        ColumnKind {
            value_type: ValueType::Scalar(value_type),
            declared: String::new(),
            charset: None,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            disguised: None,
        }
    }

    fn logged(kind: &ColumnKind, value: Value<'_>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        write_logged(kind, 1, value, &mut Scratch::default(), &mut out).map(|()| out)
    }

    #[test]
    fn a_label_that_the_column_has_not_is_refused_and_zero_is_the_empty_text() {
        let mood = kind(Scalar::String, &["a", "b"]);
        assert_eq!(logged(&mood, Value::Label(2)), Some(vec![10, 1, b'b']));
        assert_eq!(logged(&mood, Value::Label(0)), Some(vec![10, 0]));
        assert_eq!(logged(&mood, Value::Label(3)), None);
        assert_eq!(logged(&mood, Value::Labels(3)), Some(vec![10, 3, b'a', b',', b'b']));
        assert_eq!(logged(&mood, Value::Labels(4)), None);
    }

    #[test]
    fn bits_move_from_the_right_to_the_left() {
        let flags = kind(Scalar::Bits, &[]);
        // 0b101_00000001 of eleven bits.
        let expected = vec![10, 6, 10, 2, 0b1010_0000, 0b0010_0000, 16, 11];
        assert_eq!(logged(&flags, Value::Bits(&[0b101, 0b0000_0001], 11)), Some(expected));
        assert_eq!(logged(&flags, Value::Bits(&[1], 11)), None);
    }

    #[test]
    fn a_date_that_is_none_keeps_its_text() {
        let due = kind(Scalar::Date, &[]);
        let zero = logged(&due, Value::Date(Date { year: 2026, month: 0, day: 0 })).expect("written");
        assert_eq!(&zero[2..], [&[16, 4, 26, 10][..], b"2026-00-00"].concat());
    }
}
