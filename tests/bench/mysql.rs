//! MySQL to a gRPC client, beside `mysqlbinlog --raw`.

use crate::harness::mysql::{Kind, PASSWORD, Server, USER, programs};
use crate::harness::tailwater::{Setup, Tailwater};
use crate::meter;
use crate::postgres::{drain, of};
use crate::{Outcome, Size, workload};
use mysql_async::prelude::Queryable;
use std::process::Command;

const NUMBERS: &str =
    "(WITH RECURSIVE s(n) AS (SELECT $first UNION ALL SELECT n + 1 FROM s WHERE n < $last) SELECT n FROM s) d";

pub async fn run(size: &Size) -> Outcome {
    let options = ["--innodb-buffer-pool-size=512M", "--innodb-redo-log-capacity=1G", "--max-binlog-size=1G"];
    let server = Server::with_options(Kind::Mysql, &options).await;
    server.execute(&workload::create("timestamp(6) NULL", "datetime(6)")).await;
    let mut readers = Vec::new();
    for _ in 0..size.turns {
        let setup = Setup {
            system: format!(
                "kind: mysql\nhost: 127.0.0.1\nport: {}\nuser: {USER}\npassword: {{env: ERP_PASSWORD}}\n",
                server.port
            ),
            systems: String::new(),
            tables: vec!["crm.*".into()],
            server: "grpc: 127.0.0.1:0\nhttp: 127.0.0.1:0\n".into(),
            rest: String::new(),
            env: vec![("ERP_PASSWORD".into(), PASSWORD.into())],
        };
        let mut tailwater = Tailwater::start(setup).await;
        assert!(tailwater.stop().success());
        readers.push(tailwater);
    }
    let first = server.rows("SHOW BINARY LOG STATUS").await[0][0].clone().expect("a file");
    let mut client = server.client().await;
    client.query_drop("SET GLOBAL sync_binlog = 0, GLOBAL innodb_flush_log_at_trx_commit = 0").await.expect("settings");
    client.query_drop("SET SESSION cte_max_recursion_depth = 100000").await.expect("a setting");
    for round in 0..size.rounds {
        client.query_drop(workload::insert(round, NUMBERS)).await.expect("rows");
        client.query_drop(workload::update(round)).await.expect("rows");
    }
    let expected = of(&server.rows(workload::SUMS).await[0]);
    let mut turns = Vec::new();
    for (turn, mut tailwater) in readers.into_iter().enumerate() {
        let folder = tailwater.dir().join("raw");
        let mut peer = || {
            std::fs::create_dir_all(&folder).expect("it is ours");
            let measured = meter::run(
                Command::new(programs(Kind::Mysql).join("mysqlbinlog"))
                    .args(["--read-from-remote-server", "--raw", "--to-last-log", "--user=root"])
                    .arg(format!("--socket={}", server.socket().display()))
                    .arg(format!("--result-file={}/", folder.display()))
                    .arg(&first),
            );
            let files = std::fs::read_dir(&folder).expect("it is ours").flatten();
            let bytes: u64 = files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
            assert!(bytes > size.changes() * 50, "{bytes} bytes");
            std::fs::remove_dir_all(&folder).expect("it is ours");
            measured
        };
        let before = (turn % 2 == 0).then(&mut peer);
        let ours = drain(&mut tailwater, size, &expected).await;
        let peer = before.unwrap_or_else(peer);
        turns.push((peer, ours));
    }
    Outcome { what: "MySQL to a gRPC client that decodes every row", peer: "mysqlbinlog --raw to files", turns }
}
