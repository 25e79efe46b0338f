//! What to do about a fault: the one table.
//!
//! Unknown means retry with backoff and be loud; nothing here ever means skip. Surprise: 1236 is what the server calls
//! everything that ends a dump, from purged files to a second reader with our number, so its words have to decide.

use super::fault::{Fault, chain};
use crate::decode::mysql::event::Cannot;
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
    [code::AUTHENTICATION_FAILED, code::TLS_FAILED, code::AUTHENTICATION_UNSAFE].contains(&code)
}

pub fn judge(fault: &Fault) -> Verdict {
    let problem = |code| Problem::new(code, chain(fault));
    match fault {
        Fault::Halt(problem) | Fault::Table(_, problem) => Verdict::Halt(problem.clone()),
        Fault::Retry(problem) => Verdict::Retry(problem.clone()),
        Fault::Connect { source, .. } => match judge(source) {
            Verdict::Retry(inner) => Verdict::Retry(problem(inner.code)),
            Verdict::RetrySeldom(inner) => Verdict::RetrySeldom(problem(inner.code)),
            Verdict::Halt(inner) => Verdict::Halt(problem(inner.code)),
        },
        Fault::Io(_) | Fault::Closed | Fault::Silent(_) => Verdict::Retry(problem(code::SERVER_UNREACHABLE)),
        Fault::Tls(_) => Verdict::RetrySeldom(problem(code::TLS_FAILED)),
        Fault::Login(_) => Verdict::RetrySeldom(problem(code::AUTHENTICATION_UNSAFE)),
        Fault::Protocol(_) | Fault::Event(_) => Verdict::Halt(problem(code::STREAM_MALFORMED)),
        Fault::Cell(_) => Verdict::Halt(problem(code::CELL_UNREADABLE)),
        Fault::Journal(_) => Verdict::Halt(problem(code::JOURNAL_STOPPED)),
        Fault::Server { errno, message } => judge_server(*errno, message, problem),
    }
}

/// What ends a dump.
pub const READING_LOG_FAILED: u16 = 1236;

/// Numbers: MySQL 9 share/messages_to_clients.txt, MariaDB 10.11 sql/share/errmsg-utf8.txt.
fn judge_server(errno: u16, message: &str, problem: impl Fn(Code) -> Problem) -> Verdict {
    match errno {
        READING_LOG_FAILED => judge_dump(message, problem),
        // Wrong password, no such user, an expired password, an unknown host.
        1045 | 1698 | 1862 | 1820 | 1130 | 3118 | 3955 => Verdict::RetrySeldom(problem(code::AUTHENTICATION_FAILED)),
        // Denied: a database, a command, a column, a privilege.
        1044 | 1142 | 1143 | 1227 | 1370 => Verdict::Halt(problem(code::PERMISSION_MISSING)),
        // Too many connections, shutting down, killed, out of memory, interrupted, lock waits, read-only.
        1040 | 1203 | 1226 | 1053 | 1077 | 1079 | 1317 | 3169 | 1927 | 1037 | 1038 | 1041 | 1205 | 1213 | 1290 => {
            Verdict::Retry(problem(code::SERVER_UNAVAILABLE))
        }
        // The network's, seen by the server.
        1043 | 1152..=1161 | 1184 => Verdict::Retry(problem(code::SERVER_UNREACHABLE)),
        _ => Verdict::Retry(problem(code::FAULT_UNKNOWN)),
    }
}

/// Texts of sql/rpl_binlog_sender.cc and, of MariaDB, sql/sql_repl.cc.
fn judge_dump(message: &str, problem: impl Fn(Code) -> Problem) -> Verdict {
    let says = |words: &[&str]| says(message, words);
    if is_taken_over(message) {
        return Verdict::Retry(problem(code::SERVER_ID_TAKEN));
    }
    if is_purged(message) {
        return Verdict::Halt(problem(code::LOG_PURGED));
    }
    // The replica has more than the source; MariaDB finds the id nowhere, or finds it to be of another history.
    if says(&["more GTIDs than", "is not in the master's binlog", "which is not in the", "diverged"]) {
        return Verdict::Halt(problem(code::HISTORY_BEHIND));
    }
    if says(&["log event entry exceeded", "bogus data", "corrupt", "checksum"]) {
        return Verdict::Halt(problem(code::STREAM_MALFORMED));
    }
    Verdict::Retry(problem(code::FAULT_UNKNOWN))
}

fn says(message: &str, words: &[&str]) -> bool {
    words.iter().any(|word| message.contains(word))
}

pub fn is_taken_over(message: &str) -> bool {
    says(message, &["server_uuid/server_id", "same server_id", "server_uuid/server-id"])
}

pub fn is_purged(message: &str) -> bool {
    says(message, &["purged", "Could not find first log file", "could not find next log", "Could not find GTID state"])
}

/// The code of what this version does not read.
pub fn code_of(cannot: Cannot) -> Code {
    match cannot {
        Cannot::Compressed => code::LOG_COMPRESSED,
        Cannot::PartialJson => code::PARTIAL_JSON,
        Cannot::Unknown(_) => code::EVENT_UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(errno: u16, message: &str) -> Verdict {
        judge(&Fault::Server { errno, message: message.to_owned() })
    }

    #[test]
    fn what_passes_by_itself_is_retried_and_what_would_lie_halts() {
        let purged = "Cannot replicate because the source purged required binary logs.";
        let taken = "A replica with the same server_uuid/server_id as this replica has connected to the source";
        let behind = "Slave has more GTIDs than the master has, using the master's SERVER_UUID.";
        let unknown = "Error: connecting slave requested to start from GTID 0-1-9, which is not in the master's binlog";
        for (verdict, code, halts) in [
            (server(1236, purged), code::LOG_PURGED, true),
            (server(1236, taken), code::SERVER_ID_TAKEN, false),
            (server(1236, behind), code::HISTORY_BEHIND, true),
            (server(1236, unknown), code::HISTORY_BEHIND, true),
            (server(1236, "something new"), code::FAULT_UNKNOWN, false),
            (server(1227, "Access denied; you need REPLICATION SLAVE"), code::PERMISSION_MISSING, true),
            (server(1053, "Server shutdown in progress"), code::SERVER_UNAVAILABLE, false),
            (server(9999, "?"), code::FAULT_UNKNOWN, false),
            (judge(&Fault::Closed), code::SERVER_UNREACHABLE, false),
            (judge(&Fault::Protocol("x")), code::STREAM_MALFORMED, true),
        ] {
            match verdict {
                Verdict::Halt(problem) => assert!(halts && problem.code == code, "{problem}"),
                Verdict::Retry(problem) => assert!(!halts && problem.code == code, "{problem}"),
                Verdict::RetrySeldom(problem) => panic!("{problem}"),
            }
        }
        assert!(matches!(server(1045, "Access denied"), Verdict::RetrySeldom(_)));
    }
}
