//! One logged-in connection, and questions asked over it one at a time.
//!
//! A connection with `replication=database` takes replication commands and plain SQL alike, so one client serves both;
//! answers are text. It must not be used further after a fault.

use super::cancel::{self, Running};
use super::encoding;
use super::fault::{Fault, ServerError};
use super::frames::{Frame, Frames};
use super::startup;
use super::transport::{self, Stream};
use crate::config::PostgresEndpoint;
use crate::model::name::TableName;
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

pub use postgres_protocol::escape::{escape_identifier as identifier, escape_literal as literal};

/// A table's name in SQL.
pub fn qualified(table: &TableName) -> String {
    format!("{}.{}", identifier(&table.schema), identifier(&table.table))
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Takes a walsender.
    Replication,
    Queries,
}

pub type ReadFrames = Frames<ReadHalf<Stream>>;
pub type WriteStream = WriteHalf<Stream>;

/// Dropped while a query runs, it has the server cancel that.
pub struct Connection {
    frames: ReadFrames,
    write: WriteStream,
    running: Running,
}

/// One row as the server sent it.
#[derive(Debug, Clone, Copy)]
pub struct DataRow<'a> {
    columns: usize,
    /// Checked: walking it cannot fail.
    cells: &'a [u8],
}

impl<'a> DataRow<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let (count, cells) = body.split_first_chunk::<2>()?;
        let columns = usize::from(u16::from_be_bytes(*count));
        let mut rest = cells;
        for _ in 0..columns {
            (_, rest) = split_cell(rest)?;
        }
        rest.is_empty().then_some(Self { columns, cells })
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// `None` for null.
    pub fn cells(&self) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
        let mut rest = self.cells;
        std::iter::from_fn(move || {
            let (cell, after) = split_cell(rest)?;
            rest = after;
            Some(cell)
        })
    }

    /// Bytes on the wire.
    pub fn bytes(&self) -> usize {
        self.cells.len()
    }
}

