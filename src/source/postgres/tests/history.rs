//! A server that is put back to an older copy of its data.

use super::attached::{Attached, streams};
use super::*;
use crate::model::checkpoint::Checkpoint;
use crate::model::code;
use crate::model::position::Lsn;

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_server_that_is_put_back_and_grows_past_the_checkpoint_halts_and_a_crash_does_not() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let mut attached = Attached::to(server.system()).await;
    attached.stop().await;
    server.down("fast");
    let kept = server.data.with_file_name("kept");
    copy(&server.data, &kept);
    server.up();
    attached.start();
    attached.until(streams).await;
    server.sql("INSERT INTO t VALUES (2)").await;
    let last = journaled(&attached, &server).await;
    server.down("immediate");
    server.up();
    let confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots";
    attached.stop().await;
    assert!(server.text(confirmed).await.parse::<Lsn>().expect("an LSN") <= last, "the crash took it back");
    attached.start();
    attached.until(streams).await;
    server.sql("INSERT INTO t VALUES (3)").await;
    let last = journaled(&attached, &server).await;
    attached.stop().await;
    server.down("immediate");
    std::fs::remove_dir_all(&server.data).expect("our folder");
    copy(&kept, &server.data);
    server.up();
    server.sql("INSERT INTO t VALUES (20)").await;
    while server.text("SELECT pg_current_wal_flush_lsn()").await.parse::<Lsn>().expect("an LSN") <= last {
        server.sql("INSERT INTO t SELECT generate_series(100, 10000) ON CONFLICT DO NOTHING").await;
        server.sql("SELECT pg_switch_wal()").await;
    }
    attached.start();
    assert_eq!(attached.halts().await, code::HISTORY_DIFFERS);
    attached.end().await;
}

/// Waits until all that is committed is journaled; gives where the last captured transaction committed.
async fn journaled(attached: &Attached, server: &TestServer) -> Lsn {
    let end = server.text("SELECT pg_current_wal_flush_lsn()").await.parse().expect("an LSN");
    loop {
        if let Some(Checkpoint::Postgres(checkpoint)) = attached.journal.checkpoint(&server.system().name)
            && checkpoint.flushed >= end
        {
            return checkpoint.last.expect("a row was captured").commit_lsn;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
    assert!(status.success());
}
