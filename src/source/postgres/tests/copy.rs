//! Copies of tables beside the stream: what a reader of the journal makes of them is what the table holds.

use super::attached::{Attached, PATIENCE, streams};
use super::*;
use crate::journal::{CopyRecord, CopyState};
use crate::model::copy::CopyPhase;
use crate::model::name::TableName;
use crate::model::position::{Lsn, Position, Sequence};
use crate::model::schema::{SchemaId, TableSchema};
use crate::source::postgres::copy::pair::{Pair, is_settled};
use crate::wire::api::DESCRIPTORS;
use crate::wire::api::v1::{self, Changes, Op};
use crate::wire::{descriptor, json};
use prost::Message as _;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const KEYED: &str = "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, filler text)";

pub(super) async fn request(attached: &Attached, table: &str) -> CopyRecord {
    let name = SystemName::new("erp").expect("a name");
    let after = attached.journal.bounds().durable;
    attached.journal.request_copy(&name, &TableName::new("public", table), after).await.expect("recorded")
}

pub(super) async fn until_copy(attached: &Attached, table: &str, reached: impl Fn(&CopyRecord) -> bool) -> CopyRecord {
    let found =
        || attached.journal.copies().into_iter().find(|record| &*record.table.table == table && reached(record));
    let waited = async {
        loop {
            if let Some(record) = found() {
                return record;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    match timeout(PATIENCE, waited).await {
        Ok(record) => record,
        Err(_) => panic!("never came: {:?}", attached.journal.copies()),
    }
}

pub(super) async fn copied(attached: &Attached, table: &str) -> CopyRecord {
    until_copy(attached, table, |record| record.state == CopyState::Done && !record.again).await
}

/// Waits until everything that the server has committed is durable.
pub(super) async fn level(attached: &mut Attached, server: &TestServer) {
    let end: Lsn = server.text("SELECT pg_current_wal_insert_lsn()").await.parse().expect("an LSN");
    // Something for the stream to bring even if nothing comes by itself.
    server.sql("SELECT pg_current_xact_id()").await;
    attached.until(|status| status.flushed >= Some(end)).await;
}

/// What the journal holds of a table, in order.
enum Event {
    Step { phase: CopyPhase, changes: u64 },
    Change(Change),
}

struct Change {
    op: Op,
    /// Of the row before the change, and after it.
    old_key: String,
    key: String,
    after: Option<Map>,
    /// Columns that the source left out of `after`.
    unchanged: Vec<String>,
    /// In their order.
    columns: Vec<String>,
}

type Map = serde_json::Map<String, serde_json::Value>;

async fn events(attached: &Attached, table: &str) -> Vec<Event> {
    let types = DescriptorPool::decode(DESCRIPTORS).expect("our own");
    let mut messages = HashMap::new();
    let mut events = Vec::new();
    let mut reader = attached.journal.reader(Sequence::ZERO);
    while reader.ready() {
        let header = reader.next().await.expect("it reads");
        if let Some(step) = header.copy.as_ref().filter(|step| &*step.table.table == table) {
            events.push(Event::Step { phase: step.phase, changes: header.changes });
        }
        while let Some(chunk) = reader.chunk().await.expect("it reads") {
            for change in Changes::decode(chunk).expect("changes").changes {
                let schema = attached.journal.schema(SchemaId(change.schema_id)).expect("known");
                if &*schema.name.table == table {
                    let message = messages.entry(schema.id).or_insert_with(|| message(&types, &schema));
                    events.push(Event::Change(read(&change, &schema, message)));
                }
            }
        }
    }
    events
}

fn read(change: &v1::Change, schema: &TableSchema, message: &MessageDescriptor) -> Change {
    let row = |bytes: &bytes::Bytes| json::row(message, bytes).expect("a row");
    let key = |row: &Map| {
        let key = schema.columns.iter().filter(|column| column.shape.key);
        key.map(|column| row.get(&*column.shape.name).map(ToString::to_string).unwrap_or_default())
            .collect::<Vec<_>>()
            .join("|")
    };
    let (after, before) = (change.after.as_ref().map(row), change.before.as_ref().map(row));
    let unchanged = schema.columns.iter().filter(|column| change.unchanged.contains(&column.number));
    Change {
        op: change.op(),
        old_key: before.as_ref().or(after.as_ref()).map(key).unwrap_or_default(),
        key: after.as_ref().map(key).unwrap_or_default(),
        after,
        unchanged: unchanged.map(|column| column.shape.name.to_string()).collect(),
        columns: schema.columns.iter().map(|column| column.shape.name.to_string()).collect(),
    }
}

/// What a reader makes of the journal: rows by key, as JSON.
#[derive(Default)]
pub(super) struct Reading {
    pub rows: BTreeMap<String, String>,
    /// Rows that a copy brought although the changes before it say otherwise, where these know the row.
    pub contradictions: usize,
    /// Updates that left columns out of a row that was not known.
    unknown: usize,
    pub reads: usize,
    begins: usize,
    ends: usize,
    pub copied_rows: Vec<u64>,
}

pub(super) async fn reading(attached: &Attached, table: &str) -> Reading {
    let mut reading = Reading::default();
    let mut rows: BTreeMap<String, Map> = BTreeMap::new();
    // Everything that changes since the beginning say; `None`: deleted.
    let mut known: HashMap<String, Option<Map>> = HashMap::new();
    for event in events(attached, table).await {
        let change = match event {
            Event::Step { phase: CopyPhase::Begin, .. } => {
                reading.begins += 1;
                continue;
            }
            Event::Step { phase: CopyPhase::End, .. } => {
                reading.ends += 1;
                continue;
            }
            Event::Step { phase: CopyPhase::Rows, changes } => {
                reading.copied_rows.push(changes);
                continue;
            }
            Event::Change(change) => change,
        };
        if change.op == Op::Read {
            let after = change.after.expect("a row");
            reading.reads += 1;
            let agrees = known.get(&change.key).is_none_or(|known| known.as_ref() == Some(&after));
            reading.contradictions += usize::from(!agrees);
            known.insert(change.key.clone(), Some(after.clone()));
            rows.insert(change.key, after);
            continue;
        }
        let old = rows.remove(&change.old_key);
        known.insert(change.old_key, None);
        let Some(after) = change.after else { continue };
        // A row of a copy may be there already under the new key, newer than its place.
        let old = old.or_else(|| rows.remove(&change.key));
        known.remove(&change.key);
        match completed(&after, old.as_ref(), &change.unchanged, &change.columns) {
            Some(row) => {
                known.insert(change.key.clone(), Some(row.clone()));
                rows.insert(change.key, row);
            }
            None => reading.unknown += 1,
        }
    }
    let text = |row: &Map| serde_json::to_string(row).expect("JSON");
    reading.rows = rows.iter().map(|(key, row)| (key.clone(), text(row))).collect();
    reading
}

/// The row with what was left out of it taken from the old one, in the order of the columns. `None`: that is not known.
fn completed(after: &Map, old: Option<&Map>, unchanged: &[String], columns: &[String]) -> Option<Map> {
    if !unchanged.is_empty() && old.is_none() {
        return None;
    }
    let cell = |column: &String| {
        let from = if unchanged.contains(column) { old? } else { after };
        from.get(column).map(|cell| (column.clone(), cell.clone()))
    };
    Some(columns.iter().filter_map(cell).collect())
}

/// What a reader makes of a table without key: how often each row is there.
async fn bag(attached: &Attached, table: &str) -> BTreeMap<String, usize> {
    let mut bag = BTreeMap::new();
    for event in events(attached, table).await {
        match event {
            Event::Step { phase: CopyPhase::Begin, .. } => bag.clear(),
            Event::Step { .. } => {}
            Event::Change(change) => {
                let row = serde_json::to_string(&change.after.expect("a row")).expect("JSON");
                *bag.entry(row).or_default() += 1;
            }
        }
    }
    bag
}

fn message(types: &DescriptorPool, schema: &TableSchema) -> MessageDescriptor {
    let mut pool = types.clone();
    pool.add_file_descriptor_proto(descriptor::file(schema)).expect("a descriptor");
    pool.get_message_by_name(&schema.type_name).expect("its message")
}

/// `id`, `n` and `filler` of every row, as `reading` prints them.
async fn truth(server: &TestServer) -> BTreeMap<String, String> {
    let rows = server.sql("SELECT id, n, to_json(filler) FROM t").await;
    let text = |row: &Row| {
        let (id, n) = (row.text(0).expect("an id"), row.text(1).expect("a number"));
        let filler = row.text(2).unwrap_or("null");
        (id.to_owned(), format!("{{\"id\":{id},\"n\":{n},\"filler\":{filler}}}"))
    };
    rows.iter().map(text).collect()
}

fn same(read: &BTreeMap<String, String>, truth: &BTreeMap<String, String>, when: &str) {
    let differing: Vec<_> =
        read.keys().chain(truth.keys()).filter(|key| read.get(*key) != truth.get(*key)).take(5).collect();
    let shown: Vec<_> = differing.iter().map(|key| (key, read.get(*key), truth.get(*key))).collect();
    assert!(shown.is_empty(), "{when}: {} rows read, {} there; {shown:.300?}", read.len(), truth.len());
}

/// Writers that go on until told to stop; each statement is made of a random number.
pub(super) struct Writers(Arc<AtomicBool>, Vec<JoinHandle<()>>);

/// Inserts, updates, deletes, and rows that move far away.
fn mixed(random: u64) -> String {
    let (id, op) = ((random >> 33) % 30_000, (random >> 20) % 4);
    match op {
        0 => format!("INSERT INTO public.t VALUES ({id}, 1, 'new') ON CONFLICT (id) DO UPDATE SET n = t.n + 1"),
        1 => format!("UPDATE public.t SET n = n + 1 WHERE id = {id}"),
        2 => format!("DELETE FROM public.t WHERE id = {id}"),
        _ => format!("UPDATE public.t SET id = {} WHERE id = {id}", 100_000 + random % 1_000_000_000),
    }
}

/// Rows that move in both directions.
fn moves(random: u64) -> String {
    format!("UPDATE public.t SET id = {} WHERE id = {}", (random >> 33) % 20_000, (random >> 10) % 20_000)
}

fn inserts(random: u64) -> String {
    format!("INSERT INTO public.bare VALUES ({}, 'new')", (random >> 33) % 50)
}

impl Writers {
    pub(super) fn start(
        server: &TestServer,
        count: u64,
        pause: Duration,
        settings: &'static str,
        statement: fn(u64) -> String,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let endpoint = server.system().endpoint;
        let writer = |number: u64| {
            let (stop, endpoint) = (Arc::clone(&stop), endpoint.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(&endpoint, Purpose::Queries).await.expect("in");
                connection.query(settings).await.expect("a setting");
                let mut state = number + 7;
                while !stop.load(Ordering::Relaxed) {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // Two writers may meet in a new key; the loser's statement is no change. A server may crash.
                    if let Err(Fault::Io(_) | Fault::Closed) = connection.query(&statement(state)).await {
                        return;
                    }
                    if !pause.is_zero() {
                        sleep(pause).await;
                    }
                }
            })
        };
        let writers = (0..count).map(writer).collect();
        Self(stop, writers)
    }

    pub(super) async fn stop(self) {
        self.0.store(true, Ordering::Relaxed);
        for writer in self.1 {
            writer.await.expect("it wrote");
        }
    }
}

async fn filled(rows: u64) -> TestServer {
    let server = TestServer::start("");
    server
        .sql(&format!("{KEYED}; INSERT INTO t SELECT n, 0, repeat('x', n % 200) FROM generate_series(1, {rows}) n"))
        .await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_under_load_and_the_changes_around_it_make_the_table() {
    let server = filled(20_000).await;
    let mut attached = Attached::to(server.system()).await;
    let writers = Writers::start(&server, 2, Duration::from_millis(3), "SET synchronous_commit = on", mixed);
    request(&attached, "t").await;
    let record = copied(&attached, "t").await;
    writers.stop().await;
    level(&mut attached, &server).await;
    let reading = reading(&attached, "t").await;
    same(&reading.rows, &truth(&server).await, "with pauses");
    assert_eq!((reading.begins, reading.ends, reading.contradictions), (1, 1, 0));
    assert_eq!(reading.reads as u64, record.rows);
    assert!(reading.copied_rows.len() > 2, "{:?}", reading.copied_rows);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn also_where_transactions_commit_without_a_pause_and_unflushed() {
    for settings in ["SET synchronous_commit = on", "SET synchronous_commit = off"] {
        let server = filled(20_000).await;
        let mut attached = Attached::to(server.system()).await;
        let writers = Writers::start(&server, 4, Duration::ZERO, settings, mixed);
        request(&attached, "t").await;
        copied(&attached, "t").await;
        writers.stop().await;
        level(&mut attached, &server).await;
        same(&reading(&attached, "t").await.rows, &truth(&server).await, settings);
        attached.end().await;
    }
}

/// Commits linger between their record in the log and their end, so that hardly a snapshot falls between them.
const LINGERING: &str = "fsync = on\ncommit_delay = 20000\ncommit_siblings = 0";

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_sees_what_commits_before_its_point_and_nothing_else() {
    let server = TestServer::start(LINGERING);
    server.sql("CREATE TABLE bare (n int, b text)").await;
    let mut attached = Attached::to(server.system()).await;
    let writers = Writers::start(&server, 4, Duration::ZERO, "SET synchronous_commit = on", inserts);
    let mut reading = Connection::open(&server.system().endpoint, Purpose::Queries).await.expect("in");
    let mut seen = Vec::new();
    for _ in 0..5 {
        reading.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.expect("begun");
        reading.query("LOCK TABLE public.bare IN ACCESS SHARE MODE").await.expect("locked");
        let pair = Pair::take(&server.system(), &mut reading).await.expect("room for a slot");
        let mut pair = pair.expect("every transaction ends soon");
        pair.import(&mut reading).await.expect("imported");
        while !is_settled(&mut reading).await.expect("asked") {}
        let rows = reading.query("SELECT count(*) FROM public.bare; COMMIT").await.expect("counted");
        seen.push((pair.consistent_point, rows[0].some::<u64>(0).expect("a number")));
    }
    writers.stop().await;
    level(&mut attached, &server).await;
    let mut commits = Vec::new();
    let mut reader = attached.journal.reader(Sequence::ZERO);
    while reader.ready() {
        let header = reader.next().await.expect("it reads");
        let Position::Postgres { commit_lsn } = header.position else { panic!("{:?}", header.position) };
        commits.push((commit_lsn, header.changes));
    }
    for (point, count) in seen {
        let before = commits.iter().filter(|(commit_lsn, _)| *commit_lsn < point);
        assert_eq!(before.map(|(_, changes)| changes).sum::<u64>(), count, "at {point}");
    }
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_waits_for_running_transactions_only_so_long_and_leaves_no_slot() {
    let server = TestServer::start("");
    let mut running = Connection::open(&server.system().endpoint, Purpose::Queries).await.expect("in");
    running.query("BEGIN; SELECT pg_catalog.pg_current_xact_id()").await.expect("begun");
    let mut reading = Connection::open(&server.system().endpoint, Purpose::Queries).await.expect("in");
    reading.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.expect("begun");
    assert!(Pair::take(&server.system(), &mut reading).await.expect("room for a slot").is_none());
    let gone = async {
        while server.text("SELECT count(*) FROM pg_replication_slots").await != "0" {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the slot goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_table_without_a_key_every_row_is_there_exactly_once_whatever_the_load() {
    let server = TestServer::start(LINGERING);
    server.sql("CREATE TABLE bare (n int, b text)").await;
    server.sql("INSERT INTO bare SELECT n % 50, 'old' FROM generate_series(1, 20000) n").await;
    let mut attached = Attached::to(server.system()).await;
    let writers = Writers::start(&server, 4, Duration::ZERO, "SET synchronous_commit = on", inserts);
    request(&attached, "bare").await;
    copied(&attached, "bare").await;
    writers.stop().await;
    level(&mut attached, &server).await;
    let rows = server.sql("SELECT n, b, count(*) FROM bare GROUP BY 1, 2").await;
    let row = |row: &Row| {
        let text = |column| row.text(column).expect("a value");
        (format!("{{\"n\":{},\"b\":\"{}\"}}", text(0), text(1)), text(2).parse().expect("a number"))
    };
    let truth: BTreeMap<String, usize> = rows.iter().map(row).collect();
    assert_eq!(bag(&attached, "bare").await, truth);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_goes_on_beside_the_copy_of_a_large_table_without_a_key() {
    let server = TestServer::start("");
    server
        .sql(
            "CREATE TABLE bare (n int, b text); INSERT INTO bare SELECT n % 50, 'old' FROM generate_series(1, 2000000) n; \
             CREATE TABLE t (id int PRIMARY KEY)",
        )
        .await;
    let mut attached = Attached::to(server.system()).await;
    request(&attached, "bare").await;
    until_copy(&attached, "bare", |record| record.state == CopyState::Running).await;
    for id in 1..4 {
        server.sql(&format!("INSERT INTO t VALUES ({id}); INSERT INTO bare VALUES ({id}, 'new')")).await;
        level(&mut attached, &server).await;
    }
    assert_eq!(attached.journal.copies()[0].state, CopyState::Running, "they did not wait for its end");
    assert_eq!(copied(&attached, "bare").await.rows, 2_000_000);
    let bag = bag(&attached, "bare").await;
    assert_eq!(bag.values().sum::<usize>(), 2_000_003);
    assert_eq!(bag.len(), 53);
    attached.end().await;
}

/// Nothing else tells its rows apart, so whoever applies an update has to have them.
#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_key_that_change_while_they_are_read_beside_the_stream_are_read_again() {
    let server = TestServer::start("");
    server
        .sql(
            "CREATE TABLE bare (n int, b text); ALTER TABLE bare REPLICA IDENTITY FULL; \
             INSERT INTO bare SELECT n, 'old' FROM generate_series(1, 500000) n",
        )
        .await;
    let mut attached = Attached::to(server.system()).await;
    request(&attached, "bare").await;
    until_copy(&attached, "bare", |record| record.state == CopyState::Running).await;
    server.sql("UPDATE bare SET b = 'new' WHERE n = 500000; DELETE FROM bare WHERE n = 499999").await;
    let done = copied(&attached, "bare").await;
    level(&mut attached, &server).await;
    assert_eq!((done.copy, done.rows), (2, 499_999));
    let mut rows = BTreeMap::<String, i64>::new();
    for event in events(&attached, "bare").await {
        match event {
            Event::Step { phase: CopyPhase::Begin, .. } => rows.clear(),
            Event::Change(change) => {
                let after = change.after.map(|row| serde_json::to_string(&row).expect("JSON"));
                after.into_iter().for_each(|row| *rows.entry(row).or_default() += 1);
            }
            Event::Step { .. } => {}
        }
    }
    assert_eq!((rows.len(), rows.values().sum::<i64>()), (499_999, 499_999));
    assert_eq!(rows.get(r#"{"n":500000,"b":"new"}"#), Some(&1));
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_move_without_their_large_columns_keep_them_through_a_crash() {
    let server = TestServer::start("");
    server.sql(KEYED).await;
    server.sql("ALTER TABLE t ALTER filler SET STORAGE EXTERNAL").await;
    server.sql("INSERT INTO t SELECT 2 * n, 0, n || repeat('x', 2500) FROM generate_series(1, 10000) n").await;
    let mut attached = Attached::to(server.system()).await;
    let writers = Writers::start(&server, 2, Duration::from_millis(1), "SET synchronous_commit = on", moves);
    request(&attached, "t").await;
    until_copy(&attached, "t", |record| record.rows > 0 && !record.to_read_again.is_empty()).await;
    server.down("immediate");
    writers.stop().await;
    server.up();
    let writers = Writers::start(&server, 2, Duration::from_millis(1), "SET synchronous_commit = off", moves);
    copied(&attached, "t").await;
    writers.stop().await;
    level(&mut attached, &server).await;
    let reading = reading(&attached, "t").await;
    assert!(reading.unknown > 0, "no row moved that was not known");
    same(&reading.rows, &truth(&server).await, "moved");
    assert_eq!((reading.begins, reading.ends), (1, 1));
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_is_copied_at_once_even_if_the_end_of_its_log_is_not_on_disk() {
    let server = TestServer::start("wal_log_hints = on\nbgwriter_delay = 10s");
    server.sql(KEYED).await;
    server.sql("INSERT INTO t SELECT n, 0, repeat('x', 100) FROM generate_series(1, 50000) n").await;
    server.sql("CHECKPOINT").await;
    let attached = Attached::to(server.system()).await;
    let started = std::time::Instant::now();
    request(&attached, "t").await;
    assert_eq!(copied(&attached, "t").await.rows, 50_000);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_a_copy_goes_on_behind_its_last_key() {
    let server = filled(150_000).await;
    let mut attached = Attached::to(server.system()).await;
    request(&attached, "t").await;
    let under_way = |record: &CopyRecord| record.rows > 0;
    let before = until_copy(&attached, "t", under_way).await;
    server.down("immediate");
    server.up();
    attached.until(|status| status.reconnects > 0 && streams(status)).await;
    until_copy(&attached, "t", |record| record.rows > before.rows).await;
    attached.stop().await;
    attached.start();
    attached.until(streams).await;
    let done = copied(&attached, "t").await;
    level(&mut attached, &server).await;
    let reading = reading(&attached, "t").await;
    assert_eq!((done.copy, done.rows, reading.reads, reading.begins), (1, 150_000, 150_000, 1));
    assert_eq!(reading.rows.len(), 150_000);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_are_walked_once_and_in_their_own_order() {
    let server = TestServer::start("");
    server
        .sql(
            "CREATE TABLE pair (b text COLLATE \"C\", a numeric(20,3), x int, PRIMARY KEY (a, b)); \
             INSERT INTO pair SELECT chr(65 + n % 26) || n, (n % 100) - 50.5, n FROM generate_series(1, 9000) n; \
             CREATE TABLE words (w text PRIMARY KEY, x int); \
             INSERT INTO words SELECT CASE n % 3 WHEN 0 THEN 'ä' WHEN 1 THEN 'A''' ELSE '\\' END || n, n FROM generate_series(1, 9000) n; \
             CREATE TABLE ids (u uuid PRIMARY KEY, x int); INSERT INTO ids SELECT gen_random_uuid(), n FROM generate_series(1, 9000) n; \
             CREATE TABLE other (a int, b int NOT NULL); CREATE UNIQUE INDEX by_b ON other (b); \
             ALTER TABLE other REPLICA IDENTITY USING INDEX by_b; INSERT INTO other SELECT 1, n FROM generate_series(1, 9000) n; \
             CREATE TABLE whole (a int PRIMARY KEY, b int); ALTER TABLE whole REPLICA IDENTITY FULL; \
             INSERT INTO whole SELECT n, 1 FROM generate_series(1, 9000) n; \
             CREATE TABLE parts (a int, b int, PRIMARY KEY (a)) PARTITION BY RANGE (a); \
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (5000); \
             CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (5000) TO (10000); \
             INSERT INTO parts SELECT n, 1 FROM generate_series(1, 9000) n; CREATE TABLE empty (a int PRIMARY KEY); \
             CREATE TABLE bare (n int, b text); INSERT INTO bare SELECT 1, 'twice' FROM generate_series(1, 9000) n",
        )
        .await;
    let mut attached = Attached::to(server.system()).await;
    let tables = ["pair", "words", "ids", "other", "whole", "parts"];
    for table in tables.iter().chain(&["empty", "bare"]) {
        request(&attached, table).await;
    }
    for table in tables {
        assert_eq!(copied(&attached, table).await.rows, 9000, "{table}");
    }
    assert_eq!(copied(&attached, "empty").await.rows, 0);
    assert_eq!(copied(&attached, "bare").await.rows, 9000);
    level(&mut attached, &server).await;
    for table in tables {
        let reading = reading(&attached, table).await;
        assert_eq!((reading.rows.len(), reading.reads), (9000, 9000), "{table}");
    }
    let bare = reading(&attached, "bare").await;
    assert_eq!((bare.reads, bare.begins, bare.ends), (9000, 1, 1));
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_one_table_is_told_and_keeps_neither_stream_nor_other_copies() {
    let server = filled(3000).await;
    server
        .sql(
            "CREATE ROLE reader LOGIN REPLICATION; CREATE TABLE secret (id int PRIMARY KEY); GRANT SELECT ON t TO reader; \
             CREATE PUBLICATION tailwater_erp FOR TABLE t, secret WITH (publish_via_partition_root = true); \
             CREATE PUBLICATION tailwater_erp_insert_only WITH (publish = 'insert, truncate', publish_via_partition_root = true)",
        )
        .await;
    let mut attached = Attached::to(change(server.system(), |endpoint| endpoint.user = "reader".to_owned())).await;
    for table in ["secret", "t"] {
        request(&attached, table).await;
    }
    assert_eq!(copied(&attached, "t").await.rows, 3000);
    let waits = TableName::new("public", "secret");
    let status = attached.until(|status| status.copies_wait.contains_key(&waits)).await;
    assert!(status.copies_wait[&waits].contains("TW-SRC-"), "{status:?}");
    server.sql("INSERT INTO t VALUES (0, 0, 'x')").await;
    level(&mut attached, &server).await;
    server.sql("GRANT SELECT ON secret TO reader").await;
    copied(&attached, "secret").await;
    assert_eq!(attached.until(streams).await.reconnects, 0);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_the_stream_does_not_bring_is_copied_only_once_it_does() {
    let server = filled(10).await;
    server
        .sql(
            "CREATE ROLE reader LOGIN REPLICATION; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader; \
             CREATE PUBLICATION tailwater_erp FOR TABLE t WITH (publish_via_partition_root = true); \
             CREATE PUBLICATION tailwater_erp_insert_only WITH (publish = 'insert, truncate', publish_via_partition_root = true)",
        )
        .await;
    let mut attached = Attached::to(change(server.system(), |endpoint| endpoint.user = "reader".to_owned())).await;
    server.sql("CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1), (2)").await;
    request(&attached, "late").await;
    let late = TableName::new("public", "late");
    let waits = attached.until(|status| status.copies_wait.contains_key(&late)).await.copies_wait[&late].clone();
    assert!(waits.contains("publication"), "{waits}");
    server.sql("ALTER PUBLICATION tailwater_erp ADD TABLE late; INSERT INTO late VALUES (3)").await;
    assert_eq!(copied(&attached, "late").await.rows, 3);
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_waits_for_whoever_wrote_to_the_table_before_it_and_lets_others_go_first() {
    let server = filled(1000).await;
    server.sql("CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)").await;
    let attached = Attached::to(server.system()).await;
    let mut early = Connection::open(&server.system().endpoint, Purpose::Queries).await.expect("in");
    early.query("BEGIN; UPDATE public.t SET n = 5 WHERE id = 1").await.expect("written");
    request(&attached, "t").await;
    sleep(Duration::from_secs(1)).await;
    request(&attached, "other").await;
    copied(&attached, "other").await;
    until_copy(&attached, "t", |record| record.state == CopyState::Wanted).await;
    early.query("COMMIT").await.expect("committed");
    assert_eq!(copied(&attached, "t").await.rows, 1000);
    attached.end().await;
}

/// It is in the log, and so in the journal, before any snapshot sees it: a chunk read after a restart would bring the old row
/// behind the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waits_for_a_standby_is_not_undone_by_a_copy_after_a_restart() {
    let server = filled(400_000).await;
    let mut attached = Attached::to(server.system()).await;
    request(&attached, "t").await;
    until_copy(&attached, "t", |record| record.rows > 0).await;
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'absent'").await;
    server.sql("SELECT pg_reload_conf()").await;
    let endpoint = server.system().endpoint;
    let waiting = tokio::spawn(async move {
        let mut connection = Connection::open(&endpoint, Purpose::Queries).await.expect("in");
        connection.query("SET synchronous_commit = on; UPDATE public.t SET n = 7 WHERE id = 400000").await
    });
    let is_waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while server.text(is_waiting).await == "0" {
        sleep(Duration::from_millis(10)).await;
    }
    let end: Lsn = server.text("SELECT pg_current_wal_flush_lsn()").await.parse().expect("an LSN");
    attached.until(|status| status.flushed >= Some(end)).await;
    attached.stop().await;
    assert!(attached.journal.copies()[0].state == CopyState::Running, "it is cut off in the middle");
    attached.start();
    attached.until(streams).await;
    sleep(Duration::from_secs(4)).await;
    server.sql("ALTER SYSTEM RESET synchronous_standby_names").await;
    server.sql("SELECT pg_reload_conf()").await;
    waiting.await.expect("ran").expect("committed");
    copied(&attached, "t").await;
    let read = reading(&attached, "t").await;
    assert_eq!(read.rows.len(), 400_000);
    let last = read.rows.values().filter(|row| row.contains("400000")).collect::<Vec<_>>();
    assert!(last.iter().any(|row| row.contains("\"n\":7,")), "the new row is the last: {last:?}");
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_becomes_another_one_starts_the_copy_over() {
    let server = filled(100_000).await;
    let mut attached = Attached::to(server.system()).await;
    request(&attached, "t").await;
    until_copy(&attached, "t", |record| record.rows > 0).await;
    attached.stop().await;
    server.sql("ALTER TABLE t ADD COLUMN k bigserial; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (k)").await;
    attached.start();
    attached.until(streams).await;
    let done = copied(&attached, "t").await;
    assert_eq!((done.copy, done.rows), (2, 100_000));
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_added_with_a_default_come_with_another_copy() {
    let server = filled(3000).await;
    let mut attached = Attached::to(server.system()).await;
    request(&attached, "t").await;
    copied(&attached, "t").await;
    // The change describes the new column before anybody has looked at the catalogue.
    server.sql("ALTER TABLE t ADD COLUMN extra int DEFAULT 7; UPDATE t SET n = 1 WHERE id = 1").await;
    let again = until_copy(&attached, "t", |record| record.copy == 2 && record.state == CopyState::Done).await;
    assert_eq!(again.rows, 3000);
    level(&mut attached, &server).await;
    let reading = reading(&attached, "t").await;
    assert!(reading.rows.len() == 3000 && reading.rows.values().all(|row| row.contains("\"extra\":7")));
    attached.end().await;
}
