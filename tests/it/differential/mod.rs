//! The differential run: random DDL among random DML in random sessions, kills, crashes and restarts, on a real server. After
//! each round every captured table is the same at the target, by the servers' own text, or halted with a code.
//!
//! Nothing here knows what Tailwater makes of a statement: the lists of tables and columns, and the comparison, are the
//! catalogue's and the servers' own. The seed is printed; `TAILWATER_DIFFERENTIAL` sets the number of DDL statements.

mod mysql;
mod postgres;
mod trouble;

/// Of each server, when nothing else is asked for.
const STATEMENTS: usize = 300;

fn statements() -> usize {
    std::env::var("TAILWATER_DIFFERENTIAL").ok().and_then(|text| text.parse().ok()).unwrap_or(STATEMENTS)
}
