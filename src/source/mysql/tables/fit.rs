//! Whether a table can be captured: whether all that changes in it has an event of its own, and a copy of it has a place.
//!
//! Surprises: what a MERGE table is made of is written under the MERGE table's name, too. Engines without transactions have no
//! snapshots, so a copy locks the table while it reads; without a key it could still double a row of a transaction under way.

use super::{Kind, ServerTable};
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::source::mysql::connection::{Connection, literal};
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

#[derive(Clone)]
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
    async fn of(
        &mut self,
        connection: &mut Connection,
        table: &ServerTable,
        cascades_unlogged: bool,
    ) -> Result<Definition, Fault> {
        if let Some(known) = self.0.get(&table.name)
            && known.made == table.made
            && known.settled
        {
            return Ok(known.clone());
        }
        let (now, columns) = columns(connection, &table.name).await?;
        let settled = !table.made.is_empty() && table.made < now;
        let cascade = if cascades_unlogged { shown_cascade(connection, &table.name).await? } else { None };
        let definition = Definition { made: table.made.clone(), settled, columns, cascade };
        self.0.insert(table.name.clone(), definition.clone());
        Ok(definition)
    }
}

/// When they were read, as the server's text, and everything that says what each column's values are. A key that is not the
/// primary one says nothing of them.
async fn columns(connection: &mut Connection, table: &TableName) -> Result<(String, Vec<String>), Fault> {
    let sql = format!(
        "SELECT NOW(), CONCAT_WS('|', column_name, column_type, COALESCE(collation_name, ''), is_nullable, IF(column_key = 'PRI', 'PRI', ''), \
         extra, COALESCE(generation_expression, '')) FROM information_schema.columns \
         WHERE table_schema = {} AND table_name = {} ORDER BY ordinal_position",
        literal(&table.schema),
        literal(&table.table)
    );
    let (mut now, mut columns) = (String::new(), Vec::new());
    for row in connection.rows(&sql).await? {
        row.some(0)?.clone_into(&mut now);
        columns.push(row.some(1)?.to_owned());
    }
    Ok((now, columns))
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

    /// # Errors
    /// Those of the connection.
    pub async fn judge(
        &self,
        connection: &mut Connection,
        definitions: &mut Definitions,
        table: ServerTable,
    ) -> Result<ServerTable, Fault> {
        let mut unfit = self.unfit(&table);
        let looks_for_cascades = self.cascades_unlogged && has_snapshots(&table.engine);
        let Definition { columns, cascade, .. } = definitions.of(connection, &table, looks_for_cascades).await?;
        if let (None, Some(cascade)) = (&unfit, cascade) {
            unfit = Some(Problem::new(code::CASCADE_UNLOGGED, cascade.of(&table.name)));
        }
        Ok(ServerTable { columns, unfit, ..table })
    }

    fn unfit(&self, table: &ServerTable) -> Option<Problem> {
        let ServerTable { name, engine, .. } = table;
        let to_innodb = format!("ALTER TABLE {} ENGINE = InnoDB;", qualified(name));
        let problem = |code, message: String| Some(Problem::new(code, message));
        if table.kind == Kind::Versioned {
            let message =
                format!("{name} keeps old versions of its rows, which the log does not tell from current ones");
            return problem(code::TABLE_VERSIONED, message);
        }
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
