//! What to do about a fault: the one table.
//!
//! Unknown means retry with backoff and be loud; nothing here ever means skip.

use super::fault::{Fault, ServerError, chain};
use crate::model::code::{self, Code};
use crate::model::problem::Problem;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass by itself.
    Retry(Problem),
    /// A person has to act, and may at any time: try seldom, complain once.
    RetrySeldom(Problem),
    /// Trying again would not help or would lie. Stays until a restart.
    Halt(Problem),
}

impl Verdict {
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Retry(problem) | Self::RetrySeldom(problem) | Self::Halt(problem) => problem,
        }
    }
}

/// Whether a retried problem will hardly pass without somebody's help.
pub fn needs_a_person(code: Code) -> bool {
    [code::AUTHENTICATION_FAILED, code::DATABASE_MISSING, code::TLS_FAILED].contains(&code)
}

pub fn judge(fault: &Fault) -> Verdict {
    let problem = |code| Problem::new(code, chain(fault));
    match fault {
        Fault::Halt(problem) | Fault::Table(_, problem) => Verdict::Halt(problem.clone()),
        Fault::Retry(problem) if needs_a_person(problem.code) => Verdict::RetrySeldom(problem.clone()),
        Fault::Retry(problem) => Verdict::Retry(problem.clone()),
        Fault::Connect { .. } | Fault::Io(_) | Fault::Closed | Fault::Silent(_) => {
            Verdict::Retry(problem(code::SERVER_UNREACHABLE))
        }
        Fault::Tls { .. } => Verdict::RetrySeldom(problem(code::TLS_FAILED)),
        Fault::Protocol(_) | Fault::Message(_) => Verdict::Halt(problem(code::STREAM_MALFORMED)),
        Fault::Cell(_) => Verdict::Halt(problem(code::CELL_UNREADABLE)),
        Fault::Journal(_) => Verdict::Halt(problem(code::JOURNAL_STOPPED)),
        Fault::Server(error) => judge_server(error, problem),
    }
}

fn judge_server(error: &ServerError, problem: impl Fn(Code) -> Problem) -> Verdict {
    // Sent as an internal error by some versions (walsender.c, xlogreader.c), as a missing file by others.
    if error.message.contains("has already been removed") {
        return Verdict::Halt(problem(code::LOG_REMOVED));
    }
    match error.sqlstate.as_str() {
        "28P01" | "28000" => Verdict::RetrySeldom(problem(code::AUTHENTICATION_FAILED)),
        "3D000" => Verdict::RetrySeldom(problem(code::DATABASE_MISSING)),
        "42501" => Verdict::Halt(problem(code::PERMISSION_MISSING)),
        "55006" => Verdict::Retry(problem(code::SLOT_IN_USE)),
        "58P01" => Verdict::Halt(problem(code::LOG_REMOVED)),
        "42704" if error.message.contains("publication") => Verdict::Halt(problem(code::PUBLICATION_MISSING)),
        "42704" if error.message.contains("replication slot") => Verdict::Halt(problem(code::SLOT_MISSING)),
        // Operator intervention and resources; 57014 is a cancelled query.
        state if state.starts_with("57") || state.starts_with("53") => {
            Verdict::Retry(problem(code::SERVER_UNAVAILABLE))
        }
        state if state.starts_with("08") => Verdict::Retry(problem(code::SERVER_UNREACHABLE)),
        _ => Verdict::Retry(problem(code::FAULT_UNKNOWN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::time::Duration;

    fn server(sqlstate: &str, message: &str) -> Fault {
        Fault::Server(ServerError {
            sqlstate: sqlstate.to_owned(),
            message: message.to_owned(),
            ..ServerError::default()
        })
    }

    #[test]
    fn what_passes_by_itself_is_retried_and_what_would_lie_halts() {
        #[derive(Debug, PartialEq)]
        enum Kind {
            Retry,
            Seldom,
            Halt,
        }
        use Kind::{Halt, Retry, Seldom};
        for (fault, kind, code) in [
            (server("55006", "replication slot is active for PID 7"), Retry, code::SLOT_IN_USE),
            (server("57P01", "terminating connection"), Retry, code::SERVER_UNAVAILABLE),
            (server("57P03", "starting up"), Retry, code::SERVER_UNAVAILABLE),
            (server("53300", "too many clients"), Retry, code::SERVER_UNAVAILABLE),
            (server("08006", "connection failure"), Retry, code::SERVER_UNREACHABLE),
            (server("XX000", "something new"), Retry, code::FAULT_UNKNOWN),
            (server("", ""), Retry, code::FAULT_UNKNOWN),
            (server("28P01", "password authentication failed"), Seldom, code::AUTHENTICATION_FAILED),
            (server("3D000", "no database"), Seldom, code::DATABASE_MISSING),
            (server("42501", "must be owner"), Halt, code::PERMISSION_MISSING),
            (server("42704", "publication \"p\" does not exist"), Halt, code::PUBLICATION_MISSING),
            (server("42704", "replication slot \"s\" does not exist"), Halt, code::SLOT_MISSING),
            (server("42704", "type \"t\" does not exist"), Retry, code::FAULT_UNKNOWN),
            (server("XX000", "requested WAL segment 0001 has already been removed"), Halt, code::LOG_REMOVED),
            (server("58P01", "could not open file"), Halt, code::LOG_REMOVED),
            (Fault::Closed, Retry, code::SERVER_UNREACHABLE),
            (Fault::Io(io::ErrorKind::ConnectionReset.into()), Retry, code::SERVER_UNREACHABLE),
            (Fault::Silent(Duration::from_secs(30)), Retry, code::SERVER_UNREACHABLE),
            (Fault::Protocol("nonsense"), Halt, code::STREAM_MALFORMED),
        ] {
            let (found, problem) = match judge(&fault) {
                Verdict::Retry(problem) => (Retry, problem),
                Verdict::RetrySeldom(problem) => (Seldom, problem),
                Verdict::Halt(problem) => (Halt, problem),
            };
            assert_eq!((found, problem.code), (kind, code), "{fault}");
        }
    }
}
