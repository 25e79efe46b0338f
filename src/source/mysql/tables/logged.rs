//! Whether changes of a table get into the server's log at all: not of a database that the log leaves out, and not on a replica
//! that keeps to itself what it applies.
//!
//! A row is left out by the database of its table (seen on MySQL 9.7 and MariaDB 10.11), a statement by the default database of
//! its session, whatever it is about. A filter changes only with a restart of the server, and a replica can be made at any time,
//! so both are asked with every look. Surprises: with a list of databases to log the other list counts for nothing; and MariaDB
//! tells of its replication only those with a right of its own.

use super::ServerTable;
use crate::config::Flavour;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::source::mysql::connection::Connection;
use crate::source::mysql::fault::Fault;
use crate::source::mysql::identity;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logging {
    filter: Filter,
    /// The replica does not log what it applies.
    pub replica: Option<Problem>,
}

/// The names with commas between them, as the server gives them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Filter {
    logged: String,
    ignored: String,
}

impl Logging {
    /// # Errors
    /// Those of the connection.
    pub async fn read(connection: &mut Connection, flavour: Flavour) -> Result<Self, Fault> {
        let status = identity::log_status(connection, flavour).await?;
        let list = |column| status.as_ref().and_then(|row| row.text(column)).unwrap_or_default().to_owned();
        let filter = Filter { logged: list(2), ignored: list(3) };
        Ok(Self { filter, replica: replica(connection, flavour).await? })
    }

    pub fn judge(&self, table: &mut ServerTable) {
        if table.unfit.is_none() {
            table.unfit = self.unfit(&table.name);
        }
    }

    fn unfit(&self, table: &TableName) -> Option<Problem> {
        let database = &table.schema;
        let left_out = self.filter.leaves_out(database).map(|option| {
            Problem::new(code::DATABASE_UNLOGGED, format!("{table}: the server does not log {database}; {option}"))
        });
        left_out.or_else(|| self.replica.clone())
    }

    /// What of other databases' tables is not seen, where there is a filter.
    pub fn warning(&self) -> Option<Problem> {
        let set = self.filter.set()?;
        let message = format!(
            "{set}: a TRUNCATE, a RENAME or a statement in statement format is not logged where the default database of its \
             session is left out"
        );
        Some(Problem::new(code::DATABASE_UNLOGGED, message))
    }
}

impl Filter {
    /// The option that does; where names may have commas, whatever may be meant.
    fn leaves_out(&self, database: &str) -> Option<String> {
        let is_in = |list: &str| format!(",{list},").contains(&format!(",{database},"));
        let leaves_out = if self.logged.is_empty() { is_in(&self.ignored) } else { !is_in(&self.logged) };
        if leaves_out { self.set() } else { None }
    }

    fn set(&self) -> Option<String> {
        match (&*self.logged, &*self.ignored) {
            ("", "") => None,
            ("", ignored) => Some(format!("binlog_ignore_db is {ignored}")),
            (logged, _) => Some(format!("binlog_do_db is {logged}")),
        }
    }
}

async fn replica(connection: &mut Connection, flavour: Flavour) -> Result<Option<Problem>, Fault> {
    let (setting, channels) = match flavour {
        Flavour::Mysql => ("log_replica_updates", "SHOW REPLICA STATUS"),
        Flavour::Mariadb => ("log_slave_updates", "SHOW ALL SLAVES STATUS"),
    };
    if connection.row(&format!("SELECT @@global.{setting}")).await?.some(0)? == "1" {
        return Ok(None);
    }
    let is_replica = match connection.rows(channels).await {
        Ok(rows) => !rows.is_empty(),
        Err(Fault::Server { .. }) => applies(connection).await?,
        Err(fault) => return Err(fault),
    };
    let problem = || Problem::new(code::REPLICA_NOT_LOGGED, format!("the server is a replica, and {setting} is off"));
    Ok(is_replica.then(problem))
}

/// Without the right to ask which replication there is: whether any runs.
async fn applies(connection: &mut Connection) -> Result<bool, Fault> {
    let rows = connection.rows("SHOW GLOBAL STATUS LIKE 'Slaves_running'").await?;
    Ok(rows.first().map(|row| row.number(1)).transpose()?.is_some_and(|running| running > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(logged: &str, ignored: &str) -> Vec<&'static str> {
        let filter = Filter { logged: logged.into(), ignored: ignored.into() };
        ["crm", "b", "a,b"].into_iter().filter(|database| filter.leaves_out(database).is_some()).collect()
    }

    #[test]
    fn a_database_is_left_out_by_one_list_or_the_other() {
        assert_eq!(left_out("", ""), [""; 0]);
        assert_eq!(left_out("", "crm,a,b"), ["crm", "b", "a,b"]);
        assert_eq!(left_out("", "crmx"), [""; 0]);
        assert_eq!(left_out("crm", "crm"), ["b", "a,b"]);
    }
}
