//! Rows as text for the target: one cell for each column of a shape, then our own two.

use super::cell::{self, Untold};
use super::fold::{Image, Stamp};
use super::shape::Shape;
use crate::model::value_type::ValueType;
use crate::wire::civil;
use crate::wire::fields::{Fields, Malformed};
use std::sync::Arc;

/// Why a row cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Names the row's key and the column, never the value.
    #[error("column {column:?} of the row {key} holds {what}")]
    Refused { column: String, key: String, what: &'static str },
}

const ZERO_CHARACTER: &str = "U+0000, which PostgreSQL has no text for";
const NO_DATE: &str = "a date with a zero in it or that the calendar does not have, which PostgreSQL has none for";

/// Takes rows of one shape apart. Kept between rows for its buffers.
pub struct Rows {
    pub shape: Arc<Shape>,
    /// Number, place and type of each column; ascending by number.
    places: Vec<(u32, usize, ValueType)>,
    /// By place; what is not `present` is null.
    cells: Vec<String>,
    present: Vec<bool>,
}

impl Rows {
    /// # Errors
    /// [`Malformed`] when the shape is of a later version's making.
    pub fn of(shape: Arc<Shape>) -> Result<Self, Malformed> {
        let place = |(place, column): (usize, &super::shape::Column)| {
            Ok((column.number, place, column.value_type().ok_or(Malformed)?))
        };
        let mut places = shape.columns.iter().enumerate().map(place).collect::<Result<Vec<_>, Malformed>>()?;
        places.sort_unstable_by_key(|(number, ..)| *number);
        let columns = shape.columns.len();
        Ok(Self { shape, places, cells: vec![String::new(); columns], present: vec![false; columns] })
    }

    /// Reads a row's cells. Fields that the shape does not know are passed over: they belong to columns that are gone.
    ///
    /// # Errors
    /// [`Unwritable`].
    pub fn read(&mut self, row: &[u8]) -> Result<(), Unwritable> {
        self.present.fill(false);
        for field in Fields::of(row) {
            let field = field?;
            let Ok(at) = self.places.binary_search_by_key(&field.number, |(number, ..)| *number) else { continue };
            let (_, place, value_type) = self.places[at];
            self.cells[place].clear();
            let what = match cell::write(value_type, field.value, &mut self.cells[place]) {
                Ok(()) if !self.cells[place].contains('\0') => {
                    self.present[place] = true;
                    continue;
                }
                Ok(()) => ZERO_CHARACTER,
                Err(Untold::NoDate) => NO_DATE,
                Err(Untold::Malformed) => return Err(Malformed.into()),
            };
            let column = self.shape.columns[place].name.clone();
            return Err(Unwritable::Refused { column, key: self.told_key(row), what });
        }
        Ok(())
    }

    /// A row's key for people, as far as it can be told.
    fn told_key(&self, row: &[u8]) -> String {
        let told = Fields::of(row).map_while(Result::ok).filter_map(|field| {
            let at = self.places.binary_search_by_key(&field.number, |(number, ..)| *number).ok()?;
            let (_, place, value_type) = self.places[at];
            let column = self.shape.columns.get(place).filter(|column| column.key)?;
            let mut text = String::new();
            cell::write(value_type, field.value, &mut text).ok()?;
            Some(format!("{}={}", column.name, text.escape_debug()))
        });
        let told: Vec<_> = told.collect();
        if told.is_empty() { "without a key".to_owned() } else { format!("with {}", told.join(", ")) }
    }

    /// A column's cell of the row last read; `None`: null.
    pub fn cell(&self, place: usize) -> Option<&str> {
        self.present[place].then(|| self.cells[place].as_str())
    }

    /// Appends the row last read as a line of COPY's text format, our own columns behind it.
    pub fn put_line(&self, stamp: &StampText, out: &mut Vec<u8>) {
        for place in 0..self.cells.len() {
            put_cell(self.cell(place), out);
            out.push(b'\t');
        }
        out.extend_from_slice(stamp.text.as_bytes());
        out.push(b'\n');
    }

    /// Appends the key of the row last read as a line of COPY's text format.
    pub fn put_key_line(&self, out: &mut Vec<u8>) {
        let key = (0..self.cells.len()).filter(|place| self.shape.columns[*place].key);
        for (index, place) in key.enumerate() {
            if index > 0 {
                out.push(b'\t');
            }
            put_cell(self.cell(place), out);
        }
        out.push(b'\n');
    }
}

