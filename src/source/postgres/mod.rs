//! A PostgreSQL source: our own thin replication client and what it does with what it hears.
//!
//! Bytes come up through `transport`, `frames` and `stream`, become changes in `assemble` and `encode`, and go to the
//! journal; `feedback` tells the server what is durable. `supervise` keeps it going, `policy` says when not to.

mod assemble;
mod catalogue;
mod cell;
mod copy;
mod described;
pub mod encode;
mod fault;
mod feedback;
mod frames;
mod identity;
mod idle;
mod kept;
mod look;
mod origin;
mod policy;
mod preflight;
mod publication;
mod relation;
mod relay;
mod session;
mod side;
mod simple_query;
mod slot;
mod startup;
mod stopped;
mod stream;
mod supervise;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

pub use catalogue::ServerTable;
pub use described::{Described, configured, describe};
pub use fault::{Fault, ServerError, chain};
pub use preflight::{Surroundings, preflight};
pub use simple_query::{Connection, DataRow, Purpose, Row, identifier, literal, qualified};

use super::status::Reporter;
use crate::config::PostgresSystem;
use crate::journal::Journal;
use tokio_util::sync::CancellationToken;

/// Runs the source until `stop`.
pub async fn run(system: PostgresSystem, journal: Journal, reporter: Reporter, stop: CancellationToken) {
    supervise::run(session::Context { system, journal, reporter, stop }).await;
}
