//! Is this still the server and the history that the checkpoint belongs to?
//!
//! [`read`] asks the server, [`judge`] compares; both run at every connect. A surprise here halts: nothing that is missing is
//! passed over, nothing is given a second meaning.

use super::connection::{Connection, TextRow};
use super::fault::Fault;
use super::history::Found;
use super::mariadb;
use crate::config::Flavour;
use crate::model::checkpoint::MysqlCheckpoint;
use crate::model::code::{self, Code};
use crate::model::gtid::GtidSet;
use crate::model::position::LogPlace;
use crate::model::problem::Problem;

/// What the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub flavour: Flavour,
    /// MySQL's server_uuid, MariaDB's server_uid.
    pub identity: String,
    /// Everything that it has committed.
    pub executed: GtidSet,
    /// What of that is no longer in its log; MariaDB does not say.
    pub purged: Option<GtidSet>,
    pub log_end: LogPlace,
    /// Events end with a checksum.
    pub checksums: bool,
    pub settings: Settings,
}

/// What has to be so for the log to be read without guessing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub log_bin: bool,
    pub format: String,
    pub row_image: String,
    pub row_metadata: String,
    /// MySQL's gtid_mode and enforce_gtid_consistency.
    pub gtid: Option<(String, String)>,
    pub partial_json: bool,
    pub compressed: bool,
}

const BOTH: &str = "@@global.log_bin, @@global.binlog_format, @@global.binlog_row_image, @@global.binlog_row_metadata, \
     @@global.binlog_checksum";
const MYSQL: &str = "@@global.server_uuid, @@global.gtid_executed, @@global.gtid_purged, @@global.gtid_mode, \
     @@global.enforce_gtid_consistency, @@global.binlog_row_value_options, @@global.binlog_transaction_compression";

/// # Errors
/// As [`read`].
pub async fn is_of(connection: &mut Connection, flavour: Flavour) -> Result<(), Fault> {
    let version = connection.row("SELECT VERSION()").await?;
    let version = version.some(0)?;
    if version.contains("MariaDB") == (flavour == Flavour::Mariadb) {
        Ok(())
    } else {
        halt(code::FLAVOUR_WRONG, format!("the server's version is {version}"))
    }
}

/// # Errors
/// Those of the connection, and [`Fault::Halt`] for a server of the other kind.
pub async fn read(connection: &mut Connection, flavour: Flavour) -> Result<Server, Fault> {
    is_of(connection, flavour).await?;
    match flavour {
        Flavour::Mysql => mysql(connection).await,
        Flavour::Mariadb => mariadb::server(connection).await,
    }
}

async fn mysql(connection: &mut Connection) -> Result<Server, Fault> {
    let row = connection.row(&format!("SELECT {BOTH}, {MYSQL}")).await?;
    let set = |column| row.some(column)?.parse().map(GtidSet::Mysql).map_err(|_| Fault::Protocol("a broken GTID set"));
    Ok(Server {
        flavour: Flavour::Mysql,
        identity: row.some(5)?.to_owned(),
        executed: set(6)?,
        purged: Some(set(7)?),
        log_end: written_to(connection, Flavour::Mysql).await?,
        checksums: row.some(4)? != "NONE",
        settings: Settings {
            gtid: Some((row.some(8)?.to_owned(), row.some(9)?.to_owned())),
            partial_json: row.some(10)?.contains("PARTIAL_JSON"),
            compressed: row.some(11)? == "1",
            ..settings(&row)?
        },
    })
}

/// What both have; the select list begins with [`both`].
pub fn settings(row: &TextRow) -> Result<Settings, Fault> {
    Ok(Settings {
        log_bin: row.some(0)? == "1",
        format: row.some(1)?.to_owned(),
        row_image: row.some(2)?.to_owned(),
        row_metadata: row.some(3)?.to_owned(),
        gtid: None,
        partial_json: false,
        compressed: false,
    })
}

/// The part of a select list that both have.
pub fn both() -> &'static str {
    BOTH
}

/// Everything that the server has committed.
///
/// # Errors
/// Those of the connection.
pub async fn executed(connection: &mut Connection, flavour: Flavour) -> Result<GtidSet, Fault> {
    let broken = Fault::Protocol("a broken GTID set");
    match flavour {
        Flavour::Mysql => {
            let row = connection.row("SELECT @@global.gtid_executed").await?;
            row.some(0)?.parse().map(GtidSet::Mysql).map_err(|_| broken)
        }
        Flavour::Mariadb => {
            let row = connection.row("SELECT @@global.gtid_binlog_pos").await?;
            row.some(0)?.parse().map(GtidSet::Mariadb).map_err(|_| broken)
        }
    }
}

