//! PostgreSQL to a gRPC client, beside `pg_recvlogical` into a file. Every reader has a slot of its own, made before the backlog.

use crate::client::{self, Sums};
use crate::harness::postgres::{DATABASE, OWNER, Postgres};
use crate::harness::tailwater::{Setup, Tailwater};
use crate::meter::{self, Measured};
use crate::{Outcome, ROWS, Size, workload};
use std::process::Command;
use std::time::Instant;

pub const SETTINGS: &str = "shared_buffers = 256MB\nmax_wal_size = 16GB\ncheckpoint_timeout = 1h\n";
const PROGRAM: &str = "/usr/lib/postgresql/15/bin/pg_recvlogical";

pub async fn run(size: &Size) -> Outcome {
    let postgres = Postgres::with_settings(SETTINGS).await;
    postgres.execute_as_owner(&workload::create("timestamptz", "timestamp")).await;
    postgres.execute("CREATE PUBLICATION raw FOR TABLE orders").await;
    let mut readers = Vec::new();
    for turn in 0..size.turns {
        postgres.execute(&format!("SELECT pg_create_logical_replication_slot('raw_{turn}', 'pgoutput')")).await;
        let mut setup = Setup::new(&postgres);
        setup.system += &format!("slot: tailwater_{turn}\npublication: tailwater_{turn}\n");
        let mut tailwater = Tailwater::start(setup).await;
        assert!(tailwater.stop().success());
        readers.push(tailwater);
    }
    backlog(&postgres, size).await;
    postgres.execute("CHECKPOINT").await;
    let end = postgres.text("SELECT pg_current_wal_insert_lsn()").await.expect("an LSN");
    let expected = sums(&postgres).await;
    let mut turns = Vec::new();
    for (turn, mut tailwater) in readers.into_iter().enumerate() {
        let file = tailwater.dir().join("raw");
        let mut peer = || {
            let measured = meter::run(
                Command::new(PROGRAM)
                    .arg("-h")
                    .arg(postgres.socket_dir())
                    .args(["-p", &postgres.port().to_string(), "-U", "postgres", "-d", DATABASE])
                    .args(["--slot", &format!("raw_{turn}"), "--start", "--no-loop", "--endpos", &end])
                    .args(["-o", "proto_version=1", "-o", "publication_names=raw", "-f"])
                    .arg(&file),
            );
            let bytes = std::fs::metadata(&file).expect("it was written").len();
            assert!(bytes > size.changes() * 50, "{bytes} bytes");
            std::fs::remove_file(&file).expect("it is ours");
            measured
        };
        let before = (turn % 2 == 0).then(&mut peer);
        let ours = drain(&mut tailwater, size, &expected).await;
        let peer = before.unwrap_or_else(peer);
        turns.push((peer, ours));
    }
    Outcome { what: "PostgreSQL to a gRPC client that decodes every row", peer: "pg_recvlogical to a file", turns }
}

/// From the start of the process until the client has every change.
pub async fn drain(tailwater: &mut Tailwater, size: &Size, expected: &Sums) -> Measured {
    let started = Instant::now();
    tailwater.spawn();
    let sums = client::read(&tailwater.door(), size.changes()).await;
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(&sums, expected);
    let (cpu_seconds, peak_bytes) = meter::usage(tailwater.pid()).expect("it runs");
    tailwater.kill();
    Measured { seconds, cpu_seconds, peak_bytes }
}

pub async fn backlog(postgres: &Postgres, size: &Size) {
    let client = postgres.socket().connect(OWNER, DATABASE).await.expect("the server accepts the owner");
    client.batch_execute("SET synchronous_commit = off").await.expect("a setting");
    for round in 0..size.rounds {
        let insert = workload::insert(round, "generate_series($first, $last) n")
            .replace("'2026-06-17 14:22:00.123456'", "timestamptz '2026-06-17 14:22:00.123456'")
            .replace("'2026-06-17 14:22:00.5'", "timestamp '2026-06-17 14:22:00.5'");
        client.batch_execute(&insert).await.expect("rows");
        client.batch_execute(&workload::update(round)).await.expect("rows");
    }
}

async fn sums(postgres: &Postgres) -> Sums {
    let row = postgres.rows(workload::SUMS).await.remove(0);
    of(&row)
}

pub fn of(row: &[Option<String>]) -> Sums {
    let number = |at: usize| row[at].as_deref().and_then(|text| text.parse::<i128>().ok()).expect("a sum");
    let rows = u64::try_from(number(0)).expect("a count");
    assert_eq!(rows % ROWS, 0);
    Sums { inserts: rows, updates: rows, ids: number(1), cents: number(2) }
}
