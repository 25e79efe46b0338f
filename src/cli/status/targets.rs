//! The targets of a status, for people.

use super::{WAITING_SHOWN, more};
use crate::cli::table::Table;
use crate::wire::api::v1::{Problem, TargetState, TargetStatus, TargetTableState, TargetTableStatus};

/// One line a target, then one for each of its tables that is not simply ready.
pub(in crate::cli) fn text(targets: &[TargetStatus]) -> String {
    let mut table = Table::new(&["TARGET", "STATE", "LAG", "BEHIND", "SEQUENCE", "ROWS", "TABLES READY"]);
    for target in targets {
        let ready = target.tables.iter().filter(|table| table.state() == TargetTableState::Ready).count();
        table.row(vec![
            target.target.clone(),
            state(target.state()).to_owned(),
            format!("{:.1}s", target.lag_seconds),
            format!("{} transactions", target.lag_transactions),
            target.sequence.to_string(),
            target.rows.to_string(),
            format!("{ready} of {}", target.tables.len()),
        ]);
    }
    let mut text = table.to_string();
    let mut table = Table::new(&["TARGET TABLE", "STATE"]);
    let mut waiting = 0;
    for target in targets {
        for one in target.tables.iter().filter(|table| is_unready(table)) {
            let only_waits = one.state() == TargetTableState::Waiting;
            waiting += usize::from(only_waits);
            if !only_waits || waiting <= WAITING_SHOWN {
                table.row(vec![format!("{}/{}", target.target, name(one)), table_state(one.state()).to_owned()]);
            }
        }
    }
    if targets.iter().any(|target| target.tables.iter().any(is_unready)) {
        text += &format!("\n{table}{}", more(waiting, "tables wait for their copies"));
    }
    text
}

fn is_unready(table: &TargetTableStatus) -> bool {
    table.state() != TargetTableState::Ready
}

/// `system.schema.table`.
fn name(table: &TargetTableStatus) -> String {
    if table.system.is_empty() {
        return table.table.clone();
    }
    format!("{}.{}.{}", table.system, table.schema, table.table)
}

/// Of targets and their tables, each with the name of the place.
pub(in crate::cli) fn problems(targets: &[TargetStatus]) -> Vec<(String, &Problem)> {
    let mut found = Vec::new();
    for target in targets {
        found.extend(target.halt.as_ref().map(|problem| (target.target.clone(), problem)));
        for table in &target.tables {
            found.extend(table.halt.as_ref().map(|problem| (format!("{}/{}", target.target, name(table)), problem)));
        }
    }
    found
}

fn state(state: TargetState) -> &'static str {
    match state {
        TargetState::Unspecified => "unknown",
        TargetState::Connecting => "connecting",
        TargetState::Writing => "writing",
        TargetState::Retrying => "retrying",
        TargetState::Halted => "HALTED",
        TargetState::Stopped => "stopped",
    }
}

fn table_state(state: TargetTableState) -> &'static str {
    match state {
        TargetTableState::Unspecified => "unknown",
        TargetTableState::Waiting => "waits for its copy",
        TargetTableState::Copying => "copying",
        TargetTableState::Ready => "ready",
        TargetTableState::Halted => "HALTED",
    }
}
