//! Everything that is wrong with a configuration, gathered so that a person sees all of it at once.

use super::raw::Place;
use crate::model::code::Code;
use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake: where, which kind, and what was found and meant. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub place: Option<Place>,
    pub code: Code,
    pub message: String,
}

/// Why a configuration was refused. Prints one line a mistake, in the order of the file: `file:line:column: code: message`.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    pub path: PathBuf,
    pub mistakes: Vec<Mistake>,
}

impl Error {
    pub(super) fn of_file(path: &Path, code: Code, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), mistakes: vec![Mistake { place: None, code, message: message.into() }] }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.path.display())?;
            if let Some(place) = mistake.place {
                write!(f, "{place}:")?;
            }
            write!(f, " {}: {}", mistake.code, mistake.message)?;
        }
        Ok(())
    }
}

/// Where the checks put what they find.
#[derive(Default)]
pub(super) struct Report {
    mistakes: Vec<Mistake>,
}

impl Report {
    pub fn add(&mut self, place: Place, code: Code, message: impl Into<String>) {
        self.mistakes.push(Mistake { place: Some(place), code, message: message.into() });
    }

    /// `checked` if nothing was found.
    pub fn conclude<T>(mut self, path: &Path, checked: Option<T>) -> Result<T, Error> {
        match checked {
            Some(checked) if self.mistakes.is_empty() => Ok(checked),
            _ => {
                self.mistakes.sort_by_key(|mistake| mistake.place);
                Err(Error { path: path.to_owned(), mistakes: self.mistakes })
            }
        }
    }
}

/// ", did you mean `…`?" when one of `known` is near enough to `found`, else what there is to choose from.
pub(super) fn did_you_mean(found: &str, known: &[&str]) -> String {
    match nearest(found, known) {
        Some(candidate) => format!(", did you mean `{candidate}`?"),
        None if known.is_empty() => String::new(),
        None => format!(" (known: {})", known.join(", ")),
    }
}

/// What was probably meant by `found`.
pub(super) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    const SIMILAR: f64 = 0.6;
    let candidates =
        known.iter().map(|candidate| (strsim::normalized_damerau_levenshtein(found, candidate), *candidate));
    let near = candidates.filter(|(similarity, _)| *similarity >= SIMILAR);
    near.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, candidate)| candidate)
}
