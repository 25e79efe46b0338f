//! A look before the start: everything at a target that would make the run fail or lie, all at once. Only reads.

use super::failure::{self, Verdict};
use super::names::Names;
use super::table::Source;
use crate::config::{Access, PostgresEndpoint, System, Target};
use crate::model::code::{self, Code};
use crate::model::finding::Finding;
use crate::model::name::{SystemName, TableName};
use crate::model::problem::Problem;
use crate::source::postgres::{Connection, Fault, Purpose, identifier, literal};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const VERSION_MIN: u32 = 140_000;

/// Everything found, most of it with SQL; empty when all is well. `captured`: the tables that the systems have.
pub async fn preflight(
    target: &Target,
    access: &Access,
    systems: &Arc<BTreeMap<SystemName, System>>,
    captured: &[(SystemName, TableName)],
) -> Vec<Finding> {
    let names = Names::of(target, access, systems);
    let mut look = Look { target, names, found: Vec::new() };
    let tables = look.at_names(captured);
    look.at_loops(systems, &tables);
    if let Err(fault) = look.at_server(&tables).await {
        let (Verdict::Halt(problem) | Verdict::Retry(problem) | Verdict::RetrySeldom(problem)) = failure::judge(&fault);
        look.error(problem.code, problem.message, []);
    }
    look.found
}

struct Look<'a> {
    target: &'a Target,
    names: Names,
    found: Vec<Finding>,
}

impl Look<'_> {
    /// The target's tables under their names there.
    fn at_names(&mut self, captured: &[(SystemName, TableName)]) -> HashMap<TableName, Source> {
        let mut tables: HashMap<TableName, Source> = HashMap::new();
        let sources = captured.iter().map(|(system, name)| Source { system: system.clone(), name: name.clone() });
        for source in sources.chain(self.names.entities()).collect::<Vec<_>>() {
            if !self.names.select(&source) {
                continue;
            }
            match self.names.name(&source) {
                Err(problem) => self.table_error(&source, problem.code, problem.message, []),
                Ok(name) => match tables.get(&name) {
                    Some(other) => {
                        let message = format!("{}.{} would be that of {other} too", name.schema, name.table);
                        self.table_error(&source, code::TARGET_NAME_TAKEN, message, []);
                    }
                    None => drop(tables.insert(name, source)),
                },
            }
        }
        if tables.is_empty() && !captured.is_empty() {
            let message = "no captured table is selected and allowed: nothing would be written";
            let finding = Finding::warning(self.place(), Problem::new(code::NOTHING_MATCHES, message));
            self.found.push(finding);
        }
        tables
    }

    fn at_loops(&mut self, systems: &BTreeMap<SystemName, System>, tables: &HashMap<TableName, Source>) {
        for system in systems.values() {
            let System::Postgres(system) = system else { continue };
            if !is_same_database(&system.endpoint, &self.target.endpoint) {
                continue;
            }
            if let Some(name) = tables.keys().find(|name| system.tables.matches(&name.to_string())) {
                let message = format!("{name} is written here and selected by systems.{}", system.name);
                self.error(code::TARGET_CAPTURED, message, []);
            }
        }
    }

    async fn at_server(&mut self, tables: &HashMap<TableName, Source>) -> Result<(), Fault> {
        let mut connection = Connection::open(&self.target.endpoint, Purpose::Queries).await?;
        let rows = connection.query(SERVER).await?;
        let row = rows.first().ok_or(Fault::Protocol("an empty answer"))?;
        let (version, encoding, database): (u32, String, String) = (row.some(0)?, row.some(1)?, row.some(5)?);
        if version < VERSION_MIN {
            self.error(code::TARGET_UNFIT, format!("server_version_num is {version}"), []);
        }
        if encoding != "UTF8" {
            let sql = format!(
                "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0;",
                identifier(&format!("{database}_utf8"))
            );
            self.error(code::TARGET_UNFIT, format!("server_encoding is {encoding}"), [sql]);
        }
        if row.is_true(2) {
            self.error(code::TARGET_UNFIT, "the server is a standby in recovery", []);
        }
        if row.is_true(3) {
            let sql = format!(
                "ALTER ROLE {} SET default_transaction_read_only = off;",
                identifier(&self.target.endpoint.user)
            );
            self.error(code::TARGET_UNFIT, "default_transaction_read_only is on", [sql]);
        }
        if !row.is_true(4) {
            let (database, user) = (identifier(&database), identifier(&self.target.endpoint.user));
            let sql = format!("GRANT CREATE ON DATABASE {database} TO {user};");
            self.error(code::TARGET_PERMISSION_MISSING, "no CREATE on the database", [sql]);
        }
        self.at_tables(&mut connection, tables).await
    }

    /// Names that are taken by what is not ours, and tables of ours that were given to somebody else.
    async fn at_tables(
        &mut self,
        connection: &mut Connection,
        tables: &HashMap<TableName, Source>,
    ) -> Result<(), Fault> {
        let kept = connection.query("SELECT 1 WHERE to_regclass('_tailwater.tables') IS NOT NULL").await?;
        for (name, source) in tables {
            let (schema, table) = (literal(&name.schema), literal(&name.table));
            let sql = format!(
                "SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname = {table}"
            );
            let there = connection.query(&sql).await?;
            let Some(relation) = there.first() else { continue };
            let sql = format!(
                "SELECT 1 FROM _tailwater.tables WHERE target_schema = {schema} AND target_table = {table} \
                 AND target = {} AND system = {} AND source_schema = {} AND source_table = {} AND shape IS NOT NULL",
                literal(self.target.name.as_str()),
                literal(source.system.as_str()),
                literal(&source.name.schema),
                literal(&source.name.table)
            );
            let ours = !kept.is_empty() && !connection.query(&sql).await?.is_empty();
            if !ours {
                let message = format!("{name} is there already, and Tailwater did not make it");
                self.table_error(source, code::TARGET_TABLE_FOREIGN, message, []);
            } else if !relation.is_true(0) {
                let user = identifier(&self.target.endpoint.user);
                let sql = format!("ALTER TABLE {} OWNER TO {user};", super::sql::qualified(name));
                self.table_error(source, code::TARGET_PERMISSION_MISSING, format!("not the owner of {name}"), [sql]);
            }
        }
        Ok(())
    }

    fn place(&self) -> String {
        self.target.name.to_string()
    }

    fn error(&mut self, code: Code, message: impl Into<String>, sql: impl IntoIterator<Item = String>) {
        let finding = Finding::error(self.place(), Problem::new(code, message));
        self.found.push(finding.mended_by(sql));
    }

    fn table_error(
        &mut self,
        source: &Source,
        code: Code,
        message: impl Into<String>,
        sql: impl IntoIterator<Item = String>,
    ) {
        let place = format!("{}/{source}", self.target.name);
        self.found.push(Finding::error(place, Problem::new(code, message)).mended_by(sql));
    }
}

const SERVER: &str = "SELECT current_setting('server_version_num'), current_setting('server_encoding'), \
     pg_catalog.pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool, \
     pg_catalog.has_database_privilege(current_database(), 'CREATE'), current_database()";

fn is_same_database(one: &PostgresEndpoint, other: &PostgresEndpoint) -> bool {
    (&one.host, one.port, &one.database) == (&other.host, other.port, &other.database)
}
