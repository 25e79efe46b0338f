//! A cell of a typed row as the text that PostgreSQL prints for it (`TimeZone=UTC`, `DateStyle=ISO`).
//!
//! Written from `types.proto` alone, so that the product's own JSON form is not its own judge. Knows the types that the load
//! uses; any other is an error and never a guess.

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
        ("tailwater.types.v1.Date", None) => {
            Ok(date_time(integer(message, "days").unwrap_or(0) * 86_400, 0)?.date().to_string())
        }
        ("tailwater.types.v1.LocalDateTime", None) => local(message),
        ("tailwater.types.v1.Instant", None) => Ok(local(message)? + "+00"),
        (name, special) => Err(format!("no text form for {name} (special {special:?})")),
    }
}

fn local(message: &DynamicMessage) -> Result<String, String> {
    let nanos = integer(message, "nanos").unwrap_or(0);
    let at = date_time(integer(message, "seconds").unwrap_or(0), nanos)?;
    Ok(at.to_string().replace('T', " "))
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
