//! Tables and character sets as the server's catalogue describes them.
//!
//! The log describes its own tables, and what it says is as old as its rows; the catalogue is not. It is asked for what the
//! log cannot say: tables before their first change, MariaDB's types that look like BINARY, and what a character set's bytes
//! stand for.

use super::connection::Connection;
use super::fault::Fault;
use super::tables::questions;
use crate::config::Flavour;
use crate::decode::mysql::charset::Charset;
use crate::decode::mysql::mariadb::Disguised;
use crate::decode::mysql::multibyte::Multibyte;
use crate::decode::mysql::table_map::Dialect;
use crate::decode::mysql::types::{self, Charsets};
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::model::schema::{ColumnShape, Identity, TableShape};
use std::collections::HashMap;
use std::sync::Arc;

/// A table as the catalogue describes it now.
#[derive(Debug, Clone, Default)]
pub struct Described {
    pub columns: Vec<DescribedColumn>,
    /// Names, in its order. Empty: none.
    pub primary_key: Vec<String>,
    /// Generated columns that the log does not have in every image, so that they are not among `columns`.
    pub unlogged: Vec<String>,
    /// Of a system-versioned table, where it is declared. It is alike in all current rows, so it is not of the key.
    pub row_end: Option<String>,
}

#[derive(Debug, Clone)]
pub struct DescribedColumn {
    pub name: String,
    /// As the log would declare it.
    pub declared: String,
    pub charset: Option<String>,
    pub disguised: Option<Disguised>,
    /// Stored, or calculated when it is read.
    pub generated: bool,
}

/// From 11 on MariaDB logs no generated column of an UPDATE or a DELETE, unless it reads the column, whatever binlog_row_image
/// says. (Seen on 11.8.9, stored and virtual ones, with keys and without; 10.11 logs all of them, as MySQL does.)
pub const OMITS_GENERATED: &str =
    "@@version LIKE '%MariaDB%' AND CAST(SUBSTRING_INDEX(@@version, '.', 1) AS UNSIGNED) >= 11";

/// Whether the server leaves generated columns out of images.
///
/// # Errors
/// Those of the connection.
pub async fn omits_generated(connection: &mut Connection) -> Result<bool, Fault> {
    Ok(connection.row(&format!("SELECT {OMITS_GENERATED}")).await?.number(0)? != 0)
}

/// `None` when the table is gone.
///
/// # Errors
/// Those of the connection.
pub async fn describe(connection: &mut Connection, table: &TableName) -> Result<Option<Described>, Fault> {
    Ok(describe_all(connection, [table]).await?.remove(table))
}

/// Those of these tables that are there, in few questions, and perhaps others.
///
/// # Errors
/// Those of the connection.
pub async fn describe_all<'a>(
    connection: &mut Connection,
    tables: impl IntoIterator<Item = &'a TableName>,
) -> Result<HashMap<TableName, Described>, Fault> {
    let mut described: HashMap<TableName, Described> = HashMap::new();
    for condition in questions::conditions(tables) {
        let sql = format!(
            "SELECT table_schema, table_name, column_name, data_type, column_type, character_set_name, \
             COALESCE(generation_expression, '') NOT IN ('', 'ROW START', 'ROW END'), {OMITS_GENERATED}, \
             @@version LIKE '%MariaDB%', COALESCE(generation_expression, '') = 'ROW END' \
             FROM information_schema.columns \
             WHERE {condition} ORDER BY table_schema, table_name, ordinal_position"
        );
        for row in connection.rows(&sql).await? {
            let table = described.entry(TableName::new(row.some(0)?, row.some(1)?)).or_default();
            let (generated, omitted) = (row.number(6)? != 0, row.number(7)? != 0);
            if generated && omitted {
                table.unlogged.push(row.some(2)?.to_owned());
                continue;
            }
            if row.number(9)? != 0 {
                table.row_end = Some(row.some(2)?.to_owned());
            }
            let (data_type, column_type) = (row.some(3)?, row.some(4)?);
            let dialect = if row.number(8)? == 0 { Dialect::Mysql } else { Dialect::Mariadb };
            table.columns.push(DescribedColumn {
                name: row.some(2)?.to_owned(),
                declared: types::declared_in_catalogue(dialect, data_type, column_type),
                charset: row.text(5).map(str::to_owned),
                disguised: Disguised::by_name(data_type),
                generated,
            });
        }
        let sql = format!(
            "SELECT table_schema, table_name, column_name FROM information_schema.statistics \
             WHERE {condition} AND index_name = 'PRIMARY' ORDER BY table_schema, table_name, seq_in_index"
        );
        for row in connection.rows(&sql).await? {
            if let Some(table) = described.get_mut(&TableName::new(row.some(0)?, row.some(1)?)) {
                let column = row.some(2)?;
                if table.row_end.as_deref() != Some(column) {
                    table.primary_key.push(column.to_owned());
                }
            }
        }
    }
    Ok(described)
}

