//! Random tables of MySQL and MariaDB: `verify` reads the server itself, so it is the judge of copy, stream and target; and a
//! subscriber's rows of the stream are those of the copy.

use super::postgres::text;
use crate::harness::follower::{Follower, Kind as Follow};
use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::replica::{Replica, Table};
use crate::harness::tailwater::Tailwater;
use crate::harness::warehouse::ready;
use crate::harness::{eventually, holds, seed};
use crate::mysql_target;
use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(120);
const TABLES: usize = 8;
const ROWS: usize = 160;

const TYPES: &[&str] = &[
    "tinyint",
    "tinyint unsigned",
    "smallint",
    "mediumint",
    "mediumint unsigned",
    "int",
    "int unsigned",
    "int(7) zerofill",
    "bigint",
    "bigint unsigned",
    "decimal(12,3)",
    "decimal(65,30)",
    "decimal(5,5)",
    "decimal(9,2) zerofill",
    "float",
    "double",
    "bit(1)",
    "bit(13)",
    "bit(64)",
    "year",
    "date",
    "time",
    "time(4)",
    "datetime",
    "datetime(6)",
    "timestamp NULL",
    "timestamp(1) NULL",
    "char(9)",
    "varchar(40)",
    "varchar(40) CHARACTER SET latin1",
    "char(20) CHARACTER SET utf16",
    "text",
    "longtext CHARACTER SET koi8r",
    "binary(5)",
    "varbinary(300)",
    "blob",
    "enum('a','b''c','ü')",
    "set('x','y','z')",
    "json",
    "point",
];

/// Of every way in which keys sort and compare.
const KEYS: &[&str] = &[
    "int",
    "bigint unsigned",
    "varchar(40)",
    "varbinary(300)",
    "date",
    "datetime(6)",
    "decimal(12,3)",
    "char(9)",
    "time(4)",
];

fn cell(declared: &str, nullable: bool, random: &mut StdRng) -> String {
    if nullable && random.random_ratio(1, 8) {
        return "NULL".to_owned();
    }
    let word = declared.split([' ', '(']).next().unwrap_or_default();
    let unsigned = declared.contains("unsigned") || declared.contains("zerofill");
    let integer = |bits: u32, random: &mut StdRng| {
        let value = random.random::<u64>() >> (64 - bits);
        let value =
            if random.random_ratio(1, 4) { [0, (1 << (bits - 1)) - 1][random.random_range(0..2)] } else { value };
        if unsigned { value.to_string() } else { ((value as i128) - (1_i128 << (bits - 1))).to_string() }
    };
    let sign = if unsigned || random.random_bool(0.5) { "" } else { "-" };
    match word {
        "tinyint" => integer(8, random),
        "smallint" => integer(16, random),
        "mediumint" => integer(24, random),
        "int" => integer(32, random),
        "bigint" => integer(64, random),
        "decimal" => match declared {
            "decimal(65,30)" => format!("{sign}{}.{}", random.random::<u64>(), random.random::<u64>()),
            "decimal(5,5)" => format!("{sign}0.{:05}", random.random_range(0..100_000)),
            _ => format!("{sign}{}.{:02}", random.random_range(0..9_999_999), random.random_range(0..100)),
        },
        "float" => format!("{:e}", f32::from_bits(random.random::<u32>() & 0xBF7F_FFFF)),
        "double" => format!("{:e}", f64::from_bits(random.random::<u64>() & 0xFFCF_FFFF_FFFF_FFFF)),
        "bit" => {
            let bits = declared[4..declared.len() - 1].parse::<u32>().expect("a length");
            (random.random::<u64>() >> (64 - bits)).to_string()
        }
        "year" => random.random_range(1901..=2155).to_string(),
        "date" => format!("'{}'", day(1, 9999, random)),
        "time" => {
            let hours = random.random_range(0..838);
            format!("'{sign}{hours:02}:{}'", &clock(random)[3..])
        }
        "datetime" => format!("'{} {}'", day(1, 9998, random), clock(random)),
        "timestamp" => format!("'{} {}'", day(1971, 2037, random), clock(random)),
        "char" | "varchar" | "text" | "longtext" => {
            let length = if word == "char" { 9 } else { 30 };
            let mut text = text(random, length);
            if declared.contains("latin1") || declared.contains("koi8r") {
                text.retain(|c| c.is_ascii());
                text += if declared.contains("latin1") { "ß€" } else { "Пж" };
            }
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
        }
        "binary" => hex(5, random),
        "varbinary" | "blob" => hex(random.random_range(0..30), random),
        "enum" => ["'a'", "'b''c'", "'ü'"][random.random_range(0..3)].to_owned(),
        "set" => ["''", "'x'", "'x,z'", "'x,y,z'"][random.random_range(0..4)].to_owned(),
        "json" => {
            let (a, b) = (random.random::<i64>(), serde_json::Value::from(text(random, 9)).to_string());
            format!(
                "'{}'",
                format!("{{\"k\": [{a}, 1.25, {b}], \"a\": null}}").replace('\\', "\\\\").replace('\'', "''")
            )
        }
        "point" => format!("ST_GeomFromText('POINT({} {})')", random.random_range(-90..90), random.random::<f32>()),
        other => panic!("no values of {other}"),
    }
}

