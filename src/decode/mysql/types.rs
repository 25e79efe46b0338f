//! The servers' types onto the table of `model::types`, and tables as TABLE_MAP or the catalogue describe them: both give the
//! same shape.
//!
//! Surprises: TINYINT(1) is a number like any other, because the log cannot tell it and people store 2 in it; display widths
//! are left out for the same reason. MariaDB's JSON is a LONGTEXT, and travels as text.

use super::charset::Charset;
use super::column::Storage;
use super::mariadb::Disguised;
use super::table_map::{Column, Dialect, TableMap};
use crate::model::name::TableName;
use crate::model::schema::{ColumnShape, Identity, TableShape};
use crate::model::types;
use crate::model::value_type::ValueType;
use std::collections::HashMap;
use std::sync::Arc;

/// What the server said of its collations and character sets.
#[derive(Debug, Clone, Default)]
pub struct Charsets {
    /// By the collation's number.
    names: HashMap<u64, Arc<str>>,
    known: HashMap<Arc<str>, Charset>,
}

impl Charsets {
    pub fn learn_collation(&mut self, collation: u64, charset: &str) {
        self.names.insert(collation, charset.into());
    }

    pub fn learn_charset(&mut self, name: &str, charset: Charset) {
        self.known.insert(name.into(), charset);
    }

    /// The character set's name, if the collation is known.
    pub fn name(&self, collation: u64) -> Option<&Arc<str>> {
        self.names.get(&collation)
    }

    /// How a character set's bytes become UTF-8; `None`: by no way that we know.
    pub fn charset(&self, name: &str) -> Option<Charset> {
        Charset::by_name(name).or_else(|| self.known.get(name).cloned())
    }
}

/// How a column's cells are read and what they are called.
#[derive(Debug, Clone)]
pub struct ColumnKind {
    pub value_type: ValueType,
    pub declared: String,
    /// Of text; `None` for what is none.
    pub charset: Option<Charset>,
    /// Of an ENUM or SET, in UTF-8.
    pub labels: Vec<String>,
    pub disguised: Option<Disguised>,
}

/// Why a column cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {why}")]
pub struct Unreadable {
    pub column: String,
    pub why: String,
}

/// Whether MariaDB's catalogue could say that it is something else than the log makes it look like.
pub fn may_be_disguised(column: &Column) -> bool {
    const BINARY: u64 = 63;
    matches!(column.storage, Storage::Fixed { bytes: 4 | 16 }) && column.collation == BINARY
}

/// How a column of the log is read.
///
/// # Errors
/// [`Unreadable`] for text of a character set that is not known here.
pub fn kind(column: &Column, charsets: &Charsets, disguised: Option<Disguised>) -> Result<ColumnKind, Unreadable> {
    let unreadable = |why: String| Unreadable { column: column.name.clone(), why };
    let is_text_or_bytes =
        matches!(column.storage, Storage::Fixed { .. } | Storage::Varying { .. } | Storage::Blob { .. });
    let has_charset = is_text_or_bytes || column.storage.is_labelled();
    let charset = if has_charset && disguised.is_none() {
        let name = charsets.name(column.collation);
        let name = name.ok_or_else(|| unreadable(format!("collation {} is not known", column.collation)))?;
        let charset = charsets.charset(name);
        let charset = charset.ok_or_else(|| unreadable(format!("character set {name} is not read")))?;
        Some((Arc::clone(name), charset))
    } else {
        None
    };
    let named = charset.as_ref().map(|(name, charset)| (&**name, charset));
    let labels = column.labels.iter().map(|label| {
        let mut text = Vec::new();
        let read = match named {
            Some((_, charset)) if *charset != Charset::Binary => charset.append(label, &mut text),
            _ => Charset::Utf8.append(label, &mut text),
        };
        read.and_then(|()| String::from_utf8(text).ok())
    });
    let labels: Option<Vec<_>> = labels.collect();
    let labels = labels.ok_or_else(|| unreadable("a label is not text".to_owned()))?;
    let declared = match disguised {
        Some(disguised) => disguised.name().to_owned(),
        None => declared(column, named, &labels),
    };
    let value_type = value_type(&declared).ok_or_else(|| unreadable(format!("type {declared} is not read")))?;
    let charset = charset.map(|(_, charset)| charset).filter(|charset| *charset != Charset::Binary);
    Ok(ColumnKind { value_type, declared, charset, labels, disguised })
}

