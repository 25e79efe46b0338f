//! What the catalogues of the sources said of their tables when they were last looked at.
//!
//! Each source encodes and compares its own entries; here they are kept, and an entry that asks for another copy of its
//! table becomes durable together with that request: a crash between the two would forget why.

use super::record::{Unreadable, seal, unseal};
use super::store::Batch;
use super::{copies, keys};
use crate::model::name::{SystemName, TableName};
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// What a source's catalogue says of a table now.
#[derive(Clone, Debug)]
pub struct CatalogueEntry {
    pub table: TableName,
    /// In the source's own encoding; `None`: what was kept stays.
    pub said: Option<Vec<u8>>,
    /// Why rows may have changed without an event since the entry before: the table is copied again.
    pub copy_again: Option<String>,
}

/// Entries of one system that become durable together.
pub(super) struct CatalogueRequest {
    pub system: SystemName,
    pub entries: Vec<CatalogueEntry>,
    pub done: oneshot::Sender<()>,
}

/// What was said of each table of a system.
type Tables = HashMap<TableName, Arc<[u8]>>;

/// The entries of every system, as far as they are durable.
#[derive(Default)]
pub(super) struct Catalogues(Mutex<BTreeMap<SystemName, Tables>>);

impl Catalogues {
    pub(super) fn new(records: Vec<(SystemName, TableName, Vec<u8>)>) -> Self {
        let catalogues = Self::default();
        for (system, table, said) in records {
            catalogues.lock().entry(system).or_default().insert(table, said.into());
        }
        catalogues
    }

    pub(super) fn of(&self, system: &SystemName) -> Tables {
        self.lock().get(system).cloned().unwrap_or_default()
    }

    pub(super) fn get(&self, system: &SystemName, table: &TableName) -> Option<Arc<[u8]>> {
        self.lock().get(system)?.get(table).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SystemName, Tables>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one group does to the entries: visible once it is durable.
#[derive(Default)]
pub(super) struct CatalogueChanges(Vec<CatalogueRequest>);

impl CatalogueChanges {
    pub(super) fn add(
        &mut self,
        request: CatalogueRequest,
        batch: &mut Batch,
        asked: &mut copies::CopyChanges,
        known: &copies::Copies,
    ) {
        let system = &request.system;
        for entry in &request.entries {
            if let Some(said) = &entry.said {
                batch.put(keys::catalogue(system, &entry.table), write_catalogue(system, entry, said));
            }
            if let Some(why) = &entry.copy_again {
                asked.copy_again(known, system, &entry.table, why);
            }
        }
        self.0.push(request);
    }

    pub(super) fn publish(self, catalogues: &Catalogues) {
        for CatalogueRequest { system, entries, done } in self.0 {
            let mut known = catalogues.lock();
            let tables = known.entry(system).or_default();
            for entry in entries {
                if let Some(said) = entry.said {
                    tables.insert(entry.table, said.into());
                }
            }
            drop(known);
            // Whoever asked may have gone; it is recorded all the same.
            let _ = done.send(());
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct EntryFields {
    #[prost(string, tag = "1")]
    system: String,
    #[prost(string, tag = "2")]
    schema: String,
    #[prost(string, tag = "3")]
    table: String,
    #[prost(bytes = "vec", tag = "4")]
    said: Vec<u8>,
}

fn write_catalogue(system: &SystemName, entry: &CatalogueEntry, said: &[u8]) -> Vec<u8> {
    seal(&EntryFields {
        system: system.to_string(),
        schema: entry.table.schema.to_string(),
        table: entry.table.table.to_string(),
        said: said.to_vec(),
    })
}

pub(super) fn read_catalogue(value: &[u8]) -> Result<(SystemName, TableName, Vec<u8>), Unreadable> {
    let fields: EntryFields = unseal(value)?;
    let system = SystemName::recorded(&fields.system).map_err(|_| Unreadable::Fields)?;
    Ok((system, TableName::new(&fields.schema, &fields.table), fields.said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_record_is_what_it_always_was() {
        let (system, table) = (SystemName::new("crm").expect("a name"), TableName::new("p", "t"));
        let entry = CatalogueEntry { table: table.clone(), said: None, copy_again: None };
        let value = write_catalogue(&system, &entry, b"said");
        assert_eq!(value, b"\x01\x0a\x03crm\x12\x01p\x1a\x01t\x22\x04said");
        assert_eq!(read_catalogue(&value), Ok((system, table, b"said".to_vec())));
    }
}
