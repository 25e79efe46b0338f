//! Whether a table can be captured: whether all that changes in it has an event of its own, and a copy of it has a place.
//!
//! Surprises: what a MERGE table is made of is written under the MERGE table's name, too. Engines without transactions have no
//! snapshots, so a copy locks the table while it reads; without a key it could still double a row of a transaction under way.

use super::{Kind, ServerTable, period, questions};
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::source::mysql::connection::Connection;
use crate::source::mysql::copy::qualified;
use crate::source::mysql::fault::Fault;
use std::collections::{HashMap, HashSet};

/// Whether a table of the engine (in capitals) looks to a reader as it did when the reader began.
pub fn has_snapshots(engine: &str) -> bool {
    ["INNODB", "ROCKSDB"].contains(&engine)
}

/// Rows are its own, and changes of them are logged; but a reader sees them as they are.
fn is_without_snapshots(engine: &str) -> bool {
    ["MYISAM", "ARIA", "MEMORY", "CSV", "ARCHIVE"].contains(&engine)
}

/// What has to be known beside the list of tables to judge them.
#[derive(Default)]
pub struct Surroundings {
    /// The server does not log what foreign keys change.
    cascades_unlogged: bool,
    /// Parts of MERGE tables, with the MERGE table's name.
    merged: HashMap<TableName, TableName>,
    /// The definition of a MERGE table could not be read, so any table can be a part of it.
    merged_unknown: Option<TableName>,
}

/// What was read of tables' definitions, as long as they were not made or altered again.
#[derive(Default)]
pub struct Definitions(HashMap<TableName, Definition>);

struct Definition {
    /// As of which it was read.
    made: String,
    /// Read in a later second than that: whatever alters the table afterwards is told by another time.
    settled: bool,
    columns: Vec<String>,
    cascade: Option<Cascade>,
}

/// A foreign key that changes the table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cascade {
    Of(String),
    /// The server does not say.
    Unknown(String),
}

impl Definitions {
    /// Reads those of these tables that may be other ones than what is known, and forgets those of others.
    async fn read(
        &mut self,
        connection: &mut Connection,
        tables: &[ServerTable],
        cascades_unlogged: bool,
    ) -> Result<(), Fault> {
        let mut known = std::mem::take(&mut self.0);
        let mut unknown = Vec::new();
        for table in tables {
            match known.remove(&table.name).filter(|known| known.settled && known.made == table.made) {
                Some(known) => drop(self.0.insert(table.name.clone(), known)),
                None => unknown.push(table),
            }
        }
        let mut columns = HashMap::new();
        for condition in questions::conditions(unknown.iter().map(|table| &table.name)) {
            read_columns(connection, &condition, &mut columns).await?;
        }
        for table in unknown {
            let Columns { read_at, columns } = columns.remove(&table.name).unwrap_or_default();
            let settled = !table.made.is_empty() && table.made < read_at;
            let looks_for_cascade = cascades_unlogged && has_snapshots(&table.engine);
            let cascade = if looks_for_cascade { shown_cascade(connection, &table.name).await? } else { None };
            self.0.insert(table.name.clone(), Definition { made: table.made.clone(), settled, columns, cascade });
        }
        Ok(())
    }
}

#[derive(Default)]
struct Columns {
    /// As the server's text.
    read_at: String,
    columns: Vec<String>,
}

/// Everything that says what each column's values are. A key that is not the primary one says nothing of them.
async fn read_columns(
    connection: &mut Connection,
    condition: &str,
    read: &mut HashMap<TableName, Columns>,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT NOW(), CONCAT_WS('|', column_name, column_type, COALESCE(collation_name, ''), is_nullable, IF(column_key = 'PRI', 'PRI', ''), \
         extra, COALESCE(generation_expression, '')), table_schema, table_name FROM information_schema.columns \
         WHERE {condition} ORDER BY table_schema, table_name, ordinal_position"
    );
    for row in connection.rows(&sql).await? {
        let of_table = read.entry(TableName::new(row.some(2)?, row.some(3)?)).or_default();
        row.some(0)?.clone_into(&mut of_table.read_at);
        of_table.columns.push(row.some(1)?.to_owned());
    }
    Ok(())
}

