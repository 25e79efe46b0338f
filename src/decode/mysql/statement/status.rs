//! The status variables of a QUERY event: what the session was when its statement ran.
//!
//! A variable is a code and a value whose length only the code tells, so an unknown code ends the reading. What was read until
//! then is kept, and the rest is unknown, which is never the same as a default. Surprise: the codes do not come in ascending order
//! (MariaDB 11.5 and newer write 131 before 4).
//!
//! Source: MySQL 9 libs/mysql/binlog/event/statement_events.h, MariaDB 11.8 sql/log_event.h; checked against both servers' logs.

use super::session::SqlMode;
use crate::decode::mysql::reader::{Malformed, Reader};

/// For messages: the type of the event that the block is of.
const QUERY: u8 = 2;

mod code {
    pub const FLAGS: u8 = 0;
    pub const SQL_MODE: u8 = 1;
    pub const CATALOGUE_WITH_NUL: u8 = 2;
    pub const AUTO_INCREMENT: u8 = 3;
    pub const CHARSET: u8 = 4;
    pub const TIME_ZONE: u8 = 5;
    pub const CATALOGUE: u8 = 6;
    pub const LC_TIME_NAMES: u8 = 7;
    pub const CHARSET_DATABASE: u8 = 8;
    pub const TABLE_MAP_FOR_UPDATE: u8 = 9;
    pub const MASTER_DATA_WRITTEN: u8 = 10;
    pub const INVOKER: u8 = 11;
    pub const UPDATED_DB_NAMES: u8 = 12;
    pub const MICROSECONDS: u8 = 13;
    pub const EXPLICIT_DEFAULTS_FOR_TIMESTAMP: u8 = 16;
    pub const DDL_LOGGED_WITH_XID: u8 = 17;
    pub const DEFAULT_COLLATION_FOR_UTF8MB4: u8 = 18;
    pub const SQL_REQUIRE_PRIMARY_KEY: u8 = 19;
    pub const DEFAULT_TABLE_ENCRYPTION: u8 = 20;
    // MariaDB's own.
    pub const HRNOW: u8 = 128;
    pub const XID: u8 = 129;
    pub const GTID_FLAGS: u8 = 130;
    pub const CHARACTER_SET_COLLATIONS: u8 = 131;
}

/// So many databases that the event does not name them.
const TOO_MANY_DATABASES: u8 = 254;
/// MariaDB: the event commits or rolls back an ALTER that was logged in two phases, and names the event of the first.
const ALTER_ENDS: u8 = 4 | 8;

/// `None`: the event does not say, or not where it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    pub sql_mode: Option<SqlMode>,
    /// A collation's number. Its character set is the client's.
    pub client_collation: Option<u16>,
    /// MySQL: all databases of tables that the statement may have changed, through triggers, views and functions too. Of a
    /// table that foreign keys refer to it does not say. Seen in the log of 9.7 for each of these.
    pub databases: Option<Vec<String>>,
}

impl Status {
    /// Of the block between the event's fixed part and the name of the default database.
    pub fn parse(block: &[u8]) -> Self {
        let mut status = Self::default();
        let mut reader = Reader::new(QUERY, block);
        while !reader.is_empty() && matches!(status.variable(&mut reader), Ok(true)) {}
        status
    }

    /// False when what follows cannot be found.
    fn variable(&mut self, reader: &mut Reader<'_>) -> Result<bool, Malformed> {
        let length: usize = match reader.u8()? {
            code::SQL_MODE => {
                self.sql_mode = Some(SqlMode(reader.u64()?));
                0
            }
            code::CHARSET => {
                self.client_collation = Some(reader.u16()?);
                4
            }
            code::CATALOGUE_WITH_NUL => usize::from(reader.u8()?).saturating_add(1),
            code::TIME_ZONE | code::CATALOGUE => reader.u8()?.into(),
            code::INVOKER => {
                let user = reader.u8()?;
                reader.bytes(user.into())?;
                reader.u8()?.into()
            }
            code::UPDATED_DB_NAMES => {
                self.databases = databases(reader)?;
                0
            }
            code::GTID_FLAGS => {
                if reader.u8()? & ALTER_ENDS == 0 {
                    0
                } else {
                    8
                }
            }
            code::CHARACTER_SET_COLLATIONS => usize::from(reader.u8()?).saturating_mul(4),
            code::EXPLICIT_DEFAULTS_FOR_TIMESTAMP | code::SQL_REQUIRE_PRIMARY_KEY | code::DEFAULT_TABLE_ENCRYPTION => 1,
            code::LC_TIME_NAMES | code::CHARSET_DATABASE | code::DEFAULT_COLLATION_FOR_UTF8MB4 => 2,
            code::MICROSECONDS | code::HRNOW => 3,
            code::FLAGS | code::AUTO_INCREMENT | code::MASTER_DATA_WRITTEN => 4,
            code::TABLE_MAP_FOR_UPDATE | code::DDL_LOGGED_WITH_XID | code::XID => 8,
            _ => return Ok(false),
        };
        reader.bytes(length)?;
        Ok(true)
    }
}

