//! Nothing of a copy runs on at the server once it is given up, and a server that hangs in the middle of one is in the status.

use super::attached::{Attached, PATIENCE, create_tables, system};
use super::copy::request;
use super::server::{Kind, Server};
use crate::model::code;
use crate::source::status::State;
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Each row takes the server a while, and it sends none before it has a packet full.
async fn slow_rows(server: &Server) {
    create_tables(server).await;
    let sql =
        "CREATE TABLE slow (id int PRIMARY KEY, v int AS (LENGTH(SHA2(REPEAT('x', 30000000 + id), 512))) VIRTUAL)";
    server.execute("SET GLOBAL max_allowed_packet = 1073741824").await;
    server.execute(sql).await;
    let rows: Vec<_> = (0..60).map(|id| format!("({id})")).collect();
    server.execute(&format!("INSERT INTO slow (id) VALUES {}", rows.join(","))).await;
}

async fn reads(server: &Server) -> bool {
    let sql =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'tailwater' AND info LIKE 'SELECT `id`%'";
    server.rows(sql).await[0][0].as_deref() != Some("0")
}

async fn until_reads(server: &Server, wanted: bool, within: Duration) {
    let reached = async {
        while reads(server).await != wanted {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(within, reached).await.unwrap_or_else(|_| panic!("never came: {wanted}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_is_given_up_is_ended_at_the_server() {
    let server = Server::start(Kind::Mysql).await;
    slow_rows(&server).await;
    let mut attached = Attached::to(&server).await;
    request(&attached, "slow").await;
    until_reads(&server, true, PATIENCE).await;
    attached.stop().await;
    until_reads(&server, false, Duration::from_secs(3)).await;
    attached.end_stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_while_rows_are_read_is_in_the_status() {
    let server = Server::start(Kind::Mysql).await;
    slow_rows(&server).await;
    let mut system = system(&server);
    system.endpoint.silence_max = Duration::from_secs(2);
    let mut attached = Attached::idle(system);
    attached.start();
    attached.until(|status| status.state == State::Streaming).await;
    request(&attached, "slow").await;
    until_reads(&server, true, PATIENCE).await;
    server.signal(Signal::STOP);
    let hangs = |state: &State| matches!(state, State::Retrying(why) if why.code == code::SERVER_UNREACHABLE);
    let seen = timeout(Duration::from_secs(20), attached.until(|status| hangs(&status.state))).await;
    server.signal(Signal::CONT);
    seen.expect("it is told soon");
    attached.until(|status| status.state == State::Streaming).await;
    attached.end().await;
}
