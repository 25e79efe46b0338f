//! What of this machine would keep a run from starting or from going on. Changes nothing that it does not undo.

use super::data_dir::journal_path;
use crate::config::Config;
use crate::model::code::{self, Code};
use crate::model::finding::Finding;
use crate::model::problem::Problem;
use rustix::fs::{Access, access, statvfs};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// Whether something was ever journaled in this data directory.
pub fn journal_exists(data_dir: &Path) -> bool {
    journal_path(data_dir).exists()
}

/// `running`: a Tailwater holds the listeners and the directory, so they are not asked for.
pub fn preflight(config: &Config, running: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut error = |code: Code, message: String| found.push(Finding::error("", Problem::new(code, message)));
    let (data_dir, lock_file) = (nearest(&config.data_dir), nearest(&config.lock_file));
    if let Err(errno) = access(data_dir, Access::WRITE_OK | Access::EXEC_OK) {
        error(code::APP_DATA_DIR, format!("{}: {errno}", config.data_dir.display()));
    }
    if let Err(errno) = access(lock_file, Access::WRITE_OK) {
        error(code::LOCK_FILE_UNWRITABLE, format!("{}: {errno}", config.lock_file.display()));
    }
    let (floor, free) = (config.retention.free_disk_bytes_min, free_bytes(data_dir));
    if let Some(free) = free.filter(|free| *free < floor) {
        let message = format!("{free} bytes are free under {}, retention.free_disk is {floor}", data_dir.display());
        error(code::JOURNAL_DISK_LOW, message);
    }
    if !running {
        for address in [config.server.grpc, config.server.http] {
            if let Err(why) = bind(address) {
                error(code::APP_LISTEN, format!("{address}: {why}"));
            }
        }
    }
    found
}

/// The path, or the nearest directory above it that exists.
fn nearest(path: &Path) -> &Path {
    let exists = path.ancestors().find(|path| path.exists());
    exists.unwrap_or(Path::new("."))
}

fn free_bytes(path: &Path) -> Option<u64> {
    statvfs(path).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Taken and given back at once.
fn bind(address: SocketAddr) -> std::io::Result<()> {
    TcpListener::bind(address).map(drop)
}
