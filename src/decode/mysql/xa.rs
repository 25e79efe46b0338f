//! Two-phase transactions as the log has them: the changes come with XA PREPARE, and whether they count comes later, as a
//! transaction of its own. XA COMMIT … ONE PHASE is one transaction.
//!
//! Source: MySQL 9 sql/log_event.cc (`XA_prepare_log_event`), MariaDB 10.11 sql/log.cc (`binlog_commit_by_xid`).

use super::reader::{Malformed, Reader};
use std::fmt::Write as _;

/// The end of the event group that has the changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// It committed.
    pub one_phase: bool,
    /// As the statements that the server logs write it: `X'01',X'',1`.
    pub xid: String,
}

/// What the server logs as a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Xa<'a> {
    /// START or END.
    Around,
    /// What was prepared under this id counts.
    Commit(&'a str),
    Rollback(&'a str),
}

impl<'a> Xa<'a> {
    /// `None`: none of these, so that nothing is known of it.
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let (verb, xid) = std::str::from_utf8(text).ok()?.strip_prefix("XA ")?.split_once(' ')?;
        match verb {
            "START" | "END" => Some(Self::Around),
            "COMMIT" => Some(Self::Commit(xid)),
            "ROLLBACK" => Some(Self::Rollback(xid)),
            _ => None,
        }
    }
}

pub(super) fn prepare(reader: &mut Reader<'_>) -> Result<Prepare, Malformed> {
    let one_phase = reader.u8()? != 0;
    let (format, gtrid, bqual) = (reader.u32()?.cast_signed(), reader.u32()?, reader.u32()?);
    let (Ok(gtrid), Ok(bqual)) = (usize::try_from(gtrid), usize::try_from(bqual)) else {
        return reader.fail("an id is too long");
    };
    Ok(Prepare { one_phase, xid: id(format, reader.bytes(gtrid)?, reader.bytes(bqual)?) })
}

/// As [`Prepare::xid`].
pub fn id(format: i32, gtrid: &[u8], bqual: &[u8]) -> String {
    let mut id = String::new();
    for part in [gtrid, bqual] {
        id.push_str("X'");
        for byte in part {
            // Writing to a string cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        id.push_str("',");
    }
    let _ = write!(id, "{format}");
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_the_servers_statements_write_it() {
        let body = b"\0\x01\0\0\0\x01\0\0\0\x02\0\0\0x\xABc";
        let prepared = prepare(&mut Reader::new(38, body)).expect("an event");
        assert_eq!(prepared, Prepare { one_phase: false, xid: "X'78',X'ab63',1".to_owned() });
        assert_eq!(Xa::read(b"XA COMMIT X'78',X'ab63',1"), Some(Xa::Commit(&prepared.xid)));
        assert_eq!(Xa::read(b"XA END X'78',X'',1"), Some(Xa::Around));
        assert_eq!(Xa::read(b"xa commit 'x'"), None);
        assert!(prepare(&mut Reader::new(38, &body[..12])).is_err());
    }
}
