//! Which XA COMMITs a copy's snapshot is sure to have seen.
//!
//! MariaDB writes XA COMMIT to its log, and its snapshots count it as done, before the storage engine has committed: a copy
//! that begins behind it may lack its rows. XA RECOVER lists a transaction until the engine has. So a snapshot has what the
//! stream had passed, and XA RECOVER no longer listed, before it was taken; of anything else nobody knows, and another copy
//! follows. (Source: MariaDB 10.11 sql/xa.cc, `trans_xa_commit`.) MySQL counts a
//! transaction as done behind its engine, and a copy on MySQL waits for that (`copy::window`).

use super::fault::Fault;
use crate::decode::mysql::xa;
use crate::model::name::TableName;
use crate::source::mysql::connection::Connection;
use mysql_async::prelude::Queryable;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// So many ids are kept of a table at most; beyond, whatever is still listed may be one of them.
const IDS_MAX: usize = 10_000;
/// An engine that has not committed by then never will; what is listed is another transaction with the same id.
const SETTLES: Duration = Duration::from_secs(60);

/// The server's prepared transactions.
#[derive(Debug)]
pub struct Listed {
    /// Before they were asked for.
    at: Instant,
    xids: HashSet<String>,
}

impl Listed {
    /// # Errors
    /// Those of the connection.
    pub async fn ask(connection: &mut Connection) -> Result<Self, Fault> {
        let at = Instant::now();
        let rows: Vec<(i32, usize, usize, Vec<u8>)> = connection.inner().query("XA RECOVER").await?;
        let xids = rows.into_iter().map(|(format, gtrid, _, data)| {
            let (gtrid, bqual) = data.split_at(gtrid.min(data.len()));
            xa::id(format, gtrid, bqual)
        });
        Ok(Self { at, xids: xids.collect() })
    }
}

/// XA COMMITs that the stream has passed, by the tables that they may have changed.
#[derive(Default)]
pub struct Passed(HashMap<TableName, Commits>);

struct Commits {
    last: Instant,
    xids: HashSet<String>,
    /// Some ids are unknown.
    more: bool,
}

impl Passed {
    /// What an earlier session passed before these copies, which it asked for, is unknown.
    pub fn before(asked: &HashSet<TableName>) -> Self {
        let mut passed = Self::default();
        asked.iter().for_each(|table| passed.note(table, ""));
        passed
    }

    pub fn note(&mut self, table: &TableName, xid: &str) {
        let none = || Commits { last: Instant::now(), xids: HashSet::new(), more: false };
        let commits = self.0.entry(table.clone()).or_insert_with(none);
        commits.last = Instant::now();
        if xid.is_empty() || commits.xids.len() >= IDS_MAX {
            commits.more = true;
        } else {
            commits.xids.insert(xid.to_owned());
        }
    }

    /// Whether a snapshot that was taken after `listed` has all of them. Then they are forgotten.
    pub fn are_in(&mut self, table: &TableName, listed: &Listed) -> bool {
        let Some(commits) = self.0.get(table) else { return true };
        let may_be_listed = commits.more && !listed.xids.is_empty() || !commits.xids.is_disjoint(&listed.xids);
        let are_in = commits.last < listed.at && (!may_be_listed || commits.last + SETTLES < listed.at);
        if are_in {
            self.0.remove(table);
        }
        are_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_what_was_passed_and_no_longer_listed_before_it() {
        let table = TableName::new("crm", "t");
        let listed = |after: u64, xids: &[&str]| Listed {
            at: Instant::now() + Duration::from_secs(after),
            xids: xids.iter().map(|xid| (*xid).to_owned()).collect(),
        };
        let before = listed(0, &[]);
        let mut passed = Passed::default();
        assert!(passed.are_in(&table, &before), "nothing came");
        passed.note(&table, "X'61',X'',1");
        assert!(!passed.are_in(&table, &before), "it came after the list");
        assert!(!passed.are_in(&table, &listed(1, &["X'61',X'',1"])), "the engine has not committed");
        assert!(passed.are_in(&table, &listed(1, &["X'62',X'',1"])), "another one");
        passed.note(&table, "");
        assert!(!passed.are_in(&table, &listed(1, &["X'62',X'',1"])), "perhaps that one");
        assert!(passed.are_in(&table, &listed(1, &[])) && passed.0.is_empty());
        let mut passed = Passed::before(&HashSet::from([table.clone()]));
        assert!(!passed.are_in(&table, &listed(1, &["x"])), "an earlier session may have passed it");
        assert!(passed.are_in(&table, &listed(61, &["x"])));
        for id in 0..=IDS_MAX {
            passed.note(&table, &id.to_string());
        }
        assert!(!passed.are_in(&table, &listed(1, &["x"])), "ids were left out");
    }
}
