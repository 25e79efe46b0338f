//! Descriptors of tables: one proto3 file with one message for each schema version.
//!
//! A field's `json_name` is the column's own name, and its comment the declared type, so that generated code and the JSON
//! form both speak the database's language.

use crate::model::schema::{Column, TableSchema};
use crate::model::value_type::{Scalar, ValueType};
use crate::wire::api;
use prost::Message as _;
use prost_types::descriptor_proto::ReservedRange;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::source_code_info::Location;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, OneofDescriptorProto, SourceCodeInfo,
};
use std::sync::Arc;

pub const TYPES_FILE: &str = "tailwater/types/v1/types.proto";
const TYPES_PACKAGE: &str = "tailwater.types.v1";

/// The path of a message's fields in a file descriptor: message 0, field `n`. See SourceCodeInfo.Location.
const MESSAGES: i32 = 4;
const FIELDS: i32 = 2;

/// The file that holds one table's message.
pub fn file(schema: &TableSchema) -> FileDescriptorProto {
    let (package, message) = schema.type_name.rsplit_once('.').unwrap_or(("tailwater", &schema.type_name));
    FileDescriptorProto {
        name: Some(format!("{}/{message}.proto", package.replace('.', "/"))),
        package: Some(package.to_owned()),
        dependency: needs_types(schema).then(|| TYPES_FILE.to_owned()).into_iter().collect(),
        message_type: vec![message_descriptor(schema, message)],
        source_code_info: Some(comments(schema)),
        syntax: Some("proto3".to_owned()),
        ..Default::default()
    }
}

/// protoc warns of an import that nothing uses.
fn needs_types(schema: &TableSchema) -> bool {
    schema.columns.iter().any(|column| !is_optional(column))
}

/// Files of several tables with all they import, dependencies first.
pub fn set(schemas: &[Arc<TableSchema>]) -> FileDescriptorSet {
    let mut file_vec: Vec<_> = types_file().into_iter().collect();
    file_vec.extend(schemas.iter().map(|schema| file(schema)));
    FileDescriptorSet { file: file_vec }
}

/// `tailwater/types/v1/types.proto`.
fn types_file() -> Option<FileDescriptorProto> {
    // The build put it there: were it damaged, nothing of the API would work.
    let ours = FileDescriptorSet::decode(api::DESCRIPTORS).unwrap_or_default();
    ours.file.into_iter().find(|file| file.name() == TYPES_FILE)
}

fn message_descriptor(schema: &TableSchema, name: &str) -> DescriptorProto {
    let reserve = |number: u32| {
        let start = i32::try_from(number).ok()?;
        Some(ReservedRange { start: Some(start), end: Some(start.saturating_add(1)) })
    };
    let mut message = DescriptorProto {
        name: Some(name.to_owned()),
        field: schema.columns.iter().map(field).collect(),
        reserved_range: schema.reserved.iter().copied().filter_map(reserve).collect(),
        ..Default::default()
    };
    // proto3's explicit presence is a oneof of one member for each optional scalar.
    for (index, field) in (0..).zip(message.field.iter_mut().filter(|field| field.proto3_optional())) {
        field.oneof_index = Some(index);
        message.oneof_decl.push(OneofDescriptorProto { name: Some(format!("_{}", field.name())), options: None });
    }
    message
}

fn field(column: &Column) -> FieldDescriptorProto {
    let (field_type, type_name) = match column.shape.value_type {
        ValueType::Scalar(scalar) => scalar_type(scalar),
        ValueType::Array(scalar) => (Type::Message, Some(array_message(scalar))),
    };
    FieldDescriptorProto {
        name: Some(column.field.to_string()),
        json_name: Some(column.shape.name.to_string()),
        number: i32::try_from(column.number).ok(),
        label: Some(Label::Optional.into()),
        r#type: Some(field_type.into()),
        type_name: type_name.map(|name| format!(".{TYPES_PACKAGE}.{name}")),
        proto3_optional: is_optional(column).then_some(true),
        ..Default::default()
    }
}

