//! DECIMAL in its packed form: groups of nine digits in four bytes, big endian, smaller ones at both ends.
//!
//! Surprise: the first bit is inverted so that packed values sort, and in a negative number all the others are, too.
//!
//! Source: MySQL 9 strings/decimal.cc, `decimal2bin`.

use std::fmt::Write as _;

/// Bytes that so many left-over digits take.
const BYTES_OF_DIGITS: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
const DIGITS_OF_GROUP: u8 = 9;
const PRECISION_MAX: u8 = 65;

/// `None`: there is no such type.
pub fn stored_bytes(precision: u8, scale: u8) -> Option<usize> {
    let before = precision.checked_sub(scale)?;
    let bytes = |digits: u8| {
        let left_over = BYTES_OF_DIGITS.get(usize::from(digits % DIGITS_OF_GROUP))?;
        usize::from(digits / DIGITS_OF_GROUP).checked_mul(4)?.checked_add(usize::from(*left_over))
    };
    (precision > 0 && precision <= PRECISION_MAX).then_some(())?;
    bytes(before)?.checked_add(bytes(scale)?)
}

/// Appends the number with all the digits of its scale, as the server prints it.
pub fn text(stored: &[u8], precision: u8, scale: u8, out: &mut String) -> Option<()> {
    if stored.len() != stored_bytes(precision, scale)? {
        return None;
    }
    let negative = stored.first()? & 0x80 == 0;
    let inverted = if negative { 0xFF } else { 0 };
    let mut rest = Groups { stored, inverted, first: true };
    let start = out.len();
    if negative {
        out.push('-');
    }
    let before = precision.checked_sub(scale)?;
    let digits_start = out.len();
    let left_over = before % DIGITS_OF_GROUP;
    if left_over > 0 {
        rest.append(left_over, out)?;
    }
    for _ in 0..before / DIGITS_OF_GROUP {
        rest.append(DIGITS_OF_GROUP, out)?;
    }
    cut_leading_zeros(out, digits_start);
    if scale > 0 {
        out.push('.');
        for _ in 0..scale / DIGITS_OF_GROUP {
            rest.append(DIGITS_OF_GROUP, out)?;
        }
        if !scale.is_multiple_of(DIGITS_OF_GROUP) {
            rest.append(scale % DIGITS_OF_GROUP, out)?;
        }
    }
    // The server never stores a negative zero.
    debug_assert!(out.len() > start);
    Some(())
}

/// Leaves one digit.
fn cut_leading_zeros(out: &mut String, start: usize) {
    let digits = out.get(start..).unwrap_or_default();
    let significant = digits.trim_start_matches('0').to_owned();
    out.truncate(start);
    out.push_str(if significant.is_empty() { "0" } else { &significant });
}

struct Groups<'a> {
    stored: &'a [u8],
    inverted: u8,
    first: bool,
}

impl Groups<'_> {
    fn append(&mut self, digits: u8, out: &mut String) -> Option<()> {
        let length = usize::from(*BYTES_OF_DIGITS.get(usize::from(digits))?);
        let (group, rest) = self.stored.split_at_checked(length)?;
        self.stored = rest;
        let mut value = 0_u32;
        for byte in group {
            let sign = if std::mem::take(&mut self.first) { 0x80 } else { 0 };
            value = value << 8 | u32::from(byte ^ self.inverted ^ sign);
        }
        if value >= 10_u32.checked_pow(digits.into())? {
            return None;
        }
        let width = usize::from(digits);
        write!(out, "{value:0width$}").ok()
    }
}

/// Appends a decimal as the server prints it, without the zeros that ZEROFILL puts in front: the log has none.
pub fn without_fill(printed: &str, out: &mut String) {
    let (sign, digits) = printed.strip_prefix('-').map_or(("", printed), |digits| ("-", digits));
    let whole = digits.find('.').unwrap_or(digits.len());
    let filled = digits.bytes().take(whole.saturating_sub(1)).take_while(|byte| *byte == b'0').count();
    out.push_str(sign);
    out.push_str(digits.get(filled..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stored: &[u8], precision: u8, scale: u8) -> Option<String> {
        let mut out = String::new();
        text(stored, precision, scale, &mut out).map(|()| out)
    }

    #[test]
    fn groups_signs_and_scales_read_as_the_server_prints_them() {
        // From the comment of decimal2bin.
        let stored = [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2];
        assert_eq!(read(&stored, 14, 4).as_deref(), Some("1234567890.1234"));
        let negative = stored.map(|byte| !byte);
        assert_eq!(read(&negative, 14, 4).as_deref(), Some("-1234567890.1234"));
        assert_eq!(read(&[0x80, 0x00], 3, 1).as_deref(), Some("0.0"));
        assert_eq!(read(&[0x80], 1, 1).as_deref(), Some("0.0"));
        assert_eq!(read(&[0x80, 0x00, 0x00, 0x07], 8, 0).as_deref(), Some("7"));
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        assert_eq!(read(&[0x80], 3, 1), None);
        assert_eq!(read(&[], 0, 0), None);
        assert_eq!((stored_bytes(1, 2), stored_bytes(66, 0)), (None, None));
    }

    #[test]
    fn a_filled_decimal_is_the_same_as_one_that_is_not() {
        for (printed, expected) in [("00012.50", "12.50"), ("-000.10", "-0.10"), ("000", "0"), ("7", "7"), ("", "")] {
            let mut out = String::new();
            without_fill(printed, &mut out);
            assert_eq!(out, expected);
        }
    }
}
