//! What the catalogue said of each captured table when it was last looked at, kept in the journal, and what another answer
//! means: a table that was altered, restored or made again, and no statement in the log says so, is copied again.
//!
//! The catalogue is as of now, the stream is behind it. So a look counts only once the stream has come to where the log ended
//! when it was taken: until then the statements that explain it may still come. A copy keeps what it began with, so that what
//! happened before it needs no other. Surprise: every ALTER makes `create_time` another one, logged or not, harmless or not
//! (seen on MySQL 9.7, MariaDB 10.11 and 11.8), but a TRUNCATE and an EXCHANGE PARTITION do not.

use super::fault::Fault;
use super::side::Look;
use super::stream::Stream;
use super::tables::{Kind, ServerTable, row_end};
use crate::journal::CatalogueEntry;
use crate::model::name::TableName;
use crate::model::position::LogPlace;
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

const VERSION: u8 = 1;
const UNLOGGED: &str = "it was altered, restored or made again, and no statement in the log says so";
const UNFIT_BEFORE: &str = "it could not be captured for a while";
const NOT_IN_LOG: &str = "the server was told of transactions that are not in its log (gtid_purged)";
const NOTHING_KEPT: &str = "nothing is known of how it was before";

/// One table. Kept for longer than a release lives: tags are append-only, and a golden test holds the bytes.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub made: String,
    #[prost(string, tag = "2")]
    pub engine: String,
    #[prost(bool, tag = "3")]
    pub versioned: bool,
    /// It could not be captured.
    #[prost(bool, tag = "4")]
    pub unfit: bool,
    /// As [`ServerTable::columns`].
    #[prost(string, repeated, tag = "5")]
    pub columns: Vec<String>,
}

impl Entry {
    pub fn of(table: &ServerTable) -> Self {
        let ServerTable { made, engine, kind, unfit, columns, .. } = table;
        Self {
            made: made.clone(),
            engine: engine.clone(),
            versioned: *kind == Kind::Versioned,
            unfit: unfit.is_some(),
            columns: columns.clone(),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        [&[VERSION], &self.encode_to_vec()[..]].concat()
    }

    /// What no statement changes that keeps rows and values.
    fn has_values_of(&self, other: &Self) -> bool {
        self.versioned == other.versioned && self.columns == other.columns
    }

    /// The column of a versioned table that tells which rows are current, where it is declared.
    fn row_end(&self) -> Option<&str> {
        self.columns.iter().find_map(|column| row_end(column)).map(|(name, _)| name)
    }

    /// `None`: of a version that is not known.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, fields) = bytes.split_first()?;
        (*version == VERSION).then(|| Message::decode(fields).ok())?
    }
}

/// Of the tables that are there when a system is captured for the first time. One that joins later is copied: the rows that it
/// has are not in the log, or not in what is read of it.
pub fn first(look: &Look) -> Vec<CatalogueEntry> {
    let entry = |table: &ServerTable| CatalogueEntry {
        table: table.name.clone(),
        said: Some(Entry::of(table).encode()),
        copy_again: None,
    };
    look.tables.iter().map(entry).collect()
}

/// What a stream knows of the tables beside what is kept.
pub struct Looked {
    look: watch::Receiver<Arc<Look>>,
    /// The newest look was not compared yet.
    is_open: bool,
    /// Tables that a statement in the log named without changing their rows, and when.
    touched: HashMap<TableName, Instant>,
    /// When a copy kept what it began with.
    kept: HashMap<TableName, Instant>,
}

impl Looked {
    pub fn new(look: watch::Receiver<Arc<Look>>) -> Self {
        Self { look, is_open: true, touched: HashMap::new(), kept: HashMap::new() }
    }

