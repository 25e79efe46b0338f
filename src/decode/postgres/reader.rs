//! Takes a message apart, byte by byte from the front. Knows where it stands, so that a malformed one can be shown.

use super::message::Malformed;

pub(super) struct Reader<'a> {
    kind: u8,
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Splits off the message's kind byte.
    pub fn new(bytes: &'a [u8]) -> Result<(u8, Self), Malformed> {
        match bytes.split_first() {
            Some((&kind, rest)) => Ok((kind, Self { kind, whole: bytes.len(), rest })),
            None => Err(Malformed { kind: '\0', at: 0, what: "it is empty" }),
        }
    }

    pub fn fail<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed { kind: char::from(self.kind), at: self.whole.saturating_sub(self.rest.len()), what })
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
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else { return self.fail("it ends too early") };
        self.rest = rest;
        Ok(bytes)
    }

    /// A string that ends with a zero byte.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        let Some(end) = self.rest.iter().position(|&byte| byte == 0) else { return self.fail("a name has no end") };
        let bytes = self.bytes(end)?;
        self.u8()?;
        std::str::from_utf8(bytes).or_else(|_| self.fail("a name is not UTF-8"))
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { self.fail("bytes are left over") }
    }
}
