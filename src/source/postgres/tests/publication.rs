//! Publications on a real server.

use super::*;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::schema::Identity;
use crate::source::postgres::catalogue;
use crate::source::postgres::publication::{History, Published, Refusals, ensure};
use std::collections::BTreeSet;

async fn set(system: &PostgresSystem, history: History<'_>, refusals: &mut Refusals) -> Result<Published, Fault> {
    let mut connection = Connection::open(&system.endpoint, Purpose::Replication).await?;
    let seen = catalogue::read(&mut connection, system).await?;
    ensure(&mut connection, system, &seen, history, refusals).await
}

async fn reconcile(system: &PostgresSystem, history: History<'_>) -> Result<Vec<String>, Fault> {
    let published = set(system, history, &mut Refusals::default()).await?;
    assert_eq!(published.left_out, []);
    Ok(published.names)
}

/// The tables that halt, with their codes.
async fn left_out(system: &PostgresSystem, history: History<'_>) -> Vec<String> {
    let published = set(system, history, &mut Refusals::default()).await.expect("the others go on");
    published.left_out.iter().map(|(table, problem)| format!("{} {}", table.table, problem.code.as_str())).collect()
}

async fn published(server: &TestServer, name: &str) -> String {
    let sql = format!(
        "SELECT coalesce(string_agg(tablename, ' ' ORDER BY tablename), '') FROM pg_publication_tables WHERE pubname = '{name}'"
    );
    server.text(&sql).await
}

const MAIN: &str = "tailwater_erp";
const INSERTS: &str = "tailwater_erp_insert_only";

#[tokio::test]
async fn a_deferrable_primary_key_is_no_identity_and_the_applications_update_goes_on_working() {
    let server = TestServer::start("");
    server.sql("CREATE TABLE late (id int PRIMARY KEY DEFERRABLE, n int); INSERT INTO late VALUES (1, 1)").await;
    reconcile(&server.system(), History::Empty).await.expect("made");
    assert_eq!((published(&server, MAIN).await.as_str(), published(&server, INSERTS).await.as_str()), ("", "late"));
    server.sql("UPDATE late SET n = 2; DELETE FROM late").await;
    let mut connection = Connection::open(&server.system().endpoint, Purpose::Queries).await.expect("in");
    let found = catalogue::read_one(&mut connection, &server.system(), &TableName::new("public", "late")).await;
    let found = found.expect("asked").expect("there");
    assert_eq!(found.identity(), Identity::Nothing, "as the stream's Relation message says it");
}

#[tokio::test]
async fn tables_follow_their_identity_and_the_configuration() {
    let server = TestServer::start("");
    let system = server.system();
    server
        .sql(
            "CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE bare (n int); CREATE TABLE whole (n int); \
             ALTER TABLE whole REPLICA IDENTITY FULL; CREATE TABLE \"o'dd \"\"T\" (id int PRIMARY KEY); \
             CREATE TABLE indexed (n int NOT NULL UNIQUE); ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_n_key; \
             CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id); \
             CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10); \
             CREATE UNLOGGED TABLE passing (id int PRIMARY KEY)",
        )
        .await;
    assert_eq!(reconcile(&system, History::Empty).await.expect("made"), [MAIN, INSERTS]);
    assert_eq!(published(&server, MAIN).await, "indexed keyed o'dd \"T part whole");
    assert_eq!(published(&server, INSERTS).await, "bare");
    server.sql("INSERT INTO bare VALUES (1); UPDATE bare SET n = 2").await;

    server
        .sql("ALTER TABLE bare ADD PRIMARY KEY (n); ALTER TABLE keyed REPLICA IDENTITY NOTHING; DROP TABLE whole")
        .await;
    reconcile(&system, History::Empty).await.expect("mended");
    assert_eq!(published(&server, MAIN).await, "bare indexed o'dd \"T part");
    assert_eq!(published(&server, INSERTS).await, "keyed");
    let narrower = Selection { include: vec![Pattern::new("public.bare")], exclude: vec![] };
    reconcile(&PostgresSystem { tables: narrower, ..system }, History::Empty).await.expect("mended");
    assert_eq!((published(&server, MAIN).await.as_str(), published(&server, INSERTS).await.as_str()), ("bare", ""));
}

