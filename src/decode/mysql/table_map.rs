//! TABLE_MAP with full metadata: a table's name and columns as they are for the rows that follow.
//!
//! Without `binlog_row_metadata = FULL` there are no names, and nothing is guessed by position.
//!
//! Source: MySQL 9 libs/mysql/binlog/event/rows_event.h, `Table_map_event::Optional_metadata_fields`.

use super::column::Storage;
use super::event::kind;
use super::reader::{Malformed, Reader};

/// Whose log it is: they count columns with a character set differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Mysql,
    Mariadb,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    pub table_id: u64,
    pub schema: String,
    pub table: String,
    pub columns: Vec<Column>,
    /// Indexes of the primary key's columns, in its order. Empty: none.
    pub primary_key: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Empty without full metadata.
    pub name: String,
    pub storage: Storage,
    pub unsigned: bool,
    /// The collation's number, for what is text or has labels; 0: the log does not say.
    pub collation: u64,
    /// Of an ENUM or SET, in the column's character set.
    pub labels: Vec<Vec<u8>>,
    /// Of a geometry column: 0 any, 1 point, 2 line string, …
    pub geometry: u64,
    /// Of a vector.
    pub dimensions: u64,
}

/// The optional fields' types.
mod field {
    pub const SIGNEDNESS: u8 = 1;
    pub const DEFAULT_CHARSET: u8 = 2;
    pub const COLUMN_CHARSET: u8 = 3;
    pub const COLUMN_NAME: u8 = 4;
    pub const SET_LABELS: u8 = 5;
    pub const ENUM_LABELS: u8 = 6;
    pub const GEOMETRY_TYPE: u8 = 7;
    pub const SIMPLE_PRIMARY_KEY: u8 = 8;
    pub const PRIMARY_KEY_WITH_PREFIX: u8 = 9;
    pub const LABEL_DEFAULT_CHARSET: u8 = 10;
    pub const LABEL_COLUMN_CHARSET: u8 = 11;
    pub const VISIBILITY: u8 = 12;
    pub const VECTOR_DIMENSIONS: u8 = 13;
}

impl TableMap {
    /// # Errors
    /// [`Malformed`]; also for a column whose storage format is not known.
    pub fn parse(body: &[u8], dialect: Dialect) -> Result<Self, Malformed> {
        let mut reader = Reader::new(kind::TABLE_MAP, body);
        let table_id = reader.uint(6)?;
        let _flags = reader.u16()?;
        let schema = name(&mut reader)?;
        let table = name(&mut reader)?;
        let count = reader.count()?;
        let types = reader.bytes(count)?;
        let metadata_bytes = reader.count()?;
        let mut metadata = reader.part(metadata_bytes)?;
        let columns = types.iter().map(|code| Storage::parse(*code, &mut metadata).map(Column::new));
        let columns = columns.collect::<Result<_, Malformed>>()?;
        metadata.end()?;
        let _nullable = reader.bytes(count.div_ceil(8))?;
        let mut map = Self { table_id, schema, table, columns, primary_key: Vec::new() };
        while !reader.is_empty() {
            let (field, length) = (reader.u8()?, reader.count()?);
            map.learn(field, dialect, &mut reader.part(length)?)?;
        }
        Ok(map)
    }

    /// Schema and name of the table alone: of one that nobody wants nothing else has to be read.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn names(body: &[u8]) -> Result<(String, String), Malformed> {
        let mut reader = Reader::new(kind::TABLE_MAP, body);
        reader.uint(6)?;
        reader.u16()?;
        Ok((name(&mut reader)?, name(&mut reader)?))
    }

    /// Whether the log says all that it can of the columns.
    pub fn has_full_metadata(&self) -> bool {
        !self.columns.is_empty() && self.columns.iter().all(|column| !column.name.is_empty())
    }

    fn learn(&mut self, field: u8, dialect: Dialect, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        match field {
            field::SIGNEDNESS => self.signedness(reader),
            field::DEFAULT_CHARSET => default_charset(self.of(|storage| storage.is_character(dialect)), reader),
            field::COLUMN_CHARSET => {
                each(self.of(|storage| storage.is_character(dialect)), reader, |column, reader| {
                    column.collation = reader.lenenc()?;
                    Ok(())
                })
            }
            field::LABEL_DEFAULT_CHARSET => default_charset(self.of(Storage::is_labelled), reader),
            field::LABEL_COLUMN_CHARSET => each(self.of(Storage::is_labelled), reader, |column, reader| {
                column.collation = reader.lenenc()?;
                Ok(())
            }),
            field::COLUMN_NAME => each(self.of(|_| true), reader, |column, reader| {
                let length = reader.count()?;
                column.name = reader.text(length)?.to_owned();
                Ok(())
            }),
            field::SET_LABELS => each(self.of(|storage| matches!(storage, Storage::Set { .. })), reader, labels),
            field::ENUM_LABELS => each(self.of(|storage| matches!(storage, Storage::Enum { .. })), reader, labels),
            field::GEOMETRY_TYPE => {
                let geometries = self.of(|storage| matches!(storage, Storage::Geometry { .. }));
                each(geometries, reader, |column, reader| {
                    column.geometry = reader.lenenc()?;
                    Ok(())
                })
            }
            field::VECTOR_DIMENSIONS => {
                let vectors = self.of(|storage| matches!(storage, Storage::Vector { .. }));
                each(vectors, reader, |column, reader| {
                    column.dimensions = reader.lenenc()?;
                    Ok(())
                })
            }
            field::SIMPLE_PRIMARY_KEY => self.primary_key(reader, false),
            field::PRIMARY_KEY_WITH_PREFIX => self.primary_key(reader, true),
            // It says nothing of values: an invisible column has them like any other.
            field::VISIBILITY => Ok(()),
            _ => reader.fail("a field of the metadata is unknown"),
        }
    }

    fn of(&mut self, wanted: impl Fn(Storage) -> bool) -> impl Iterator<Item = &mut Column> {
        self.columns.iter_mut().filter(move |column| wanted(column.storage))
    }

    /// A bit for each numeric column, the highest first.
    fn signedness(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let bits = reader.rest().iter().flat_map(|byte| (0..8_u32).rev().map(move |bit| byte >> bit & 1 == 1));
        let numeric = self.of(Storage::is_numeric).map(|column| &mut column.unsigned);
        numeric.zip(bits).for_each(|(unsigned, bit)| *unsigned = bit);
        Ok(())
    }

    fn primary_key(&mut self, reader: &mut Reader<'_>, with_prefixes: bool) -> Result<(), Malformed> {
        self.primary_key.clear();
        while !reader.is_empty() {
            let index = reader.count()?;
            if with_prefixes {
                reader.lenenc()?;
            }
            if index >= self.columns.len() {
                return reader.fail("the primary key has a column that the table has not");
            }
            self.primary_key.push(index);
        }
        Ok(())
    }
}

