//! One cell of a row, taken out of its wire form and put into another's.

use crate::config::Normalise;
use crate::model::value_type::{Scalar, ValueType};
use crate::wire::fields::{Field, Fields, Malformed, Value, unzigzag};
use crate::wire::varint::{LENGTH_DELIMITED, put_bytes, put_tag, put_varint, take_varint};
use unicode_normalization::UnicodeNormalization as _;

/// The wire type, then the value as it stands behind its tag: the same for the same value, whatever the field's number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cell(pub Vec<u8>);

impl Cell {
    fn of(field: &Field<'_>) -> Result<Self, Malformed> {
        let mut rest = field.span;
        let tag = take_varint(&mut rest).ok_or(Malformed)?;
        let mut cell = Vec::with_capacity(rest.len() + 1);
        // Three bits.
        cell.push((tag & 7) as u8);
        cell.extend_from_slice(rest);
        Ok(Self(cell))
    }

    pub fn of_text(text: &str) -> Self {
        let mut cell = vec![LENGTH_DELIMITED as u8];
        put_varint(&mut cell, text.len() as u64);
        cell.extend_from_slice(text.as_bytes());
        Self(cell)
    }

    /// An int64's.
    pub fn of_number(number: u64) -> Self {
        let mut cell = vec![0];
        put_varint(&mut cell, number << 1);
        Self(cell)
    }

    /// Appends it as a field of a message.
    pub fn put(&self, number: u32, out: &mut Vec<u8>) {
        let Some((wire_type, value)) = self.0.split_first() else { return };
        put_tag(out, number, u32::from(*wire_type));
        out.extend_from_slice(value);
    }

    fn value(&self) -> Option<Value<'_>> {
        let (wire_type, mut value) = self.0.split_first()?;
        match wire_type {
            0 => take_varint(&mut value).map(Value::Varint),
            2 => {
                let length = usize::try_from(take_varint(&mut value)?).ok()?;
                value.get(..length).map(Value::Bytes)
            }
            _ => None,
        }
    }

    /// As a person writes it; `None` for values that are neither texts, nor whole numbers, nor true or false.
    pub fn text(&self, value_type: ValueType) -> Option<String> {
        let ValueType::Scalar(scalar) = value_type else { return None };
        match (scalar, self.value()?) {
            (Scalar::Int32 | Scalar::Int64, Value::Varint(value)) => Some(unzigzag(value).to_string()),
            (Scalar::UInt32 | Scalar::UInt64, Value::Varint(value)) => Some(value.to_string()),
            (Scalar::Bool, Value::Varint(value)) => Some((value != 0).to_string()),
            (Scalar::String, Value::Bytes(text)) => std::str::from_utf8(text).ok().map(str::to_owned),
            // The server's text.
            (Scalar::Other, Value::Bytes(message)) => {
                let text = Fields::of(message).filter_map(Result::ok).find(|field| field.number == 2)?;
                text.value.text().ok().map(str::to_owned)
            }
            _ => None,
        }
    }

    /// What it is compared by: the same for values that people call the same, whatever their types.
    pub fn plain(&self, value_type: ValueType) -> Vec<u8> {
        match (self.text(value_type), value_type, self.value()) {
            (Some(text), ..) => text.into_bytes(),
            (None, ValueType::Scalar(Scalar::Decimal), Some(Value::Bytes(message))) => {
                let text = first_field(message).and_then(|field| field.value.text().ok()).unwrap_or_default();
                let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
                text.as_bytes().to_vec()
            }
            _ => self.0.clone(),
        }
    }

    /// Sorts as the server does, texts in the order of their bytes. Only for types that [`is_ordered`] knows.
    pub fn order(&self, value_type: ValueType) -> Vec<u8> {
        let ValueType::Scalar(scalar) = value_type else { return self.0.clone() };
        match (scalar, self.value()) {
            (Scalar::Int32 | Scalar::Int64, Some(Value::Varint(value))) => ordered(unzigzag(value)).to_vec(),
            (_, Some(Value::Varint(value))) => value.to_be_bytes().to_vec(),
            (Scalar::Date | Scalar::Time | Scalar::LocalDateTime | Scalar::Instant, Some(Value::Bytes(message))) => {
                time_order(message)
            }
            (Scalar::Decimal, Some(Value::Bytes(message))) => decimal_order(message),
            (_, Some(Value::Bytes(bytes))) => bytes.to_vec(),
            _ => self.0.clone(),
        }
    }

    /// The same text as the contract wants it written; other values stay.
    pub fn normalised(self, value_type: ValueType, rules: &[Normalise]) -> Self {
        match (value_type, self.value()) {
            (ValueType::Scalar(Scalar::String), Some(Value::Bytes(bytes))) if !rules.is_empty() => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                Self::of_text(&rules.iter().fold(text, |text, rule| rule.apply(&text)))
            }
            _ => self,
        }
    }
}

