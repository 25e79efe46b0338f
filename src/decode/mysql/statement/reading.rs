//! One way to read a statement's bytes: which quotes a backslash is an escape in, and where characters end.
//!
//! In the character sets of East Asia the second byte of a character may look like a backslash, a quote or a letter. A reader
//! that does not know them closes a text too early or too late, and takes what a text holds for the statement.

use super::token::Tokens;
use crate::decode::mysql::table_map::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub dialect: Dialect,
    pub sequences: Sequences,
    pub escapes: Escapes,
}

impl Reading {
    /// Every quote and comment that is opened is closed.
    pub fn is_whole(self, text: &[u8]) -> bool {
        let mut tokens = Tokens::of(text, self);
        while tokens.next().is_some() {}
        !tokens.is_broken()
    }
}

/// Where a backslash takes the special meaning from what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// In `'…'` and `"…"`.
    Texts,
    /// `"…"` is a name: ANSI_QUOTES.
    SingleQuoted,
    /// NO_BACKSLASH_ESCAPES.
    Nowhere,
}

impl Escapes {
    pub fn apply_in(self, quote: u8) -> bool {
        match self {
            Self::Texts => matches!(quote, b'\'' | b'"'),
            Self::SingleQuoted => quote == b'\'',
            Self::Nowhere => false,
        }
    }
}

/// Where characters end, and which are spaces. Checked byte by byte against MySQL 9.7 and MariaDB 10.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequences {
    /// None of them has a byte that could be taken for a quote, a sign or a backslash.
    NoAscii,
    /// Every character is a byte, and this one is a space: a no-break space separates words as any other.
    Single {
        space: u8,
    },
    Big5,
    /// And cp932.
    Sjis,
    Gbk,
    Gb18030,
    /// A set that is not known: every byte beyond ASCII may take the next one with it.
    Pairs,
}

impl Sequences {
    /// `None`: a character set that is not known, or in which not every byte of ASCII is what it looks like (swe7).
    pub fn of(charset: &str) -> Option<Self> {
        Some(match charset {
            "big5" => Self::Big5,
            "sjis" | "cp932" => Self::Sjis,
            "gbk" => Self::Gbk,
            "gb18030" => Self::Gb18030,
            // euckr has letters of ASCII in it, which belong to a word anyway.
            "euckr" | "gb2312" | "ujis" | "eucjpms" | "utf8" | "utf8mb3" | "utf8mb4" | "binary" => Self::NoAscii,
            "armscii8" | "cp1250" | "dec8" | "geostd8" | "greek" | "hebrew" | "latin1" | "latin2" | "latin5"
            | "latin7" => Self::Single { space: 0xA0 },
            "cp852" | "cp866" | "keybcs2" => Self::Single { space: 0xFF },
            "ascii" | "cp1251" | "cp1256" | "cp1257" | "cp850" | "hp8" | "koi8r" | "koi8u" | "macce" | "macroman"
            | "tis620" => Self::NoAscii,
            _ => return None,
        })
    }

    /// The server's white space has the vertical tab and the zero.
    pub fn is_space(self, byte: u8) -> bool {
        byte.is_ascii_whitespace() || matches!(byte, 0x0B | 0) || self == Self::Single { space: byte }
    }

    /// Bytes of the character that `rest` begins with, 1 for what is none.
    pub fn first(self, rest: &[u8]) -> usize {
        let (Some(lead), Some(trail)) = (rest.first().copied(), rest.get(1).copied()) else { return 1 };
        let is_pair = match self {
            Self::NoAscii | Self::Single { .. } => false,
            Self::Big5 => matches!(lead, 0xA1..=0xF9) && matches!(trail, 0x40..=0x7E | 0xA1..=0xFE),
            Self::Sjis => matches!(lead, 0x81..=0x9F | 0xE0..=0xFC) && matches!(trail, 0x40..=0x7E | 0x80..=0xFC),
            Self::Gbk | Self::Gb18030 => matches!(lead, 0x81..=0xFE) && matches!(trail, 0x40..=0x7E | 0x80..=0xFE),
            Self::Pairs => lead >= 0x80 && trail >= 0x40,
        };
        let is_four = self == Self::Gb18030 && matches!(rest, [0x81..=0xFE, b'0'..=b'9', 0x81..=0xFE, b'0'..=b'9', ..]);
        match (is_pair, is_four) {
            (true, _) => 2,
            (_, true) => 4,
            _ => 1,
        }
    }
}