/// By SHOW CREATE TABLE: MariaDB hides foreign keys in its catalogue from those who may only read the table.
async fn shown_cascade(connection: &mut Connection, table: &TableName) -> Result<Option<Cascade>, Fault> {
    match connection.rows(&format!("SHOW CREATE TABLE {}", qualified(table))).await {
        Ok(rows) => Ok(match rows.first().and_then(|row| row.text(1)) {
            Some(made) => cascade(made),
            None => Some(Cascade::Unknown("an empty answer".to_owned())),
        }),
        Err(fault @ Fault::Server { .. }) => Ok(Some(Cascade::Unknown(fault.to_string()))),
        Err(fault) => Err(fault),
    }
}

impl Surroundings {
    /// `tables`: all of the server, or those that matter.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn read(connection: &mut Connection, tables: &[ServerTable]) -> Result<Self, Fault> {
        // From 9.6 on MySQL runs cascades as statements of its own, unless this says otherwise; before, there is no such variable.
        let native = connection.rows("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'").await?;
        let cascades_unlogged = match native.first() {
            Some(row) => row.some(1)? != "OFF",
            None => true,
        };
        let mut found = Self { cascades_unlogged, ..Self::default() };
        for merge in tables.iter().filter(|table| table.engine == "MRG_MYISAM") {
            found.take_parts(connection, &merge.name).await?;
        }
        Ok(found)
    }

    async fn take_parts(&mut self, connection: &mut Connection, merge: &TableName) -> Result<(), Fault> {
        let made = connection.rows(&format!("SHOW CREATE TABLE {}", qualified(merge))).await;
        let parts = match &made {
            // A part may be gone, or of another shape.
            Err(Fault::Server { .. }) => None,
            Err(_) => return made.map(drop),
            Ok(rows) => rows.first().and_then(|row| row.text(1)).and_then(|made| parts(made, merge)),
        };
        match parts {
            Some(parts) => self.merged.extend(parts.into_iter().map(|part| (part, merge.clone()))),
            None => self.merged_unknown = Some(merge.clone()),
        }
        Ok(())
    }

    /// Fills in what the tables' definitions say.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn judge(
        &self,
        connection: &mut Connection,
        definitions: &mut Definitions,
        tables: &mut [ServerTable],
    ) -> Result<(), Fault> {
        definitions.read(connection, tables, self.cascades_unlogged).await?;
        for table in tables {
            table.unfit = self.unfit(table);
            let Some(Definition { columns, cascade, .. }) = definitions.0.get(&table.name) else { continue };
            table.columns.clone_from(columns);
            table.unfit = table.unfit.take().or_else(|| period::unfit(&table.name, columns));
            if let (None, Some(cascade)) = (&table.unfit, cascade) {
                table.unfit = Some(Problem::new(code::CASCADE_UNLOGGED, cascade.of(&table.name)));
            }
        }
        Ok(())
    }

    fn unfit(&self, table: &ServerTable) -> Option<Problem> {
        let ServerTable { name, engine, .. } = table;
        let to_innodb = format!("ALTER TABLE {} ENGINE = InnoDB;", qualified(name));
        let problem = |code, message: String| Some(Problem::new(code, message));
        if table.kind == Kind::Sequence {
            return problem(code::ENGINE_UNFIT, format!("{name} is a sequence, and no table"));
        }
        if has_snapshots(engine) {
            return None;
        }
        if !is_without_snapshots(engine) {
            let engine = if engine.is_empty() { "unknown" } else { engine };
            let message =
                format!("{name}: what changes in a table of engine {engine} is not all in the log; {to_innodb}");
            return problem(code::ENGINE_UNFIT, message);
        }
        if let Some(merge) = self.merged.get(name).or(self.merged_unknown.as_ref().filter(|_| engine == "MYISAM")) {
            let message = format!(
                "{name} is, or may be, a part of the MERGE table {merge}, whose changes are logged under its own name"
            );
            return problem(code::ENGINE_UNFIT, message);
        }
        if !table.has_key {
            let message = format!(
                "{name}: a copy of a table of engine {engine} without primary key can double rows; {to_innodb}"
            );
            return problem(code::ENGINE_UNFIT, message);
        }
        None
    }
}

