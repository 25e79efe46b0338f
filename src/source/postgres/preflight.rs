//! A look before the start: everything on this server that would make the run fail or lie, all at once.
//!
//! Only reads; nothing on the server is changed, and nothing is locked. What the run itself would judge is judged by the
//! same code (`publication`, `tables`, `policy`). Surprise: whether a slot goes with the journal cannot be told from here,
//! because the running process holds the journal; the caller asks that process.

use super::catalogue::{self, Seen, ServerTable};
use super::fault::Fault;
use super::identity;
use super::policy::{self, Verdict};
use super::publication::{self, Outlook};
use super::simple_query::{Connection, Purpose, Row, identifier, literal, qualified};
use crate::config::PostgresSystem;
use crate::model::code::{self, Code};
use crate::model::finding::Finding;
use crate::model::name::TableName;
use crate::model::pattern::Selection;
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use std::collections::{BTreeMap, BTreeSet};

/// What of our own side decides how the server is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings<'a> {
    /// The data directory holds a journal: a slot may be ours.
    pub journal_exists: bool,
    /// A Tailwater runs on the data directory: a slot in use is in use by it.
    pub running: bool,
    /// What targets get, over `system.schema.table`: copies read these tables.
    pub copied: &'a [&'a Selection],
}

/// Everything found, most of it with SQL; empty when all is well.
pub async fn preflight(system: &PostgresSystem, surroundings: Surroundings<'_>) -> Vec<Finding> {
    let mut look = Look { system, found: Vec::new() };
    if let Err(fault) = look.at_everything(surroundings).await {
        let problem = problem(&fault);
        look.error(problem.code, problem.message, []);
    }
    look.found
}

/// Findings of more tables of a schema are one finding.
const TABLES_APART: usize = 3;

/// A table that is to be copied.
struct Unreadable {
    name: TableName,
    lacks_usage: bool,
    lacks_select: bool,
}

struct Look<'a> {
    system: &'a PostgresSystem,
    found: Vec<Finding>,
}

