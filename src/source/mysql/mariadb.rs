//! What a MariaDB server does in its own way: who it is, what it has, and how it is asked for its log.
//!
//! Surprise: a reader that does not say its capability gets no GTID events at all; the server rewrites them to `BEGIN`.

use super::connection::{Connection, literal};
use super::fault::Fault;
use super::identity::{self, Server, Settings};
use crate::config::Flavour;
use crate::model::gtid::GtidSet;
use crate::model::position::LogPlace;

/// Knows GTIDs, and everything before them (sql/log_event.h, `MARIA_SLAVE_CAPABILITY_GTID`).
const CAPABILITY: u32 = 4;

/// # Errors
/// Those of the connection.
pub async fn server(connection: &mut Connection) -> Result<Server, Fault> {
    let sql = format!(
        "SELECT {}, @@global.server_uid, @@global.gtid_binlog_pos, @@global.log_bin_compress",
        identity::both()
    );
    let row = connection.row(&sql).await?;
    let executed = row.some(6)?.parse().map_err(|_| Fault::Protocol("a broken GTID position"))?;
    Ok(Server {
        flavour: Flavour::Mariadb,
        identity: row.some(5)?.to_owned(),
        executed: GtidSet::Mariadb(executed),
        purged: None,
        log_end: identity::written_to(connection, Flavour::Mariadb).await?,
        checksums: row.some(4)? != "NONE",
        settings: Settings { compressed: row.some(7)? == "1", ..identity::settings(&row)? },
    })
}

/// Makes `executed` and `log_end` say the same: what was committed when the log ended there. Cheap unless somebody writes all
/// the time.
///
/// # Errors
/// Those of the connection.
pub async fn settle(connection: &mut Connection, server: &mut Server) -> Result<(), Fault> {
    const LOOKS: usize = 20;
    let position =
        |text: &str| text.parse().map(GtidSet::Mariadb).map_err(|_| Fault::Protocol("a broken GTID position"));
    for _ in 0..LOOKS {
        let row = connection.row("SELECT @@global.gtid_binlog_pos").await?;
        server.executed = position(row.some(0)?)?;
        let before = std::mem::replace(&mut server.log_end, identity::written_to(connection, Flavour::Mariadb).await?);
        if before == server.log_end {
            return Ok(());
        }
    }
    // The server reads the file from its begin for this.
    let LogPlace { file, offset } = &server.log_end;
    let row = connection.row(&format!("SELECT BINLOG_GTID_POS({}, {offset})", literal(file))).await?;
    server.executed = position(row.some(0)?)?;
    Ok(())
}

/// Prepares the connection for a dump.
///
/// # Errors
/// Those of the connection.
pub async fn prepare(connection: &mut Connection) -> Result<(), Fault> {
    connection.execute(&format!("SET @mariadb_slave_capability = {CAPABILITY}")).await
}

/// The dump is to begin behind these transactions. Strict: the server refuses a position that it does not have, instead of going
/// on from the next one that it has. Surprise: it looks for the place by numbers, and numbers may fall.
///
/// # Errors
/// Those of the connection.
pub async fn begin_behind(connection: &mut Connection, executed: &GtidSet) -> Result<(), Fault> {
    connection.execute(&format!("SET @slave_connect_state = {}", literal(&executed.to_string()))).await?;
    connection.execute("SET @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0").await
}