#[tokio::test]
async fn a_primary_key_is_found_in_key_order_also_under_full_identity() {
    let server = TestServer::start("");
    server
        .sql(
            "CREATE TABLE t (c int, b int, a int, PRIMARY KEY (a, c) INCLUDE (b)); \
             ALTER TABLE t REPLICA IDENTITY FULL; CREATE TABLE bare (n int)",
        )
        .await;
    let mut connection = Connection::open(&server.system().endpoint, Purpose::Queries).await.expect("in");
    let found = catalogue::read(&mut connection, &server.system()).await.expect("tables").tables;
    let seen: Vec<_> = found.iter().map(|table| (table.identity(), table.key.join(" "))).collect();
    assert_eq!(seen, [(Identity::Nothing, String::new()), (Identity::Full, "a c".to_owned())]);
}

#[tokio::test]
async fn what_was_altered_behind_our_back_halts_the_captured_tables_that_it_concerns() {
    let server = TestServer::start("");
    let system = server.system();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)").await;
    reconcile(&system, History::Empty).await.expect("made");
    let captured = BTreeSet::from([TableName::new("public", "a"), TableName::new("public", "b")]);
    let history = History::Captured(&captured);
    reconcile(&system, history).await.expect("nothing changed");
    server.sql("CREATE TABLE c (id int PRIMARY KEY)").await;
    reconcile(&system, history).await.expect("a new table joins");
    assert_eq!(published(&server, MAIN).await, "a b c");
    for (harm, halted, mend) in [
        ("DROP TABLE public.b", vec!["b TW-SRC-016"], "ADD TABLE public.b"),
        (
            "SET (publish = 'insert')",
            vec!["a TW-SRC-016", "b TW-SRC-016"],
            "SET (publish = 'insert, update, delete, truncate')",
        ),
        (
            "SET TABLE public.a, public.b WHERE (id > 5), public.c",
            vec!["b TW-SRC-016"],
            "SET TABLE public.a, public.b, public.c",
        ),
    ] {
        server.sql(&format!("ALTER PUBLICATION {MAIN} {harm}")).await;
        assert_eq!(left_out(&system, history).await, halted, "{harm}");
        server.sql(&format!("ALTER PUBLICATION {MAIN} {mend}")).await;
        reconcile(&system, history).await.expect("mended by hand");
    }
    server.sql(&format!("DROP PUBLICATION {MAIN}")).await;
    assert_eq!(code_of(reconcile(&system, history).await), code::PUBLICATION_MISSING.as_str());
}

#[tokio::test]
async fn a_user_without_rights_takes_what_the_dba_made_and_else_is_told_the_sql() {
    let server = TestServer::start("");
    server
        .sql("CREATE TABLE a (id int PRIMARY KEY); CREATE ROLE reader LOGIN REPLICATION; CREATE TABLE b (id int PRIMARY KEY)")
        .await;
    let system = change(server.system(), |endpoint| endpoint.user = "reader".to_owned());
    let Err(Fault::Halt(problem)) = reconcile(&system, History::Empty).await else { panic!("must halt") };
    assert_eq!(problem.code, code::PERMISSION_MISSING);
    let sql = problem.message.split("can: ").nth(1).expect("the SQL that mends it").to_owned();
    server.sql(&sql).await;
    assert_eq!(reconcile(&system, History::Empty).await.expect("accepted"), [MAIN]);
    server.sql("DROP PUBLICATION tailwater_erp; CREATE PUBLICATION tailwater_erp FOR ALL TABLES").await;
    assert_eq!(reconcile(&system, History::Empty).await.expect("accepted"), [MAIN]);
    server.sql("DROP PUBLICATION tailwater_erp; CREATE PUBLICATION tailwater_erp FOR TABLE public.a").await;
    assert_eq!(code_of(reconcile(&system, History::Empty).await), code::PERMISSION_MISSING.as_str());
}

