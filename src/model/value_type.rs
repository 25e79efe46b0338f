//! The types a cell can have on its way. One table: decoders map the server's types onto it, protobuf types follow from it.

/// How a column's values travel. Declared names and modifiers stand beside it in [`super::schema::Column`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValueType {
    Scalar(Scalar),
    /// Any number of dimensions, any lower bounds, nulls kept.
    Array(Scalar),
}

/// The element types. Numbers are the journal's record of a type: append-only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Scalar {
    Bool = 1,
    /// 16 and 32 bit signed integers.
    Int32 = 2,
    Int64 = 3,
    /// PostgreSQL's oid and xid, MySQL's unsigned integers of up to 32 bits.
    UInt32 = 4,
    Float = 5,
    Double = 6,
    /// Exact, with its scale; NaN and infinities.
    Decimal = 7,
    /// UTF-8 text.
    String = 8,
    Bytes = 9,
    Date = 10,
    Time = 11,
    TimeWithOffset = 12,
    LocalDateTime = 13,
    Instant = 14,
    Interval = 15,
    Json = 16,
    /// Bit strings of a fixed or varying length.
    Bits = 17,
    /// The server's text and its name for the type.
    Other = 18,
    /// MySQL's BIGINT UNSIGNED.
    UInt64 = 19,
}

impl Scalar {
    pub const ALL: [Self; 19] = [
        Self::Bool,
        Self::Int32,
        Self::Int64,
        Self::UInt32,
        Self::Float,
        Self::Double,
        Self::Decimal,
        Self::String,
        Self::Bytes,
        Self::Date,
        Self::Time,
        Self::TimeWithOffset,
        Self::LocalDateTime,
        Self::Instant,
        Self::Interval,
        Self::Json,
        Self::Bits,
        Self::Other,
        Self::UInt64,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|scalar| *scalar as u8 == number)
    }
}

/// Set in a recorded number when it is an array.
const ARRAY: u8 = 0x80;

impl ValueType {
    /// The number that the journal and the lock file keep.
    pub fn number(self) -> u8 {
        match self {
            Self::Scalar(scalar) => scalar as u8,
            Self::Array(scalar) => scalar as u8 | ARRAY,
        }
    }

    /// The type behind a recorded number; `None` for one that this version does not know.
    pub fn from_number(number: u8) -> Option<Self> {
        let scalar = Scalar::from_number(number & !ARRAY)?;
        Some(if number & ARRAY == 0 { Self::Scalar(scalar) } else { Self::Array(scalar) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_numbers_come_back_as_the_same_type() {
        for scalar in Scalar::ALL {
            for value_type in [ValueType::Scalar(scalar), ValueType::Array(scalar)] {
                assert_eq!(ValueType::from_number(value_type.number()), Some(value_type));
            }
        }
        assert_eq!(ValueType::from_number(0), None);
        assert_eq!(ValueType::from_number(127), None);
    }
}
