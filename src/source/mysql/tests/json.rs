//! Doubles in JSON columns, of every exponent: in the stream and in a copy as the server prints them.

use super::attached::{Attached, Seen};
use super::copy::copied;
use super::server::{Kind, Server};
use crate::wire::api::v1::Op;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

const DOCUMENTS: usize = 3000;
const AT_ONCE: usize = 250;

/// Around where the server changes over to an exponent, and at the ends.
const EDGES: [&str; 18] = [
    "1.0",
    "-0.0",
    "0.1",
    "1e14",
    "1e15",
    "1e16",
    "1e17",
    "1e22",
    "1e23",
    "123456789012345.0",
    "1234567890123456.0",
    "9007199254740993.0",
    "1e-14",
    "1e-15",
    "5e-324",
    "2.2250738585072014e-308",
    "1.7976931348623157e308",
    "-1.5e300",
];

fn number(random: &mut StdRng) -> String {
    match random.random_range(0..4) {
        0 => EDGES[random.random_range(0..EDGES.len())].to_owned(),
        // Fifteen to seventeen digits, the point somewhere near their end.
        1 => format!("{}.{}", random.random_range(1_u64..99_999_999_999_999_999), random.random_range(0..100)),
        2 => format!("{}e{}", random.random_range(-999_999..999_999), random.random_range(-30..30)),
        _ => {
            let double = f64::from_bits(random.random());
            if double.is_finite() { format!("{double:e}") } else { "1.0".to_owned() }
        }
    }
}

fn documents(seen: &[Seen], op: Op) -> Vec<(i64, String)> {
    let row = |seen: &Seen| {
        let row = seen.after.as_ref().filter(|_| seen.op == op && seen.table == "docs")?;
        match (&row["id"], &row["doc"]) {
            (Value::Number(id), Value::String(doc)) => Some((id.as_i64()?, doc.clone())),
            _ => None,
        }
    };
    let mut documents: Vec<_> = seen.iter().filter_map(row).collect();
    documents.sort();
    documents
}

#[tokio::test(flavor = "multi_thread")]
async fn doubles_in_json_of_every_exponent_are_what_mysql_prints_in_stream_and_copy() {
    let seed = std::env::var("TAILWATER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("TAILWATER_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let server = Server::start(Kind::Mysql).await;
    server.execute("CREATE TABLE marks (mark varchar(80) PRIMARY KEY)").await;
    server.execute("CREATE TABLE docs (id int PRIMARY KEY, doc json)").await;
    let mut attached = Attached::to(&server).await;
    let documents_of = |random: &mut StdRng| format!("[{}, {{\"a\": {}}}]", number(random), number(random));
    for from in (0..DOCUMENTS).step_by(AT_ONCE) {
        let row = |id: usize| format!("({id}, '{}')", documents_of(&mut random));
        let rows: Vec<_> = (from..from + AT_ONCE).map(row).collect();
        server.execute(&format!("INSERT INTO docs VALUES {}", rows.join(", "))).await;
    }
    let streamed = documents(&attached.level(&server).await, Op::Insert);
    copied(&attached, "docs").await;
    let copied = documents(&attached.level(&server).await, Op::Read);
    let truth = server.rows("SELECT doc FROM docs ORDER BY id").await;
    assert_eq!((streamed.len(), copied.len(), truth.len()), (DOCUMENTS, DOCUMENTS, DOCUMENTS));
    let lines = truth.iter().flatten().flatten().zip(&streamed).zip(&copied);
    let wrong = lines.filter(|((truth, (_, streamed)), (_, copied))| *truth != streamed || *truth != copied);
    let wrong: Vec<_> = wrong.take(20).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    attached.end().await;
}