impl Look<'_> {
    /// # Errors
    /// What kept it from looking further.
    async fn at_everything(&mut self, surroundings: Surroundings<'_>) -> Result<(), Fault> {
        let mut connection = Connection::open(&self.system.endpoint, Purpose::Queries).await?;
        let fits = self.at_settings(&mut connection).await?;
        self.at_slot(&mut connection, surroundings).await?;
        let seen = catalogue::read(&mut connection, self.system).await?;
        let tables = &seen.tables;
        self.at_patterns(&mut connection, tables).await?;
        self.at_identities(tables);
        self.at_generated_columns(&mut connection, tables).await?;
        self.at_copies(&mut connection, tables, surroundings.copied).await?;
        self.at_publications(&mut connection, &seen).await?;
        if fits {
            self.at_replication(surroundings).await?;
        }
        Ok(())
    }

    /// Whether the server could replicate at all.
    async fn at_settings(&mut self, connection: &mut Connection) -> Result<bool, Fault> {
        let rows = connection.query(SETTINGS).await?;
        let settings = rows.first().ok_or(Fault::Protocol("an empty answer"))?;
        let (version, wal_level): (u32, String) = (settings.some(0)?, settings.some(1)?);
        let found_before = self.found.len();
        if version < identity::VERSION_MIN {
            self.error(code::VERSION_UNSUPPORTED, format!("server_version_num is {version}"), []);
        }
        if settings.is_true(2) {
            self.error(code::SERVER_UNAVAILABLE, "the server is a standby in recovery", []);
        }
        if wal_level != "logical" {
            let sql = "ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server";
            self.error(code::WAL_LEVEL_NOT_LOGICAL, format!("wal_level is '{wal_level}'"), [sql.to_owned()]);
        }
        if settings.text(3) == Some("-1") {
            let sql = ["ALTER SYSTEM SET max_slot_wal_keep_size = '64GB';", "SELECT pg_reload_conf();"];
            self.warning(code::LOG_UNBOUNDED, "max_slot_wal_keep_size is -1", sql.map(str::to_owned));
        }
        Ok(self.found[found_before..].iter().all(|finding| finding.problem.code == code::LOG_UNBOUNDED))
    }

    async fn at_slot(&mut self, connection: &mut Connection, surroundings: Surroundings<'_>) -> Result<(), Fault> {
        let name = &self.system.slot;
        let rows = connection.query(&format!("{SLOT} WHERE slot_name = {}", literal(name))).await?;
        let Some(slot) = rows.first() else { return self.at_room_for_a_slot(connection).await };
        let kind = slot.text(0).unwrap_or_default();
        let drop_it = || [format!("SELECT pg_drop_replication_slot({});", literal(name))];
        if kind != "logical pgoutput" || !slot.is_true(1) {
            self.error(code::SLOT_FOREIGN, format!("slot {name:?} is {kind}, perhaps of another database"), []);
        } else if slot.text(2) == Some("lost") {
            self.error(code::SLOT_INVALIDATED, format!("slot {name:?} has wal_status 'lost'"), drop_it());
        } else if !surroundings.journal_exists {
            let message = format!("slot {name:?} exists, and data_dir holds no journal");
            self.error(code::SLOT_WITHOUT_JOURNAL, message, drop_it());
        } else if slot.is_true(3) && !surroundings.running {
            let pid = slot.text(4).unwrap_or("?");
            let sql = format!("SELECT * FROM pg_stat_activity WHERE pid = {pid};");
            self.error(code::SLOT_IN_USE, format!("slot {name:?} is active for PID {pid}, which is not ours"), [sql]);
        }
        Ok(())
    }

    async fn at_room_for_a_slot(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        let rows = connection.query(SLOTS).await?;
        let slots = rows.first().ok_or(Fault::Protocol("an empty answer"))?;
        let (max, used): (u64, u64) = (slots.some(0)?, slots.some(1)?);
        if used >= max {
            let raise = raise("max_replication_slots", used + 1);
            self.error(code::SLOTS_EXHAUSTED, format!("{used} of {max} replication slots are taken"), [raise]);
        }
        Ok(())
    }

    async fn at_patterns(&mut self, connection: &mut Connection, tables: &[ServerTable]) -> Result<(), Fault> {
        let mut unlogged = Vec::new();
        for row in connection.query(NOT_LOGGED).await? {
            let name = TableName::new(text(&row, 0)?, text(&row, 1)?);
            if self.system.tables.matches(&name.to_string()) {
                unlogged.push((name, row.is_true(2)));
            }
        }
        for pattern in &self.system.tables.include {
            let some = tables.iter().map(|table| &table.name).chain(unlogged.iter().map(|(name, _)| name));
            if !some.map(ToString::to_string).any(|name| pattern.matches(&name)) {
                let message = format!("{pattern} matches no table of database {:?}", self.system.endpoint.database);
                self.warning(code::NOTHING_MATCHES, message, []);
            }
        }
        if tables.is_empty() {
            let message = "no table of the database is selected: nothing would be captured";
            self.error(code::NOTHING_MATCHES, message, []);
        }
        for (name, foreign) in unlogged {
            let (kind, sql) = match foreign {
                true => ("a foreign table", None),
                false => ("unlogged", Some(format!("ALTER TABLE {} SET LOGGED;", qualified(&name)))),
            };
            let problem = Problem::new(code::TABLE_NOT_LOGGED, format!("the table is {kind}"));
            self.found.push(Finding::error(self.place(&name), problem).mended_by(sql));
        }
        Ok(())
    }

    /// Updates and deletes that the server has counted tell a table whose copy would go stale from one that only grows.
    fn at_identities(&mut self, tables: &[ServerTable]) {
        for table in tables {
            let place = self.place(&table.name);
            if let Some(unfit) = &table.unfit {
                self.found.push(Finding::error(place, unfit.clone()));
                continue;
            }
            if table.identity() != Identity::Nothing {
                continue;
            }
            let writes = table.writes;
            let message = format!("no replica identity; the server counted {writes} updates and deletes");
            let problem = Problem::new(code::IDENTITY_MISSING, message);
            let finding = if writes > 0 { Finding::error(place, problem) } else { Finding::warning(place, problem) };
            let full = format!("ALTER TABLE {} REPLICA IDENTITY FULL;", qualified(&table.name));
            self.found.push(finding.mended_by([full]));
        }
    }

    async fn at_generated_columns(&mut self, connection: &mut Connection, tables: &[ServerTable]) -> Result<(), Fault> {
        for row in connection.query(GENERATED).await? {
            let name = TableName::new(text(&row, 0)?, text(&row, 1)?);
            if tables.iter().any(|table| table.name == name) {
                let message = format!("generated columns are left out: {}", text(&row, 2)?);
                let problem = Problem::new(code::COLUMN_GENERATED, message);
                self.found.push(Finding::warning(self.place(&name), problem));
            }
        }
        Ok(())
    }

    /// The stream needs no right on a table; whoever copies it reads it like anybody.
    async fn at_copies(
        &mut self,
        connection: &mut Connection,
        tables: &[ServerTable],
        copied: &[&Selection],
    ) -> Result<(), Fault> {
        let user = identifier(&self.system.endpoint.user);
        let mut unreadable: BTreeMap<String, Vec<Unreadable>> = BTreeMap::new();
        for row in connection.query(NOT_READABLE).await? {
            let name = TableName::new(text(&row, 0)?, text(&row, 1)?);
            let is_copied = copied.iter().any(|selection| selection.matches(&self.place(&name)));
            if is_copied && tables.iter().any(|table| table.name == name) {
                let found = Unreadable { lacks_usage: !row.is_true(2), lacks_select: !row.is_true(3), name };
                unreadable.entry(found.name.schema.to_string()).or_default().push(found);
            }
        }
        for (schema, tables) in unreadable {
            let usage = format!("GRANT USAGE ON SCHEMA {} TO {user};", identifier(&schema));
            if tables.len() > TABLES_APART {
                let lacks_usage = tables.iter().any(|table| table.lacks_usage);
                let select = format!("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {user};", identifier(&schema));
                let names: Vec<_> = tables.iter().map(|table| table.name.to_string()).collect();
                let place = format!("{}.{schema}.*", self.system.name);
                let lacking = format!("SELECT on {}", some_of(&names));
                self.unreadable(place, "tables", &lacking, lacks_usage.then_some(usage).into_iter().chain([select]));
                continue;
            }
            for table in tables {
                let select = format!("GRANT SELECT ON TABLE {} TO {user};", qualified(&table.name));
                let lacking =
                    [table.lacks_usage.then_some("USAGE on its schema"), table.lacks_select.then_some("SELECT on it")];
                let lacking = lacking.into_iter().flatten().collect::<Vec<_>>().join(" and ");
                let sql = [table.lacks_usage.then(|| usage.clone()), table.lacks_select.then_some(select)];
                self.unreadable(self.place(&table.name), "the table", &lacking, sql.into_iter().flatten());
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, place: String, what: &str, lacking: &str, sql: impl IntoIterator<Item = String>) {
        let user = &self.system.endpoint.user;
        let message = format!("{user:?} cannot read {what} for the copy that a target needs: it lacks {lacking}");
        let problem = Problem::new(code::PERMISSION_MISSING, message);
        self.found.push(Finding::error(place, problem).mended_by(sql));
    }

    async fn at_publications(&mut self, connection: &mut Connection, seen: &Seen) -> Result<(), Fault> {
        let mut lacking = BTreeSet::new();
        let mut statements = Vec::new();
        for Outlook { statements: sql, owned_by_another, problem } in publication::look(self.system, seen) {
            if let Some(problem) = problem {
                self.error(problem.code, problem.message, sql);
            } else if !sql.is_empty() {
                statements.extend(sql);
                if owned_by_another {
                    lacking.insert("not the owner of the publication".to_owned());
                }
            }
        }
        if statements.is_empty() {
            return Ok(());
        }
        lacking.extend(lacking_rights(connection, &seen.tables).await?);
        if !lacking.is_empty() {
            let lacking: Vec<_> = lacking.into_iter().collect();
            let message = format!(
                "{:?} cannot set the publications: {}; a superuser can, and what it makes is used as it is",
                self.system.endpoint.user,
                lacking.join(", ")
            );
            self.error(code::PERMISSION_MISSING, message, statements);
        }
        Ok(())
    }

    /// The only proof that replication is let in, is to be let in.
    async fn at_replication(&mut self, surroundings: Surroundings<'_>) -> Result<(), Fault> {
        let Err(fault) = Connection::open(&self.system.endpoint, Purpose::Replication).await else { return Ok(()) };
        match &fault {
            Fault::Server(error) if error.sqlstate == "42501" => {
                let sql = format!("ALTER ROLE {} WITH REPLICATION;", identifier(&self.system.endpoint.user));
                self.error(code::PERMISSION_MISSING, error.to_string(), [sql]);
            }
            // The running Tailwater has the walsender that it needs.
            Fault::Server(error) if error.sqlstate == "53300" && surroundings.running => {}
            Fault::Server(error) if error.sqlstate == "53300" => {
                let sql = "ALTER SYSTEM SET max_wal_senders = 20; -- or more; then restart the server";
                self.error(code::SLOTS_EXHAUSTED, error.to_string(), [sql.to_owned()]);
            }
            _ => return Err(fault),
        }
        Ok(())
    }

    fn place(&self, table: &TableName) -> String {
        format!("{}.{table}", self.system.name)
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

const SETTINGS: &str = "SELECT current_setting('server_version_num'), current_setting('wal_level'), \
     pg_catalog.pg_is_in_recovery(), current_setting('max_slot_wal_keep_size')";

const SLOT: &str = "SELECT concat_ws(' ', slot_type, plugin), database = current_database(), wal_status, active, active_pid \
     FROM pg_catalog.pg_replication_slots";

const SLOTS: &str =
    "SELECT current_setting('max_replication_slots'), (SELECT count(*) FROM pg_catalog.pg_replication_slots)";

/// Unlogged tables, and foreign ones.
const NOT_LOGGED: &str = "SELECT n.nspname, c.relname, c.relkind = 'f' FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE (c.relkind = 'f' OR c.relkind IN ('r', 'p') AND c.relpersistence = 'u') \
     AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1, 2";

/// Tables that the user cannot read, with what it has of the two rights.
const NOT_READABLE: &str = "SELECT n.nspname, c.relname, pg_catalog.has_schema_privilege(n.oid, 'USAGE'), \
     pg_catalog.has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') \
     AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) \
     ORDER BY 1, 2";

const GENERATED: &str = "SELECT n.nspname, c.relname, string_agg(a.attname, ', ' ORDER BY a.attnum) \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE a.attgenerated <> '' AND NOT a.attisdropped GROUP BY 1, 2 ORDER BY 1, 2";

/// Which rights to make and set publications the user has not.
async fn lacking_rights(connection: &mut Connection, tables: &[ServerTable]) -> Result<Vec<String>, Fault> {
    let mut lacking = Vec::new();
    let sql = "SELECT current_database(), pg_catalog.has_database_privilege(current_database(), 'CREATE')";
    if let Some(row) = connection.query(sql).await?.first().filter(|row| !row.is_true(1)) {
        lacking.push(format!("no CREATE on database {}", identifier(text(row, 0)?)));
    }
    let sql = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')";
    let mut foreign = Vec::new();
    for row in connection.query(sql).await? {
        let name = TableName::new(text(&row, 0)?, text(&row, 1)?);
        if tables.iter().any(|table| table.name == name) {
            foreign.push(name.to_string());
        }
    }
    if !foreign.is_empty() {
        lacking.push(format!("not the owner of {}", some_of(&foreign)));
    }
    Ok(lacking)
}

/// A few of many names.
fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(TABLES_APART).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(TABLES_APART) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn raise(setting: &str, at_least: u64) -> String {
    format!("ALTER SYSTEM SET {setting} = {}; -- then restart the server", at_least.max(10) * 2)
}

fn problem(fault: &Fault) -> Problem {
    match policy::judge(fault) {
        Verdict::Halt(problem) | Verdict::Retry(problem) | Verdict::RetrySeldom(problem) => problem,
    }
}

fn text(row: &Row, column: usize) -> Result<&str, Fault> {
    row.text(column).ok_or(Fault::Protocol("an answer without a value"))
}
