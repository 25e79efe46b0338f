//! A cell of a typed row as a text that PostgreSQL reads as that value, and for the types that the load uses the very text that
//! it prints (`TimeZone=UTC`, `DateStyle=ISO`).
//!
//! Written from `types.proto` alone, so that the product's own forms are not their own judges. What is not known is an error
//! and never a guess.

use jiff::civil::DateTime;
use jiff::{SignedDuration, ToSpan};
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

/// # Errors
/// What cannot be printed.
pub fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Bool(true) => Ok("t".into()),
        Value::Bool(false) => Ok("f".into()),
        Value::I32(number) => Ok(number.to_string()),
        Value::I64(number) => Ok(number.to_string()),
        Value::U32(number) => Ok(number.to_string()),
        Value::U64(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.clone()),
        Value::F32(number) => Ok(float(f64::from(*number), &format!("{number:e}"))),
        Value::F64(number) => Ok(float(*number, &format!("{number:e}"))),
        Value::Bytes(bytes) => Ok(bytes.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"))),
        Value::Message(message) => message_text(message),
        other => Err(format!("no text form for {other:?}")),
    }
}

fn message_text(message: &DynamicMessage) -> Result<String, String> {
    let descriptor = message.descriptor();
    match (descriptor.full_name(), integer(message, "special")) {
        ("tailwater.types.v1.Decimal", None) => string(message, "value"),
        ("tailwater.types.v1.Decimal", Some(special)) => {
            Ok(["", "Infinity", "-Infinity", "NaN"][special as usize].into())
        }
        (_, Some(special @ 1..=2)) => Ok(["", "infinity", "-infinity"][special as usize].into()),
        ("tailwater.types.v1.Json" | "tailwater.types.v1.Other", _) => string(message, "text"),
        ("tailwater.types.v1.Date", None) => Ok(date(integer(message, "days").unwrap_or(0))),
        ("tailwater.types.v1.Time", None) => Ok(clock(integer(message, "microseconds").unwrap_or(0))),
        ("tailwater.types.v1.TimeWithOffset", None) => {
            let offset = integer(message, "offset_seconds").unwrap_or(0);
            let sign = if offset < 0 { '-' } else { '+' };
            let offset = clock(offset.abs() * 1_000_000);
            Ok(format!("{}{sign}{offset}", clock(integer(message, "microseconds").unwrap_or(0))))
        }
        ("tailwater.types.v1.Interval", None) => {
            let parts = message.get_field_by_name("parts");
            let Some(Value::Message(parts)) = parts.as_deref() else { return Err("an interval without parts".into()) };
            let part = |name| integer(parts, name).unwrap_or(0);
            Ok(format!("{} mons {} days {} microseconds", part("months"), part("days"), part("microseconds")))
        }
        ("tailwater.types.v1.Bits", None) => bits(message),
        ("tailwater.types.v1.LocalDateTime", None) => local(message),
        ("tailwater.types.v1.Instant", None) => Ok(local(message)? + "+00"),
        (name, None) if name.ends_with("Array") => array(message),
        (name, special) => Err(format!("no text form for {name} (special {special:?})")),
    }
}

fn local(message: &DynamicMessage) -> Result<String, String> {
    let nanos = integer(message, "nanos").unwrap_or(0);
    let seconds = integer(message, "seconds").unwrap_or(0);
    match date_time(seconds, nanos) {
        Ok(at) if at.year() > 0 => Ok(at.to_string().replace('T', " ")),
        _ => {
            let micros = seconds.rem_euclid(86_400) * 1_000_000 + nanos / 1_000;
            Ok(format!("{} {}", julian(seconds.div_euclid(86_400)), clock(micros)))
        }
    }
}

fn float(number: f64, shortest: &str) -> String {
    match number {
        number if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => shortest.into(),
    }
}

