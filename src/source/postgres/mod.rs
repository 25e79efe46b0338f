//! A PostgreSQL source: our own thin replication client and what it does with what it hears.
//!
//! Bytes come up through `transport`, `frames` and `stream`, become changes in `assemble` and `encode`, and go to the
//! journal; `feedback` tells the server what is durable. `supervise` keeps it going, `policy` says when not to.

mod assemble;
mod cancel;
mod catalogue;
mod cell;
mod copy;
pub mod encode;
mod encoding;
mod fault;
mod feedback;
mod frames;
mod history;
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
pub use fault::{Fault, ServerError, chain};
pub use preflight::{Surroundings, preflight};
pub use simple_query::{Connection, DataRow, Purpose, Row, identifier, literal, qualified};

use super::status::Reporter;
use crate::config::PostgresSystem;
use crate::journal::Journal;
use tokio_util::sync::CancellationToken;

/// The server's tables that the system's patterns select, in the order of their names.
///
/// # Errors
/// Those of the connection.
pub async fn configured(connection: &mut Connection, system: &PostgresSystem) -> Result<Vec<ServerTable>, Fault> {
    Ok(catalogue::read(connection, system).await?.tables)
}

/// Runs the source until `stop`.
pub async fn run(system: PostgresSystem, journal: Journal, reporter: Reporter, stop: CancellationToken) {
    supervise::run(session::Context { system, journal, reporter, stop }).await;
}
