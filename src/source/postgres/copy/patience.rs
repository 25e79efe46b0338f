//! How long a chunk's rows are waited for: for as long as the server works on them. A query that runs is not silence: given
//! up, it would begin from the start, and again be given up.
//!
//! Whether it runs is asked over another connection, because the first one says nothing until there is a row.

use super::{TOLD_AFTER, Trouble, Worker};
use crate::model::name::TableName;
use crate::source::postgres::fault::Fault;
use crate::source::postgres::simple_query::{Connection, DataRow, Purpose};
use tokio::time::Instant;

impl Worker {
    /// The next row of the statement that was started; `None` after the last.
    pub(super) async fn next_row<'c>(
        &self,
        connection: &'c mut Connection,
        table: &TableName,
    ) -> Result<Option<DataRow<'c>>, Trouble> {
        let silence_max = self.system.endpoint.silence_max;
        if !connection.answers_within(TOLD_AFTER.min(silence_max)).await? {
            self.outwait(connection, table).await?;
        }
        Ok(connection.next_row().await?)
    }

    /// Until something of the answer comes.
    async fn outwait(&self, connection: &mut Connection, table: &TableName) -> Result<(), Trouble> {
        let silence_max = self.system.endpoint.silence_max;
        let process = connection.process();
        let number = process.map(|process| process.to_string()).unwrap_or_default();
        let why = format!("the server, which is still reading the next rows: process {number} in pg_stat_activity");
        self.reporter.copy_waits(table, Some(&why));
        tracing::warn!(system = %self.system.name, %table, process, "the server takes long to read rows for a copy");
        let began = Instant::now();
        while !connection.answers_within(silence_max).await? {
            if !self.is_at_work(process).await? {
                return Err(Fault::Silent(began.elapsed()).into());
            }
        }
        self.reporter.copy_waits(table, None);
        Ok(())
    }

    /// Whether the server's process runs our query. A server that has no room for the question is no proof that it does not.
    async fn is_at_work(&self, process: Option<i32>) -> Result<bool, Fault> {
        let Some(process) = process else { return Ok(false) };
        let sql = format!(
            "SELECT count(*) FROM pg_catalog.pg_stat_activity \
             WHERE pid = {process} AND COALESCE(state, 'active') NOT LIKE 'idle%'"
        );
        let asked = async {
            let mut connection = Connection::open(&self.system.endpoint, Purpose::Queries).await?;
            connection.query(&sql).await
        };
        match asked.await {
            Ok(rows) => Ok(rows.first().is_some_and(|row| row.text(0) != Some("0"))),
            Err(Fault::Server(_)) => Ok(true),
            Err(fault) => Err(fault),
        }
    }
}
