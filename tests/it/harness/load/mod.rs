//! A mixed load from several connections at once, reproducible by its seed in what it attempts.
//!
//! It keeps no record of what committed: the server has that, also for a commit whose answer was lost. Workers outlive the
//! server and go on when it is back. An error that the load does not expect fails the test: an application must not notice
//! that somebody replicates its tables.

mod tables;
mod transaction;

use super::postgres::{DATABASE, OWNER, Postgres, Socket};
use bytes::Bytes;
use futures_util::SinkExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};
use transaction::{End, Step, Worker};

const WORKERS: i64 = 3;
const RECONNECT_AFTER: Duration = Duration::from_millis(50);

pub struct Load {
    control: Arc<Control>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Control {
    stop: AtomicBool,
    committed: AtomicU64,
    rolled_back: AtomicU64,
    /// The server was away, or chose us to end a deadlock.
    broken: AtomicU64,
}

/// Makes the tables. The owner makes them: Tailwater is only a member of that role.
pub async fn create_tables(postgres: &Postgres) {
    postgres.execute_as_owner(tables::TABLES).await;
}

impl Load {
    pub fn start(postgres: &Postgres, seed: u64) -> Self {
        let control = Arc::new(Control::default());
        let work = |number| tokio::spawn(work(postgres.socket(), Worker::new(seed, number), Arc::clone(&control)));
        Self { workers: (0..WORKERS).map(work).collect(), control }
    }

    pub fn committed(&self) -> u64 {
        self.control.committed.load(Ordering::Relaxed)
    }

    /// Lets the workers finish what they do, then commits one last transaction and gives its ledger key: whoever has that
    /// has everything.
    pub async fn stop(self, postgres: &Postgres) -> String {
        self.control.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.await.expect("no worker met an error that it did not expect");
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Control { committed, rolled_back, broken, .. } = &*self.control;
        println!("load: {} committed, {} rolled back, {} broken", count(committed), count(rolled_back), count(broken));
        mark(postgres).await
    }
}

/// Commits one small transaction and gives its ledger key. Writes to `items` too, so that its last shape is known.
pub async fn mark(postgres: &Postgres) -> String {
    let item = "INSERT INTO items (id) SELECT coalesce(max(id), 0) + 1 FROM items";
    let sql = format!("WITH item AS ({item}) INSERT INTO ledger (worker) VALUES (-1) RETURNING id");
    postgres.text(&sql).await.expect("the ledger gives a key")
}

async fn work(socket: Socket, mut worker: Worker, control: Arc<Control>) {
    let mut client = None;
    while !control.stop.load(Ordering::Relaxed) {
        let Some(connected) = &client else {
            client = socket.connect(OWNER, DATABASE).await.ok();
            tokio::time::sleep(if client.is_some() { Duration::ZERO } else { RECONNECT_AFTER }).await;
            continue;
        };
        let had_extra_column = worker.has_extra_column();
        let (steps, end) = worker.transaction();
        let counter = match (run(connected, &steps, &end).await, end) {
            (Ok(()), End::Commit) => &control.committed,
            (Ok(()), End::Rollback) => {
                worker.set_extra_column(had_extra_column);
                &control.rolled_back
            }
            (Err(error), _) => {
                assert!(is_expected(&error), "the application met: {error:?}");
                // Whether the DDL went through is for the server to say, so ask it before the next one.
                client = None;
                worker.set_extra_column(ask_for_extra_column(&socket).await);
                &control.broken
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(worker.pause())).await;
    }
}

async fn run(client: &Client, steps: &[Step], end: &End) -> Result<(), Error> {
    client.batch_execute("BEGIN").await?;
    for step in steps {
        match step {
            Step::Sql(sql) => client.batch_execute(sql).await?,
            Step::Copy(statement, data) => {
                let mut sink = std::pin::pin!(client.copy_in(*statement).await?);
                sink.send(Bytes::copy_from_slice(data.as_bytes())).await?;
                sink.close().await?;
            }
        }
    }
    client.batch_execute(if matches!(end, End::Commit) { "COMMIT" } else { "ROLLBACK" }).await
}

/// The server is away or going, or it ended a deadlock.
fn is_expected(error: &Error) -> bool {
    let going = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_none_or(|code| going.contains(code))
}

async fn ask_for_extra_column(socket: &Socket) -> bool {
    let sql = "SELECT FROM pg_attribute WHERE attrelid = 'items'::regclass AND attname = 'extra' AND NOT attisdropped";
    loop {
        if let Ok(client) = socket.connect(OWNER, DATABASE).await
            && let Ok(rows) = client.query(sql, &[]).await
        {
            return !rows.is_empty();
        }
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}
