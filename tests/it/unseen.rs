//! Rows that change without an event: what the catalogue tells of them between two looks, on every version of the server.
//! Each table is harmed in one way; afterwards it has been copied again, for that reason, and is what the source's is.

use crate::harness::postgres::{Postgres, Version};
use crate::harness::tailwater::{Door, Setup, Tailwater};
use crate::harness::warehouse::{self, assert_same, passed, ready};
use crate::harness::{eventually, holds};
use std::time::Duration;
use tailwater::wire::api::v1::{CopyState, SourceState, TableStatus};

const WITHIN: Duration = Duration::from_secs(120);

/// A table, what makes it, what is done to it at once, and what `status` says of why it is copied again.
struct Harm {
    table: &'static str,
    made: &'static str,
    done: &'static str,
    why: &'static str,
}

const fn harm(table: &'static str, made: &'static str, done: &'static str, why: &'static str) -> Harm {
    Harm { table, made, done, why }
}

const HARMS: &[Harm] = &[
    harm(
        "same_type",
        "CREATE TABLE same_type (id int PRIMARY KEY, c bigint); INSERT INTO same_type SELECT n, n FROM generate_series(1, 9) n",
        "ALTER TABLE same_type ALTER c TYPE bigint USING c * 100",
        "its rows were rewritten",
    ),
    harm(
        "swapped",
        "CREATE TABLE swapped (id int PRIMARY KEY, a int, b int); INSERT INTO swapped SELECT n, n, -n FROM generate_series(1, 9) n",
        "ALTER TABLE swapped RENAME a TO x; ALTER TABLE swapped RENAME b TO a; ALTER TABLE swapped RENAME x TO b",
        "column \"a\" was renamed to \"b\"",
    ),
    harm(
        "attached",
        "CREATE TABLE attached (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE attached_1 PARTITION OF attached FOR VALUES FROM (0) TO (10); INSERT INTO attached VALUES (1, 1); \
         CREATE TABLE attached_2 (id int PRIMARY KEY, n int); INSERT INTO attached_2 SELECT n, n FROM generate_series(10, 19) n",
        "ALTER TABLE attached ATTACH PARTITION attached_2 FOR VALUES FROM (10) TO (20)",
        "a partition was attached",
    ),
    harm(
        "attached_at_once",
        "CREATE TABLE attached_at_once (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE attached_at_once_1 PARTITION OF attached_at_once FOR VALUES FROM (0) TO (10)",
        "BEGIN; CREATE TABLE attached_at_once_2 (LIKE attached_at_once INCLUDING ALL); \
         INSERT INTO attached_at_once_2 VALUES (11, 1); \
         ALTER TABLE attached_at_once ATTACH PARTITION attached_at_once_2 FOR VALUES FROM (10) TO (20); COMMIT",
        "a partition was attached",
    ),
    harm(
        "detached",
        "CREATE TABLE detached (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE detached_1 PARTITION OF detached FOR VALUES FROM (0) TO (10); \
         CREATE TABLE detached_2 PARTITION OF detached FOR VALUES FROM (10) TO (20); \
         INSERT INTO detached SELECT n, n FROM generate_series(1, 19) n",
        "ALTER TABLE detached DETACH PARTITION detached_2",
        "a partition was detached or dropped",
    ),
    harm(
        "leaf_dropped",
        "CREATE TABLE leaf_dropped (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE leaf_dropped_1 PARTITION OF leaf_dropped FOR VALUES FROM (0) TO (10); \
         CREATE TABLE leaf_dropped_2 PARTITION OF leaf_dropped FOR VALUES FROM (10) TO (20); \
         INSERT INTO leaf_dropped SELECT n, n FROM generate_series(1, 19) n",
        "DROP TABLE leaf_dropped_1",
        "a partition was detached or dropped",
    ),
    harm(
        "leaf_rewritten",
        "CREATE TABLE leaf_rewritten (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE leaf_rewritten_1 PARTITION OF leaf_rewritten FOR VALUES FROM (0) TO (10); \
         INSERT INTO leaf_rewritten SELECT n, n FROM generate_series(1, 9) n",
        "ALTER TABLE leaf_rewritten ALTER n TYPE int USING n + 7",
        "a partition was rewritten or truncated",
    ),
    harm(
        "moods",
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE moods (id int PRIMARY KEY, m mood, a mood[]); \
         INSERT INTO moods VALUES (1, 'sad', '{happy,sad}'), (2, 'happy', NULL)",
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        "label \"sad\" of an enum of its columns was renamed",
    ),
    harm(
        "composite",
        "CREATE TYPE pair AS (a int, b text); CREATE TABLE composite (id int PRIMARY KEY, p pair); \
         INSERT INTO composite VALUES (1, '(1,x)')",
        "ALTER TYPE pair ADD ATTRIBUTE c int",
        "a composite type",
    ),
    harm(
        "unpublished",
        "CREATE TABLE unpublished (id int PRIMARY KEY, n int); INSERT INTO unpublished SELECT n, n FROM generate_series(1, 9) n",
        "ALTER PUBLICATION tailwater_erp DROP TABLE unpublished; UPDATE unpublished SET n = -n; \
         ALTER PUBLICATION tailwater_erp ADD TABLE unpublished",
        "its publication was altered, or left it out for a while",
    ),
    harm(
        "filtered",
        "CREATE TABLE filtered (id int PRIMARY KEY, n int); INSERT INTO filtered SELECT n, n FROM generate_series(1, 9) n",
        "ALTER PUBLICATION tailwater_erp DROP TABLE filtered; ALTER PUBLICATION tailwater_erp ADD TABLE filtered WHERE (id > 5); \
         UPDATE filtered SET n = -n; ALTER PUBLICATION tailwater_erp DROP TABLE filtered; \
         ALTER PUBLICATION tailwater_erp ADD TABLE filtered",
        "its publication was altered, or left it out for a while",
    ),
    harm(
        "volatile_default",
        "CREATE TABLE volatile_default (id int PRIMARY KEY); INSERT INTO volatile_default SELECT generate_series(1, 9)",
        "ALTER TABLE volatile_default ADD c float8 DEFAULT random(); ALTER TABLE volatile_default ALTER c DROP DEFAULT",
        "column \"c\" was added",
    ),
    harm(
        "constant_default",
        "CREATE TABLE constant_default (id int PRIMARY KEY); INSERT INTO constant_default SELECT generate_series(1, 9)",
        "ALTER TABLE constant_default ADD c int DEFAULT 7; ALTER TABLE constant_default ALTER c DROP DEFAULT",
        "column \"c\" was added",
    ),
    harm(
        "no_longer_generated",
        "CREATE TABLE no_longer_generated (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED); \
         INSERT INTO no_longer_generated SELECT generate_series(1, 9)",
        "ALTER TABLE no_longer_generated ALTER g DROP EXPRESSION",
        "column \"g\" was added",
    ),
    harm(
        "made_again",
        "CREATE TABLE made_again (id int PRIMARY KEY, n int); INSERT INTO made_again VALUES (1, 1), (2, 2)",
        "DROP TABLE made_again; CREATE TABLE made_again (id int PRIMARY KEY, n int); INSERT INTO made_again VALUES (2, 3)",
        "another table has its name now",
    ),
    harm(
        "given_a_key",
        "CREATE TABLE given_a_key (id int, n int); INSERT INTO given_a_key VALUES (1, 1), (2, 2)",
        "UPDATE given_a_key SET n = -n; ALTER TABLE given_a_key REPLICA IDENTITY FULL",
        "",
    ),
    harm(
        "renamed",
        "CREATE TABLE renamed (id int PRIMARY KEY, n int); INSERT INTO renamed SELECT n, n FROM generate_series(1, 9) n",
        "ALTER TABLE renamed RENAME TO elsewhere; UPDATE elsewhere SET n = -n; ALTER TABLE elsewhere RENAME TO renamed",
        "it had another name for a while",
    ),
    harm(
        "name_lent",
        "CREATE TABLE name_lent (id int PRIMARY KEY, n int); INSERT INTO name_lent SELECT n, n FROM generate_series(1, 9) n; \
         CREATE TABLE borrower (id int PRIMARY KEY, n int); INSERT INTO borrower VALUES (1, 1)",
        "ALTER TABLE name_lent RENAME TO third; ALTER TABLE borrower RENAME TO name_lent; DELETE FROM name_lent; \
         ALTER TABLE name_lent RENAME TO borrower; ALTER TABLE third RENAME TO name_lent",
        "another table ha",
    ),
    harm(
        "attached_again",
        "CREATE TABLE attached_again (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE attached_again_1 PARTITION OF attached_again FOR VALUES FROM (0) TO (10); \
         INSERT INTO attached_again SELECT n, n FROM generate_series(1, 9) n",
        "ALTER TABLE attached_again DETACH PARTITION attached_again_1; UPDATE attached_again_1 SET n = -n; \
         ALTER TABLE attached_again ATTACH PARTITION attached_again_1 FOR VALUES FROM (0) TO (10)",
        "a partition was detached and attached again",
    ),
    harm(
        "attached_for_a_while",
        "CREATE TABLE attached_for_a_while (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE other_part (id int PRIMARY KEY, n int); INSERT INTO other_part SELECT n, n FROM generate_series(1, 9) n",
        "BEGIN; ALTER TABLE attached_for_a_while ATTACH PARTITION other_part FOR VALUES FROM (0) TO (10); \
         UPDATE attached_for_a_while SET n = -n; ALTER TABLE attached_for_a_while DETACH PARTITION other_part; COMMIT",
        "a partition was attached for a while",
    ),
    harm(
        "leaf_unlogged",
        "CREATE TABLE leaf_unlogged (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE leaf_unlogged_1 PARTITION OF leaf_unlogged FOR VALUES FROM (0) TO (10); \
         INSERT INTO leaf_unlogged SELECT n, n FROM generate_series(1, 9) n",
        "ALTER TABLE leaf_unlogged_1 SET UNLOGGED; UPDATE leaf_unlogged SET n = -n; ALTER TABLE leaf_unlogged_1 SET LOGGED",
        "",
    ),
    harm(
        "born_unlogged",
        "CREATE TABLE born_unlogged (id int PRIMARY KEY, n int) PARTITION BY RANGE (id)",
        "CREATE UNLOGGED TABLE born_unlogged_1 PARTITION OF born_unlogged FOR VALUES FROM (0) TO (10); \
         INSERT INTO born_unlogged VALUES (1, 1); ALTER TABLE born_unlogged_1 SET LOGGED",
        "",
    ),
    harm(
        "leaf_truncated",
        "CREATE TABLE leaf_truncated (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE leaf_truncated_1 PARTITION OF leaf_truncated FOR VALUES FROM (0) TO (10); \
         INSERT INTO leaf_truncated SELECT n, n FROM generate_series(1, 9) n",
        "TRUNCATE leaf_truncated_1",
        "a partition was rewritten or truncated",
    ),
    harm(
        "leaf_identity",
        "CREATE TABLE leaf_identity (id int PRIMARY KEY, n int NOT NULL) PARTITION BY RANGE (id); \
         CREATE TABLE leaf_identity_1 PARTITION OF leaf_identity FOR VALUES FROM (0) TO (100); \
         CREATE UNIQUE INDEX leaf_identity_n ON leaf_identity_1 (n); \
         INSERT INTO leaf_identity SELECT n, n FROM generate_series(1, 9) n",
        "BEGIN; ALTER TABLE leaf_identity_1 REPLICA IDENTITY USING INDEX leaf_identity_n; \
         UPDATE leaf_identity SET id = id + 50; ALTER TABLE leaf_identity_1 REPLICA IDENTITY DEFAULT; COMMIT",
        "a partition had another replica identity for a while",
    ),
    harm(
        "moods_and_back",
        "CREATE TYPE tempers AS ENUM ('sad', 'happy'); CREATE TABLE moods_and_back (id int PRIMARY KEY, m tempers); \
         INSERT INTO moods_and_back VALUES (1, 'sad'), (2, 'happy')",
        "BEGIN; ALTER TYPE tempers RENAME VALUE 'sad' TO 'blue'; UPDATE moods_and_back SET m = 'blue'; \
         ALTER TYPE tempers RENAME VALUE 'blue' TO 'sad'; COMMIT",
        "of an enum of its columns was renamed",
    ),
    harm(
        "composite_and_back",
        "CREATE TYPE couple AS (a int, b text); CREATE TABLE composite_and_back (id int PRIMARY KEY, p couple); \
         INSERT INTO composite_and_back VALUES (1, '(1,x)')",
        "BEGIN; ALTER TYPE couple ADD ATTRIBUTE c int; INSERT INTO composite_and_back VALUES (2, '(1,x,3)'); \
         ALTER TYPE couple DROP ATTRIBUTE c; COMMIT",
        "a composite type",
    ),
    harm(
        "root_default",
        "CREATE TABLE root_default (id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE root_default_1 PARTITION OF root_default FOR VALUES FROM (0) TO (10); \
         INSERT INTO root_default SELECT n FROM generate_series(1, 9) n",
        "BEGIN; ALTER TABLE root_default ADD c int DEFAULT 7; ALTER TABLE root_default ALTER c DROP DEFAULT; COMMIT",
        "column \"c\" was added",
    ),
];