impl Described {
    /// What the log would say of the table.
    ///
    /// # Errors
    /// The column that is not read, and why.
    pub fn shape(&self, name: &TableName, charsets: &Charsets) -> Result<TableShape, String> {
        let mut columns = Vec::new();
        for column in &self.columns {
            let DescribedColumn { name, declared, charset, .. } = column;
            let value_type = types::value_type(declared);
            let value_type = value_type.ok_or_else(|| format!("column {name}: type {declared} is not read"))?;
            if let Some(charset) = charset
                && charsets.charset(charset).is_none()
            {
                return Err(format!("column {name}: character set {charset} is not read"));
            }
            let key = self.primary_key.contains(name);
            let (name, declared_type) = (name.as_str().into(), declared.as_str().into());
            columns.push(ColumnShape { name, value_type, declared_type, key });
        }
        Ok(TableShape { name: name.clone(), identity: Identity::Full, columns, origin: "".into() })
    }

    /// The same, asking for the character sets again where that may help: nobody may have used one of these before.
    ///
    /// # Errors
    /// Those of the connection; within, why it cannot be read.
    pub async fn shape_of(
        &self,
        name: &TableName,
        charsets: &mut Charsets,
        connection: &mut Connection,
        flavour: Flavour,
    ) -> Result<Result<TableShape, String>, Fault> {
        let shape = self.shape(name, charsets);
        if shape.is_ok() {
            return Ok(shape);
        }
        *charsets = self::charsets(connection, flavour).await?;
        Ok(self.shape(name, charsets))
    }

    /// Whether the table has the column, captured or not.
    pub fn lists(&self, name: &str) -> bool {
        self.column(name).is_some() || self.unlogged.iter().any(|unlogged| unlogged == name)
    }

