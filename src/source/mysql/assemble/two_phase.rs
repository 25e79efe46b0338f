//! Two-phase (XA) transactions: their rows are in the log before anybody knows whether they count.
//!
//! Their place in the log's order of commits comes later, if it does. So the rows are left out, and their tables are copied
//! again once XA COMMIT comes. Only this session knows which ones: of a transaction that was prepared before it, none are.

use super::{Assembly, Step};
use crate::decode::mysql::event::Header;
use crate::decode::mysql::xa::Xa;
use crate::model::name::TableName;
use crate::source::mysql::fault::Fault;
use std::collections::{BTreeSet, HashMap};

/// What prepared transactions changed, by their ids.
pub(super) type Prepared = HashMap<String, BTreeSet<TableName>>;

/// A two-phase transaction committed.
#[derive(Debug)]
pub struct Decision {
    /// What it changed; `None`: nobody knows.
    pub tables: Option<BTreeSet<TableName>>,
    /// Its id as the log writes it; empty where that is not read.
    pub xid: String,
}

impl Assembly {
    pub(super) fn prepare(&mut self, xid: String) -> Result<Step, Fault> {
        let open = self.open.take().ok_or(Fault::Protocol("XA PREPARE outside a transaction"))?;
        self.executed.add(&open.gtid);
        if open.journaled || open.unsure {
            self.prepared.remove(&xid);
        } else {
            self.prepared.insert(xid, open.tables);
        }
        drop(self.take_chunk());
        Ok(if open.ordinal > 0 { Step::Dropped(open.gtid) } else { Step::Nothing })
    }

    pub(super) fn two_phase(&mut self, header: &Header, text: &[u8]) -> Result<Step, Fault> {
        let open = self.open.as_mut().ok_or(Fault::Protocol("a statement outside a transaction"))?;
        let (tables, xid) = match Xa::read(text) {
            Some(Xa::Around) => {
                open.begun = true;
                return Ok(Step::Taken);
            }
            Some(Xa::Commit(xid)) => (self.prepared.remove(xid), xid),
            Some(Xa::Rollback(xid)) => {
                self.prepared.remove(xid);
                return self.end(header);
            }
            None => (None, ""),
        };
        if open.journaled || tables.as_ref().is_some_and(BTreeSet::is_empty) {
            return self.end(header);
        }
        Ok(Step::Decided(Decision { tables, xid: xid.to_owned() }))
    }
}
