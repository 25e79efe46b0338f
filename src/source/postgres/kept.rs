//! What the journal keeps of the catalogue of one system, decoded once, and what a look makes of it.
//!
//! An entry and the copy that its difference makes necessary become durable together. Surprise: a name that no table has any
//! more keeps its entry, marked: whoever gets the name back was written meanwhile where nobody looked.

use super::catalogue::difference::{self, Kind, Suspicion};
use super::catalogue::{Entry, ServerTable};
use super::fault::Fault;
use super::publication;
use crate::journal::{CatalogueEntry, CopyState, Journal};
use crate::model::name::{SystemName, TableName};
use crate::source::status::Reporter;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Kept {
    system: SystemName,
    journal: Journal,
    reporter: Reporter,
    entries: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    by_name: HashMap<TableName, Arc<Entry>>,
    /// Of several names that a table has had, the one that was looked at last.
    names: HashMap<u32, TableName>,
}

impl Entries {
    fn put(&mut self, name: &TableName, entry: Entry) {
        if !entry.away {
            self.names.insert(entry.relation, name.clone());
        }
        self.by_name.insert(name.clone(), Arc::new(entry));
    }
}

impl Kept {
    pub fn load(system: &SystemName, journal: &Journal, reporter: &Reporter) -> Self {
        let mut entries = Entries::default();
        for (name, said) in journal.catalogue(system) {
            if let Some(entry) = Entry::decode(&said) {
                entries.put(&name, entry);
            }
        }
        let entries = Arc::new(Mutex::new(entries));
        Self { system: system.clone(), journal: journal.clone(), reporter: reporter.clone(), entries }
    }

    pub fn get(&self, table: &TableName) -> Option<Arc<Entry>> {
        self.lock().by_name.get(table).cloned()
    }

    /// The table with this oid, by its present name.
    pub fn of_relation(&self, relation: u32) -> Option<(TableName, Arc<Entry>)> {
        let entries = self.lock();
        let name = entries.names.get(&relation)?;
        Some((name.clone(), Arc::clone(entries.by_name.get(name)?)))
    }

    /// Keeps what is another than before. A table that is not in a publication is kept as it was when it last was in one.
    /// `resumes`: something was captured before, so a table that nothing is known of joins now. The rows that it has are in no
    /// stream.
    ///
    /// # Errors
    /// [`Fault::Journal`].
    pub async fn keep(&self, tables: &[ServerTable], resumes: bool) -> Result<(), Fault> {
        let known = self.known();
        let mut changes = Vec::new();
        for table in tables.iter().filter(|table| publication::carries(table)) {
            let before = self.get(&table.name);
            let mut now = table.entry.clone();
            // What has grown since the last copy is not forgotten before the next one.
            now.untold = before.as_ref().map_or(now.untold, |before| before.untold.min(now.untold));
            if let Some(suspicion) = compare(before.as_deref(), &now, known.contains(&table.name), resumes) {
                changes.push((table.name.clone(), now, suspicion));
            }
        }
        self.put(changes).await
    }

    /// A copy of the table begins, behind everything that is counted by now. Where that has grown, it is a copy for everybody
    /// who has the table, whoever asked for it.
    ///
    /// # Errors
    /// [`Fault::Journal`].
    pub async fn copy_begins(&self, table: &ServerTable) -> Result<(), Fault> {
        let has_grown = |before: &Arc<Entry>| before.untold < table.entry.untold;
        let Some(before) = self.get(&table.name).filter(has_grown) else { return Ok(()) };
        let why = "its rows were updated or deleted, which the stream does not tell of".to_owned();
        let suspicion = Suspicion { kind: Kind::Identity, why };
        let entry = Entry { untold: table.entry.untold, ..(*before).clone() };
        self.put(vec![(table.name.clone(), entry, Some(suspicion))]).await
    }

