//! What a QUERY event's statement does to the tables that it names.
//!
//! The rule: a statement that names a table and does not provably keep the table's rows and values has it copied again. A
//! statement, or a clause of ALTER TABLE, that is not known is of that kind, with every name in it: it is never passed over. So
//! this is no SQL parser; it knows the statements that change nothing, and for the others which names mean tables.
//!
//! | module | owns |
//! |---|---|
//! | `status` | the event's status variables: sql_mode and the client's character set |
//! | `session` | what has to be known to read a statement, and the ways in which it can be read |
//! | `reading`, `token`, `cursor` | quotes, comments and characters; tokens; walking over them |
//! | `name`, `mention` | names to tables; all names of a statement |
//! | `head` | the first words: which kind of statement |
//! | `definition`, `create`, `alter`, `clause`, `index` | DDL, statement by statement, clause by clause |
//!
//! Surprises: with row logging DDL still comes as its text. What the log says of the session is not always what the statement
//! was read under, see `session`. Every ALTER may copy the table (`old_alter_table`, `alter_algorithm`), and a copy calculates
//! stored generated columns again, by session variables that are not in the log: [`Effect::Rebuilt`].

mod alter;
mod clause;
mod create;
mod cursor;
mod definition;
mod head;
mod index;
mod mention;
mod name;
mod reading;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod token;

pub use reading::Sequences;
pub use session::{Client, Session, SqlMode};
pub use status::Status;

/// A table as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// `None`: there was no default database, so it may be in any.
    pub schema: Option<String>,
    pub table: String,
}

/// What a statement names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Table(Named),
    /// All tables of it.
    Database(String),
    /// The same where the server wrote a question mark for each character that the client's set does not have: one stands for
    /// itself, or for any one character.
    Like(Named),
    DatabaseLike(String),
    /// A table whose name cannot be read: any one of this database, `None`: any one at all.
    Unreadable {
        schema: Option<String>,
    },
}

/// What a statement does to what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Rows and values are the same. The table's description may be another one.
    Kept,
    /// The same, except that stored generated columns may have been calculated again, by rules of the session that the log
    /// does not have (`div_precision_increment`). A table that has none keeps its rows and values.
    Rebuilt,
    /// An empty table, unless there was one of this name and it stays (IF NOT EXISTS). Rows come as events.
    Created,
    /// The table is empty.
    Truncated,
    /// The name means nothing.
    Dropped,
    /// The name means nothing, or another table, which may have rows.
    Renamed,
    /// The name means another table, an empty one.
    Replaced,
    /// Copy again.
    Rewritten(Rewrite),
}

/// Why a table has to be copied again. Shown in its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Rewrite {
    #[error("a column was added")]
    ColumnAdded,
    #[error("a column was dropped")]
    ColumnDropped,
    #[error("a column was renamed")]
    ColumnRenamed,
    #[error("a column was changed")]
    ColumnChanged,
    #[error("the character set was converted")]
    CharsetConverted,
    #[error("the primary key was added or dropped")]
    KeyChanged,
    #[error("partitions were dropped, exchanged or rearranged")]
    PartitionsChanged,
    #[error("the tablespace was discarded or imported")]
    TablespaceChanged,
    #[error("the storage engine was changed")]
    EngineChanged,
    #[error("system versioning or a period was changed")]
    VersioningChanged,
    #[error("ALTER IGNORE may have removed rows")]
    RowsIgnored,
    #[error("TRUNCATE may have meant a temporary table of that name")]
    Temporary,
    #[error("the table was repaired")]
    Repaired,
    #[error("the table was filled by the statement that made it")]
    Filled,
    #[error("a sequence was altered")]
    SequenceChanged,
    #[error("an option was changed that is not known to keep the rows")]
    OptionChanged,
    #[error("a statement that is not known to keep the rows names the table")]
    Unrecognised,
}

/// Everything that a statement could be meant to name, sorted. Names of columns and functions are among them.
pub type Mentions = Vec<Target>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    Begin,
    Commit,
    /// Of a transaction of which something had to be logged all the same.
    Rollback,
    /// Set or released.
    Savepoint,
    /// To a savepoint; the transaction goes on. Logged where it did not undo all that it should: what tables without
    /// transactions had got since stays, and the rows of the others stand in the log all the same.
    RollbackTo,
    Xa,
    /// Rows were changed by a statement.
    ///
    /// A table that it changes through a view, a trigger, a foreign key or a function is not named in it, so mentions alone do
    /// not prove that a table was not changed. [`Target::Unreadable`] is among them where a statement names no table that it
    /// changes at all (CALL, DO, SELECT).
    Changes(Mentions),
    Definition(Definition),
    /// Each table that is named is copied again.
    Unknown(Mentions),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definition {
    /// Sorted. A target may have more than one. What is not named keeps its rows and values.
    pub effects: Vec<(Target, Effect)>,
    /// Row events follow in the same transaction: MySQL's CREATE TABLE … SELECT.
    pub opens: bool,
}

impl Definition {
    /// The session had temporary tables: a TRUNCATE may have emptied one of these, and not the table of that name.
    pub fn beside_temporary_tables(mut self) -> Self {
        for (_, effect) in &mut self.effects {
            if *effect == Effect::Truncated {
                *effect = Effect::Rewritten(Rewrite::Temporary);
            }
        }
        self
    }
}

impl Statement {
    /// Reads `text` in every way in which the server may have read it, and finds what any of them finds.
    pub fn parse(text: &[u8], session: &Session<'_>) -> Self {
        let readings = session.readings(text);
        let read = readings.into_iter().map(|reading| head::read(text, reading, session));
        read.reduce(Self::or).unwrap_or_else(|| Self::Unknown(vec![Target::Unreadable { schema: None }]))
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Definition(mut one), Self::Definition(other)) => {
                one.effects.extend(other.effects);
                one.effects.sort();
                one.effects.dedup();
                Self::Definition(Definition { effects: one.effects, opens: one.opens || other.opens })
            }
            (Self::Changes(one), Self::Changes(other)) => Self::Changes(union(one, other)),
            (one, other) => Self::Unknown(union(one.targets(), other.targets())),
        }
    }

    /// All that it names.
    fn targets(self) -> Mentions {
        match self {
            Self::Changes(mentions) | Self::Unknown(mentions) => mentions,
            Self::Definition(definition) => definition.effects.into_iter().map(|(target, _)| target).collect(),
            Self::Begin | Self::Commit | Self::Rollback | Self::RollbackTo | Self::Savepoint | Self::Xa => Vec::new(),
        }
    }
}

fn union(mut one: Mentions, other: Mentions) -> Mentions {
    one.extend(other);
    one.sort();
    one.dedup();
    one
}