/// A table of the log with the kinds of its captured columns, each with its place in an image. Full images are required of
/// these, so the identity is full.
pub fn shape(map: &TableMap, kinds: &[(usize, ColumnKind)]) -> TableShape {
    let columns = kinds.iter().filter_map(|(place, kind)| {
        Some(ColumnShape {
            name: (&*map.columns.get(*place)?.name).into(),
            value_type: kind.value_type,
            declared_type: (&*kind.declared).into(),
            key: map.primary_key.contains(place),
        })
    });
    TableShape {
        name: TableName::new(&map.schema, &map.table),
        identity: Identity::Full,
        columns: columns.collect(),
        origin: "".into(),
    }
}

/// How values of a declared type travel; `None` for a type that is not known.
pub fn value_type(declared: &str) -> Option<ValueType> {
    types::mysql(declared).map(|(known, _)| ValueType::Scalar(known.scalar))
}

/// By the number in the metadata.
const GEOMETRIES: [&str; 8] =
    ["geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection"];

fn declared(column: &Column, charset: Option<(&str, &Charset)>, labels: &[String]) -> String {
    let sign = if column.unsigned { " unsigned" } else { "" };
    let is_text = charset.is_some_and(|(_, charset)| *charset != Charset::Binary);
    let characters = |bytes: u16| {
        let bytes_max = charset.map_or(1, |(name, charset)| charset.bytes_max(name));
        bytes.checked_div(bytes_max).unwrap_or(bytes)
    };
    match column.storage {
        Storage::Int { bytes: 1 } => format!("tinyint{sign}"),
        Storage::Int { bytes: 2 } => format!("smallint{sign}"),
        Storage::Int { bytes: 3 } => format!("mediumint{sign}"),
        Storage::Int { bytes: 4 } => format!("int{sign}"),
        Storage::Int { .. } => format!("bigint{sign}"),
        Storage::Float => format!("float{sign}"),
        Storage::Double => format!("double{sign}"),
        Storage::Decimal { precision, scale } => format!("decimal({precision},{scale}){sign}"),
        Storage::Year => "year".to_owned(),
        Storage::Date => "date".to_owned(),
        Storage::Time { digits } => with_digits("time", digits),
        Storage::DateTime { digits } => with_digits("datetime", digits),
        Storage::Timestamp { digits } => with_digits("timestamp", digits),
        Storage::Bit { bits } => format!("bit({bits})"),
        Storage::Enum { .. } => format!("enum({})", quoted(labels)),
        Storage::Set { .. } => format!("set({})", quoted(labels)),
        Storage::Fixed { bytes } if is_text => format!("char({})", characters(bytes)),
        Storage::Fixed { bytes } => format!("binary({bytes})"),
        Storage::Varying { bytes } if is_text => format!("varchar({})", characters(bytes)),
        Storage::Varying { bytes } => format!("varbinary({bytes})"),
        Storage::Blob { length_bytes } => {
            let size = match length_bytes {
                1 => "tiny",
                2 => "",
                3 => "medium",
                _ => "long",
            };
            format!("{size}{}", if is_text { "text" } else { "blob" })
        }
        Storage::Json { .. } => "json".to_owned(),
        Storage::Geometry { .. } => {
            let name = usize::try_from(column.geometry).ok().and_then(|number| GEOMETRIES.get(number));
            name.copied().unwrap_or("geometry").to_owned()
        }
        Storage::Vector { .. } => format!("vector({})", column.dimensions),
    }
}

fn with_digits(name: &str, digits: u8) -> String {
    if digits == 0 { name.to_owned() } else { format!("{name}({digits})") }
}

/// As the catalogue prints labels, whatever the `sql_mode`: some characters escaped, and those beyond the basic plane lost, as it
/// is in three-byte UTF-8.
fn quoted(labels: &[String]) -> String {
    let mut list = String::new();
    for (at, label) in labels.iter().enumerate() {
        list.push_str(if at == 0 { "'" } else { ",'" });
        for character in label.chars() {
            match character {
                '\\' => list.push_str("\\\\"),
                '\0' => list.push_str("\\0"),
                '\n' => list.push_str("\\n"),
                '\r' => list.push_str("\\r"),
                '\'' => list.push_str("''"),
                '\u{10000}'.. => list.push('?'),
                character => list.push(character),
            }
        }
        list.push('\'');
    }
    list
}

