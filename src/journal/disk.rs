//! The free-disk floor: below it intake waits, so that there is always room to acknowledge and to trim.

use super::shared::Progress;
use crate::model::code::JOURNAL_DISK_LOW;
use crate::model::problem::Problem;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Asked at most this often.
const INTERVAL: Duration = Duration::from_millis(200);

/// Bytes that the file system of a path has left for us; tests put their own in its place.
pub(super) type FreeSpace = Box<dyn Fn(&Path) -> io::Result<u64> + Send>;

pub(super) struct Floor {
    free_space: FreeSpace,
    path: PathBuf,
    free_bytes_min: u64,
    asked: Option<Instant>,
    below: bool,
}

impl Floor {
    pub(super) fn new(free_space: FreeSpace, path: PathBuf, free_bytes_min: u64) -> Self {
        Self { free_space, path, free_bytes_min, asked: None, below: false }
    }

    /// Whether intake has to wait. A file system that does not answer changes nothing.
    pub(super) fn is_reached(&mut self, progress: &Progress) -> bool {
        if self.asked.is_some_and(|asked| asked.elapsed() < INTERVAL) {
            return self.below;
        }
        self.asked = Some(Instant::now());
        match (self.free_space)(&self.path) {
            Ok(free) => self.observe(free, progress),
            Err(error) => tracing::warn!(%error, "free disk space is not known"),
        }
        self.below
    }

    fn observe(&mut self, free: u64, progress: &Progress) {
        progress.disk_free_bytes.store(free, Ordering::Relaxed);
        let below = free < self.free_bytes_min;
        if below == self.below {
            return;
        }
        self.below = below;
        if !below {
            tracing::info!(free_bytes = free, "intake goes on");
            return progress.set_parked(None);
        }
        let (path, min) = (self.path.display(), self.free_bytes_min);
        let message = format!("intake waits: {path} has {free} bytes left, less than the {min} to be kept free");
        let problem = Problem::new(JOURNAL_DISK_LOW, message);
        tracing::error!(code = %problem.code, problem = %problem.message, "intake waits");
        progress.set_parked(Some(problem));
    }
}

/// What `statvfs` says is left for processes without privileges.
pub(super) fn free_space(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
