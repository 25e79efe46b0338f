//! The codes of everything that can go wrong in front of a person, with what `tailwater explain` says of each.
//!
//! Codes are append-only: a code's meaning never changes and a retired code is never given again. One file an area.

mod cli;
mod config;
mod deliver;
mod govern;
mod journal;
mod mysql;
mod source;
mod target;

pub use cli::*;
pub use config::*;
pub use deliver::*;
pub use govern::*;
pub use journal::*;
pub use mysql::*;
pub use source::*;
pub use target::*;

use std::fmt;

/// One code and its explanation. Compare by the code alone.
#[derive(Clone, Copy)]
pub struct Code(&'static Entry);

/// What `tailwater explain` prints.
pub struct Entry {
    /// `TW-<AREA>-<nnn>`.
    pub code: &'static str,
    /// One line: what happened.
    pub what: &'static str,
    /// Why it happens and why we stop instead of going on.
    pub why: &'static str,
    /// Where to look.
    pub evidence: &'static str,
    /// What to do, as commands where there are some.
    pub next: &'static str,
}

impl Code {
    pub const fn new(entry: &'static Entry) -> Self {
        Self(entry)
    }

    pub fn as_str(self) -> &'static str {
        self.0.code
    }

    pub fn entry(self) -> &'static Entry {
        self.0
    }

    /// The code a person typed, in any case.
    pub fn find(text: &str) -> Option<Self> {
        Self::all().find(|code| code.as_str().eq_ignore_ascii_case(text.trim()))
    }

    pub fn all() -> impl Iterator<Item = Self> {
        [cli::ALL, config::ALL, deliver::ALL, govern::ALL, journal::ALL, mysql::ALL, source::ALL, target::ALL]
            .into_iter()
            .flatten()
            .copied()
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.0.code == other.0.code
    }
}

impl Eq for Code {}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code)
    }
}

/// Declares an area's codes and its `ALL`.
macro_rules! codes {
    ($($name:ident = $code:literal { what: $what:literal, why: $why:literal, evidence: $evidence:literal, next: $next:literal $(,)? })*) => {
        $(
            #[doc = concat!($code, ": ", $what)]
            pub const $name: $crate::model::code::Code = $crate::model::code::Code::new(&$crate::model::code::Entry {
                code: $code, what: $what, why: $why, evidence: $evidence, next: $next,
            });
        )*
        pub(super) const ALL: &[$crate::model::code::Code] = &[$($name),*];
    };
}
use codes;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_is_unique_well_formed_and_says_what_comes_next() {
        let mut seen = HashSet::new();
        for code in Code::all() {
            assert!(seen.insert(code.as_str()), "{code} is given twice");
            let parts: Vec<_> = code.as_str().split('-').collect();
            assert!(matches!(parts[..], ["TW", area, number] if area.len() == 3 && number.len() == 3), "{code}");
            let entry = code.entry();
            for text in [entry.what, entry.why, entry.evidence, entry.next] {
                assert!(text.len() > 10, "{code} leaves something unsaid");
            }
        }
    }

    #[test]
    fn a_code_is_found_however_it_was_typed() {
        let first = Code::all().next().expect("there are codes");
        assert_eq!(Code::find(&format!(" {} ", first.as_str().to_lowercase())), Some(first));
        assert_eq!(Code::find("TW-NOT-999"), None);
    }
}