/// Of which nothing may be copied again: every value is provably what it was.
const HARMLESS: &[Harm] = &[
    harm(
        "kept",
        "CREATE TYPE kept_mood AS ENUM ('a'); CREATE TABLE kept (id int PRIMARY KEY, v varchar(10), m kept_mood, n int); \
         INSERT INTO kept SELECT n, n, 'a', n FROM generate_series(1, 9) n",
        "ALTER TABLE kept ALTER n SET STATISTICS 50; ALTER TYPE kept_mood ADD VALUE 'b'; CREATE INDEX ON kept (n); \
         ALTER TABLE kept ALTER n SET NOT NULL; ALTER TABLE kept ALTER n SET DEFAULT 5; ANALYZE kept; \
         ALTER TABLE kept ADD CHECK (n > 0); COMMENT ON TABLE kept IS 'x'; GRANT SELECT (n) ON kept TO PUBLIC",
        "",
    ),
    harm(
        "moved",
        "CREATE TABLE moved (id int PRIMARY KEY, n int); INSERT INTO moved SELECT n, n FROM generate_series(1, 9) n",
        "TRUNCATE moved; INSERT INTO moved VALUES (1, 1)",
        "",
    ),
    harm(
        "born",
        "CREATE TABLE born (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE born_1 PARTITION OF born FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE born_2 PARTITION OF born FOR VALUES FROM (10) TO (20); INSERT INTO born VALUES (11, 1); \
         ALTER TABLE born_2 ALTER n SET STATISTICS 9; GRANT SELECT ON born_1 TO PUBLIC; INSERT INTO born VALUES (1, 1)",
        "",
    ),
];

