//! Random values of PostgreSQL's types, as SQL.

use rand::Rng;
use rand::rngs::StdRng;

/// Types that a random table has, beside arrays of some.
pub const TYPES: &[&str] = &[
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "numeric",
    "numeric(12,3)",
    "numeric(5,-2)",
    "text",
    "varchar(20)",
    "char(7)",
    "\"char\"",
    "name",
    "bytea",
    "date",
    "time",
    "time(2)",
    "timetz",
    "timestamp",
    "timestamp(3)",
    "timestamptz",
    "interval",
    "json",
    "jsonb",
    "bit(9)",
    "varbit",
    "uuid",
    "oid",
    "inet",
    "macaddr",
    "point",
    "int4range",
    "mood",
    "percent",
    "pair",
    "smallint[]",
    "bigint[]",
    "double precision[]",
    "numeric[]",
    "text[]",
    "bytea[]",
    "date[]",
    "timestamptz[]",
    "interval[]",
    "boolean[]",
    "mood[]",
];

/// Types that a key may have: equal values have one text.
pub const KEYS: &[&str] = &[
    "integer",
    "bigint",
    "text",
    "varchar(20)",
    "uuid",
    "bytea",
    "date",
    "timestamptz",
    "numeric(12,3)",
    "inet",
    "mood",
];

pub const PREPARE: &str = "CREATE TYPE mood AS ENUM ('sad', 'o''k \"\\', 'happy'); CREATE DOMAIN percent AS numeric CHECK (value >= 0); \
     CREATE TYPE pair AS (a int, b text)";

