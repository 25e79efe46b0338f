//! The lock file: field numbers and message names beside the config, to be kept under version control.
//!
//! It survives the loss of the journal, so that clients are not renumbered. It is written, and synced, before a number is
//! handed out; a number in it that the journal does not know was therefore given just before a crash, or by a journal
//! that is lost. Blocking: callers keep it off the async threads.

use super::error::Error;
use super::registry::{NumberedColumn, Registry, Table, value_type};
use crate::model::code::{LOCK_FILE_DISAGREES, LOCK_FILE_UNREADABLE, LOCK_FILE_UNWRITABLE};
use crate::model::name::{SystemName, TableName};
use crate::model::problem::Problem;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const VERSION: u32 = 1;
const ABOUT: &str = "Protobuf names and field numbers of captured tables. Written by Tailwater; keep it under version \
                     control and do not edit it: clients read rows by these numbers.";

/// `system.schema.table` would be ambiguous with dots in names, so the three are nested.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    about: String,
    version: u32,
    systems: BTreeMap<String, BTreeMap<String, BTreeMap<String, TableEntry>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableEntry {
    message: String,
    columns: Vec<ColumnEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnEntry {
    number: u32,
    name: String,
    field: String,
    #[serde(rename = "type")]
    value_type: u8,
    state: State,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    Living,
    Gone,
}

/// What the file says; `None` when there is none.
///
/// # Errors
/// [`Error::Refused`] when it does not read, or gives a number or a name twice.
pub(super) fn read(path: &Path) -> Result<Option<Registry>, Error> {
    let refused = |why: &dyn Display| {
        Error::Refused(Problem::new(LOCK_FILE_UNREADABLE, format!("lock file {}: {why}", path.display())))
    };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(&error)),
    };
    let document: Document = serde_json::from_slice(&text).map_err(|error| refused(&error))?;
    if document.version != VERSION {
        return Err(refused(&format_args!("its version is {}, this Tailwater knows {VERSION}", document.version)));
    }
    registry(document).map(Some).map_err(|why| refused(&why))
}

/// Replaces the file atomically; it is on disk when this returns.
///
/// # Errors
/// [`Error::Refused`] when it cannot be written.
pub(super) fn write(path: &Path, registry: &Registry) -> Result<(), Error> {
    replace(path, registry).map_err(|error| {
        let message =
            format!("lock file {} cannot be written: {error}; set `lock_file` to a writable place", path.display());
        Error::Refused(Problem::new(LOCK_FILE_UNWRITABLE, message))
    })
}

/// What journal and lock file say together: every number that either of them has given.
///
/// # Errors
/// [`Error::Refused`] when one number or name means two things.
pub(super) fn reconcile(path: &Path, journal: &Registry, lock: Registry) -> Result<Registry, Error> {
    let mut merged = lock;
    for (key, recorded) in &journal.tables {
        let Some(locked) = merged.tables.get_mut(key) else {
            merged.tables.insert(key.clone(), recorded.clone());
            continue;
        };
        merge(recorded, locked).map_err(|why| {
            let table = format!("{}.{}", key.0, key.1);
            let message = format!("lock file {} and the journal disagree on {table}: {why}", path.display());
            Error::Refused(Problem::new(LOCK_FILE_DISAGREES, message))
        })?;
    }
    duplicate_message(&merged).map_or(Ok(merged), |why| {
        let message = format!("lock file {} and the journal disagree: {why}", path.display());
        Err(Error::Refused(Problem::new(LOCK_FILE_DISAGREES, message)))
    })
}

fn merge(recorded: &Table, locked: &mut Table) -> Result<(), String> {
    if recorded.type_name != locked.type_name {
        return Err(format!("its message is {} there and {} in the journal", locked.type_name, recorded.type_name));
    }
    for column in &recorded.columns {
        match locked.columns.iter_mut().find(|other| other.number == column.number) {
            None => locked.columns.push(column.clone()),
            // Gone is for ever, so whichever side says so is the newer one.
            Some(other) if same_meaning(other, column) => other.living &= column.living,
            Some(other) => {
                return Err(format!(
                    "number {} is `{}` there and `{}` in the journal",
                    column.number, other.name, column.name
                ));
            }
        }
    }
    locked.columns.sort_by_key(|column| column.number);
    duplicate_column(locked).map_or(Ok(()), Err)
}

fn same_meaning(one: &NumberedColumn, other: &NumberedColumn) -> bool {
    one.name == other.name && one.value_type == other.value_type && one.field == other.field
}

fn registry(document: Document) -> Result<Registry, String> {
    let mut registry = Registry::default();
    for (system, schemas) in document.systems {
        let system = SystemName::recorded(&system).map_err(|why| format!("system `{system}` {why}"))?;
        for (schema, tables) in schemas {
            for (table, entry) in tables {
                let name = TableName::new(&schema, &table);
                let entry = read_entry(entry).map_err(|why| format!("{system}.{name}: {why}"))?;
                registry.tables.insert((system.clone(), name), entry);
            }
        }
    }
    duplicate_message(&registry).map_or(Ok(registry), Err)
}

