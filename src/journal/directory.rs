//! The journal's directory: ours, somebody else's, or yet to be made.
//!
//! A new journal is made beside its place and renamed into it once it has its identity on disk. So a directory in place
//! without an identity was never one of ours, and is refused instead of filled.

use super::chain::anchor;
use super::error::{Error, damaged, unopenable, unreadable};
use super::keys;
use super::lockfile::with_suffix;
use super::record::{Identity, Mark, read_identity, write_identity, write_mark};
use super::store::{BODIES, Store, Write};
use crate::model::code::{JOURNAL_FOREIGN, JOURNAL_LOCKED, JOURNAL_NEWER};
use crate::model::position::{Epoch, Sequence};
use crate::model::problem::Problem;
use ring::rand::{SecureRandom, SystemRandom};
use rocksdb::ErrorKind;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Raised when an older version would misread what this one writes.
const FORMAT: u32 = 1;

/// Opens the store in `path`, making a new journal where nothing is.
///
/// # Errors
/// [`Error::Refused`].
pub(super) fn open(path: &Path, write: Write) -> Result<(Store, Identity), Error> {
    if is_vacant(path)? {
        create(path)?;
    }
    expect_ours(path)?;
    let store = Store::open(path, false, write).map_err(|error| refused(path, &error))?;
    let identity = identity(path, &store)?;
    Ok((store, identity))
}

fn is_vacant(path: &Path) -> Result<bool, Error> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::Refused(unopenable(path, error))),
    }
}

fn create(path: &Path) -> Result<(), Error> {
    let beside = with_suffix(path, ".creating");
    let unopenable = |error: io::Error| Error::Refused(unopenable(&beside, error));
    if beside.exists() {
        std::fs::remove_dir_all(&beside).map_err(unopenable)?;
    }
    // The seal key inside is a secret.
    DirBuilder::new().recursive(true).mode(0o700).create(&beside).map_err(unopenable)?;
    let write: Write = Box::new(|db, batch, options| db.write_opt(batch, options));
    let store = Store::open(&beside, true, write).map_err(|error| refused(&beside, &error))?;
    write_first_records(&store, path)?;
    store.stop_background_work();
    drop(store);
    std::fs::rename(&beside, path).map_err(unopenable)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(unopenable)
}

fn write_first_records(store: &Store, path: &Path) -> Result<(), Error> {
    let mut identity = Identity { format: FORMAT, epoch: Epoch([0; 16]), seal_key: [0; 32] };
    let random = SystemRandom::new();
    random
        .fill(&mut identity.epoch.0)
        .and_then(|()| random.fill(&mut identity.seal_key))
        .map_err(|_| Error::Refused(unopenable(path, "the system gives no random bits")))?;
    let mark = Mark { sequence: Sequence::ZERO, hash: anchor(identity.epoch), bytes_total: 0 };
    let mut batch = store.batch();
    batch.put(keys::IDENTITY, write_identity(&identity));
    batch.put(keys::MARK, write_mark(&mark));
    store.write(batch, true).and_then(|()| store.flush()).map_err(|error| refused(path, &error))
}

fn expect_ours(path: &Path) -> Result<(), Error> {
    if !path.join("CURRENT").exists() {
        return Err(foreign(path, "it holds files, but no journal"));
    }
    let families = Store::families(path).map_err(|error| refused(path, &error))?;
    if !families.iter().any(|family| family == BODIES) {
        return Err(foreign(path, "it is a RocksDB store of something else"));
    }
    Ok(())
}

fn identity(path: &Path, store: &Store) -> Result<Identity, Error> {
    let value = store.get(keys::IDENTITY).map_err(|error| refused(path, &error))?;
    let value = value.ok_or_else(|| foreign(path, "it has no epoch"))?;
    let identity = read_identity(&value).map_err(|why| Error::Refused(unreadable("its identity", why)))?;
    if identity.format == FORMAT {
        return Ok(identity);
    }
    let message = format!("{}: its format is {}, this version knows {FORMAT}", path.display(), identity.format);
    Err(Error::Refused(Problem::new(JOURNAL_NEWER, message)))
}

fn foreign(path: &Path, why: &str) -> Error {
    Error::Refused(Problem::new(JOURNAL_FOREIGN, format!("{} is not a journal: {why}", path.display())))
}

/// What RocksDB's refusal to open or read means. Its lock has no error kind of its own.
pub(super) fn refused(path: &Path, error: &rocksdb::Error) -> Error {
    let text = error.to_string();
    let locked = text.contains("While lock file") || text.contains("lock hold by current process");
    Error::Refused(match error.kind() {
        ErrorKind::IOError if locked => {
            Problem::new(JOURNAL_LOCKED, format!("{} is open in another process", path.display()))
        }
        // A file that the manifest names and that is not there is damage, not a matter of permissions.
        ErrorKind::IOError if !text.contains("No such file") => unopenable(path, text),
        _ => damaged(format_args!("{}: {text}", path.display())),
    })
}
