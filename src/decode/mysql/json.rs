//! JSON columns: from the server's binary form to the text that it prints.
//!
//! Objects have their keys sorted by length and then bytes, arrays and objects name their parts by offset, small ones with two
//! bytes and large ones with four. Surprises: numbers up to 16 bits, in large values up to 32, stand in the place of the offset;
//! decimals, dates and times are opaque values of the column types' own forms, and anything else opaque is base64.
//!
//! Source: MySQL 9 sql-common/json_binary.h, json_binary.cc (`parse_value`), json_dom.cc (`wrapper_to_string`).

use super::{calendar, decimal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// `JSON_DOCUMENT_MAX_DEPTH` in sql-common/json_syntax_check.h.
const DEPTH_MAX: u32 = 100;
/// No part of a document is printed with more than this for each of its bytes, as long as no two share them.
const GROWTH_MAX: usize = 16;

/// Value types of json_binary.cc.
mod kind {
    pub const SMALL_OBJECT: u8 = 0x00;
    pub const LARGE_OBJECT: u8 = 0x01;
    pub const SMALL_ARRAY: u8 = 0x02;
    pub const LARGE_ARRAY: u8 = 0x03;
    pub const LITERAL: u8 = 0x04;
    pub const INT16: u8 = 0x05;
    pub const UINT16: u8 = 0x06;
    pub const INT32: u8 = 0x07;
    pub const UINT32: u8 = 0x08;
    pub const INT64: u8 = 0x09;
    pub const UINT64: u8 = 0x0A;
    pub const DOUBLE: u8 = 0x0B;
    pub const STRING: u8 = 0x0C;
    pub const OPAQUE: u8 = 0x0F;
}

/// Column types that opaque values have.
mod opaque {
    pub const TIMESTAMP: u8 = 7;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const NEWDECIMAL: u8 = 246;
}

/// Appends the document's text; `None` when it is none.
pub fn text(document: &[u8], out: &mut String) -> Option<()> {
    // An empty value is what an UPDATE IGNORE and old servers leave: the JSON null.
    let Some((kind, value)) = document.split_first() else {
        out.push_str("null");
        return Some(());
    };
    let end = document.len().checked_mul(GROWTH_MAX)?.checked_add(out.len())?;
    write(*kind, value, Bounds { depth: 0, end }, out)
}

/// What a document that refers to itself would go beyond.
#[derive(Clone, Copy)]
struct Bounds {
    depth: u32,
    /// Of the text.
    end: usize,
}

impl Bounds {
    fn deeper(self) -> Option<Self> {
        let depth = self.depth.checked_add(1).filter(|depth| *depth <= DEPTH_MAX)?;
        Some(Self { depth, ..self })
    }
}

fn write(kind: u8, value: &[u8], bounds: Bounds, out: &mut String) -> Option<()> {
    if out.len() > bounds.end {
        return None;
    }
    match kind {
        kind::SMALL_OBJECT => container(value, Width::Small, true, bounds.deeper()?, out)?,
        kind::LARGE_OBJECT => container(value, Width::Large, true, bounds.deeper()?, out)?,
        kind::SMALL_ARRAY => container(value, Width::Small, false, bounds.deeper()?, out)?,
        kind::LARGE_ARRAY => container(value, Width::Large, false, bounds.deeper()?, out)?,
        kind::LITERAL => out.push_str(match value.first()? {
            0 => "null",
            1 => "true",
            2 => "false",
            _ => return None,
        }),
        kind::INT16 => write!(out, "{}", i16::from_le_bytes(*value.first_chunk()?)).ok()?,
        kind::UINT16 => write!(out, "{}", u16::from_le_bytes(*value.first_chunk()?)).ok()?,
        kind::INT32 => write!(out, "{}", i32::from_le_bytes(*value.first_chunk()?)).ok()?,
        kind::UINT32 => write!(out, "{}", u32::from_le_bytes(*value.first_chunk()?)).ok()?,
        kind::INT64 => write!(out, "{}", i64::from_le_bytes(*value.first_chunk()?)).ok()?,
        kind::UINT64 => write!(out, "{}", u64::from_le_bytes(*value.first_chunk()?)).ok()?,
        kind::DOUBLE => double(f64::from_le_bytes(*value.first_chunk()?), out)?,
        kind::STRING => quote(counted(value)?, out)?,
        kind::OPAQUE => {
            let (column_type, value) = value.split_first()?;
            write_opaque(*column_type, counted(value)?, out)?;
        }
        _ => return None,
    }
    Some(())
}

/// How wide counts and offsets are.
#[derive(Clone, Copy)]
enum Width {
    Small,
    Large,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::Small => 2,
            Self::Large => 4,
        }
    }

    fn number(self, bytes: &[u8], at: usize) -> Option<usize> {
        let bytes = bytes.get(at..)?;
        match self {
            Self::Small => Some(u16::from_le_bytes(*bytes.first_chunk()?).into()),
            Self::Large => usize::try_from(u32::from_le_bytes(*bytes.first_chunk()?)).ok(),
        }
    }

    /// Whether a value of this kind stands where others have their offset.
    fn inlines(self, kind: u8) -> bool {
        match kind {
            kind::LITERAL | kind::INT16 | kind::UINT16 => true,
            kind::INT32 | kind::UINT32 => matches!(self, Self::Large),
            _ => false,
        }
    }
}