/// What of that is not in the log, or no longer; MariaDB does not say.
///
/// # Errors
/// Those of the connection.
pub async fn purged(connection: &mut Connection, flavour: Flavour) -> Result<Option<GtidSet>, Fault> {
    if flavour == Flavour::Mariadb {
        return Ok(None);
    }
    let row = connection.row("SELECT @@global.gtid_purged").await?;
    row.some(0)?.parse().map(|set| Some(GtidSet::Mysql(set))).map_err(|_| Fault::Protocol("a broken GTID set"))
}

/// How far the server has written its log: what somebody else can see was written before.
///
/// # Errors
/// Those of the connection.
pub async fn written_to(connection: &mut Connection, flavour: Flavour) -> Result<LogPlace, Fault> {
    let Some(row) = log_status(connection, flavour).await? else { return Ok(LogPlace::default()) };
    Ok(LogPlace { file: row.some(0)?.into(), offset: row.number(1)? })
}

/// File, offset, and the databases that are logged and that are not. Without a log there is none.
///
/// # Errors
/// Those of the connection.
pub async fn log_status(connection: &mut Connection, flavour: Flavour) -> Result<Option<TextRow>, Fault> {
    const BEFORE_MYSQL_8_2: &str = "SHOW MASTER STATUS";
    let rows = match flavour {
        Flavour::Mysql => match connection.rows("SHOW BINARY LOG STATUS").await {
            // A syntax error.
            Err(Fault::Server { errno: 1064, .. }) => connection.rows(BEFORE_MYSQL_8_2).await?,
            other => other?,
        },
        Flavour::Mariadb => connection.rows(BEFORE_MYSQL_8_2).await?,
    };
    Ok(rows.into_iter().next())
}

impl Settings {
    /// What is not as it has to be, with the SQL that mends it.
    pub fn wrong(&self) -> Vec<(Code, String, Vec<String>)> {
        let mut wrong = Vec::new();
        let mut add = |code, message: String, sql: &[&str]| {
            wrong.push((code, message, sql.iter().map(|line| (*line).to_owned()).collect()));
        };
        if !self.log_bin {
            add(code::LOG_SETTINGS, "the binary log is off: set log_bin and restart the server".to_owned(), &[]);
        }
        for (name, value, wanted) in [
            ("binlog_format", &self.format, "ROW"),
            ("binlog_row_image", &self.row_image, "FULL"),
            ("binlog_row_metadata", &self.row_metadata, "FULL"),
        ] {
            if value != wanted {
                let sql = format!("SET GLOBAL {name} = {wanted};");
                add(code::LOG_SETTINGS, format!("{name} is {value}, not {wanted}; {sql}"), &[&sql]);
            }
        }
        if let Some((mode, consistency)) =
            self.gtid.as_ref().filter(|gtid| **gtid != ("ON".to_owned(), "ON".to_owned()))
        {
            let sql = [
                "SET GLOBAL enforce_gtid_consistency = ON;",
                "SET GLOBAL gtid_mode = OFF_PERMISSIVE;",
                "SET GLOBAL gtid_mode = ON_PERMISSIVE;",
                "SET GLOBAL gtid_mode = ON;",
            ];
            let message = format!("gtid_mode is {mode}, enforce_gtid_consistency is {consistency}");
            add(code::GTID_OFF, message, &sql);
        }
        if self.partial_json {
            let sql = "SET GLOBAL binlog_row_value_options = '';";
            add(code::PARTIAL_JSON, format!("binlog_row_value_options is PARTIAL_JSON; {sql}"), &[sql]);
        }
        if self.compressed {
            let sql = match self.gtid {
                Some(_) => "SET GLOBAL binlog_transaction_compression = OFF;",
                None => "SET GLOBAL log_bin_compress = OFF;",
            };
            add(code::LOG_COMPRESSED, format!("the log is compressed; {sql}"), &[sql]);
        }
        wrong
    }
}

/// Whether the log can be read without guessing.
///
/// # Errors
/// [`Fault::Halt`].
pub fn fit(server: &Server) -> Result<(), Fault> {
    match server.settings.wrong().into_iter().next() {
        Some((code, message, _)) => halt(code, message),
        None => Ok(()),
    }
}

