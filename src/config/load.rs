//! From a path to a checked configuration: finding the file, reading it, and the passwords that it points to.

use super::check;
use super::raw::{self, Node, Place};
use super::report::{Error, Report};
use super::{Config, PathBuf};
use crate::model::code;
use secrecy::SecretString;
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Tried in this order when no file is named.
const PLACES: [&str; 2] = ["tailwater.yaml", "/etc/tailwater/tailwater.yaml"];
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A password file with more than this is some other file.
const SECRET_BYTES_MAX: u64 = 4096;

/// Whether the passwords behind `password: {env|file}` are read.
#[derive(Clone, Copy)]
pub enum Passwords<'a> {
    /// Read now; a missing one is a mistake. The function looks up an environment variable.
    Read(&'a dyn Fn(&str) -> Option<String>),
    /// Left alone: for commands that only talk to a running Tailwater.
    Leave,
}

impl Passwords<'_> {
    pub(super) fn of_env(self, variable: &str) -> Result<Option<SecretString>, String> {
        let Self::Read(lookup) = self else { return Ok(None) };
        match lookup(variable) {
            Some(value) if !value.is_empty() => Ok(Some(value.into())),
            Some(_) => Err(format!("the environment variable {variable} is empty")),
            None => Err(format!("the environment variable {variable} is not set")),
        }
    }

    /// The file's text without the line break at its end.
    pub(super) fn of_file(self, path: &Path) -> Result<Option<SecretString>, String> {
        let Self::Read(_) = self else { return Ok(None) };
        let bytes = read_at_most(path, SECRET_BYTES_MAX).map_err(|error| format!("{}: {error}", path.display()))?;
        // The bytes are left out of the message: they may be most of a password.
        let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(format!("{} is empty", path.display())),
            password => Ok(Some(password.into())),
        }
    }
}

/// The named file, or the first of the usual places that exists.
///
/// # Errors
/// [`Error`] with the places that were looked at.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let found = PLACES.iter().map(Path::new).find(|place| place.exists());
    found.map(Path::to_owned).ok_or_else(|| {
        let message = format!("there is no {} and no {}; name a file with --config FILE", PLACES[0], PLACES[1]);
        Error::of_file(Path::new(PLACES[0]), code::CONFIG_NOT_FOUND, message)
    })
}

/// Reads and checks the file.
///
/// # Errors
/// [`Error`] with every mistake in the file.
pub fn load(path: &Path, passwords: Passwords<'_>) -> Result<Config, Error> {
    let bytes = read_at_most(path, FILE_BYTES_MAX + 1)
        .map_err(|error| Error::of_file(path, code::CONFIG_UNREADABLE, error.to_string()))?;
    parse(path, &bytes, passwords)
}

/// Checks the bytes of a file as if they had been read from `path`.
///
/// # Errors
/// [`Error`] with every mistake in the file.
pub fn parse(path: &Path, bytes: &[u8], passwords: Passwords<'_>) -> Result<Config, Error> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::of_file(path, code::CONFIG_TOO_LARGE, "larger than 1 MiB"));
    }
    let mut report = Report::default();
    let checked = tree(bytes, &mut report).and_then(|root| check::check(&root, path, passwords, &mut report));
    report.conclude(path, checked)
}

/// A file that the configuration names, as a tree; what keeps it from being one is reported at `place`, or where it is.
pub(super) fn another(path: &Path, place: Place, report: &mut Report) -> Option<Node> {
    match read_at_most(path, FILE_BYTES_MAX + 1) {
        Ok(bytes) if bytes.len() as u64 > FILE_BYTES_MAX => {
            report.add(place, code::CONFIG_TOO_LARGE, format!("{} is larger than 1 MiB", path.display()));
            None
        }
        Ok(bytes) => report.within(path, |report| tree(&bytes, report)),
        Err(error) => {
            report.add(place, code::CONFIG_UNREADABLE, format!("{}: {error}", path.display()));
            None
        }
    }
}

fn tree(bytes: &[u8], report: &mut Report) -> Option<Node> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            report.add(place_of(bytes, error.valid_up_to()), code::CONFIG_NOT_UTF8, "not UTF-8 text");
            return None;
        }
    };
    match raw::parse(text) {
        Ok(root) => Some(root),
        Err(syntax) => {
            report.add(syntax.place, code::CONFIG_SYNTAX, syntax.message);
            None
        }
    }
}

fn read_at_most(path: &Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Line and column of a byte.
fn place_of(bytes: &[u8], at: usize) -> Place {
    let before = &bytes[..at];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    Place {
        line: before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1,
        column: String::from_utf8_lossy(&before[line_start..]).chars().count() as u64 + 1,
    }
}
