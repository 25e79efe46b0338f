//! The local operator's token: a file in `data_dir` that only the user who runs Tailwater can read.
//!
//! 32 random bytes as one line of 64 lower-case hexadecimal digits; the line itself is the bearer token. Made once, at the
//! first start. Both sides check that nobody else could have read it.

use super::Error;
use crate::model::code;
use crate::model::problem::Problem;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{Mode, OFlags, fstat, open};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// Its name in `data_dir`.
pub const OPERATOR_TOKEN_FILE: &str = "operator.token";

const RANDOM_BYTES: usize = 32;
const TOKEN_CHARS: usize = RANDOM_BYTES * 2;
const EXPOSED: u32 = 0o077;

/// Reads the token, or makes it.
///
/// # Errors
/// [`Error::OperatorToken`]: others could have read it, or it cannot be made or read.
pub fn ensure(data_dir: &Path) -> Result<String, Error> {
    match create(data_dir) {
        Ok(token) => Ok(token),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read(data_dir),
        Err(error) => Err(unusable(data_dir, &error.to_string())),
    }
}

/// Reads the token, as the command line does.
///
/// # Errors
/// [`Error::OperatorToken`]: others could have read it, or it cannot be read.
pub fn read(data_dir: &Path) -> Result<String, Error> {
    let path = data_dir.join(OPERATOR_TOKEN_FILE);
    let file = open(&path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| unusable(data_dir, &error.to_string()))?;
    // The open file is looked at, not the path: what is checked is what is read.
    let stat = fstat(&file).map_err(|error| unusable(data_dir, &error.to_string()))?;
    let own = rustix::process::geteuid().as_raw();
    if stat.st_mode & EXPOSED != 0 || stat.st_uid != own {
        let (mode, owner) = (stat.st_mode & 0o7777, stat.st_uid);
        let message = format!("{}: mode {mode:o}, owner {owner}; expected mode 600, owner {own}", path.display());
        return Err(Error::OperatorToken(Problem::new(code::OPERATOR_TOKEN_EXPOSED, message)));
    }
    let mut text = String::new();
    File::from(file)
        .take(TOKEN_CHARS as u64 + 2)
        .read_to_string(&mut text)
        .map_err(|error| unusable(data_dir, &error.to_string()))?;
    let token = text.trim_end();
    if token.len() != TOKEN_CHARS || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(unusable(data_dir, "does not hold one line of 64 hexadecimal digits"));
    }
    Ok(token.to_owned())
}

/// Written under another name and linked, so that a crash half way leaves no half token.
fn create(data_dir: &Path) -> std::io::Result<String> {
    let path = data_dir.join(OPERATOR_TOKEN_FILE);
    if path.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let token = random_token()?;
    let draft = data_dir.join(format!("{OPERATOR_TOKEN_FILE}.{}", std::process::id()));
    let _ = std::fs::remove_file(&draft);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(open(&draft, flags, Mode::RUSR | Mode::WUSR)?);
    writeln!(file, "{token}")?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, &path);
    std::fs::remove_file(&draft)?;
    linked?;
    File::open(data_dir)?.sync_all()?;
    Ok(token)
}

fn random_token() -> std::io::Result<String> {
    let mut random = [0_u8; RANDOM_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| std::io::Error::other("no random bytes"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn unusable(data_dir: &Path, what: &str) -> Error {
    let path = data_dir.join(OPERATOR_TOKEN_FILE);
    Error::OperatorToken(Problem::new(code::OPERATOR_TOKEN_UNUSABLE, format!("{}: {what}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_token_is_made_once_and_closed_to_others() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let token = ensure(dir.path()).expect("made");
        assert_eq!(token.len(), TOKEN_CHARS);
        assert_eq!(ensure(dir.path()).expect("read"), token);
        assert_eq!(read(dir.path()).expect("read"), token);
        let path = dir.path().join(OPERATOR_TOKEN_FILE);
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 1);
    }

    #[test]
    fn a_token_that_others_can_read_or_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        ensure(dir.path()).expect("made");
        let path = dir.path().join(OPERATOR_TOKEN_FILE);
        let allow = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("allowed");
        for mode in [0o640, 0o604, 0o660] {
            allow(mode);
            assert_eq!(ensure(dir.path()).expect_err("refused").problem().code, code::OPERATOR_TOKEN_EXPOSED);
        }
        allow(0o600);
        for damaged in ["", "short\n", &"x".repeat(64), &"a".repeat(65)] {
            std::fs::write(&path, damaged).expect("written");
            assert_eq!(ensure(dir.path()).expect_err("refused").problem().code, code::OPERATOR_TOKEN_UNUSABLE);
        }
    }
}
