//! `verify` trusts neither the list of tables of the code that captures them, nor the keys of the stream.

use super::{Level, Two, options, run};
use tailwater::deliver::verify::{Outcome, verify};
use tailwater::model::pattern::Pattern;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_selected_and_does_not_come_is_a_finding_though_the_rows_are_equal() {
    let mut two = Two::start().await;
    if let Some(tailwater::config::System::Postgres(system)) = two.config.systems.values_mut().next() {
        system.tables.include.push(Pattern::new("public.nowhere"));
    }
    two.both("CREATE TABLE halted_there (id int PRIMARY KEY); CREATE TABLE unheard_of (id int PRIMARY KEY)").await;
    for table in ["halted_there", "unheard_of"] {
        two.ready(table).await;
    }
    two.source(
        "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY); CREATE EXTENSION postgres_fdw;
         CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw; CREATE FOREIGN TABLE foreign_one (id int) SERVER elsewhere;
         CREATE VIEW a_view AS SELECT 1; CREATE SEQUENCE numbers",
    )
    .await;
    let report = verify(&two.config, &options(), Level { halt: Some("TW-SRC-016") }).await.expect("tables");
    let found: Vec<_> = report
        .tables
        .iter()
        .map(|table| {
            let code = table.problem.as_ref().map(|problem| problem.code.as_str()).unwrap_or_default();
            (table.table.trim_start_matches("erp.public."), table.outcome, code)
        })
        .collect();
    let expected = [
        ("foreign_one", Outcome::NotCaptured, "TW-CLI-021"),
        ("halted_there", Outcome::NotReady, "TW-CLI-017"),
        ("nowhere", Outcome::NotCaptured, "TW-CLI-021"),
        ("unheard_of", Outcome::NotCaptured, "TW-CLI-021"),
        ("unlogged", Outcome::NotCaptured, "TW-CLI-021"),
    ];
    assert_eq!(found, expected);
    assert!(!report.all_equal());
    let halted = report.tables[1].problem.as_ref().expect("it has one").to_string();
    assert!(halted.contains("TW-SRC-016"), "{halted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_target_folded_by_a_part_of_the_sources_key_are_missing_whatever_the_stream_calls_a_key() {
    // In ranges, sorted by text, and without a key that is carried.
    for (key, identity) in [
        ("PRIMARY KEY (a, b)", "DEFAULT"),
        ("PRIMARY KEY (a, b)", "NOTHING"),
        ("PRIMARY KEY (a, b) DEFERRABLE", "FULL"),
        ("PRIMARY KEY (a, c)", "DEFAULT"),
        ("PRIMARY KEY (a, g)", "FULL"),
    ] {
        let two = Two::start().await;
        two.source(&format!(
            "CREATE TABLE folded (a int, b int, c text NOT NULL, g int GENERATED ALWAYS AS (b * 2) STORED, {key});
             INSERT INTO folded SELECT n / 3, n, 'c' || n FROM generate_series(0, 8999) n;
             ALTER TABLE folded REPLICA IDENTITY {identity}"
        ))
        .await;
        two.target(
            "CREATE TABLE folded (a int PRIMARY KEY, b int, c text);
             INSERT INTO folded SELECT n, n * 3 + 2, 'c' || n * 3 + 2 FROM generate_series(0, 2999) n",
        )
        .await;
        two.ready("folded").await;
        let found = two.verify_one().await;
        assert_eq!((found.outcome, found.tally.rows), (Outcome::Different, 9_000), "{key} {identity}: {found:?}");
        assert_eq!((found.tally.missing, found.tally.extra), (6_000, 0), "{key} {identity}: {found:?}");
        assert_eq!(found.tally.only_in_source, ["g"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_there_twice_on_one_side_is_a_difference() {
    let two = Two::start().await;
    two.both("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT n, 1 FROM generate_series(1, 5000) n")
        .await;
    two.ready("t").await;
    // What an index that went wrong lets in: at the end of a range, too.
    for database in ["there", "lake"] {
        let client = two.client(database, if database == "there" { "public" } else { "erp" }).await;
        let twice = "UPDATE pg_index SET indisunique = false WHERE indexrelid = 't_pkey'::regclass";
        run(&client, twice).await;
        let client = two.client(database, if database == "there" { "public" } else { "erp" }).await;
        run(&client, "INSERT INTO t (id, v) VALUES (2000, 1), (7, 2)").await;
        run(&client, "UPDATE pg_index SET indisunique = true WHERE indexrelid = 't_pkey'::regclass").await;
        let found = two.verify_one().await;
        if database == "there" {
            assert_eq!((found.tally.missing, found.tally.changed, found.tally.extra), (2, 0, 0), "{found:?}");
        } else {
            assert_eq!(found.outcome, Outcome::Equal, "{found:?}");
        }
    }
    two.source("DELETE FROM t WHERE id = 2000").await;
    two.source("INSERT INTO t VALUES (2000, 1)").await;
    let found = two.verify_one().await;
    assert_eq!((found.tally.missing, found.tally.changed, found.tally.extra), (0, 0, 1), "{found:?}");
}
