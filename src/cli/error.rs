//! What went wrong with a command, and the exit code that says so to scripts.

use crate::app;
use crate::config;
use crate::model::code::{self, Code};
use crate::model::problem::Problem;
use std::io;
use std::process::ExitCode;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Fine = 0,
    /// The command did its work and has something bad to tell, or failed at it.
    Problem = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Nobody answers.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every mistake in the configuration, one a line.
    #[error("{0}")]
    Config(#[from] config::Error),
    /// An option that cannot be.
    #[error("{0}")]
    Usage(Problem),
    #[error("{0}")]
    Unreachable(Problem),
    #[error("{0}")]
    Failed(Problem),
    #[error(transparent)]
    App(#[from] app::Error),
    /// Standard output.
    #[error("{code}: {0}", code = code::CLI_OUTPUT)]
    Output(#[from] io::Error),
}

impl Error {
    pub(super) fn usage(code: Code, message: impl Into<String>) -> Self {
        Self::Usage(Problem::new(code, message))
    }

    pub(super) fn failed(code: Code, message: impl Into<String>) -> Self {
        Self::Failed(Problem::new(code, message))
    }

    pub(super) fn unreachable(code: Code, message: impl Into<String>) -> Self {
        Self::Unreachable(Problem::new(code, message))
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Unreachable,
            // The reader of a pipe has seen enough: `tailwater subscribe … | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Fine,
            Self::Failed(_) | Self::App(_) | Self::Output(_) => Exit::Problem,
        }
    }

    /// What the person is to do, in one paragraph. `None` for what needs no word.
    pub fn next(&self) -> Option<&'static str> {
        let code = match self {
            Self::Config(error) => error.mistakes.first()?.code,
            Self::Usage(problem) | Self::Unreachable(problem) | Self::Failed(problem) => problem.code,
            Self::App(error) => error.problem().code,
            Self::Output(_) => code::CLI_OUTPUT,
        };
        Some(code.entry().next)
    }
}
