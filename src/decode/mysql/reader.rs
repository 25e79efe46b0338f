//! Takes an event's body apart from the front. Little endian, as everything in the binary log but a few packed values.

/// An event that is not what the protocol promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed binlog event of type {kind} at byte {at}: {what}")]
pub struct Malformed {
    /// The event's type code; 0 for a value looked at by itself.
    pub kind: u8,
    /// Of the body.
    pub at: usize,
    pub what: &'static str,
}

#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    kind: u8,
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(kind: u8, body: &'a [u8]) -> Self {
        Self { kind, whole: body.len(), rest: body }
    }

    pub fn fail<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed { kind: self.kind, at: self.whole.saturating_sub(self.rest.len()), what })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else { return self.fail("it ends too early") };
        self.rest = rest;
        Ok(*bytes)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned integer of up to eight bytes.
    pub fn uint(&mut self, bytes: usize) -> Result<u64, Malformed> {
        Ok(self.bytes(bytes)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// The same, most significant byte first.
    pub fn uint_be(&mut self, bytes: usize) -> Result<u64, Malformed> {
        Ok(self.bytes(bytes)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A length-encoded integer: one byte, or a mark and two, three or eight.
    pub fn lenenc(&mut self) -> Result<u64, Malformed> {
        match self.u8()? {
            0xFC => self.uint(2),
            0xFD => self.uint(3),
            0xFE => self.uint(8),
            0xFB | 0xFF => self.fail("a length is no length"),
            small => Ok(small.into()),
        }
    }

    /// A length-encoded integer that counts something here.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.lenenc()?;
        usize::try_from(count).or_else(|_| self.fail("a length is too large"))
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else { return self.fail("it ends too early") };
        self.rest = rest;
        Ok(bytes)
    }

    /// Bytes behind a length-encoded count.
    pub fn counted(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count()?;
        self.bytes(length)
    }

    pub fn text(&mut self, length: usize) -> Result<&'a str, Malformed> {
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).or_else(|_| self.fail("a name is not UTF-8"))
    }

    /// A reader of the next `length` bytes alone.
    pub fn part(&mut self, length: usize) -> Result<Self, Malformed> {
        let rest = self.bytes(length)?;
        // Places inside the part are still told as places in the body.
        let whole = self.whole.saturating_sub(self.rest.len());
        Ok(Self { kind: self.kind, whole, rest })
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { self.fail("bytes are left over") }
    }
}