/// Since 1970-01-01.
fn date(days: i64) -> String {
    match date_time(days.saturating_mul(86_400), 0) {
        Ok(at) if at.year() > 0 => at.date().to_string(),
        _ => julian(days),
    }
}

/// For years that the calendar here does not have.
fn julian(days: i64) -> String {
    format!("J{}", days + 2_440_588)
}

fn clock(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let fraction = if micros % 1_000_000 == 0 { String::new() } else { format!(".{:06}", micros % 1_000_000) };
    format!("{:02}:{:02}:{:02}{fraction}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn bits(message: &DynamicMessage) -> Result<String, String> {
    let length = integer(message, "length").unwrap_or(0);
    let Some(Value::Bytes(bytes)) = message.get_field_by_name("bits").map(|bits| bits.into_owned()) else {
        return Err("bits without bytes".into());
    };
    let all = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| if byte >> bit & 1 == 1 { '1' } else { '0' }));
    Ok(all.take(usize::try_from(length).expect("a length")).collect())
}

/// Every element in quotes, bounds always said.
fn array(message: &DynamicMessage) -> Result<String, String> {
    let numbers = |name: &str| -> Vec<i64> {
        let shape = message.get_field_by_name("shape").map(|shape| shape.into_owned());
        let Some(Value::Message(shape)) = shape else { return vec![] };
        match shape.get_field_by_name(name).map(|list| list.into_owned()) {
            Some(Value::List(list)) => list
                .iter()
                .map(|number| number.as_i32().or(number.as_u32().map(|n| n as i32)).unwrap_or(0).into())
                .collect(),
            _ => vec![],
        }
    };
    let (lengths, bounds, nulls) = (numbers("lengths"), numbers("lower_bounds"), numbers("nulls"));
    let Some(Value::List(values)) = message.get_field_by_name("values").map(|list| list.into_owned()) else {
        return Err("an array without values".into());
    };
    let expected: i64 = if lengths.is_empty() { 0 } else { lengths.iter().product() };
    if i64::try_from(values.len()) != Ok(expected) {
        return Err(format!("{} values in an array of {lengths:?}", values.len()));
    }
    let mut texts = Vec::new();
    for (at, value) in (0..).zip(&values) {
        texts.push(if nulls.contains(&at) {
            "NULL".to_owned()
        } else {
            format!("\"{}\"", text(value)?.replace('\\', "\\\\").replace('"', "\\\""))
        });
    }
    let mut level = texts;
    for length in lengths.iter().rev() {
        level = level
            .chunks(usize::try_from(*length).expect("a length"))
            .map(|part| format!("{{{}}}", part.join(",")))
            .collect();
    }
    let said = bounds.iter().zip(&lengths).map(|(from, length)| format!("[{from}:{}]", from + length - 1));
    let said: String = said.collect();
    let said = if said.is_empty() { said } else { said + "=" };
    Ok(said + level.first().map_or("{}", String::as_str))
}

fn date_time(seconds: i64, nanos: i64) -> Result<DateTime, String> {
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let after = SignedDuration::from_secs(seconds) + SignedDuration::from_nanos(nanos);
    epoch.checked_add(after).and_then(|at| at.checked_add(0.seconds())).map_err(|error| error.to_string())
}

fn string(message: &DynamicMessage, field: &str) -> Result<String, String> {
    match message.get_field_by_name(field).as_deref() {
        Some(Value::String(text)) => Ok(text.clone()),
        other => Err(format!("{field} of {} is {other:?}", message.descriptor().full_name())),
    }
}

/// `None`: the field is absent.
fn integer(message: &DynamicMessage, field: &str) -> Option<i64> {
    if !message.has_field_by_name(field) {
        return None;
    }
    match message.get_field_by_name(field).as_deref()? {
        Value::I32(number) | Value::EnumNumber(number) => Some((*number).into()),
        Value::U32(number) => Some((*number).into()),
        Value::I64(number) => Some(*number),
        _ => None,
    }
}
