//! What the file says: YAML as a tree in which every key and value knows its place.
//!
//! Knows nothing of options. Surprise: it is a tree and not one struct a section, because a derived struct stops at its
//! first mistake, and a person mending a file wants all of them.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};
use std::fmt;

/// No configuration nests deeper; a file that does is an accident or an attack.
const DEPTH_MAX: usize = 32;
/// YAML nodes in one file.
const NODES_MAX: usize = 100_000;

/// Where something stands, both counted from 1. Columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

impl Place {
    pub const START: Self = Self { line: 1, column: 1 };

    fn of(location: &serde_saphyr::Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; a key may occur twice.
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Key {
    pub place: Place,
    pub text: String,
}

/// The text is not YAML, or more of it than a configuration can need.
#[derive(Debug, PartialEq)]
pub struct Syntax {
    pub place: Place,
    pub message: String,
}

/// # Errors
/// [`Syntax`]; the first one only, since nothing after it can be trusted.
pub fn parse(text: &str) -> Result<Node, Syntax> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_nodes: NODES_MAX, max_documents: 1 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let parsed: Option<Node> = serde_saphyr::from_str_with_options(text, options).map_err(|error| syntax(&error))?;
    Ok(parsed.unwrap_or(Node { place: Place::START, value: Value::Null }))
}

fn syntax(error: &serde_saphyr::Error) -> Syntax {
    let place = error.location().map_or(Place::START, |location| Place::of(&location));
    // The parser ends its messages with the place, which stands in front here.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().lines().next().unwrap_or_default();
    Syntax { place, message: message.to_owned() }
}

impl Value {
    /// What to call it in "found …".
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a section",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { place: Place::of(&spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        i128::try_from(value).map(Value::Integer).map_err(|_| E::custom("number out of range"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Node>()? {
            map.push((key_of(key)?, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}

fn key_of<E: serde::de::Error>(node: Node) -> Result<Key, E> {
    let text = match node.value {
        Value::Text(text) => text,
        Value::Integer(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        other => return Err(E::custom(format_args!("a key must be text, found {}", other.kind()))),
    };
    Ok(Key { place: node.place, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_and_values_know_their_places() {
        let Value::Map(entries) = parse("a: 1\nb:\n  - x\n  - [y]\n").unwrap().value else { panic!("a map") };
        assert_eq!(entries[0].0.place, Place { line: 1, column: 1 });
        assert_eq!(entries[0].1.place, Place { line: 1, column: 4 });
        let Value::List(items) = &entries[1].1.value else { panic!("a list") };
        assert_eq!(items[1].place, Place { line: 4, column: 5 });
    }

    #[test]
    fn a_key_given_twice_is_kept_twice() {
        let Value::Map(entries) = parse("a: 1\na: 2\n").unwrap().value else { panic!("a map") };
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn an_empty_file_is_nothing() {
        assert_eq!(parse("# only a comment\n").unwrap().value, Value::Null);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[-a-c:\\[\\]{}&*!|>'\"#%@,?~ \n\t0-9.]{0,80}") {
            let _ = parse(&text);
        }
    }
}