    pub fn column(&self, name: &str) -> Option<&DescribedColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// All collations, and the single-byte character sets with what their bytes stand for.
///
/// # Errors
/// Those of the connection.
pub async fn charsets(connection: &mut Connection, flavour: Flavour) -> Result<Charsets, Fault> {
    let mut charsets = Charsets::default();
    // MariaDB's newer collations serve several character sets and have their numbers only here.
    let collations = match flavour {
        Flavour::Mysql => "SELECT id, character_set_name FROM information_schema.collations",
        Flavour::Mariadb => {
            "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability"
        }
    };
    for row in connection.rows(collations).await? {
        if row.text(0).is_some() {
            charsets.learn_collation(row.number(0)?, row.some(1)?);
        }
    }
    let single = "SELECT character_set_name FROM information_schema.character_sets WHERE maxlen = 1";
    for row in connection.rows(single).await? {
        let name = row.some(0)?;
        if Charset::by_name(name).is_none() {
            let table = table_of(connection, name).await?;
            charsets.learn_charset(name, Charset::Table(Arc::new(table)));
        }
    }
    for row in connection.rows(USED).await? {
        let name = row.some(0)?;
        if charsets.charset(name).is_none() {
            let set = sequences_of(connection, name).await?;
            charsets.learn_charset(name, Charset::Multibyte(Arc::new(set)));
        }
    }
    Ok(charsets)
}

const USED: &str = "SELECT DISTINCT character_set_name FROM information_schema.columns WHERE character_set_name IS NOT NULL \
     AND table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')";

/// First and last of each byte of the sequences that the multi-byte sets have: of one byte, of two, EUC-JP's of three and those
/// of GB 18030 that follow no rule.
const SEQUENCES: [&[(u8, u8)]; 4] = [
    &[(0x00, 0xFF)],
    &[(0x80, 0xFF), (0x30, 0xFF)],
    &[(0x8F, 0x8F), (0xA1, 0xFE), (0xA1, 0xFE)],
    &[(0x81, 0x84), (0x30, 0x39), (0x81, 0xFE), (0x30, 0x39)],
];

/// What each sequence of a multi-byte character set stands for, by the server's own conversion.
async fn sequences_of(connection: &mut Connection, charset: &str) -> Result<Multibyte, Fault> {
    const UNKNOWN: u32 = '?' as u32;
    let mut set = Multibyte::default();
    for ranges in SEQUENCES {
        let names = ["a", "b", "c", "d"];
        let bytes: Vec<_> = names.iter().zip(ranges).map(|(name, _)| format!("LPAD(HEX({name}.n), 2, '0')")).collect();
        let tables: Vec<_> = names.iter().zip(ranges).map(|(name, _)| format!("d {name}")).collect();
        let within: Vec<_> =
            names.iter().zip(ranges).map(|(name, (from, to))| format!("{name}.n BETWEEN {from} AND {to}")).collect();
        let sql = format!(
            "WITH RECURSIVE d(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 255) \
             SELECT x, HEX(CONVERT(CONVERT(UNHEX(x) USING {charset}) USING utf32)) FROM \
             (SELECT CONCAT({}) AS x FROM {} WHERE {}) AS sequences",
            bytes.join(", "),
            tables.join(" CROSS JOIN "),
            within.join(" AND "),
        );
        for row in connection.rows(&sql).await? {
            // What is no sequence of the set is null, or question marks.
            let Some(digits) = row.text(1).filter(|digits| digits.len() == 8) else { continue };
            let (sequence, code) = (unhex(row.some(0)?), u32::from_str_radix(digits, 16).ok());
            let is_known = |code: &u32| *code != UNKNOWN || sequence == b"?";
            if let Some(character) = code.filter(is_known).and_then(char::from_u32) {
                set.learn(&sequence, character);
            }
        }
    }
    Ok(set)
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    digits.as_bytes().chunks(2).filter_map(byte).collect()
}

/// What each byte of a single-byte character set stands for, by the server's own conversion. It makes a question mark of a byte
/// that stands for nothing.
async fn table_of(connection: &mut Connection, charset: &str) -> Result<[Option<char>; 256], Fault> {
    let bytes: String = (0..=u8::MAX).map(|byte| format!("{byte:02X}")).collect();
    let sql = format!("SELECT HEX(CONVERT(CONVERT(x'{bytes}' USING {charset}) USING utf32))");
    let row = connection.row(&sql).await?;
    let hex = row.some(0)?;
    let mut table = [None; 256];
    let characters = hex.as_bytes().chunks(8).map(|digits| {
        let code = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
        code.and_then(char::from_u32)
    });
    let characters: Option<Vec<char>> = characters.collect();
    match characters {
        Some(characters) if characters.len() == table.len() => {
            for (byte, (slot, character)) in (0..=u8::MAX).zip(table.iter_mut().zip(characters)) {
                *slot = (character != '?' || byte == b'?').then_some(character);
            }
        }
        _ => return Err(Fault::Protocol("a character set that does not convert byte by byte")),
    }
    Ok(table)
}

/// A table that cannot be read is halted: its rows would come without being understood.
pub fn unreadable(table: &TableName, why: &str) -> Fault {
    Fault::Table(table.clone(), Problem::new(code::TYPE_UNREADABLE, format!("{table}: {why}")))
}
