//! Walks over a statement's tokens: passes what is expected, and stands still where it is not.

use super::name::{Name, RawTable};
use super::reading::Reading;
use super::token::{Token, Tokens};

#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    tokens: Tokens<'a>,
}

impl<'a> Cursor<'a> {
    pub fn of(text: &'a [u8], reading: Reading) -> Self {
        Self { tokens: Tokens::of(text, reading) }
    }

    pub fn next(&mut self) -> Option<Token<'a>> {
        self.tokens.next()
    }

    pub fn peek(&self) -> Option<Token<'a>> {
        self.clone().next()
    }

    pub fn is_broken(&self) -> bool {
        self.tokens.is_broken()
    }

    /// Passes these keywords, separated by spaces, if all of them come next.
    pub fn pass(&mut self, keywords: &str) -> bool {
        let mut ahead = *self;
        let all = keywords.split(' ').all(|keyword| ahead.next().is_some_and(|token| is(token, keyword)));
        if all {
            *self = ahead;
        }
        all
    }

    /// Passes the first of these that comes next.
    pub fn pass_any(&mut self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keywords| self.pass(keywords))
    }

    pub fn pass_sign(&mut self, sign: u8) -> bool {
        let mut ahead = *self;
        let passed = ahead.next() == Some(Token::Sign(sign));
        if passed {
            *self = ahead;
        }
        passed
    }

    pub fn sees(&self, keywords: &str) -> bool {
        self.clone().pass(keywords)
    }

    pub fn sees_sign(&self, sign: u8) -> bool {
        self.clone().pass_sign(sign)
    }

    /// The next keyword, in capitals.
    pub fn keyword(&mut self) -> Option<String> {
        let mut ahead = *self;
        let Some(Token::Word(word)) = ahead.next() else { return None };
        *self = ahead;
        Some(String::from_utf8_lossy(word.get(..32).unwrap_or(word)).to_ascii_uppercase())
    }

    pub fn name(&mut self) -> Option<Name<'a>> {
        let mut ahead = *self;
        let name = ahead.next().and_then(Name::of)?;
        *self = ahead;
        Some(name)
    }

    /// A table, with its database or without.
    pub fn table(&mut self) -> Option<RawTable<'a>> {
        let first = self.name()?;
        if !self.pass_sign(b'.') {
            return Some(RawTable { schema: None, table: first });
        }
        Some(RawTable { schema: Some(first), table: self.name()? })
    }

    /// Tables between commas.
    pub fn tables(&mut self) -> Option<Vec<RawTable<'a>>> {
        let mut tables = vec![self.table()?];
        while self.pass_sign(b',') {
            tables.push(self.table()?);
        }
        Some(tables)
    }

    pub fn text(&mut self) -> Option<()> {
        let mut ahead = *self;
        let Some(Token::Text | Token::Quoted(_, b'"')) = ahead.next() else { return None };
        *self = ahead;
        Some(())
    }

    /// `( … )`, whatever is in it.
    pub fn parentheses(&mut self) -> Option<()> {
        if !self.sees_sign(b'(') {
            return None;
        }
        let mut depth = 0_u32;
        loop {
            match self.next()? {
                Token::Sign(b'(') => depth = depth.checked_add(1)?,
                Token::Sign(b')') => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// To the next comma that is in no parentheses, or the end.
    pub fn skip_clause(&mut self) -> Option<()> {
        while !self.sees_sign(b',') && !self.sees_sign(b';') && self.peek().is_some() {
            if self.parentheses().is_none() {
                if self.sees_sign(b'(') {
                    return None;
                }
                self.next();
            }
        }
        Some(())
    }

    /// Nothing follows; every quote was closed.
    pub fn end(&mut self) -> Option<()> {
        while self.pass_sign(b';') {}
        (self.next().is_none() && !self.is_broken()).then_some(())
    }

    /// MariaDB: `WAIT 5`, `NOWAIT`.
    pub fn pass_wait(&mut self) {
        if !self.pass("NOWAIT") && self.sees("WAIT") {
            let mut ahead = *self;
            ahead.next();
            if matches!(ahead.next(), Some(Token::Word(number)) if number.iter().all(u8::is_ascii_digit)) {
                // WAIT 0.5
                if ahead.pass_sign(b'.') {
                    ahead.next();
                }
                *self = ahead;
            }
        }
    }
}

fn is(token: Token<'_>, keyword: &str) -> bool {
    matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(keyword.as_bytes()))
}
