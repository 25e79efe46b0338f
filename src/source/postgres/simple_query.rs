//! One logged-in connection, and questions asked over it one at a time.
//!
//! A connection with `replication=database` takes replication commands and plain SQL alike, so one client serves both;
//! answers are text. It must not be used further after a fault.

use super::fault::{Fault, ServerError};
use super::frames::{Frame, Frames};
use super::startup;
use super::transport::{self, Stream};
use crate::config::PostgresSystem;
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

pub use postgres_protocol::escape::{escape_identifier as identifier, escape_literal as literal};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Takes a walsender.
    Replication,
    Queries,
}

pub type ReadFrames = Frames<ReadHalf<Stream>>;
pub type WriteStream = WriteHalf<Stream>;

pub struct Connection {
    frames: ReadFrames,
    write: WriteStream,
}

/// One row of text cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Vec<Option<String>>);

impl Row {
    pub fn text(&self, column: usize) -> Option<&str> {
        self.0.get(column)?.as_deref()
    }

    /// `None` for null.
    ///
    /// # Errors
    /// [`Fault::Protocol`] when it is no `T`.
    pub fn parse<T: FromStr>(&self, column: usize) -> Result<Option<T>, Fault> {
        self.text(column).map(str::parse).transpose().map_err(|_| Fault::Protocol("an answer of another type"))
    }

    /// # Errors
    /// [`Fault::Protocol`] when it is null or no `T`.
    pub fn some<T: FromStr>(&self, column: usize) -> Result<T, Fault> {
        self.parse(column)?.ok_or(Fault::Protocol("an answer without a value"))
    }

    /// PostgreSQL's `t`; null is false.
    pub fn is_true(&self, column: usize) -> bool {
        self.text(column) == Some("t")
    }
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Any [`Fault`] of transport or login.
    pub async fn open(system: &PostgresSystem, purpose: Purpose) -> Result<Self, Fault> {
        let transport = transport::open(system).await?;
        let security = startup::Security { private: transport.private, channel_binding: transport.channel_binding };
        let (read, mut write) = tokio::io::split(transport.stream);
        let mut frames = Frames::new(read, system.silence_max);
        startup::log_in(&mut frames, &mut write, system, purpose, security).await?;
        Ok(Self { frames, write })
    }

    /// The rows of one statement, or of several together.
    ///
    /// # Errors
    /// [`Fault::Server`], and those of the connection.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Fault> {
        self.send(sql).await?;
        let mut rows = Vec::new();
        let mut failed = None;
        loop {
            let frame = self.frames.next().await?;
            match frame.tag {
                b'D' => rows.push(data_row(frame.body).ok_or(Fault::Protocol("a broken data row"))?),
                b'E' => failed = Some(ServerError::parse(frame.body)),
                b'Z' => return failed.map_or(Ok(rows), |error| Err(Fault::Server(error))),
                b'T' | b'C' | b'I' => {}
                _ => pass_over(frame)?,
            }
            // A fatal error ends the connection without ReadyForQuery.
            if let Some(error) = failed.take_if(|error| error.sqlstate.starts_with("57P")) {
                return Err(Fault::Server(error));
            }
        }
    }

    /// As [`Self::query`], for what may take for ever on the server: calls `waiting` each time it was silent that long.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_patiently(
        &mut self,
        sql: &str,
        patience: Duration,
        mut waiting: impl FnMut(),
    ) -> Result<Vec<Row>, Fault> {
        let usual = self.frames.set_silence_max(Duration::MAX);
        let rows = {
            let mut answer = std::pin::pin!(self.query(sql));
            loop {
                match tokio::time::timeout(patience, &mut answer).await {
                    Ok(rows) => break rows,
                    Err(_) => waiting(),
                }
            }
        };
        self.frames.set_silence_max(usual);
        rows
    }

    /// Sends a command that turns the connection into a copy in both directions, and gives its halves.
    ///
    /// # Errors
    /// [`Fault::Server`] when it is refused, and those of the connection.
    pub async fn copy_both(mut self, command: &str) -> Result<(ReadFrames, WriteStream), Fault> {
        self.send(command).await?;
        loop {
            let frame = self.frames.next().await?;
            match frame.tag {
                b'W' => return Ok((self.frames, self.write)),
                b'E' => return Err(Fault::Server(ServerError::parse(frame.body))),
                _ => pass_over(frame)?,
            }
        }
    }

    async fn send(&mut self, sql: &str) -> Result<(), Fault> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message)?;
        self.write.write_all(&message).await?;
        Ok(self.write.flush().await?)
    }
}

/// Takes what a server may send at any time; anything else here is no protocol.
///
/// # Errors
/// [`Fault::Protocol`].
pub fn pass_over(frame: Frame<'_>) -> Result<(), Fault> {
    match frame.tag {
        b'N' => {
            let notice = ServerError::parse(frame.body);
            tracing::debug!(message = notice.message, "notice from the server");
            Ok(())
        }
        // ParameterStatus, NotificationResponse.
        b'S' | b'A' => Ok(()),
        _ => Err(Fault::Protocol("a message that does not belong here")),
    }
}

fn data_row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut cells = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            cells.push(None);
            continue;
        };
        let (cell, after) = rest.split_at_checked(length)?;
        rest = after;
        cells.push(Some(String::from_utf8(cell.to_vec()).ok()?));
    }
    rest.is_empty().then_some(Row(cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_row_is_read_exactly_or_not_at_all() {
        let whole = b"\0\x02\xff\xff\xff\xff\0\0\0\x02ok";
        assert_eq!(data_row(whole), Some(Row(vec![None, Some("ok".to_owned())])));
        for end in 0..whole.len() {
            assert_eq!(data_row(&whole[..end]), None);
        }
        assert_eq!(data_row(&[&whole[..], b"x"].concat()), None);
    }
}