fn read_entry(entry: TableEntry) -> Result<Table, String> {
    let column = |column: ColumnEntry| {
        let unknown = |_| format!("column `{}` has the unknown type {}", column.name, column.value_type);
        Ok(NumberedColumn {
            value_type: value_type(column.value_type.into()).map_err(unknown)?,
            name: column.name.into(),
            number: column.number,
            field: column.field.into(),
            living: column.state == State::Living,
        })
    };
    let columns: Result<Vec<_>, String> = entry.columns.into_iter().map(column).collect();
    let mut table = Table { type_name: entry.message.into(), columns: columns? };
    table.columns.sort_by_key(|column| column.number);
    duplicate_column(&table).map_or(Ok(table), Err)
}

fn duplicate_column(table: &Table) -> Option<String> {
    let (mut numbers, mut fields, mut living) = (HashSet::new(), HashSet::new(), HashSet::new());
    let column = table.columns.iter().find(|column| {
        let number_is_new = numbers.insert(column.number);
        let field_is_new = fields.insert(Arc::clone(&column.field));
        let name_is_new = !column.living || living.insert(Arc::clone(&column.name));
        !(number_is_new && field_is_new && name_is_new)
    })?;
    Some(format!("number {}, field `{}` or column `{}` is given twice", column.number, column.field, column.name))
}

fn duplicate_message(registry: &Registry) -> Option<String> {
    let mut seen = HashSet::new();
    let table = registry.tables.values().find(|table| !seen.insert(&table.type_name))?;
    Some(format!("message {} is given twice", table.type_name))
}

fn document(registry: &Registry) -> Document {
    let mut document = Document { about: ABOUT.to_owned(), version: VERSION, systems: BTreeMap::new() };
    for ((system, name), table) in &registry.tables {
        let columns = table.columns.iter().map(|column| ColumnEntry {
            number: column.number,
            name: column.name.to_string(),
            field: column.field.to_string(),
            value_type: column.value_type.number(),
            state: if column.living { State::Living } else { State::Gone },
        });
        let entry = TableEntry { message: table.type_name.to_string(), columns: columns.collect() };
        let schemas = document.systems.entry(system.to_string()).or_default();
        schemas.entry(name.schema.to_string()).or_default().insert(name.table.to_string(), entry);
    }
    document
}

/// Temporary file, sync, rename, sync of the directory: a crash leaves the old file or the new one.
fn replace(path: &Path, registry: &Registry) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(&document(registry))?;
    text.push(b'\n');
    let temporary = with_suffix(path, ".tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// The path with something appended to its file name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value_type::{Scalar, ValueType};

    fn column(number: u32, name: &str, living: bool) -> NumberedColumn {
        let value_type = ValueType::Scalar(Scalar::Int64);
        NumberedColumn { name: name.into(), value_type, number, field: format!("{name}_{number}").into(), living }
    }

    fn one_table(columns: &[NumberedColumn]) -> Registry {
        let key = (SystemName::new("crm").expect("a name"), TableName::new("a.b", "c"));
        let table = Table { type_name: "tailwater.crm.a_b.C".into(), columns: columns.to_vec() };
        Registry { tables: BTreeMap::from([(key, table)]) }
    }

    #[test]
    fn a_lock_file_reads_back_and_always_looks_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tailwater.lock");
        assert!(read(&path).expect("no file is no error").is_none());
        let registry = one_table(&[column(1, "id", true), column(2, "old", false)]);
        write(&path, &registry).expect("written");
        assert_eq!(read(&path).expect("read"), Some(registry.clone()));
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("{\n  \"about\": \"Protobuf names"), "{text}");
        write(&path, &registry).expect("written again");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
    }

    #[test]
    fn an_edited_lock_file_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tailwater.lock");
        write(&path, &one_table(&[column(1, "id", true), column(1, "name", true)])).expect("written");
        assert!(matches!(read(&path), Err(Error::Refused(problem)) if problem.code == LOCK_FILE_UNREADABLE));
        std::fs::write(&path, "<<<<<<< ours").expect("written");
        assert!(matches!(read(&path), Err(Error::Refused(problem)) if problem.code == LOCK_FILE_UNREADABLE));
    }

    #[test]
    fn gone_on_either_side_is_gone_and_numbers_of_both_are_kept() {
        let journal = one_table(&[column(1, "id", true), column(2, "a", false), column(3, "b", true)]);
        let lock = one_table(&[column(1, "id", true), column(2, "a", true)]);
        let merged = reconcile(Path::new("x"), &journal, lock).expect("they agree");
        assert_eq!(merged, journal);
    }

    #[test]
    fn a_number_with_two_meanings_is_refused() {
        let journal = one_table(&[column(1, "id", true)]);
        let refused = reconcile(Path::new("x"), &journal, one_table(&[column(1, "name", true)]));
        assert!(matches!(refused, Err(Error::Refused(problem)) if problem.code == LOCK_FILE_DISAGREES));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_refused_with_the_way_out() {
        let refused = write(Path::new("/proc/none/tailwater.lock"), &Registry::default());
        let Err(Error::Refused(problem)) = refused else { panic!("{refused:?}") };
        assert_eq!(problem.code, LOCK_FILE_UNWRITABLE);
        assert!(problem.message.contains("lock_file"));
    }
}
