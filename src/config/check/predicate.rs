//! From the text of a row predicate to what it means: `row.territory in subject.territories and not row.closed`.
//!
//! ```text
//! any     = all { "or" all }            all  = one { "and" one }
//! one     = "not" one | "(" any ")" | value ( == != < <= > >= ) value | value [ "not" ] "in" set | row.NAME
//! value   = row.NAME | subject.NAME | 'text' | 123 | true | false
//! set     = subject.NAME | "[" literal { "," literal } "]"
//! ```

use crate::config::predicate::{Comparison, Literal, Operand, Predicate, Set};

/// No predicate that a person wrote nests deeper.
const DEPTH_MAX: usize = 32;
const TEXT_BYTES_MAX: usize = 4_096;

/// # Errors
/// What is wrong, for a person.
pub(super) fn parse(text: &str) -> Result<Predicate, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("it is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, depth: 0 };
    let predicate = parser.any()?;
    match parser.tokens.first() {
        None => Ok(predicate),
        Some(token) => Err(format!("nothing was expected before {}", token.shown())),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// With its dots.
    Word(String),
    Text(String),
    Number(i64),
    Sign(&'static str),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Text(text) => format!("'{text}'"),
            Self::Number(number) => number.to_string(),
            Self::Sign(sign) => format!("`{sign}`"),
        }
    }
}