/// Manual, COPY, "Text Format".
fn put_cell(cell: Option<&str>, out: &mut Vec<u8>) {
    let Some(cell) = cell else { return out.extend_from_slice(b"\\N") };
    let mut rest = cell.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Our own two columns as text. Rows of one transaction share theirs.
pub struct StampText {
    stamp: Option<Stamp>,
    /// Sequence, a tab, the commit time.
    text: String,
}

impl StampText {
    pub fn new() -> Self {
        Self { stamp: None, text: String::new() }
    }

    pub fn set(&mut self, stamp: Stamp) {
        if self.stamp != Some(stamp) {
            self.text = format!("{}\t{}", stamp.sequence, instant(stamp));
            self.stamp = Some(stamp);
        }
    }
}

/// The commit time as the server reads it.
pub fn instant(stamp: Stamp) -> String {
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    let micros = stamp.committed_at.0;
    let (year, month, day) = civil::year_month_day(micros.div_euclid(MICROS_PER_DAY));
    format!("{year:04}-{month:02}-{day:02} {}+00", civil::time(micros.rem_euclid(MICROS_PER_DAY)))
}

/// A row as literals of a VALUES list, without brackets.
///
/// # Errors
/// [`Unwritable`].
pub fn literals(rows: &mut Rows, image: &Image) -> Result<String, Unwritable> {
    rows.read(&image.row)?;
    let mut text = String::new();
    for place in 0..rows.shape.columns.len() {
        put_literal(rows.cell(place), &mut text);
        text.push_str(", ");
    }
    text += &format!("{}, '{}'", image.stamp.sequence, instant(image.stamp));
    Ok(text)
}

/// `standard_conforming_strings` is on: only quotes are doubled.
pub fn put_literal(cell: Option<&str>, out: &mut String) {
    let Some(cell) = cell else { return out.push_str("NULL") };
    out.push('\'');
    for part in cell.split_inclusive('\'') {
        out.push_str(part);
        if part.ends_with('\'') {
            out.push('\'');
        }
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::super::shape::Column;
    use super::*;
    use crate::model::position::Sequence;
    use crate::model::time::UnixMicros;
    use crate::model::value_type::Scalar;
    use crate::wire::varint::put_bytes;

    fn rows() -> Rows {
        let column = |name: &str, number, key| Column {
            name: name.into(),
            number,
            declared: "text".into(),
            sql_type: "text".into(),
            value_type: ValueType::Scalar(Scalar::String).number(),
            key,
        };
        let columns = vec![column("b", 7, false), column("a", 2, true)];
        Rows::of(Arc::new(Shape { columns, whole_rows: false, policy: String::new() })).expect("known types")
    }

    fn row(fields: &[(u32, &str)]) -> Vec<u8> {
        let mut row = Vec::new();
        fields.iter().for_each(|(number, text)| put_bytes(&mut row, *number, text.as_bytes()));
        row
    }

    #[test]
    fn a_line_has_every_column_in_its_place_and_is_escaped() {
        let mut rows = rows();
        let mut stamp = StampText::new();
        stamp.set(Stamp { sequence: Sequence(9), committed_at: UnixMicros(1_500_000) });
        let mut lines = Vec::new();
        rows.read(&row(&[(2, "a\tb\\\n"), (7, ""), (9, "gone")])).expect("writable");
        rows.put_line(&stamp, &mut lines);
        rows.put_key_line(&mut lines);
        rows.read(&row(&[(2, "x")])).expect("writable");
        rows.put_line(&stamp, &mut lines);
        let text = String::from_utf8(lines).expect("text");
        let stamp = "9\t1970-01-01 00:00:01.5+00";
        assert_eq!(text, format!("\ta\\tb\\\\\\n\t{stamp}\na\\tb\\\\\\n\n\\N\tx\t{stamp}\n"));
    }

    #[test]
    fn literals_double_quotes_and_nothing_else() {
        let stamp = Stamp { sequence: Sequence(9), committed_at: UnixMicros(-1) };
        let image = Image { row: row(&[(2, "o'k\\")]).into(), unchanged: vec![], stamp };
        let text = literals(&mut rows(), &image).expect("writable");
        assert_eq!(text, "NULL, 'o''k\\', 9, '1969-12-31 23:59:59.999999+00'");
    }

    #[test]
    fn a_zero_character_names_its_row_and_column_and_not_its_value() {
        let refused = rows().read(&row(&[(7, "se\0cret"), (2, "k'1")])).expect_err("refused").to_string();
        assert!(refused.contains("\"b\" of the row with a=k\\'1") && !refused.contains("cret"), "{refused}");
    }
}
