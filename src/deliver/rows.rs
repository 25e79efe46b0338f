//! Row predicates on rows in wire form.
//!
//! Three-valued: `None` is "not known", for nulls, for columns whose value is not given, and for values that do not compare.

use crate::config::predicate::{Comparison, Literal, Operand, Predicate, Set};
use crate::model::schema::TableSchema;
use crate::model::value_type::{Scalar, ValueType};
use crate::wire::fields::{Fields, Malformed, Value, unzigzag};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A predicate made for one version of a table and one subject.
#[derive(Debug, Clone)]
pub struct Rows {
    predicate: Predicate,
    columns: BTreeMap<String, Compared>,
    attributes: BTreeMap<String, Vec<Literal>>,
}

/// A column that is looked at.
#[derive(Debug, Clone, Copy)]
struct Compared {
    number: u32,
    scalar: Scalar,
    /// PostgreSQL's `character(n)`, whose blanks at the end mean nothing.
    is_padded: bool,
}

/// Columns that a predicate can look at.
const COMPARABLE: [Scalar; 7] =
    [Scalar::Bool, Scalar::Int32, Scalar::Int64, Scalar::UInt32, Scalar::UInt64, Scalar::Decimal, Scalar::String];

impl Rows {
    /// # Errors
    /// The table has no such column, or one of a type that does not compare.
    pub fn of(
        predicate: &Predicate,
        schema: &TableSchema,
        attributes: &BTreeMap<String, Vec<Literal>>,
    ) -> Result<Self, String> {
        let mut columns = BTreeMap::new();
        for name in predicate.columns() {
            let column = schema.columns.iter().find(|column| *column.shape.name == *name);
            let column = column.ok_or_else(|| format!("{} has no column {name}", schema.full_name()))?;
            let declared = &column.shape.declared_type;
            let ValueType::Scalar(scalar) = column.shape.value_type else {
                return Err(format!("{}: column {name} is an array", schema.full_name()));
            };
            if !COMPARABLE.contains(&scalar) {
                return Err(format!(
                    "{}: column {name} is of type {declared}, which does not compare",
                    schema.full_name()
                ));
            }
            let is_padded = declared.starts_with("character(");
            columns.insert(name.to_owned(), Compared { number: column.number, scalar, is_padded });
        }
        Ok(Self { predicate: predicate.clone(), columns, attributes: attributes.clone() })
    }

    /// Whether it is certain that a row may be seen. `missing`: columns whose value the row does not have.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn admit(&self, row: &[u8], missing: &[u32]) -> Result<bool, Malformed> {
        let mut cells = BTreeMap::new();
        for field in Fields::of(row) {
            let field = field?;
            if self.columns.values().any(|column| column.number == field.number) {
                cells.insert(field.number, field.value);
            }
        }
        cells.retain(|number, _| !missing.contains(number));
        Ok(self.truth(&self.predicate, &cells)? == Some(true))
    }

    fn truth(&self, predicate: &Predicate, cells: &BTreeMap<u32, Value<'_>>) -> Result<Option<bool>, Malformed> {
        Ok(match predicate {
            Predicate::Compare(one, comparison, other) => match (self.value(one, cells)?, self.value(other, cells)?) {
                (Some(one), Some(other)) => one.compare(&other).map(|order| comparison.holds(order)),
                _ => None,
            },
            Predicate::In(one, set) => match self.value(one, cells)? {
                Some(one) => self.literals(set).and_then(|set| among(&one, set)),
                None => None,
            },
            Predicate::Not(inner) => self.truth(inner, cells)?.map(|truth| !truth),
            Predicate::And(one, other) => match (self.truth(one, cells)?, self.truth(other, cells)?) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Predicate::Or(one, other) => match (self.truth(one, cells)?, self.truth(other, cells)?) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        })
    }

    /// `None`: the subject has no such attribute.
    fn literals<'a>(&'a self, set: &'a Set) -> Option<&'a [Literal]> {
        match set {
            Set::Literals(literals) => Some(literals),
            Set::Subject(name) => self.attributes.get(name).map(Vec::as_slice),
        }
    }

    fn value<'a>(
        &'a self,
        operand: &'a Operand,
        cells: &BTreeMap<u32, Value<'a>>,
    ) -> Result<Option<Plain<'a>>, Malformed> {
        match operand {
            Operand::Literal(literal) => Ok(Some(Plain::of(literal))),
            // A list of several is not one value.
            Operand::Subject(name) => match self.attributes.get(name).map(Vec::as_slice) {
                Some([one]) => Ok(Some(Plain::of(one))),
                _ => Ok(None),
            },
            Operand::Row(name) => {
                let Some(column) = self.columns.get(name) else { return Ok(None) };
                match cells.get(&column.number) {
                    Some(value) => Plain::of_cell(*value, column),
                    None => Ok(None),
                }
            }
        }
    }
}