/// Count, size, the keys' offsets and lengths (of an object), the values' kinds and offsets; then keys and values.
fn container(whole: &[u8], width: Width, is_object: bool, bounds: Bounds, out: &mut String) -> Option<()> {
    let count = width.number(whole, 0)?;
    let size = width.number(whole, width.bytes())?;
    let whole = whole.get(..size)?;
    let header = width.bytes().checked_mul(2)?;
    let key_entry = width.bytes().checked_add(2)?;
    let value_entry = width.bytes().checked_add(1)?;
    let keys = if is_object { count.checked_mul(key_entry)? } else { 0 };
    let values = header.checked_add(keys)?;
    // What it says to hold must be there before any of it is written.
    whole.get(..values.checked_add(count.checked_mul(value_entry)?)?)?;
    out.push(if is_object { '{' } else { '[' });
    for index in 0..count {
        if index > 0 {
            out.push_str(", ");
        }
        if is_object {
            let entry = header.checked_add(index.checked_mul(key_entry)?)?;
            let (start, length) = (width.number(whole, entry)?, entry.checked_add(width.bytes())?);
            let length = Width::Small.number(whole, length)?;
            quote(whole.get(start..start.checked_add(length)?)?, out)?;
            out.push_str(": ");
        }
        let entry = values.checked_add(index.checked_mul(value_entry)?)?;
        let (kind, place) = (*whole.get(entry)?, entry.checked_add(1)?);
        let at = if width.inlines(kind) { place } else { width.number(whole, place)? };
        write(kind, whole.get(at..)?, bounds, out)?;
    }
    out.push(if is_object { '}' } else { ']' });
    Some(())
}

/// A length in groups of seven bits, the lowest first, and so many bytes.
fn counted(value: &[u8]) -> Option<&[u8]> {
    let mut length = 0_usize;
    for (index, byte) in value.iter().enumerate().take(5) {
        let shift = u32::try_from(index).ok()?.checked_mul(7)?;
        length |= usize::from(byte & 0x7F).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let start = index.checked_add(1)?;
            return value.get(start..start.checked_add(length)?);
        }
    }
    None
}

/// As `double_quote` in json_dom.cc: what must be escaped and nothing else.
fn quote(text: &[u8], out: &mut String) -> Option<()> {
    out.push('"');
    for character in std::str::from_utf8(text).ok()?.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{C}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => write!(out, "\\u{:04x}", u32::from(control)).ok()?,
            other => out.push(other),
        }
    }
    out.push('"');
    Some(())
}

/// `my_gcvt` in strings/dtoa.cc: the fewest digits that read back the same, with an exponent only beyond fifteen places.
/// Surprises: seventeen digits, of which one stands behind the point, have none either; and of two numbers of so many digits
/// that are equally near, the even one is meant, which is what a fixed number of digits gives here.
fn double(value: f64, out: &mut String) -> Option<()> {
    const PLACES_MAX: i32 = 15;
    if !value.is_finite() {
        return None;
    }
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    // Digits stand before the point; my_gcvt counts from there.
    let places = exponent.checked_add(1)?;
    let digits = i32::try_from(mantissa.bytes().filter(u8::is_ascii_digit).count()).ok()?;
    if places < 1_i32.saturating_sub(PLACES_MAX) || places > PLACES_MAX && digits <= places {
        let behind = usize::try_from(digits.checked_sub(1)?).ok()?;
        return write!(out, "{value:.behind$e}").ok();
    }
    let behind = usize::try_from(digits.checked_sub(places)?.max(1)).ok()?;
    write!(out, "{value:.behind$}").ok()
}

