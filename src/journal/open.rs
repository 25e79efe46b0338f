//! Opening: check what is there, forget what was never committed, agree with the lock file, start the writer thread.

use super::catalogue::{Catalogues, read_catalogue};
use super::copies::Copies;
use super::directory;
use super::disk::{Floor, FreeSpace, free_space};
use super::error::{damaged, unopenable, unreadable};
use super::keys::{self, after_kind};
use super::lockfile;
use super::pace::Pace;
use super::queue::Queue;
use super::record::{Mark, Unreadable, read_checkpoint, read_copy, read_mark, read_number, read_subscription};
use super::registry::{Registry, read_table};
use super::schemas::{Schemas, read_schema};
use super::shared::{Lifetime, Progress, Shared};
use super::staging::{BodyIds, held_bytes_max};
use super::store::{Store, Write};
use super::subscriptions::Subscriptions;
use super::system::Systems;
use super::tail::Tail;
use super::verify;
use super::writer::{Newest, Writer};
use super::{Error, Options};
use crate::model::checkpoint::Checkpoint;
use crate::model::name::SystemName;
use arc_swap::ArcSwapOption;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use tokio::sync::watch;

/// What the journal stands on; tests put their own in its place.
pub(super) struct Ground {
    pub free_space: FreeSpace,
    pub write: Write,
}

impl Default for Ground {
    fn default() -> Self {
        Self { free_space: Box::new(free_space), write: Box::new(|db, batch, options| db.write_opt(batch, options)) }
    }
}

/// # Errors
/// [`Error::Refused`].
pub(super) fn open(options: &Options, ground: Ground) -> Result<Arc<Lifetime>, Error> {
    let (store, identity) = directory::open(&options.path, ground.write)?;
    let mark = mark(&store)?;
    let newest = verify::newest(&store, mark)?;
    forget_staged(&store, &options.path)?;
    let ids = body_ids(&store)?;
    let schemas = schemas(&store, &options.lock_file)?;
    let systems = Systems::new(checkpoints(&store)?);
    let governed = systems.get(&SystemName::tailwater()).and_then(|system| system.durable.borrow().clone());
    let subscriptions = records(&store, keys::SUBSCRIPTIONS, "a subscription", |_, value| read_subscription(value))?;
    let copies = records(&store, keys::COPIES, "a copy", |_, value| read_copy(value))?;
    let catalogues = records(&store, keys::CATALOGUES, "a catalogue entry", |_, value| read_catalogue(value))?;
    let store = Arc::new(store);
    let shared = Arc::new(Shared {
        identity,
        store: ArcSwapOption::new(Some(Arc::clone(&store))),
        queue: Queue::new(options.queue_bytes_max, held_bytes_max(options.queue_bytes_max)),
        tail: Tail::new(options.tail_bytes_max),
        schemas,
        systems,
        subscriptions: Subscriptions::new(subscriptions),
        copies: Copies::new(copies),
        catalogues: Catalogues::new(catalogues),
        pace: Pace::new(options.retention_bytes, newest.bytes_total),
        progress: Progress::new(newest.sequence, mark, newest.bytes_total.saturating_sub(mark.bytes_total)),
        ended: watch::Sender::new(false),
    });
    if let Some(Checkpoint::Governed(sequence)) = governed {
        // Before anything can be trimmed.
        shared.progress.kept.store(sequence.0, Ordering::Relaxed);
    }
    let mut floor = Floor::new(ground.free_space, options.path.clone(), options.free_disk_bytes_min);
    floor.is_reached(&shared.progress);
    let thread = start(&shared, store, newest, ids, floor, options)?;
    Ok(Arc::new(Lifetime { shared, thread: Some(thread) }))
}

fn start(
    shared: &Arc<Shared>,
    store: Arc<Store>,
    newest: Newest,
    ids: BodyIds,
    floor: Floor,
    options: &Options,
) -> Result<JoinHandle<()>, Error> {
    let writer = Writer::new(Arc::clone(shared), store, newest, ids, floor, options);
    let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(|| writer.run());
    thread.map_err(|error| Error::Refused(unopenable(&options.path, error)))
}

fn mark(store: &Store) -> Result<Mark, Error> {
    let value = store.get(keys::MARK).map_err(|error| Error::Refused(damaged(error)))?;
    let value = value.ok_or_else(|| Error::Refused(damaged("the low-water mark is missing")))?;
    read_mark(&value).map_err(|why| Error::Refused(unreadable("the low-water mark", why)))
}

/// Deletes bodies that were written ahead of a commit that never came.
fn forget_staged(store: &Store, path: &Path) -> Result<(), Error> {
    let staged =
        records(store, keys::STAGED_ALL, "a staged body", |key, _| keys::staged_body(key).ok_or(Unreadable::Fields))?;
    if staged.is_empty() {
        return Ok(());
    }
    let mut batch = store.batch();
    for body in staged {
        tracing::info!(body = body.0, "forgetting a transaction that never committed");
        store.delete_bodies(&mut batch, body, body);
        batch.delete(keys::staged(body));
    }
    store.write(batch, true).map_err(|error| directory::refused(path, &error))
}

fn body_ids(store: &Store) -> Result<BodyIds, Error> {
    let damage = |error: rocksdb::Error| Error::Refused(damaged(error));
    let reserved = match store.get(keys::BODY_IDS).map_err(damage)? {
        Some(value) => read_number(&value).map_err(|why| Error::Refused(unreadable("the body ids", why)))?,
        None => 0,
    };
    let newest = store.newest_body().map_err(damage)?.map_or(0, |body| body.0);
    Ok(BodyIds::after(reserved.max(newest)))
}

fn schemas(store: &Store, lock_file: &Path) -> Result<Schemas, Error> {
    let tables = records(store, keys::TABLES, "a table", |_, value| read_table(value))?;
    let journal = Registry { tables: tables.into_iter().collect() };
    let history = records(store, keys::SCHEMAS, "a schema", |_, value| read_schema(value))?;
    let registry = match lockfile::read(lock_file)? {
        Some(lock) => {
            let merged = lockfile::reconcile(lock_file, &journal, lock.clone())?;
            if merged != lock {
                tracing::warn!(lock_file = %lock_file.display(), "lock file lacked numbers of the journal; added");
                lockfile::write(lock_file, &merged)?;
            }
            merged
        }
        None if journal.tables.is_empty() => journal,
        None => {
            tracing::warn!(lock_file = %lock_file.display(), "lock file is missing; written again from the journal");
            lockfile::write(lock_file, &journal)?;
            journal
        }
    };
    Ok(Schemas::new(lock_file.to_owned(), registry, history))
}

fn checkpoints(store: &Store) -> Result<Vec<(SystemName, Checkpoint)>, Error> {
    records(store, keys::CHECKPOINTS, "a checkpoint", |key, value| {
        let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok()).ok_or(Unreadable::Fields)?;
        Ok((SystemName::recorded(name).map_err(|_| Unreadable::Fields)?, read_checkpoint(value)?))
    })
}

/// All records of a kind, in key order.
fn records<T>(
    store: &Store,
    kind: [u8; 1],
    what: &str,
    read: impl Fn(&[u8], &[u8]) -> Result<T, Unreadable>,
) -> Result<Vec<T>, Error> {
    let mut iterator = store.records(&kind, &after_kind(kind));
    let mut records = Vec::new();
    while let Some((key, value)) = iterator.item() {
        records.push(read(key, value).map_err(|why| Error::Refused(unreadable(what, why)))?);
        iterator.next();
    }
    iterator.status().map_err(|error| Error::Refused(damaged(error)))?;
    Ok(records)
}
