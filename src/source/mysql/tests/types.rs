//! The server is the oracle: every type's values in the stream, in a copy and as the server prints them are the same.

use super::attached::{Attached, Cells, Seen};
use super::copy::copied;
use super::server::{Kind, Server};
use crate::wire::api::v1::Op;
use base64::Engine as _;
use serde_json::Value;

/// A column's type, and values that it can hold.
const COMMON: &[(&str, &[&str])] = &[
    ("tinyint", &["-128", "127", "0"]),
    ("tinyint(1)", &["2", "-1"]),
    ("tinyint unsigned", &["255"]),
    ("smallint", &["-32768", "32767"]),
    ("smallint unsigned", &["65535"]),
    ("mediumint", &["-8388608", "8388607"]),
    ("mediumint unsigned", &["16777215"]),
    ("int", &["-2147483648", "2147483647"]),
    ("int unsigned", &["4294967295"]),
    ("int(9) zerofill", &["42"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("bigint unsigned", &["18446744073709551615", "0"]),
    ("decimal(65,30)", &["-12345678901234567890123456789012345.123456789012345678901234567890", "0", "0.5"]),
    ("decimal(10,0)", &["9999999999", "-1"]),
    ("decimal(8,2) zerofill", &["1.5"]),
    ("decimal(9,9)", &["-0.123456789"]),
    ("decimal(12,2) unsigned", &["1234567890.12"]),
    ("float", &["16777217", "-0.1", "3.402823e38", "1e-38"]),
    ("double", &["0.1", "-1.7976931348623157e308", "2.2250738585072014e-308"]),
    ("bit(1)", &["b'1'", "b'0'"]),
    ("bit(11)", &["b'10100000001'"]),
    ("bit(64)", &["0xFFFFFFFFFFFFFFFE"]),
    ("year", &["'0000'", "1901", "2155"]),
    ("date", &["'1000-01-01'", "'9999-12-31'", "'0000-00-00'", "'2026-05-00'", "'2024-02-29'"]),
    ("time", &["'-838:59:59'", "'838:59:59'", "'00:00:00'"]),
    ("time(1)", &["'-10:20:30.5'", "'-00:00:00.1'"]),
    ("time(3)", &["'-00:00:00.001'", "'12:34:56.789'"]),
    ("time(6)", &["'-838:59:59.000000'", "'-00:00:00.000001'", "'11:22:33.000001'"]),
    ("datetime", &["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'0000-00-00 00:00:00'"]),
    ("datetime(2)", &["'2026-06-17 14:22:00.25'", "'2026-00-00 01:02:03.40'"]),
    ("datetime(6)", &["'1969-12-31 23:59:59.999999'"]),
    ("timestamp NULL", &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'"]),
    ("timestamp(6) NULL", &["'2026-06-17 14:22:00.000001'"]),
    ("char(5)", &["'ab  '", "''", "'grün€'"]),
    ("varchar(300)", &["'😀'", "REPEAT('ä', 300)"]),
    ("varchar(20) CHARACTER SET latin1", &["'€grün'", "x'8081'"]),
    ("char(5) CHARACTER SET ascii", &["'ab'"]),
    ("varchar(20) CHARACTER SET ucs2", &["'grün'"]),
    ("varchar(20) CHARACTER SET utf16le", &["'😀x'"]),
    ("char(9) CHARACTER SET utf32", &["'😀x'"]),
    ("text CHARACTER SET cp1251", &["'Привет'"]),
    ("text CHARACTER SET utf8mb3", &["'grün'"]),
    ("varchar(20) CHARACTER SET gbk", &["'丂中文a'", "'€'"]),
    ("varchar(20) CHARACTER SET big5", &["'中文a'"]),
    ("varchar(20) CHARACTER SET sjis", &["'日本ｱ\\\\~'"]),
    ("varchar(20) CHARACTER SET cp932", &["'①日本'"]),
    ("char(9) CHARACTER SET ujis", &["'日本丂ｱ'"]),
    ("varchar(20) CHARACTER SET eucjpms", &["'①丂'"]),
    ("text CHARACTER SET euckr", &["'한국어'"]),
    ("varchar(20) CHARACTER SET gb2312", &["'中文'"]),
    ("tinytext", &["'a'"]),
    ("mediumtext", &["'\\0\\n'"]),
    ("longtext", &["''"]),
    ("binary(4)", &["x'01'", "x'FF000000'", "''"]),
    ("binary(16)", &["x'00112233445566778899AABBCCDD0000'"]),
    ("varbinary(300)", &["x'00FF00'", "''"]),
    ("tinyblob", &["x'00'"]),
    ("blob", &["x'FFFE'"]),
    ("longblob", &["REPEAT(x'00', 70000)"]),
    ("enum('a','it''s','ü')", &["'a'", "'it''s'", "'ü'"]),
    ("set('a','b','c')", &["''", "'a,c'", "'a,b,c'"]),
    ("enum('ä','b') CHARACTER SET latin1", &["'ä'"]),
    ("geometry", &["ST_GeomFromText('POINT(1 2)')"]),
    ("point", &["ST_GeomFromText('POINT(-1.5 2)')"]),
    ("linestring", &["ST_GeomFromText('LINESTRING(0 0, 1 1)')"]),
];

const MYSQL: &[(&str, &[&str])] = &[
    ("varchar(20) CHARACTER SET gb18030", &["'丂😀ḿa'", "'€'"]),
    (
        "json",
        &[
            r#"'{"b": 1, "a": [true, false, null, -5, 70000, 5000000000, 18446744073709551615, "é\\"\\\\\\n\\u0001"]}'"#,
            r#"'[1.5, 1e100, 1.0, 0.1, 1e-7, 123456789012345680000, 100000000000000, 1000000000000000]'"#,
            "JSON_OBJECT('d', CAST('2026-06-17' AS DATE), 't', CAST('-10:20:30.5' AS TIME(1)), 'dt', CAST('2026-06-17 14:22:00.25' AS DATETIME(2)), 'n', CAST(-12.50 AS DECIMAL(6,2)), 'x', x'00FF')",
            "JSON_OBJECT('big', JSON_ARRAY(REPEAT('x', 70000)), 'e', JSON_OBJECT(), 'l', JSON_ARRAY())",
            "'\"text\"'",
            "'1'",
        ],
    ),
    ("vector(3)", &["TO_VECTOR('[1,2.5,-3]')"]),
];

const MARIADB: &[(&str, &[&str])] = &[
    ("json", &[r#"'{"b":  1}'"#]),
    (
        "uuid",
        &[
            "'123e4567-e89b-12d3-a456-426614174000'",
            "'00000000-0000-0000-0000-000000000001'",
            "'018f3e5a-7b1c-7def-8abc-0123456789ab'",
            "'c73bcdcc-2669-4bf6-81d3-e4ae73fb11fd'",
        ],
    ),
    ("inet6", &["'::'", "'2001:db8::'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'::1'", "'fe80::1:0:0:1'"]),
    ("inet4", &["'0.0.0.0'", "'10.0.0.0'", "'255.255.255.255'"]),
];

/// A table with a column of each type, and in its rows each value once; the rest is null.
async fn create(server: &Server, types: &[(&str, &[&str])]) {
    let columns: Vec<_> = types.iter().enumerate().map(|(at, (name, _))| format!("c{at} {name}")).collect();
    server.execute("CREATE TABLE marks (mark varchar(80) PRIMARY KEY)").await;
    let columns: String = columns.iter().map(|column| format!(", {column}")).collect();
    server.execute(&format!("CREATE TABLE every (id int PRIMARY KEY{columns})")).await;
}

async fn fill(server: &Server, types: &[(&str, &[&str])]) {
    let rows = types.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    for row in 0..=rows {
        let values: Vec<_> = types.iter().map(|(_, values)| values.get(row).copied().unwrap_or("NULL")).collect();
        server.execute(&format!("INSERT INTO every VALUES ({row}, {})", values.join(", "))).await;
    }
}

/// What the server prints of a cell, in the form of [`printed`].
fn expression(column: usize, declared: &str) -> String {
    let word = declared.split([' ', '(']).next().unwrap_or_default();
    match word {
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "geometry" | "point"
        | "linestring" | "vector" => format!("HEX(c{column})"),
        "bit" => format!("BIN(c{column} + 0)"),
        _ if declared.ends_with("zerofill") => format!("c{column} + 0"),
        // As text a FLOAT loses digits; as a double it has them all.
        "float" => format!("c{column} + 0e0"),
        _ => format!("c{column}"),
    }
}

/// A cell of ours in the server's words.
fn printed(value: &Value, declared: &str) -> Option<String> {
    let word = declared.split([' ', '(']).next().unwrap_or_default();
    let digits = declared.split(['(', ')']).nth(1).and_then(|digits| digits.parse::<usize>().ok()).unwrap_or(0);
    Some(match (word, value) {
        (_, Value::Null) => return None,
        (_, Value::Object(special)) => special["text"].as_str().expect("a text").to_owned(),
        (
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "geometry" | "point"
            | "linestring" | "vector",
            Value::String(text),
        ) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
            bytes.iter().map(|byte| format!("{byte:02X}")).collect()
        }
        ("bit", Value::String(bits)) => {
            let bits = bits.trim_start_matches('0');
            if bits.is_empty() { "0".to_owned() } else { bits.to_owned() }
        }
        ("time" | "datetime" | "timestamp", Value::String(text)) => {
            let text = text.trim_end_matches('Z').replace('T', " ");
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            if digits == 0 { whole.to_owned() } else { format!("{whole}.{fraction:0<digits$}") }
        }
        ("year", Value::Number(year)) => format!("{:04}", year.as_i64().expect("a number")),
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    })
}

/// The server prints a FLOAT as the double that it is exactly.
fn same_number(declared: &str, a: &str, b: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    let a = if declared == "float" { a.parse::<f32>().ok().map(f64::from) } else { number(a) };
    matches!((a, number(b)), (Some(a), Some(b)) if a.to_bits() == b.to_bits())
}

fn rows(seen: &[Seen], op: Op) -> Vec<Cells> {
    let mut rows: Vec<_> = seen.iter().filter(|seen| seen.op == op).filter_map(|seen| seen.after.clone()).collect();
    rows.sort_by_key(|row| row["id"].as_i64());
    rows
}

async fn judge(kind: Kind, types: &[(&str, &[&str])]) {
    let server = Server::start(kind).await;
    create(&server, types).await;
    let mut attached = Attached::to(&server).await;
    fill(&server, types).await;
    let streamed = rows(&attached.level(&server).await, Op::Insert);
    let described = attached.journal.current_schemas().len();
    assert_eq!(described, 2, "{kind:?}: the catalogue and the log describe a table in the same way");
    copied(&attached, "every").await;
    let seen = attached.level(&server).await;
    let copied = rows(&seen, Op::Read);
    let expressions: Vec<_> = types.iter().enumerate().map(|(at, (name, _))| expression(at, name)).collect();
    let truth = server.rows(&format!("SELECT {} FROM every ORDER BY id", expressions.join(", "))).await;
    assert_eq!((streamed.len(), copied.len()), (truth.len(), truth.len()));
    let mut wrong = Vec::new();
    for ((streamed, copied), truth) in streamed.iter().zip(&copied).zip(&truth) {
        for (at, ((declared, _), truth)) in types.iter().zip(truth).enumerate() {
            let (streamed, copied) = (&streamed[&format!("c{at}")], &copied[&format!("c{at}")]);
            let ours = printed(streamed, declared);
            let equal =
                ours == *truth || ours.as_ref().zip(truth.as_ref()).is_some_and(|(a, b)| same_number(declared, a, b));
            if streamed != copied || !equal {
                wrong.push(format!("{declared}: streamed {streamed:.120}, copied {copied:.120}, server {truth:.120?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{kind:?}:\n{}", wrong.join("\n"));
    // Old images, and null to value and back, go the same way.
    server.execute("UPDATE every SET id = id + 1000").await;
    server.execute("DELETE FROM every").await;
    let seen = attached.level(&server).await;
    let deleted = seen.iter().filter(|seen| seen.op == Op::Delete).filter_map(|seen| seen.before.clone());
    for (mut deleted, streamed) in deleted.zip(&streamed) {
        deleted.insert("id".into(), streamed["id"].clone());
        assert_eq!(&deleted, streamed, "{kind:?}");
    }
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_the_same_in_stream_and_copy_and_as_mysql_prints_it() {
    judge(Kind::Mysql, &[COMMON, MYSQL].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_the_same_in_stream_and_copy_and_as_mariadb_prints_it() {
    judge(Kind::Mariadb, &[COMMON, MARIADB].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_the_same_in_stream_and_copy_and_as_a_newer_mariadb_prints_it() {
    judge(Kind::MariadbNewer, &[COMMON, MARIADB].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_character_set_that_nobody_used_before_is_read_all_the_same() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::start(kind).await;
        create(&server, &[]).await;
        let mut attached = Attached::to(&server).await;
        server.execute("CREATE TABLE later (id int PRIMARY KEY, s varchar(9) CHARACTER SET gbk)").await;
        server.execute("INSERT INTO later VALUES (1, '中文')").await;
        let streamed = rows(&attached.level(&server).await, Op::Insert);
        copied(&attached, "later").await;
        let copied = rows(&attached.level(&server).await, Op::Read);
        assert_eq!((&streamed[0]["s"], &copied), (&"中文".into(), &streamed), "{kind:?}");
        attached.end().await;
    }
}