fn split_cell(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else { return Some((None, rest)) };
    let (cell, rest) = rest.split_at_checked(length)?;
    Some((Some(cell), rest))
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

/// What a login cannot ask for. The timeout: older servers than 17 refuse it.
const SETTINGS: &str = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings \
     WHERE name = 'transaction_timeout' AND setting <> '0'; \
     SELECT pg_catalog.current_setting('server_encoding')";
/// Of a database that does not say what its bytes are, and of one of whose bytes not each is a character, the server would refuse to send
/// those that are no UTF-8, and all that stands in the log behind them.
const OWN_BYTES: &str = "SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)";

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Any [`Fault`] of transport or login.
    pub async fn open(endpoint: &PostgresEndpoint, purpose: Purpose) -> Result<Self, Fault> {
        let transport = transport::open(endpoint, purpose).await?;
        let security = startup::Security { private: transport.private, channel_binding: transport.channel_binding };
        let (read, mut write) = tokio::io::split(transport.stream);
        let mut frames = Frames::new(read, endpoint.silence_max);
        let backend = startup::log_in(&mut frames, &mut write, endpoint, purpose, security).await?;
        let mut connection = Self { frames, write, running: Running::new(endpoint, backend) };
        let rows = connection.query(SETTINGS).await?;
        let encoding = rows.last().and_then(|row| row.text(0)).unwrap_or_default().to_owned();
        let charset = encoding::read(&mut connection, &encoding).await?;
        if encoding == "SQL_ASCII" || charset.is_some() {
            connection.query(OWN_BYTES).await?;
        }
        if let Some(charset) = charset {
            connection.frames.set_charset(charset);
        }
        match connection.query(cancel::LOOK_FOR_US).await {
            Ok(_) | Err(Fault::Server(_)) => Ok(connection),
            Err(fault) => Err(fault),
        }
    }

    /// The number of the server's process, where it is known.
    pub fn process(&self) -> Option<i32> {
        self.running.process()
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
                b'Z' => {
                    self.running.ends();
                    return failed.map_or(Ok(rows), |error| Err(Fault::Server(error)));
                }
                b'T' | b'C' | b'I' => {}
                _ => pass_over(frame)?,
            }
            // A fatal error ends the connection without ReadyForQuery.
            if let Some(error) = failed.take_if(|error| error.sqlstate.starts_with("57P")) {
                self.running.ends();
                return Err(Fault::Server(error));
            }
        }
    }

    /// Sends one statement whose rows are then taken with [`Self::next_row`], to its end.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn start(&mut self, sql: &str) -> Result<(), Fault> {
        self.send(sql).await
    }

    /// The next row of the statement that was started; `None` after the last.
    ///
    /// # Errors
    /// As [`Self::query`]. After [`Fault::Server`] the connection may be used again.
    pub async fn next_row(&mut self) -> Result<Option<DataRow<'_>>, Fault> {
        let mut failed = None;
        loop {
            // Asked for twice, because a frame that is given back cannot be looked at before.
            match self.frames.peek().await? {
                b'D' => break,
                b'Z' => {
                    self.frames.next().await?;
                    self.running.ends();
                    return failed.map_or(Ok(None), |error| Err(Fault::Server(error)));
                }
                b'E' => {
                    let error = ServerError::parse(self.frames.next().await?.body);
                    if error.sqlstate.starts_with("57P") {
                        self.running.ends();
                        return Err(Fault::Server(error));
                    }
                    failed = Some(error);
                }
                b'T' | b'C' | b'I' => drop(self.frames.next().await?),
                _ => pass_over(self.frames.next().await?)?,
            }
        }
        let frame = self.frames.next().await?;
        DataRow::parse(frame.body).map(Some).ok_or(Fault::Protocol("a broken data row"))
    }

    /// Sends a `COPY … FROM STDIN` and its data, in the text format.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn copy_in(&mut self, sql: &str, data: &[u8]) -> Result<(), Fault> {
        const PIECE_BYTES: usize = 1 << 20;
        self.send(sql).await?;
        loop {
            let frame = self.frames.next().await?;
            match frame.tag {
                b'G' => break,
                b'E' => {
                    let error = ServerError::parse(frame.body);
                    return Err(self.after(error).await);
                }
                _ => pass_over(frame)?,
            }
        }
        for piece in data.chunks(PIECE_BYTES) {
            let length = u32::try_from(piece.len() + 4).map_err(|_| Fault::Protocol("a piece too long"))?;
            self.write.write_all(&[b"d", &length.to_be_bytes()[..]].concat()).await?;
            self.write.write_all(piece).await?;
        }
        let mut end = BytesMut::new();
        frontend::copy_done(&mut end);
        self.write.write_all(&end).await?;
        self.write.flush().await?;
        loop {
            let frame = self.frames.next().await?;
            match frame.tag {
                b'Z' => {
                    self.running.ends();
                    return Ok(());
                }
                b'E' => {
                    let error = ServerError::parse(frame.body);
                    return Err(self.after(error).await);
                }
                b'C' => {}
                _ => pass_over(frame)?,
            }
        }
    }

    /// Waits for what follows an error, so that the connection may be used again.
    async fn after(&mut self, error: ServerError) -> Fault {
        while !error.sqlstate.starts_with("57P") {
            match self.frames.next().await {
                Ok(frame) if frame.tag == b'Z' => {
                    self.running.ends();
                    break;
                }
                Ok(_) => {}
                Err(fault) => return fault,
            }
        }
        Fault::Server(error)
    }

    /// Whether something of the answer comes within this time.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn answers_within(&mut self, time: Duration) -> Result<bool, Fault> {
        let usual = self.frames.set_silence_max(time);
        let peeked = self.frames.peek().await;
        self.frames.set_silence_max(usual);
        match peeked {
            Ok(_) => Ok(true),
            Err(Fault::Silent(_)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// From here on silence is no fault: somebody else watches over the connection.
    pub fn wait_for_ever(&mut self) {
        self.frames.set_silence_max(Duration::MAX);
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
                b'W' => {
                    // The server hears from its reader all the time, or drops it.
                    self.running.ends();
                    return Ok((self.frames, self.write));
                }
                b'E' => return Err(Fault::Server(ServerError::parse(frame.body))),
                _ => pass_over(frame)?,
            }
        }
    }

    async fn send(&mut self, sql: &str) -> Result<(), Fault> {
        const FOREIGN: Fault =
            Fault::Protocol("a statement with a character that the database's encoding does not have");
        let sql = match self.frames.charset() {
            Some(charset) => Cow::Owned(charset.bytes_of(sql).ok_or(FOREIGN)?),
            None => Cow::Borrowed(sql.as_bytes()),
        };
        if sql.contains(&0) {
            return Err(Fault::Protocol("a statement with a zero byte"));
        }
        let length = u32::try_from(sql.len() + 5).map_err(|_| Fault::Protocol("a statement too long"))?;
        self.running.begins();
        self.write.write_all(&[b"Q", &length.to_be_bytes()[..], &sql, b"\0"].concat()).await?;
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
    let text = |cell: Option<&[u8]>| cell.map(|cell| String::from_utf8(cell.to_vec())).transpose().ok();
    DataRow::parse(body)?.cells().map(text).collect::<Option<_>>().map(Row)
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