#[tokio::test]
async fn a_publication_that_leaves_rows_or_columns_out_is_refused_from_the_start() {
    let server = TestServer::start("");
    let system = server.system();
    server.sql("CREATE TABLE a (id int PRIMARY KEY, n int)").await;
    for part in ["public.a WHERE (id > 5)", "public.a (id)"] {
        server.sql(&format!("CREATE PUBLICATION {MAIN} FOR TABLE {part}")).await;
        assert_eq!(code_of(reconcile(&system, History::Empty).await), code::PUBLICATION_ALTERED.as_str(), "{part}");
        server.sql(&format!("DROP PUBLICATION {MAIN}")).await;
    }
}

/// Nobody loses the whole source to one table that a publication of the DBA's does not carry as it should.
#[tokio::test]
async fn a_table_that_the_dbas_publication_does_not_do_for_halts_alone() {
    let server = TestServer::start("");
    let system = change(server.system(), |endpoint| endpoint.user = "reader".to_owned());
    server.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE ROLE reader LOGIN REPLICATION").await;
    let captured = BTreeSet::from([TableName::new("public", "a"), TableName::new("public", "b")]);
    let history = History::Captured(&captured);
    server.sql(&format!("CREATE PUBLICATION {MAIN} FOR ALL TABLES WITH (publish_via_partition_root = true)")).await;
    assert_eq!(reconcile(&system, History::Empty).await.expect("covered"), [MAIN]);
    // Its rows are not told apart, and inserts come through the same publication.
    server.sql("ALTER TABLE b DROP CONSTRAINT b_pkey; CREATE TABLE bare (n int)").await;
    assert_eq!(left_out(&system, history).await, Vec::<String>::new());

    server.sql(&format!("DROP PUBLICATION {MAIN}; CREATE PUBLICATION {MAIN} FOR TABLE public.a, public.b")).await;
    server
        .sql("ALTER TABLE b REPLICA IDENTITY NOTHING; CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id)")
        .await;
    server.sql("CREATE TABLE later (id int PRIMARY KEY)").await;
    // A keyless one has no publication that is there to join.
    assert_eq!(left_out(&system, history).await, ["bare TW-SRC-015", "later TW-SRC-004", "part TW-SRC-004"]);
    server.sql(&format!("ALTER PUBLICATION {MAIN} ADD TABLE public.part, public.later WHERE (id > 5)")).await;
    assert_eq!(left_out(&system, history).await, ["bare TW-SRC-015", "later TW-SRC-016", "part TW-SRC-004"]);
    server.sql(&format!("ALTER PUBLICATION {MAIN} SET (publish_via_partition_root = true)")).await;
    assert_eq!(left_out(&system, history).await, ["bare TW-SRC-015", "later TW-SRC-016"]);
}

/// A look is over in time however many tables somebody has locked, and each of them has its turn.
#[tokio::test]
async fn tables_under_somebody_elses_lock_are_left_out_in_time_and_join_afterwards() {
    let server = TestServer::start("");
    let system = server.system();
    server.sql("CREATE TABLE a (id int PRIMARY KEY)").await;
    reconcile(&system, History::Empty).await.expect("made");
    let captured = BTreeSet::from([TableName::new("public", "a")]);
    let mut locker = Connection::open(&system.endpoint, Purpose::Queries).await.expect("in");
    for n in 0..12 {
        server.sql(&format!("CREATE TABLE locked_{n} (id int PRIMARY KEY)")).await;
    }
    locker.query("BEGIN").await.expect("begun");
    for n in 0..12 {
        locker.query(&format!("LOCK TABLE public.locked_{n}")).await.expect("locked");
    }
    let mut refusals = Refusals::default();
    for look in 0..2 {
        if look == 1 {
            server.sql("CREATE TABLE free (id int PRIMARY KEY)").await;
        }
        let begun = std::time::Instant::now();
        let published = set(&system, History::Captured(&captured), &mut refusals).await.expect("the others go on");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(published.left_out.len(), 12);
        assert!(published.left_out.iter().all(|(_, problem)| problem.code == code::TABLE_LOCKED));
    }
    assert_eq!(published(&server, MAIN).await, "a free");
    locker.query("ROLLBACK").await.expect("let go");
    let published = set(&system, History::Captured(&captured), &mut refusals).await.expect("set");
    assert_eq!(published.left_out, []);
}
