//! Events into transactions: the open one, its chunk under way, and the tables that rows refer to.
//!
//! The hot path: no await and no allocation for a row. It never asks anybody; what it cannot know (a table) it hands back.
//! Surprises: a TABLE_MAP comes before every statement's rows and is mostly the one that is known, byte for byte; where a
//! transaction ends depends on how it began (an event of its own, BEGIN … XID or COMMIT, or DDL alone).

mod step;
mod table;
mod two_phase;

pub use step::{Completed, Step};
pub use table::{Captured, Table};
pub use two_phase::Decision;

use super::encode::ChunkEncoder;
use super::fault::Fault;
use super::identity::halt;
use super::policy;
use crate::decode::mysql::event::{Cannot, Event, Header, Query};
use crate::decode::mysql::gtid::GtidEvent;
use crate::decode::mysql::rows::{Cell, NO_TABLE, Operation, Rows};
use crate::decode::mysql::statement::{Definition, Session, Statement, Status};
use crate::decode::mysql::table_map::Dialect;
use crate::decode::mysql::types::Charsets;
use crate::journal::CHUNK_BYTES_MAX;
use crate::model::code;
use crate::model::gtid::{Gtid, GtidSet};
use crate::model::name::TableName;
use crate::model::schema::{SchemaId, TableSchema};
use crate::model::time::UnixMicros;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use two_phase::Prepared;

pub struct Assembly {
    /// Everything in it is journaled or held nothing to journal.
    executed: GtidSet,
    /// By the server's number, with the event that described them.
    tables: HashMap<u64, (Vec<u8>, Captured)>,
    open: Option<Open>,
    /// Transactions that began.
    begun: u64,
    prepared: Prepared,
    chunk: ChunkEncoder,
}

struct Open {
    gtid: Gtid,
    commit_time: Option<UnixMicros>,
    /// Row events may come: BEGIN was seen, or went without saying.
    begun: bool,
    /// It is in the journal already.
    journaled: bool,
    /// Of the next change.
    ordinal: u64,
    /// Some of its changes do not count. Which ones depends on each table's engine, so none of them is journaled.
    undone: bool,
    /// It may have changed other tables than those that it has rows of.
    unsure: bool,
    schemas: BTreeSet<SchemaId>,
    /// All tables that it has rows of.
    tables: BTreeSet<TableName>,
}

impl Assembly {
    pub fn new(executed: GtidSet) -> Self {
        Self {
            executed,
            tables: HashMap::new(),
            open: None,
            begun: 0,
            prepared: Prepared::default(),
            chunk: ChunkEncoder::default(),
        }
    }

    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// The transaction that is open.
    pub fn gtid(&self) -> Option<&Gtid> {
        self.open.as_ref().map(|open| &open.gtid)
    }

    /// These will not come.
    pub fn pass(&mut self, transactions: &GtidSet) {
        self.executed.add_all(transactions);
    }

    /// Everything up to where the stream stands.
    pub fn executed(&self) -> &GtidSet {
        &self.executed
    }

    /// Whether the chunk is to be taken before an event of this many bytes. Encoded rows may be larger than they were, never
    /// by more than is allowed for here.
    pub fn is_full_for(&self, event_bytes: usize) -> bool {
        let after = self.chunk.len() + 2 * event_bytes + 1024;
        after > CHUNK_BYTES_MAX && !self.chunk.is_empty()
    }

    /// The chunk under way, unless it is empty.
    pub fn take_chunk(&mut self) -> Option<Bytes> {
        (!self.chunk.is_empty()).then(|| self.chunk.take())
    }

    /// What a described table's rows are; `body`: the event that described it.
    pub fn table(&mut self, table_id: u64, body: &[u8], captured: Captured) {
        self.tables.insert(table_id, (body.to_vec(), captured));
    }