impl Cascade {
    fn of(&self, table: &TableName) -> String {
        match self {
            Self::Of(key) => format!("{table}: foreign key {key} changes its rows, and the server does not log that"),
            Self::Unknown(why) => format!("{table}: whether a foreign key changes its rows is not known: {why}"),
        }
    }
}

/// The first foreign key of a definition, as the server prints it, that does something to the rows of the table.
fn cascade(made: &str) -> Option<Cascade> {
    made.lines().find_map(|line| {
        let (name, key) = quoted(line.trim_start().strip_prefix("CONSTRAINT ")?)?;
        let (_, rules) = key.strip_prefix(" FOREIGN KEY ")?.rsplit_once(')')?;
        let changes = ["CASCADE", "SET NULL", "SET DEFAULT"].iter().any(|rule| rules.contains(rule));
        changes.then_some(Cascade::Of(name))
    })
}

/// The tables behind UNION, which is the last option that SHOW CREATE TABLE prints with parentheses. `None`: not read.
fn parts(made: &str, merge: &TableName) -> Option<HashSet<TableName>> {
    let Some((_, union)) = made.rsplit_once(" UNION=(") else { return Some(HashSet::new()) };
    let mut names = Vec::new();
    let mut rest = union;
    loop {
        let (schema_or_table, behind) = quoted(rest)?;
        rest = behind;
        let name = match rest.strip_prefix('.') {
            Some(table) => {
                let (table, behind) = quoted(table)?;
                rest = behind;
                TableName::new(&schema_or_table, &table)
            }
            None => TableName::new(&merge.schema, &schema_or_table),
        };
        names.push(name);
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return rest.starts_with(')').then(|| names.into_iter().collect()),
        }
    }
}

/// A name in backticks, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('`')?;
        name.push_str(part);
        match behind.strip_prefix('`') {
            Some(behind) => {
                name.push('`');
                rest = behind;
            }
            None => return Some((name, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_key_that_changes_rows_is_found_in_a_definition() {
        let made = |rules: &str| {
            format!(
                "CREATE TABLE `c` (\n  `id` int COMMENT 'ON DELETE CASCADE',\n  CONSTRAINT `k``x` FOREIGN KEY (`p`) REFERENCES \
                 `o`.`cascade` (`id`){rules},\n  CONSTRAINT `d` CHECK (`id` <> ' SET NULL')\n) ENGINE=InnoDB"
            )
        };
        for rules in ["", " ON DELETE NO ACTION", " ON DELETE RESTRICT ON UPDATE NO ACTION"] {
            assert_eq!(cascade(&made(rules)), None, "{rules}");
        }
        for rules in [
            " ON DELETE CASCADE",
            " ON DELETE SET NULL ON UPDATE NO ACTION",
            " ON UPDATE CASCADE",
            " ON DELETE SET DEFAULT",
        ] {
            assert_eq!(cascade(&made(rules)), Some(Cascade::Of("k`x".to_owned())), "{rules}");
        }
    }

    #[test]
    fn the_parts_of_a_merge_table_are_read_or_said_to_be_unknown() {
        let merge = TableName::new("crm", "m");
        let read = |made: &str| {
            let mut parts: Vec<_> = parts(made, &merge)?.into_iter().map(|name| name.to_string()).collect();
            parts.sort();
            Some(parts)
        };
        let made = "CREATE TABLE `m` (\n `id` int) ENGINE=MRG_MyISAM INSERT_METHOD=LAST UNION=(`a`,`o`.`b``c`)";
        assert_eq!(read(made), Some(vec!["crm.a".to_owned(), "o.b`c".to_owned()]));
        assert_eq!(read("CREATE TABLE `m` (`id` int) ENGINE=MRG_MyISAM"), Some(vec![]));
        assert_eq!(read("… UNION=(a)"), None);
    }
}
