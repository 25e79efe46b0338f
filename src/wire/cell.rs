//! Cells in wire form: one function for each typed message, writing the field's value, length first.
//!
//! A cell is written as `tag, value`. The tag is the caller's, who knows the field; messages are small, so their bytes
//! are put together from the back of the buffer and the length is patched in (all of ours fit one length byte, except text).

use super::varint::{put_bytes, put_number, put_varint, varint_len, zigzag};

/// What a column can hold besides an ordinary value; the numbers of `tailwater.types.v1.Special`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    Infinity = 1,
    NegativeInfinity = 2,
    NotANumber = 3,
    /// A date with a zero day, month or year, or one that the calendar does not have. Its text stands beside it.
    ZeroOrPartialDate = 4,
}

/// Writes a message shorter than 128 bytes, its length in front.
#[inline]
fn short_message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    debug_assert!(length < 128, "a message this long needs a longer length");
    out[at] = length as u8;
}

/// A field number 1..=15 with a varint, also when it is 0: members of a oneof are present even then.
#[inline]
fn member(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    put_varint(out, value);
}

/// A message that is nothing but a special value in field `number`.
pub fn special(out: &mut Vec<u8>, number: u8, special: Special) {
    short_message(out, |out| member(out, number, special as u64));
}

/// A date that is none, with its text in field `text_number`: `Date`, `LocalDateTime` and `Instant`.
pub fn no_date(out: &mut Vec<u8>, special_number: u8, text_number: u32, text: &str) {
    short_message(out, |out| {
        member(out, special_number, Special::ZeroOrPartialDate as u64);
        put_bytes(out, text_number, text.as_bytes());
    });
}

/// A message that is nothing but text in field 1.
#[inline]
pub fn text_message(out: &mut Vec<u8>, text: &[u8]) {
    put_varint(out, (1 + varint_len(text.len() as u64) + text.len()) as u64);
    put_bytes(out, 1, text);
}

/// `Decimal`.
pub fn decimal(out: &mut Vec<u8>, text: &str) {
    text_message(out, text.as_bytes());
}

/// `Date`.
pub fn date(out: &mut Vec<u8>, days: i32) {
    short_message(out, |out| member(out, 1, zigzag(days.into())));
}

/// `Time`.
pub fn time(out: &mut Vec<u8>, microseconds: i64) {
    short_message(out, |out| put_number(out, 1, zigzag(microseconds)));
}

/// `TimeWithOffset`.
pub fn time_with_offset(out: &mut Vec<u8>, microseconds: i64, offset_seconds: i32) {
    short_message(out, |out| {
        put_number(out, 1, zigzag(microseconds));
        put_number(out, 2, zigzag(offset_seconds.into()));
    });
}

/// `LocalDateTime` and `Instant`, which have the same numbers.
pub fn timestamp(out: &mut Vec<u8>, seconds: i64, nanos: u32) {
    short_message(out, |out| {
        member(out, 1, zigzag(seconds));
        put_number(out, 2, nanos.into());
    });
}

/// `Interval`.
pub fn interval(out: &mut Vec<u8>, months: i32, days: i32, microseconds: i64) {
    short_message(out, |out| {
        out.push(1 << 3 | 2);
        short_message(out, |out| {
            put_number(out, 1, zigzag(months.into()));
            put_number(out, 2, zigzag(days.into()));
            put_number(out, 3, zigzag(microseconds));
        });
    });
}

/// `Bits`.
pub fn bits(out: &mut Vec<u8>, bits: &[u8], length: u32) {
    let mut message = Vec::with_capacity(bits.len() + 12);
    put_bytes(&mut message, 1, bits);
    put_number(&mut message, 2, length.into());
    put_varint(out, message.len() as u64);
    out.extend_from_slice(&message);
}

/// `Other`.
pub fn other(out: &mut Vec<u8>, type_name: &str, text: &str) {
    let length = |text: &str| 1 + varint_len(text.len() as u64) + text.len();
    put_varint(out, (length(type_name) + length(text)) as u64);
    put_bytes(out, 1, type_name.as_bytes());
    put_bytes(out, 2, text.as_bytes());
}

/// `Json`.
pub fn json(out: &mut Vec<u8>, text: &str) {
    text_message(out, text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::types::v1;
    use proptest::prelude::*;
    use prost::Message;

    fn read<M: Message + Default>(write: impl FnOnce(&mut Vec<u8>)) -> M {
        let mut out = Vec::new();
        write(&mut out);
        M::decode_length_delimited(&out[..]).unwrap()
    }

    proptest! {
        #[test]
        fn every_typed_message_reads_back_through_its_generated_type(
            days: i32, micros: i64, offset: i32, seconds: i64, nanos in 0..1_000_000_000_u32, text: String, bytes: Vec<u8>,
        ) {
            prop_assert_eq!(read::<v1::Date>(|out| date(out, days)).kind, Some(v1::date::Kind::Days(days)));
            prop_assert_eq!(read::<v1::Time>(|out| time(out, micros)).microseconds, micros);
            let read_time = read::<v1::TimeWithOffset>(|out| time_with_offset(out, micros, offset));
            prop_assert_eq!((read_time.microseconds, read_time.offset_seconds), (micros, offset));
            let instant = read::<v1::Instant>(|out| timestamp(out, seconds, nanos));
            prop_assert_eq!((instant.kind, instant.nanos), (Some(v1::instant::Kind::Seconds(seconds)), nanos));
            let parts = v1::interval::Parts { months: days, days: offset, microseconds: micros };
            prop_assert_eq!(read::<v1::Interval>(|out| interval(out, days, offset, micros)).kind, Some(v1::interval::Kind::Parts(parts)));
            prop_assert_eq!(read::<v1::Decimal>(|out| decimal(out, &text)).kind, Some(v1::decimal::Kind::Value(text.clone())));
            prop_assert_eq!(read::<v1::Json>(|out| json(out, &text)).text, text.clone());
            let read_other = read::<v1::Other>(|out| other(out, &text, "x"));
            prop_assert_eq!((read_other.type_name, read_other.text), (text, "x".to_owned()));
            let read_bits = read::<v1::Bits>(|out| bits(out, &bytes, nanos));
            prop_assert_eq!((&read_bits.bits[..], read_bits.length), (&bytes[..], nanos));
        }
    }

    #[test]
    fn special_values_are_values_of_their_own() {
        let date = read::<v1::Date>(|out| special(out, 2, Special::NegativeInfinity));
        assert_eq!(date.kind, Some(v1::date::Kind::Special(v1::Special::NegativeInfinity.into())));
        let instant = read::<v1::Instant>(|out| special(out, 3, Special::Infinity));
        assert_eq!(instant.kind, Some(v1::instant::Kind::Special(v1::Special::Infinity.into())));
    }
}