    /// # Errors
    /// [`Fault::Event`] and [`Fault::Protocol`] for what cannot be, [`Fault::Table`] for rows that cannot be passed on, and
    /// [`Fault::Halt`] for what this version does not read.
    pub fn take(&mut self, header: &Header, body: &[u8], charsets: &Charsets) -> Result<Step, Fault> {
        match Event::parse(header, body)? {
            Event::Rows(rows) => return self.rows_of(&rows, None),
            Event::TableMap { table_id, body }
                if self.tables.get(&table_id).is_some_and(|(known, _)| known == body) => {}
            Event::TableMap { table_id, .. } => return Ok(Step::Table(table_id)),
            Event::Gtid(event) => self.begin(event)?,
            Event::Xid => return self.end(header),
            Event::Prepare(prepare) if prepare.one_phase => return self.end(header),
            Event::Prepare(prepare) => return self.prepare(prepare.xid),
            Event::Query(query) => return self.query(header, &query, charsets),
            Event::Rotate { file, offset } => return Ok(Step::Rotate { file: file.to_owned(), offset }),
            Event::Format => {
                // Another file, perhaps after a restart: table numbers start over.
                self.tables.clear();
                return Ok(self.cut_short());
            }
            Event::Incident => return Ok(Step::Lost),
            Event::Heartbeat | Event::Nothing => {}
            Event::Cannot(cannot) => self.cannot(cannot)?,
        }
        Ok(Step::Taken)
    }

    /// A file ends with the end of a transaction, unless the server crashed while it wrote it. Such a one never committed.
    fn cut_short(&mut self) -> Step {
        let Some(open) = self.open.take() else { return Step::Taken };
        drop(self.take_chunk());
        if open.ordinal > 0 { Step::Dropped(open.gtid) } else { Step::Nothing }
    }

    /// The server lost events, which is all that it says.
    pub fn end_of_incident(&mut self, header: &Header) -> Result<Step, Fault> {
        if self.open.is_some() { self.end_of_definition(header, false) } else { Ok(Step::Taken) }
    }

    /// What stands in a transaction that is journaled already was looked at then.
    fn cannot(&self, cannot: Cannot) -> Result<(), Fault> {
        if self.open.as_ref().is_some_and(|open| open.journaled) {
            return Ok(());
        }
        halt(policy::code_of(cannot), format!("{}: {cannot:?}", self.transaction()))
    }

    /// For messages.
    pub fn transaction(&self) -> String {
        match &self.open {
            Some(open) => format!("transaction {}", open.gtid),
            None => "between transactions".to_owned(),
        }
    }

    fn begin(&mut self, event: GtidEvent) -> Result<(), Fault> {
        if self.open.is_some() {
            return Err(Fault::Protocol("a transaction inside another"));
        }
        let Some(gtid) = event.gtid else {
            return halt(code::GTID_OFF, "a transaction without a GTID is in the log".to_owned());
        };
        // MariaDB gives a number twice where it is told to, and is itself told the place to go on from.
        let journaled = matches!(gtid, Gtid::Mysql(_)) && self.executed.contains(&gtid);
        self.begun += 1;
        if journaled {
            tracing::debug!(%gtid, "passing over a transaction that is journaled already");
        }
        // MariaDB says what is one event alone; what is not goes without a BEGIN.
        let begun = matches!(gtid, Gtid::Mariadb(_)) && !event.standalone;
        let commit_time = event.commit_time;
        let (schemas, tables) = (BTreeSet::new(), BTreeSet::new());
        self.open = Some(Open {
            gtid,
            commit_time,
            begun,
            journaled,
            ordinal: 0,
            undone: false,
            unsure: false,
            schemas,
            tables,
        });
        Ok(())
    }

