//! Databases whose encoding has one byte for each character: from their bytes to UTF-8, and back.
//!
//! The server would convert by itself, and refuse a byte that is no character, with all that stands in the log behind it. So
//! it sends its own bytes, and they become UTF-8 here: messages and rows are written again, cell by cell. A byte that is no
//! character becomes one that is not UTF-8, so that its cell is found unreadable, and nothing else is.

use std::collections::HashMap;

/// No UTF-8 has it.
const UNDEFINED: u8 = 0xFF;

/// What the bytes from 128 on mean.
pub struct Charset {
    high: Vec<Option<char>>,
    bytes: HashMap<char, u8>,
}

impl Charset {
    /// `high`: the characters of the bytes from 128 on.
    pub fn new(high: Vec<Option<char>>) -> Self {
        let pairs = (128..=u8::MAX).zip(&high);
        let bytes = pairs.filter_map(|(byte, character)| Some(((*character)?, byte))).collect();
        Self { high, bytes }
    }

    /// `None`: a character that the encoding does not have.
    pub fn bytes_of(&self, text: &str) -> Option<Vec<u8>> {
        let byte = |character: char| match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => Some(byte),
            _ => self.bytes.get(&character).copied(),
        };
        text.chars().map(byte).collect()
    }

    /// Text alone.
    pub fn text(&self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            match byte.checked_sub(128).map(|high| self.high.get(usize::from(high)).copied().flatten()) {
                None => out.push(byte),
                Some(Some(character)) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                Some(None) => out.push(UNDEFINED),
            }
        }
    }

    /// The body of a `DataRow`. One that is malformed stays as it is, for whoever parses it.
    pub fn row(&self, body: &[u8], out: &mut Vec<u8>) {
        self.rewritten(body, out, |walk| {
            for _ in 0..walk.count()? {
                walk.cell()?;
            }
            Some(())
        });
    }

    /// A message of pgoutput. One that is malformed stays as it is, for whoever parses it.
    pub fn message(&self, message: &[u8], out: &mut Vec<u8>) {
        self.rewritten(message, out, |walk| match walk.copy(1)? {
            b"I" | b"U" | b"D" => {
                walk.copy(4)?;
                while !walk.rest.is_empty() {
                    walk.copy(1)?;
                    walk.tuple()?;
                }
                Some(())
            }
            b"R" => walk.relation(),
            b"Y" => {
                walk.copy(4)?;
                walk.name()?;
                walk.name()
            }
            b"O" => {
                walk.copy(8)?;
                walk.name()
            }
            _ => walk.copy(walk.rest.len()).map(drop),
        });
    }

    fn rewritten(&self, bytes: &[u8], out: &mut Vec<u8>, walk: impl FnOnce(&mut Walk<'_, '_>) -> Option<()>) {
        let start = out.len();
        let mut walked = Walk { charset: self, rest: bytes, out };
        let whole = walk(&mut walked).is_some() && walked.rest.is_empty();
        if !whole {
            out.truncate(start);
            out.extend_from_slice(bytes);
        }
    }
}

/// From the front of what is read to the end of what is written. `None`: it is malformed.
struct Walk<'a, 'o> {
    charset: &'a Charset,
    rest: &'a [u8],
    out: &'o mut Vec<u8>,
}

