//! A session that reads a MySQL or MariaDB source, and each value as PostgreSQL prints it in the target.
//!
//! The server's own values in the binary protocol, written down here and not by what copies and streams write with, so that
//! a fault in those shows. What a value is follows from the answer's own description of its columns. Surprise: of a row
//! there is no version to be had.

use super::merge::Rows;
use super::reader::SILENCE_MAX;
use super::row::KeptRow;
use super::settings;
use super::trouble::Trouble;
use crate::config::MysqlSystem;
use crate::model::name::SystemName;
use crate::model::position::LogPlace;
use crate::source::mysql::{Connection, Fault, chain, written_to};
use futures_util::StreamExt;
use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::prelude::Queryable;
use mysql_async::{BinaryProtocol, Column, ResultSetStream, Row, Statement, Value};
use std::io::Write as _;
use tokio::time::timeout;

pub struct Reader {
    connection: Connection,
    system: MysqlSystem,
    /// To be closed when the next one is asked.
    asked: Option<Statement>,
}

impl Reader {
    /// # Errors
    /// [`Trouble::Table`] with what the server or the network says.
    pub async fn open(system: &MysqlSystem) -> Result<Self, Trouble> {
        let opened = async {
            let mut connection = Connection::open(&system.endpoint).await?;
            for sql in settings::of_mysql() {
                connection.execute(sql).await?;
            }
            Ok(connection)
        };
        let connection = opened.await.map_err(|fault| unreadable(&system.name, &fault))?;
        Ok(Self { connection, system: system.clone(), asked: None })
    }

    /// Something that the source's own code asks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Trouble> {
        question(&mut self.connection).await.map_err(|fault| unreadable(&self.system.name, &fault))
    }

    /// Everything that could be seen before is in the log before this place: a transaction is logged before it is visible.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn mark(&mut self) -> Result<LogPlace, Trouble> {
        let flavour = self.system.flavour;
        self.ask(async |connection| written_to(connection, flavour).await).await
    }

    /// # Errors
    /// As [`Self::open`].
    pub async fn stream(&mut self, sql: &str) -> Result<Stream<'_>, Trouble> {
        let failed = |error: mysql_async::Error| unreadable(&self.system.name, &error.into());
        let conn = self.connection.inner();
        if let Some(statement) = self.asked.take() {
            conn.close(statement).await.map_err(failed)?;
        }
        let statement = conn.prep(sql).await.map_err(failed)?;
        self.asked = Some(statement.clone());
        let rows = conn.exec_stream::<Row, _, _>(statement, ()).await.map_err(failed)?;
        let forms = rows.columns_ref().iter().map(Form::of).collect();
        Ok(Stream { name: &self.system.name, rows, forms, cell: Vec::new() })
    }
}

fn unreadable(name: &SystemName, fault: &Fault) -> Trouble {
    Trouble::unreadable(format!("{name}: {}", chain(fault)))
}

/// An answer on its way.
pub struct Stream<'a> {
    name: &'a SystemName,
    rows: ResultSetStream<'a, 'a, 'static, Row, BinaryProtocol>,
    forms: Vec<Form>,
    cell: Vec<u8>,
}

impl Rows for Stream<'_> {
    async fn next(&mut self, row: &mut KeptRow) -> Result<bool, Trouble> {
        let silent = |_| unreadable(self.name, &Fault::Silent(SILENCE_MAX));
        let Some(next) = timeout(SILENCE_MAX, self.rows.next()).await.map_err(silent)? else { return Ok(false) };
        let values = next.map_err(|error| unreadable(self.name, &error.into()))?.unwrap();
        row.clear();
        for (form, value) in self.forms.iter().zip(&values) {
            self.cell.clear();
            let is_null = *value == Value::NULL;
            if !is_null && form.write(value, &mut self.cell).is_none() {
                return Err(unreadable(self.name, &Fault::Protocol("a value that is not its column's")));
            }
            row.push((!is_null).then_some(&*self.cell));
        }
        Ok(true)
    }
}

/// How a column's values are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Integer,
    Decimal,
    /// The bits of it, as of 4 or 8 bytes.
    Float,
    Text,
    Bytes,
    Bits(u32),
    Date,
    DateTime,
    /// A `TIMESTAMP`; the session is in UTC.
    Instant,
    /// In microseconds.
    Span,
}

