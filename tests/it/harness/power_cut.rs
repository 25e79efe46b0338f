//! Takes away from a directory everything that its writer never synced, as a power cut may.
//!
//! The preloaded shim (`shim/power_cut.c`) records each sync. A file keeps its length at its last sync; one that was never
//! synced, or whose name was never synced with its directory, is removed. A rename over a synced name counts as done: the
//! disk may have either, and the old content is gone here. Contents that are written over in place are not followed: a
//! journal appends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/shim/power_cut.c");

/// The compiled shim and its record.
pub struct Shim {
    library: PathBuf,
    record: PathBuf,
}

/// What a cut took.
#[derive(Default, Debug)]
pub struct Lost {
    pub removed: Vec<PathBuf>,
    /// Path and how many bytes of its end.
    pub shortened: Vec<(PathBuf, u64)>,
}

impl Shim {
    /// Compiles it into `dir` and keeps its record there.
    pub fn build(dir: &Path) -> Self {
        let library = dir.join("power_cut.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(SOURCE).arg("-ldl");
        let output = compiler.output().expect("a C compiler is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { library, record: dir.join("power_cut.record") }
    }

    /// What the recorded process needs in its environment.
    pub fn env(&self) -> [(String, String); 2] {
        let text = |path: &Path| path.to_str().expect("temporary paths are UTF-8").to_owned();
        [("LD_PRELOAD".into(), text(&self.library)), ("POWER_CUT_RECORD".into(), text(&self.record))]
    }

    /// Leaves of `dir` what was durable. The recorded process must have ended.
    pub fn cut(&self, dir: &Path) -> Lost {
        let mut lost = Lost::default();
        Durable::read(&self.record).cut(dir, &mut lost);
        lost
    }
}

type Inode = (u64, u64);

#[derive(Default)]
struct Durable {
    lengths: BTreeMap<Inode, u64>,
    /// Of each directory: inodes and names at its last sync.
    entries: BTreeMap<Inode, BTreeSet<(u64, String)>>,
}

impl Durable {
    fn read(record: &Path) -> Self {
        let mut durable = Self::default();
        let text = fs::read_to_string(record).unwrap_or_default();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let mut words = line.split(' ');
            let kind = words.next().unwrap_or_default();
            let mut number =
                || words.next().and_then(|word| word.parse::<u64>().ok()).expect("the shim writes numbers");
            let inode = (number(), number());
            match kind {
                "file" => drop(durable.lengths.insert(inode, number())),
                "gone" => drop(durable.lengths.remove(&inode)),
                "dir" => drop(durable.entries.insert(inode, words.filter_map(entry).collect())),
                other => panic!("the shim wrote {other:?}"),
            }
        }
        durable
    }

    fn cut(&self, dir: &Path, lost: &mut Lost) {
        let synced = self.entries.get(&inode(&fs::metadata(dir).expect("the directory is there")));
        for entry in fs::read_dir(dir).expect("the directory is readable") {
            let entry = entry.expect("the directory is readable");
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let metadata = entry.metadata().expect("nothing else works here");
            if metadata.is_dir() {
                self.cut(&path, lost);
                continue;
            }
            let named = synced
                .is_some_and(|synced| synced.iter().any(|(number, known)| *number == metadata.ino() || *known == name));
            match self.lengths.get(&inode(&metadata)).filter(|_| named) {
                None => {
                    fs::remove_file(&path).expect("the file is ours");
                    lost.removed.push(path);
                }
                Some(length) if *length < metadata.len() => {
                    let file = fs::File::options().write(true).open(&path).expect("the file is ours");
                    file.set_len(*length).expect("the file is ours");
                    lost.shortened.push((path, metadata.len() - length));
                }
                Some(_) => {}
            }
        }
    }
}

fn inode(metadata: &fs::Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

fn entry(word: &str) -> Option<(u64, String)> {
    let (inode, name) = word.split_once('/')?;
    Some((inode.parse().ok()?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes with and without syncing, in the ways that a store does.
    const WRITER: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static int make(const char *name) { int fd = open(name, O_CREAT | O_RDWR, 0600); if (write(fd, "synced", 6) != 6) _exit(1); return fd; }
int main(void) {
    int kept = make("kept"), longer = make("longer"), never = make("never"), renamed = make("renamed.tmp");
    fsync(kept); fdatasync(longer); fsync(renamed);
    int dir = open(".", O_RDONLY); fsync(dir);
    if (write(longer, "lost", 4) != 4) return 1;
    if (rename("renamed.tmp", "renamed") != 0) return 1;
    int nameless = make("nameless"); fsync(nameless);
    sync_file_range(never, 0, 6, SYNC_FILE_RANGE_WRITE);
    return 0;
}
"#;

    #[test]
    fn a_power_cut_leaves_what_was_synced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let shim = Shim::build(dir.path());
        let (source, program, place) =
            (dir.path().join("writer.c"), dir.path().join("writer"), dir.path().join("place"));
        fs::write(&source, format!("#define _GNU_SOURCE\n{WRITER}")).unwrap();
        assert!(Command::new("cc").arg("-o").arg(&program).arg(&source).status().unwrap().success());
        fs::create_dir(&place).unwrap();
        assert!(Command::new(&program).current_dir(&place).envs(shim.env()).status().unwrap().success());

        shim.cut(&place);
        let mut left: Vec<_> =
            fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["kept", "longer", "renamed"]);
        assert_eq!(fs::read(place.join("longer")).unwrap(), b"synced");
    }
}
