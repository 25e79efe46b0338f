//! The JSON form of rows, for people and scripts.
//!
//! 64-bit integers and decimals are strings, bytes are base64, special values are `{"special":"infinity"}`. JSON columns are
//! strings that hold the exact text, since a JSON reader would round numbers and drop duplicate keys. An absent field is
//! null; the caller, who knows what is `unchanged` or unknown, takes those out.

use super::api::types::v1;
use super::civil;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage as _, Value};
use serde_json::{Map, Value as Json, json};

/// A row by its columns' own names, in field order.
///
/// # Errors
/// When the bytes are no message of this type.
pub fn row(message: &MessageDescriptor, bytes: &[u8]) -> Result<Map<String, Json>, prost::DecodeError> {
    let row = DynamicMessage::decode(message.clone(), bytes)?;
    message.fields().map(|field| Ok((field.json_name().to_owned(), cell(&row, &field)?))).collect()
}

fn cell(row: &DynamicMessage, field: &FieldDescriptor) -> Result<Json, prost::DecodeError> {
    if !row.has_field(field) {
        return Ok(Json::Null);
    }
    value(&row.get_field(field))
}

fn value(value: &Value) -> Result<Json, prost::DecodeError> {
    Ok(match value {
        Value::Bool(value) => json!(value),
        Value::I32(value) => json!(value),
        Value::U32(value) => json!(value),
        Value::I64(value) => json!(value.to_string()),
        Value::U64(value) => json!(value.to_string()),
        // Through its shortest text: widened to a double a float grows digits that it never had.
        Value::F32(value) => float(f64::from(*value), || value.to_string().parse().ok()),
        Value::F64(value) => float(*value, || Some(*value)),
        Value::String(value) => json!(value),
        Value::Bytes(value) => json!(STANDARD.encode(value)),
        Value::Message(message) => typed(message)?,
        Value::EnumNumber(_) | Value::List(_) | Value::Map(_) => Json::Null,
    })
}

fn float(value: f64, exact: impl FnOnce() -> Option<f64>) -> Json {
    if value.is_nan() {
        special(v1::Special::Nan)
    } else if value.is_infinite() {
        special(if value > 0.0 { v1::Special::Infinity } else { v1::Special::NegativeInfinity })
    } else {
        json!(exact())
    }
}

fn special(special: v1::Special) -> Json {
    let name = match special {
        v1::Special::Unspecified => "unspecified",
        v1::Special::Infinity => "infinity",
        v1::Special::NegativeInfinity => "-infinity",
        v1::Special::Nan => "NaN",
        v1::Special::ZeroOrPartialDate => "zero or partial date",
    };
    json!({ "special": name })
}

fn typed(message: &DynamicMessage) -> Result<Json, prost::DecodeError> {
    let descriptor = message.descriptor();
    Ok(match descriptor.name() {
        "Decimal" => decimal(&message.transcode_to()?),
        "Date" => date(&message.transcode_to()?),
        "Time" => json!(civil::time(message.transcode_to::<v1::Time>()?.microseconds)),
        "TimeWithOffset" => time_with_offset(&message.transcode_to()?),
        "LocalDateTime" => local_date_time(&message.transcode_to()?),
        "Instant" => instant(&message.transcode_to()?),
        "Interval" => interval(&message.transcode_to()?),
        "Json" => json!(message.transcode_to::<v1::Json>()?.text),
        "Bits" => bits(&message.transcode_to()?),
        "Other" => other(&message.transcode_to()?),
        _ => array(message)?,
    })
}

fn decimal(decimal: &v1::Decimal) -> Json {
    match &decimal.kind {
        Some(v1::decimal::Kind::Special(number)) => special(special_of(*number)),
        Some(v1::decimal::Kind::Value(value)) => json!(value),
        None => Json::Null,
    }
}

fn special_of(number: i32) -> v1::Special {
    v1::Special::try_from(number).unwrap_or(v1::Special::Unspecified)
}

/// Either the server's own text for a date that is none, or the special value's name.
fn special_or_text(number: i32, text: &str) -> Json {
    match special_of(number) {
        v1::Special::ZeroOrPartialDate => json!({ "special": "zero or partial date", "text": text }),
        other => special(other),
    }
}

fn date(date: &v1::Date) -> Json {
    match date.kind {
        Some(v1::date::Kind::Special(number)) => special_or_text(number, &date.text),
        Some(v1::date::Kind::Days(days)) => json!(civil::date(days.into())),
        None => Json::Null,
    }
}

fn time_with_offset(time: &v1::TimeWithOffset) -> Json {
    json!(format!("{}{}", civil::time(time.microseconds), civil::offset(time.offset_seconds)))
}

fn local_date_time(value: &v1::LocalDateTime) -> Json {
    match value.kind {
        Some(v1::local_date_time::Kind::Special(number)) => special_or_text(number, &value.text),
        Some(v1::local_date_time::Kind::Seconds(seconds)) => json!(civil::date_time(seconds, value.nanos)),
        None => Json::Null,
    }
}

fn instant(value: &v1::Instant) -> Json {
    match value.kind {
        Some(v1::instant::Kind::Special(number)) => special_or_text(number, &value.text),
        Some(v1::instant::Kind::Seconds(seconds)) => json!(civil::date_time(seconds, value.nanos) + "Z"),
        None => Json::Null,
    }
}

fn interval(value: &v1::Interval) -> Json {
    match &value.kind {
        Some(v1::interval::Kind::Special(number)) => special(special_of(*number)),
        Some(v1::interval::Kind::Parts(parts)) => json!(civil::interval(parts.months, parts.days, parts.microseconds)),
        None => json!(civil::interval(0, 0, 0)),
    }
}

fn bits(value: &v1::Bits) -> Json {
    let bit = |index: u32| {
        let byte = value.bits.get(index as usize / 8).copied().unwrap_or(0);
        if byte >> (7 - index % 8) & 1 == 1 { '1' } else { '0' }
    };
    json!((0..value.length).map(bit).collect::<String>())
}

fn other(value: &v1::Other) -> Json {
    json!({ "type": value.type_name, "text": value.text })
}

/// Nested lists; one whose lower bounds are not 1 is an object that says so.
fn array(message: &DynamicMessage) -> Result<Json, prost::DecodeError> {
    let shape = match message.get_field_by_name("shape").as_deref() {
        Some(Value::Message(shape)) => shape.transcode_to::<v1::ArrayShape>()?,
        _ => v1::ArrayShape::default(),
    };
    let values = message.get_field_by_name("values");
    let elements = match values.as_deref() {
        Some(Value::List(elements)) => elements.iter().map(value).collect::<Result<Vec<_>, _>>()?,
        _ => Vec::new(),
    };
    let nested = nest(&shape, elements);
    Ok(if shape.lower_bounds.is_empty() {
        nested
    } else {
        json!({ "lower_bounds": shape.lower_bounds, "values": nested })
    })
}

fn nest(shape: &v1::ArrayShape, mut elements: Vec<Json>) -> Json {
    for null in &shape.nulls {
        if let Some(element) = elements.get_mut(*null as usize) {
            *element = Json::Null;
        }
    }
    for length in shape.lengths.iter().skip(1).rev() {
        let length = usize::try_from(*length).unwrap_or(0).max(1);
        elements = elements.chunks(length).map(|row| json!(row)).collect();
    }
    json!(elements)
}
