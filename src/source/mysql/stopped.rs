//! Tables with something in them that cannot be passed on: the table is halted, the others go on, and another copy is asked for.
//!
//! Where it is a row, nothing more of the table is captured until that copy begins, which waits in its turn where it meets
//! such a row; of rows without all of their columns, which may come for ever, the copies are paced (`copy::pace`). Where it
//! is the table's description in the log, the copy is held back until the log describes the table in another way, or a
//! statement names it: else each row would bring another copy.

use super::fault::Fault;
use super::stream::Stream;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::source::status::By;
use std::collections::BTreeMap;

impl Stream<'_> {
    /// At a row. That the table is copied again is durable when this returns, and so before the transaction is.
    pub(super) async fn stop_table(&mut self, table: &TableName, problem: &Problem) -> Result<(), Fault> {
        self.stopped.insert(table.clone());
        self.halt_table(table, By::Row, problem).await
    }

    /// At its description. As for [`Self::stop_table`].
    pub(super) async fn hold_table(&mut self, table: &TableName, problem: &Problem) -> Result<(), Fault> {
        self.halt_table(table, By::Shape, problem).await
    }

    async fn halt_table(&mut self, table: &TableName, by: By, problem: &Problem) -> Result<(), Fault> {
        if self.reporter.unreadable(table, by, Some(problem)) {
            let next = problem.code.entry().next;
            tracing::error!(system = %self.system.name, %table, %problem, next, "table halted");
        }
        self.copier.gate.spoil(table);
        if self.asked.contains(table) {
            return Ok(());
        }
        self.copy_again(BTreeMap::from([(table.clone(), problem.to_string())])).await
    }

    /// A copy of it begins here: from here on its rows are wanted, for whatever reason they were passed over.
    pub(super) fn resume_table(&mut self, table: &TableName) {
        self.reporter.unreadable(table, By::Row, None);
        self.stopped.remove(table);
        self.assembly.forget_passed_over();
    }
}
