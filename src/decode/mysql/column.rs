//! How a column's values are stored in a row image: what its type code and metadata mean.
//!
//! Source: MySQL 9 sql/field.cc (`pack`, `do_save_field_metadata`), libs/mysql/binlog/event/binary_log_funcs.cpp
//! (`calc_field_size`).

use super::decimal;
use super::reader::{Malformed, Reader};
use super::table_map::Dialect;

/// A column's type as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// 1, 2, 3, 4 or 8 bytes.
    Int {
        bytes: u8,
    },
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Year,
    Date,
    /// With so many digits of a second.
    Time {
        digits: u8,
    },
    DateTime {
        digits: u8,
    },
    Timestamp {
        digits: u8,
    },
    Bit {
        bits: u16,
    },
    /// An index into the labels, of 1 or 2 bytes.
    Enum {
        bytes: u8,
    },
    /// A bit for each label, 1 to 8 bytes.
    Set {
        bytes: u8,
    },
    /// CHAR and BINARY of so many bytes at most; trailing pads may be left out.
    Fixed {
        bytes: u16,
    },
    /// VARCHAR and VARBINARY of so many bytes at most.
    Varying {
        bytes: u16,
    },
    /// TEXT and BLOB, their length in so many bytes.
    Blob {
        length_bytes: u8,
    },
    Json {
        length_bytes: u8,
    },
    Geometry {
        length_bytes: u8,
    },
    Vector {
        length_bytes: u8,
    },
}

/// MySQL's type codes (include/field_types.h), as TABLE_MAP writes them.
mod code {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const YEAR: u8 = 13;
    pub const NEWDATE: u8 = 14;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP2: u8 = 17;
    pub const DATETIME2: u8 = 18;
    pub const TIME2: u8 = 19;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const BLOB: u8 = 252;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

impl Storage {
    /// `metadata`: behind the type codes of all columns, so much for each as its type takes.
    pub(super) fn parse(type_code: u8, metadata: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match type_code {
            code::TINY => Self::Int { bytes: 1 },
            code::SHORT => Self::Int { bytes: 2 },
            code::INT24 => Self::Int { bytes: 3 },
            code::LONG => Self::Int { bytes: 4 },
            code::LONGLONG => Self::Int { bytes: 8 },
            code::FLOAT | code::DOUBLE => match metadata.u8()? {
                4 => Self::Float,
                8 => Self::Double,
                _ => return metadata.fail("a floating-point number has an odd size"),
            },
            code::NEWDECIMAL => Self::Decimal { precision: metadata.u8()?, scale: metadata.u8()? },
            code::YEAR => Self::Year,
            code::DATE | code::NEWDATE => Self::Date,
            code::TIME2 => Self::Time { digits: digits(metadata)? },
            code::DATETIME2 => Self::DateTime { digits: digits(metadata)? },
            code::TIMESTAMP2 => Self::Timestamp { digits: digits(metadata)? },
            code::BIT => {
                let (bits, bytes) = (u16::from(metadata.u8()?), u16::from(metadata.u8()?));
                Self::Bit { bits: bytes.saturating_mul(8).saturating_add(bits) }
            }
            code::STRING => string(metadata)?,
            code::VARCHAR => Self::Varying { bytes: metadata.u16()? },
            code::BLOB => Self::Blob { length_bytes: length_bytes(metadata)? },
            code::JSON => Self::Json { length_bytes: length_bytes(metadata)? },
            code::GEOMETRY => Self::Geometry { length_bytes: length_bytes(metadata)? },
            code::VECTOR => Self::Vector { length_bytes: length_bytes(metadata)? },
            // Dates and times of before 5.6, and of MariaDB without mysql56_temporal_format, among them.
            _ => return metadata.fail("a column's storage format is not known"),
        })
    }

    /// Whether SIGNEDNESS has a bit for it.
    pub(super) fn is_numeric(self) -> bool {
        matches!(self, Self::Int { .. } | Self::Float | Self::Double | Self::Decimal { .. } | Self::Year)
    }

    /// Whether the character sets of columns have an entry for it: what is a blob underneath has one, too, but
    /// geometries only to MariaDB.
    pub(super) fn is_character(self, dialect: Dialect) -> bool {
        match self {
            Self::Fixed { .. } | Self::Varying { .. } | Self::Blob { .. } | Self::Vector { .. } => true,
            Self::Geometry { .. } => dialect == Dialect::Mariadb,
            _ => false,
        }
    }