/// Whether the checkpoint's transactions are this server's, by its name, by their numbers, and by what its log says; gives the
/// checkpoint to go on from. MariaDB's server_uid is of its address, and its numbers may fall: where the log says that it is the
/// same, that goes.
///
/// # Errors
/// [`Fault::Halt`] for every surprise.
pub fn judge(server: &Server, checkpoint: &MysqlCheckpoint, found: &Found) -> Result<MysqlCheckpoint, Fault> {
    let known_by_log = server.flavour == Flavour::Mariadb && *found == Found::Same;
    if server.identity != checkpoint.server && !known_by_log {
        let (found, known) = (&server.identity, &checkpoint.server);
        return halt(code::SERVER_OTHER, format!("the server is {found}, the checkpoint's is {known}"));
    }
    if !known_by_log && !server.executed.covers(&checkpoint.executed) {
        let (found, known) = (&server.executed, &checkpoint.executed);
        return halt(code::HISTORY_BEHIND, format!("the server has {found}, the checkpoint has {known}"));
    }
    // A log that is whole from the checkpoint on has lost nothing: the server was told of what is not in it (`look`).
    let purged = server.purged.as_ref().filter(|_| *found != Found::Same);
    if let Some(purged) = purged.filter(|purged| !checkpoint.executed.covers(purged)) {
        let known = &checkpoint.executed;
        return halt(code::LOG_PURGED, format!("the server has purged {purged}, the checkpoint has only {known}"));
    }
    match found {
        Found::Other(message) => halt(code::HISTORY_DIFFERS, message.clone()),
        // Nothing came since: a quiet server may purge what is old.
        Found::Purged(message) if server.executed != checkpoint.executed => halt(code::LOG_PURGED, message.clone()),
        _ => Ok(MysqlCheckpoint { server: server.identity.clone(), ..checkpoint.clone() }),
    }
}

pub fn halt<T>(code: Code, message: String) -> Result<T, Fault> {
    Err(Fault::Halt(Problem::new(code, message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        GtidSet::Mysql(text.replace('A', A).parse().expect("a set"))
    }

    fn server(executed: &str, purged: &str) -> Server {
        let settings = Settings {
            log_bin: true,
            format: "ROW".into(),
            row_image: "FULL".into(),
            row_metadata: "FULL".into(),
            gtid: Some(("ON".into(), "ON".into())),
            partial_json: false,
            compressed: false,
        };
        let (executed, purged) = (set(executed), Some(set(purged)));
        let log_end = LogPlace { file: "binlog.000001".into(), offset: 4 };
        Server { flavour: Flavour::Mysql, identity: A.into(), executed, purged, log_end, checksums: true, settings }
    }

    fn checkpoint() -> MysqlCheckpoint {
        let Server { identity, executed, log_end, .. } = server("A:1-5", "");
        MysqlCheckpoint { server: identity, executed, end: log_end, last: None, landmark: None }
    }

    fn code_of(judged: Result<impl Sized, Fault>) -> Option<Code> {
        match judged {
            Err(Fault::Halt(problem)) => Some(problem.code),
            _ => None,
        }
    }

    #[test]
    fn every_surprise_halts_with_its_own_code() {
        let judged = |server: &Server, found: Found| code_of(judge(server, &checkpoint(), &found));
        let other = || Found::Other("so".into());
        let purged = || Found::Purged("so".into());
        assert_eq!(judged(&server("A:1-9", "A:1-5"), Found::Same), None);
        assert_eq!(judged(&server("A:1-9", "A:1-5"), Found::Unknown), None);
        assert_eq!(judged(&server("A:1-9", "A:1-6"), Found::Unknown), Some(code::LOG_PURGED));
        assert_eq!(judged(&server("A:1-9", "A:1-5:7"), Found::Same), None);
        assert_eq!(judged(&server("A:1-4", ""), other()), Some(code::HISTORY_BEHIND));
        assert_eq!(judged(&server("A:1-9", ""), other()), Some(code::HISTORY_DIFFERS));
        assert_eq!(judged(&server("A:1-9", "A:1-5"), purged()), Some(code::LOG_PURGED));
        assert_eq!(judged(&server("A:1-5", "A:1-5"), purged()), None);
        let moved = Server { identity: "b".into(), ..server("A:1-9", "") };
        assert_eq!(judged(&moved, Found::Same), Some(code::SERVER_OTHER));
        let moved = Server { flavour: Flavour::Mariadb, ..moved };
        assert_eq!(judged(&moved, Found::Same), None);
        assert_eq!(judged(&moved, Found::Unknown), Some(code::SERVER_OTHER));
    }

    #[test]
    fn every_setting_that_is_wrong_has_its_own_code() {
        type Spoil = fn(&mut Settings);
        let spoiled: [(Spoil, Code); 7] = [
            (|settings| settings.log_bin = false, code::LOG_SETTINGS),
            (|settings| settings.format = "MIXED".into(), code::LOG_SETTINGS),
            (|settings| settings.row_image = "MINIMAL".into(), code::LOG_SETTINGS),
            (|settings| settings.row_metadata = "MINIMAL".into(), code::LOG_SETTINGS),
            (|settings| settings.gtid = Some(("OFF".into(), "ON".into())), code::GTID_OFF),
            (|settings| settings.partial_json = true, code::PARTIAL_JSON),
            (|settings| settings.compressed = true, code::LOG_COMPRESSED),
        ];
        for (spoil, code) in spoiled {
            let mut server = server("A:1-5", "");
            spoil(&mut server.settings);
            assert_eq!(code_of(fit(&server)), Some(code));
        }
        assert_eq!(code_of(fit(&server("A:1-5", ""))), None);
    }
}
