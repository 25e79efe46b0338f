//! Drops what a class may not see from a stored chunk, on its wire form, without decoding rows.
//!
//! A chunk is a serialised `tailwater.v1.Changes`; of each change only the top-level tags are walked to find its
//! `schema_id`, and those that are seen as they are are not taken apart. Whatever is not a change (an unknown field of `Changes`) is dropped, and bytes that are not protobuf are an
//! error: what cannot be judged is not sent.

use super::mask::mask;
use super::view::View;
use crate::wire::api::v1::Change;
use bytes::{Buf, BufMut, Bytes};
use prost::Message as _;
use prost::encoding::{WireType, decode_key, decode_varint, encode_varint};

/// `Changes.changes`, a length-delimited field 1.
const CHANGES_KEY: u8 = 0x0a;
/// `Change.schema_id`.
const SCHEMA_ID_FIELD: u32 = 1;

/// The bytes are not a serialised `Changes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a serialised tailwater.v1.Changes")]
pub struct Unreadable;

/// Appends the visible changes of `chunk` to `out` as a serialised `Changes` and counts them: byte for byte, or as a part of
/// what there is.
///
/// # Errors
/// [`Unreadable`]; `out` then holds a part that must not be used.
pub fn filter<'v>(chunk: &Bytes, view: impl Fn(u32) -> &'v View, out: &mut impl BufMut) -> Result<u64, Unreadable> {
    let mut rest: &[u8] = chunk;
    let mut kept = 0;
    // Neighbouring changes that are seen as they are are copied in one piece.
    let mut run = rest;
    let mut run_bytes = 0;
    while !rest.is_empty() {
        let entry = rest;
        let change = take_field(&mut rest)?;
        let entry_bytes = entry.len() - rest.len();
        let view = match change {
            Some(change) => view(schema_id(change)?),
            None => &View::Nothing,
        };
        if let View::Whole = view {
            kept += 1;
            run_bytes += entry_bytes;
            continue;
        }
        out.put_slice(&run[..run_bytes]);
        run = rest;
        run_bytes = 0;
        if let (View::Part(part), Some(change)) = (view, change) {
            let change = Change::decode(chunk.slice_ref(change)).map_err(|_| Unreadable)?;
            if let Some(seen) = mask(change, part)? {
                kept += 1;
                put_change(&seen, out);
            }
        }
    }
    out.put_slice(&run[..run_bytes]);
    Ok(kept)
}

fn put_change(change: &Change, out: &mut impl BufMut) {
    out.put_u8(CHANGES_KEY);
    encode_varint(change.encoded_len() as u64, out);
    change.encode_raw(out);
}

/// Moves past one field of `Changes`; gives its content if it is a change.
fn take_field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Unreadable> {
    if rest.first() == Some(&CHANGES_KEY) {
        rest.advance(1);
        return take_bytes(rest).map(Some);
    }
    let (field, wire_type) = decode_key(rest).map_err(|_| Unreadable)?;
    if field == 1 {
        // Our own writer always uses the one-byte key above; anything else is damage.
        return Err(Unreadable);
    }
    skip(wire_type, rest).map(|()| None)
}

/// The last `schema_id` of a serialised `Change` counts, and none means 0, as every protobuf parser reads it.
fn schema_id(mut change: &[u8]) -> Result<u32, Unreadable> {
    let mut id = 0;
    while !change.is_empty() {
        let (field, wire_type) = decode_key(&mut change).map_err(|_| Unreadable)?;
        if field == SCHEMA_ID_FIELD {
            if wire_type != WireType::Varint {
                return Err(Unreadable);
            }
            let value = decode_varint(&mut change).map_err(|_| Unreadable)?;
            id = u32::try_from(value).map_err(|_| Unreadable)?;
        } else {
            skip(wire_type, &mut change)?;
        }
    }
    Ok(id)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Unreadable> {
    let length = decode_varint(rest).map_err(|_| Unreadable)?;
    let length = usize::try_from(length).map_err(|_| Unreadable)?;
    let (taken, after) = rest.split_at_checked(length).ok_or(Unreadable)?;
    *rest = after;
    Ok(taken)
}

fn skip(wire_type: WireType, rest: &mut &[u8]) -> Result<(), Unreadable> {
    let length = match wire_type {
        WireType::Varint => return decode_varint(rest).map(drop).map_err(|_| Unreadable),
        WireType::LengthDelimited => return take_bytes(rest).map(drop),
        WireType::ThirtyTwoBit => 4,
        WireType::SixtyFourBit => 8,
        WireType::StartGroup | WireType::EndGroup => return Err(Unreadable),
    };
    *rest = rest.get(length..).ok_or(Unreadable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::v1;
    use proptest::prelude::*;

    fn change() -> impl Strategy<Value = v1::Change> {
        let row = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from));
        let numbers = || proptest::collection::vec(1_u32..200, 0..4);
        (0_u32..5, 0_i32..6, any::<u64>(), row(), row(), numbers(), numbers()).prop_map(
            |(schema_id, op, ordinal, after, before, unchanged, before_unknown)| v1::Change {
                schema_id,
                op,
                ordinal,
                after,
                before,
                updated: (!unchanged.is_empty()).then(|| v1::FieldSet { fields: unchanged.clone() }),
                unchanged,
                before_unknown,
                truncate: None,
            },
        )
    }

    fn shown(is_seen: bool) -> &'static View {
        if is_seen { &View::Whole } else { &View::Nothing }
    }

    proptest! {
        #[test]
        fn keeps_exactly_what_decoding_filtering_and_encoding_keeps(
            changes in proptest::collection::vec(change(), 0..20),
            visible in proptest::collection::vec(any::<bool>(), 5),
        ) {
            let chunk = v1::Changes { changes: changes.clone() }.encode_to_vec().into();
            let expected: Vec<_> = changes.into_iter().filter(|c| visible[c.schema_id as usize]).collect();
            let mut out = Vec::new();
            let kept = filter(&chunk, |id| shown(visible[id as usize]), &mut out).expect("well formed");
            prop_assert_eq!(kept, expected.len() as u64);
            prop_assert_eq!(out, v1::Changes { changes: expected }.encode_to_vec());
        }

        #[test]
        fn hostile_bytes_give_an_error_or_only_what_prost_also_sees(chunk in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            if filter(&chunk.into(), |id| shown(id == 1), &mut out).is_ok()
                && let Ok(decoded) = v1::Changes::decode(out.as_slice())
            {
                prop_assert!(decoded.changes.iter().all(|change| change.schema_id == 1));
            }
        }

        #[test]
        fn damaged_chunks_never_leak_another_schema(
            changes in proptest::collection::vec(change(), 1..8),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut chunk = v1::Changes { changes }.encode_to_vec();
            let at = at.index(chunk.len());
            chunk[at] = byte;
            let mut out = Vec::new();
            if filter(&chunk.into(), |id| shown(id == 1), &mut out).is_ok()
                && let Ok(decoded) = v1::Changes::decode(out.as_slice())
            {
                prop_assert!(decoded.changes.iter().all(|change| change.schema_id == 1));
            }
        }
    }

    #[test]
    fn the_last_schema_id_counts() {
        // Two schema ids in one change: 1, then 2.
        let chunk = vec![0x0a, 4, 0x08, 1, 0x08, 2];
        let mut out = Vec::new();
        assert_eq!(filter(&chunk.into(), |id| shown(id == 1), &mut out), Ok(0));
        assert!(out.is_empty());
    }
}
