//! Every name in a statement, for one whose grammar is not known: each may be a table's.

use super::cursor::Cursor;
use super::name::{self, Name, RawTable};
use super::session::{Client, Session};
use super::token::Token;
use super::{Mentions, Target};
use std::collections::BTreeSet;

/// A statement with more names than this names everything.
const NAMES_MAX: usize = 10_000;

/// A name alone is a table of the default database, a pair a table with its database. The second of a pair is not taken alone,
/// and of three in a row (a column with its table) each pair is taken.
pub fn all(mut cursor: Cursor<'_>, session: &Session<'_>) -> Mentions {
    let (mut names, mut mentions) = (BTreeSet::new(), BTreeSet::new());
    let (mut previous, mut behind_dot) = (None, false);
    while let Some(token) = cursor.next() {
        match (Name::of(token), previous) {
            (Some(table), Some(schema)) if behind_dot => {
                names.insert(RawTable { schema: Some(schema), table });
            }
            (Some(table), _) => {
                names.insert(RawTable { schema: None, table });
            }
            (None, _) => {}
        }
        if Name::of(token).is_some_and(|word| word.is("DATABASE") || word.is("SCHEMA")) {
            mentions.extend(database(cursor, session));
        }
        match (Name::of(token), token) {
            (Some(name), _) => (previous, behind_dot) = (Some(name), false),
            (None, Token::Sign(b'.')) => behind_dot = true,
            (None, _) => (previous, behind_dot) = (None, false),
        }
        if names.len() > NAMES_MAX {
            return vec![Target::Unreadable { schema: None }];
        }
    }
    mentions.extend(names.iter().flat_map(|name| name.targets(session)));
    // Names may be hidden behind an open quote, or in signs that are letters.
    if cursor.is_broken() || session.client == Client::Unknown {
        mentions.insert(Target::Unreadable { schema: None });
    }
    mentions.into_iter().collect()
}

/// What is behind DATABASE may be all of a database's tables.
fn database(mut cursor: Cursor<'_>, session: &Session<'_>) -> Mentions {
    cursor.pass_any(&["IF EXISTS", "IF NOT EXISTS"]);
    cursor.name().map(|name| name::databases(name, session)).unwrap_or_default()
}

/// The same, of a statement that may change tables that it does not name.
pub fn all_and_more(cursor: Cursor<'_>, session: &Session<'_>) -> Mentions {
    let mut mentions = all(cursor, session);
    mentions.push(Target::Unreadable { schema: None });
    mentions.sort();
    mentions.dedup();
    mentions
}