/// Names that each end in a zero. `None`: too many, none, or one that is no name.
fn databases(reader: &mut Reader<'_>) -> Result<Option<Vec<String>>, Malformed> {
    let count = reader.u8()?;
    if count == TOO_MANY_DATABASES {
        return Ok(None);
    }
    let mut names = Vec::new();
    for _ in 0..count {
        let mut name = Vec::new();
        loop {
            match reader.u8()? {
                0 => break,
                byte => name.push(byte),
            }
        }
        names.push(String::from_utf8(name).ok().filter(|name| !name.is_empty()));
    }
    Ok(names.into_iter().collect::<Option<Vec<_>>>().filter(|names| !names.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unhex(digits: &str) -> Vec<u8> {
        digits
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn what_a_server_wrote_is_read() {
        let mariadb = "00000000010104000000000000000603737464042d002d000800816e00000000000000";
        let expected = Status { sql_mode: Some(SqlMode(4)), client_collation: Some(0x2d), databases: None };
        assert_eq!(Status::parse(&unhex(mariadb)), expected);
    }

    #[test]
    fn variables_of_every_known_length_are_passed() {
        for before in [
            &b"\x00\x01\x02\x03\x04"[..],
            b"\x02\x03std\0",
            b"\x03\x01\0\x01\0",
            b"\x05\x06SYSTEM",
            b"\x06\x03std",
            b"\x07\x01\0",
            b"\x08\x21\0",
            b"\x09\x01\x01\x01\x01\x01\x01\x01\x01",
            b"\x0A\x01\x01\x01\x01",
            b"\x0B\x04root\x09localhost",
            b"\x0C\x02a\0bc\0",
            b"\x0C\xFE",
            b"\x0D\x01\x02\x03",
            b"\x10\x01",
            b"\x11\x01\x01\x01\x01\x01\x01\x01\x01",
            b"\x12\xFF\0",
            b"\x13\0",
            b"\x14\0",
            b"\x80\x01\x02\x03",
            b"\x81\x01\x01\x01\x01\x01\x01\x01\x01",
            b"\x82\x02",
            b"\x82\x04\x01\x01\x01\x01\x01\x01\x01\x01",
            b"\x83\x01\x21\0\xC0\x08",
        ] {
            let block = [before, b"\x04\x1C\0\x21\0\x21\0"].concat();
            assert_eq!(Status::parse(&block).client_collation, Some(28), "{before:?}");
        }
    }

    #[test]
    fn databases_are_all_known_or_none() {
        let databases = |block: &[u8]| Status::parse(block).databases;
        assert_eq!(databases(b"\x0C\x02a\0bc\0"), Some(vec!["a".to_owned(), "bc".to_owned()]));
        for unknown in [&b"\x0C\xFE"[..], b"\x0C\0", b"\x0C\x01\0", b"\x0C\x02a\0\xFF\0", b"\x0C\x02a\0b"] {
            assert_eq!(databases(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn an_unknown_code_ends_the_reading_and_what_was_read_stays() {
        let block = b"\x01\x04\0\0\0\0\0\0\0\x63\x01\x04\x1C\0\x21\0\x21\0";
        assert_eq!(Status::parse(block), Status { sql_mode: Some(SqlMode(4)), ..Status::default() });
        assert_eq!(Status::parse(b"\x04\x1C"), Status::default());
    }

    proptest! {
        #[test]
        fn hostile_blocks_never_panic(block: Vec<u8>) {
            let _ = Status::parse(&block);
        }
    }
}
