//! Source against target on a real server: what is different is found by its key, what is not is not reported.
//!
//! Two databases, the target's tables and state made by hand, so that every difference is one that the test made. What
//! the running Tailwater would say of its progress is said by the test.

mod own_questions;

use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Door, Setup, Tailwater};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tailwater::config::{self, Config, Passwords};
use tailwater::deliver::verify::{Difference, Kind, Options, Outcome, Progress, Report, TableReport, verify};
use tailwater::model::pattern::Pattern;
use tailwater::model::problem::Problem;
use tailwater::wire::api::v1;
use tokio_postgres::Client;

const STATE: &str = "
CREATE SCHEMA erp;
CREATE SCHEMA _tailwater;
CREATE TABLE _tailwater.tables (target_schema text, target_table text, target text NOT NULL, system text NOT NULL,
  source_schema text NOT NULL, source_table text NOT NULL, state text NOT NULL, copy_after bigint NOT NULL,
  copy_begin bigint NOT NULL, sweep boolean NOT NULL, shape text, halt_code text, halt_message text,
  PRIMARY KEY (target_schema, target_table), UNIQUE (target, system, source_schema, source_table));
";

/// The newest sequence in a journal that has applied everything.
const SEQUENCE: u64 = 1_000;

struct Two {
    postgres: Postgres,
    config: Config,
}

/// A Tailwater that has brought everything to the target already.
#[derive(Default)]
struct Level {
    /// Of the table `halted_there`.
    halt: Option<&'static str>,
}

impl Progress for Level {
    async fn read(&mut self) -> Result<v1::GetStatusResponse, Problem> {
        let mut status = status("FFFFFFFF/FFFFFFFF", SEQUENCE);
        if let Some(code) = self.halt {
            let table = status.targets[0].tables.iter_mut().find(|table| table.table == "halted_there");
            let table = table.expect("it is one of them");
            table.state = v1::TargetTableState::Halted.into();
            table.halt = Some(v1::Problem { code: code.into(), ..Default::default() });
        }
        Ok(status)
    }
}

/// Tables that the running Tailwater brings, in all tests.
const HELD: &str = "orders t parts Order_\"Lines alternative log every people sales parent child absent gone halted narrow same numbers texts \
     events full_identity halted_there folded";

fn held() -> Vec<v1::TargetTableStatus> {
    let table = |name: &str| v1::TargetTableStatus {
        system: "erp".into(),
        schema: "public".into(),
        table: name.replace('_', if name.starts_with('O') { " " } else { "_" }),
        state: v1::TargetTableState::Ready.into(),
        ..Default::default()
    };
    HELD.split_whitespace().map(table).collect()
}

fn status(checkpoint: &str, sequence: u64) -> v1::GetStatusResponse {
    v1::GetStatusResponse {
        journal: Some(v1::JournalStatus { sequence, ..Default::default() }),
        sources: vec![v1::SourceStatus { system: "erp".into(), checkpoint: checkpoint.into(), ..Default::default() }],
        targets: vec![v1::TargetStatus { target: "lake".into(), sequence, tables: held(), ..Default::default() }],
        ..Default::default()
    }
}

impl Two {
    async fn start() -> Self {
        // The source's text sorts by its language's rules, the target's by bytes.
        Self::with_source("LOCALE_PROVIDER icu ICU_LOCALE 'en-US'").await
    }

