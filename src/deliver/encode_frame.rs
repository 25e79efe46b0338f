//! Writes the frames of a `SubscribeResponse` straight into one buffer, so that stored chunks are copied once and never
//! re-encoded. The buffer as it stands is always a complete serialised `SubscribeResponse`.

use crate::wire::api::v1;
use bytes::{BufMut, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

const FRAMES: u32 = 1;
const FRAME_CHANGES: u32 = 2;

/// What a chunk costs beyond its own bytes, at most.
pub const CHANGES_OVERHEAD_MAX: usize = 2 * (1 + 10);

/// Appends any frame but the changes themselves.
pub fn put_frame(out: &mut BytesMut, frame: v1::frame::Frame) {
    prost::encoding::message::encode(FRAMES, &v1::Frame { frame: Some(frame) }, out);
}

/// Appends a `Changes` frame around an already serialised `tailwater.v1.Changes`.
pub fn put_changes(out: &mut BytesMut, changes: &[u8]) {
    let length = changes.len() as u64;
    let frame_length = key_len(FRAME_CHANGES) + encoded_len_varint(length) + changes.len();
    out.reserve(changes.len() + CHANGES_OVERHEAD_MAX);
    encode_key(FRAMES, WireType::LengthDelimited, out);
    encode_varint(frame_length as u64, out);
    encode_key(FRAME_CHANGES, WireType::LengthDelimited, out);
    encode_varint(length, out);
    out.put_slice(changes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn the_buffer_is_what_prost_would_have_written() {
        let change = v1::Change { schema_id: 7, after: Some(vec![9; 300].into()), ..v1::Change::default() };
        let changes = v1::Changes { changes: vec![change] };
        let commit = v1::frame::Frame::Commit(v1::Commit { cursor: "c".to_owned() });
        let mut out = BytesMut::new();
        put_changes(&mut out, &changes.encode_to_vec());
        put_frame(&mut out, commit.clone());
        let frames = [v1::frame::Frame::Changes(changes), commit].map(|frame| v1::Frame { frame: Some(frame) });
        assert_eq!(out, v1::SubscribeResponse { frames: frames.to_vec() }.encode_to_vec());
    }
}
