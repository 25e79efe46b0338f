//! The gRPC server: who may come in, how much they may use up, and the services.
//!
//! ```text
//! listen ─► connection ─► gate (auth, rules) ─► subscribe, catalog, admin, health, reflection
//! ```
//!
//! Every call passes the gate; a handler finds the caller's `Subject` in the request. Connections are not encrypted, so
//! the listener is on loopback only.

mod admin;
mod auth;
mod captured;
mod catalog;
mod connection;
mod gate;
mod limits;
mod listen;
mod operator_token;
mod reflection;
mod rules;
mod serve;
mod status;
mod subscribe;

pub use listen::bind;
pub use operator_token::{OPERATOR_TOKEN_FILE, read as read_operator_token};
pub use serve::{ServeOptions, ServerHandle, StatusSource, serve};

use crate::model::code;
use crate::model::problem::Problem;

/// The server cannot start: a person must act.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that others could reach.
    #[error("{0}")]
    NotLoopback(Problem),
    #[error("{0}")]
    OperatorToken(Problem),
    #[error("{problem}")]
    Listen { problem: Problem, source: std::io::Error },
}

impl Error {
    pub fn problem(&self) -> &Problem {
        match self {
            Self::NotLoopback(problem) | Self::OperatorToken(problem) | Self::Listen { problem, .. } => problem,
        }
    }

    fn listen(what: &str, source: std::io::Error) -> Self {
        Self::Listen { problem: Problem::new(code::LISTENER_FAILED, format!("{what}: {source}")), source }
    }
}

#[cfg(test)]
mod tests;