fn day(from: u32, to: u32, random: &mut StdRng) -> String {
    format!(
        "{:04}-{:02}-{:02}",
        random.random_range(from..=to),
        random.random_range(1..=12),
        random.random_range(1..=28)
    )
}

fn clock(random: &mut StdRng) -> String {
    let fraction = ["", ".5", ".000001", ".123456"][random.random_range(0..4)];
    format!(
        "{:02}:{:02}:{:02}{fraction}",
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(0..60)
    )
}

fn hex(bytes: usize, random: &mut StdRng) -> String {
    format!("x'{}'", (0..bytes).map(|_| format!("{:02X}", random.random::<u8>())).collect::<String>())
}

/// Two tables of the same columns: one filled before the copy, one while it is followed, with the same rows.
async fn judge(kind: Kind) {
    let mut random = StdRng::seed_from_u64(seed());
    let (server, warehouse) = (Server::start(kind).await, Postgres::start().await);
    let mut client = server.client().await;
    let mut inserts = Vec::new();
    for number in 0..TABLES {
        let keys = if number % 4 == 3 { 0 } else { random.random_range(1..=2) };
        let mut columns: Vec<_> = (0..keys).map(|_| (*KEYS.choose(&mut random).expect("some"), false)).collect();
        columns.extend((0..random.random_range(5..12)).map(|_| (*TYPES.choose(&mut random).expect("some"), true)));
        let declared = columns
            .iter()
            .enumerate()
            .map(|(at, (declared, nullable))| format!("c{at} {declared}{}", if *nullable { "" } else { " NOT NULL" }));
        let key = (0..keys).map(|at| format!("c{at}")).collect::<Vec<_>>().join(", ");
        let key = if keys > 0 { format!(", PRIMARY KEY ({key})") } else { String::new() };
        let declared = declared.collect::<Vec<_>>().join(", ");
        for name in [format!("before{number}"), format!("after{number}")] {
            server.execute(&format!("CREATE TABLE {name} (n int, {declared}{key})")).await;
        }
        for n in 0..ROWS {
            let cells = columns.iter().map(|(declared, nullable)| cell(declared, *nullable, &mut random));
            let values = format!("VALUES ({n}, {})", cells.collect::<Vec<_>>().join(", "));
            // Equal keys come by chance.
            client.query_drop(format!("INSERT IGNORE INTO before{number} {values}")).await.expect("a row");
            inserts.push(format!("INSERT IGNORE INTO after{number} {values}"));
        }
        inserts.push(format!("DELETE FROM after{number} WHERE n NOT IN (SELECT n FROM before{number})"));
    }
    let tailwater = Tailwater::start(mysql_target::setup(&server, &warehouse)).await;
    let follower = Follower::start_with(tailwater.door(), Follow::Ephemeral, Replica::of_filled_tables());
    let names: Vec<_> = (0..TABLES).flat_map(|number| [format!("before{number}"), format!("after{number}")]).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    ready(&tailwater.door(), &names, WITHIN).await;
    for sql in &inserts {
        client.query_drop(sql.as_str()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    // There and back: the images of updates are those of inserts.
    for number in 0..TABLES {
        client.query_drop(format!("UPDATE after{number} SET n = n + 100000")).await.expect("an update");
        client.query_drop(format!("UPDATE after{number} SET n = n - 100000")).await.expect("an update");
    }
    let (equal, report) = mysql_target::verify(&tailwater, &[]);
    assert!(equal, "{report:#}");
    let sequence = tailwater.door().status().await.expect("it answers").journal.expect("a journal").sequence;
    eventually("the subscriber has it all", WITHIN, async || {
        holds(follower.look(Replica::last_sequence) >= sequence, || follower.last_error().unwrap_or_default())
    })
    .await;
    let replica = follower.stop().await;
    let mut rows = 0;
    for number in 0..TABLES {
        let of = |name: &str| {
            let mut found: Vec<_> = match &replica.tables[&format!("erp.crm.{name}{number}")] {
                Table::Keyed(rows) => rows.values().map(|row| row.values().cloned().collect::<Vec<_>>()).collect(),
                Table::Bag(rows) => rows
                    .iter()
                    .flat_map(|(row, times)| vec![row.values().cloned().collect::<Vec<_>>(); *times])
                    .collect(),
            };
            found.sort();
            found
        };
        let (copied, streamed) = (of("before"), of("after"));
        assert_eq!(copied, streamed, "table {number}");
        rows += copied.len() + streamed.len();
    }
    println!("{kind:?}: {rows} rows");
    assert!(rows >= 2_000, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_stream_and_target_hold_what_mysql_holds() {
    judge(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_stream_and_target_hold_what_mariadb_holds() {
    judge(Kind::Mariadb).await;
}
