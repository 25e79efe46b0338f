//! Few questions about many tables: ten thousand one by one are as many round trips, and all of a database are too much for one.

use crate::model::name::TableName;
use crate::source::mysql::connection::literal;
use std::collections::{BTreeMap, HashSet};

/// So many of one database are asked for one by one.
const ONE_BY_ONE_MAX: usize = 8;

/// Conditions on `table_schema` and `table_name` that together hold for these tables, and perhaps for others of their databases.
pub fn conditions<'a>(tables: impl IntoIterator<Item = &'a TableName>) -> Vec<String> {
    let mut by_database: BTreeMap<&str, HashSet<&TableName>> = BTreeMap::new();
    for table in tables {
        by_database.entry(&table.schema).or_default().insert(table);
    }
    let mut conditions = Vec::new();
    for (database, tables) in by_database {
        if tables.len() > ONE_BY_ONE_MAX {
            conditions.push(format!("table_schema = {}", literal(database)));
        } else {
            conditions.extend(tables.into_iter().map(of_table));
        }
    }
    conditions
}

pub fn of_table(table: &TableName) -> String {
    format!("table_schema = {} AND table_name = {}", literal(&table.schema), literal(&table.table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_tables_of_a_database_are_one_question() {
        let many: Vec<_> = (0..1000).map(|n| TableName::new("crm", &format!("t{n}"))).collect();
        let few = [TableName::new("erp", "a'b")];
        let conditions = conditions(many.iter().chain(&few));
        assert_eq!(conditions, ["table_schema = 'crm'", "table_schema = 'erp' AND table_name = 'a''b'"]);
    }
}