/// Whether values of a type have an order that is known here.
pub fn is_ordered(value_type: ValueType) -> bool {
    use Scalar::{Bool, Bytes, Date, Decimal, Instant, Int32, Int64, LocalDateTime, String, Time, UInt32, UInt64};
    let ordered = [Bool, Int32, Int64, UInt32, UInt64, String, Bytes, Date, Time, LocalDateTime, Instant, Decimal];
    matches!(value_type, ValueType::Scalar(scalar) if ordered.contains(&scalar))
}

fn first_field(message: &[u8]) -> Option<Field<'_>> {
    Fields::of(message).filter_map(Result::ok).find(|field| field.number == 1)
}

/// Bytes that sort as the numbers do.
fn ordered(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

/// Days, microseconds, or seconds and nanoseconds; what is no ordinary value comes last.
fn time_order(message: &[u8]) -> Vec<u8> {
    let number = |wanted: u32| {
        let field = Fields::of(message).filter_map(Result::ok).find(|field| field.number == wanted);
        field.and_then(|field| field.value.varint().ok())
    };
    let Some(first) = number(1) else {
        // A Time of 0 has no field at all.
        return if message.is_empty() { ordered(0).to_vec() } else { vec![u8::MAX; 9] };
    };
    // Nanoseconds, where there are some, are a plain number.
    [ordered(unzigzag(first)), number(2).unwrap_or_default().to_be_bytes()].concat()
}

/// The sign, how long the whole part is, and the digits; of a negative number all but the sign the other way round.
fn decimal_order(message: &[u8]) -> Vec<u8> {
    let Some(text) = first_field(message).and_then(|field| field.value.text().ok()) else { return vec![u8::MAX] };
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.is_empty() && fraction.is_empty() {
        return vec![1, 0];
    }
    // Longer than no decimal of any server.
    let mut order = (whole.len() as u32).to_be_bytes().to_vec();
    order.extend_from_slice(whole.as_bytes());
    order.extend_from_slice(fraction.as_bytes());
    if is_negative {
        order.push(0);
        order.iter_mut().for_each(|byte| *byte = !*byte);
    }
    [&[if is_negative { 0 } else { 2 }], &order[..]].concat()
}

impl Normalise {
    fn apply(self, text: &str) -> String {
        match self {
            Self::Nfkc => text.nfkc().collect(),
            Self::CollapseWhitespace => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Self::Lowercase => text.to_lowercase(),
            Self::Uppercase => text.to_uppercase(),
            Self::Alphanumeric => text.chars().filter(|c| c.is_alphanumeric()).collect(),
        }
    }
}

/// The cell of a column; `None` for null.
pub fn cell(row: &[u8], number: u32) -> Result<Option<Cell>, Malformed> {
    let mut found = None;
    for field in Fields::of(row) {
        let field = field?;
        if field.number == number {
            found = Some(Cell::of(&field)?);
        }
    }
    Ok(found)
}

/// A row of nothing but some of its columns.
pub fn only(row: &[u8], numbers: &[u32]) -> Result<Vec<u8>, Malformed> {
    let mut kept = Vec::new();
    for field in Fields::of(row) {
        let field = field?;
        if numbers.contains(&field.number) {
            kept.extend_from_slice(field.span);
        }
    }
    Ok(kept)
}

/// Cells as one value, which two lists have in common exactly when each of their cells is the same.
pub fn joined(cells: &[Cell]) -> Vec<u8> {
    let mut value = Vec::new();
    cells.iter().for_each(|cell| put_bytes(&mut value, 1, &cell.0));
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::varint::{put_number, zigzag};
    use proptest::prelude::*;

    const STRING: ValueType = ValueType::Scalar(Scalar::String);

    #[test]
    fn a_text_is_written_as_the_contract_wants_it() {
        let all = [Normalise::Nfkc, Normalise::CollapseWhitespace, Normalise::Uppercase];
        let text = Cell::of_text("  Müller\u{a0}&  Söhne\tﬁne ").normalised(STRING, &all);
        assert_eq!(text.text(STRING).as_deref(), Some("MÜLLER & SÖHNE FINE"));
        let vat = Cell::of_text("de 123.456-789").normalised(STRING, &[Normalise::Uppercase, Normalise::Alphanumeric]);
        assert_eq!(vat, Cell::of_text("DE123456789"));
        let number = Cell::of_number(5);
        assert_eq!(number.clone().normalised(ValueType::Scalar(Scalar::Int64), &all), number);
    }

    proptest! {
        #[test]
        fn numbers_sort_by_their_value(one: i64, other: i64) {
            let cell = |number: i64| {
                let mut row = Vec::new();
                put_tag(&mut row, 3, 0);
                put_varint(&mut row, zigzag(number));
                cell(&row, 3).expect("well formed").expect("there").order(ValueType::Scalar(Scalar::Int64))
            };
            prop_assert_eq!(cell(one).cmp(&cell(other)), one.cmp(&other));
        }

        #[test]
        fn dates_times_and_decimals_sort_by_their_value(one: i32, other: i32, nanos in 0_u32..1_000_000_000, scale in 0_usize..4) {
            let in_row = |write: &dyn Fn(&mut Vec<u8>)| {
                let mut row = Vec::new();
                put_tag(&mut row, 3, LENGTH_DELIMITED);
                write(&mut row);
                cell(&row, 3).expect("well formed").expect("there")
            };
            let of = |scalar: Scalar, write: &dyn Fn(&mut Vec<u8>)| in_row(write).order(ValueType::Scalar(scalar));
            use crate::wire::cell as put;
            let dates = [one, other].map(|days| of(Scalar::Date, &|out| put::date(out, days)));
            prop_assert_eq!(dates[0].cmp(&dates[1]), one.cmp(&other));
            let times = [one, other].map(|time| of(Scalar::Time, &|out| put::time(out, time.into())));
            prop_assert_eq!(times[0].cmp(&times[1]), one.cmp(&other));
            let instants = [(one, nanos), (other, 5)].map(|(at, nanos)| of(Scalar::Instant, &|out| put::timestamp(out, at.into(), nanos)));
            prop_assert_eq!(instants[0].cmp(&instants[1]), (one, nanos).cmp(&(other, 5)));
            let text = |number: i32| {
                let power = 10_u32.pow(u32::try_from(scale).expect("small"));
                let sign = if number < 0 { "-" } else { "" };
                let (whole, fraction) = (number.unsigned_abs() / power, number.unsigned_abs() % power);
                if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0scale$}") }
            };
            let decimals = [one, other].map(|number| of(Scalar::Decimal, &|out| put::decimal(out, &text(number))));
            prop_assert_eq!(decimals[0].cmp(&decimals[1]), one.cmp(&other), "{} {}", text(one), text(other));
        }

        #[test]
        fn cells_move_from_one_field_to_another(text: String, number: u64) {
            let mut row = Vec::new();
            put_bytes(&mut row, 7, text.as_bytes());
            put_number(&mut row, 9, number);
            let mut out = Vec::new();
            cell(&row, 7).expect("well formed").expect("there").put(2, &mut out);
            let moved = cell(&out, 2).expect("well formed").expect("there");
            prop_assert_eq!(moved.text(STRING), Some(text));
            prop_assert_eq!(only(&row, &[7]).expect("well formed").len() + only(&row, &[9]).expect("well formed").len(), row.len());
        }

        #[test]
        fn hostile_rows_never_panic(row: Vec<u8>, number in 1_u32..9) {
            for value_type in [STRING, ValueType::Scalar(Scalar::Int64), ValueType::Scalar(Scalar::Other)] {
                if let Ok(Some(cell)) = cell(&row, number) {
                    let _ = (cell.text(value_type), cell.order(value_type), cell.normalised(value_type, &[Normalise::Nfkc]));
                }
            }
            let _ = only(&row, &[number]);
        }
    }
}
