//! One cell: from a protobuf field to the text that PostgreSQL takes for it. The way back of `source/postgres/cell.rs`.
//!
//! Exact: what the source printed and what is written here mean the same value to any PostgreSQL. Surprise: intervals do not
//! go in as ISO 8601, whose fractions the server reads through a double; its own notation keeps every microsecond.

use crate::model::value_type::{Scalar, ValueType};
use crate::wire::cell::Special;
use crate::wire::civil;
use crate::wire::fields::{Fields, Malformed, Value, unzigzag};
use crate::wire::varint::take_varint;
use std::fmt::Write as _;

/// Why a cell has no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untold {
    /// The field is not what its type promises.
    Malformed,
    /// A date with a zero in it, or one that the calendar does not have.
    NoDate,
}

impl From<Malformed> for Untold {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Appends the cell's text.
///
/// # Errors
/// [`Untold`].
pub fn write(value_type: ValueType, value: Value<'_>, out: &mut String) -> Result<(), Untold> {
    match value_type {
        ValueType::Scalar(scalar) => write_scalar(scalar, value, out),
        ValueType::Array(scalar) => write_array(scalar, value.bytes()?, out),
    }
}

fn write_scalar(scalar: Scalar, value: Value<'_>, out: &mut String) -> Result<(), Untold> {
    match scalar {
        Scalar::Bool => out.push(if value.varint()? == 0 { 'f' } else { 't' }),
        Scalar::Int32 | Scalar::Int64 => put(out, value.signed()?),
        Scalar::UInt32 | Scalar::UInt64 => put(out, value.varint()?),
        Scalar::Float => match value {
            Value::Fixed32(bits) => write_float(f32::from_bits(bits), out),
            _ => return Err(Untold::Malformed),
        },
        Scalar::Double => match value {
            Value::Fixed64(bits) => write_float(f64::from_bits(bits), out),
            _ => return Err(Untold::Malformed),
        },
        Scalar::String => out.push_str(value.text()?),
        Scalar::Bytes => {
            out.push_str("\\x");
            value.bytes()?.iter().for_each(|byte| push_hex(*byte, out));
        }
        Scalar::Decimal => match Parts::<3>::of(value)? {
            Parts([_, Some(text), _]) => out.push_str(text.text()?),
            Parts([_, _, Some(special)]) => out.push_str(match special_of(special)? {
                Special::Infinity => "Infinity",
                Special::NegativeInfinity => "-Infinity",
                Special::NotANumber => "NaN",
                Special::ZeroOrPartialDate => return Err(Untold::Malformed),
            }),
            _ => return Err(Untold::Malformed),
        },
        Scalar::Date => match Parts::<3>::of(value)? {
            Parts([_, Some(days), _]) => {
                let (date, era) = civil_date(days.signed()?);
                *out += &date;
                *out += era;
            }
            Parts([_, _, Some(special)]) => write_infinity(special, out)?,
            _ => return Err(Untold::Malformed),
        },
        Scalar::Time => {
            let Parts([_, micros]) = Parts::of(value)?;
            *out += &civil::time(signed_or_zero(micros)?);
        }
        Scalar::TimeWithOffset => {
            let Parts([_, micros, offset]) = Parts::of(value)?;
            *out += &civil::time(signed_or_zero(micros)?);
            *out += &civil::offset(i32::try_from(signed_or_zero(offset)?).map_err(|_| Malformed)?);
        }
        Scalar::LocalDateTime => write_timestamp(value, "", out)?,
        Scalar::Instant => write_timestamp(value, "+00", out)?,
        Scalar::Interval => match Parts::<3>::of(value)? {
            Parts([_, _, Some(special)]) => write_infinity(special, out)?,
            Parts([_, Some(parts), _]) => write_interval(parts, out)?,
            Parts(_) => return Err(Untold::Malformed),
        },
        Scalar::Json => {
            let Parts([_, text]) = Parts::of(value)?;
            out.push_str(text_or_empty(text)?);
        }
        Scalar::Bits => write_bits(value, out)?,
        Scalar::Other => {
            let Parts([_, _, text]) = Parts::of(value)?;
            out.push_str(text_or_empty(text)?);
        }
    }
    Ok(())
}

/// The fields of a small message by number; the last of a number counts, unknown ones are passed over.
struct Parts<'a, const N: usize>([Option<Value<'a>>; N]);

