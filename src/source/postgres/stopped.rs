//! Tables with a value that cannot be passed on. Nothing more of such a table is captured, the others go on, and it is copied
//! again: a copy takes the value up where it has been mended since, and waits where it has not.

use super::catalogue::difference::{Kind, Suspicion};
use super::fault::Fault;
use super::stream::Stream;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::source::status::By;

impl Stream<'_> {
    /// That it is copied again is durable when this returns, and so before the transaction is.
    pub(super) async fn stop_table(&mut self, table: TableName, problem: &Problem) -> Result<(), Fault> {
        tracing::error!(%table, %problem, next = problem.code.entry().next, "table halted");
        self.reporter.unreadable(&table, By::Row, Some(problem));
        self.kept.suspect(vec![(table, Suspicion { kind: Kind::Unreadable, why: problem.to_string() })]).await
    }

    /// A copy of it begins here.
    pub(super) fn resume_table(&mut self, table: &TableName) {
        self.assembly.resume(table);
        self.reporter.unreadable(table, By::Row, None);
    }
}