async fn status(door: &Door, table: &str) -> Result<TableStatus, String> {
    let source = door.source().await?;
    let found = source.tables.into_iter().find(|found| found.table == table);
    found.ok_or_else(|| format!("{table} is not captured"))
}

async fn copy_number(door: &Door, table: &str) -> u64 {
    status(door, table).await.expect("captured").copy.expect("copied").copy
}

async fn harmed_tables_are_copied_again(version: Version) {
    let (source, warehouse) = (Postgres::of_version(version).await, Postgres::start_another().await);
    for harm in HARMS.iter().chain(HARMLESS) {
        source.execute_as_owner(harm.made).await;
    }
    let names: Vec<_> = HARMS.iter().chain(HARMLESS).map(|harm| harm.table).collect();
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    let door = tailwater.door();
    ready(&door, &names, WITHIN).await;
    let mut before = Vec::new();
    for name in &names {
        before.push(copy_number(&door, name).await);
    }
    for harm in HARMS.iter().chain(HARMLESS) {
        for statement in split(harm.done) {
            match statement.starts_with("ALTER PUBLICATION") {
                true => source.execute(&statement).await,
                false => source.execute_as_owner(&statement).await,
            }
        }
    }
    for (harm, before) in HARMS.iter().zip(&before) {
        eventually("the table is copied again", WITHIN, async || {
            let status = status(&door, harm.table).await?;
            let copy = status.copy.as_ref().ok_or("no copy")?;
            let again = copy.copy > *before && copy.state() == CopyState::Done && copy.why.contains(harm.why);
            holds(again, || format!("{} {}: {status:?}", version as u8, harm.table))
        })
        .await;
    }
    ready(&door, &names, WITHIN).await;
    passed(&source, &door, WITHIN).await;
    assert_same(&source, &warehouse, &names).await;
    for (harm, before) in HARMLESS.iter().zip(&before[HARMS.len()..]) {
        let copy = status(&door, harm.table).await.expect("captured").copy.expect("copied");
        assert_eq!(copy.copy, *before, "{} was copied again for nothing: {}", harm.table, copy.why);
    }
}

