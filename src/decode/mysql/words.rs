//! A statement's words: as much of SQL as is needed to tell names, keywords and texts apart.

/// A table as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// `None`: in the default database.
    pub schema: Option<String>,
    pub table: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word<'a> {
    Plain(&'a [u8]),
    /// Between these quotes.
    Quoted(&'a [u8], u8),
    Other(u8),
}

impl Word<'_> {
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Self::Plain(text) if text.eq_ignore_ascii_case(word.as_bytes()))
    }

    pub fn upper(&self) -> String {
        match self {
            Self::Plain(text) => String::from_utf8_lossy(text).to_ascii_uppercase(),
            _ => String::new(),
        }
    }

    pub fn name(&self) -> Option<String> {
        match self {
            Self::Plain(text) => String::from_utf8(text.to_vec()).ok(),
            Self::Quoted(text, quote @ (b'`' | b'"')) => {
                let quote = char::from(*quote).to_string();
                Some(std::str::from_utf8(text).ok()?.replace(&quote.repeat(2), &quote))
            }
            _ => None,
        }
    }
}

#[derive(Clone)]
pub struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    pub fn of(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// Passes these words if they come next.
    pub fn pass(&mut self, expected: &[&str]) -> bool {
        let mut ahead = self.clone();
        let all = expected.iter().all(|expected| ahead.next().is_some_and(|word| word.is(expected)));
        if all {
            *self = ahead;
        }
        all
    }

    /// Passes this sign if it comes next.
    pub fn pass_sign(&mut self, sign: u8) -> bool {
        let mut ahead = self.clone();
        let passed = ahead.next() == Some(Word::Other(sign));
        if passed {
            *self = ahead;
        }
        passed
    }

    /// The name of a table, with its database or without.
    pub fn named(&mut self) -> Option<Named> {
        let first = self.next()?.name()?;
        if !self.pass_sign(b'.') {
            return Some(Named { schema: None, table: first });
        }
        Some(Named { schema: Some(first), table: self.next()?.name()? })
    }

    /// White space and comments. `/*!50100 …*/` is no comment but what it holds.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_ascii_start();
            self.rest = if let Some(rest) = self.rest.strip_prefix(b"/*!").or(self.rest.strip_prefix(b"/*M!")) {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                rest.get(digits..).unwrap_or_default()
            } else if let Some(rest) = self.rest.strip_prefix(b"*/") {
                rest
            } else if let Some(rest) = self.rest.strip_prefix(b"/*") {
                behind(rest, b"*/")
            } else if let Some(rest) = self.rest.strip_prefix(b"#").or(self.rest.strip_prefix(b"-- ")) {
                behind(rest, b"\n")
            } else {
                return;
            };
        }
    }

    fn quoted(&mut self, quote: u8) -> Word<'a> {
        let inside = self.rest.get(1..).unwrap_or_default();
        let mut end = 0_usize;
        while let Some(byte) = inside.get(end) {
            let next = end.saturating_add(1);
            if *byte == b'\\' && quote != b'`' {
                end = next;
            } else if *byte == quote {
                if inside.get(next) != Some(&quote) {
                    break;
                }
                end = next;
            }
            end = end.saturating_add(1);
        }
        let end = end.min(inside.len());
        self.rest = inside.get(end.saturating_add(1)..).unwrap_or_default();
        Word::Quoted(inside.get(..end).unwrap_or_default(), quote)
    }
}

fn behind<'a>(text: &'a [u8], end: &[u8]) -> &'a [u8] {
    let at = text.windows(end.len()).position(|window| window == end);
    at.and_then(|at| text.get(at.saturating_add(end.len())..)).unwrap_or_default()
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        self.skip();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80;
        let first = *self.rest.first()?;
        if matches!(first, b'`' | b'"' | b'\'') {
            return Some(self.quoted(first));
        }
        let length = self.rest.iter().take_while(|byte| is_part(byte)).count();
        let (word, rest) = self.rest.split_at_checked(length.max(1))?;
        self.rest = rest;
        Some(if length == 0 { Word::Other(first) } else { Word::Plain(word) })
    }
}