    /// Waits for another look. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.look.changed().await.is_err() {
            // The side's task has ended, which the stream hears of from it.
            std::future::pending::<()>().await;
        }
        self.is_open = true;
    }

    pub fn table(&self, name: &TableName) -> Option<ServerTable> {
        self.look.borrow().table(name).cloned()
    }

    pub fn touched(&mut self, table: &TableName) {
        self.touched.insert(table.clone(), Instant::now());
    }

    /// A copy of the table begins.
    pub fn kept(&mut self, table: &TableName) {
        self.kept.insert(table.clone(), Instant::now());
    }

    /// What a difference means; `None`: nothing to journaled rows.
    fn why(&self, name: &TableName, before: Option<&Entry>, now: &Entry) -> Option<&'static str> {
        match before {
            _ if now.unfit => None,
            None => Some(NOTHING_KEPT),
            Some(before) if before.unfit => Some(UNFIT_BEFORE),
            Some(before) if self.touched.contains_key(name) && before.has_values_of(now) => None,
            Some(_) => Some(UNLOGGED),
        }
    }
}

impl Stream<'_> {
    /// Of a table that may be gone: its column that told which rows are current, where that was declared.
    pub(super) fn kept_row_end(&self, table: &TableName) -> Option<String> {
        let kept = self.journal.catalogue(&self.system.name);
        Entry::decode(kept.get(table)?)?.row_end().map(str::to_owned)
    }

    /// Transactions that the server was told it has (`gtid_purged`), and that never were in its log: what they did is unknown, so
    /// every table is copied again. From here on they are passed.
    async fn take_unlogged(&mut self, look: &Look, end: &LogPlace) -> Result<(), Fault> {
        // What was in the log has come by then, though it may be purged since.
        let purged = look.purged.as_ref().filter(|_| end.order() >= look.end.order());
        let Some(purged) = purged.filter(|purged| !self.assembly.executed().covers(purged)) else { return Ok(()) };
        tracing::warn!(system = %self.system.name, %purged, "the server has transactions that are not in its log");
        let tables = self.captured().into_iter().map(|schema| schema.name.clone());
        let tables = tables.filter(|table| !self.asked.contains(table));
        self.copy_again(tables.map(|table| (table, NOT_IN_LOG.to_owned())).collect()).await?;
        self.assembly.pass(purged);
        self.idle_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Compares the newest look with what is kept, once the stream has come to it.
    pub(super) async fn compare_look(&mut self, end: &LogPlace) -> Result<(), Fault> {
        if !self.looked.is_open || self.assembly.in_transaction() {
            return Ok(());
        }
        let look = Arc::clone(&self.looked.look.borrow());
        if !self.assembly.executed().covers(&look.executed) && end.order() < look.end.order() {
            return Ok(());
        }
        self.looked.is_open = false;
        self.take_unlogged(&look, end).await?;
        let kept = self.journal.catalogue(&self.system.name);
        let mut entries = Vec::new();
        for table in &look.tables {
            let (name, now) = (&table.name, Entry::of(table));
            let before = kept.get(name).and_then(|said| Entry::decode(said));
            let is_old = self.looked.kept.get(name).is_some_and(|kept| *kept >= look.at);
            // The copy that is asked for keeps what it begins with.
            if before.as_ref() == Some(&now) || is_old || self.asked.contains(name) {
                continue;
            }
            let why = self.looked.why(name, before.as_ref(), &now);
            if let Some(why) = why {
                tracing::warn!(system = %self.system.name, table = %name, why, "the table is copied again");
                self.reporter.copies_again("catalogue");
                self.asked.insert(name.clone());
            }
            let (said, copy_again) = (Some(now.encode()), why.map(str::to_owned));
            entries.push(CatalogueEntry { table: name.clone(), said, copy_again });
        }
        self.looked.touched.retain(|_, at| *at >= look.at);
        Ok(self.journal.keep_catalogue(&self.system.name, entries).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_it_always_was() {
        let entry = Entry {
            made: "2026".into(),
            engine: "INNODB".into(),
            versioned: true,
            unfit: true,
            columns: vec!["id|int".into()],
        };
        assert_eq!(entry.encode(), b"\x01\x0a\x042026\x12\x06INNODB\x18\x01\x20\x01\x2a\x06id|int");
        assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        assert_eq!((Entry::decode(b"\x02"), Entry::decode(b"")), (None, None));
    }
}