impl<'a, const N: usize> Parts<'a, N> {
    fn of(value: Value<'a>) -> Result<Self, Malformed> {
        let mut parts = [None; N];
        for field in Fields::of(value.bytes()?) {
            let field = field?;
            if let Some(part) = parts.get_mut(field.number as usize) {
                *part = Some(field.value);
            }
        }
        Ok(Self(parts))
    }
}

fn put(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

fn push_hex(byte: u8, out: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 0xF)]);
}

fn signed_or_zero(value: Option<Value<'_>>) -> Result<i64, Malformed> {
    value.map_or(Ok(0), Value::signed)
}

fn text_or_empty(value: Option<Value<'_>>) -> Result<&str, Malformed> {
    value.map_or(Ok(""), Value::text)
}

/// The shortest text that reads back as the same number; the server prints its own the same way.
fn write_float<F: Into<f64> + std::fmt::LowerExp + Copy>(value: F, out: &mut String) {
    let wide: f64 = value.into();
    if wide.is_nan() {
        out.push_str("NaN");
    } else if wide.is_infinite() {
        out.push_str(if wide > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        let _ = write!(out, "{value:e}");
    }
}

fn special_of(value: Value<'_>) -> Result<Special, Malformed> {
    match value.varint()? {
        1 => Ok(Special::Infinity),
        2 => Ok(Special::NegativeInfinity),
        3 => Ok(Special::NotANumber),
        4 => Ok(Special::ZeroOrPartialDate),
        _ => Err(Malformed),
    }
}

fn write_infinity(value: Value<'_>, out: &mut String) -> Result<(), Untold> {
    out.push_str(match special_of(value)? {
        Special::Infinity => "infinity",
        Special::NegativeInfinity => "-infinity",
        Special::ZeroOrPartialDate => return Err(Untold::NoDate),
        Special::NotANumber => return Err(Untold::Malformed),
    });
    Ok(())
}

/// A date, and ` BC` where its year is before 1: the server has no year 0.
fn civil_date(days: i64) -> (String, &'static str) {
    let (year, month, day) = civil::year_month_day(days);
    if year > 0 {
        (format!("{year:04}-{month:02}-{day:02}"), "")
    } else {
        (format!("{:04}-{month:02}-{day:02}", 1 - year), " BC")
    }
}

fn write_timestamp(value: Value<'_>, zone: &str, out: &mut String) -> Result<(), Untold> {
    const SECONDS_PER_DAY: i64 = 86_400;
    let Parts([_, seconds, nanos, special]) = Parts::of(value)?;
    if let Some(special) = special {
        return write_infinity(special, out);
    }
    let seconds = seconds.ok_or(Malformed)?.signed()?;
    let micros = i64::try_from(nanos.map_or(Ok(0), Value::varint)? / 1_000).map_err(|_| Malformed)?;
    let (date, era) = civil_date(seconds.div_euclid(SECONDS_PER_DAY));
    let clock = civil::time(seconds.rem_euclid(SECONDS_PER_DAY) * 1_000_000 + micros);
    let _ = write!(out, "{date} {clock}{zone}{era}");
    Ok(())
}

fn write_interval(value: Value<'_>, out: &mut String) -> Result<(), Malformed> {
    let Parts([_, months, days, micros]) = Parts::of(value)?;
    let (months, days) = (signed_or_zero(months)?, signed_or_zero(days)?);
    let _ = write!(out, "{months} mons {days} days {}", civil::time(signed_or_zero(micros)?));
    Ok(())
}

fn write_bits(value: Value<'_>, out: &mut String) -> Result<(), Malformed> {
    let Parts([_, bits, length]) = Parts::of(value)?;
    let bits = bits.map_or(Ok(&[][..]), Value::bytes)?;
    for index in 0..length.map_or(Ok(0), Value::varint)? {
        let byte = usize::try_from(index / 8).ok().and_then(|at| bits.get(at)).ok_or(Malformed)?;
        out.push(if byte >> (7 - index % 8) & 1 == 1 { '1' } else { '0' });
    }
    Ok(())
}

/// `{"1",NULL}`: every element in quotes, which the server takes for every type.
fn write_array(scalar: Scalar, message: &[u8], out: &mut String) -> Result<(), Untold> {
    let mut shape = Shape::default();
    let mut elements = Vec::new();
    for field in Fields::of(message) {
        let field = field?;
        match field.number {
            1 => shape = Shape::of(field.value.bytes()?)?,
            2 => take_elements(scalar, field.value, &mut elements)?,
            _ => {}
        }
    }
    shape.write(scalar, &elements, out)
}

/// Numbers are packed into one field; the others have one field each.
fn take_elements<'a>(scalar: Scalar, value: Value<'a>, elements: &mut Vec<Value<'a>>) -> Result<(), Malformed> {
    match scalar {
        Scalar::Bool | Scalar::Int32 | Scalar::Int64 | Scalar::UInt32 | Scalar::UInt64 => {
            let mut rest = value.bytes()?;
            while !rest.is_empty() {
                elements.push(Value::Varint(take_varint(&mut rest).ok_or(Malformed)?));
            }
        }
        Scalar::Float => {
            let (floats, []) = value.bytes()?.as_chunks::<4>() else { return Err(Malformed) };
            elements.extend(floats.iter().map(|bytes| Value::Fixed32(u32::from_le_bytes(*bytes))));
        }
        Scalar::Double => {
            let (doubles, []) = value.bytes()?.as_chunks::<8>() else { return Err(Malformed) };
            elements.extend(doubles.iter().map(|bytes| Value::Fixed64(u64::from_le_bytes(*bytes))));
        }
        _ => elements.push(value),
    }
    Ok(())
}

