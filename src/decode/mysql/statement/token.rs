//! A statement's tokens: as much of SQL's surface as tells names, keywords, texts and comments apart.
//!
//! Nothing is copied: a statement may have a gigabyte. Surprises: `/*!50100 … */` is no comment but what it holds; the server
//! takes the `!` out of one that it did not run, and the comments out of that one, before it logs the statement.

use super::reading::Reading;
use crate::decode::mysql::table_map::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A keyword, a name without quotes, or a number.
    Word(&'a [u8]),
    /// Between backticks, double quotes or MariaDB's brackets (sql_mode MSSQL). Without them; doubled ones inside are still
    /// doubled. With the quote that ends it.
    ///
    /// Where a name has to be, `"x"` is one, whatever the sql_mode seems to be.
    Quoted(&'a [u8], u8),
    Text,
    Sign(u8),
}

#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    rest: &'a [u8],
    reading: Reading,
    /// Inside of `/*! … */`, whose end is one.
    in_comment: bool,
    /// A quote or a comment has no end.
    broken: bool,
}

impl<'a> Tokens<'a> {
    pub fn of(text: &'a [u8], reading: Reading) -> Self {
        Self { rest: text, reading, in_comment: false, broken: false }
    }

    /// Known once the last token was taken.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    fn skip(&mut self) {
        loop {
            let spaces = self.rest.iter().take_while(|byte| self.reading.sequences.is_space(**byte)).count();
            self.rest = self.rest.get(spaces..).unwrap_or_default();
            if let Some(inside) = self.versioned() {
                self.rest = inside;
                self.in_comment = true;
            } else if let Some(rest) = self.rest.strip_prefix(b"*/").filter(|_| self.in_comment) {
                self.rest = rest;
                self.in_comment = false;
            } else if let Some(rest) = self.rest.strip_prefix(b"/*") {
                let end = behind(rest, b"*/");
                self.broken |= end.is_none();
                self.rest = end.unwrap_or_default();
            } else if is_line_comment(self.rest) {
                self.rest = behind(self.rest, b"\n").unwrap_or_default();
            } else {
                return;
            }
        }
    }

    /// What follows the mark and the version, of which there are five digits or six, or none.
    fn versioned(&self) -> Option<&'a [u8]> {
        let mariadb = || self.rest.strip_prefix(b"/*M!").filter(|_| self.reading.dialect == Dialect::Mariadb);
        let inside = self.rest.strip_prefix(b"/*!").or_else(mariadb)?;
        let digits = inside.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
        inside.get(if digits < 5 { 0 } else { digits }..)
    }

    /// Up to this quote.
    fn quoted(&mut self, quote: u8) -> Token<'a> {
        let inside = self.rest.get(1..).unwrap_or_default();
        let escapes = self.reading.escapes.apply_in(quote);
        let mut end = 0_usize;
        loop {
            let rest = inside.get(end..).unwrap_or_default();
            let bytes = match rest {
                [] => {
                    self.broken = true;
                    self.rest = &[];
                    break;
                }
                [b'\\', _, ..] if escapes => {
                    1_usize.saturating_add(self.reading.sequences.first(rest.get(1..).unwrap_or_default()))
                }
                [first, second, ..] if *first == quote && *second == quote => 2,
                [first, ..] if *first == quote => {
                    self.rest = rest.get(1..).unwrap_or_default();
                    break;
                }
                _ => self.reading.sequences.first(rest),
            };
            end = end.saturating_add(bytes);
        }
        if quote == b'\'' { Token::Text } else { Token::Quoted(inside.get(..end).unwrap_or(inside), quote) }
    }

    fn word_bytes(&self) -> usize {
        let mut end = 0_usize;
        loop {
            let rest = self.rest.get(end..).unwrap_or_default();
            let is_part = rest.first().is_some_and(|byte| {
                let is_letter = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80;
                is_letter && !self.reading.sequences.is_space(*byte)
            });
            if !is_part {
                return end.min(self.rest.len());
            }
            end = end.saturating_add(self.reading.sequences.first(rest));
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip();
        let first = *self.rest.first()?;
        if matches!(first, b'`' | b'"' | b'\'') {
            return Some(self.quoted(first));
        }
        // Outside of quotes a bracket is nothing else in any mode.
        if first == b'[' && self.reading.dialect == Dialect::Mariadb {
            return Some(self.quoted(b']'));
        }
        let length = self.word_bytes();
        let (word, rest) = self.rest.split_at_checked(length.max(1))?;
        self.rest = rest;
        Some(if length == 0 { Token::Sign(first) } else { Token::Word(word) })
    }
}

/// `--` begins a comment only before a space or a control character.
fn is_line_comment(text: &[u8]) -> bool {
    match text {
        [b'#', ..] | [b'-', b'-'] => true,
        [b'-', b'-', next, ..] => next.is_ascii_whitespace() || next.is_ascii_control(),
        _ => false,
    }
}

fn behind<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(end.len()).position(|window| window == end)?;
    text.get(at.saturating_add(end.len())..)
}
