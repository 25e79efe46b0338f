//! What goes wrong at a target, and what is done about it: the one table.
//!
//! Unknown means retry with backoff and be loud; nothing here ever means skip. What the server says of one table's rows or
//! columns is that table's trouble and halts it alone.

use crate::model::code::{self, Code};
use crate::model::problem::Problem;
use crate::source::postgres::{Fault, ServerError, chain};

use super::table::Source;

/// What ends a session with a target, or the work on one of its tables.
#[derive(Debug)]
pub enum Failure {
    /// A person must act.
    Halt(Problem),
    /// The table stays as it is until a resync; the others go on.
    Table(Source, Problem),
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Retry(Problem),
    /// A person has to act, and may at any time: try seldom.
    RetrySeldom(Problem),
    Halt(Problem),
}

pub fn judge(fault: &Fault) -> Verdict {
    let problem = |code| Problem::new(code, chain(fault));
    match fault {
        Fault::Halt(inner) | Fault::Retry(inner) if is_login(inner.code) => {
            Verdict::RetrySeldom(Problem::new(code::TARGET_LOGIN_FAILED, inner.message.clone()))
        }
        Fault::Halt(inner) | Fault::Retry(inner) | Fault::Table(_, inner) => {
            Verdict::Retry(Problem::new(code::TARGET_UNAVAILABLE, inner.message.clone()))
        }
        Fault::Connect { .. } | Fault::Io(_) | Fault::Closed | Fault::Silent(_) => {
            Verdict::Retry(problem(code::TARGET_UNREACHABLE))
        }
        Fault::Tls { .. } => Verdict::RetrySeldom(problem(code::TARGET_LOGIN_FAILED)),
        Fault::Journal(_) => Verdict::Halt(problem(code::TARGET_JOURNAL_UNREADABLE)),
        Fault::Server(error) => judge_server(error, problem),
        Fault::Protocol(_) | Fault::Message(_) | Fault::Cell(_) => Verdict::Retry(problem(code::TARGET_FAULT_UNKNOWN)),
    }
}

fn is_login(code: Code) -> bool {
    [code::AUTHENTICATION_FAILED, code::AUTHENTICATION_UNSAFE, code::TLS_FAILED].contains(&code)
}

fn judge_server(error: &ServerError, problem: impl Fn(Code) -> Problem) -> Verdict {
    match error.sqlstate.as_str() {
        "28P01" | "28000" | "3D000" => Verdict::RetrySeldom(problem(code::TARGET_LOGIN_FAILED)),
        "42501" => Verdict::RetrySeldom(problem(code::TARGET_PERMISSION_MISSING)),
        // A read-only server: a standby, or default_transaction_read_only.
        "25006" => Verdict::RetrySeldom(problem(code::TARGET_UNFIT)),
        state if ["08", "57", "53", "40", "55"].iter().any(|class| state.starts_with(class)) => {
            Verdict::Retry(problem(code::TARGET_UNAVAILABLE))
        }
        _ => Verdict::Retry(problem(code::TARGET_FAULT_UNKNOWN)),
    }
}

/// SQLSTATE classes that say nothing of the table: connection, transaction, resources, operator, system, configuration.
const OF_EVERYBODY: [&str; 12] = ["08", "25", "28", "3D", "40", "53", "55", "57", "58", "72", "F0", "XX"];

/// What a fault in a statement for one table means: that table's trouble, or everybody's. What a trigger raises is the table's.
pub fn of_table(source: &Source, fault: Fault) -> Failure {
    let Fault::Server(error) = &fault else { return Failure::Fault(fault) };
    let code = match error.sqlstate.get(..2).unwrap_or_default() {
        class if OF_EVERYBODY.contains(&class) => return Failure::Fault(fault),
        "42" if error.sqlstate == "42501" => code::TARGET_PERMISSION_MISSING,
        "42" if error.sqlstate == "42P07" => code::TARGET_TABLE_FOREIGN,
        // Columns, tables and constraints that are not as they were made; views that depend on a column.
        "42" | "2B" | "3F" | "0A" => code::TARGET_TABLE_ALTERED,
        _ => code::TARGET_REFUSES_ROW,
    };
    Failure::Table(source.clone(), Problem::new(code, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::{SystemName, TableName};

    fn server(sqlstate: &str) -> Fault {
        let error = ServerError { sqlstate: sqlstate.to_owned(), message: "so".to_owned(), ..ServerError::default() };
        Fault::Server(error)
    }

    #[test]
    fn what_one_table_refuses_halts_it_alone_and_what_passes_by_itself_is_retried() {
        let source = Source { system: SystemName::new("erp").expect("a name"), name: TableName::new("public", "t") };
        for (sqlstate, table) in [
            ("22021", Some(code::TARGET_REFUSES_ROW)),
            ("23502", Some(code::TARGET_REFUSES_ROW)),
            ("42P01", Some(code::TARGET_TABLE_ALTERED)),
            ("42P07", Some(code::TARGET_TABLE_FOREIGN)),
            ("2BP01", Some(code::TARGET_TABLE_ALTERED)),
            ("P0001", Some(code::TARGET_REFUSES_ROW)),
            ("40P01", None),
            ("53100", None),
            ("57P01", None),
        ] {
            match (of_table(&source, server(sqlstate)), table) {
                (Failure::Table(_, problem), Some(code)) => assert_eq!(problem.code, code, "{sqlstate}"),
                (Failure::Fault(fault), None) => {
                    assert!(matches!(judge(&fault), Verdict::Retry(_)), "{sqlstate}");
                }
                (other, _) => panic!("{sqlstate}: {other:?}"),
            }
        }
        assert!(
            matches!(judge(&server("28P01")), Verdict::RetrySeldom(problem) if problem.code == code::TARGET_LOGIN_FAILED)
        );
        assert!(
            matches!(judge(&server("XX000")), Verdict::Retry(problem) if problem.code == code::TARGET_FAULT_UNKNOWN)
        );
    }
}