    pub(super) fn is_labelled(self) -> bool {
        matches!(self, Self::Enum { .. } | Self::Set { .. })
    }

    /// Takes a value's bytes off the front, without its length.
    #[inline]
    pub(super) fn take<'a>(self, row: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
        let length = match self {
            Self::Int { bytes } | Self::Enum { bytes } | Self::Set { bytes } => bytes.into(),
            Self::Float => 4,
            Self::Double => 8,
            Self::Decimal { precision, scale } => match decimal::stored_bytes(precision, scale) {
                Some(length) => length,
                None => return row.fail("a decimal's scale is beyond its precision"),
            },
            Self::Year => 1,
            Self::Date => 3,
            Self::Time { digits } => fraction_bytes(digits).saturating_add(3),
            Self::DateTime { digits } => fraction_bytes(digits).saturating_add(5),
            Self::Timestamp { digits } => fraction_bytes(digits).saturating_add(4),
            Self::Bit { bits } => bits.div_ceil(8).into(),
            Self::Fixed { bytes } | Self::Varying { bytes } if bytes < 256 => row.u8()?.into(),
            Self::Fixed { .. } | Self::Varying { .. } => row.u16()?.into(),
            Self::Blob { length_bytes }
            | Self::Json { length_bytes }
            | Self::Geometry { length_bytes }
            | Self::Vector { length_bytes } => {
                let length = row.uint(length_bytes.into())?;
                usize::try_from(length).unwrap_or(usize::MAX)
            }
        };
        row.bytes(length)
    }
}

/// Two digits of a second take a byte.
pub(super) fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits.div_ceil(2))
}

const DIGITS_MAX: u8 = 6;

fn digits(metadata: &mut Reader<'_>) -> Result<u8, Malformed> {
    match metadata.u8()? {
        digits @ 0..=DIGITS_MAX => Ok(digits),
        _ => metadata.fail("a second has more than six digits"),
    }
}

fn length_bytes(metadata: &mut Reader<'_>) -> Result<u8, Malformed> {
    match metadata.u8()? {
        bytes @ 1..=4 => Ok(bytes),
        _ => metadata.fail("a length has an odd size"),
    }
}

/// ENUM and SET come as STRING, and a CHAR of 256 bytes or more has the two high bits of its length, inverted, in the bits of
/// the type code that every such code has set.
fn string(metadata: &mut Reader<'_>) -> Result<Storage, Malformed> {
    let (first, second) = (metadata.u8()?, metadata.u8()?);
    Ok(match first {
        code::ENUM => Storage::Enum { bytes: at_most(second, 2, metadata)? },
        code::SET => Storage::Set { bytes: at_most(second, 8, metadata)? },
        _ => Storage::Fixed { bytes: u16::from(second) | (u16::from(first & 0x30) ^ 0x30) << 4 },
    })
}

fn at_most(bytes: u8, max: u8, metadata: &Reader<'_>) -> Result<u8, Malformed> {
    if (1..=max).contains(&bytes) { Ok(bytes) } else { metadata.fail("an enumeration has an odd size") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(type_code: u8, metadata: &[u8]) -> Option<Storage> {
        Storage::parse(type_code, &mut Reader::new(19, metadata)).ok()
    }

    #[test]
    fn metadata_says_how_values_are_stored() {
        assert_eq!(storage(code::STRING, &[0xFE, 40]), Some(Storage::Fixed { bytes: 40 }));
        // CHAR(255) of four bytes a character: 1020.
        assert_eq!(storage(code::STRING, &[0xCE, 0xFC]), Some(Storage::Fixed { bytes: 1020 }));
        assert_eq!(storage(code::STRING, &[code::ENUM, 1]), Some(Storage::Enum { bytes: 1 }));
        assert_eq!(storage(code::BIT, &[3, 1]), Some(Storage::Bit { bits: 11 }));
        assert_eq!(storage(code::VARCHAR, &[0x2C, 1]), Some(Storage::Varying { bytes: 300 }));
    }

    #[test]
    fn formats_of_before_2013_and_unknown_types_are_refused() {
        for type_code in [0, 6, 7, 11, 12, 20, 200, 243, 244] {
            assert_eq!(storage(type_code, &[0, 0]), None, "{type_code}");
        }
        assert_eq!(storage(code::TIME2, &[7]), None);
        assert_eq!(storage(code::STRING, &[code::SET, 9]), None);
    }
}
