//! Nothing of ours runs on at the server once we have given it up, and what runs is not given up.

use super::attached::{Attached, streams};
use super::copy::{copied, request};
use super::*;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::source::status::{SourceStatus, State};
use tokio::time::{sleep, timeout};

/// What runs and was begun by us; the tests ask under another name.
const OURS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tailwater/%' AND state = 'active' \
     AND query ILIKE '%pg_sleep%' AND pid <> pg_backend_pid()";

async fn until_none_runs(server: &TestServer, within: Duration) {
    let none = async {
        while server.text(OURS).await != "0" {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(within, none).await.expect("nothing of ours runs on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_given_up_is_cancelled_at_the_server() {
    let server = TestServer::start("");
    for purpose in [Purpose::Queries, Purpose::Replication] {
        // Silence, and somebody who does not wait so long.
        let system = change(server.system(), |endpoint| endpoint.silence_max = Duration::from_secs(1));
        let mut connection = Connection::open(&system.endpoint, purpose).await.expect("in");
        let given_up = connection.query("SELECT pg_sleep(600)").await;
        assert!(matches!(given_up, Err(Fault::Silent(_))), "{given_up:?}");
        assert_eq!(server.text(OURS).await, "1");
        drop(connection);
        until_none_runs(&server, Duration::from_secs(3)).await;
        let mut connection = Connection::open(&server.system().endpoint, purpose).await.expect("in");
        timeout(Duration::from_millis(300), connection.query("SELECT pg_sleep(600)")).await.expect_err("it sleeps");
        drop(connection);
        until_none_runs(&server, Duration::from_secs(3)).await;
    }
}

/// As after a kill: nobody cancels.
#[test]
fn a_query_of_a_process_that_is_gone_is_ended_by_the_server() {
    let server = TestServer::start("");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut connection = Connection::open(&server.system().endpoint, Purpose::Queries).await.expect("in");
        let _ = timeout(Duration::from_millis(300), connection.query("SELECT pg_sleep(600)")).await;
        // With nobody left to spawn on when it is dropped.
        std::thread::spawn(move || drop(connection)).join().expect("dropped");
        assert_eq!(server.text(OURS).await, "1");
        until_none_runs(&server, Duration::from_secs(20)).await;
    });
}

/// As long as the dial says takes each comparison on the way to where the second chunk begins (`finds`), and each row from
/// there on (`reads`). The server takes note of a cancel between two pages of the index.
const SLOW: &str = "CREATE TABLE dial (finds float8, reads float8); INSERT INTO dial VALUES (0, 0); \
     CREATE FUNCTION slow(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN \
         PERFORM pg_catalog.pg_sleep(finds) FROM public.dial WHERE finds > 0; RETURN pg_catalog.btint4cmp(a, b); END'; \
     CREATE FUNCTION slow_after(a int, b int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN \
         PERFORM pg_catalog.pg_sleep(reads) FROM public.dial WHERE reads > 0; RETURN a > b; END'; \
     CREATE OPERATOR <# (LEFTARG = int, RIGHTARG = int, FUNCTION = int4lt); \
     CREATE OPERATOR =# (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq); \
     CREATE OPERATOR ># (LEFTARG = int, RIGHTARG = int, FUNCTION = slow_after); \
     CREATE OPERATOR CLASS slow FOR TYPE int USING btree AS OPERATOR 1 <#, OPERATOR 3 =#, OPERATOR 5 >#, FUNCTION 1 slow(int, int); \
     CREATE TABLE t (id int NOT NULL); INSERT INTO t SELECT n FROM generate_series(1, 7000) n; \
     CREATE UNIQUE INDEX t_key ON t (id slow); ALTER TABLE t REPLICA IDENTITY USING INDEX t_key; ANALYZE t";
const READING: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tailwater/%' AND state = 'active' \
     AND query LIKE 'SELECT \"id\"%'";

async fn slow(finds: f64, reads: f64) -> (TestServer, Attached) {
    let server = TestServer::start("");
    server.sql(SLOW).await;
    let system = change(server.system(), |endpoint| endpoint.silence_max = Duration::from_secs(3));
    let mut attached = Attached::to(system).await;
    server.sql(&format!("UPDATE dial SET finds = {finds}, reads = {reads}")).await;
    request(&attached, "t").await;
    let table = TableName::new("public", "t");
    let reads = |why: Option<&String>| why.is_some_and(|why| why.contains("still reading"));
    attached.until(|status| reads(status.copies_wait.get(&table))).await;
    (server, attached)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_slower_than_silence_is_waited_for_and_told_of() {
    let (server, mut attached) = slow(0.9, 0.0).await;
    let mut read_at_once = 0;
    let done = async {
        let done = copied(&attached, "t");
        tokio::pin!(done);
        loop {
            tokio::select! {
                record = &mut done => return record,
                () = sleep(Duration::from_millis(500)) => {
                    read_at_once = server.text(READING).await.parse::<u32>().expect("a number").max(read_at_once);
                }
            }
        }
    };
    let done = done.await;
    assert_eq!((done.copy, done.rows, read_at_once), (1, 7000, 1));
    let status = attached.until(|status| streams(status) && status.copies_wait.is_empty()).await;
    assert_eq!(status.reconnects, 0);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_stops_in_the_middle_of_a_chunk_leaves_no_query_behind() {
    let (server, mut attached) = slow(0.0, 0.02).await;
    assert_eq!(server.text(READING).await, "1");
    attached.stop().await;
    let none = async {
        while server.text(READING).await != "0" {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(25), none).await.expect("it is cancelled");
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_beside_the_stream_is_in_the_status_until_it_is_well() {
    let server = TestServer::start("");
    server
        .sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE ROLE reader SUPERUSER LOGIN")
        .await;
    let mut attached = Attached::to(change(server.system(), |endpoint| endpoint.user = "reader".to_owned())).await;
    server.sql("ALTER ROLE reader NOLOGIN").await;
    server
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader' AND backend_type = 'client backend'")
        .await;
    request(&attached, "t").await;
    let table = TableName::new("public", "t");
    let is_refused = |problem: &Problem| problem.code == code::AUTHENTICATION_FAILED;
    let told = |status: &SourceStatus| {
        status.blind.as_ref().is_some_and(is_refused) && status.copies_wait.contains_key(&table)
    };
    let status = attached.until(told).await;
    assert!(streams(&status), "{status:?}");
    assert!(status.copies_wait[&table].contains("TW-SRC-"), "{:?}", status.copies_wait);
    server.sql("ALTER ROLE reader LOGIN").await;
    copied(&attached, "t").await;
    attached.until(|status| status.blind.is_none() && status.copies_wait.is_empty()).await;
    attached.end().await;
}

/// A server that is shut down waits for us else, until somebody kills it.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_without_room_lets_go_of_the_server_and_comes_back_by_itself() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut attached = Attached::to(server.system()).await;
    attached.stop().await;
    let directory = tempfile::tempdir().expect("a folder");
    let ballast = std::fs::File::create(directory.path().join("ballast")).expect("a file");
    let stat = rustix::fs::statvfs(directory.path()).expect("a file system");
    let free = stat.f_bavail * stat.f_frsize;
    rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), 0, free / 2).expect("disk");
    let mut attached = attached.reopen(free / 4 * 3).await;
    attached.start();
    attached.until(streams).await;
    server.sql("INSERT INTO t SELECT generate_series(1, 1000)").await;
    let let_go =
        |status: &SourceStatus| matches!(&status.state, State::Retrying(why) if why.code == code::INTAKE_WAITS);
    attached.until_within(Duration::from_secs(120), let_go).await;
    let elapsed = server.down("fast");
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
    server.up();
    ballast.set_len(0).expect("disk");
    attached.until(streams).await;
    attached.until(|status| status.changes == 1000).await;
    attached.end().await;
}
