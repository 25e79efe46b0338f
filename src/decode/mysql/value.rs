//! A stored cell as the value it stands for.

use super::calendar::{self, Date, DateTime, Timestamp};
use super::column::Storage;
use super::mariadb::Disguised;
use super::reader::Reader;

/// What a cell holds. Text is still in its column's character set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Int(i64),
    UInt(u64),
    Float(f32),
    Double(f64),
    /// Packed, of this precision and scale.
    Decimal(&'a [u8], u8, u8),
    Date(Date),
    /// Microseconds, of either sign.
    Time(i64),
    /// With so many digits of the second.
    DateTime(DateTime, u8),
    Timestamp(Timestamp, u8),
    /// So many bits, the first byte's upper ones unused.
    Bits(&'a [u8], u16),
    /// Of a label, from 1; 0 is the empty text of a value that was none.
    Label(u64),
    /// A bit for each label, the lowest first.
    Labels(u64),
    Text(&'a [u8]),
    /// Padded with zeros to so many bytes.
    Padded(&'a [u8], u16),
    Bytes(&'a [u8]),
    /// In its binary form.
    Json(&'a [u8]),
    Disguised(&'a [u8], Disguised),
}

impl<'a> Value<'a> {
    /// `is_text`: the column has a character set other than binary. `None`: the bytes are no value of the type.
    #[inline]
    pub fn read(storage: Storage, unsigned: bool, is_text: bool, stored: &'a [u8]) -> Option<Self> {
        Some(match storage {
            Storage::Int { .. } if unsigned => Self::UInt(uint(stored)?),
            Storage::Int { .. } => Self::Int(int(stored)?),
            Storage::Float => Self::Float(f32::from_le_bytes(stored.try_into().ok()?)),
            Storage::Double => Self::Double(f64::from_le_bytes(stored.try_into().ok()?)),
            Storage::Decimal { precision, scale } => Self::Decimal(stored, precision, scale),
            Storage::Year => Self::Int(year(*stored.first()?)),
            Storage::Date => Self::Date(calendar::date(stored)?),
            Storage::Time { digits } => Self::Time(calendar::time(stored, digits)?),
            Storage::DateTime { digits } => Self::DateTime(calendar::date_time(stored, digits)?, digits),
            Storage::Timestamp { digits } => Self::Timestamp(calendar::timestamp(stored, digits)?, digits),
            Storage::Bit { bits } => Self::Bits(stored, bits),
            Storage::Enum { .. } => Self::Label(uint(stored)?),
            Storage::Set { .. } => Self::Labels(uint(stored)?),
            Storage::Fixed { .. } | Storage::Varying { .. } | Storage::Blob { .. } if is_text => Self::Text(stored),
            Storage::Fixed { bytes } => Self::Padded(stored, bytes),
            Storage::Varying { .. } | Storage::Blob { .. } | Storage::Geometry { .. } | Storage::Vector { .. } => {
                Self::Bytes(stored)
            }
            Storage::Json { .. } => Self::Json(stored),
        })
    }
}

fn uint(stored: &[u8]) -> Option<u64> {
    Reader::new(0, stored).uint(stored.len()).ok()
}

/// The highest bit of however many bytes is the sign.
fn int(stored: &[u8]) -> Option<i64> {
    let unused = u32::try_from(8_usize.checked_sub(stored.len())?).ok()?.checked_mul(8)?;
    let shifted = uint(stored)?.checked_shl(unused).unwrap_or(0);
    shifted.cast_signed().checked_shr(unused)
}

/// Counted from 1900; 0 is the year 0000.
fn year(stored: u8) -> i64 {
    if stored == 0 { 0 } else { i64::from(stored).saturating_add(1900) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_of_every_width_keep_their_sign() {
        let read = |bytes: u8, unsigned, stored| Value::read(Storage::Int { bytes }, unsigned, false, stored);
        assert_eq!(read(1, false, &[0xFF]), Some(Value::Int(-1)));
        assert_eq!(read(1, true, &[0xFF]), Some(Value::UInt(255)));
        assert_eq!(read(3, false, &[0, 0, 0x80]), Some(Value::Int(-8_388_608)));
        assert_eq!(read(8, true, &[0xFF; 8]), Some(Value::UInt(u64::MAX)));
        assert_eq!(read(8, false, &[0, 0, 0, 0, 0, 0, 0, 0x80]), Some(Value::Int(i64::MIN)));
    }

    #[test]
    fn the_year_zero_is_not_1900() {
        assert_eq!(Value::read(Storage::Year, false, false, &[0]), Some(Value::Int(0)));
        assert_eq!(Value::read(Storage::Year, false, false, &[255]), Some(Value::Int(2155)));
    }

    #[test]
    fn bytes_without_a_character_set_are_no_text() {
        let storage = Storage::Fixed { bytes: 4 };
        assert_eq!(Value::read(storage, false, true, b"ab"), Some(Value::Text(b"ab")));
        assert_eq!(Value::read(storage, false, false, b"ab"), Some(Value::Padded(b"ab", 4)));
    }

    proptest! {
        #[test]
        fn hostile_cells_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20), digits in 0_u8..7, n in 1_u8..9) {
            for storage in [
                Storage::Int { bytes: n }, Storage::Float, Storage::Double, Storage::Year, Storage::Date,
                Storage::Time { digits }, Storage::DateTime { digits }, Storage::Timestamp { digits },
                Storage::Enum { bytes: n }, Storage::Set { bytes: n }, Storage::Decimal { precision: n, scale: digits },
            ] {
                let _ = Value::read(storage, false, false, &bytes);
            }
        }
    }
}
