//! The chained hash: each header's hash covers the one before it, its own fields, and through them its body.
//!
//! RocksDB checks each block that it reads but cannot see a write that never reached the disk, nor a record that was
//! removed; a break in the chain can. What it cannot see is a tail missing as a whole: that is a journal that is
//! consistent at an earlier place, whose checkpoints are earlier too, and the source compares those with its server. Nor can it see
//! that such a journal grew again: its readers can, who keep the history of where they are.

use crate::model::position::{Epoch, History};
use ring::digest::{Context, SHA256, digest};

pub(super) const HASH_BYTES: usize = 32;

pub(super) type Hash = [u8; HASH_BYTES];

/// What the first header's hash is chained to.
pub(super) fn anchor(epoch: Epoch) -> Hash {
    narrow(digest(&SHA256, &epoch.0).as_ref())
}

/// The hash of a header whose stored bytes, without the hash, are `fields`.
pub(super) fn link(previous: &Hash, fields: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(previous);
    context.update(fields);
    narrow(context.finish().as_ref())
}

/// What readers keep of a hash: enough to tell one history from another.
pub(super) fn history(hash: &Hash) -> History {
    let mut history = History([0; 16]);
    history.0.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
    history
}

/// Hashes a body as its chunks go by; each chunk's length is hashed too, so that chunk borders are covered.
pub(super) struct BodyHash(Context);

impl BodyHash {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, chunk: &[u8]) {
        self.0.update(&u64::try_from(chunk.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(chunk);
    }

    pub(super) fn finish(self) -> Hash {
        narrow(self.0.finish().as_ref())
    }
}

fn narrow(digest: &[u8]) -> Hash {
    let mut hash = [0; HASH_BYTES];
    hash.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    hash
}