    /// Goes on with an event of rows of which so many bytes are left.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub fn take_rest(&mut self, header: &Header, body: &[u8], left: usize) -> Result<Step, Fault> {
        match Event::parse(header, body)? {
            Event::Rows(rows) => self.rows_of(&rows, Some(left)),
            _ => Err(Fault::Protocol("an event without rows")),
        }
    }

    fn rows_of(&mut self, rows: &Rows<'_>, left: Option<usize>) -> Result<Step, Fault> {
        match self.rows(rows, left) {
            Ok(None) => Ok(Step::Taken),
            Ok(Some(left)) => Ok(Step::Full { left }),
            Err(fault) => Err(self.of_table(rows.table_id, fault)),
        }
    }

    /// Those whose rows are passed over are to be described again.
    pub fn forget_passed_over(&mut self) {
        self.tables.retain(|_, (_, captured)| matches!(captured, Captured::As(_)));
    }

    /// The same for one table.
    pub fn forget_passed_over_of(&mut self, name: &TableName) {
        self.tables.retain(|_, (_, captured)| !matches!(captured, Captured::PassedOver(passed) if passed == name));
    }

    /// Gives how many bytes of the event are left once the chunk is full: a few bytes of a row may be very many as text.
    fn rows(&mut self, rows: &Rows<'_>, left: Option<usize>) -> Result<Option<usize>, Fault> {
        if rows.table_id == NO_TABLE {
            return Ok(None);
        }
        let open = self.open.as_mut().ok_or(Fault::Protocol("a row outside a transaction"))?;
        let (_, captured) =
            self.tables.get_mut(&rows.table_id).ok_or(Fault::Protocol("a row of a table never described"))?;
        if open.journaled {
            return Ok(None);
        }
        let table = match captured {
            Captured::As(table) => table,
            Captured::PassedOver(name) => {
                // It may be copied before the transaction commits that has these rows.
                if !open.tables.contains(name) {
                    open.tables.insert(name.clone());
                }
                return Ok(None);
            }
            Captured::No => return Ok(None),
        };
        if rows.columns() != table.map.columns.len() || !rows.have(table.plan.places().chain(table.row_end)) {
            let name = &table.plan.schema.name;
            open.tables.insert(name.clone());
            return halt(code::ROWS_INCOMPLETE, format!("{name}, transaction {}", open.gtid));
        }
        if table.noted_by != self.begun {
            table.noted_by = self.begun;
            open.schemas.insert(table.plan.schema.id);
            open.tables.insert(table.plan.schema.name.clone());
        }
        let (mut images, mut old, mut new) = (rows.images(left), Vec::new(), Vec::new());
        // One more row may be as large as the last; a body's bound holds but for a single larger change.
        while self.chunk.len() < CHUNK_BYTES_MAX / 2 {
            if !images.next_into(&table.map, &mut new)? {
                return Ok(None);
            }
            let (before, after) = match rows.operation {
                Operation::Insert => (None, Some(&new)),
                Operation::Delete => (Some(&new), None),
                Operation::Update if images.is_half() => {
                    std::mem::swap(&mut old, &mut new);
                    if !images.next_into(&table.map, &mut new)? {
                        return Err(Fault::Protocol("an update without a new row"));
                    }
                    (Some(&old), Some(&new))
                }
                Operation::Update => return Err(Fault::Protocol("an update without an old row")),
            };
            let current = |image: &&Vec<Cell<'_>>| table.is_current(image);
            match (before.filter(current), after.filter(current)) {
                (None, Some(after)) => self.chunk.insert(&table.plan, open.ordinal, after)?,
                (Some(before), None) => self.chunk.delete(&table.plan, open.ordinal, before)?,
                (Some(before), Some(after)) => self.chunk.update(&table.plan, open.ordinal, before, after)?,
                (None, None) => continue,
            }
            open.ordinal += 1;
        }
        Ok(Some(images.left()))
    }

    fn query(&mut self, header: &Header, query: &Query<'_>, charsets: &Charsets) -> Result<Step, Fault> {
        let (statement, status) = match query.text {
            // Nearly all that come.
            b"BEGIN" => (Statement::Begin, Status::default()),
            b"COMMIT" => (Statement::Commit, Status::default()),
            text => {
                let status = Status::parse(query.status);
                (Statement::parse(text, &Session::new(self.dialect(), &status, query.schema, charsets)), status)
            }
        };
        let Some(open) = self.open.as_mut() else {
            return Err(Fault::Protocol("a statement outside a transaction"));
        };
        match statement {
            Statement::Begin => open.begun = true,
            Statement::Savepoint => {}
            Statement::RollbackTo => open.undone |= open.ordinal > 0,
            Statement::Commit => return self.end(header),
            Statement::Rollback => {
                open.undone = true;
                return self.end(header);
            }
            Statement::Xa => return self.two_phase(header, query.text),
            Statement::Definition(Definition { opens, .. }) if open.journaled => {
                return self.end_of_definition(header, opens);
            }
            _ if open.journaled => return self.end_of_definition(header, false),
            Statement::Definition(definition) => {
                // Whatever the log cannot say of a table may be another from here on.
                self.tables.clear();
                let shadowed = header.uses_temporary_tables();
                return Ok(Step::Define(if shadowed { definition.beside_temporary_tables() } else { definition }));
            }
            Statement::Changes(_) => {
                open.unsure = true;
                return Ok(Step::Changes(status.databases));
            }
            Statement::Unknown(mentions) => {
                open.unsure = true;
                self.tables.clear();
                return Ok(Step::Unknown(mentions));
            }
        }
        Ok(Step::Taken)
    }

    pub fn dialect(&self) -> Dialect {
        match self.executed {
            GtidSet::Mysql(_) => Dialect::Mysql,
            GtidSet::Mariadb(_) => Dialect::Mariadb,
        }
    }

    /// DDL commits by itself, unless it opens what follows, or stands in a transaction (CREATE TEMPORARY TABLE).
    pub fn end_of_definition(&mut self, header: &Header, opens: bool) -> Result<Step, Fault> {
        match self.open.as_mut() {
            Some(open) if opens || open.begun => {
                open.begun = true;
                Ok(Step::Taken)
            }
            _ => self.end(header),
        }
    }

    /// The truncated table is captured.
    ///
    /// # Errors
    /// [`Fault::Protocol`] outside a transaction.
    pub fn truncate(&mut self, schema: &Arc<TableSchema>) -> Result<(), Fault> {
        let open = self.open.as_mut().ok_or(Fault::Protocol("a statement outside a transaction"))?;
        if !open.journaled {
            self.chunk.truncate(schema, open.ordinal);
            open.ordinal += 1;
            open.schemas.insert(schema.id);
        }
        Ok(())
    }

    fn end(&mut self, header: &Header) -> Result<Step, Fault> {
        let open = self.open.take().ok_or(Fault::Protocol("COMMIT outside a transaction"))?;
        self.executed.add(&open.gtid);
        if open.ordinal == 0 {
            return Ok(Step::Nothing);
        }
        if open.undone {
            drop(self.take_chunk());
            return Ok(Step::Undone(open.gtid, open.schemas.into_iter().collect()));
        }
        let seconds = UnixMicros(i64::from(header.timestamp) * 1_000_000);
        Ok(Step::Commit(Completed {
            gtid: open.gtid,
            commit_time: open.commit_time.unwrap_or(seconds),
            changes: open.ordinal,
            schemas: open.schemas.into_iter().collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::mysql::event::kind;
    use crate::decode::mysql::mariadb;

    #[test]
    fn a_transaction_that_a_crash_cut_short_never_was_one() {
        let header = |kind| Header { kind, timestamp: 0, server_id: 1, size: 0, end: 0, flags: 0 };
        let mut assembly = Assembly::new(GtidSet::Mariadb("0-1-5".parse().expect("a position")));
        let mut take = |kind, body: &[u8]| assembly.take(&header(kind), body, &Charsets::default());
        let mut begins = [0; 19];
        begins[0] = 6;
        // Version, the server's, when it was made, the length of headers, and those of each kind of event.
        let format = [&[4, 0][..], &[0; 54], &[19], &[8; 40]].concat();
        assert!(matches!(take(mariadb::kind::GTID, &begins), Ok(Step::Taken)));
        assert!(matches!(take(kind::FORMAT_DESCRIPTION, &format), Ok(Step::Nothing)));
        assert!(matches!(take(mariadb::kind::GTID, &begins), Ok(Step::Taken)));
        assert!(assembly.in_transaction());
        assert_eq!(assembly.executed().to_string(), "0-1-5");
    }
}