    async fn with_source(locale: &str) -> Self {
        let postgres = Postgres::start().await;
        let maintenance = postgres.socket().connect("postgres", "postgres").await.expect("the server is up");
        for sql in [
            format!("CREATE DATABASE there {locale} TEMPLATE template0"),
            "CREATE DATABASE lake LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0".to_owned(),
        ] {
            maintenance.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        let place = |database: &str| {
            let (host, port) = (postgres.socket_dir().display(), postgres.port());
            format!("kind: postgres, host: {host}, port: {port}, user: postgres, database: {database}")
        };
        let yaml = format!(
            "version: 1\ndata_dir: data\nsystems:\n  erp: {{{}, tables: {{include: [\"public.*\"]}}}}\n\
             targets:\n  lake: {{{}, tables: {{include: [\"erp.*\"]}}}}\n",
            place("there"),
            place("lake")
        );
        let path = postgres.socket_dir().join("tailwater.yaml");
        let config = config::parse(&path, yaml.as_bytes(), Passwords::Leave);
        let two = Self { config: config.unwrap_or_else(|error| panic!("{error}\n{yaml}")), postgres };
        two.target(STATE).await;
        two
    }

    async fn client(&self, database: &str, schema: &str) -> Client {
        let client = self.postgres.socket().connect("postgres", database).await.expect("the server is up");
        client.batch_execute(&format!("SET search_path = {schema}")).await.expect("a setting");
        client
    }

    async fn source(&self, sql: &str) {
        run(&self.client("there", "public").await, sql).await;
    }

    async fn target(&self, sql: &str) {
        run(&self.client("lake", "erp").await, sql).await;
    }

    async fn both(&self, sql: &str) {
        self.source(sql).await;
        self.target(sql).await;
    }

    /// The table in the target, made already, becomes one that Tailwater made. `table`: as it stands in SQL.
    async fn ready(&self, table: &str) {
        let name = table.trim_matches('"').replace("\"\"", "\"");
        self.target(&format!(
            "ALTER TABLE {table} ADD _tailwater_sequence bigint DEFAULT 7, ADD _tailwater_committed_at timestamptz;
             INSERT INTO _tailwater.tables
             VALUES ('erp', '{name}', 'lake', 'erp', 'public', '{name}', 'ready', 0, 0, false)"
        ))
        .await;
    }

    async fn verify(&self) -> Report {
        verify(&self.config, &options(), Level::default()).await.expect("there are tables")
    }

    /// The only table's report.
    async fn verify_one(&self) -> TableReport {
        let mut report = self.verify().await;
        assert!(report.tables.len() == 1 && report.stopped.is_empty(), "{report:?}");
        report.tables.remove(0)
    }
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

fn options() -> Options {
    Options { targets: Vec::new(), tables: Vec::new(), wait: Duration::from_secs(30), shown_max: 20 }
}

type Seen<'a> = (Kind, Vec<&'a str>, Vec<&'a str>);

/// Kind, key's texts and columns of each difference, in the order of the keys' texts.
fn differences(report: &TableReport) -> Vec<Seen<'_>> {
    let mut found: Vec<_> = report.tally.shown.iter().map(seen).collect();
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found
}

fn seen(difference: &Difference) -> Seen<'_> {
    let Difference { kind, key, columns, .. } = difference;
    (*kind, key.iter().map(|(_, text)| text.as_str()).collect(), columns.iter().map(String::as_str).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_difference_is_found_by_its_key_in_any_range() {
    let two = Two::start().await;
    two.both(
        "CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric(12,2), status text, note text);
         INSERT INTO orders SELECT n, n * 1.5, CASE WHEN n % 3 = 0 THEN NULL ELSE 'new' END, repeat('x', (n % 90)::int)
         FROM generate_series(1, 50000) n",
    )
    .await;
    two.ready("orders").await;
    let equal = two.verify_one().await;
    assert_eq!((equal.outcome, equal.tally.rows, &equal.problem), (Outcome::Equal, 50_000, &None));
    assert!(equal.tally.ranges > 2, "{} ranges", equal.tally.ranges);

    two.target(
        "UPDATE orders SET amount = amount + 0.01 WHERE id = 40000;
         UPDATE orders SET status = '' WHERE id = 3;
         UPDATE orders SET status = NULL, note = note || ' ' WHERE id = 20000;
         DELETE FROM orders WHERE id IN (1, 30000, 50000);
         INSERT INTO orders SELECT n, 0 FROM unnest('{-5, 50001, 60000}'::bigint[]) n",
    )
    .await;
    let found = two.verify_one().await;
    assert_eq!(found.outcome, Outcome::Different);
    assert_eq!(found.problem.as_ref().map(|problem| problem.code.as_str()), Some("TW-CLI-019"));
    let mut expected = vec![
        (Kind::Changed, vec!["40000"], vec!["amount"]),
        (Kind::Changed, vec!["3"], vec!["status"]),
        (Kind::Changed, vec!["20000"], vec!["status", "note"]),
    ];
    expected.extend(["1", "30000", "50000"].map(|id| (Kind::Missing, vec![id], vec![])));
    expected.extend(["-5", "50001", "60000"].map(|id| (Kind::Extra, vec![id], vec![])));
    expected.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(differences(&found), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_differences_than_are_listed_are_counted() {
    let two = Two::start().await;
    two.both("CREATE TABLE t (id int PRIMARY KEY, v int)").await;
    two.source("INSERT INTO t SELECT n, n FROM generate_series(1, 25000) n").await;
    two.ready("t").await;
    let found = two.verify_one().await;
    assert_eq!((found.tally.missing, found.tally.differences(), found.tally.shown.len()), (25_000, 25_000, 20));
    two.target("INSERT INTO t SELECT n, n FROM generate_series(1, 50000) n").await;
    assert_eq!(two.verify_one().await.tally.extra, 25_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_text_are_compared_whatever_either_side_sorts_by() {
    // Where both sort by bytes, the index is used, range by range.
    for (locale, ranges) in [("LOCALE_PROVIDER icu ICU_LOCALE 'en-US'", 1), ("LC_COLLATE 'C' LC_CTYPE 'C'", 2)] {
        let two = Two::with_source(locale).await;
        two.both(
            "CREATE TABLE parts (code text, place varchar(20), n int, PRIMARY KEY (place, code));
             INSERT INTO parts SELECT c || d || CASE e WHEN 0 THEN '' ELSE '.' || e END, p, 1 FROM
                 unnest('{a,B,b,A,ä,Z,z,é,-,\" \",ß,€,😀,ﬀ}'::text[]) c, unnest('{\"\",1,_,É}'::text[]) d,
                 unnest('{x,X,\"x \",Ö,o}'::text[]) p, generate_series(0, 9) e",
        )
        .await;
        two.ready("parts").await;
        let equal = two.verify_one().await;
        let seen = (equal.outcome, equal.tally.rows, equal.tally.ranges);
        assert_eq!(seen, (Outcome::Equal, 2_800, ranges), "{locale}: {equal:?}");
        two.target(
            "UPDATE parts SET n = 2 WHERE (code, place) = ('ä', 'x ');
             DELETE FROM parts WHERE (code, place) = ('😀É', 'Ö');
             INSERT INTO parts VALUES ('O''B\\rien', 'x', 1)",
        )
        .await;
        let found = two.verify_one().await;
        let expected = [
            (Kind::Extra, vec!["x", "O'B\\rien"], vec![]),
            (Kind::Changed, vec!["x ", "ä"], vec!["n"]),
            (Kind::Missing, vec!["Ö", "😀É"], vec![]),
        ];
        assert_eq!(differences(&found), expected, "{locale}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_composite_keys_and_an_identity_by_index_are_as_good_as_any() {
    let two = Two::start().await;
    two.both(
        r#"CREATE TABLE "Order ""Lines" ("größe" int, "select" date, "Line No" bigint, "2nd.part" text, lies int,
              PRIMARY KEY ("select", "Line No"));
           INSERT INTO "Order ""Lines" SELECT n, date '2024-01-01' + n % 50, n, 'a', 1 FROM generate_series(1, 5000) n;
           CREATE TABLE alternative (a int PRIMARY KEY, b int NOT NULL, c int NOT NULL, v text);
           INSERT INTO alternative SELECT n, -n, n % 7, 'v' FROM generate_series(1, 5000) n"#,
    )
    .await;
    two.source(
        "CREATE UNIQUE INDEX other ON alternative (c, b) INCLUDE (v);
         ALTER TABLE alternative REPLICA IDENTITY USING INDEX other",
    )
    .await;
    two.target("ALTER TABLE alternative DROP CONSTRAINT alternative_pkey, ADD PRIMARY KEY (c, b)").await;
    two.ready(r#""Order ""Lines""#).await;
    two.ready("alternative").await;
    let report = two.verify().await;
    assert!(report.all_equal() && report.tables.len() == 2, "{report:?}");
    two.target(
        r#"UPDATE "Order ""Lines" SET "2nd.part" = NULL, "größe" = 0 WHERE "Line No" = 77;
           UPDATE alternative SET a = 0 WHERE a = 3000"#,
    )
    .await;
    let report = two.verify().await;
    assert_eq!(differences(&report.tables[0]), [(Kind::Changed, vec!["2024-01-28", "77"], vec!["größe", "2nd.part"])]);
    assert_eq!(differences(&report.tables[1]), [(Kind::Changed, vec!["4", "-3000"], vec!["a"])]);
    assert_eq!(report.tables[0].tally.shown[0].key[1].0, "Line No");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_key_are_compared_by_how_often_they_are_there() {
    let two = Two::start().await;
    two.both(
        "CREATE TABLE log (kind text, note text, at timestamptz);
         INSERT INTO log SELECT 'k' || n % 10, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'Ä,\"(' END, '2024-01-01'
         FROM generate_series(1, 3000) n;
         INSERT INTO log VALUES (NULL, NULL, NULL), (NULL, NULL, NULL)",
    )
    .await;
    two.ready("log").await;
    let equal = two.verify_one().await;
    assert_eq!((equal.outcome, equal.tally.rows, equal.tally.ranges), (Outcome::Equal, 3_002, 1));

    // Later than the source's snapshot: on its way here before the source is read again, so no difference.
    two.target("INSERT INTO log VALUES ('later', NULL, NULL, 1001)").await;
    let later = verify(&two.config, &options(), OneMore::default()).await.expect("a table");
    assert!(later.all_equal(), "{later:?}");

    two.target(
        "DELETE FROM log WHERE kind = 'later';
         INSERT INTO log VALUES (NULL, NULL, NULL), ('later', NULL, NULL);
         UPDATE log SET note = '' WHERE ctid = (SELECT min(ctid) FROM log WHERE note IS NULL AND kind = 'k5')",
    )
    .await;
    let found = two.verify_one().await;
    let tally = &found.tally;
    assert_eq!((found.outcome, tally.missing, tally.extra, tally.changed), (Outcome::Different, 1, 3, 0), "{found:?}");
    for difference in &tally.shown {
        let schema = if difference.kind == Kind::Missing { "public" } else { "erp" };
        let place = difference.place.as_deref().expect("a row without key has a place");
        assert!(place.starts_with(&format!("{schema}.log(")) && difference.key.is_empty(), "{difference:?}");
    }
}

/// One transaction comes between the first wait, which looks three times, and the second.
#[derive(Default)]
struct OneMore {
    looks: u32,
}

impl Progress for OneMore {
    async fn read(&mut self) -> Result<v1::GetStatusResponse, Problem> {
        self.looks += 1;
        Ok(status("FFFFFFFF/FFFFFFFF", if self.looks > 3 { SEQUENCE + 1 } else { SEQUENCE }))
    }
}

const EVERY_TYPE: &str = r#"
CREATE TABLE every (id int PRIMARY KEY, a boolean, b smallint, c bigint, d real, e double precision, f numeric,
  g numeric(20,4), h text, i varchar(20), j char(6), k bytea, l date, m time, n timetz, o timestamp, p timestamptz,
  q interval, r uuid, s json, t jsonb, u xml, v bit(5), w varbit, x inet, y cidr, z macaddr, aa money, ab point,
  ac int[],  ad text[][], ae timestamptz[], af int4range, ag tsvector, ah oid, ai "char", aj name, ak numeric[],
  al jsonb[], am bpchar);
INSERT INTO every VALUES
  (1, true, -32768, 9223372036854775807, 'NaN', '-infinity', 'NaN', 12.5, 'ä€😀', 'x', 'ab', '\x00ff41', 'infinity',
   '24:00:00', '12:00:00+05:30', '-infinity', '4713-01-01 00:00:00 BC', '1 year -2 days 03:04:05.678901',
   '00000000-0000-0000-0000-000000000001', '{"a" : 1,  "a":2}', '{"b": [1, null, 1.50]}', '<a>b</a>', B'10101',
   B'1', '::1/64',
   '10.0.0.0/8', '08:00:2b:01:02:03', '-12.34', '(1.5,-0)', '[0:2]={1,NULL,3}', '{{"a,b",NULL},{"","\"q\""}}',
   '{infinity,"2024-02-29 12:00:00.123456+00"}', '[1,5)', '''a'':1 ''b'':2', 4294967295, 'z', 'n', '{NaN,1.10}',
   '{"{\"x\": 1}"}', 'pad  '),
  (2, NULL, NULL, NULL, '-0', '5e-324', 'Infinity', NULL, '', '', '', '', '0001-01-01 BC', NULL, NULL, NULL, NULL, '0',
   NULL, 'null', 'null', NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, '{}', '{}', NULL, 'empty', '', NULL, '',
   '', NULL,
   NULL, ''),
  (3, false, 0, 0, '1.1754944e-38', 0.1, 1.10, 0, E'tab\tline\nback\\slash', 'a', 'a', '\xdeadbeef', '2024-02-29',
   '00:00:00.000001', '00:00:00-15:59', '294276-12-31 23:59:59.999999', 'infinity', '-1 mon', NULL, '[]', '[]', NULL,
   B'00000', B'', '1.2.3.4', '::/0', NULL, 0, NULL, '{{1,2},{3,4}}', NULL, '{}', '(,)', NULL, 0, NULL, NULL, '{}',
   '{}', ' ');
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_compared_by_its_exact_value() {
    let two = Two::start().await;
    two.both(EVERY_TYPE).await;
    two.ready("every").await;
    let equal = two.verify_one().await;
    assert_eq!((equal.outcome, equal.tally.rows), (Outcome::Equal, 3), "{equal:?}");
    // Each equal or alike for SQL, or for a person, or lost by some other way of copying.
    for (column, value) in [
        ("d", "'0'"),
        ("e", "0"),
        ("f", "'NaN'"),
        ("g", "0"),
        ("h", "NULL"),
        ("k", "'\\x00'"),
        ("l", "'0001-01-01'"),
        ("q", "'1 day'"),
        ("s", "' null'"),
        ("t", "NULL"),
        ("am", "' '"),
    ] {
        two.target(&format!("UPDATE every SET {column} = {value} WHERE id = 2")).await;
        let found = two.verify_one().await;
        assert_eq!(differences(&found), [(Kind::Changed, vec!["2"], vec![column])]);
        let back = two.client("there", "public").await;
        let was = back.query_one(&format!("SELECT quote_nullable({column}::text) FROM every WHERE id = 2"), &[]).await;
        let was: String = was.expect("a row").get(0);
        two.target(&format!("UPDATE every SET {column} = {was} WHERE id = 2")).await;
    }
    two.target("UPDATE every SET f = 1.1 WHERE id = 3; UPDATE every SET q = '-30 days' WHERE id = 3").await;
    assert_eq!(differences(&two.verify_one().await), [(Kind::Changed, vec!["3"], vec!["f", "q"])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn types_of_the_application_are_text_in_the_target_and_generated_columns_are_not_there() {
    let two = Two::start().await;
    two.source(
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE TYPE pair AS (a int, b text);
         CREATE DOMAIN code AS text CHECK (VALUE <> 'bad'); CREATE DOMAIN number AS int;
         CREATE TABLE people (mood mood, code code, number number, pair pair, moods mood[],
           twice int GENERATED ALWAYS AS (number * 2) STORED, PRIMARY KEY (mood, code, number));
         INSERT INTO people SELECT m, c, n, ROW(n, NULL)::pair, ARRAY[m, NULL] FROM unnest(enum_range(NULL::mood)) m,
           unnest('{a,B,c}'::text[]) c, generate_series(8, 12) n",
    )
    .await;
    let rows = two.client("there", "public").await;
    let copied = rows
        .query_one(
            "SELECT string_agg(format('(%L,%L,%L,%L,%L)', mood, code, number, pair, moods), ',') FROM people",
            &[],
        )
        .await;
    let copied: String = copied.expect("one row").get(0);
    two.target(&format!(
        "CREATE TABLE people (mood text, code text, number int, pair text, moods text, note text,
           PRIMARY KEY (mood, code, number));
         INSERT INTO people VALUES {copied}"
    ))
    .await;
    two.ready("people").await;
    let equal = two.verify_one().await;
    assert_eq!((equal.outcome, equal.tally.rows), (Outcome::Equal, 45), "{equal:?}");
    assert_eq!(equal.tally.only_in_target, ["note"]);
    two.target(
        "UPDATE people SET mood = 'bad' WHERE mood = 'ok' AND code = 'B' AND number = 9;
         UPDATE people SET pair = '(9,)' WHERE mood = 'sad' AND number = 10 AND code = 'a'",
    )
    .await;
    let expected = [
        (Kind::Extra, vec!["bad", "B", "9"], vec![]),
        (Kind::Missing, vec!["ok", "B", "9"], vec![]),
        (Kind::Changed, vec!["sad", "a", "10"], vec!["pair"]),
    ];
    assert_eq!(differences(&two.verify_one().await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_table_and_its_parents_own_rows_are_what_the_stream_carries() {
    let two = Two::start().await;
    two.source(
        "CREATE TABLE sales (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
         CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM (0) TO (100);
         CREATE TABLE sales_2 PARTITION OF sales FOR VALUES FROM (100) TO (MAXVALUE);
         CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
         INSERT INTO child VALUES (2, 'child')",
    )
    .await;
    two.target(
        "CREATE TABLE sales (id int PRIMARY KEY, v text); CREATE TABLE parent (LIKE sales INCLUDING ALL);
                CREATE TABLE child (LIKE sales INCLUDING ALL); INSERT INTO child VALUES (2, 'child')",
    )
    .await;
    two.both("INSERT INTO sales SELECT n, 'v' FROM generate_series(1, 200) n; INSERT INTO parent VALUES (1, 'own')")
        .await;
    for table in ["sales", "parent", "child"] {
        two.ready(table).await;
    }
    let report = two.verify().await;
    assert!(report.all_equal() && report.tables.len() == 3, "{report:?}");
    two.target("DELETE FROM sales WHERE id = 150").await;
    assert_eq!(differences(&two.verify().await.tables[2]), [(Kind::Missing, vec!["150"], vec![])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ready_or_not_laid_out_alike_is_said_and_not_compared() {
    let two = Two::start().await;
    let tables = ["absent", "gone", "halted", "narrow", "same"];
    for table in tables {
        two.both(&format!("CREATE TABLE {table} (id int PRIMARY KEY, v int)")).await;
    }
    for table in &tables[1..] {
        two.ready(table).await;
    }
    two.source("DROP TABLE gone").await;
    two.target(
        "ALTER TABLE narrow DROP v;
         UPDATE _tailwater.tables SET state = 'halted', halt_code = 'TW-TGT-001' WHERE source_table = 'halted'",
    )
    .await;
    let report = two.verify().await;
    let found: Vec<_> = report
        .tables
        .iter()
        .map(|table| {
            (table.table.as_str(), table.outcome, table.problem.as_ref().map(|p| p.to_string()).unwrap_or_default())
        })
        .collect();
    let expected = [
        ("erp.public.absent", Outcome::NotReady, "TW-CLI-017: the target does not have it yet"),
        ("erp.public.gone", Outcome::Failed, "TW-CLI-016: the source has no such table any more"),
        ("erp.public.halted", Outcome::NotReady, "TW-CLI-017: it is halted in the target: TW-TGT-001"),
        ("erp.public.narrow", Outcome::Failed, "TW-CLI-016: erp.narrow in the target has no column v"),
        ("erp.public.same", Outcome::Equal, ""),
    ];
    assert_eq!(found, expected.map(|(table, outcome, problem)| (table, outcome, problem.to_owned())));
    assert!(!report.all_equal());

    let only = |tables: &[&str], targets: &[&str]| Options {
        tables: tables.iter().map(|pattern| Pattern::new(pattern)).collect(),
        targets: targets.iter().map(|name| (*name).to_owned()).collect(),
        ..options()
    };
    let same = verify(&two.config, &only(&["erp.public.sa*"], &["lake"]), Level::default()).await.expect("a table");
    assert!(same.all_equal() && same.tables.len() == 1, "{same:?}");
    for (tables, targets) in [(&["erp.public.same", "erp.public.none"][..], &[][..]), (&[], &["sea"])] {
        let refused =
            verify(&two.config, &only(tables, targets), Level::default()).await.expect_err("it means nothing");
        assert_eq!(refused.code.as_str(), "TW-CLI-018");
    }
}

/// A Tailwater of one writer: it knows up to where of the source's log the target has everything.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<(String, u64)>>);

impl Progress for Written {
    async fn read(&mut self) -> Result<v1::GetStatusResponse, Problem> {
        let written = self.0.lock().expect("nobody panics").clone();
        Ok(status(&written.0, written.1))
    }
}

/// Changes the source, and the target a moment later, over and over.
async fn write(two: &Two, written: Written, done: Arc<AtomicBool>) {
    let (source, target) = (two.client("there", "public").await, two.client("lake", "erp").await);
    let mut sequence = SEQUENCE;
    while !done.load(Ordering::Relaxed) {
        sequence += 1;
        let change = |own: &str| {
            let n = sequence % 300;
            format!(
                "BEGIN; DELETE FROM numbers WHERE id = {n}; DELETE FROM texts WHERE id = 'k{n}';
                 UPDATE numbers SET v = 1 - v WHERE id % 50 = {0};
                 UPDATE texts SET v = 1 - v WHERE right(id, 1) = '{1}';
                 INSERT INTO numbers VALUES ({2}, 1{own}) ON CONFLICT DO NOTHING;
                 INSERT INTO texts VALUES ('k{2}', 1{own}) ON CONFLICT DO NOTHING;
                 INSERT INTO events VALUES ('same'{own}), ('one {sequence}'{own});
                 UPDATE full_identity SET v = 1 - v WHERE id <= 20; COMMIT",
                n % 50,
                n % 10,
                (n * 7 + 150) % 300,
            )
        };
        run(&source, &change("")).await;
        let end: String =
            source.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.expect("a row").get(0);
        run(&target, &change(&format!(", {sequence}"))).await;
        *written.0.lock().expect("nobody panics") = (end, sequence);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_permanent_writing_nothing_is_reported_but_the_difference_that_there_is() {
    let two = Two::start().await;
    two.both(
        "CREATE TABLE numbers (id int PRIMARY KEY, v int); CREATE TABLE texts (id text PRIMARY KEY, v int);
         CREATE TABLE events (note text); CREATE TABLE full_identity (id int, v int);
         INSERT INTO numbers SELECT n, 1 FROM generate_series(0, 9999) n;
         INSERT INTO texts SELECT 'k' || n, 1 FROM generate_series(0, 999) n;
         INSERT INTO full_identity SELECT n, 1 FROM generate_series(1, 20) n",
    )
    .await;
    two.source("ALTER TABLE full_identity REPLICA IDENTITY FULL").await;
    for table in ["events", "full_identity", "numbers", "texts"] {
        two.ready(table).await;
    }
    let (written, done) = (Written::default(), Arc::new(AtomicBool::new(false)));
    let checks = async {
        for _ in 0..4 {
            let equal = verify(&two.config, &options(), written.clone()).await.expect("tables");
            assert!(equal.all_equal(), "{equal:#?}");
        }
        two.target(
            "UPDATE numbers SET v = 9 WHERE id = 5001; DELETE FROM texts WHERE id = 'k777';
             INSERT INTO events VALUES ('forged', 1); INSERT INTO full_identity VALUES (21, 7)",
        )
        .await;
        let found = verify(&two.config, &options(), written.clone()).await.expect("tables");
        done.store(true, Ordering::Relaxed);
        found
    };
    let (found, ()) = tokio::join!(checks, write(&two, written.clone(), Arc::clone(&done)));
    let tallies: Vec<_> = found
        .tables
        .iter()
        .map(|table| (table.tally.changed, table.tally.missing, table.tally.extra, table.tally.unsettled))
        .collect();
    assert_eq!(tallies, [(0, 0, 1, 0), (0, 0, 1, 0), (1, 0, 0, 0), (0, 1, 0, 0)], "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_stands_still_is_not_waited_for_for_ever() {
    let two = Two::start().await;
    two.both("CREATE TABLE t (id int PRIMARY KEY)").await;
    two.ready("t").await;
    let options = Options { wait: Duration::from_millis(300), ..options() };
    let report = verify(&two.config, &options, Written::default()).await.expect("a table");
    assert_eq!(report.stopped.len(), 1, "{report:?}");
    let problem = report.stopped[0].problem.to_string();
    assert!(problem.starts_with("TW-CLI-014: the source erp is at 0/0, waited for "), "{problem}");
    assert!(!report.all_equal());
}

/// A running Tailwater, and a target that is never behind it.
struct Running(Door);

impl Progress for Running {
    async fn read(&mut self) -> Result<v1::GetStatusResponse, Problem> {
        let mut status = self.0.status().await.expect("tailwater runs");
        let sequence = status.journal.as_ref().map(|journal| journal.sequence).unwrap_or_default();
        status.targets =
            vec![v1::TargetStatus { target: "lake".into(), sequence, tables: held(), ..Default::default() }];
        Ok(status)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_source_is_passed_as_well_as_a_busy_one() {
    let two = Two::start().await;
    two.both("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    two.ready("t").await;
    let mut setup = Setup::new(&two.postgres);
    setup.system = setup.system.replace("database: erp", "database: there");
    two.source("GRANT CREATE ON DATABASE there TO tailwater; ALTER TABLE t OWNER TO erp").await;
    let tailwater = Tailwater::start(setup).await;
    for _ in 0..3 {
        let report = verify(&two.config, &options(), Running(tailwater.door())).await.expect("a table");
        assert!(report.all_equal(), "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_by_its_exit_code_that_nothing_runs_or_nothing_is_meant() {
    let postgres = Postgres::start().await;
    let mut tailwater = Tailwater::new(&Setup::new(&postgres));
    let nobody = tailwater.cli(&["verify"]);
    assert_eq!(nobody.status.code(), Some(3), "{nobody:?}");
    tailwater.up().await;
    let nothing = tailwater.cli(&["verify", "--json"]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("TW-CLI-018"), "{nothing:?}");
    assert!(serde_json::from_slice::<Value>(&nothing.stdout).is_err(), "there is no report");
}