    /// How many updates and deletes of a table that was copied the stream has not told of.
    pub fn untold(&self, table: &ServerTable) -> u64 {
        let copy = self.journal.copy_of(&self.system, &table.name);
        let is_copied = copy.is_some_and(|copy| copy.state != CopyState::Wanted);
        let before = self.get(&table.name).map_or(table.entry.untold, |before| before.untold);
        if is_copied { table.entry.untold.saturating_sub(before) } else { 0 }
    }

    /// Marks those whose names no table has, or another one: nothing that is written to them now is looked for under the name.
    ///
    /// # Errors
    /// [`Fault::Journal`].
    pub async fn mark_missing(&self, tables: &[ServerTable]) -> Result<(), Fault> {
        let there: HashSet<_> = tables.iter().map(|table| (&table.name, table.relation())).collect();
        let away = |(name, entry): (&TableName, &Arc<Entry>)| {
            let is_away = !entry.away && !there.contains(&(name, entry.relation));
            is_away.then(|| (name.clone(), Entry { away: true, ..(**entry).clone() }, None))
        };
        let away: Vec<_> = self.lock().by_name.iter().filter_map(away).collect();
        self.put(away).await
    }

    /// Of tables that the journal has rows of: they are copied again.
    ///
    /// # Errors
    /// [`Fault::Journal`].
    pub async fn suspect(&self, suspicions: Vec<(TableName, Suspicion)>) -> Result<(), Fault> {
        let known = self.known();
        let suspicions = suspicions.into_iter().filter(|(table, _)| known.contains(table));
        let entry = |(table, suspicion): (TableName, Suspicion)| {
            self.tell(&table, &suspicion);
            CatalogueEntry { table, said: None, copy_again: Some(suspicion.why) }
        };
        let entries: Vec<_> = suspicions.map(entry).collect();
        if entries.is_empty() {
            return Ok(());
        }
        Ok(self.journal.keep_catalogue(&self.system, entries).await?)
    }

    /// Tables that the journal has a description of.
    pub fn known(&self) -> BTreeSet<TableName> {
        let schemas = self.journal.current_schemas().into_iter();
        schemas.filter(|schema| schema.system == self.system).map(|schema| schema.name.clone()).collect()
    }

    async fn put(&self, changes: Vec<(TableName, Entry, Option<Suspicion>)>) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let entry = |(table, entry, suspicion): &(TableName, Entry, Option<Suspicion>)| {
            if let Some(suspicion) = suspicion {
                self.tell(table, suspicion);
            }
            let copy_again = suspicion.as_ref().map(|suspicion| suspicion.why.clone());
            CatalogueEntry { table: table.clone(), said: Some(entry.encode()), copy_again }
        };
        self.journal.keep_catalogue(&self.system, changes.iter().map(entry).collect()).await?;
        let mut entries = self.lock();
        changes.into_iter().for_each(|(table, entry, _)| entries.put(&table, entry));
        Ok(())
    }

    fn tell(&self, table: &TableName, Suspicion { kind, why }: &Suspicion) {
        tracing::warn!(system = %self.system, %table, why, "the table is copied again");
        self.reporter.copies_again(kind.label());
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None`: nothing is another than before. Within: why the table has to be copied again, if it has. Surprise: a table that
/// nothing is kept of, though the journal has rows of it, is copied again: unknown is not unchanged.
fn compare(kept: Option<&Entry>, now: &Entry, is_known: bool, resumes: bool) -> Option<Option<Suspicion>> {
    if let Some(kept) = kept {
        return (kept != now).then(|| difference::between(kept, now));
    }
    let suspicion = |kind, why: &str| Suspicion { kind, why: why.to_owned() };
    Some(match (is_known, resumes) {
        (true, _) => Some(suspicion(Kind::Unknown, "nothing is known of how it was before")),
        (false, true) => Some(suspicion(Kind::Joined, "it was not captured before")),
        (false, false) => None,
    })
}
