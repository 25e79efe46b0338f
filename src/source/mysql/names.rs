//! How a server compares the names of databases and tables. Statements hold them as they were typed.
//!
//! Surprise: with `lower_case_table_names` the server folds character by character, each into one: a sigma at a word's end is
//! one like any other, and `İ` becomes `i`. What it takes for the same is so here, too; the reverse need not hold.

use super::connection::Connection;
use super::fault::Fault;
use crate::decode::mysql::statement::{Named, Target};
use crate::model::name::TableName;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameCase {
    Exact,
    /// `lower_case_table_names` is not 0.
    Folded,
}

impl NameCase {
    /// # Errors
    /// Those of the connection.
    pub async fn of(connection: &mut Connection) -> Result<Self, Fault> {
        let row = connection.row("SELECT @@global.lower_case_table_names").await?;
        Ok(if row.some(0)? == "0" { Self::Exact } else { Self::Folded })
    }

    pub fn same(self, one: &TableName, other: &TableName) -> bool {
        self.same_part(&one.schema, &other.schema) && self.same_part(&one.table, &other.table)
    }

    pub fn same_part(self, one: &str, other: &str) -> bool {
        one == other || self == Self::Folded && one.chars().map(fold).eq(other.chars().map(fold))
    }

    /// Whether the target may mean the table.
    pub fn may_mean(self, target: &Target, table: &TableName) -> bool {
        let in_database =
            |schema: &Option<String>| schema.as_ref().is_none_or(|schema| self.same_part(schema, &table.schema));
        match target {
            Target::Table(Named { schema, table: name }) => in_database(schema) && self.same_part(name, &table.table),
            Target::Database(database) => self.same_part(database, &table.schema),
            Target::Like(Named { schema, table: name }) => {
                let in_database = schema.as_ref().is_none_or(|schema| self.is_like(schema, &table.schema));
                in_database && self.is_like(name, &table.table)
            }
            Target::DatabaseLike(database) => self.is_like(database, &table.schema),
            Target::Unreadable { schema } => in_database(schema),
        }
    }

    /// A question mark stands for any one character.
    fn is_like(self, holed: &str, name: &str) -> bool {
        let is_same = |(holed, character): (char, char)| {
            holed == '?' || holed == character || self == Self::Folded && fold(holed) == fold(character)
        };
        holed.chars().count() == name.chars().count() && holed.chars().zip(name.chars()).all(is_same)
    }
}

fn fold(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_character_by_character() {
        let folded = NameCase::Folded;
        assert!(folded.same_part("ΛΌΓΟΣ", "λόγοσ"), "a sigma at the end is a sigma");
        assert!(folded.same_part("İX", "ix") && folded.same_part("Orders", "oRDERS"));
        assert!(!folded.same_part("λόγος", "λόγοσ"), "the server has two tables");
        assert!(!NameCase::Exact.same_part("T", "t"));
    }

    #[test]
    fn a_question_mark_stands_for_one_character() {
        let like = |schema: &str, table: &str| Target::Like(Named { schema: Some(schema.into()), table: table.into() });
        let table = TableName::new("crm", "ящик");
        for case in [NameCase::Exact, NameCase::Folded] {
            assert!(case.may_mean(&like("crm", "????"), &table) && case.may_mean(&like("?rm", "ящ?к"), &table));
            assert!(!case.may_mean(&like("crm", "???"), &table) && !case.may_mean(&like("other", "????"), &table));
            assert!(case.may_mean(&Target::DatabaseLike("cr?".into()), &table));
        }
        let upper = like("crm", "Т?");
        assert!(NameCase::Folded.may_mean(&upper, &TableName::new("crm", "та")));
        assert!(!NameCase::Exact.may_mean(&upper, &TableName::new("crm", "та")));
    }
}
