//! Everything that is wrong with a configuration, gathered so that a person sees all of it at once.

use super::raw::Place;
use crate::model::code::Code;
use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake: where, which kind, and what was found and meant. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `None`: the configuration itself; else a contract that it names.
    pub file: Option<PathBuf>,
    pub place: Option<Place>,
    pub code: Code,
    pub message: String,
}

/// Why a configuration was refused. Prints one line a mistake, file by file and in their order: `file:line:column: code: message`.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    pub path: PathBuf,
    pub mistakes: Vec<Mistake>,
}

impl Error {
    pub(super) fn of_file(path: &Path, code: Code, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            mistakes: vec![Mistake { file: None, place: None, code, message: message.into() }],
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", mistake.file.as_ref().unwrap_or(&self.path).display())?;
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
    /// The contract under examination.
    file: Option<PathBuf>,
}

impl Report {
    pub fn add(&mut self, place: Place, code: Code, message: impl Into<String>) {
        self.mistakes.push(Mistake { file: self.file.clone(), place: Some(place), code, message: message.into() });
    }

    /// What `check` finds is in another file, which the configuration names.
    pub fn within<T>(&mut self, file: &Path, check: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.file.replace(file.to_owned());
        let checked = check(self);
        self.file = outer;
        checked
    }

    /// `checked` if nothing was found.
    pub fn conclude<T>(mut self, path: &Path, checked: Option<T>) -> Result<T, Error> {
        match checked {
            Some(checked) if self.mistakes.is_empty() => Ok(checked),
            _ => {
                self.mistakes.sort_by(|one, other| (&one.file, one.place).cmp(&(&other.file, other.place)));
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
