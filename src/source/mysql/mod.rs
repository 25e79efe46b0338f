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
mod dump;
mod encode;
mod fault;
mod identity;
mod mariadb;
mod policy;
mod preflight;
mod session;
mod side;
mod stream;
mod supervise;
#[cfg(test)]
mod tests;

pub use preflight::preflight;

use super::status::Reporter;
use crate::config::MysqlSystem;
use crate::journal::Journal;
use tokio_util::sync::CancellationToken;

/// Follows one server until `stop`.
pub async fn run(system: MysqlSystem, journal: Journal, reporter: Reporter, stop: CancellationToken) {
    supervise::run(session::Context { system, journal, reporter, stop }).await;
}