impl Column {
    fn new(storage: Storage) -> Self {
        let (name, labels) = (String::new(), Vec::new());
        Self { name, storage, unsigned: false, collation: 0, labels, geometry: 0, dimensions: 0 }
    }
}

/// A length, the name, a zero byte.
fn name(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let length = reader.u8()?;
    let name = reader.text(length.into())?.to_owned();
    reader.u8()?;
    Ok(name)
}

/// One entry for each column, as far as there are any.
fn each<'c>(
    columns: impl Iterator<Item = &'c mut Column>,
    reader: &mut Reader<'_>,
    entry: impl Fn(&mut Column, &mut Reader<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    for column in columns {
        entry(column, reader)?;
    }
    reader.end()
}

/// A collation for all, and pairs of a column, counted among these, and another one.
fn default_charset<'c>(
    columns: impl Iterator<Item = &'c mut Column>,
    reader: &mut Reader<'_>,
) -> Result<(), Malformed> {
    let default = reader.lenenc()?;
    let mut columns: Vec<_> = columns.collect();
    columns.iter_mut().for_each(|column| column.collation = default);
    while !reader.is_empty() {
        let (index, collation) = (reader.count()?, reader.lenenc()?);
        match columns.get_mut(index) {
            Some(column) => column.collation = collation,
            None => return reader.fail("a character set is for a column that the table has not"),
        }
    }
    Ok(())
}

fn labels(column: &mut Column, reader: &mut Reader<'_>) -> Result<(), Malformed> {
    column.labels = (0..reader.count()?).map(|_| reader.counted().map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `t(id int unsigned primary key, name varchar(40), mood enum('a','b'), small tinyint)`.
    pub fn example(with_metadata: bool) -> Vec<u8> {
        let mut body = b"\x07\0\0\0\0\0\x01\0\x03crm\0\x01t\0\x04\x03\x0F\xFE\x01\x04\xA0\0\xF7\x01\x0E".to_vec();
        if with_metadata {
            body.extend(b"\x01\x01\x80\x02\x01\x2D\x04\x13\x02id\x04name\x04mood\x05small");
            body.extend(b"\x06\x05\x02\x01a\x01b\x08\x01\0\x0A\x01\x2D");
        }
        body
    }

    #[test]
    fn full_metadata_names_and_describes_every_column() {
        let map = TableMap::parse(&example(true), Dialect::Mysql).expect("a table map");
        assert_eq!((map.table_id, &*map.schema, &*map.table), (7, "crm", "t"));
        assert!(map.has_full_metadata());
        let names: Vec<_> = map.columns.iter().map(|column| (&*column.name, column.unsigned)).collect();
        assert_eq!(names, [("id", true), ("name", false), ("mood", false), ("small", false)]);
        assert_eq!(map.columns[1].collation, 45);
        assert_eq!(map.columns[2].labels, [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(map.primary_key, [0]);
    }

    #[test]
    fn minimal_metadata_has_no_names() {
        assert!(!TableMap::parse(&example(false), Dialect::Mysql).expect("a table map").has_full_metadata());
    }

    #[test]
    fn a_cut_or_foreign_table_map_is_refused_and_never_panics() {
        let whole = example(true);
        for end in 0..whole.len() {
            let _ = TableMap::parse(&whole[..end], Dialect::Mysql);
        }
        let mut unknown = example(true);
        unknown.extend([99, 0]);
        assert!(TableMap::parse(&unknown, Dialect::Mysql).is_err());
    }

    #[test]
    fn a_geometry_has_a_character_set_in_mariadbs_log_alone_and_a_vector_in_mysqls() {
        // `x(g geometry, s text)` and `x(v vector, s text)`.
        let body = |code: u8, collations: &[u8]| {
            let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 1, b'd', 0, 1, b'x', 0, 2, code, 252, 2, 4, 2, 3, 3];
            body.push(collations.len() as u8);
            body.extend(collations);
            TableMap::parse(&body, Dialect::Mysql)
                .or(TableMap::parse(&body, Dialect::Mariadb))
                .map(|map| map.columns[1].collation)
        };
        assert_eq!(body(255, &[45]), Ok(45));
        assert_eq!(body(255, &[63, 45]), Ok(45));
        assert_eq!(body(242, &[63, 45]), Ok(45));
    }

    proptest! {
        #[test]
        fn hostile_table_maps_never_panic(at in 0_usize..80, byte: u8, end in 0_usize..90) {
            let mut body = example(true);
            let length = body.len();
            body[at % length] = byte;
            let _ = TableMap::parse(&body[..end.min(length)], Dialect::Mysql);
        }
    }
}