/// Messages have presence by themselves; scalars need the word, since null and 0 differ.
fn is_optional(column: &Column) -> bool {
    matches!(column.shape.value_type, ValueType::Scalar(scalar) if scalar_type(scalar).1.is_none())
}

/// The protobuf type of a field, as a `.proto` file names it; of a message its bare name.
pub fn proto_type(scalar: Scalar) -> &'static str {
    let (field_type, message) = scalar_type(scalar);
    message.unwrap_or_else(|| keyword(field_type).unwrap_or_default())
}

/// What the protobuf language calls a type that is no message.
pub(super) fn keyword(field_type: Type) -> Option<&'static str> {
    Some(match field_type {
        Type::Bool => "bool",
        Type::Sint32 => "sint32",
        Type::Sint64 => "sint64",
        Type::Uint32 => "uint32",
        Type::Uint64 => "uint64",
        Type::Float => "float",
        Type::Double => "double",
        Type::String => "string",
        Type::Bytes => "bytes",
        _ => return None,
    })
}

fn scalar_type(scalar: Scalar) -> (Type, Option<&'static str>) {
    match scalar {
        Scalar::Bool => (Type::Bool, None),
        Scalar::Int32 => (Type::Sint32, None),
        Scalar::Int64 => (Type::Sint64, None),
        Scalar::UInt32 => (Type::Uint32, None),
        Scalar::UInt64 => (Type::Uint64, None),
        Scalar::Float => (Type::Float, None),
        Scalar::Double => (Type::Double, None),
        Scalar::String => (Type::String, None),
        Scalar::Bytes => (Type::Bytes, None),
        Scalar::Decimal => (Type::Message, Some("Decimal")),
        Scalar::Date => (Type::Message, Some("Date")),
        Scalar::Time => (Type::Message, Some("Time")),
        Scalar::TimeWithOffset => (Type::Message, Some("TimeWithOffset")),
        Scalar::LocalDateTime => (Type::Message, Some("LocalDateTime")),
        Scalar::Instant => (Type::Message, Some("Instant")),
        Scalar::Interval => (Type::Message, Some("Interval")),
        Scalar::Json => (Type::Message, Some("Json")),
        Scalar::Bits => (Type::Message, Some("Bits")),
        Scalar::Other => (Type::Message, Some("Other")),
    }
}

fn array_message(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Bool => "BoolArray",
        Scalar::Int32 => "Int32Array",
        Scalar::Int64 => "Int64Array",
        Scalar::UInt32 => "UInt32Array",
        Scalar::UInt64 => "UInt64Array",
        Scalar::Float => "FloatArray",
        Scalar::Double => "DoubleArray",
        Scalar::String => "StringArray",
        Scalar::Bytes => "BytesArray",
        Scalar::Decimal => "DecimalArray",
        Scalar::Date => "DateArray",
        Scalar::Time => "TimeArray",
        Scalar::TimeWithOffset => "TimeWithOffsetArray",
        Scalar::LocalDateTime => "LocalDateTimeArray",
        Scalar::Instant => "InstantArray",
        Scalar::Interval => "IntervalArray",
        Scalar::Json => "JsonArray",
        Scalar::Bits => "BitsArray",
        Scalar::Other => "OtherArray",
    }
}

fn comments(schema: &TableSchema) -> SourceCodeInfo {
    let comment = |path: Vec<i32>, text: String| Location {
        path,
        span: vec![0, 0, 0],
        leading_comments: Some(text),
        ..Default::default()
    };
    let table = comment(vec![MESSAGES, 0], format!(" A row of {}.\n", schema.full_name()));
    let columns = (0..).zip(&schema.columns).map(|(index, column)| {
        let key = if column.shape.key { ", part of the key" } else { "" };
        comment(vec![MESSAGES, 0, FIELDS, index], format!(" {}{key}\n", column.shape.declared_type))
    });
    SourceCodeInfo { location: std::iter::once(table).chain(columns).collect() }
}
