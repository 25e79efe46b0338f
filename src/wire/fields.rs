//! Reading the wire form: the fields of a message, one after the other, as spans of its bytes.
//!
//! For those who take rows apart without knowing their type at compile time. Never panics; what is not protobuf is told.

use super::varint::{FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, take_varint};

/// The bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a protobuf message")]
pub struct Malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
    /// Tag and value as they stand.
    pub span: &'a [u8],
}

/// The fields of a message in the order of its bytes. Ends after the first error.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = take(&mut self.0);
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

#[inline]
fn take<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let start = *rest;
    let tag = take_varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
    let value = match u32::try_from(tag & 7).ok()? {
        VARINT => Value::Varint(take_varint(rest)?),
        FIXED32 => Value::Fixed32(u32::from_le_bytes(*take_array(rest)?)),
        FIXED64 => Value::Fixed64(u64::from_le_bytes(*take_array(rest)?)),
        LENGTH_DELIMITED => {
            let length = usize::try_from(take_varint(rest)?).ok()?;
            let (bytes, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        _ => return None,
    };
    let span = start.get(..start.len() - rest.len())?;
    Some(Field { number, value, span })
}

fn take_array<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (array, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(array)
}

impl<'a> Value<'a> {
    /// # Errors
    /// [`Malformed`] when it is of another wire type; so too below.
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(Malformed) }
    }

    /// # Errors
    /// [`Malformed`].
    pub fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// # Errors
    /// [`Malformed`].
    pub fn varint(self) -> Result<u64, Malformed> {
        if let Self::Varint(value) = self { Ok(value) } else { Err(Malformed) }
    }

    /// A sint32 or sint64.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn signed(self) -> Result<i64, Malformed> {
        self.varint().map(unzigzag)
    }
}

#[inline]
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::super::varint::{put_bytes, put_number, zigzag};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_come_as_they_were_written_and_nothing_after_damage() {
        let mut message = Vec::new();
        put_number(&mut message, 1, zigzag(-7));
        put_bytes(&mut message, 20_000, b"abc");
        let fields: Vec<_> = Fields::of(&message).collect::<Result<_, _>>().expect("well formed");
        assert_eq!((fields[0].number, fields[0].value.signed()), (1, Ok(-7)));
        assert_eq!((fields[1].number, fields[1].value.text()), (20_000, Ok("abc")));
        assert_eq!([fields[0].span, fields[1].span].concat(), message);
        message.push(0x0a);
        assert_eq!(Fields::of(&message).last(), Some(Err(Malformed)));
    }

    proptest! {
        #[test]
        fn zigzag_turns_back(value: i64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            for field in Fields::of(&bytes) {
                let _ = field.map(|field| (field.value.text(), field.value.signed()));
            }
        }
    }
}
