//! Text in the server's character sets, to UTF-8.
//!
//! The decoder knows UTF-8, UTF-16 and UTF-32. What a byte of a single-byte set stands for is asked of the server
//! once, and what the sequences of a multi-byte set of East Asia stand for where one is used, so that it is exactly what its own
//! CONVERT says: MySQL's latin1, for one, is nobody else's.

use super::multibyte::Multibyte;
use std::sync::Arc;

/// How a character set's bytes become UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charset {
    /// No text at all: bytes.
    Binary,
    /// utf8mb3 and utf8mb4.
    Utf8,
    /// One character a byte, or none.
    Table(Arc<[Option<char>; 256]>),
    Multibyte(Arc<Multibyte>),
    Utf16,
    Utf16Le,
    Utf32,
}

impl Charset {
    /// The ones that need no table, by MySQL's or MariaDB's name.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "binary" => Some(Self::Binary),
            "utf8" | "utf8mb3" | "utf8mb4" => Some(Self::Utf8),
            "ucs2" | "utf16" => Some(Self::Utf16),
            "utf16le" => Some(Self::Utf16Le),
            "utf32" => Some(Self::Utf32),
            _ => None,
        }
    }

    /// Bytes of its longest character.
    pub fn bytes_max(&self, name: &str) -> u16 {
        match (self, name) {
            (Self::Binary | Self::Table(_), _) => 1,
            (_, "ucs2" | "big5" | "cp932" | "euckr" | "gb2312" | "gbk" | "sjis") => 2,
            (_, "utf8" | "utf8mb3" | "eucjpms" | "ujis") => 3,
            _ => 4,
        }
    }

    /// Whether a column can hold what is no character of the set. The server's CONVERT makes a question mark of it.
    pub fn has_gaps(&self) -> bool {
        match self {
            Self::Binary | Self::Utf8 => false,
            Self::Table(table) => table.iter().any(Option::is_none),
            Self::Multibyte(_) | Self::Utf16 | Self::Utf16Le | Self::Utf32 => true,
        }
    }

    /// Appends `text`; `None` when it is not of this character set.
    #[inline]
    pub fn append(&self, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Binary => return None,
            Self::Utf8 => {
                std::str::from_utf8(text).ok()?;
                out.extend_from_slice(text);
            }
            Self::Table(table) => {
                for byte in text {
                    push(table.get(usize::from(*byte)).copied().flatten()?, out);
                }
            }
            Self::Multibyte(set) => {
                let mut rest = text;
                while !rest.is_empty() {
                    let (character, bytes) = set.first(rest)?;
                    push(character, out);
                    rest = rest.get(bytes..)?;
                }
            }
            Self::Utf16 => append_utf16(text, u16::from_be_bytes, out)?,
            Self::Utf16Le => append_utf16(text, u16::from_le_bytes, out)?,
            Self::Utf32 => {
                let (units, []) = text.as_chunks::<4>() else { return None };
                for unit in units {
                    push(char::from_u32(u32::from_be_bytes(*unit))?, out);
                }
            }
        }
        Some(())
    }
}

/// Half a surrogate pair is no character; ucs2 can hold one.
fn append_utf16(text: &[u8], unit: impl Fn([u8; 2]) -> u16, out: &mut Vec<u8>) -> Option<()> {
    let (units, []) = text.as_chunks::<2>() else { return None };
    for character in char::decode_utf16(units.iter().map(|bytes| unit(*bytes))) {
        push(character.ok()?, out);
    }
    Some(())
}

fn push(character: char, out: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(charset: &Charset, bytes: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        charset.append(bytes, &mut out)?;
        String::from_utf8(out).ok()
    }

    #[test]
    fn each_set_reads_its_own_bytes_and_refuses_what_is_none() {
        assert_eq!(text(&Charset::Utf8, "grün".as_bytes()).as_deref(), Some("grün"));
        assert_eq!(text(&Charset::Utf8, &[0xFF]), None);
        assert_eq!(text(&Charset::Utf16, &[0xD8, 0x3D, 0xDE, 0x00]).as_deref(), Some("😀"));
        assert_eq!(text(&Charset::Utf16, &[0xD8, 0x3D]), None, "half a character");
        assert_eq!(text(&Charset::Utf16Le, &[0x41, 0x00]).as_deref(), Some("A"));
        assert_eq!(text(&Charset::Utf16, &[0x41]), None);
        assert_eq!(text(&Charset::Utf32, &[0, 0, 0x20, 0xAC]).as_deref(), Some("€"));
        let mut table = [None; 256];
        table[0x80] = Some('€');
        let set = Charset::Table(Arc::new(table));
        assert_eq!((text(&set, &[0x80]).as_deref(), text(&set, &[0x81]), set.has_gaps()), (Some("€"), None, true));
    }
}
