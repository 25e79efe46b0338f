//! Random statements on real servers, where the server itself is the judge: what a statement did to the rows is compared with
//! what was found in its log. A table whose rows or values changed without row events must have been found.
//!
//! Each statement runs in a session of its own, under a random sql_mode, character set and other settings. The seed is printed.

mod charsets;
mod grammar;
mod log;
mod tables;
mod verdict;
mod wire;

use crate::harness::mysql::{Kind, Server};
use crate::harness::rng::Rng;
use crate::harness::seed;
use grammar::{Grammar, Mode};
use std::collections::BTreeMap;
use std::path::Path;
use tailwater::decode::mysql::table_map::Dialect;
use tailwater::decode::mysql::types::Charsets;
use wire::Client;

/// Statements that have to be logged, of each server.
const STATEMENTS: usize = 300;
/// Attempts until the tables are made again.
const ROUND: u64 = 8;

const MODES: &[&str] = &[
    "",
    "",
    "STRICT_TRANS_TABLES",
    "STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE",
    "NO_ZERO_DATE",
    "ANSI_QUOTES",
    "NO_BACKSLASH_ESCAPES",
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
    "PAD_CHAR_TO_FULL_LENGTH",
    "TRADITIONAL",
    "ANSI",
];
const OF_MARIADB: &[&str] = &["ORACLE", "MSSQL", "EMPTY_STRING_IS_NULL"];

struct Judge {
    socket: String,
    log: log::Log,
    root: Client,
    mariadb: bool,
    encoder: charsets::Encoder,
    charsets: Charsets,
    seed: u64,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    attempts: u64,
    logged: usize,
    refused: usize,
    unlogged: usize,
    /// By the statement's first word: logged, refused.
    kinds: BTreeMap<String, (usize, usize)>,
    unchanged: usize,
    copied_for_nothing: usize,
    missed: Vec<String>,
}

/// A statement and the session that it runs in.
struct Attempt {
    sql_mode: &'static str,
    charset: &'static str,
    settings: String,
    utf8: String,
    bytes: Vec<u8>,
}

impl Judge {
    fn of(socket: &Path, directory: &Path, seed: u64) -> Self {
        let socket = socket.display().to_string();
        let mut root = Client::connect(&socket);
        root.must("SET sql_log_bin = 0, foreign_key_checks = 0, sql_mode = '', time_zone = '+00:00'");
        root.must("SET NAMES utf8mb4");
        let version = root.must("SELECT VERSION()")[0][0].clone().expect("a version");
        let mariadb = String::from_utf8_lossy(&version).contains("MariaDB");
        let (encoder, charsets) = charsets::learn(&mut root, mariadb);
        let log = log::Log::of(directory);
        Self { socket, log, root, mariadb, encoder, charsets, seed, tally: Tally::default() }
    }

    /// Until so many statements were logged.
    fn run(mut self, statements: usize) -> Tally {
        let mut before = None;
        while self.tally.logged < statements {
            self.tally.attempts += 1;
            if self.tally.attempts % ROUND == 1 {
                tables::make(&mut self.root, self.mariadb);
                before = None;
            }
            let seen = before.take().unwrap_or_else(|| tables::picture(&mut self.root));
            let mut rng = Rng::of(self.seed.wrapping_mul(1_000_003).wrapping_add(self.tally.attempts));
            rng.next();
            before = Some(match self.attempt(&mut rng) {
                Some(attempt) => self.judge(&attempt, &seen, &mut rng),
                None => seen,
            });
        }
        self.tally
    }

    /// `None`: the character set has not all of the statement's characters.
    fn attempt(&self, rng: &mut Rng) -> Option<Attempt> {
        let mariadb = self.mariadb;
        let sql_mode = if mariadb && rng.one_in(8) { rng.pick(OF_MARIADB) } else { rng.pick(MODES) };
        let charset = if rng.one_in(2) { "utf8mb4" } else { rng.pick(charsets::CLIENTS) };
        let charset = if mariadb && charset == "gb18030" { "gbk" } else { charset };
        let mode = Mode {
            mariadb,
            ansi_quotes: ["ANSI", "ORACLE", "MSSQL"].iter().any(|mode| sql_mode.contains(mode)),
            no_backslash_escapes: sql_mode.contains("NO_BACKSLASH"),
            brackets: sql_mode == "MSSQL",
            space: if charset == "latin1" { "\u{a0}" } else { " " },
        };
        let utf8 = Grammar { rng, mode }.statement();
        let plain = (charset == "utf8mb4").then(|| utf8.clone().into_bytes());
        let bytes = self.encoder.encode(charset, &utf8).or(plain)?;
        Some(Attempt { sql_mode, charset, settings: self.settings(rng), utf8, bytes })
    }

