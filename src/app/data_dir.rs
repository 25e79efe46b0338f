//! The data directory: made for the owner alone, and held by one process at a time.

use super::error::Error;
use crate::model::code;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LOCK: &str = "lock";
/// How long the process before may take to be gone.
const HELD_MAX: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Holds the directory until it is dropped; the kernel lets go even after `kill -9`.
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes it when it is missing, closes it to others, and takes its lock.
    pub fn claim(path: &Path) -> Result<Self, Error> {
        let refused = |error: io::Error| Error::refused(code::APP_DATA_DIR, format!("{}: {error}", path.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(refused)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(refused)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(refused)?;
        match lock_within(&lock, HELD_MAX) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(Errno::WOULDBLOCK) => {
                let message = format!("{} is in use by another process", path.display());
                Err(Error::refused(code::APP_DATA_DIR_IN_USE, message))
            }
            Err(errno) => Err(refused(errno.into())),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the journal lives.
    pub fn journal(&self) -> PathBuf {
        journal_path(&self.path)
    }
}

/// A process that was killed holds its lock until the kernel has taken it apart.
fn lock_within(lock: &File, patience: Duration) -> Result<(), Errno> {
    let deadline = Instant::now() + patience;
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
            other => return other,
        }
    }
}

pub(super) fn journal_path(data_dir: &Path) -> PathBuf {
    data_dir.join("journal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_closed_to_others_and_held_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let held = DataDir::claim(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let second = DataDir::claim(&path).err().expect("it is held");
        assert_eq!(second.problem().code, code::APP_DATA_DIR_IN_USE);
        drop(held);
        assert!(DataDir::claim(&path).is_ok());
    }
}