/// A literal, cast to its type; sometimes NULL where that may be.
pub fn cell(declared: &str, nullable: bool, random: &mut StdRng) -> String {
    if nullable && random.random_ratio(1, 8) {
        return "NULL".to_owned();
    }
    let text = match declared.strip_suffix("[]") {
        Some(element) => array(element, random),
        None => value(declared, random),
    };
    format!("{}::{declared}", quoted(&text))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn array(element: &str, random: &mut StdRng) -> String {
    let (rows, columns) = (random.random_range(0..4), random.random_range(1..4));
    if rows == 0 {
        return "{}".to_owned();
    }
    let row = |random: &mut StdRng| {
        let cells = (0..columns).map(|_| match random.random_range(0..5) {
            0 => "NULL".to_owned(),
            _ => format!("\"{}\"", value(element, random).replace('\\', "\\\\").replace('"', "\\\"")),
        });
        format!("{{{}}}", cells.collect::<Vec<_>>().join(","))
    };
    match random.random_range(0..3) {
        0 => row(random),
        1 => format!("[{0}:{1}]={2}", -2, columns - 3, row(random)),
        _ => format!("{{{}}}", (0..rows).map(|_| row(random)).collect::<Vec<_>>().join(",")),
    }
}

fn value(declared: &str, random: &mut StdRng) -> String {
    match declared {
        "boolean" => random.random_bool(0.5).to_string(),
        "smallint" => pick(&[i16::MIN, i16::MAX, 0], random).unwrap_or_else(|| random.random::<i16>()).to_string(),
        "integer" => pick(&[i32::MIN, i32::MAX, 0], random).unwrap_or_else(|| random.random::<i32>()).to_string(),
        "bigint" => pick(&[i64::MIN, i64::MAX, 0], random).unwrap_or_else(|| random.random::<i64>()).to_string(),
        "oid" => random.random::<u32>().to_string(),
        "real" => special(&["NaN", "Infinity", "-Infinity", "-0"], random).unwrap_or_else(|| {
            f32::from_bits(random.random::<u32>() & 0x7F7F_FFFF | random.random::<u32>() & 0x8000_0000).to_string()
        }),
        "double precision" => special(&["NaN", "Infinity", "-Infinity", "-0", "5e-324"], random)
            .unwrap_or_else(|| f64::from_bits(random.random::<u64>() & 0xFFEF_FFFF_FFFF_FFFF).to_string()),
        "numeric" => {
            special(&["NaN", "Infinity", "-Infinity", "0.000", "1e-30", "1e100"], random).unwrap_or_else(|| {
                let (whole, fraction) = (random.random_range(1..40), random.random_range(0..30));
                sign(random) + &digits(whole, random) + "." + &digits(fraction, random) + "0"
            })
        }
        "numeric(12,3)" => sign(random) + &random.random_range(0..1_000_000_000).to_string() + ".5",
        "numeric(5,-2)" => sign(random) + &random.random_range(0..9_999_900).to_string(),
        "percent" => random.random_range(0..10_000).to_string() + ".10",
        "text" => text(random, 60),
        "varchar(20)" => text(random, 20),
        "char(7)" => text(random, 7),
        "name" => text(random, 12),
        "\"char\"" => random.random_range(' '..='~').to_string(),
        "bytea" => format!("\\x{}", hex(random.random_range(0..40), random)),
        "date" => special(&["infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", "4713-01-01 BC"], random)
            .unwrap_or_else(|| day(random)),
        "time" => special(&["24:00:00", "00:00:00"], random).unwrap_or_else(|| clock(random)),
        "time(2)" => clock(random),
        "timetz" => clock(random) + pick(&["+00", "-03:30", "+14:00:10", "-15:59"], random).unwrap_or("+02"),
        "timestamp" | "timestamp(3)" => {
            special(&["infinity", "-infinity", "294276-12-31 23:59:59", "4713-01-01 00:00:00 BC"], random)
                .unwrap_or_else(|| day(random) + " " + &clock(random))
        }
        "timestamptz" => special(&["infinity", "-infinity", "294276-12-31 23:59:59+00"], random).unwrap_or_else(|| {
            day(random) + " " + &clock(random) + pick(&["+00", "-03:30", "+05:45"], random).unwrap_or("+02")
        }),
        "interval" => format!(
            "{} mons {} days {} microseconds",
            random.random_range(-5_000..5_000),
            random.random_range(-100_000..100_000),
            random.random_range(-1_000_000_000_000_i64..1_000_000_000_000)
        ),
        "json" | "jsonb" => json(random, 3),
        "bit(9)" => bits(9, random),
        "varbit" => bits(random.random_range(0..40), random),
        "uuid" => {
            let digits = hex(16, random);
            format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
        }
        "inet" => format!(
            "{}.{}.0.{}/{}",
            random.random::<u8>(),
            random.random::<u8>(),
            random.random::<u8>(),
            random.random_range(8..=32)
        ),
        "macaddr" => hex(6, random),
        "point" => format!("({},{})", random.random_range(-1e6..1e6), random.random::<f64>()),
        "int4range" => special(&["empty", "(,)", "[5,)"], random)
            .unwrap_or_else(|| format!("[{},{})", random.random_range(-9..0), random.random_range(0..9))),
        "mood" => pick(&["sad", "o'k \"\\", "happy"], random).unwrap_or("sad").to_owned(),
        "pair" => {
            format!("({},\"{}\")", random.random::<i32>(), text(random, 9).replace('\\', "\\\\").replace('"', "\"\""))
        }
        other => panic!("no values of {other}"),
    }
}

/// One of these, one time in three.
fn pick<T: Copy>(of: &[T], random: &mut StdRng) -> Option<T> {
    random.random_ratio(1, 3).then(|| of[random.random_range(0..of.len())])
}

fn special(of: &[&str], random: &mut StdRng) -> Option<String> {
    pick(of, random).map(str::to_owned)
}

fn sign(random: &mut StdRng) -> String {
    if random.random_bool(0.5) { "-".to_owned() } else { String::new() }
}

fn digits(count: usize, random: &mut StdRng) -> String {
    (0..count).map(|_| random.random_range('0'..='9')).collect()
}

fn hex(bytes: usize, random: &mut StdRng) -> String {
    (0..bytes).map(|_| format!("{:02x}", random.random::<u8>())).collect()
}

fn bits(count: usize, random: &mut StdRng) -> String {
    (0..count).map(|_| if random.random_bool(0.5) { '1' } else { '0' }).collect()
}

fn day(random: &mut StdRng) -> String {
    format!(
        "{:04}-{:02}-{:02}",
        random.random_range(1..=9999),
        random.random_range(1..=12),
        random.random_range(1..=28)
    )
}

fn clock(random: &mut StdRng) -> String {
    let fraction = special(&["", ".5", ".000001"], random).unwrap_or_else(|| format!(".{}", digits(6, random)));
    format!(
        "{:02}:{:02}:{:02}{fraction}",
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(0..60)
    )
}

pub fn text(random: &mut StdRng, length_max: usize) -> String {
    const ODD: [char; 14] = ['\'', '"', '\\', '\n', '\t', '\r', '\u{1}', 'ä', '€', '😀', '\u{7f}', ' ', ',', '{'];
    let length = random.random_range(0..=length_max);
    (0..length)
        .map(|_| match random.random_range(0..3) {
            0 => ODD[random.random_range(0..ODD.len())],
            _ => random.random_range('!'..='~'),
        })
        .collect()
}

fn json(random: &mut StdRng, depth: u32) -> String {
    let inner = |random: &mut StdRng| json(random, depth.saturating_sub(1));
    match random.random_range(0..if depth == 0 { 5 } else { 7 }) {
        0 => "null".to_owned(),
        1 => random.random_bool(0.5).to_string(),
        2 => sign(random) + &random.random::<u64>().to_string() + ".50e2",
        3 | 4 => serde_json::Value::from(text(random, 9)).to_string(),
        5 => format!("[{}, {}]", inner(random), inner(random)),
        _ => format!("{{\"b\": {}, \"a\":{}}}", inner(random), inner(random)),
    }
}
