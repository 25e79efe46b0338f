//! A look before the start: everything on this server that would make the run fail or lie, all at once.
//!
//! Only reads; nothing on the server is changed, and nothing is locked. What the run itself would judge is judged by the
//! same code (`identity`, `catalogue`, `policy`).

use super::catalogue;
use super::connection::{Connection, identifier};
use super::fault::Fault;
use super::identity::{self, Server};
use super::policy::{self, Verdict};
use super::tables::{self, Definitions, Kind, Logging, ServerTable};
use crate::config::{Flavour, MysqlSystem};
use crate::model::code::{self, Code};
use crate::model::finding::Finding;
use crate::model::problem::Problem;

/// A log that is kept for less may be gone after a weekend.
const LOG_KEPT_SECONDS_MIN: u64 = 3 * 24 * 3600;

/// Everything found, most of it with SQL; empty when all is well.
pub async fn preflight(system: &MysqlSystem) -> Vec<Finding> {
    let mut look = Look { system, found: Vec::new() };
    if let Err(fault) = look.at_everything().await {
        let problem = problem(&fault);
        look.error(problem.code, problem.message, []);
    }
    look.found
}

struct Look<'a> {
    system: &'a MysqlSystem,
    found: Vec<Finding>,
}

impl Look<'_> {
    /// # Errors
    /// What kept it from looking further.
    async fn at_everything(&mut self) -> Result<(), Fault> {
        let mut connection = Connection::open(&self.system.endpoint).await?;
        identity::is_of(&mut connection, self.system.flavour).await?;
        self.at_rights(&mut connection).await?;
        let (sequences, tables): (Vec<_>, Vec<_>) =
            tables::all(&mut connection, self.system, &mut Definitions::default())
                .await?
                .into_iter()
                .partition(|table| table.kind == Kind::Sequence);
        self.at_fitness(&sequences, &tables);
        self.at_patterns(&tables);
        self.at_columns(&mut connection, &tables).await?;
        self.at_log(&mut connection).await?;
        let server = identity::read(&mut connection, self.system.flavour).await?;
        self.at_settings(&server);
        self.at_expiry(&mut connection).await
    }

    fn at_settings(&mut self, server: &Server) {
        for (code, message, sql) in server.settings.wrong() {
            self.error(code, message, sql);
        }
    }

    /// By what the server itself lists: roles that are not active at login are not seen.
    async fn at_rights(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        let mut grants = String::new();
        for row in connection.rows("SHOW GRANTS").await? {
            let grant = row.some(0)?.to_ascii_uppercase();
            // MariaDB lists what everybody may do in the test databases, too.
            if !grant.ends_with(" TO PUBLIC") {
                grants += &grant;
                grants.push('\n');
            }
        }
        let user = account(connection.row("SELECT CURRENT_USER()").await?.some(0)?);
        let all = grants.contains("GRANT ALL PRIVILEGES ON *.*");
        let monitor = match self.system.flavour {
            Flavour::Mysql => ["REPLICATION CLIENT", "REPLICATION CLIENT"],
            Flavour::Mariadb => ["REPLICATION CLIENT", "BINLOG MONITOR"],
        };
        let lacking = |names: &[&str]| !all && !names.iter().any(|name| grants.contains(name));
        let mut wanted = Vec::new();
        if lacking(&["REPLICATION SLAVE"]) {
            wanted.push("REPLICATION SLAVE");
        }
        if lacking(&monitor) {
            wanted.push("REPLICATION CLIENT");
        }
        if !wanted.is_empty() {
            let wanted = wanted.join(", ");
            let sql = format!("GRANT {wanted} ON *.* TO {user};");
            self.error(code::PERMISSION_MISSING, format!("{user} has no {wanted}"), [sql]);
        }
        if lacking(&["SELECT"]) {
            let sql = format!("GRANT SELECT, LOCK TABLES ON *.* TO {user};");
            self.error(code::PERMISSION_MISSING, format!("{user} may read no table"), [sql]);
        } else if self.system.flavour == Flavour::Mysql && lacking(&["LOCK TABLES"]) {
            let sql = format!("GRANT LOCK TABLES ON *.* TO {user};");
            let message =
                format!("{user} has no LOCK TABLES, which copies of tables without a key or without transactions need");
            self.warning(code::PERMISSION_MISSING, message, [sql]);
        }
        Ok(())
    }

    fn at_patterns(&mut self, tables: &[ServerTable]) {
        for pattern in &self.system.tables.include {
            if !tables.iter().any(|table| pattern.matches(&table.name.to_string())) {
                self.warning(code::NOTHING_MATCHES, format!("{pattern} matches no table of the server"), []);
            }
        }
        if tables.is_empty() {
            let message = "no table of the server is selected: nothing would be captured, or none may be seen";
            self.error(code::NOTHING_MATCHES, message, []);
        }
    }

    /// What is not captured, while the other tables are.
    fn at_fitness(&mut self, sequences: &[ServerTable], tables: &[ServerTable]) {
        let place = |table: &ServerTable| format!("{}.{}", self.system.name, table.name);
        let own = |problem: &&Problem| problem.code != code::REPLICA_NOT_LOGGED;
        let unfit = |table: &ServerTable| table.unfit.as_ref().filter(own).cloned();
        let halted = tables.iter().filter_map(|table| Some(Finding::error(place(table), unfit(table)?)));
        let left_out = sequences.iter().filter_map(|table| Some(Finding::warning(place(table), table.unfit.clone()?)));
        let found: Vec<_> = halted.chain(left_out).collect();
        self.found.extend(found);
    }

    async fn at_columns(&mut self, connection: &mut Connection, tables: &[ServerTable]) -> Result<(), Fault> {
        let charsets = catalogue::charsets(connection, self.system.flavour).await?;
        for table in tables.iter().filter(|table| table.unfit.is_none()) {
            let place = format!("{}.{}", self.system.name, table.name);
            if let Some(described) = catalogue::describe(connection, &table.name).await? {
                if let Err(why) = described.shape(&table.name, &charsets) {
                    self.found.push(Finding::error(place.clone(), Problem::new(code::TYPE_UNREADABLE, why)));
                }
                if !described.unlogged.is_empty() {
                    let message = format!("generated columns are left out: {}", described.unlogged.join(", "));
                    self.found.push(Finding::warning(place.clone(), Problem::new(code::COLUMN_GENERATED, message)));
                }
            }
            if !table.has_key {
                let message = "no primary key: copies read the table in one piece, and a target compares whole rows";
                self.found.push(Finding::warning(place, Problem::new(code::IDENTITY_MISSING, message)));
            }
        }
        Ok(())
    }

    /// Once for all tables: what a replica does not log, and what a filter has the log leave out of others' statements.
    async fn at_log(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        let logging = Logging::read(connection, self.system.flavour).await?;
        if let Some(problem) = logging.replica.clone() {
            self.error(problem.code, problem.message, []);
        }
        if let Some(problem) = logging.warning() {
            self.warning(problem.code, problem.message, []);
        }
        Ok(())
    }

    async fn at_expiry(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        let row = connection.row("SELECT @@global.binlog_expire_logs_seconds").await?;
        let seconds = row.number(0)?;
        if seconds > 0 && seconds < LOG_KEPT_SECONDS_MIN {
            let sql = "SET GLOBAL binlog_expire_logs_seconds = 604800;";
            let message = format!("binlog_expire_logs_seconds is {seconds}");
            self.warning(code::LOG_SHORT_LIVED, message, [sql.to_owned()]);
        }
        Ok(())
    }

    fn error(&mut self, code: Code, message: impl Into<String>, sql: impl IntoIterator<Item = String>) {
        let finding = Finding::error(self.system.name.as_str(), Problem::new(code, message));
        self.found.push(finding.mended_by(sql));
    }

    fn warning(&mut self, code: Code, message: impl Into<String>, sql: impl IntoIterator<Item = String>) {
        let finding = Finding::warning(self.system.name.as_str(), Problem::new(code, message));
        self.found.push(finding.mended_by(sql));
    }
}

/// The account that the server took the login for, as SQL: which host it is of is the server's choice.
fn account(current_user: &str) -> String {
    let (user, host) = current_user.rsplit_once('@').unwrap_or((current_user, "%"));
    format!("{}@{}", identifier(user), identifier(host))
}

fn problem(fault: &Fault) -> Problem {
    match policy::judge(fault) {
        Verdict::Halt(problem) | Verdict::Retry(problem) | Verdict::RetrySeldom(problem) => problem,
    }
}
