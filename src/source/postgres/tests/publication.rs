//! Publications on a real server.

use super::*;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::schema::Identity;
use crate::source::postgres::catalogue;
use crate::source::postgres::publication::{History, ensure};
use std::collections::BTreeSet;

async fn reconcile(system: &PostgresSystem, history: History<'_>) -> Result<Vec<String>, Fault> {
    let mut connection = Connection::open(&system.endpoint, Purpose::Replication).await?;
    let seen = catalogue::read(&mut connection, system).await?;
    Ok(ensure(&mut connection, system, &seen, history).await?.names)
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
async fn what_was_altered_behind_our_back_halts_once_something_was_journaled() {
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
    for (harm, mend) in [
        ("DROP TABLE public.b", "ADD TABLE public.b"),
        ("SET (publish = 'insert')", "SET (publish = 'insert, update, delete, truncate')"),
        ("SET TABLE public.a, public.b WHERE (id > 5), public.c", "SET TABLE public.a, public.b, public.c"),
    ] {
        server.sql(&format!("ALTER PUBLICATION {MAIN} {harm}")).await;
        assert_eq!(code_of(reconcile(&system, history).await), code::PUBLICATION_ALTERED.as_str(), "{harm}");
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
