//! The server's log as it comes: asked for from behind a GTID set or from a place, event by event, each with its place.
//!
//! The driver frames the events; what they say is for `decode`. Surprises: the first ROTATE comes before the driver knows of
//! checksums, so its name carries one; positions in events have 32 bits, and files can be larger.

use super::connection::Connection;
use super::fault::Fault;
use super::identity::Server;
use super::mariadb;
use crate::config::{Flavour, MysqlSystem};
use crate::decode::mysql::event::{Header, kind};
use crate::model::gtid::{GtidSet, MysqlGtidSet};
use crate::model::position::LogPlace;
use futures_util::StreamExt;
use mysql_async::binlog::BinlogChecksumAlg;
use mysql_async::binlog::events::Event;
use mysql_async::{BinlogStream, BinlogStreamRequest, Sid};
use std::time::Duration;
use tokio::time::timeout;

const CHECKSUM_BYTES: usize = 4;
/// In a ROTATE before the name.
const OFFSET_BYTES: usize = 8;
const FIRST_OFFSET: u64 = 4;

pub struct Dump {
    stream: BinlogStream,
    silence_max: Duration,
    rotation: Rotation,
    /// Where the last event ended.
    end: LogPlace,
    /// What MySQL passes over, because we have it, comes as a heartbeat that tells where it ended.
    passes_over: bool,
}

/// How the next ROTATE ends.
enum Rotation {
    /// As the driver gives it.
    Whole,
    /// The first one, with a checksum that the driver does not cut off.
    Checked,
    /// The first one, perhaps with a checksum: MariaDB follows what the file has, whatever its setting is now. It names the file
    /// that was asked for, of so many bytes.
    Named(usize),
}

/// Where a dump begins.
#[derive(Clone, Copy)]
pub enum From<'a> {
    /// Behind these transactions.
    Gtids(&'a GtidSet),
    Place(&'a LogPlace),
    /// The same, and only what is there now.
    Once(&'a LogPlace),
}

/// One event.
pub struct Logged {
    pub header: Header,
    event: Event,
    body_bytes: usize,
}

impl Logged {
    pub fn body(&self) -> &[u8] {
        self.event.data().get(..self.body_bytes).unwrap_or_default()
    }
}

impl Dump {
    /// # Errors
    /// Those of the connection; a refusal comes with the first event.
    pub async fn start(
        mut connection: Connection,
        system: &MysqlSystem,
        server: &Server,
        from: From<'_>,
    ) -> Result<Self, Fault> {
        let silence_max = system.endpoint.silence_max;
        // Three heartbeats may be lost.
        let heartbeat = (silence_max / 3).as_nanos();
        let variables = format!(
            "SET @master_heartbeat_period = {heartbeat}, @source_heartbeat_period = {heartbeat}, \
             @source_binlog_checksum = @@global.binlog_checksum, @master_binlog_checksum = @@global.binlog_checksum"
        );
        connection.execute(&variables).await?;
        let request = BinlogStreamRequest::new(system.server_id);
        if server.flavour == Flavour::Mariadb {
            mariadb::prepare(&mut connection).await?;
        }
        let request = match from {
            From::Gtids(GtidSet::Mysql(set)) => request.with_gtid().with_gtid_set(sids(set)?),
            From::Gtids(executed) => {
                mariadb::begin_behind(&mut connection, executed).await?;
                request
            }
            From::Place(place) => request.with_filename(place.file.as_bytes()).with_pos(place.offset),
            From::Once(place) => {
                request.with_filename(place.file.as_bytes()).with_pos(place.offset).with_non_blocking()
            }
        };
        let stream = connection.into_inner().get_binlog_stream(request).await?;
        let rotation = match from {
            From::Place(place) | From::Once(place) => Rotation::Named(place.file.len()),
            From::Gtids(_) if server.checksums => Rotation::Checked,
            From::Gtids(_) => Rotation::Whole,
        };
        let passes_over = server.flavour == Flavour::Mysql;
        Ok(Self { stream, silence_max, rotation, end: LogPlace::default(), passes_over })
    }

    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// [`Fault::Silent`], and those of the connection and the server.
    pub async fn next(&mut self) -> Result<Logged, Fault> {
        let next = timeout(self.silence_max, self.stream.next()).await.map_err(|_| Fault::Silent(self.silence_max))?;
        let event = next.ok_or(Fault::Closed)??;
        let header = event.header();
        let header = Header {
            kind: header.event_type_raw(),
            timestamp: header.timestamp(),
            server_id: header.server_id(),
            size: header.event_size(),
            end: header.log_pos(),
            flags: header.flags_raw(),
        };
        let is_checked = header.kind != kind::FORMAT_DESCRIPTION;
        if let (Some(checksum), true) = (event.checksum(), is_checked)
            && event.footer().get_checksum_enabled()
            && event.calc_checksum(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32) != u32::from_le_bytes(checksum)
        {
            return Err(Fault::Protocol("an event's checksum is wrong"));
        }
        let mut body_bytes = event.data().len();
        match (header.kind, &self.rotation) {
            (kind::FORMAT_DESCRIPTION, _) => self.rotation = Rotation::Whole,
            (kind::ROTATE, Rotation::Checked) => body_bytes = body_bytes.saturating_sub(CHECKSUM_BYTES),
            (kind::ROTATE, Rotation::Named(name_bytes)) => body_bytes = body_bytes.min(OFFSET_BYTES + name_bytes),
            _ => {}
        }
        self.advance(&header);
        Ok(Logged { header, event, body_bytes })
    }

    /// Ends it, so that the server has nothing of it left. What goes wrong with that is no harm.
    pub async fn close(self) {
        let _ = self.stream.close().await;
    }

    /// Where the last event ended.
    pub fn end(&self) -> &LogPlace {
        &self.end
    }

    /// A ROTATE names the file of what follows.
    pub fn rotate(&mut self, file: &str, offset: u64) {
        self.end = LogPlace { file: file.into(), offset: offset.max(FIRST_OFFSET) };
    }

    /// The upper half of an offset is what makes it grow.
    fn advance(&mut self, header: &Header) {
        let is_farther = || u64::from(header.end) > self.end.offset;
        let is_in_file = match header.kind {
            kind::ROTATE => false,
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => self.passes_over && is_farther(),
            _ => header.end != 0,
        };
        if is_in_file {
            self.end.offset = grown(self.end.offset, header.end);
        }
    }
}

fn grown(before: u64, low: u32) -> u64 {
    const HALF: u64 = 1 << 32;
    let same = (before & !(HALF - 1)) | u64::from(low);
    if same < before { same + HALF } else { same }
}

/// The driver's form of a set, through the text that both know.
fn sids(set: &MysqlGtidSet) -> Result<Vec<Sid<'static>>, Fault> {
    let text = set.to_string();
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|_| Fault::Protocol("a GTID set that the driver does not take"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_go_on_growing_past_four_gigabytes() {
        assert_eq!(grown(4, 120), 120);
        assert_eq!(grown(0xFFFF_FF00, 0x80), 0x1_0000_0080);
        assert_eq!(grown(0x1_0000_0080, 0x90), 0x1_0000_0090);
    }
}
