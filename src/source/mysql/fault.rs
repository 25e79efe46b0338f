//! What can go wrong between us and a server, before anyone has decided what to do about it.
//!
//! Owns no decision: `policy` turns a [`Fault`] into retry or halt. A fault never holds a cell value or a secret: of the
//! driver's errors only those are shown whose text is made of neither.

use super::encode::CellError;
use crate::decode::mysql::Malformed;
use crate::journal;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use mysql_async::{DriverError, Error, IoError};
use std::io;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Found by looking: a person must act first.
    #[error("{0}")]
    Halt(Problem),
    /// Of one table alone: the others can go on.
    #[error("{1}")]
    Table(TableName, Problem),
    /// Found by looking: it may pass by itself.
    #[error("{0}")]
    Retry(Problem),
    #[error("cannot connect to {address}")]
    Connect { address: String, source: Box<Fault> },
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server said nothing for {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error("the server says: {message} (error {errno})")]
    Server { errno: u16, message: String },
    /// The login that the server asks for is not done here.
    #[error("{0}")]
    Login(&'static str),
    /// The server's bytes are not the protocol.
    #[error("not the MySQL protocol: {0}")]
    Protocol(&'static str),
    #[error(transparent)]
    Event(#[from] Malformed),
    #[error(transparent)]
    Cell(#[from] CellError),
    #[error("the journal took no more")]
    Journal(#[from] journal::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Server(error) => Self::Server { errno: error.code, message: error.message },
            // The driver's TLS streams hide what went wrong in an I/O error.
            Error::Io(IoError::Io(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Self::Tls(error.to_string())
            }
            Error::Io(IoError::Io(error)) => Self::Io(error),
            Error::Io(IoError::Tls(error)) => Self::Tls(error.to_string()),
            Error::Driver(error) => Self::from_driver(&error),
            Error::Other(_) | Error::Url(_) => Self::Protocol("the driver gave up"),
        }
    }
}

impl Fault {
    fn from_driver(error: &DriverError) -> Self {
        match error {
            DriverError::ConnectionClosed => Self::Closed,
            DriverError::NoClientSslFlagFromServer => Self::Tls("the server does not do TLS".to_owned()),
            DriverError::UnknownAuthPlugin { .. } => {
                Self::Login("the server asks for a login method that is not known")
            }
            DriverError::MysqlOldPasswordDisabled => Self::Login("the server asks for the login of before 4.1"),
            DriverError::CleartextPluginDisabled => Self::Login("the server asks for the password in clear"),
            DriverError::PacketTooLarge => Self::Protocol("a packet of more than 1 GiB"),
            DriverError::UnexpectedPacket { .. } => Self::Protocol("an unexpected packet"),
            DriverError::PacketOutOfOrder => Self::Protocol("a packet out of order"),
            _ => Self::Protocol("the driver gave up"),
        }
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