/// `COLUMN_TYPE` of information_schema without what the log does not tell: display widths, ZEROFILL, the old forms of FLOAT,
/// and that MariaDB's vectors are more than bytes.
pub fn declared_in_catalogue(dialect: Dialect, data_type: &str, column_type: &str) -> String {
    let unsigned = if column_type.contains(" unsigned") { " unsigned" } else { "" };
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "float" | "double" => {
            format!("{data_type}{unsigned}")
        }
        "decimal" => {
            let end = column_type.find(')').map_or(column_type.len(), |at| at.saturating_add(1));
            format!("{}{unsigned}", column_type.get(..end).unwrap_or(column_type))
        }
        "year" => "year".to_owned(),
        // MariaDB's name, and MySQL's before 8.0.
        "geometrycollection" => "geomcollection".to_owned(),
        "vector" if dialect == Dialect::Mariadb => {
            let dimensions = column_type.trim_matches(|character: char| !character.is_ascii_digit());
            let bytes = dimensions.parse::<u32>().ok().and_then(|dimensions| dimensions.checked_mul(4));
            bytes.map_or_else(|| column_type.to_owned(), |bytes| format!("varbinary({bytes})"))
        }
        _ => column_type.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table_map::tests::example;
    use super::*;
    use crate::model::value_type::Scalar;

    #[test]
    fn the_log_and_the_catalogue_give_one_shape() {
        let mut charsets = Charsets::default();
        charsets.learn_collation(45, "utf8mb4");
        let map = TableMap::parse(&example(true), Dialect::Mysql).expect("a table map");
        let kind = |(place, column)| (place, kind(column, &charsets, None).expect("a kind"));
        let kinds: Vec<_> = map.columns.iter().enumerate().map(kind).collect();
        assert_eq!(
            shape(&map, &kinds[1..]).columns.first().map(|c| (&*c.declared_type, c.key)),
            Some(("varchar(40)", false))
        );
        let shape = shape(&map, &kinds);
        let seen: Vec<_> = shape.columns.iter().map(|c| (&*c.declared_type, c.value_type, c.key)).collect();
        let scalar = ValueType::Scalar;
        assert_eq!(
            seen,
            [
                ("int unsigned", scalar(Scalar::UInt32), true),
                ("varchar(40)", scalar(Scalar::String), false),
                ("enum('a','b')", scalar(Scalar::String), false),
                ("tinyint", scalar(Scalar::Int32), false),
            ]
        );
        assert_eq!(declared_in_catalogue(Dialect::Mysql, "int", "int(10) unsigned"), "int unsigned");
        assert_eq!(
            declared_in_catalogue(Dialect::Mysql, "decimal", "decimal(12,2) unsigned zerofill"),
            "decimal(12,2) unsigned"
        );
        assert_eq!(declared_in_catalogue(Dialect::Mysql, "enum", "enum('a','b')"), "enum('a','b')");
    }

    #[test]
    fn labels_and_vectors_are_declared_as_the_catalogue_declares_them() {
        let labels = ["it's", "c:\\x", "\"", "\n\r\t\0", "😀", ""].map(str::to_owned);
        assert_eq!(quoted(&labels), r#"'it''s','c:\\x','"','\n\r	\0','?',''"#);
        let vector = |dialect| declared_in_catalogue(dialect, "vector", "vector(3)");
        assert_eq!([vector(Dialect::Mysql), vector(Dialect::Mariadb)], ["vector(3)", "varbinary(12)"]);
    }

    #[test]
    fn text_of_a_character_set_that_nobody_knows_is_refused() {
        let map = TableMap::parse(&example(true), Dialect::Mysql).expect("a table map");
        assert!(kind(&map.columns[1], &Charsets::default(), None).is_err());
        let mut charsets = Charsets::default();
        charsets.learn_collation(45, "gbk");
        assert!(kind(&map.columns[1], &charsets, None).is_err());
        charsets.learn_charset("gbk", Charset::Table(Arc::new([Some('x'); 256])));
        assert!(kind(&map.columns[1], &charsets, None).is_ok());
    }
}
