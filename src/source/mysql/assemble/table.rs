//! What the rows of a described table are to us.

use super::Assembly;
use crate::decode::mysql::rows::Cell;
use crate::decode::mysql::table_map::TableMap;
use crate::decode::mysql::versioned;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::source::mysql::encode::TablePlan;
use crate::source::mysql::fault::Fault;

/// What a table's rows are to us.
pub enum Captured {
    As(Box<Table>),
    /// Configured, but its rows are passed over: it is halted.
    PassedOver(TableName),
    /// Not configured.
    No,
}

pub struct Table {
    pub(super) map: TableMap,
    pub(super) plan: TablePlan,
    /// Where a system-versioned table tells which rows are current: the others are none of its own.
    pub(super) row_end: Option<usize>,
    /// Which transaction last noted its schema.
    pub(super) noted_by: u64,
}

impl Table {
    pub fn new(map: TableMap, plan: TablePlan, row_end: Option<usize>) -> Self {
        Self { map, plan, row_end, noted_by: 0 }
    }

    pub(super) fn is_current(&self, image: &[Cell<'_>]) -> bool {
        let Some(row_end) = self.row_end else { return true };
        image.get(row_end).copied().flatten().is_some_and(versioned::is_current)
    }
}

impl Assembly {
    /// Of rows that cannot be passed on: nothing more of their table is.
    #[cold]
    pub(super) fn of_table(&mut self, table_id: u64, fault: Fault) -> Fault {
        let problem = match fault {
            Fault::Cell(error) => Problem::new(code::CELL_UNREADABLE, error.to_string()),
            Fault::Halt(problem) if problem.code == code::ROWS_INCOMPLETE => problem,
            other => return other,
        };
        let Some((_, captured)) = self.tables.get_mut(&table_id) else { return Fault::Halt(problem) };
        let Captured::As(table) = captured else { return Fault::Halt(problem) };
        let name = table.plan.schema.name.clone();
        *captured = Captured::PassedOver(name.clone());
        Fault::Table(name, problem)
    }
}
