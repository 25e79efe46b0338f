//! The stream's two halves against a real server, without a journal.

use super::*;
use crate::model::checkpoint::{Checkpoint, PostgresCheckpoint};
use crate::model::position::Lsn;
use crate::source::postgres::feedback::{Feedback, interval};
use crate::source::postgres::simple_query::{ReadFrames, WriteStream};
use crate::source::postgres::{identity, slot};
use crate::source::status::Reporter;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

struct Started {
    frames: ReadFrames,
    write: WriteStream,
    checkpoint: PostgresCheckpoint,
    wal_sender_timeout: Duration,
}

async fn start(server: &TestServer) -> Started {
    server.sql("CREATE TABLE t (id int PRIMARY KEY, filler text); CREATE PUBLICATION p FOR TABLE t").await;
    let system = server.system();
    let mut connection = Connection::open(&system.endpoint, Purpose::Replication).await.expect("in");
    let found = identity::read(&mut connection, &system, None).await.expect("answers");
    let flushed = slot::create(&mut connection, &system.slot, false).await.expect("a slot");
    let command = slot::start_command(&system.slot, flushed, &["p".to_owned()]);
    let (frames, write) = connection.copy_both(&command).await.expect("it streams");
    let checkpoint = PostgresCheckpoint { flushed, server: found.identity, last: None };
    Started { frames, write, checkpoint, wal_sender_timeout: found.wal_sender_timeout }
}

fn reporter(server: &TestServer) -> Reporter {
    Reporter::new(server.system().name).0
}

#[tokio::test]
async fn the_server_hears_from_us_while_nobody_reads() {
    let server = TestServer::start("wal_sender_timeout = 2s");
    let Started { mut frames, write, checkpoint, wal_sender_timeout } = start(&server).await;
    assert_eq!(wal_sender_timeout, Duration::from_secs(2));
    let (_durable, watched) = watch::channel(Some(Checkpoint::Postgres(checkpoint)));
    let _feedback = Feedback::spawn(write, watched, interval(wal_sender_timeout), reporter(&server));
    server.sql("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 50000) n").await;
    let blocked_until = Instant::now() + Duration::from_secs(6);
    sleep(blocked_until - Instant::now()).await;
    let mut rows = 0;
    while rows < 50_000 {
        let frame = frames.next().await.expect("the connection is alive");
        rows += usize::from(frame.tag == b'd' && frame.body.first() == Some(&b'w') && frame.body[25] == b'I');
    }
}

#[tokio::test]
async fn what_became_durable_is_confirmed_at_once_and_nothing_before() {
    let server = TestServer::start("");
    let Started { mut frames, write, mut checkpoint, wal_sender_timeout } = start(&server).await;
    let before = checkpoint.flushed;
    let (durable, watched) = watch::channel(Some(Checkpoint::Postgres(checkpoint.clone())));
    let feedback = Feedback::spawn(write, watched, interval(wal_sender_timeout), reporter(&server));
    let reader = tokio::spawn(async move { while frames.next().await.is_ok() {} });
    server.sql("INSERT INTO t VALUES (1)").await;
    let confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots";
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(server.text(confirmed).await.parse::<Lsn>(), Ok(before), "nothing was durable yet");
    checkpoint.flushed = server.text("SELECT pg_current_wal_flush_lsn()").await.parse().expect("an LSN");
    durable.send_replace(Some(Checkpoint::Postgres(checkpoint.clone())));
    let reached = async {
        while server.text(confirmed).await.parse::<Lsn>() != Ok(checkpoint.flushed) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(2), reached).await.expect("confirmed");
    feedback.finish(checkpoint.flushed).await;
    timeout(Duration::from_secs(5), reader).await.expect("the server ends the stream").expect("no panic");
}