/// Statements apart, but what is one transaction together.
fn split(sql: &str) -> Vec<String> {
    if sql.starts_with("BEGIN") {
        return vec![sql.to_owned()];
    }
    sql.split("; ").map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_without_an_event_bring_another_copy_on_15() {
    harmed_tables_are_copied_again(Version::V15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_without_an_event_bring_another_copy_on_17() {
    harmed_tables_are_copied_again(Version::V17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_without_an_event_bring_another_copy_on_18() {
    harmed_tables_are_copied_again(Version::V18).await;
}

/// What no copy can keep equal is shown with its code, stops no other table, and stops no application.
async fn what_is_not_told_apart_halts_alone(version: Version) {
    let (source, warehouse) = (Postgres::of_version(version).await, Postgres::start_another().await);
    for sql in [
        "CREATE TABLE plain (id int PRIMARY KEY, n int)",
        "CREATE TABLE part_of_key (id int, g int GENERATED ALWAYS AS (id % 2) STORED, n int, PRIMARY KEY (id, g))",
        "CREATE TABLE only_generated (id int, g int GENERATED ALWAYS AS (id * 2) STORED PRIMARY KEY)",
        "CREATE TABLE leaves (id int PRIMARY KEY, n int NOT NULL) PARTITION BY RANGE (id)",
        "CREATE TABLE leaves_1 PARTITION OF leaves FOR VALUES FROM (0) TO (100)",
        "CREATE UNIQUE INDEX leaves_1_n ON leaves_1 (n)",
        "ALTER TABLE leaves_1 REPLICA IDENTITY USING INDEX leaves_1_n",
        "CREATE TABLE half_full (id int PRIMARY KEY, n int) PARTITION BY RANGE (id)",
        "CREATE TABLE half_full_1 PARTITION OF half_full FOR VALUES FROM (0) TO (100)",
        "ALTER TABLE half_full REPLICA IDENTITY FULL",
        "INSERT INTO part_of_key (id, n) VALUES (1, 1), (2, 2), (3, 3); INSERT INTO only_generated (id) VALUES (1), (2)",
        "INSERT INTO leaves VALUES (1, 1), (2, 2); INSERT INTO half_full VALUES (1, 1), (2, 2); INSERT INTO plain VALUES (1, 1)",
    ] {
        source.execute_as_owner(sql).await;
    }
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    let door = tailwater.door();
    ready(&door, &["plain"], WITHIN).await;
    let halted = async |table: &str, code: &str| {
        eventually("the table is shown as halted", WITHIN, async || {
            let status = status(&door, table).await?;
            holds(status.halt.as_ref().is_some_and(|halt| halt.code == code), || format!("{status:?}"))
        })
        .await;
    };
    for table in ["part_of_key", "only_generated", "leaves", "half_full"] {
        halted(table, "TW-SRC-036").await;
    }
    for sql in [
        "UPDATE part_of_key SET n = -n; DELETE FROM part_of_key WHERE id = 2; DELETE FROM only_generated",
        "UPDATE leaves SET n = -n; DELETE FROM half_full; UPDATE plain SET n = 5",
    ] {
        source.execute_as_owner(sql).await;
    }
    source
        .execute(
            "CREATE ROLE stranger LOGIN; SET ROLE stranger; RESET ROLE; GRANT CREATE ON SCHEMA public TO stranger; \
             SET ROLE stranger; CREATE TABLE public.strange (id int PRIMARY KEY); INSERT INTO public.strange VALUES (1)",
        )
        .await;
    halted("strange", "TW-SRC-004").await;
    passed(&source, &door, WITHIN).await;
    assert_same(&source, &warehouse, &["plain"]).await;
    assert!(warehouse::table(&door, "leaves").await.is_err(), "nothing of it is at a target");

    // Told apart, they are captured as a whole.
    source
        .execute_as_owner(
            "ALTER TABLE leaves_1 REPLICA IDENTITY DEFAULT; ALTER TABLE half_full_1 REPLICA IDENTITY FULL; \
             INSERT INTO half_full VALUES (3, 3)",
        )
        .await;
    ready(&door, &["leaves", "half_full"], WITHIN).await;
    source.execute_as_owner("UPDATE leaves SET n = n - 9; DELETE FROM half_full WHERE id = 3").await;
    passed(&source, &door, WITHIN).await;
    assert_same(&source, &warehouse, &["leaves", "half_full"]).await;

    // And one that is told apart no more is not called ready.
    source.execute_as_owner("ALTER TABLE leaves_1 REPLICA IDENTITY USING INDEX leaves_1_n").await;
    eventually("the target's table is shown as halted", WITHIN, async || {
        let shown = warehouse::table(&door, "leaves").await?;
        holds(shown.halt.as_ref().is_some_and(|halt| halt.code == "TW-SRC-036"), || format!("{shown:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_whose_rows_are_not_told_apart_halt_alone_and_applications_go_on_working() {
    for version in [Version::V15, Version::V17, Version::V18] {
        what_is_not_told_apart_halts_alone(version).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_made_again_that_was_never_copied_halts_nothing_and_its_rows_are_read() {
    let source = Postgres::start().await;
    source.execute_as_owner("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)").await;
    let tailwater = Tailwater::start(Setup::new(&source)).await;
    let door = tailwater.door();
    source.execute_as_owner("INSERT INTO t VALUES (1); INSERT INTO other VALUES (1)").await;
    source.execute_as_owner("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (2)").await;
    eventually("the new table is copied", WITHIN, async || {
        let copy = status(&door, "t").await?.copy.ok_or("no copy")?;
        holds(copy.state() == CopyState::Done && copy.rows == 1, || format!("{copy:?}"))
    })
    .await;
    let copy = status(&door, "t").await.expect("captured").copy.expect("a copy");
    assert_eq!(copy.why, "another table has its name now");
    assert_eq!(door.source().await.expect("a status").state(), SourceState::Streaming);
}

/// Its rows from before it was captured are in no stream: neither a target nor a subscriber misses them.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_joins_is_copied_whoever_follows_it() {
    let source = Postgres::start().await;
    source.execute_as_owner("CREATE TABLE first (id int PRIMARY KEY); INSERT INTO first VALUES (1)").await;
    let mut tailwater = Tailwater::start(Setup::new(&source)).await;
    let joins = async |tailwater: &Tailwater, table: &str, rows: u64| {
        eventually("the table is copied", WITHIN, async || {
            let copy = status(&tailwater.door(), table).await?.copy.ok_or("no copy")?;
            let is_it =
                copy.state() == CopyState::Done && copy.rows == rows && copy.why == "it was not captured before";
            holds(is_it, || format!("{copy:?}"))
        })
        .await;
    };
    source.execute_as_owner("CREATE TABLE second (id int PRIMARY KEY); INSERT INTO second VALUES (1), (2)").await;
    joins(&tailwater, "second", 2).await;
    tailwater.kill();
    source.execute_as_owner("CREATE TABLE third (id int PRIMARY KEY); INSERT INTO third VALUES (1), (2), (3)").await;
    tailwater.up().await;
    joins(&tailwater, "third", 3).await;
    assert!(status(&tailwater.door(), "first").await.expect("captured").copy.is_none(), "it was there from the first");
}

/// Who leaves a publication of a whole schema, or has another name in one of all tables, and comes back, was written meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_elsewhere_for_a_while_is_copied_again_also_in_a_publication_of_a_schema() {
    for version in [Version::V15, Version::V18] {
        let (source, warehouse) = (Postgres::of_version(version).await, Postgres::start_another().await);
        source
            .execute_as_owner("CREATE TABLE visitor (id int PRIMARY KEY, n int); INSERT INTO visitor VALUES (1, 1)")
            .await;
        source.execute("CREATE SCHEMA elsewhere AUTHORIZATION erp").await;
        source
            .execute(
                "CREATE PUBLICATION tailwater_erp FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true); \
                 CREATE PUBLICATION tailwater_erp_insert_only WITH (publish = 'insert, truncate')",
            )
            .await;
        let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
        let door = tailwater.door();
        ready(&door, &["visitor"], WITHIN).await;
        let before = copy_number(&door, "visitor").await;
        source
            .execute_as_owner(
                "ALTER TABLE visitor SET SCHEMA elsewhere; UPDATE elsewhere.visitor SET n = 2; \
                 ALTER TABLE elsewhere.visitor SET SCHEMA public",
            )
            .await;
        eventually("the table is copied again", WITHIN, async || {
            let copy = status(&door, "visitor").await?.copy.ok_or("no copy")?;
            holds(copy.copy > before && copy.state() == CopyState::Done, || format!("{copy:?}"))
        })
        .await;
        ready(&door, &["visitor"], WITHIN).await;
        passed(&source, &door, WITHIN).await;
        assert_same(&source, &warehouse, &["visitor"]).await;
    }
}

/// What is not in this server's log halts its table; back in it, the table is copied again.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_a_partition_that_is_not_logged_halts_alone() {
    let (source, warehouse) = (Postgres::start().await, Postgres::start_another().await);
    source
        .execute_as_owner(
            "CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE parted (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
             CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10); INSERT INTO parted VALUES (1, 1)",
        )
        .await;
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    let door = tailwater.door();
    ready(&door, &["plain", "parted"], WITHIN).await;
    source
        .execute_as_owner("ALTER TABLE parted_1 SET UNLOGGED; UPDATE parted SET n = 2; INSERT INTO plain VALUES (1)")
        .await;
    eventually("the table halts at its source and at the target", WITHIN, async || {
        let (at_source, at_target) = (status(&door, "parted").await?, warehouse::table(&door, "parted").await?);
        let halts = [&at_source.halt, &at_target.halt];
        let all = halts.iter().all(|halt| halt.as_ref().is_some_and(|halt| halt.code == "TW-SRC-032"));
        holds(all, || format!("{at_source:?} {at_target:?}"))
    })
    .await;
    passed(&source, &door, WITHIN).await;
    assert_same(&source, &warehouse, &["plain"]).await;
    source.execute_as_owner("ALTER TABLE parted_1 SET LOGGED").await;
    ready(&door, &["parted"], WITHIN).await;
    passed(&source, &door, WITHIN).await;
    assert_same(&source, &warehouse, &["parted"]).await;
}

/// Of a table whose rows cannot be told apart a copy is whole only until the next update.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_identity_is_not_called_ready_once_it_was_updated() {
    let (source, warehouse) = (Postgres::start().await, Postgres::start_another().await);
    source.execute_as_owner("CREATE TABLE bare (n int); INSERT INTO bare SELECT generate_series(1, 9)").await;
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    let door = tailwater.door();
    ready(&door, &["bare"], WITHIN).await;
    source.execute_as_owner("INSERT INTO bare VALUES (10)").await;
    passed(&source, &door, WITHIN).await;
    assert_same(&source, &warehouse, &["bare"]).await;
    source.execute_as_owner("UPDATE bare SET n = -n WHERE n < 3").await;
    eventually("the table is shown as halted", WITHIN, async || {
        let shown = warehouse::table(&door, "bare").await?;
        holds(shown.halt.as_ref().is_some_and(|halt| halt.code == "TW-SRC-037"), || format!("{shown:?}"))
    })
    .await;
    let output = tailwater.cli(&["resync", "warehouse", "erp.public.bare"]);
    assert!(output.status.success(), "{output:?}");
    eventually("it is whole again", WITHIN, async || {
        let shown = warehouse::table(&door, "bare").await?;
        holds(shown.halt.is_none() && status(&door, "bare").await?.halt.is_none(), || format!("{shown:?}"))
    })
    .await;
    ready(&door, &["bare"], WITHIN).await;
    assert_same(&source, &warehouse, &["bare"]).await;
    let copy = status(&door, "bare").await.expect("captured").copy.expect("copied");
    assert!(copy.why.contains("updated or deleted"), "for every target, not for the one that asked: {copy:?}");
}

/// Nobody is to take for current what nothing changes any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_gone_is_not_called_ready_and_one_that_comes_back_is_copied() {
    let (source, warehouse) = (Postgres::start().await, Postgres::start_another().await);
    source.execute_as_owner("CREATE TABLE brief (id int PRIMARY KEY); INSERT INTO brief VALUES (1)").await;
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    let door = tailwater.door();
    ready(&door, &["brief"], WITHIN).await;
    source.execute_as_owner("DROP TABLE brief").await;
    eventually("the target's table is shown as halted", WITHIN, async || {
        let shown = warehouse::table(&door, "brief").await?;
        holds(shown.halt.as_ref().is_some_and(|halt| halt.code == "TW-SRC-038"), || format!("{shown:?}"))
    })
    .await;
    source.execute_as_owner("CREATE TABLE brief (id int PRIMARY KEY); INSERT INTO brief VALUES (2)").await;
    ready(&door, &["brief"], WITHIN).await;
    passed(&source, &door, WITHIN).await;
    assert_same(&source, &warehouse, &["brief"]).await;
}
