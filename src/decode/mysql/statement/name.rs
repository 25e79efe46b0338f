//! Names as a statement writes them, and the tables that they can stand for.
//!
//! Surprises: the text is in the client's character set, and stays so in the log, but a statement that was prepared under another
//! one is logged as it was prepared. So in a client's set that is not UTF-8 a name may stand for two tables, and both count. The
//! server writes DROP TABLE itself, and there a question mark for each character that the client's set does not have.

use super::reading::Sequences;
use super::session::{Client, Session};
use super::token::Token;
use super::{Named, Target};

/// A name between its quotes, if it has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name<'a> {
    bytes: &'a [u8],
    quote: Option<u8>,
}

/// A table as the statement names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawTable<'a> {
    pub schema: Option<Name<'a>>,
    pub table: Name<'a>,
}

/// What a name can be read as.
#[derive(Default)]
struct Read {
    names: Vec<String>,
    /// A question mark in it may stand for any one character.
    has_holes: bool,
    /// It can be a name that is none of these.
    unreadable: bool,
}

impl<'a> Name<'a> {
    pub fn of(token: Token<'a>) -> Option<Self> {
        match token {
            Token::Word(bytes) => Some(Self { bytes, quote: None }),
            Token::Quoted(bytes, quote) => Some(Self { bytes, quote: Some(quote) }),
            Token::Text | Token::Sign(_) => None,
        }
    }

    pub fn is(&self, name: &str) -> bool {
        self.bytes.eq_ignore_ascii_case(name.as_bytes())
    }

    fn read(&self, client: &Client) -> Read {
        let (names, unreadable) = self.decoded(client);
        let has_holes = self.bytes.contains(&b'?') && *client != Client::Utf8;
        let names = match self.quote {
            Some(quote) => {
                let quote = char::from(quote).to_string();
                names.into_iter().map(|name| name.replace(&quote.repeat(2), &quote)).collect()
            }
            None => names,
        };
        Read { names, has_holes, unreadable }
    }

    /// What was prepared as UTF-8 and lost its last byte, because that is a space in the character set of the session that ran
    /// it, and the server takes spaces off the end of a statement.
    fn completed(&self, space: u8) -> Option<String> {
        String::from_utf8([self.bytes, &[space]].concat()).ok()
    }

    fn decoded(&self, client: &Client) -> (Vec<String>, bool) {
        let utf8 = std::str::from_utf8(self.bytes).ok().map(str::to_owned);
        if self.bytes.is_ascii() && *client != Client::Unknown {
            return (utf8.into_iter().collect(), false);
        }
        let converted = match client {
            Client::Other { charset: Some(charset), .. } => {
                let mut out = Vec::new();
                charset.append(self.bytes, &mut out).and_then(|()| String::from_utf8(out).ok())
            }
            _ => None,
        };
        let completed = match client {
            Client::Other { sequences: Sequences::Single { space }, .. } => self.completed(*space),
            _ => None,
        };
        let is_guess = match client {
            Client::Utf8 => utf8.is_none(),
            Client::Other { charset: Some(_), .. } => converted.is_none() && utf8.is_none(),
            // Whatever it looks like.
            Client::Other { charset: None, .. } => true,
            // In swe7 even signs are letters.
            Client::Unknown => {
                !self.bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ' | b'?'))
            }
        };
        let mut names: Vec<_> = converted.into_iter().chain(utf8).chain(completed).collect();
        names.dedup();
        (names, is_guess)
    }
}

impl RawTable<'_> {
    /// Every table that it can stand for.
    pub fn targets(&self, session: &Session<'_>) -> Vec<Target> {
        let schema = match self.schema {
            Some(schema) => schema.read(&session.client),
            None => default_database(session),
        };
        let table = self.table.read(&session.client);
        let schemas =
            schema.names.iter().map(Some).chain((schema.names.is_empty() && !schema.unreadable).then_some(None));
        let has_holes = schema.has_holes || table.has_holes;
        let mut targets: Vec<_> = schemas
            .flat_map(|schema| {
                let named = |table: &String| {
                    let named = Named { schema: schema.cloned(), table: table.clone() };
                    if has_holes { Target::Like(named) } else { Target::Table(named) }
                };
                let unreadable = table.unreadable.then(|| Target::Unreadable { schema: schema.cloned() });
                table.names.iter().map(named).chain(unreadable).collect::<Vec<_>>()
            })
            .collect();
        if schema.unreadable {
            targets.push(Target::Unreadable { schema: None });
        }
        targets
    }
}

/// All tables of each database that a name can stand for.
pub fn databases(name: Name<'_>, session: &Session<'_>) -> Vec<Target> {
    let read = name.read(&session.client);
    let unreadable = read.unreadable.then_some(Target::Unreadable { schema: None });
    let named = if read.has_holes { Target::DatabaseLike } else { Target::Database };
    read.names.into_iter().map(named).chain(unreadable).collect()
}

/// No name: there is none.
fn default_database(session: &Session<'_>) -> Read {
    match std::str::from_utf8(session.default_database) {
        Ok("") => Read::default(),
        Ok(name) => Read { names: vec![name.to_owned()], ..Read::default() },
        Err(_) => Read { unreadable: true, ..Read::default() },
    }
}
