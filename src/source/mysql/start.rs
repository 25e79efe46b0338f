//! Where a session starts: behind all that is known, or behind all that the server has now.
//!
//! MySQL finds the place by its set of ids. MariaDB would look for it by numbers, which need not grow, so it is told the place
//! itself wherever that is certain: the checkpoint's, where the log is the same, or the end of the log, where nothing is to come.

use super::connection::Connection;
use super::fault::Fault;
use super::history::{self, Found};
use super::identity::{self, Server};
use super::mariadb;
use crate::config::{Flavour, MysqlSystem};
use crate::model::checkpoint::MysqlCheckpoint;
use crate::model::gtid::GtidSet;
use crate::model::position::LogPlace;

pub struct Started {
    pub server: Server,
    pub checkpoint: MysqlCheckpoint,
    /// Where to begin reading; `None`: behind the checkpoint's transactions, wherever that is.
    pub place: Option<LogPlace>,
    /// The same as transactions. MySQL reads its log only to those who have what is not in it.
    pub behind: GtidSet,
}

/// # Errors
/// [`Fault::Halt`] for every surprise, and those of the connection and the server.
pub async fn find(
    connection: &mut Connection,
    system: &MysqlSystem,
    mut server: Server,
    known: Option<&MysqlCheckpoint>,
) -> Result<Started, Fault> {
    let Some(known) = known else {
        settle(connection, &mut server).await?;
        let checkpoint = MysqlCheckpoint {
            server: server.identity.clone(),
            executed: server.executed.clone(),
            end: server.log_end.clone(),
            last: None,
            landmark: Some(history::begin(system, &server).await?),
        };
        let place = places(&server).then(|| server.log_end.clone());
        let behind = checkpoint.executed.clone();
        return Ok(Started { server, checkpoint, place, behind });
    };
    // Another server's log says nothing.
    let is_other = server.flavour == Flavour::Mysql && server.identity != known.server;
    let landmark = known.landmark.as_ref().filter(|_| !is_other);
    let found = history::look(system, &server, landmark).await?;
    let mut checkpoint = identity::judge(&server, known, &found)?;
    let place = match found {
        _ if !places(&server) => None,
        Found::Same => known.resumable().cloned(),
        _ => {
            settle(connection, &mut server).await?;
            (server.executed == known.executed).then(|| server.log_end.clone())
        }
    };
    if found != Found::Same && server.executed == checkpoint.executed {
        // Nothing came since, so this is as good a begin as that of a first start.
        checkpoint.end = server.log_end.clone();
        checkpoint.landmark = Some(history::begin(system, &server).await?);
    }
    let mut behind = checkpoint.executed.clone();
    server.purged.iter().for_each(|purged| behind.add_all(purged));
    Ok(Started { server, checkpoint, place, behind })
}

/// Whether the server is told the place to read from.
fn places(server: &Server) -> bool {
    server.flavour == Flavour::Mariadb
}

/// What was executed and where the log ended are of one moment.
async fn settle(connection: &mut Connection, server: &mut Server) -> Result<(), Fault> {
    if places(server) { mariadb::settle(connection, server).await } else { Ok(()) }
}
