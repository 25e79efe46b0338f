//! The names of systems and tables.

use std::fmt;
use std::sync::Arc;

/// A configured system: `[a-z][a-z0-9_]*`, at most 32 characters. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SystemName(Arc<str>);

/// Names that would meet a protobuf package of our own (`tailwater.v1`), or that stand for Tailwater itself.
const RESERVED: [&str; 4] = ["v1", "types", "entity", TAILWATER];
const TAILWATER: &str = "tailwater";

const SYSTEM_NAME_CHARS_MAX: usize = 32;

impl SystemName {
    /// # Errors
    /// What is wrong with the name, as the end of a sentence that starts with it.
    pub fn new(name: &str) -> Result<Self, &'static str> {
        let mut chars = name.chars();
        if !chars.next().is_some_and(|c| c.is_ascii_lowercase())
            || !chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            return Err("must be lower-case letters, digits and underscores, starting with a letter");
        }
        if name.len() > SYSTEM_NAME_CHARS_MAX {
            return Err("must be at most 32 characters");
        }
        if RESERVED.contains(&name) {
            return Err("is reserved (v1, types, entity, tailwater)");
        }
        Ok(Self(name.into()))
    }

    /// Tailwater itself, whose tables are the governed entities. No configured system has this name.
    pub fn tailwater() -> Self {
        Self(TAILWATER.into())
    }

    pub fn is_tailwater(&self) -> bool {
        &*self.0 == TAILWATER
    }

    /// A name that we wrote down ourselves.
    ///
    /// # Errors
    /// As [`SystemName::new`].
    pub fn recorded(name: &str) -> Result<Self, &'static str> {
        if name == TAILWATER { Ok(Self::tailwater()) } else { Self::new(name) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SystemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SystemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table inside one system, by the database's own names; for MySQL and MariaDB the schema is the database.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TableName {
    pub schema: Arc<str>,
    pub table: Arc<str>,
}

impl TableName {
    pub fn new(schema: &str, table: &str) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }
}

impl fmt::Display for TableName {
    /// `schema.table`. A part that itself holds a dot or a quote stands in double quotes, so that patterns, and with them
    /// entitlements, never take one table for another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_part(f, &self.schema)?;
        f.write_str(".")?;
        write_part(f, &self.table)
    }
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &str) -> fmt::Result {
    if part.contains(['.', '"']) { write!(f, "\"{}\"", part.replace('"', "\"\"")) } else { f.write_str(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tables_read_the_same() {
        assert_eq!(TableName::new("public", "Order Lines").to_string(), "public.Order Lines");
        assert_eq!(TableName::new("a", "b.c").to_string(), "a.\"b.c\"");
        assert_eq!(TableName::new("a.b", "c").to_string(), "\"a.b\".c");
        assert_eq!(TableName::new("a", "\"b").to_string(), "a.\"\"\"b\"");
    }

    #[test]
    fn a_system_name_is_a_protobuf_package_part_and_not_one_of_ours() {
        assert!(SystemName::new("crm_2").is_ok());
        for bad in ["", "CRM", "2crm", "crm-eu", "v1", "types", "tailwater", &"a".repeat(33)] {
            assert!(SystemName::new(bad).is_err(), "{bad:?} must be refused");
        }
    }
}
