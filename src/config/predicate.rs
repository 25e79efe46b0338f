//! Row predicates: which rows a role may see. Three-valued: what compares with null, or with what is not known, is neither true
//! nor false, and a row of which it is not certain that it may be seen is not seen.

use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    Compare(Operand, Comparison, Operand),
    In(Operand, Set),
    Not(Box<Predicate>),
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// `row.<name>`: a column of a table, or of an entity.
    Row(String),
    /// `subject.<name>`: an attribute.
    Subject(String),
    Literal(Literal),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    Subject(String),
    Literals(Vec<Literal>),
}

/// A value in a predicate, or an attribute of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    Text(String),
    Number(i64),
    Bool(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Predicate {
    /// The columns that it looks at.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.operands(&mut |operand| {
            if let Operand::Row(name) = operand {
                names.insert(name.as_str());
            }
        });
        names
    }

    /// The attributes that a subject needs for it.
    pub fn attributes(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.operands(&mut |operand| {
            if let Operand::Subject(name) = operand {
                names.insert(name.as_str());
            }
        });
        self.sets(&mut |set| {
            if let Set::Subject(name) = set {
                names.insert(name.as_str());
            }
        });
        names
    }

    fn operands<'a>(&'a self, visit: &mut dyn FnMut(&'a Operand)) {
        match self {
            Self::Compare(one, _, other) => [one, other].into_iter().for_each(visit),
            Self::In(one, _) => visit(one),
            Self::Not(inner) => inner.operands(visit),
            Self::And(one, other) | Self::Or(one, other) => {
                one.operands(visit);
                other.operands(visit);
            }
        }
    }

    fn sets<'a>(&'a self, visit: &mut dyn FnMut(&'a Set)) {
        match self {
            Self::Compare(..) => {}
            Self::In(_, set) => visit(set),
            Self::Not(inner) => inner.sets(visit),
            Self::And(one, other) | Self::Or(one, other) => {
                one.sets(visit);
                other.sets(visit);
            }
        }
    }
}
