//! What a table's copy waits for before it begins.

use super::{EarlyWriters, LOOK_AGAIN, Trouble, Worker, table};
use crate::model::name::TableName;
use crate::model::schema::Identity;
use crate::source::postgres::simple_query::Connection;
use crate::source::postgres::{ServerTable, catalogue, publication};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const NOT_PUBLISHED: &str = "its publication, which does not carry the table";
const EARLY_WRITERS: &str = "transactions that wrote to the table before the copy: see pg_locks and pg_stat_activity";
/// How long one table's early writers may keep others from being copied.
const WRITERS_MAX: Duration = Duration::from_secs(5);
const FOLLOWERS: &str = "the slowest target to come nearer: the copy would outrun `retention.size`";

impl Worker {
    /// Waits until a copy of the table can begin; gives which table has the name now. A copy of what the stream does not bring
    /// would be stale from its end on.
    pub(super) async fn fit_to_begin(
        &mut self,
        connection: &mut Connection,
        table: &TableName,
    ) -> Result<String, Trouble> {
        let found = catalogue::read_one(connection, &self.system, table).await?;
        let Some(found) = found.filter(publication::carries) else {
            return Err(Trouble::Table(NOT_PUBLISHED.to_owned()));
        };
        if let Some(problem) = &found.unfit {
            return Err(Trouble::Table(format!("the table is halted: {problem}")));
        }
        self.outlive_writers(connection, &found).await?;
        if found.identity() == Identity::Nothing
            && let Some(found) = catalogue::read_one(connection, &self.system, table).await?
        {
            self.kept.copy_begins(&found).await?;
        }
        Ok(found.relation().to_string())
    }

    /// Who wrote to the table before it joined the publication is not in the stream, even if it commits later: a copy has to
    /// begin behind all of those. Whoever holds a writer's lock now is waited for; whoever takes one later is in the stream.
    /// Who takes long lets other tables go first.
    async fn outlive_writers(&mut self, connection: &mut Connection, found: &ServerTable) -> Result<(), Trouble> {
        let table = &found.name;
        let writers = table::writers(connection, table).await?;
        let joined = (found.relation(), found.entry.carriers.clone());
        let known = self.early.remove(table).filter(|known| known.joined == joined);
        let early = known.unwrap_or(EarlyWriters { joined, transactions: writers });
        let deadline = Instant::now() + WRITERS_MAX;
        while !early.transactions.is_disjoint(&table::writers(connection, table).await?) {
            if Instant::now() > deadline {
                self.early.insert(table.clone(), early);
                return Err(Trouble::Table(EARLY_WRITERS.to_owned()));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// A copy must not outrun those who are to apply it, or retention takes what they have not read.
    pub(super) async fn wait_for_followers(&self, table: &TableName) {
        let near = async {
            while self.journal.copies_must_wait() {
                sleep(LOOK_AGAIN).await;
            }
        };
        self.told(table, FOLLOWERS, near).await;
    }
}