/// `ArrayShape`.
#[derive(Default)]
struct Shape {
    lengths: Vec<u64>,
    lower_bounds: Vec<i64>,
    /// Ascending.
    nulls: Vec<u64>,
}

impl Shape {
    fn of(message: &[u8]) -> Result<Self, Malformed> {
        let mut shape = Self::default();
        for field in Fields::of(message) {
            let field = field?;
            let mut rest = field.value.bytes()?;
            while !rest.is_empty() {
                let value = take_varint(&mut rest).ok_or(Malformed)?;
                match field.number {
                    1 => shape.lengths.push(value),
                    2 => shape.lower_bounds.push(unzigzag(value)),
                    3 => shape.nulls.push(value),
                    _ => {}
                }
            }
        }
        Ok(shape)
    }

    fn write(&self, scalar: Scalar, elements: &[Value<'_>], out: &mut String) -> Result<(), Untold> {
        let product = self.lengths.iter().try_fold(1_u64, |product, length| product.checked_mul(*length));
        if self.lengths.is_empty() {
            out.push_str("{}");
            return if elements.is_empty() { Ok(()) } else { Err(Untold::Malformed) };
        }
        if product != Some(elements.len() as u64) {
            return Err(Untold::Malformed);
        }
        if !self.lower_bounds.is_empty() {
            for (lower, length) in self.lower_bounds.iter().zip(&self.lengths) {
                let length = i64::try_from(*length).map_err(|_| Malformed)?;
                let _ = write!(out, "[{lower}:{}]", lower + length - 1);
            }
            out.push('=');
        }
        let mut next = 0..elements.len();
        self.write_level(0, scalar, elements, &mut next, out)
    }

    fn write_level(
        &self,
        depth: usize,
        scalar: Scalar,
        elements: &[Value<'_>],
        next: &mut std::ops::Range<usize>,
        out: &mut String,
    ) -> Result<(), Untold> {
        out.push('{');
        for place in 0..self.lengths[depth] {
            if place > 0 {
                out.push(',');
            }
            if depth + 1 < self.lengths.len() {
                self.write_level(depth + 1, scalar, elements, next, out)?;
                continue;
            }
            let at = next.next().ok_or(Malformed)?;
            if self.nulls.binary_search(&(at as u64)).is_ok() {
                out.push_str("NULL");
            } else {
                write_element(scalar, elements[at], out)?;
            }
        }
        out.push('}');
        Ok(())
    }
}

fn write_element(scalar: Scalar, value: Value<'_>, out: &mut String) -> Result<(), Untold> {
    let mut text = String::new();
    write_scalar(scalar, value, &mut text)?;
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cell;
    use crate::wire::varint::{LENGTH_DELIMITED, put_bytes, put_tag, put_varint, zigzag};

    fn text(scalar: Scalar, write_value: impl FnOnce(&mut Vec<u8>)) -> Result<String, Untold> {
        let mut message = Vec::new();
        put_tag(&mut message, 1, LENGTH_DELIMITED);
        write_value(&mut message);
        of_field(ValueType::Scalar(scalar), &message)
    }

    fn of_field(value_type: ValueType, message: &[u8]) -> Result<String, Untold> {
        let field = Fields::of(message).next().ok_or(Malformed)?.map_err(Untold::from)?;
        let mut out = String::new();
        write(value_type, field.value, &mut out).map(|()| out)
    }

    #[test]
    fn numbers_keep_every_digit_and_special_values_have_their_own_words() {
        let mut out = String::new();
        write_float(0.1_f32, &mut out);
        write_float(-0.0_f64, &mut out);
        write_float(f64::NEG_INFINITY, &mut out);
        assert_eq!(out, "1e-1-0e0-Infinity");
        assert_eq!(text(Scalar::Decimal, |out| cell::decimal(out, "-0.0010")), Ok("-0.0010".into()));
        assert_eq!(text(Scalar::Decimal, |out| cell::special(out, 2, Special::NotANumber)), Ok("NaN".into()));
        assert_eq!(text(Scalar::Bytes, |out| out.extend([2, 0, 255])), Ok("\\x00ff".into()));
        assert_eq!(text(Scalar::Date, |out| cell::no_date(out, 2, 3, "2026-00-00")), Err(Untold::NoDate));
        assert_eq!(text(Scalar::Instant, |out| cell::no_date(out, 3, 4, "0000-00-00")), Err(Untold::NoDate));
        assert_eq!(text(Scalar::Bits, |out| cell::bits(out, &[0b1010_0000], 3)), Ok("101".into()));
    }

    #[test]
    fn dates_and_times_are_the_servers_own_text_in_every_era() {
        assert_eq!(text(Scalar::Date, |out| cell::date(out, -719_163)), Ok("0001-12-31 BC".into()));
        assert_eq!(text(Scalar::Date, |out| cell::date(out, 2_145_042_905)), Ok("5874897-12-31".into()));
        assert_eq!(text(Scalar::Date, |out| cell::special(out, 2, Special::Infinity)), Ok("infinity".into()));
        assert_eq!(text(Scalar::Time, |out| cell::time(out, 86_400_000_000)), Ok("24:00:00".into()));
        assert_eq!(
            text(Scalar::TimeWithOffset, |out| cell::time_with_offset(out, 3_723_500_000, -12_610)),
            Ok("01:02:03.5-03:30:10".into())
        );
        assert_eq!(
            text(Scalar::LocalDateTime, |out| cell::timestamp(out, -1, 999_999_000)),
            Ok("1969-12-31 23:59:59.999999".into())
        );
        let before_christ = text(Scalar::Instant, |out| cell::timestamp(out, -719_163 * 86_400, 0));
        assert_eq!(before_christ, Ok("0001-12-31 00:00:00+00 BC".into()));
        assert_eq!(
            text(Scalar::Interval, |out| cell::interval(out, 14, -3, -500_000)),
            Ok("14 mons -3 days -00:00:00.5".into())
        );
    }

    #[test]
    fn arrays_keep_nulls_dimensions_bounds_and_what_needs_quoting() {
        let array = |scalar, shape: &[u8], values: &[&[u8]]| {
            let mut message = Vec::new();
            put_bytes(&mut message, 1, shape);
            values.iter().for_each(|value| put_bytes(&mut message, 2, value));
            let mut field = Vec::new();
            put_bytes(&mut field, 1, &message);
            of_field(ValueType::Array(scalar), &field)
        };
        let mut shape = Vec::new();
        put_bytes(&mut shape, 1, &[2, 2]);
        put_bytes(&mut shape, 2, &[0, 2]);
        put_bytes(&mut shape, 3, &[2]);
        let mut numbers = Vec::new();
        [1, -3, 0, 7].iter().for_each(|number| put_varint(&mut numbers, zigzag(*number)));
        assert_eq!(array(Scalar::Int32, &shape, &[&numbers]), Ok("[0:1][1:2]={{\"1\",\"-3\"},{NULL,\"7\"}}".into()));
        let mut shape = Vec::new();
        put_bytes(&mut shape, 1, &[2]);
        assert_eq!(array(Scalar::String, &shape, &[b"a\"b\\", b""]), Ok("{\"a\\\"b\\\\\",\"\"}".into()));
        assert_eq!(array(Scalar::String, &[], &[]), Ok("{}".into()));
        assert_eq!(array(Scalar::String, &shape, &[b"one"]), Err(Untold::Malformed), "fewer than the shape says");
    }
}
