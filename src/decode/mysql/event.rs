//! Events of the binary log, told apart by their type.
//!
//! Every type is one of three things: understood, known to carry nothing that we need, or [`Event::Cannot`]. An unknown type
//! is a [`Cannot`]: passing it over could lose a change.
//!
//! Source: MySQL 9 libs/mysql/binlog/event/binlog_event.h, MariaDB 10.11 sql/log_event.h.

use super::gtid::{self, GtidEvent};
use super::mariadb;
use super::reader::{Malformed, Reader};
use super::rows::Rows;
use super::xa::{self, Prepare};

/// An event's type code.
pub mod kind {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const APPEND_BLOCK: u8 = 9;
    pub const DELETE_FILE: u8 = 11;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
}

/// What stands before every event's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// One of [`kind`].
    pub kind: u8,
    /// Seconds since 1970.
    pub timestamp: u32,
    pub server_id: u32,
    /// Of the whole event.
    pub size: u32,
    /// The low half of where the event ends in its file; 0 for one that is in no file.
    pub end: u32,
    pub flags: u16,
}

impl Header {
    /// Whether the statement in it concerns temporary tables, which have their names to themselves (LOG_EVENT_THREAD_SPECIFIC_F
    /// in both servers' sources; seen set for TRUNCATE of a temporary table, and not for one of a base table).
    pub fn uses_temporary_tables(&self) -> bool {
        self.flags & 0x4 != 0
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    Rotate {
        file: &'a str,
        offset: u64,
    },
    /// How what follows in this file is written; checked to be what we read.
    Format,
    Gtid(GtidEvent),
    Query(Query<'a>),
    /// The transaction committed.
    Xid,
    /// It ends, and another one says later whether it counts.
    Prepare(Prepare),
    /// To be parsed by [`super::table_map::TableMap`] unless it is the one that is known.
    TableMap {
        table_id: u64,
        body: &'a [u8],
    },
    Rows(Rows<'a>),
    Heartbeat,
    /// Known, and without anything that we need.
    Nothing,
    /// The server says that it lost events.
    Incident,
    Cannot(Cannot),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The session's variables: see [`super::statement::Status`].
    pub status: &'a [u8],
    /// The default database, in UTF-8.
    pub schema: &'a [u8],
    pub text: &'a [u8],
}

/// What this version does not read. It must not be passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cannot {
    /// A transaction's payload or an event is compressed.
    Compressed,
    /// An UPDATE that logs only what changed inside a JSON column.
    PartialJson,
    /// An event of this type is not known.
    Unknown(u8),
}

const FORMAT_VERSION: u16 = 4;
const SERVER_VERSION_BYTES: usize = 50;
const HEADER_BYTES: u8 = 19;
const TABLE_MAP_POST_HEADER: u8 = 8;

impl<'a> Event<'a> {
    /// # Errors
    /// [`Malformed`] for an event of a known type that is not one.
    pub fn parse(header: &Header, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(header.kind, body);
        Ok(match header.kind {
            kind::WRITE_ROWS
            | kind::UPDATE_ROWS
            | kind::DELETE_ROWS
            | kind::WRITE_ROWS_V1
            | kind::UPDATE_ROWS_V1
            | kind::DELETE_ROWS_V1 => Self::Rows(Rows::parse(header.kind, reader)?),
            kind::TABLE_MAP => Self::TableMap { table_id: reader.uint(6)?, body },
            kind::GTID => Self::Gtid(gtid::plain(&mut reader)?),
            kind::ANONYMOUS_GTID => Self::Gtid(gtid::anonymous()),
            kind::GTID_TAGGED => Self::Gtid(gtid::tagged(&mut reader)?),
            kind::XID => {
                reader.u64()?;
                Self::Xid
            }
            kind::QUERY => Self::Query(query(&mut reader)?),
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => Self::Heartbeat,
            kind::ROTATE => Self::Rotate { offset: reader.u64()?, file: reader.text(reader.rest().len())? },
            kind::FORMAT_DESCRIPTION => format(&mut reader)?,
            kind::STOP
            | kind::IGNORABLE
            | kind::ROWS_QUERY
            | kind::PREVIOUS_GTIDS
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE => Self::Nothing,
            kind::TRANSACTION_PAYLOAD => Self::Cannot(Cannot::Compressed),
            kind::PARTIAL_UPDATE_ROWS => Self::Cannot(Cannot::PartialJson),
            kind::XA_PREPARE => Self::Prepare(xa::prepare(&mut reader)?),
            kind::INCIDENT => Self::Incident,
            kind::EXECUTE_LOAD_QUERY => Self::Query(load(&mut reader)?),
            // Values for the statement that comes next, which says itself what it changes.
            kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::APPEND_BLOCK
            | kind::DELETE_FILE
            | kind::BEGIN_LOAD_QUERY => Self::Nothing,
            _ => mariadb::event(header, &mut reader)?,
        })
    }
}

/// File number, where the file's name begins and ends in the statement, and what is done with duplicates.
const LOAD_BYTES: usize = 13;

/// A query event with a little more in its fixed part.
fn load<'a>(reader: &mut Reader<'a>) -> Result<Query<'a>, Malformed> {
    let (_thread, _seconds) = (reader.u32()?, reader.u32()?);
    let schema_bytes = reader.u8()?;
    let _error = reader.u16()?;
    let status_bytes = reader.u16()?;
    reader.bytes(LOAD_BYTES)?;
    rest_of_query(reader, status_bytes, schema_bytes)
}

