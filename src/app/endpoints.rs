//! Where a running Tailwater is found: `endpoints.json` in its data directory, for the command line on the same machine.
//!
//! Surprise: the file may be a leftover of a killed process. Whoever reads it must be ready to find nobody there.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

const FILE: &str = "endpoints.json";

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Endpoints {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub pid: u32,
}

impl Endpoints {
    /// # Errors
    /// There is no such file, or it is not one of ours.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(data_dir.join(FILE))?)?)
    }

    /// Written beside and renamed, so that a reader never sees half a file.
    pub(super) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let beside = data_dir.join(format!("{FILE}.new"));
        let mut file = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        fs::rename(beside, data_dir.join(FILE))
    }

    pub(super) fn remove(data_dir: &Path) {
        // A leftover does no harm: see above.
        let _ = fs::remove_file(data_dir.join(FILE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn endpoints_read_back_and_only_the_owner_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let endpoints = Endpoints { grpc: "127.0.0.1:1".parse().unwrap(), http: "[::1]:2".parse().unwrap(), pid: 3 };
        endpoints.write(folder.path()).unwrap();
        assert_eq!(Endpoints::read(folder.path()).unwrap(), endpoints);
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Endpoints::remove(folder.path());
        assert!(Endpoints::read(folder.path()).is_err());
    }
}