/// The longer ones first.
const SIGNS: [&str; 12] = ["==", "!=", "<>", "<=", ">=", "<", ">", "=", "(", ")", "[", "]"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = if let Some(sign) = SIGNS.iter().chain(&[","]).find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            sign.len()
        } else if first == '\'' || first == '"' {
            let inner = &rest[1..];
            let end = inner.find(first).ok_or_else(|| "a text does not end".to_owned())?;
            tokens.push(Token::Text(inner[..end].to_owned()));
            end + 2
        } else if first.is_ascii_digit() || first == '-' {
            let end = rest[1..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |at| at + 1);
            let number = rest[..end].parse().map_err(|_| format!("{} is no whole number", &rest[..end]))?;
            tokens.push(Token::Number(number));
            end
        } else if first.is_alphabetic() || first == '_' {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        } else {
            return Err(format!("`{first}` has no meaning here"));
        };
        rest = rest[taken..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Predicate, String> {
        let mut predicate = self.all()?;
        while self.pass_word("or") {
            predicate = Predicate::Or(Box::new(predicate), Box::new(self.all()?));
        }
        Ok(predicate)
    }

    fn all(&mut self) -> Result<Predicate, String> {
        let mut predicate = self.one()?;
        while self.pass_word("and") {
            predicate = Predicate::And(Box::new(predicate), Box::new(self.one()?));
        }
        Ok(predicate)
    }

    fn one(&mut self) -> Result<Predicate, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("it nests deeper than {DEPTH_MAX}"));
        }
        let one = self.one_at_depth();
        self.depth -= 1;
        one
    }

    fn one_at_depth(&mut self) -> Result<Predicate, String> {
        if self.pass_word("not") {
            return Ok(Predicate::Not(Box::new(self.one()?)));
        }
        if self.pass_sign("(") {
            let inner = self.any()?;
            return if self.pass_sign(")") { Ok(inner) } else { Err(self.expected("`)`")) };
        }
        let value = self.value()?;
        if self.pass_word("in") {
            return Ok(Predicate::In(value, self.set()?));
        }
        if let [Token::Word(not), Token::Word(within), ..] = self.tokens
            && not == "not"
            && within == "in"
        {
            self.tokens = &self.tokens[2..];
            return Ok(Predicate::Not(Box::new(Predicate::In(value, self.set()?))));
        }
        if let Some(comparison) = self.comparison() {
            return Ok(Predicate::Compare(value, comparison, self.value()?));
        }
        match value {
            // A truth of its own.
            Operand::Row(_) => Ok(Predicate::Compare(value, Comparison::Equal, Operand::Literal(Literal::Bool(true)))),
            _ => Err(self.expected("a comparison or `in`")),
        }
    }

    fn value(&mut self) -> Result<Operand, String> {
        if let Some(Token::Word(word)) = self.tokens.first() {
            let operand = match word.split_once('.') {
                Some(("row", name)) if is_name(name) => Some(Operand::Row(name.to_owned())),
                Some(("subject", name)) if is_name(name) => Some(Operand::Subject(name.to_owned())),
                _ => None,
            };
            if let Some(operand) = operand {
                self.tokens = &self.tokens[1..];
                return Ok(operand);
            }
        }
        self.literal().map(Operand::Literal).map_err(|_| self.expected("row.NAME, subject.NAME or a value"))
    }

    fn literal(&mut self) -> Result<Literal, String> {
        let literal = match self.tokens.first() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Number(number)) => Literal::Number(*number),
            Some(Token::Word(word)) if word == "true" || word == "false" => Literal::Bool(word == "true"),
            _ => return Err(self.expected("a value")),
        };
        self.tokens = &self.tokens[1..];
        Ok(literal)
    }

    fn set(&mut self) -> Result<Set, String> {
        if let Some(Token::Word(word)) = self.tokens.first()
            && let Some(("subject", name)) = word.split_once('.')
            && is_name(name)
        {
            self.tokens = &self.tokens[1..];
            return Ok(Set::Subject(name.to_owned()));
        }
        if !self.pass_sign("[") {
            return Err(self.expected("subject.NAME or a list in brackets"));
        }
        let mut literals = Vec::new();
        loop {
            literals.push(self.literal()?);
            if self.pass_sign("]") {
                return Ok(Set::Literals(literals));
            }
            if !self.pass_sign(",") {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let comparison = match self.tokens.first()? {
            Token::Sign("==" | "=") => Comparison::Equal,
            Token::Sign("!=" | "<>") => Comparison::NotEqual,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::LessOrEqual,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::GreaterOrEqual,
            _ => return None,
        };
        self.tokens = &self.tokens[1..];
        Some(comparison)
    }

    fn pass_word(&mut self, word: &str) -> bool {
        self.pass(|token| matches!(token, Token::Word(found) if found == word))
    }

    fn pass_sign(&mut self, sign: &str) -> bool {
        self.pass(|token| matches!(token, Token::Sign(found) if *found == sign))
    }

    fn pass(&mut self, is_it: impl Fn(&Token) -> bool) -> bool {
        let passes = self.tokens.first().is_some_and(is_it);
        if passes {
            self.tokens = &self.tokens[1..];
        }
        passes
    }

    fn expected(&self, what: &str) -> String {
        match self.tokens.first() {
            Some(token) => format!("{what} was expected, not {}", token.shown()),
            None => format!("{what} was expected at its end"),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn and_binds_closer_than_or_and_not_closer_than_both() {
        let parsed = parse("row.a == 1 or not row.b and row.c in ['x', 'y']").expect("it reads");
        let Predicate::Or(_, right) = parsed else { panic!("or") };
        let Predicate::And(negated, within) = *right else { panic!("and") };
        assert!(matches!(*negated, Predicate::Not(_)));
        let Predicate::In(Operand::Row(name), Set::Literals(literals)) = *within else { panic!("in") };
        assert_eq!((name.as_str(), literals.len()), ("c", 2));
        let parsed = parse("(row.a <> 'it''s' or subject.level >= -3)").map_err(|why| why.clone());
        assert!(parsed.is_err(), "two texts side by side");
        let parsed = parse("row.territory not in subject.territories").expect("it reads");
        assert_eq!(parsed.attributes().into_iter().collect::<Vec<_>>(), ["territories"]);
        assert_eq!(parsed.columns().into_iter().collect::<Vec<_>>(), ["territory"]);
    }

    #[test]
    fn what_does_not_read_is_told() {
        for (text, why) in [
            ("", "row.NAME, subject.NAME or a value was expected at its end"),
            ("row.a =", "row.NAME, subject.NAME or a value was expected at its end"),
            ("row.a == 1 row.b", "nothing was expected before `row.b`"),
            ("territory == 1", "row.NAME, subject.NAME or a value was expected, not `territory`"),
            ("row.a in []", "a value was expected, not `]`"),
            ("row.a == 'x", "a text does not end"),
            ("row.a == 99999999999999999999", "99999999999999999999 is no whole number"),
            ("row.a & row.b", "`&` has no meaning here"),
            ("'a'", "a comparison or `in` was expected at its end"),
        ] {
            assert_eq!(parse(text), Err(why.to_owned()), "{text}");
        }
        assert!(parse(&"not ".repeat(100)).is_err_and(|why| why.contains("deeper")));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z.' \"()\\[\\],<>=!0-9ä-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
