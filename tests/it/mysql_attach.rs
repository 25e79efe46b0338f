//! The ways to a MySQL or MariaDB server: unix socket, TLS with the certificate checked; and that the connection stays while
//! the journal takes nothing. (TCP with a password is what all other tests use.)

use crate::harness::follower::{Follower, Kind as Follow};
use crate::harness::mysql::{Kind, Server};
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::tls::{Certificates, certificates};
use crate::harness::{eventually, holds};
use crate::mysql::setup;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tailwater::wire::api::v1::SourceState;
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(60);
const KINDS: [Kind; 2] = [Kind::Mysql, Kind::Mariadb];
const LEDGER: &str = "CREATE TABLE ledger (entry varchar(80) PRIMARY KEY)";

async fn delivers(server: &Server, setup: Setup) {
    server.execute(LEDGER).await;
    let tailwater = Tailwater::start(setup).await;
    let follower = Follower::start(tailwater.door(), Follow::Ephemeral);
    server.execute("INSERT INTO ledger VALUES ('first')").await;
    follower.reaches("first", WITHIN).await;
}

/// A server with a certificate, and the file of the authority that made it.
async fn with_tls(kind: Kind) -> (Server, PathBuf, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let Certificates { authority, server, server_key } = certificates();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the folder is ours");
        path
    };
    let (certificate, key) = (file("server.pem", &server), file("server.key", &server_key));
    let authority = file("ca.pem", &authority);
    let options = [format!("--ssl-cert={}", certificate.display()), format!("--ssl-key={}", key.display())];
    let server = Server::with_options(kind, &options.each_ref().map(String::as_str)).await;
    server.execute("ALTER USER tailwater@'%' REQUIRE SSL").await;
    (server, authority, folder)
}

fn over_tls(server: &Server, authority: &std::path::Path) -> Setup {
    let mut setup = setup(server);
    setup.system += &format!("tls: {{mode: verify-full, ca_file: {}}}\n", authority.display());
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_unix_socket() {
    for kind in KINDS {
        let server = Server::start(kind).await;
        let mut setup = setup(&server);
        setup.system = setup.system.replace("host: 127.0.0.1", &format!("host: {}", server.socket().display()));
        delivers(&server, setup).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_the_certificate_checked() {
    for kind in KINDS {
        let (server, authority, _folder) = with_tls(kind).await;
        delivers(&server, over_tls(&server, &authority)).await;
        let logins = "SELECT count(*) FROM information_schema.processlist WHERE user = 'tailwater'";
        assert_ne!(server.rows(logins).await, [[Some("0".to_owned())]], "who is not encrypted is refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_not_trusted() {
    for kind in KINDS {
        let (server, authority, _folder) = with_tls(kind).await;
        std::fs::write(&authority, certificates().authority).expect("the file is ours");
        let mut tailwater = Tailwater::new(&over_tls(&server, &authority));
        tailwater.spawn();
        let door = tailwater.door();
        eventually("the source says why it does not stream", WITHIN, async || {
            let source = door.source().await?;
            let code = source.halt.as_ref().map(|problem| problem.code.as_str());
            assert_ne!(source.state(), SourceState::Streaming);
            holds(code == Some("TW-SRC-024"), || format!("{source:?}"))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_stays_while_the_journal_takes_nothing_and_then_everything_comes() {
    const SERVER_GIVES_UP_AFTER: Duration = Duration::from_secs(2);
    for kind in KINDS {
        let server = Server::with_options(kind, &["--net-write-timeout=2", "--net-read-timeout=2"]).await;
        server.execute(LEDGER).await;
        server.execute("CREATE TABLE filler (id int AUTO_INCREMENT PRIMARY KEY, body longtext)").await;
        let mut tailwater = Tailwater::start(setup(&server)).await;
        assert!(tailwater.stop().success());
        // No disk has as much room as it wants, so intake waits.
        tailwater.configure(&setup(&server).with("retention: {free_disk: 900 TiB}\n"));
        tailwater.up().await;
        let door = tailwater.door();
        // More than sockets hold, so that the server's own writing waits, too.
        for _ in 0..60 {
            server.execute("INSERT INTO filler (body) VALUES (REPEAT('x', 1000000))").await;
        }
        let dumps = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'";
        let first = server.rows(dumps).await;
        assert_eq!(first.len(), 1, "it is connected");
        let until = Instant::now() + 3 * SERVER_GIVES_UP_AFTER;
        eventually("the server could have given up", WITHIN, async || {
            assert_eq!(server.rows(dumps).await, first, "the connection was lost while intake waited");
            holds(Instant::now() > until, || "not yet".into())
        })
        .await;
        let source = door.source().await.expect("tailwater runs");
        assert_eq!((source.state(), source.reconnects), (SourceState::Streaming, 0));
        tailwater.kill();
        tailwater.configure(&setup(&server));
        tailwater.up().await;
        let follower = Follower::start(tailwater.door(), Follow::Ephemeral);
        server.execute("INSERT INTO ledger VALUES ('last')").await;
        follower.reaches("last", WITHIN).await;
        let replica = follower.stop().await;
        let rows = replica.tables.get("erp.crm.filler").map_or(0, |table| match table {
            crate::harness::replica::Table::Keyed(rows) => rows.len(),
            crate::harness::replica::Table::Bag(rows) => rows.len(),
        });
        assert_eq!(rows, 60, "{kind:?}");
    }
}
