//! Does the log still hold, in its place, what the stream looked at last?
//!
//! Numbers grow again after a reset or a restore, and reach those that were given before. So the checkpoint keeps a landmark:
//! where in the log the last transaction begins, and a digest of its first events, whose times, sizes and rows another history
//! does not have. Before the first transaction it is the begin of the log file. It is read again at every connect, on a connection of its own.
//! Surprise: what is digested is what the server sends alike each time: neither flags nor checksums.

use super::connection::Connection;
use super::dump::{Dump, From, Logged};
use super::fault::Fault;
use super::identity::Server;
use super::policy;
use crate::config::MysqlSystem;
use crate::decode::mysql::event::{Header, kind};
use crate::decode::mysql::mariadb;
use crate::model::checkpoint::Landmark;
use crate::model::position::LogPlace;
use ring::digest::{Context, SHA256};

/// The id, the BEGIN, a table and its first rows.
const EVENTS_MAX: u32 = 4;
/// Of each event; a row can be large.
const EVENT_BYTES_MAX: usize = 1024;
/// The format's and the server's version, and when the file was made. What is behind depends on the reader.
const FORMAT_BYTES_MAX: usize = 2 + 50 + 4;
/// A file's first event stands here.
const FIRST_OFFSET: u64 = 4;

/// What the server's log says of the checkpoint's landmark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is no landmark: an earlier version wrote the checkpoint.
    Unknown,
    Same,
    /// Something else is in its place.
    Other(String),
    /// Its file was purged.
    Purged(String),
}

/// Follows the stream; gives the landmark of the last transaction.
#[derive(Default)]
pub struct Sight(Option<(LogPlace, Digest)>);

struct Digest {
    context: Context,
    events: u32,
}

impl Digest {
    fn new() -> Self {
        Self { context: Context::new(&SHA256), events: 0 }
    }

    fn add(&mut self, header: &Header, body: &[u8]) {
        let max = if header.kind == kind::FORMAT_DESCRIPTION { FORMAT_BYTES_MAX } else { EVENT_BYTES_MAX };
        let Header { kind, timestamp, server_id, end, .. } = header;
        let (kind, length) = ([*kind], (body.len() as u64).to_be_bytes());
        let (timestamp, server_id, end) = (timestamp.to_be_bytes(), server_id.to_be_bytes(), end.to_be_bytes());
        for part in [&kind[..], &timestamp, &server_id, &end, &length, body.get(..max).unwrap_or(body)] {
            self.context.update(part);
        }
        self.events += 1;
    }

    fn landmark(self, place: LogPlace) -> Landmark {
        let mut digest = [0; 16];
        digest.iter_mut().zip(self.context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Landmark { place, events: self.events, digest }
    }
}

impl Sight {
    /// Takes in an event; `end`: where it ended.
    pub fn see(&mut self, logged: &Logged, end: &LogPlace) {
        let header = &logged.header;
        if begins_transaction(header) {
            let offset = end.offset.saturating_sub(u64::from(header.size));
            self.0 = Some((LogPlace { file: end.file.clone(), offset }, Digest::new()));
        }
        if let Some((_, digest)) = &mut self.0
            && digest.events < EVENTS_MAX
            && is_in_log(header)
        {
            digest.add(header, logged.body());
        }
    }

    /// Of the transaction that was seen last and is complete, unless it was taken before.
    pub fn take(&mut self) -> Option<Landmark> {
        self.0.take().map(|(place, digest)| digest.landmark(place))
    }
}

fn begins_transaction(header: &Header) -> bool {
    matches!(header.kind, kind::GTID | kind::GTID_TAGGED | mariadb::kind::GTID)
}

/// Not one that the server makes for its reader.
fn is_in_log(header: &Header) -> bool {
    !matches!(header.kind, kind::ROTATE | kind::HEARTBEAT | kind::HEARTBEAT_V2 | kind::FORMAT_DESCRIPTION)
}

/// The landmark of a source that has seen no transaction: the begin of the file in which it starts.
///
/// # Errors
/// Those of the connection and the server.
pub async fn begin(system: &MysqlSystem, server: &Server) -> Result<Landmark, Fault> {
    let place = LogPlace { file: server.log_end.file.clone(), offset: FIRST_OFFSET };
    read(system, server, place, 1).await
}

/// # Errors
/// Those of the connection and the server.
pub async fn look(system: &MysqlSystem, server: &Server, landmark: Option<&Landmark>) -> Result<Found, Fault> {
    let Some(landmark) = landmark else { return Ok(Found::Unknown) };
    let place = &landmark.place;
    if place.order() >= server.log_end.order() {
        return Ok(Found::Other(format!("the log ends at {}, the last transaction began at {place}", server.log_end)));
    }
    match read(system, server, place.clone(), landmark.events).await {
        Ok(found) if found == *landmark => Ok(Found::Same),
        Ok(_) => Ok(Found::Other(format!("at {place} is something else than the last transaction"))),
        Err(fault) => judge(fault, place),
    }
}

/// What it means that the place does not read.
fn judge(fault: Fault, place: &LogPlace) -> Result<Found, Fault> {
    match &fault {
        Fault::Server { errno: policy::READING_LOG_FAILED, message } if !policy::is_taken_over(message) => {
            Ok(if policy::is_purged(message) {
                Found::Purged(format!("the last transaction began at {place}: {message}"))
            } else {
                Found::Other(format!("no transaction begins at {place}: {message}"))
            })
        }
        Fault::Protocol(_) | Fault::Event(_) => Ok(Found::Other(format!("no transaction begins at {place}: {fault}"))),
        _ => Err(fault),
    }
}

async fn read(system: &MysqlSystem, server: &Server, place: LogPlace, events: u32) -> Result<Landmark, Fault> {
    let connection = Connection::open(&system.endpoint).await?;
    let mut dump = Dump::start(connection, system, server, From::Once(&place)).await?;
    let mut digest = Digest::new();
    while digest.events < events {
        let logged = dump.next().await?;
        let wanted = match logged.header.kind {
            kind::FORMAT_DESCRIPTION => place.offset == FIRST_OFFSET,
            _ => is_in_log(&logged.header),
        };
        if wanted {
            digest.add(&logged.header, logged.body());
        }
    }
    dump.close().await;
    Ok(digest.landmark(place))
}
