//! What `check` finds on real servers: every problem at once, and nothing where there is none.

use super::TestServer;
use crate::config::PostgresSystem;
use crate::model::finding::{Finding, Severity};
use crate::model::pattern::{Pattern, Selection};
use crate::source::postgres::{Surroundings, preflight};

const FRESH: Surroundings<'static> = Surroundings { journal_exists: false, running: false, copied: &[] };

fn codes(findings: &[Finding], severity: Severity) -> Vec<(&str, &str)> {
    let those = findings.iter().filter(|finding| finding.severity == severity);
    let mut codes: Vec<_> = those.map(|finding| (finding.problem.code.as_str(), finding.place.as_str())).collect();
    codes.sort_unstable();
    codes
}

/// Runs what the findings offer, as a superuser would.
async fn mend(server: &TestServer, findings: &[Finding]) {
    for sql in findings.iter().flat_map(|finding| &finding.sql) {
        server.sql(sql).await;
    }
}

#[tokio::test]
async fn a_server_with_everything_wrong_is_told_everything_and_the_sql_mends_it() {
    let server = TestServer::start("wal_level = replica\nmax_replication_slots = 1");
    server
        .sql(
            "CREATE ROLE reader LOGIN PASSWORD 'sesame'; SELECT pg_create_physical_replication_slot('taken'); \
             CREATE TABLE keyed (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED); \
             CREATE TABLE late (id int PRIMARY KEY DEFERRABLE); CREATE TABLE log (line text); \
             CREATE UNLOGGED TABLE cache (id int PRIMARY KEY); \
             INSERT INTO late VALUES (1); UPDATE late SET id = 2; SELECT pg_stat_force_next_flush()",
        )
        .await;
    let include = ["public.*", "sales.*"].map(Pattern::new).to_vec();
    let system =
        PostgresSystem { tables: Selection { include, exclude: vec![] }, ..server.over_tcp("reader", Some("sesame")) };
    let found = preflight(&system, FRESH).await;
    let errors = codes(&found, Severity::Error);
    assert_eq!(
        errors,
        [
            ("TW-SRC-004", "erp"),
            ("TW-SRC-005", "erp"),
            ("TW-SRC-028", "erp"),
            ("TW-SRC-030", "erp.public.late"),
            ("TW-SRC-032", "erp.public.cache"),
        ],
        "{found:#?}"
    );
    let warnings = codes(&found, Severity::Warning);
    assert_eq!(
        warnings,
        [
            ("TW-SRC-029", "erp"),
            ("TW-SRC-030", "erp.public.log"),
            ("TW-SRC-031", "erp"),
            ("TW-SRC-033", "erp.public.keyed"),
        ]
    );

    mend(&server, &found).await;
    server.down("fast");
    server.up();
    let found = preflight(&system, FRESH).await;
    // Replication could not be tried before the log was logical, and two tables are publishable only now.
    assert_eq!(codes(&found, Severity::Error), [("TW-SRC-004", "erp"), ("TW-SRC-004", "erp")], "{found:#?}");
    mend(&server, &found).await;
    let found = preflight(&system, FRESH).await;
    assert_eq!(codes(&found, Severity::Error), [], "{found:#?}");
    assert_eq!(codes(&found, Severity::Warning), [("TW-SRC-029", "erp"), ("TW-SRC-033", "erp.public.keyed")]);
}

#[tokio::test]
async fn a_slot_is_judged_by_what_is_known_of_its_journal() {
    let server = TestServer::start("wal_level = logical\nmax_slot_wal_keep_size = '1GB'");
    server.sql("CREATE TABLE t (id int PRIMARY KEY)").await;
    let system = server.system();
    assert_eq!(preflight(&system, FRESH).await, []);
    server.sql("SELECT pg_create_logical_replication_slot('tailwater_erp', 'pgoutput')").await;
    let found = preflight(&system, FRESH).await;
    assert_eq!(codes(&found, Severity::Error), [("TW-SRC-014", "erp")]);
    let stopped = Surroundings { journal_exists: true, ..FRESH };
    assert_eq!(preflight(&system, stopped).await, [], "it may be ours");
    mend(&server, &found).await;
    server.sql("SELECT pg_create_physical_replication_slot('tailwater_erp')").await;
    assert_eq!(codes(&preflight(&system, stopped).await, Severity::Error), [("TW-SRC-012", "erp")]);
}

#[tokio::test]
async fn what_a_target_gets_must_be_readable_and_the_sql_makes_it_so() {
    let server = TestServer::start("max_slot_wal_keep_size = '1GB'");
    server
        .sql(
            "CREATE ROLE \"the reader\" LOGIN REPLICATION; CREATE SCHEMA sales; CREATE TABLE sales.orders (id int PRIMARY KEY); \
             CREATE TABLE sales.other (id int PRIMARY KEY); CREATE TABLE open (id int PRIMARY KEY); \
             GRANT SELECT ON open TO \"the reader\"",
        )
        .await;
    let include = ["public.*", "sales.*"].map(Pattern::new).to_vec();
    let tables = Selection { include, exclude: vec![] };
    let system = PostgresSystem { tables, ..super::change(server.system(), |it| it.user = "the reader".to_owned()) };
    let copied = Selection { include: vec![Pattern::new("erp.*")], exclude: vec![Pattern::new("*.other")] };
    let surroundings = Surroundings { copied: &[&copied], ..FRESH };
    let unreadable = async || {
        let mut found = preflight(&system, surroundings).await;
        found.retain(|finding| finding.place != "erp");
        found
    };
    let found = unreadable().await;
    assert_eq!(codes(&found, Severity::Error), [("TW-SRC-004", "erp.sales.orders")], "{found:#?}");
    assert_eq!(found[0].sql.len(), 2);
    mend(&server, &found).await;
    assert_eq!(unreadable().await, []);
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_is_one_finding() {
    let server = TestServer::start("wal_level = logical");
    let found = preflight(&server.over_tcp("nobody", Some("wrong")), FRESH).await;
    assert_eq!(codes(&found, Severity::Error), [("TW-SRC-002", "erp")]);
    server.down("fast");
    assert_eq!(codes(&preflight(&server.system(), FRESH).await, Severity::Error), [("TW-SRC-001", "erp")]);
}
