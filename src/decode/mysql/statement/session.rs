//! What has to be known of a session to read its statement: the dialect, the default database, quotes and character set.
//!
//! Surprise: the event tells the session of the moment when the statement *ran*. A prepared statement was read under the
//! session of its preparation, and `SET STATEMENT sql_mode = … FOR …` is logged with the mode that it sets. So what the event
//! says decides only where it makes no difference to believe it: a statement with a backslash in it is read in every way, and
//! what any reading finds counts (see [`Session::readings`]).

use super::reading::{Escapes, Reading, Sequences};
use super::status::Status;
use crate::decode::mysql::charset::Charset;
use crate::decode::mysql::table_map::Dialect;
use crate::decode::mysql::types::Charsets;

/// The bits of `sql_mode`, as MySQL and MariaDB both number the ones asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlMode(pub u64);

impl SqlMode {
    /// `"x"` is a name, not a text.
    pub fn ansi_quotes(self) -> bool {
        self.0 & 0x4 != 0
    }

    /// A backslash in a text is a character like any other.
    pub fn no_backslash_escapes(self) -> bool {
        self.0 & 0x10_0000 != 0
    }
}

/// The client's character set: what the bytes of names stand for, and where characters end.
///
/// No server accepts ucs2, utf16, utf16le or utf32 from a client, so ASCII is always a byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    Utf8,
    /// A set of ASCII and more. `charset`: `None` when it is not known what its characters are, only where they end.
    Other {
        sequences: Sequences,
        charset: Option<Charset>,
    },
    /// Not even that.
    Unknown,
}

impl Client {
    /// By the collation that the event names; `charsets`: what the server says of its collations.
    pub fn of(collation: Option<u16>, charsets: &Charsets) -> Self {
        let Some(name) = collation.and_then(|collation| charsets.name(collation.into())) else { return Self::Unknown };
        match (Sequences::of(name), charsets.charset(name)) {
            (_, Some(Charset::Utf8)) => Self::Utf8,
            // Names are not converted for a client without a character set: they are what the server has, UTF-8.
            (_, Some(Charset::Binary)) => Self::Utf8,
            (Some(sequences), charset) => Self::Other { sequences, charset },
            (None, _) => Self::Unknown,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Session<'a> {
    pub dialect: Dialect,
    pub sql_mode: Option<SqlMode>,
    pub client: Client,
    /// In UTF-8, whatever the client's character set. Empty: there is none.
    pub default_database: &'a [u8],
}

impl<'a> Session<'a> {
    pub fn new(dialect: Dialect, status: &Status, default_database: &'a [u8], charsets: &Charsets) -> Self {
        let client = Client::of(status.client_collation, charsets);
        Self { dialect, sql_mode: status.sql_mode, client, default_database }
    }

    /// Every way in which the server may have read `text`, the most likely one first; never none.
    pub(super) fn readings(&self, text: &[u8]) -> Vec<Reading> {
        let mut readings = Vec::new();
        for sequences in self.sequences(text) {
            for escapes in self.escapes(text) {
                readings.push(Reading { dialect: self.dialect, sequences, escapes });
            }
        }
        let first = readings.first().copied();
        // The server would not have run a statement that ends within a text.
        readings.retain(|reading| reading.is_whole(text));
        if readings.is_empty() { first.into_iter().collect() } else { readings }
    }

    fn escapes(&self, text: &[u8]) -> Vec<Escapes> {
        let mut all = vec![Escapes::Texts, Escapes::SingleQuoted, Escapes::Nowhere];
        let likely = match self.sql_mode {
            Some(mode) if mode.no_backslash_escapes() => Escapes::Nowhere,
            Some(mode) if mode.ansi_quotes() => Escapes::SingleQuoted,
            _ => Escapes::Texts,
        };
        all.sort_by_key(|escapes| *escapes != likely);
        if !text.contains(&b'\\') {
            all.truncate(1);
        }
        all
    }

    fn sequences(&self, text: &[u8]) -> Vec<Sequences> {
        if text.is_ascii() {
            return vec![Sequences::NoAscii];
        }
        // The server takes spaces off the end, and with them the last byte of a character that was prepared as UTF-8.
        let is_utf8 = std::str::from_utf8(text).map_or_else(|error| error.error_len().is_none(), |_| true);
        match &self.client {
            Client::Utf8 if is_utf8 => vec![Sequences::NoAscii],
            Client::Other { sequences, .. } if *sequences == Sequences::NoAscii || !is_utf8 => vec![*sequences],
            // Prepared when the client's character set was another one, perhaps.
            Client::Other { sequences, .. } => vec![*sequences, Sequences::NoAscii],
            Client::Utf8 | Client::Unknown => vec![Sequences::NoAscii, Sequences::Pairs, Sequences::Gb18030],
        }
    }
}
