//! `.proto` files as `protoc` and `buf` accept them.
//!
//! Our own API is printed as it was written; a table's file from its descriptor, of which it knows what [`super::descriptor`]
//! produces and nothing more.

use super::descriptor::{self, TYPES_FILE};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use std::fmt::{self, Write};

/// The API's own files: path below the import root, and text.
pub const API_FILES: [(&str, &str); 5] = [
    (TYPES_FILE, include_str!("../../proto/tailwater/types/v1/types.proto")),
    ("tailwater/v1/change.proto", include_str!("../../proto/tailwater/v1/change.proto")),
    ("tailwater/v1/subscription.proto", include_str!("../../proto/tailwater/v1/subscription.proto")),
    ("tailwater/v1/catalog.proto", include_str!("../../proto/tailwater/v1/catalog.proto")),
    ("tailwater/v1/admin.proto", include_str!("../../proto/tailwater/v1/admin.proto")),
];

/// The file's text.
pub fn print(file: &FileDescriptorProto) -> String {
    if let Some((_, text)) = API_FILES.iter().find(|(path, _)| *path == file.name()) {
        return (*text).to_owned();
    }
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_file(&mut out, file);
    out
}

fn write_file(out: &mut String, file: &FileDescriptorProto) -> fmt::Result {
    writeln!(out, "// Made by `tailwater proto`. Field numbers are kept for ever: regenerate as often as you like.")?;
    writeln!(out, "syntax = \"{}\";\n\npackage {};\n", file.syntax(), file.package())?;
    for dependency in &file.dependency {
        writeln!(out, "import \"{dependency}\";")?;
    }
    for (index, message) in (0..).zip(&file.message_type) {
        write_message(out, file, index, message)?;
    }
    Ok(())
}

fn write_message(out: &mut String, file: &FileDescriptorProto, index: i32, message: &DescriptorProto) -> fmt::Result {
    writeln!(out)?;
    write_comment(out, file, "", &[4, index])?;
    writeln!(out, "message {} {{", message.name())?;
    for range in &message.reserved_range {
        writeln!(out, "  reserved {};", range.start())?;
    }
    for (place, field) in (0..).zip(&message.field) {
        write_comment(out, file, "  ", &[4, index, 2, place])?;
        write_field(out, field)?;
    }
    writeln!(out, "}}")
}

fn write_comment(out: &mut String, file: &FileDescriptorProto, indent: &str, path: &[i32]) -> fmt::Result {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    for location in locations.filter(|location| location.path == path) {
        for line in location.leading_comments().lines() {
            writeln!(out, "{indent}//{}", one_line(line))?;
        }
    }
    Ok(())
}

/// A type's name can hold anything; a comment must not end early.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn write_field(out: &mut String, field: &FieldDescriptorProto) -> fmt::Result {
    let optional = if field.proto3_optional() { "optional " } else { "" };
    let (name, number, json_name) = (field.name(), field.number(), quoted(field.json_name()));
    writeln!(out, "  {optional}{} {name} = {number} [json_name = {json_name}];", type_name(field))
}

fn type_name(field: &FieldDescriptorProto) -> &str {
    descriptor::keyword(field.r#type()).unwrap_or_else(|| field.type_name().trim_start_matches('.'))
}

/// A string literal of the protobuf language.
fn quoted(text: &str) -> String {
    let mut literal = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            c if c.is_ascii_control() => literal.push_str(&format!("\\{:03o}", u32::from(c))),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::{SystemName, TableName};
    use crate::model::schema::{Column, ColumnShape, Identity, SchemaId, TableSchema};
    use crate::model::value_type::{Scalar, ValueType};
    use crate::wire::descriptor;
    use prost_reflect::DescriptorPool;

    fn odd_table() -> TableSchema {
        let types = Scalar::ALL.into_iter().flat_map(|scalar| [ValueType::Scalar(scalar), ValueType::Array(scalar)]);
        let columns = (1..).zip(types).map(|(number, value_type)| Column {
            shape: ColumnShape {
                name: format!("col \"{number}\"\\").into(),
                value_type,
                declared_type: "odd\ntype".into(),
                key: number == 1,
            },
            number,
            field: format!("col_{number}").into(),
        });
        TableSchema {
            id: SchemaId(1),
            system: SystemName::new("erp").unwrap(),
            name: TableName::new("public", "Odd Table"),
            identity: Identity::Key,
            columns: columns.collect(),
            type_name: "tailwater.erp.public.OddTable".into(),
            reserved: vec![400, 402],
            origin: "".into(),
        }
    }

    #[test]
    fn a_printed_file_compiles_to_the_descriptor_it_was_printed_from() {
        let directory = tempfile::tempdir().unwrap();
        let file = descriptor::file(&odd_table());
        let types = API_FILES[0];
        for (name, text) in [(types.0, types.1.to_owned()), (file.name(), print(&file))] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let compiled = protox::compile([file.name()], [directory.path()]).unwrap();
        let mut ours = file.clone();
        ours.source_code_info = None;
        let mut theirs = compiled.file.into_iter().find(|other| other.name() == ours.name()).unwrap();
        theirs.source_code_info = None;
        assert_eq!(theirs, ours);
    }

    #[test]
    fn a_set_of_tables_is_complete() {
        let set = descriptor::set(&[std::sync::Arc::new(odd_table())]);
        let pool = DescriptorPool::from_file_descriptor_set(set).unwrap();
        assert!(pool.get_message_by_name("tailwater.erp.public.OddTable").is_some());
    }
}