impl Form {
    fn of(column: &Column) -> Self {
        const BINARY: u16 = 63;
        use ColumnType::*;
        if column.flags().intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG) {
            return Self::Text;
        }
        match column.column_type() {
            MYSQL_TYPE_TINY | MYSQL_TYPE_SHORT | MYSQL_TYPE_INT24 | MYSQL_TYPE_LONG | MYSQL_TYPE_LONGLONG
            | MYSQL_TYPE_YEAR => Self::Integer,
            MYSQL_TYPE_DECIMAL | MYSQL_TYPE_NEWDECIMAL => Self::Decimal,
            MYSQL_TYPE_FLOAT | MYSQL_TYPE_DOUBLE => Self::Float,
            MYSQL_TYPE_BIT => Self::Bits(column.column_length()),
            MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE => Self::Date,
            MYSQL_TYPE_DATETIME | MYSQL_TYPE_DATETIME2 => Self::DateTime,
            MYSQL_TYPE_TIMESTAMP | MYSQL_TYPE_TIMESTAMP2 => Self::Instant,
            MYSQL_TYPE_TIME | MYSQL_TYPE_TIME2 => Self::Span,
            MYSQL_TYPE_JSON => Self::Text,
            MYSQL_TYPE_GEOMETRY | MYSQL_TYPE_VECTOR => Self::Bytes,
            _ if column.character_set() == BINARY => Self::Bytes,
            _ => Self::Text,
        }
    }

    /// `None` for a value of another kind.
    fn write(self, value: &Value, out: &mut Vec<u8>) -> Option<()> {
        match (self, value) {
            (Self::Integer, Value::Int(number)) => put(out, format_args!("{number}")),
            (Self::Integer, Value::UInt(number)) => put(out, format_args!("{number}")),
            (Self::Decimal, Value::Bytes(text)) => decimal(text, out),
            (Self::Float, Value::Float(number)) => hex(&number.to_be_bytes(), out),
            (Self::Float, Value::Double(number)) => hex(&number.to_be_bytes(), out),
            (Self::Text, Value::Bytes(text)) => out.extend_from_slice(text),
            (Self::Bytes, Value::Bytes(bytes)) => hex(bytes, out),
            (Self::Bits(length), Value::Bytes(bytes)) => bits(bytes, usize::try_from(length).ok()?, out)?,
            (
                Self::Date | Self::DateTime | Self::Instant,
                Value::Date(year, month, day, hour, minute, second, micros),
            ) => {
                let era = if *year == 0 && *month > 0 && *day > 0 { " BC" } else { "" };
                // The year before 1 is 1 BC.
                let year = if era.is_empty() { *year } else { 1 };
                put(out, format_args!("{year:04}-{month:02}-{day:02}"));
                if self != Self::Date {
                    put(out, format_args!(" {hour:02}:{minute:02}:{second:02}"));
                    fraction(*micros, out);
                }
                put(out, format_args!("{}{era}", if self == Self::Instant { "+00" } else { "" }));
            }
            (Self::Span, Value::Time(negative, days, hours, minutes, seconds, micros)) => {
                let hours = i64::from(*days) * 24 + i64::from(*hours);
                let seconds = (hours * 60 + i64::from(*minutes)) * 60 + i64::from(*seconds);
                let span = seconds * 1_000_000 + i64::from(*micros);
                put(out, format_args!("{}", if *negative { -span } else { span }));
            }
            _ => return None,
        }
        Some(())
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = out.write_fmt(text);
}

/// Without the zeros that ZEROFILL puts in front.
fn decimal(text: &[u8], out: &mut Vec<u8>) {
    let (sign, digits) = text.strip_prefix(b"-").map_or((&b""[..], text), |digits| (&b"-"[..], digits));
    let whole = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let filled = digits.iter().take(whole.saturating_sub(1)).take_while(|byte| **byte == b'0').count();
    out.extend_from_slice(sign);
    out.extend_from_slice(digits.get(filled..).unwrap_or_default());
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xF)]]);
    }
}

/// The last `length` bits.
fn bits(bytes: &[u8], length: usize, out: &mut Vec<u8>) -> Option<()> {
    let all = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| b'0' + (byte >> bit & 1)));
    out.extend(all.skip((bytes.len() * 8).checked_sub(length)?));
    Some(())
}

/// As PostgreSQL has it: no zeros at the end, and nothing where there is none.
fn fraction(micros: u32, out: &mut Vec<u8>) {
    if micros == 0 {
        return;
    }
    let text = format!("{micros:06}");
    put(out, format_args!(".{}", text.trim_end_matches('0')));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form, value: &Value) -> String {
        let mut out = Vec::new();
        form.write(value, &mut out).expect("its own kind");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn values_read_as_postgres_prints_them() {
        let decimal = |text: &str| written(Form::Decimal, &Value::Bytes(text.into()));
        assert_eq!([decimal("00012.50"), decimal("-0.10"), decimal("000")], ["12.50", "-0.10", "0"]);
        assert_eq!(written(Form::Float, &Value::Float(0.1)), "\\x3dcccccd");
        assert_eq!(written(Form::Bits(11), &Value::Bytes(vec![0b101, 1])), "10100000001");
        assert_eq!(written(Form::Date, &Value::Date(2026, 6, 17, 0, 0, 0, 0)), "2026-06-17");
        assert_eq!(written(Form::DateTime, &Value::Date(2026, 6, 17, 1, 2, 3, 120_000)), "2026-06-17 01:02:03.12");
        assert_eq!(written(Form::Instant, &Value::Date(2026, 6, 17, 0, 0, 0, 0)), "2026-06-17 00:00:00+00");
        assert_eq!(written(Form::DateTime, &Value::Date(0, 1, 2, 0, 0, 0, 0)), "0001-01-02 00:00:00 BC");
        assert_eq!(written(Form::Span, &Value::Time(true, 34, 22, 59, 59, 1)), "-3020399000001");
        assert_eq!(Form::Date.write(&Value::Int(1), &mut Vec::new()), None);
    }
}
