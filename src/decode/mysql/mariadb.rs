//! What MariaDB writes in its own way: its GTID event, event types from 160 on, and types that look like others.
//!
//! Source: MariaDB 10.11 sql/log_event.h, sql/log_event.cc, plugin/type_uuid, plugin/type_inet.

use super::event::{Cannot, Event, Header};
use super::gtid::GtidEvent;
use super::reader::{Malformed, Reader};
use crate::model::gtid::{Gtid, MariadbGtid};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// MariaDB's own event types.
pub mod kind {
    pub const ANNOTATE_ROWS: u8 = 160;
    pub const BINLOG_CHECKPOINT: u8 = 161;
    pub const GTID: u8 = 162;
    pub const GTID_LIST: u8 = 163;
    pub const START_ENCRYPTION: u8 = 164;
    pub const QUERY_COMPRESSED: u8 = 165;
    pub const WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub const DELETE_ROWS_COMPRESSED: u8 = 171;
}

/// One event, no commit behind it.
const STANDALONE: u8 = 1;

pub(super) fn event<'a>(header: &Header, reader: &mut Reader<'a>) -> Result<Event<'a>, Malformed> {
    Ok(match header.kind {
        kind::GTID => Event::Gtid(gtid(header, reader)?),
        // The server decrypts what it sends.
        kind::ANNOTATE_ROWS | kind::BINLOG_CHECKPOINT | kind::GTID_LIST | kind::START_ENCRYPTION => Event::Nothing,
        kind::QUERY_COMPRESSED..=kind::DELETE_ROWS_COMPRESSED => Event::Cannot(Cannot::Compressed),
        unknown => Event::Cannot(Cannot::Unknown(unknown)),
    })
}

fn gtid(header: &Header, reader: &mut Reader<'_>) -> Result<GtidEvent, Malformed> {
    let (sequence, domain, flags) = (reader.u64()?, reader.u32()?, reader.u8()?);
    let gtid = Gtid::Mariadb(MariadbGtid { domain, server: header.server_id, sequence });
    Ok(GtidEvent { gtid: Some(gtid), commit_time: None, standalone: flags & STANDALONE != 0 })
}

/// Whether it is named like the column that the server adds for a UNIQUE key of any length, which its catalogue does not have. A
/// table may have a column of its own with such a name.
pub fn may_be_hidden(column: &str) -> bool {
    let number = column.strip_prefix("DB_ROW_HASH_");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A type that the log cannot tell from BINARY(n); only the server's catalogue can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disguised {
    Uuid,
    Inet4,
    Inet6,
}

impl Disguised {
    /// `DATA_TYPE` of information_schema.
    pub fn by_name(data_type: &str) -> Option<Self> {
        match data_type {
            "uuid" => Some(Self::Uuid),
            "inet4" => Some(Self::Inet4),
            "inet6" => Some(Self::Inet6),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Inet4 => "inet4",
            Self::Inet6 => "inet6",
        }
    }

    /// The text as the server prints it, from the stored bytes, whose trailing zeros the log leaves out.
    pub fn text(self, stored: &[u8], out: &mut String) -> Option<()> {
        let mut bytes = [0; 16];
        bytes.get_mut(..stored.len())?.copy_from_slice(stored);
        // Writing to a string cannot fail.
        match self {
            Self::Inet4 => {
                let address: [u8; 4] = *bytes.first_chunk()?;
                (stored.len() <= address.len()).then(|| write!(out, "{}", Ipv4Addr::from(address)).ok())?
            }
            Self::Inet6 => write_inet6(bytes, out),
            Self::Uuid => write_uuid(&bytes, out),
        }
    }
}

/// MariaDB writes an address that embeds an IPv4 one as such, and a run of zero groups as `::`, as inet_ntop does.
fn write_inet6(bytes: [u8; 16], out: &mut String) -> Option<()> {
    let address = Ipv6Addr::from(bytes);
    match address.segments() {
        // IPv4-compatible; Rust prints only the mapped ones with dots.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            write!(out, "::{a}.{b}.{c}.{d}").ok()
        }
        _ => write!(out, "{address}").ok(),
    }
}

/// In the log the bytes stand in the order of the text, whatever order the engine keeps them in.
fn write_uuid(bytes: &[u8; 16], out: &mut String) -> Option<()> {
    for (index, byte) in bytes.iter().enumerate() {
        let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(out, "{dash}{byte:02x}").ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_takes_its_server_from_the_header() {
        let header = Header { kind: kind::GTID, timestamp: 0, server_id: 7, size: 0, end: 0, flags: 0 };
        let mut body = 100_u64.to_le_bytes().to_vec();
        body.extend([3, 0, 0, 0, STANDALONE | 4]);
        let Ok(Event::Gtid(event)) = Event::parse(&header, &body) else { panic!("no GTID event") };
        assert_eq!(event.gtid.expect("an id").to_string(), "3-7-100");
        assert!(event.standalone);
        body[12] = 4;
        assert!(matches!(Event::parse(&header, &body), Ok(Event::Gtid(event)) if !event.standalone));
    }

    #[test]
    fn a_hidden_column_is_known_by_its_name() {
        let found = ["DB_ROW_HASH_1", "DB_ROW_HASH_12", "DB_ROW_HASH_", "DB_ROW_HASH_1a", "hash"].map(may_be_hidden);
        assert_eq!(found, [true, true, false, false, false]);
    }

    #[test]
    fn disguised_types_read_as_the_server_prints_them() {
        let text = |kind: Disguised, bytes: &[u8]| {
            let mut out = String::new();
            kind.text(bytes, &mut out).map(|()| out)
        };
        assert_eq!(text(Disguised::Inet4, &[10]).as_deref(), Some("10.0.0.0"));
        assert_eq!(text(Disguised::Inet4, &[1; 5]), None);
        let uuid = text(Disguised::Uuid, &[0x12, 0x3E, 0x45, 0x67, 0xE8, 0x9B, 0x12, 0xD3, 0xA4]);
        assert_eq!(uuid.as_deref(), Some("123e4567-e89b-12d3-a400-000000000000"));
        assert_eq!(text(Disguised::Inet6, &[0x20, 1, 0x0d, 0xb8]).as_deref(), Some("2001:db8::"));
        assert_eq!(text(Disguised::Inet6, &[0; 17]), None);
    }
}
