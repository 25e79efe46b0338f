//! What can go wrong between us and a server, before anyone has decided what to do about it.
//!
//! Owns no decision: `policy` turns a [`Fault`] into retry or halt. A fault never holds a cell value or a secret.

use super::encode::CellError;
use crate::decode::postgres::message::Malformed;
use crate::journal;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use std::fmt;
use std::io;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Found by looking: a person must act first.
    #[error("{0}")]
    Halt(Problem),
    /// Found by looking: it may mend by itself.
    #[error("{0}")]
    Retry(Problem),
    /// Of one table alone: the others can go on.
    #[error("{1}")]
    Table(TableName, Problem),
    #[error("cannot connect to {address}")]
    Connect { address: String, source: io::Error },
    #[error("TLS with {address}")]
    Tls { address: String, source: io::Error },
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server said nothing for {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server's bytes are not the protocol.
    #[error("not the PostgreSQL protocol: {0}")]
    Protocol(&'static str),
    #[error(transparent)]
    Message(#[from] Malformed),
    #[error(transparent)]
    Cell(#[from] CellError),
    #[error("the journal took no more")]
    Journal(#[from] journal::Error),
}

/// An ErrorResponse. DETAIL is left out: it may quote values.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct ServerError {
    /// Five characters.
    pub sqlstate: String,
    pub message: String,
    pub hint: Option<String>,
    /// Schema and name of the table whose constraint it is of; both empty where it is of none.
    pub table: (String, String),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server says: {} (SQLSTATE {})", self.message, self.sqlstate)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; hint: {hint}"))
    }
}

impl ServerError {
    /// From the body of an ErrorResponse or NoticeResponse. What cannot be read is left empty: a broken error must not
    /// hide that there was one.
    pub fn parse(body: &[u8]) -> Self {
        let mut error = Self::default();
        for field in body.split(|byte| *byte == 0) {
            let Some((kind, text)) = field.split_first() else { continue };
            let text = || String::from_utf8_lossy(text).into_owned();
            match kind {
                b'C' => error.sqlstate = text(),
                b'M' => error.message = text(),
                b'H' => error.hint = Some(text()),
                b's' => error.table.0 = text(),
                b't' => error.table.1 = text(),
                _ => {}
            }
        }
        error
    }
}

/// A fault with everything beneath it, for the one line that a person reads.
pub fn chain(fault: &(dyn std::error::Error + 'static)) -> String {
    let mut text = fault.to_string();
    let mut next = fault.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_response_gives_state_message_and_hint_but_no_detail() {
        let error = ServerError::parse(b"SERROR\0C55006\0Mslot is active\0DKey (id)=(7)\0Hwait\0\0");
        assert_eq!(error.sqlstate, "55006");
        assert_eq!(error.hint.as_deref(), Some("wait"));
        assert!(!error.to_string().contains("Key"));
        assert_eq!(ServerError::parse(b"\xff\xfe").message, "");
    }
}
