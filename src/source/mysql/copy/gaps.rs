//! Bytes that are no character of their column's character set, and that the server would pass on as question marks.
//!
//! The rows of a copy come converted to UTF-8. So the server is asked for the number of question marks that each such text
//! really has: where more arrive, one of them is something else.

use crate::decode::mysql::types::Charsets;
use crate::model::schema::TableShape;
use crate::source::mysql::catalogue::Described;
use crate::source::mysql::connection::identifier;
use mysql_async::Value;

/// The columns that are counted: their places in a row, and their names.
#[derive(Default)]
pub struct Gaps(Vec<(usize, String)>);

impl Gaps {
    pub fn of(shape: &TableShape, described: &Described, charsets: &Charsets) -> Self {
        let has_gaps = |name: &str| {
            let column = described.column(name)?;
            // A label is one of those that the column was made with.
            let is_label = ["enum(", "set("].iter().any(|word| column.declared.starts_with(word));
            Some(!is_label && charsets.charset(column.charset.as_ref()?)?.has_gaps())
        };
        let columns = shape.columns.iter().enumerate();
        let with_gaps = columns.filter(|(_, column)| has_gaps(&column.name) == Some(true));
        Self(with_gaps.map(|(place, column)| (place, column.name.to_string())).collect())
    }

    /// What is asked for behind a row's columns.
    pub fn sql(&self) -> String {
        let count = |(_, name): &(usize, String)| {
            let name = identifier(name);
            format!(", CHAR_LENGTH({name}) - CHAR_LENGTH(REPLACE({name}, '?', ''))")
        };
        self.0.iter().map(count).collect()
    }

    /// Takes the counts off the row. Gives the first column with something that is no character.
    pub fn take(&self, row: &mut Vec<Value>) -> Option<&str> {
        let counts = row.split_off(row.len().saturating_sub(self.0.len()));
        let is_wrong = |(place, count): (&usize, &Value)| match (row.get(*place), count) {
            (Some(Value::Bytes(text)), Value::Int(count)) => marks(text) != u64::try_from(*count).ok(),
            (Some(Value::Bytes(text)), Value::UInt(count)) => marks(text) != Some(*count),
            (Some(Value::Bytes(text)), _) => marks(text) != Some(0),
            _ => false,
        };
        let mut columns = self.0.iter().zip(&counts);
        columns.find(|((place, _), count)| is_wrong((place, count))).map(|((_, name), _)| name.as_str())
    }
}

fn marks(text: &[u8]) -> Option<u64> {
    u64::try_from(text.iter().filter(|byte| **byte == b'?').count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_too_many_is_something_else() {
        let gaps = Gaps(vec![(1, "a`b".into())]);
        assert_eq!(gaps.sql(), ", CHAR_LENGTH(`a``b`) - CHAR_LENGTH(REPLACE(`a``b`, '?', ''))");
        let found = |text: Value, count: Value| {
            let mut row = vec![Value::Int(7), text, count];
            let found = gaps.take(&mut row).map(str::to_owned);
            assert_eq!(row.len(), 2);
            found
        };
        let text = |text: &str| Value::Bytes(text.as_bytes().to_vec());
        assert_eq!(found(text("why?"), Value::Int(1)), None);
        assert_eq!(found(text("why?"), Value::Int(0)).as_deref(), Some("a`b"));
        assert_eq!(found(Value::NULL, Value::NULL), None);
    }
}