    fn settings(&self, rng: &mut Rng) -> String {
        let mut set = format!(
            "SET SESSION time_zone = '+00:00', foreign_key_checks = {}, unique_checks = {}, lock_wait_timeout = 5",
            rng.below(3).min(1),
            rng.below(4).min(1)
        );
        if rng.one_in(3) {
            set += &format!(", div_precision_increment = {}", rng.below(20));
        }
        if rng.one_in(3) {
            set += if self.mariadb { ", alter_algorithm = 'COPY'" } else { ", old_alter_table = ON" };
        }
        if rng.one_in(6) {
            set += ", binlog_format = 'STATEMENT'";
        }
        if self.mariadb && rng.one_in(6) {
            set += ", system_versioning_alter_history = KEEP";
        }
        if self.mariadb && rng.one_in(10) {
            set += ", binlog_alter_two_phase = ON";
        }
        set
    }

    /// Runs it and compares; gives how the tables look afterwards.
    fn judge(&mut self, attempt: &Attempt, before: &tables::Pictures, rng: &mut Rng) -> tables::Pictures {
        let place = self.log.place();
        let result = execute(&self.socket, attempt, rng);
        let logged = self.log.since(place);
        let after = tables::picture(&mut self.root);
        let dialect = if self.mariadb { Dialect::Mariadb } else { Dialect::Mysql };
        let found = verdict::find(&logged, dialect, &self.charsets);
        self.tally.count(attempt, result.is_ok(), logged.queries.is_empty());
        let missed = verdict::missed(before, &after, &logged, &found);
        if !missed.is_empty() || !found.wrong.is_empty() {
            let Attempt { sql_mode, charset, settings, utf8, .. } = attempt;
            let number = self.tally.attempts;
            self.tally.missed.push(format!(
                "{missed:?} {:?} attempt {number} [{sql_mode}] [{charset}] {settings}\n  {utf8:?}\n  found: {:?}",
                found.wrong, found.effects
            ));
        }
        if result.is_ok() && *before == after && !logged.queries.is_empty() && logged.rows.is_empty() {
            self.tally.unchanged += 1;
            self.tally.copied_for_nothing += verdict::needless(before, &after, &found).len().min(1);
        }
        after
    }
}

/// One in ten is prepared under other settings than it is executed under.
fn execute(socket: &str, attempt: &Attempt, rng: &mut Rng) -> Result<Vec<wire::Row>, String> {
    let Attempt { sql_mode, charset, settings, bytes, .. } = attempt;
    let mut client = Client::connect(socket);
    client.must(settings);
    client.must("USE crm");
    client.must(&format!("SET NAMES {charset}"));
    client.must(&format!("SET sql_mode = '{sql_mode}'"));
    if !rng.one_in(10) {
        return client.query(bytes);
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    client.must(&format!("SET @q = CONVERT(x'{hex}' USING {charset})"));
    let other = rng.pick(MODES);
    client.query(b"PREPARE s FROM @q")?;
    client.must(&format!("SET sql_mode = '{other}'"));
    if *charset == "utf8mb4" {
        client.must(&format!("SET NAMES {}", rng.pick(&["utf8mb4", "latin1", "gbk", "sjis"])));
    }
    client.query(b"EXECUTE s")
}

impl Tally {
    fn count(&mut self, attempt: &Attempt, succeeded: bool, unlogged: bool) {
        let words = attempt.utf8.replace('(', " ");
        let is_word = |word: &&str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let kind = words.split_whitespace().find(is_word).unwrap_or_default().to_uppercase();
        match (succeeded, unlogged) {
            (false, _) => {
                self.refused += 1;
                self.kinds.entry(kind).or_default().1 += 1;
            }
            (true, true) => self.unlogged += 1,
            (true, false) => {
                self.logged += 1;
                self.kinds.entry(kind).or_default().0 += 1;
            }
        }
    }
}

async fn nothing_is_missed(kind: Kind) {
    let (server, seed) = (Server::start(kind).await, seed());
    let (socket, directory) = (server.socket(), server.directory().to_owned());
    let statements = crate::harness::rounds(STATEMENTS);
    let judged = tokio::task::spawn_blocking(move || Judge::of(&socket, &directory, seed).run(statements));
    let tally = judged.await.expect("it ran");
    println!(
        "{kind:?}, seed {seed}: {} attempts, {} logged, {} refused, {} not logged; logged and refused by kind: {:?}; \
         of {} that changed nothing {} would be copied",
        tally.attempts,
        tally.logged,
        tally.refused,
        tally.unlogged,
        tally.kinds,
        tally.unchanged,
        tally.copied_for_nothing
    );
    assert!(tally.missed.is_empty(), "{kind:?}, seed {seed}:\n{}", tally.missed.join("\n"));
    assert!(tally.logged >= statements && tally.kinds.len() > 5, "hardly anything was judged");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_mysql_changes_rows_unseen() {
    nothing_is_missed(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_mariadb_changes_rows_unseen() {
    nothing_is_missed(Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_mariadb_11_8_changes_rows_unseen() {
    nothing_is_missed(Kind::MariadbNewer).await;
}