/// In the set, or certainly not; not known where something in it does not compare.
fn among(one: &Plain<'_>, set: &[Literal]) -> Option<bool> {
    let mut certain = true;
    for literal in set {
        match one.compare(&Plain::of(literal)) {
            Some(Ordering::Equal) => return Some(true),
            Some(_) => {}
            None => certain = false,
        }
    }
    certain.then_some(false)
}

/// A value that compares with others of its kind.
#[derive(Debug, PartialEq)]
enum Plain<'a> {
    Text(&'a str),
    Bool(bool),
    Number(Number<'a>),
}

/// A number by its decimal digits: exact, of any size.
#[derive(Debug, PartialEq)]
struct Number<'a> {
    negative: bool,
    /// Without zeros in front.
    whole: std::borrow::Cow<'a, str>,
    /// Without zeros at the end.
    fraction: &'a str,
}

impl<'a> Plain<'a> {
    fn of(literal: &'a Literal) -> Self {
        match literal {
            Literal::Text(text) => Self::Text(text),
            Literal::Bool(truth) => Self::Bool(*truth),
            Literal::Number(number) => Self::Number(Number::of_integer(i128::from(*number))),
        }
    }

    fn of_cell(value: Value<'a>, column: &Compared) -> Result<Option<Self>, Malformed> {
        Ok(match column.scalar {
            Scalar::Bool => Some(Self::Bool(value.varint()? != 0)),
            Scalar::Int32 | Scalar::Int64 => Some(Self::Number(Number::of_integer(unzigzag(value.varint()?).into()))),
            Scalar::UInt32 | Scalar::UInt64 => Some(Self::Number(Number::of_integer(value.varint()?.into()))),
            Scalar::String if column.is_padded => Some(Self::Text(value.text()?.trim_end_matches(' '))),
            Scalar::String => Some(Self::Text(value.text()?)),
            Scalar::Decimal => {
                let mut number = None;
                for field in Fields::of(value.bytes()?) {
                    let field = field?;
                    // NaN and infinities have another.
                    if field.number == 1 {
                        number = Number::of_text(field.value.text()?);
                    }
                }
                number.map(Self::Number)
            }
            _ => None,
        })
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => Some(one.cmp(other)),
            (Self::Bool(one), Self::Bool(other)) => Some(one.cmp(other)),
            (Self::Number(one), Self::Number(other)) => Some(one.compare(other)),
            // MySQL's truths are numbers.
            (Self::Bool(one), Self::Number(other)) => Some(Number::of_integer((*one).into()).compare(other)),
            (Self::Number(one), Self::Bool(other)) => Some(one.compare(&Number::of_integer((*other).into()))),
            _ => None,
        }
    }
}

impl<'a> Number<'a> {
    fn of_integer(number: i128) -> Self {
        let whole = if number == 0 { String::new() } else { number.unsigned_abs().to_string() };
        Self { negative: number < 0, whole: whole.into(), fraction: "" }
    }

    fn of_text(text: &'a str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if digits.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let negative = negative && !(whole.is_empty() && fraction.is_empty());
        Some(Self { negative, whole: whole.into(), fraction })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let size = |one: &Self, other: &Self| {
            let whole = one.whole.len().cmp(&other.whole.len()).then_with(|| one.whole.cmp(&other.whole));
            whole.then_with(|| one.fraction.cmp(other.fraction))
        };
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => size(self, other),
            (true, true) => size(other, self),
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_does_not_compare_is_neither_true_nor_false() {
        let one = Plain::Text("1");
        assert_eq!(one.compare(&Plain::of(&Literal::Number(1))), None);
        assert_eq!(among(&one, &[Literal::Number(1), Literal::Text("2".into())]), None);
        assert_eq!(among(&one, &[Literal::Text("2".into())]), Some(false));
        assert_eq!(among(&one, &[]), Some(false));
        assert_eq!(Number::of_text("NaN"), None);
        assert_eq!(Number::of_text("-0.00"), Number::of_text("0"));
    }

    proptest! {
        #[test]
        fn decimals_sort_by_their_value(one in -1_000_000_i64..1_000_000, other in -1_000_000_i64..1_000_000, zeros in 0_usize..4) {
            let text = |number: i64| {
                let sign = if number < 0 { "-" } else { "" };
                format!("{sign}{}.{:03}{}", number.unsigned_abs() / 1_000, number.unsigned_abs() % 1_000, "0".repeat(zeros))
            };
            let (text_one, text_other) = (text(one), text(other));
            let numbers = (Number::of_text(&text_one).expect("a number"), Number::of_text(&text_other).expect("a number"));
            prop_assert_eq!(numbers.0.compare(&numbers.1), one.cmp(&other));
            prop_assert_eq!(numbers.0.compare(&Number::of_integer((other / 1_000).into())), one.cmp(&(other / 1_000 * 1_000)));
        }
    }
}
