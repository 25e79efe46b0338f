//! Many tables: what a first start and the looks after it cost grows with the number of tables, not with its square.
//!
//! Asserted on counts, because times are the machine's: the bytes that Tailwater writes, and the questions that it asks the server.
//! `TAILWATER_TABLES` sets another number, for measuring.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Door, Setup, Tailwater};
use crate::harness::{eventually, holds};
use crate::mysql;
use mysql_async::prelude::Queryable;
use std::fs;
use std::time::{Duration, Instant};
use tailwater::wire::api::v1::SourceState;

const WITHIN: Duration = Duration::from_secs(600);
/// Made by one statement, or in one transaction.
const AT_ONCE: usize = 250;
/// As far as a look goes, and some more.
const WATCHED: Duration = Duration::from_secs(25);
/// What is written of one table until it streams: its records in the journal, its lines in the lock file, its line in a log.
const BYTES_OF_ONE_MAX: u64 = 16 * 1024;
/// Whatever the number of tables. MariaDB is asked for each table's foreign keys, once: its catalogue hides them from who may only read.
const QUESTIONS_MAX: usize = 300;

fn tables() -> usize {
    std::env::var("TAILWATER_TABLES").ok().and_then(|text| text.parse().ok()).unwrap_or(1500)
}

/// A line of a file in `/proc` of the process.
fn proc(tailwater: &Tailwater, file: &str, line: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/{file}", tailwater.pid())).expect("it runs");
    let line = text.lines().find_map(|text| text.strip_prefix(line)).expect("Linux says");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Processor time that the process has used, in hundredths of a second.
fn ticks(tailwater: &Tailwater) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", tailwater.pid())).expect("it runs");
    let fields: Vec<_> = text.rsplit(')').next().expect("a name").split_whitespace().collect();
    [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("a number")).sum()
}

async fn streams(door: &Door, tables: usize) {
    eventually("all tables stream", WITHIN, async || {
        let source = door.source().await?;
        let (streaming, captured) = (source.state() == SourceState::Streaming, source.tables.len());
        holds(streaming && captured == tables, || format!("{:?} {captured} {:?}", source.state(), source.halt))
    })
    .await;
}

/// Starts, streams, looks. `questions`: how many the server was asked so far; `questions_max`: until the tables stream.
async fn start_and_look(setup: &Setup, questions_max: usize, questions: impl AsyncFn() -> usize) {
    let mut tailwater = Tailwater::new(setup);
    let (tables, asked) = (tables(), questions().await);
    let begun = Instant::now();
    tailwater.spawn();
    streams(&tailwater.door(), tables).await;
    let (took, written) = (begun.elapsed(), proc(&tailwater, "io", "wchar: "));
    let asked = questions().await - asked;
    println!("{tables} tables stream after {took:?}: {} MiB written, {asked} questions", written >> 20);
    let (used, asked_before) = (ticks(&tailwater), questions().await);
    tokio::time::sleep(WATCHED).await;
    let (used, looking) = (ticks(&tailwater) - used, questions().await - asked_before);
    println!(
        "looks: {used} % s in {WATCHED:?}, {looking} questions; {} MiB",
        proc(&tailwater, "status", "VmHWM:") >> 10
    );
    assert!(written < tables as u64 * BYTES_OF_ONE_MAX, "{written} bytes");
    assert!(asked < questions_max && looking < QUESTIONS_MAX, "{asked} questions at first, {looking} then");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tables_of_postgresql_cost_each_its_part_and_no_question_of_its_own() {
    let source = Postgres::with_settings("log_statement = all\n").await;
    let numbers: Vec<_> = (0..tables()).collect();
    for some in numbers.chunks(AT_ONCE) {
        let create =
            |n: &usize| format!("CREATE TABLE t{n} (id int PRIMARY KEY, a text DEFAULT 'a', n numeric(10, 2));");
        source.execute_as_owner(&some.iter().map(create).collect::<String>()).await;
    }
    let questions = async || source.log().matches("statement: ").count();
    start_and_look(&Setup::new(&source), QUESTIONS_MAX, questions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tables_of_mysql_and_mariadb_cost_each_its_part_and_no_question_of_its_own() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let source = Server::start(kind).await;
        let mut client = source.client().await;
        for n in 0..tables() {
            let create = format!("CREATE TABLE t{n} (id int PRIMARY KEY, a text, n numeric(10, 2))");
            client.query_drop(create).await.expect("made");
        }
        // When a table was made is known to the second, so one that was made in the second of a look is read once more.
        client.query_drop("DO SLEEP(1.1)").await.expect("a while");
        let questions = async || {
            let rows = source.rows("SHOW GLOBAL STATUS LIKE 'Questions'").await;
            rows[0][1].as_deref().and_then(|text| text.parse().ok()).expect("a number")
        };
        let questions_max = if kind == Kind::Mysql { QUESTIONS_MAX } else { QUESTIONS_MAX + tables() };
        start_and_look(&mysql::setup(&source), questions_max, questions).await;
    }
}
