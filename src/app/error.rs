//! Why the process does not start, or ends by itself.

use crate::deliver::grpc;
use crate::journal;
use crate::model::code::Code;
use crate::model::problem::Problem;

/// Each ends the process; what was durable stays so, and a later start goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something about this machine or its configuration must be mended first.
    #[error("{0}")]
    Refused(Problem),
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Grpc(#[from] grpc::Error),
    /// A task that runs as long as the process ended before it was asked to.
    #[error("{0}")]
    Stopped(Problem),
}

impl Error {
    pub(super) fn refused(code: Code, message: impl Into<String>) -> Self {
        Self::Refused(Problem::new(code, message))
    }

    /// What a person is told.
    pub fn problem(&self) -> &Problem {
        match self {
            Self::Refused(problem) | Self::Stopped(problem) => problem,
            Self::Grpc(error) => error.problem(),
            Self::Journal(journal::Error::Refused(problem) | journal::Error::Stopped(problem)) => problem,
        }
    }
}
