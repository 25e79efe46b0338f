//! The event that opens a MySQL transaction: its id and when it committed.
//!
//! Source: MySQL 9 libs/mysql/binlog/event/control_events.cpp, and libs/mysql/serialization for the tagged form, in which
//! every integer, and every byte of the server's UUID, is of variable length.

use super::reader::{Malformed, Reader};
use crate::model::gtid::{Gtid, MysqlGtid, Origin};
use crate::model::time::UnixMicros;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GtidEvent {
    /// `None`: the server gave none; there is nothing to resume by.
    pub gtid: Option<Gtid>,
    /// When it committed on the server that we read from; `None`: the event does not say.
    pub commit_time: Option<UnixMicros>,
    /// The transaction is one single event without a commit. MySQL does not say.
    pub standalone: bool,
}

/// Behind flags, UUID and number stand the logical timestamps, marked by this.
const LOGICAL_TIMESTAMPS: u8 = 2;
/// Set in a 56-bit commit time when that of the first server follows.
const HAS_ORIGINAL: u64 = 1 << 55;

pub(super) fn plain(reader: &mut Reader<'_>) -> Result<GtidEvent, Malformed> {
    let _flags = reader.u8()?;
    let server = uuid(reader.bytes(16)?).ok_or(());
    let Ok(server) = server else { return reader.fail("a UUID is too short") };
    let number = reader.u64()?;
    Ok(event(server, "", number, commit_time(reader)?))
}

fn commit_time(reader: &mut Reader<'_>) -> Result<Option<UnixMicros>, Malformed> {
    // Servers before 8.0.1 end here.
    if reader.is_empty() || reader.u8()? != LOGICAL_TIMESTAMPS {
        return Ok(None);
    }
    reader.bytes(16)?;
    if reader.is_empty() {
        return Ok(None);
    }
    Ok(micros(reader.uint(7)? & !HAS_ORIGINAL))
}

fn micros(value: u64) -> Option<UnixMicros> {
    i64::try_from(value).ok().map(UnixMicros)
}

fn uuid(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}

fn event(server: [u8; 16], tag: &str, number: u64, commit_time: Option<UnixMicros>) -> GtidEvent {
    let gtid = Gtid::Mysql(MysqlGtid { origin: Origin { server, tag: tag.into() }, number });
    GtidEvent { gtid: Some(gtid), commit_time, standalone: false }
}

pub(super) fn anonymous() -> GtidEvent {
    GtidEvent { gtid: None, commit_time: None, standalone: false }
}

/// Field ids of `Gtid_event::define_fields`, in their order.
mod field {
    pub const FLAGS: u64 = 0;
    pub const UUID: u64 = 1;
    pub const NUMBER: u64 = 2;
    pub const TAG: u64 = 3;
    pub const LAST_COMMITTED: u64 = 4;
    pub const SEQUENCE_NUMBER: u64 = 5;
    pub const IMMEDIATE_COMMIT: u64 = 6;
}

/// What comes behind the commit time is not looked at.
pub(super) fn tagged(reader: &mut Reader<'_>) -> Result<GtidEvent, Malformed> {
    let (_version, _size, _last_needed) = (unsigned(reader)?, unsigned(reader)?, unsigned(reader)?);
    let (mut server, mut number, mut tag, mut commit) = (None, None, "", None);
    while !reader.is_empty() && commit.is_none() {
        match unsigned(reader)? {
            field::FLAGS => drop(reader.u8()?),
            field::UUID => server = Some(variable_uuid(reader)?),
            field::NUMBER => number = Some(signed(reader)?),
            field::TAG => {
                let length = unsigned(reader)?;
                let Ok(length) = usize::try_from(length) else { return reader.fail("a tag is too long") };
                tag = reader.text(length)?;
            }
            field::LAST_COMMITTED | field::SEQUENCE_NUMBER => drop(signed(reader)?),
            field::IMMEDIATE_COMMIT => commit = Some(unsigned(reader)?),
            _ => return reader.fail("a field is unknown"),
        }
    }
    let number = number.and_then(|number| u64::try_from(number).ok());
    match (server, number) {
        (Some(server), Some(number)) => Ok(event(server, tag, number, commit.and_then(micros))),
        _ => reader.fail("it has no id"),
    }
}

fn variable_uuid(reader: &mut Reader<'_>) -> Result<[u8; 16], Malformed> {
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        let Ok(value) = u8::try_from(unsigned(reader)?) else { return reader.fail("a UUID's byte is too large") };
        *byte = value;
    }
    Ok(uuid)
}

/// As many one-bits as lead from the lowest bit up, so many bytes follow; the value stands behind them and a zero bit.
fn unsigned(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let first = reader.u8()?;
    let more = first.trailing_ones();
    let low = u64::from(first.checked_shr(more.saturating_add(1)).unwrap_or(0));
    let rest = reader.uint(usize::try_from(more).unwrap_or(0))?;
    // Seven bits less one for each byte that follows.
    Ok(rest.checked_shl(7_u32.saturating_sub(more)).unwrap_or(0) | low)
}

/// The lowest bit is the sign; a negative number is stored inverted.
fn signed(reader: &mut Reader<'_>) -> Result<i64, Malformed> {
    let value = unsigned(reader)?;
    let magnitude = i64::try_from(value >> 1).unwrap_or(i64::MAX);
    Ok(if value & 1 == 1 { !magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_variable_length_take_as_many_bytes_as_they_say() {
        let value = |bytes: &[u8]| unsigned(&mut Reader::new(42, bytes)).ok();
        assert_eq!(value(&[0x00]), Some(0));
        assert_eq!(value(&[0xFE]), Some(127));
        assert_eq!(value(&[0x01, 0x02]), Some(128));
        assert_eq!(value(&[0xFD, 0xFF]), Some(16_383));
        assert_eq!(value(&[0xFF; 9]), Some(u64::MAX));
        assert_eq!(value(&[0x01]), None);
        let value = |bytes: &[u8]| signed(&mut Reader::new(42, bytes)).ok();
        assert_eq!((value(&[0x04]), value(&[0x02])), (Some(1), Some(-1)));
    }

    #[test]
    fn an_id_comes_with_its_commit_time_or_without() {
        let mut body = vec![1];
        body.extend([0xAA; 16]);
        body.extend(5_u64.to_le_bytes());
        let without = plain(&mut Reader::new(33, &body)).expect("an event");
        assert_eq!(without.gtid.expect("an id").to_string(), "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa:5");
        assert_eq!(without.commit_time, None);
        body.push(2);
        body.extend([0; 16]);
        body.extend(&(1_000_000_u64 | HAS_ORIGINAL).to_le_bytes()[..7]);
        assert_eq!(plain(&mut Reader::new(33, &body)).expect("an event").commit_time, Some(UnixMicros(1_000_000)));
    }
}
