//! Numbers, bytes and bits from PostgreSQL's text forms (`extra_float_digits` 3, `bytea_output` hex).

/// `t` or `f`.
pub fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"t" => Some(true),
        b"f" => Some(false),
        _ => None,
    }
}

/// A signed integer of up to 64 bits.
#[inline]
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', digits) => (true, digits),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    // Nineteen digits fit a u64; the sign decides about the last one.
    let mut value = 0_u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// `double precision`; the shortest text that reads back the same. NaN and infinities are values of the type itself.
pub fn double(text: &[u8]) -> Option<f64> {
    match text {
        b"NaN" => Some(f64::NAN),
        b"Infinity" => Some(f64::INFINITY),
        b"-Infinity" => Some(f64::NEG_INFINITY),
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

/// `real`. Read as such: through a double it would be rounded twice.
pub fn float(text: &[u8]) -> Option<f32> {
    match text {
        b"NaN" => Some(f32::NAN),
        b"Infinity" => Some(f32::INFINITY),
        b"-Infinity" => Some(f32::NEG_INFINITY),
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

/// What a `numeric` can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numeric<'a> {
    /// An optional minus, digits, and optionally a point and digits.
    Finite(&'a str),
    NotANumber,
    Infinity,
    NegativeInfinity,
}

pub fn numeric(text: &[u8]) -> Option<Numeric<'_>> {
    match text {
        b"NaN" => Some(Numeric::NotANumber),
        b"Infinity" => Some(Numeric::Infinity),
        b"-Infinity" => Some(Numeric::NegativeInfinity),
        _ => is_decimal(text).then(|| std::str::from_utf8(text).ok().map(Numeric::Finite))?,
    }
}

fn is_decimal(text: &[u8]) -> bool {
    let mut digits = text.strip_prefix(b"-").unwrap_or(text).split(|byte| *byte == b'.');
    let part = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    digits.next().is_some_and(part) && digits.next().is_none_or(part) && digits.next().is_none()
}

/// Appends what `\x0102…` stands for.
pub fn bytes(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digits = text.strip_prefix(b"\\x")?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    out.reserve(pairs.len());
    for [high, low] in pairs {
        out.push(nibble(*high)? << 4 | nibble(*low)?);
    }
    Some(())
}

fn nibble(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

/// Appends a bit string's bits, most significant first, the last byte padded with zero bits. Gives the number of bits.
pub fn bits(text: &[u8], out: &mut Vec<u8>) -> Option<u32> {
    for chunk in text.chunks(8) {
        let mut byte = 0_u8;
        for bit in chunk {
            byte = byte << 1
                | match bit {
                    b'0' => 0,
                    b'1' => 1,
                    _ => return None,
                };
        }
        let padding = 8_usize.saturating_sub(chunk.len());
        out.push(byte.wrapping_shl(u32::try_from(padding).ok()?));
    }
    u32::try_from(text.len()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_reach_to_both_ends_and_not_beyond() {
        assert_eq!(integer(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(integer(b"-9223372036854775808"), Some(i64::MIN));
        for bad in ["", "-", "9223372036854775808", "-9223372036854775809", "1x", "99999999999999999999", "+1"] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_numeric_is_digits_or_one_of_its_three_special_values() {
        for good in ["0", "-1.50", "12345678901234567890.000"] {
            assert_eq!(numeric(good.as_bytes()), Some(Numeric::Finite(good)));
        }
        assert_eq!(numeric(b"NaN"), Some(Numeric::NotANumber));
        for bad in ["", "-", ".", "1.", ".5", "1.2.3", "1e5", "nan"] {
            assert_eq!(numeric(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn bits_are_padded_at_the_end() {
        let mut out = Vec::new();
        assert_eq!(bits(b"1010101011", &mut out), Some(10));
        assert_eq!(out, [0b1010_1010, 0b1100_0000]);
        assert_eq!(bits(b"12", &mut out), None);
    }

    proptest! {
        #[test]
        fn integers_and_floats_read_back_what_was_printed(integer_value: i64, double_value: f64, float_value: f32) {
            prop_assert_eq!(integer(integer_value.to_string().as_bytes()), Some(integer_value));
            prop_assert_eq!(double(format!("{double_value:?}").as_bytes()).map(f64::to_bits), Some(double_value.to_bits()));
            prop_assert_eq!(float(format!("{float_value:?}").as_bytes()).map(f32::to_bits), Some(float_value.to_bits()));
        }

        #[test]
        fn bytes_read_back_what_was_printed(value: Vec<u8>) {
            let text = value.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"));
            let mut out = Vec::new();
            prop_assert_eq!(bytes(text.as_bytes(), &mut out), Some(()));
            prop_assert_eq!(out, value);
        }

        #[test]
        fn hostile_text_never_panics(text: Vec<u8>) {
            let mut out = Vec::new();
            let _ = (boolean(&text), integer(&text), double(&text), float(&text), numeric(&text));
            let _ = (bytes(&text, &mut out), bits(&text, &mut out));
        }
    }
}
