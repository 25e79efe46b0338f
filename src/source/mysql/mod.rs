//! A MySQL or MariaDB source: the driver's connection, our own decoder, and what it does with what it hears.
//!
//! Events come up through `connection` and `dump`, become changes in `assemble` and `encode`, and go to the journal in
//! `stream`. The server keeps its log whoever reads it, so nothing is confirmed to it: the checkpoint alone says where to go on.
//! `supervise` keeps it going, `policy` says when not to. What MariaDB does in its own way is in `mariadb`.

mod assemble;
mod catalogue;
mod cell;
mod connection;
mod copy;
mod define;
mod dump;
mod encode;
mod fault;
mod history;
mod identity;
mod look;
mod mapped;
mod mariadb;
mod names;
mod policy;
mod preflight;
mod session;
mod settled;
mod side;
mod standing;
mod start;
mod stopped;
mod stream;
mod supervise;
mod tables;
#[cfg(test)]
mod tests;

pub use catalogue::OMITS_GENERATED;
pub use connection::{Connection, TextRow, identifier, literal};
pub use copy::behind;
pub use fault::{Fault, chain};
pub use identity::written_to;
pub use preflight::preflight;
pub use tables::ServerTable;

use super::status::Reporter;
use crate::config::MysqlSystem;
use crate::journal::Journal;
use tokio_util::sync::CancellationToken;

/// The configured tables as the server has them now.
///
/// # Errors
/// Those of the connection.
pub async fn configured(connection: &mut Connection, system: &MysqlSystem) -> Result<Vec<ServerTable>, Fault> {
    tables::configured(connection, system, &mut tables::Definitions::default()).await
}

/// The same over a connection of their own.
///
/// # Errors
/// Those of the connection.
pub async fn captured_tables(system: &MysqlSystem) -> Result<Vec<ServerTable>, Fault> {
    configured(&mut Connection::open(&system.endpoint).await?, system).await
}

/// Follows one server until `stop`.
pub async fn run(system: MysqlSystem, journal: Journal, reporter: Reporter, stop: CancellationToken) {
    supervise::run(session::Context { system, journal, reporter, stop }).await;
}