fn rest_of_query<'a>(reader: &mut Reader<'a>, status_bytes: u16, schema_bytes: u8) -> Result<Query<'a>, Malformed> {
    let status = reader.bytes(status_bytes.into())?;
    let schema = reader.bytes(schema_bytes.into())?;
    reader.u8()?;
    Ok(Query { status, schema, text: reader.rest() })
}

fn query<'a>(reader: &mut Reader<'a>) -> Result<Query<'a>, Malformed> {
    let (_thread, _seconds) = (reader.u32()?, reader.u32()?);
    let schema_bytes = reader.u8()?;
    let _error = reader.u16()?;
    let status_bytes = reader.u16()?;
    rest_of_query(reader, status_bytes, schema_bytes)
}

/// The lengths of the fixed parts have not changed since 5.1; other ones would shift everything behind them.
fn format(reader: &mut Reader<'_>) -> Result<Event<'static>, Malformed> {
    let version = reader.u16()?;
    reader.bytes(SERVER_VERSION_BYTES)?;
    let _created = reader.u32()?;
    let header_bytes = reader.u8()?;
    let table_map = reader.rest().get(usize::from(kind::TABLE_MAP.saturating_sub(1)));
    if version != FORMAT_VERSION || header_bytes != HEADER_BYTES || table_map != Some(&TABLE_MAP_POST_HEADER) {
        return reader.fail("the log is not of version 4");
    }
    Ok(Event::Format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(kind: u8) -> Header {
        Header { kind, timestamp: 0, server_id: 1, size: 0, end: 0, flags: 0 }
    }

    #[test]
    fn a_query_is_cut_out_from_between_its_variables() {
        let body = b"\x01\0\0\0\0\0\0\0\x03\0\0\x02\0xxcrm\0BEGIN";
        let expected = Query { status: b"xx", schema: b"crm", text: b"BEGIN" };
        assert_eq!(Event::parse(&header(kind::QUERY), body), Ok(Event::Query(expected)));
        assert!(Event::parse(&header(kind::QUERY), &body[..10]).is_err());
    }

    #[test]
    fn a_rotation_names_the_next_file() {
        let expected = Event::Rotate { file: "binlog.000002", offset: 4 };
        assert_eq!(Event::parse(&header(kind::ROTATE), b"\x04\0\0\0\0\0\0\0binlog.000002"), Ok(expected));
    }

    #[test]
    fn what_is_not_read_is_said_and_nothing_unknown_is_passed_over() {
        let load = b"\x01\0\0\0\0\0\0\0\x03\0\0\x02\0.............xxcrm\0LOAD DATA";
        let expected = Query { status: b"xx", schema: b"crm", text: b"LOAD DATA" };
        assert_eq!(Event::parse(&header(kind::EXECUTE_LOAD_QUERY), load), Ok(Event::Query(expected)));
        for (kind, cannot) in [
            (kind::TRANSACTION_PAYLOAD, Cannot::Compressed),
            (mariadb::kind::QUERY_COMPRESSED, Cannot::Compressed),
            (mariadb::kind::WRITE_ROWS_COMPRESSED_V1, Cannot::Compressed),
            (kind::PARTIAL_UPDATE_ROWS, Cannot::PartialJson),
            (0, Cannot::Unknown(0)),
            (43, Cannot::Unknown(43)),
            (172, Cannot::Unknown(172)),
        ] {
            assert_eq!(Event::parse(&header(kind), b""), Ok(Event::Cannot(cannot)), "{kind}");
        }
    }

    #[test]
    fn a_log_of_another_version_is_refused() {
        let mut body = vec![4, 0];
        body.extend([0; 54]);
        body.push(19);
        body.extend([8; 40]);
        assert_eq!(Event::parse(&header(kind::FORMAT_DESCRIPTION), &body), Ok(Event::Format));
        body[0] = 3;
        assert!(Event::parse(&header(kind::FORMAT_DESCRIPTION), &body).is_err());
    }

    proptest! {
        #[test]
        fn hostile_events_never_panic(kind: u8, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Event::parse(&header(kind), &body);
        }
    }
}
