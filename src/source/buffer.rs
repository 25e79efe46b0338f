//! Buffers that are used again and again, and what one of them may keep.

/// Larger ones are given back: a row of 300 MiB is not to cost that much for good.
pub const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// For a buffer whose bytes are not needed any more.
pub fn shrink(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    }
}
