//! The binary log's file: what was written behind a place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub struct Log {
    dir: PathBuf,
}

pub struct Query {
    pub status: Vec<u8>,
    pub schema: Vec<u8>,
    pub text: Vec<u8>,
    /// Row events come before the transaction's end.
    pub rows_follow: bool,
}

#[derive(Default)]
pub struct Logged {
    pub queries: Vec<Query>,
    /// `schema.table` of tables that have row events.
    pub rows: BTreeSet<String>,
}

impl Log {
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.join("data") }
    }

    fn file(&self) -> PathBuf {
        let names = fs::read_dir(&self.dir).expect("it is there").flatten().map(|entry| entry.path());
        let is_log = |path: &PathBuf| {
            let name = path.file_name().expect("the server answers so").to_string_lossy().into_owned();
            name.strip_prefix("binlog.")
                .is_some_and(|end| end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_digit()))
        };
        names.filter(is_log).max().expect("there is a log")
    }

    pub fn place(&self) -> u64 {
        fs::metadata(self.file()).expect("it is there").len()
    }

    pub fn since(&self, place: u64) -> Logged {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = fs::File::open(self.file()).expect("it is there");
        file.seek(SeekFrom::Start(place)).expect("it is there");
        let mut data = Vec::new();
        file.read_to_end(&mut data).expect("it can be read");
        let (mut rest, mut logged) = (&data[..], Logged::default());
        let mut mapped = std::collections::HashMap::new();
        while rest.len() >= 19 {
            let size = u32::from_le_bytes(rest[9..13].try_into().expect("the server answers so")) as usize;
            let (event, behind) = rest.split_at(size);
            rest = behind;
            let (kind, body) = (event[4], &event[19..size - 4]);
            match kind {
                2 => logged.queries.push(query(body)),
                19 => {
                    let id = body[..6].to_vec();
                    let schema = usize::from(body[8]);
                    let table = usize::from(body[10 + schema]);
                    let name = [&body[9..9 + schema], b".", &body[11 + schema..11 + schema + table]].concat();
                    mapped.insert(id, String::from_utf8_lossy(&name).into_owned());
                }
                23..=25 | 30..=32 => {
                    if let Some(name) = mapped.get(&body[..6]) {
                        logged.rows.insert(name.clone());
                    }
                    if let Some(last) = logged.queries.last_mut() {
                        last.rows_follow = true;
                    }
                }
                _ => {}
            }
        }
        logged
    }
}

fn query(body: &[u8]) -> Query {
    let schema = usize::from(body[8]);
    let status = usize::from(u16::from_le_bytes([body[11], body[12]]));
    let rest = &body[13..];
    Query {
        status: rest[..status].to_vec(),
        schema: rest[status..status + schema].to_vec(),
        text: rest[status + schema + 1..].to_vec(),
        rows_follow: false,
    }
}