fn write_opaque(column_type: u8, value: &[u8], out: &mut String) -> Option<()> {
    if column_type == opaque::NEWDECIMAL {
        let ([precision, scale], stored) = value.split_first_chunk::<2>()?;
        return decimal::text(stored, *precision, *scale, out);
    }
    if !matches!(column_type, opaque::TIMESTAMP | opaque::DATE | opaque::TIME | opaque::DATETIME) {
        return write!(out, "\"base64:type{column_type}:{}\"", STANDARD.encode(value)).ok();
    }
    // A sign, the packed form, and 24 bits of microseconds.
    let packed = i64::from_le_bytes(*value.first_chunk()?);
    let magnitude = packed.unsigned_abs();
    let (whole, micros) = (magnitude >> 24, magnitude & 0xFF_FFFF);
    out.push('"');
    match column_type {
        opaque::TIME => {
            let time = calendar::signed_time(packed < 0, whole, micros)?;
            if time < 0 {
                out.push('-');
            }
            calendar::write_clock(time.unsigned_abs(), 6, out);
        }
        opaque::DATE => calendar::packed_date_time(whole, micros)?.date.write(out),
        _ => calendar::packed_date_time(whole, micros)?.write(6, out),
    }
    out.push('"');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(document: &[u8]) -> Option<String> {
        let mut out = String::new();
        text(document, &mut out).map(|()| out)
    }

    /// `{"a": [1, "x", null], "b": -1.5}`.
    #[rustfmt::skip]
    const DOCUMENT: &[u8] = &[
        0x00, 0x02, 0x00, 0x2B, 0x00, 0x12, 0x00, 0x01, 0x00, 0x13, 0x00, 0x01, 0x00, 0x02, 0x14, 0x00, 0x0B, 0x23, 0x00, 0x61, 0x62, 0x03, 0x00, 0x0F, 0x00, 0x05, 0x01, 0x00, 0x0C, 0x0D, 0x00, 0x04, 0x00, 0x00, 0x01, 0x78, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xF8, 0xBF,
    ];

    #[test]
    fn documents_read_as_the_server_prints_them() {
        assert_eq!(read(DOCUMENT).as_deref(), Some(r#"{"a": [1, "x", null], "b": -1.5}"#));
        assert_eq!(read(&[0x0C, 3, b'a', b'"', 1]).as_deref(), Some(r#""a\"\u0001""#));
        assert_eq!(
            read(&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).as_deref(),
            Some("18446744073709551615")
        );
        assert_eq!(read(&[]).as_deref(), Some("null"));
        assert_eq!(read(&[0x0F, 0xFD, 2, 1, 2]).as_deref(), Some(r#""base64:type253:AQI=""#));
        assert_eq!(read(&[0x0F, 246, 4, 3, 1, 0x80, 0x0F]), None, "one digit is not 15");
        assert_eq!(read(&[0x0F, 246, 4, 3, 1, 0x80, 0x05]).as_deref(), Some("0.5"));
    }

    #[test]
    fn doubles_get_an_exponent_only_beyond_fifteen_places() {
        let read = |value: f64| {
            let mut out = String::new();
            double(value, &mut out).map(|()| out)
        };
        for (value, expected) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (1_234_567_890_123_456.8, "1234567890123456.8"),
            (-2_066_583_275_200_836.2, "-2066583275200836.2"),
            (9_999_999_999_999_998.0, "9.999999999999998e15"),
            (5e-324, "5e-324"),
            (1.5e300, "1.5e300"),
            (1e-14, "0.00000000000001"),
            (1.25e-20, "1.25e-20"),
        ] {
            assert_eq!(read(value).as_deref(), Some(expected));
        }
        assert_eq!(read(f64::NAN), None);
    }

    #[test]
    fn what_nests_too_deep_or_points_outside_is_refused() {
        let mut nested = vec![0x02];
        // An array whose only value is itself.
        nested.extend([1, 0, 7, 0, 0x02, 0, 0]);
        assert_eq!(read(&nested), None);
        for end in 1..DOCUMENT.len() {
            assert_eq!(read(&DOCUMENT[..end]), None, "{end}");
        }
    }

    proptest! {
        #[test]
        fn hostile_documents_never_panic(at in 0_usize..60, byte: u8, bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes);
            let mut document = DOCUMENT.to_vec();
            let length = document.len();
            document[at % length] = byte;
            let _ = read(&document);
        }
    }
}
