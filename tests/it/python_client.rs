//! Any language: a client generated in Python from what `tailwater proto` prints replays the stream, and holds what the source
//! holds. Generated with Debian's protoc and its gRPC plugin.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Setup, Tailwater};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's own, whatever else is in PATH: it has grpcio.
const PYTHON: &str = "/usr/bin/python3";

fn generated(tailwater: &Tailwater) -> PathBuf {
    let folder = tailwater.dir().join("proto");
    let output = tailwater.cli(&["proto", "--out", folder.to_str().expect("temporary paths are UTF-8")]);
    assert!(output.status.success(), "{output:?}");
    let files = String::from_utf8(output.stdout).expect("paths");
    let modules = tailwater.dir().join("modules");
    std::fs::create_dir(&modules).expect("the folder is ours");
    let output = Command::new("protoc")
        .arg(format!("-I{}", folder.display()))
        .arg(format!("--python_out={}", modules.display()))
        .arg(format!("--grpc_out={}", modules.display()))
        .arg("--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin")
        .args(files.lines())
        .output()
        .expect("deploy/setup.sh installs protobuf-compiler");
    assert!(output.status.success() && output.stderr.is_empty(), "protoc: {}", String::from_utf8_lossy(&output.stderr));
    modules
}

/// Rows as the client prints them, in the order of their text.
fn replayed(tailwater: &Tailwater, last: &str) -> Vec<String> {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/replay.py");
    let door = tailwater.door();
    let mut child = Command::new(PYTHON)
        .arg(client)
        .args([generated(tailwater).display().to_string(), door.port().to_string(), last.to_owned()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("deploy/setup.sh installs python3-grpcio");
    child.stdin.take().expect("it is piped").write_all(door.operator_token().as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ran");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rows: Vec<_> = String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_python_client_replays_postgres() {
    let source = Postgres::start().await;
    source
        .execute_as_owner(
            "CREATE TABLE ledger (entry text PRIMARY KEY); \
             CREATE TABLE orders (id bigint PRIMARY KEY, paid boolean, amount numeric(12,2), due date, at timestamp, tags text[], \
             raw bytea, doc json, note text)",
        )
        .await;
    let tailwater = Tailwater::start(Setup::new(&source)).await;
    source
        .execute_as_owner(
            "INSERT INTO orders SELECT n, n % 2 = 0, n * 1.25, DATE '2026-01-01' + n, TIMESTAMP '2026-01-01 10:00:00.25' + n * \
             interval '1 hour', ARRAY['a', NULL, n::text], decode(lpad(n::text, 4, '0'), 'hex'), '{\"n\": 1}', repeat('x', n) \
             FROM generate_series(1, 300) n; \
             UPDATE orders SET amount = 'NaN', note = NULL WHERE id % 3 = 0; UPDATE orders SET id = -id WHERE id % 5 = 0; \
             DELETE FROM orders WHERE id % 7 = 0; UPDATE orders SET due = 'infinity' WHERE id = 1; \
             INSERT INTO ledger VALUES ('last')",
        )
        .await;
    let columns = ["amount", "at", "doc", "due", "id", "note", "paid", "raw", "tags"];
    let cell = |name: &&str| {
        format!("'{name}=' || CASE '{name}' WHEN 'paid' THEN left({name}::text, 1) ELSE {name}::text END")
    };
    let row = columns.iter().map(cell).collect::<Vec<_>>().join(", ");
    let rows = source.rows(&format!("SELECT 'orders ' || concat_ws('|', {row}) FROM orders")).await;
    let mut expected: Vec<_> = rows.into_iter().flatten().flatten().collect();
    expected.push("ledger entry=last".to_owned());
    expected.sort();
    assert_eq!(replayed(&tailwater, "last"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_python_client_replays_mariadb() {
    let server = Server::start(Kind::Mariadb).await;
    server.execute("CREATE TABLE ledger (entry varchar(40) PRIMARY KEY)").await;
    server
        .execute("CREATE TABLE orders (id bigint unsigned PRIMARY KEY, amount decimal(12,2), due date, at datetime(2), note text)")
        .await;
    let tailwater = Tailwater::start(crate::mysql::setup(&server)).await;
    for sql in [
        "INSERT INTO orders WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300) \
         SELECT n, n * 1.25, '2026-01-01' + INTERVAL n DAY, '2026-01-01 10:00:00.25', REPEAT('ü', n) FROM n",
        "UPDATE orders SET amount = -amount, note = NULL WHERE id % 3 = 0",
        "UPDATE orders SET id = id + 18446744073709550000 WHERE id % 5 = 0",
        "DELETE FROM orders WHERE id % 7 = 0",
        "INSERT INTO ledger VALUES ('last')",
    ] {
        server.execute(sql).await;
    }
    let row = "CONCAT_WS('|', CONCAT('amount=', amount), CONCAT('at=', at), CONCAT('due=', due), CONCAT('id=', id), \
               CONCAT('note=', note))";
    let rows = server.rows(&format!("SELECT CONCAT('orders ', {row}) FROM orders")).await;
    let mut expected: Vec<_> = rows.into_iter().flatten().flatten().collect();
    expected.push("ledger entry=last".to_owned());
    expected.sort();
    assert_eq!(replayed(&tailwater, "last"), expected);
}
