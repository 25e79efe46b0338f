//! The command line as scripts use it: what it prints, its exit codes.

use crate::harness::follower::{Follower, Kind};
use crate::harness::load::{create_tables, mark};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{BINARY, Setup, Tailwater};
use crate::harness::{eventually, holds};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(30);

/// The keys of a line of `subscribe --format json`, in their order. Append-only.
const LINE_KEYS: [&str; 13] = [
    "event_type",
    "source_system",
    "table",
    "op",
    "key",
    "before",
    "after",
    "updated_fields",
    "timestamp",
    "position",
    "sequence",
    "transaction",
    "cursor",
];

/// One order inserted, updated, moved to another key and deleted, in four transactions, and all of it delivered.
async fn running() -> (Postgres, Tailwater) {
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let tailwater = Tailwater::start(Setup::new(&postgres)).await;
    for sql in [
        "INSERT INTO orders VALUES (9007199254740993, 7, 'new', 12.50, true, '2024-02-29', '2026-06-17 14:22:00')",
        "UPDATE orders SET status = NULL",
        "UPDATE orders SET id = 8",
        "DELETE FROM orders",
        r#"INSERT INTO "Order Lines" VALUES (1, 'a', 1, 'b', 'c')"#,
    ] {
        postgres.execute_as_owner(sql).await;
    }
    let follower = Follower::start(tailwater.door(), Kind::Ephemeral);
    follower.reaches(&mark(&postgres).await, WITHIN).await;
    (postgres, tailwater)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribe_prints_one_object_a_change_with_the_documented_keys() {
    let (_postgres, tailwater) = running().await;
    let subscribe = ["subscribe", "--table", "erp.public.orders", "--from", "earliest", "--format", "json"];
    let output = tailwater.cli(&[&subscribe[..], &["--limit", "4"]].concat());
    assert!(output.status.success(), "{}", text(&output));
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let places: Vec<_> = LINE_KEYS.iter().map(|key| line.find(&format!("\"{key}\":"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{line}");
    }
    let lines = lines(&output);
    let ops: Vec<_> = lines.iter().map(|line| line["op"].as_str().unwrap_or_default()).collect();
    assert_eq!(ops, ["INSERT", "UPDATE", "UPDATE", "DELETE"]);

    let [insert, update, moved, delete] = &lines[..] else { panic!("four changes, not {}", lines.len()) };
    assert_eq!(insert["event_type"], "erp.public.orders.inserted");
    assert_eq!(insert["key"], json!({"id": "9007199254740993"}), "64 bits are text");
    assert_eq!(insert["after"]["amount"], "12.50");
    assert_eq!(insert["before"], Value::Null);
    assert_eq!(update["after"].get("status"), Some(&Value::Null), "null is told, not left out");
    assert_eq!((&moved["before"]["id"], &moved["after"]["id"]), (&json!("9007199254740993"), &json!("8")));
    assert_eq!((&delete["key"], &delete["after"]), (&json!({"id": "8"}), &Value::Null));

    // A line's cursor continues strictly after its transaction.
    let cursor = update["cursor"].as_str().expect("a cursor is text");
    let after = ["subscribe", "--table", "erp.public.orders", "--from", cursor, "--format", "json", "--limit", "2"];
    let rest = self::lines(&tailwater.cli(&after));
    assert_eq!(rest, lines[2..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_subscription_goes_on_where_it_was() {
    let (_postgres, tailwater) = running().await;
    let part = |limit| {
        let name = ["--subscription", "printer", "--format", "json", "--limit", limit];
        lines(
            &tailwater.cli(&[&["subscribe", "--table", "erp.public.orders", "--from", "earliest"], &name[..]].concat()),
        )
    };
    let ops: Vec<_> = [part("1"), part("2"), part("1")].concat().iter().map(|line| line["op"].clone()).collect();
    assert_eq!(ops, ["INSERT", "UPDATE", "UPDATE", "DELETE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_proto_files_compile_and_hold_every_table() {
    let (_postgres, tailwater) = running().await;
    let folder = tailwater.dir().join("proto");
    let output = tailwater.cli(&["proto", "--out", folder.to_str().expect("temporary paths are UTF-8")]);
    assert!(output.status.success(), "{}", text(&output));
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let files: Vec<_> =
        listed.lines().map(|path| path.strip_prefix(&format!("{}/", folder.display())).expect("below it")).collect();
    let compiled = protox::compile(&files, [&folder]).unwrap_or_else(|error| panic!("{error:?}"));
    let messages: Vec<_> =
        compiled.file.iter().flat_map(|file| file.message_type.iter().map(|message| message.name())).collect();
    for message in ["Orders", "OrderLines", "Ledger", "Items"] {
        assert!(messages.contains(&message), "{message} is not in {messages:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_it_all_as_json() {
    let (_postgres, tailwater) = running().await;
    let status = tailwater.status_json();
    for key in ["version", "started", "policy", "journal", "sources", "subscriptions", "warnings"] {
        assert!(status.get(key).is_some(), "{key} is not in {status}");
    }
    assert_eq!(status["journal"]["epoch"].as_str().map(str::len), Some(32));
    let source = &status["sources"][0];
    assert_eq!((&source["system"], &source["kind"]), (&json!("erp"), &json!("postgres")));
    assert_eq!(source["state"], "SOURCE_STATE_STREAMING");
    let identity = |table: &str| {
        let tables = source["tables"].as_array().expect("a list");
        let found = tables.iter().find(|known| known["table"] == table);
        found.map(|known| known["identity"].clone()).unwrap_or_else(|| panic!("{table} is not in {tables:?}"))
    };
    assert_eq!([identity("orders"), identity("audit"), identity("events")], ["key", "full", "none"]);
    assert!(tailwater.cli(&["status"]).status.success(), "nothing is wrong");
}

#[test]
fn explain_says_what_why_evidence_and_next() {
    let output = Command::new(BINARY).args(["explain", "tw-cfg-016"]).output().expect("the binary is built");
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for part in ["TW-CFG-016", "Why:", "Evidence:", "Next:"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let output = Command::new(BINARY).args(["explain", "TW-CFG-999"]).output().expect("the binary is built");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn tokens_are_random_and_come_with_their_hash() {
    let token = || {
        let output = Command::new(BINARY).args(["token", "--json"]).output().expect("the binary is built");
        serde_json::from_slice::<Value>(&output.stdout).expect("one JSON object")
    };
    let (one, other) = (token(), token());
    assert_ne!(one["token"], other["token"]);
    assert!(one["token"].as_str().is_some_and(|token| token.len() >= 43), "256 bits: {one}");
    assert!(one["token_hash"].as_str().is_some_and(|hash| hash.starts_with("sha256:")), "{one}");
}

#[test]
fn every_mistake_in_a_config_is_told_with_its_place_and_what_was_meant() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("tailwater.yaml");
    let config = "version: 1\ndata_dir: data\nsystems:\n  erp:\n    kind: postgres\n    hots: localhost\n    user: u\n    \
                  database: d\n    tables: {include: [\"*\"]}\nserver:\n  grpc: nowhere\n";
    std::fs::write(&path, config).expect("the directory is ours");
    let output = Command::new(BINARY).args(["run", "--config"]).arg(&path).output().expect("the binary is built");
    let text = text(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(&format!("{}:6:5: TW-CFG-", path.display())), "{text}");
    assert!(text.contains("did you mean `host`?"), "{text}");
    assert!(text.contains(&format!("{}:11:9: TW-CFG-", path.display())), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_what_is_wrong_before_the_start_and_what_halted_after_it() {
    let postgres = Postgres::start().await;
    create_tables(&postgres).await;
    let mut setup = Setup::new(&postgres);
    setup.tables.push("sales.*".into());
    let mut tailwater = Tailwater::new(&setup);

    let fresh = tailwater.cli(&["check", "--json"]);
    let report: Value =
        serde_json::from_slice(&fresh.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&fresh)));
    let pattern = find(&report, "TW-SRC-029");
    assert_eq!((&pattern["severity"], &pattern["place"]), (&json!("warning"), &json!("erp")));
    assert_eq!((fresh.status.code(), &report["errors"]), (Some(0), &json!(0)), "{report:#}");

    tailwater.up().await;
    let running = tailwater.cli(&["check"]);
    assert_eq!(running.status.code(), Some(0), "its own slot and listeners are no finding: {}", text(&running));

    // The side connection notices within its ten seconds.
    postgres.execute("ALTER PUBLICATION tailwater_erp DROP TABLE orders").await;
    eventually("the table halts", WITHIN, async || {
        let output = tailwater.cli(&["check", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let halted = find(&report, "TW-SRC-016");
        holds(halted["severity"] == "error" && output.status.code() == Some(1), || text(&output))
    })
    .await;

    tailwater.kill();
    std::fs::remove_dir_all(tailwater.data_dir()).expect("it is ours");
    let lost = tailwater.cli(&["check"]);
    assert_eq!(lost.status.code(), Some(1));
    for part in ["error erp: TW-SRC-014", "sql: SELECT pg_drop_replication_slot('tailwater_erp');", "1 errors"] {
        assert!(text(&lost).contains(part), "{part} is not in: {}", text(&lost));
    }
}

/// The finding with this code; null when there is none.
fn find<'a>(report: &'a Value, code: &str) -> &'a Value {
    let found = report["findings"].as_array().and_then(|list| list.iter().find(|finding| finding["code"] == code));
    found.unwrap_or(&Value::Null)
}
