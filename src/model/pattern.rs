//! Patterns over dotted names, `*` matching any run of characters: `public.*`, `crm.creme.persons_*`, `*`.

use std::fmt;

/// One pattern over a full name such as `system.schema.table`. A `*` crosses dots; nothing else is special.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pattern(String);

impl Pattern {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` fits. Linear in `name` for each star: no pattern can make it slow.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(head) = parts.next() else { return false };
        let Some(mut rest) = name.strip_prefix(head) else { return false };
        let mut pending: Option<&str> = None;
        for part in parts {
            if let Some(middle) = pending.replace(part) {
                let Some(at) = rest.find(middle) else { return false };
                rest = &rest[at + middle.len()..];
            }
        }
        pending.map_or(rest.is_empty(), |tail| rest.ends_with(tail))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is chosen: at least one `include` matches and no `exclude` does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub include: Vec<Pattern>,
    pub exclude: Vec<Pattern>,
}

impl Selection {
    /// Whether it names one thing, and nothing else by a `*`.
    pub fn means_one(&self) -> bool {
        matches!(&self.include[..], [one] if !one.as_str().contains('*'))
    }

    pub fn matches(&self, name: &str) -> bool {
        self.include.iter().any(|p| p.matches(name)) && !self.exclude.iter().any(|p| p.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_run_and_everything_else_only_itself() {
        for (pattern, name, fits) in [
            ("*", "a.b", true),
            ("public.*", "public.orders", true),
            ("public.*", "publicx.orders", false),
            ("*.orders", "public.orders", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("public.order?", "public.orders", false),
            ("public.orders", "public.orders", true),
            ("public.orders", "public.orders2", false),
            ("*a*", "bab", true),
            ("", "", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), fits, "{pattern} against {name}");
        }
    }
}