impl<'a> Walk<'a, '_> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn copy(&mut self, length: usize) -> Option<&'a [u8]> {
        let bytes = self.take(length)?;
        self.out.extend_from_slice(bytes);
        Some(bytes)
    }

    fn count(&mut self) -> Option<u16> {
        self.copy(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// A string that ends with a zero byte.
    fn name(&mut self) -> Option<()> {
        let end = self.rest.iter().position(|&byte| byte == 0)?;
        let bytes = self.take(end)?;
        self.charset.text(bytes, self.out);
        self.copy(1).map(drop)
    }

    /// Its length, -1 for null, and its text.
    fn cell(&mut self) -> Option<()> {
        let length = self.take(4)?;
        let Ok(bytes) = usize::try_from(i32::from_be_bytes(length.try_into().ok()?)) else {
            self.out.extend_from_slice(length);
            return Some(());
        };
        let text = self.take(bytes)?;
        let at = self.out.len();
        self.out.extend_from_slice(length);
        self.charset.text(text, self.out);
        let (length, text) = self.out.get_mut(at..)?.split_first_chunk_mut::<4>()?;
        *length = i32::try_from(text.len()).ok()?.to_be_bytes();
        Some(())
    }

    fn tuple(&mut self) -> Option<()> {
        for _ in 0..self.count()? {
            if self.copy(1)? == b"t" {
                self.cell()?;
            }
        }
        Some(())
    }

    fn relation(&mut self) -> Option<()> {
        self.copy(4)?;
        self.name()?;
        self.name()?;
        self.copy(1)?;
        for _ in 0..self.count()? {
            self.copy(1)?;
            self.name()?;
            self.copy(8)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes mean the next code point; 0x81 means nothing.
    fn charset() -> Charset {
        Charset::new((128..=255).map(|byte| (byte != 0x81).then(|| char::from_u32(byte + 1)).flatten()).collect())
    }

    fn rewritten(write: impl FnOnce(&Charset, &mut Vec<u8>)) -> Vec<u8> {
        let mut out = b"before".to_vec();
        write(&charset(), &mut out);
        out.split_off(6)
    }

    fn cell(text: &[u8]) -> Vec<u8> {
        [&u32::try_from(text.len()).expect("short").to_be_bytes(), text].concat()
    }

    #[test]
    fn text_goes_there_and_back_and_an_undefined_byte_is_no_utf_8() {
        assert_eq!(charset().bytes_of("aé"), Some(vec![b'a', 0xE8]));
        assert_eq!(charset().bytes_of("ł"), None);
        assert_eq!(rewritten(|charset, out| charset.text(b"a\xE8", out)), "aé".as_bytes());
        assert_eq!(rewritten(|charset, out| charset.text(b"a\x81", out)), b"a\xFF");
    }

    #[test]
    fn each_kind_of_message_keeps_its_numbers_and_gets_other_text() {
        let (old, new) = (cell(b"\xE8"), cell("é".as_bytes()));
        let relation = |name: &[u8]| {
            let columns = [b"\0\x01\x01", name, b"\0\x80\x81\x82\x83\xFF\xFF\xFF\xFF"].concat();
            [b"R\x80\x81\x82\x83", name, b"\0", name, b"\0f", &columns].concat()
        };
        let update = |cell: &[u8]| [b"U\0\0\0\xE8O\0\x02nt", cell, b"N\0\x02ut", cell].concat();
        for (from, to) in [
            (relation(b"\xE8"), relation("é".as_bytes())),
            ([b"Y\0\0\0\xE8", &b"\xE8\0\xE8\0"[..]].concat(), [b"Y\0\0\0\xE8", "é\0é\0".as_bytes()].concat()),
            (update(&old), update(&new)),
            ([b"I\0\0\0\xE8N\0\x01t", &old[..]].concat(), [b"I\0\0\0\xE8N\0\x01t", &new[..]].concat()),
            (b"C\0\xE8".to_vec(), b"C\0\xE8".to_vec()),
        ] {
            assert_eq!(rewritten(|charset, out| charset.message(&from, out)), to);
            for end in 0..from.len() {
                // Cut short: left to whoever parses it, which must not fail here.
                rewritten(|charset, out| charset.message(&from[..end], out));
            }
        }
        let row = |cell: &[u8]| [b"\0\x02\xFF\xFF\xFF\xFF", cell].concat();
        assert_eq!(rewritten(|charset, out| charset.row(&row(&old), out)), row(&new));
        assert_eq!(rewritten(|charset, out| charset.row(b"\0\x02\xE8", out)), b"\0\x02\xE8");
    }
}
