//! What an event asks of the stream.

use super::two_phase::Decision;
use crate::decode::mysql::statement::{Definition, Mentions};
use crate::model::gtid::Gtid;
use crate::model::schema::SchemaId;
use crate::model::time::UnixMicros;

/// A transaction that is to be journaled.
#[derive(Debug, PartialEq, Eq)]
pub struct Completed {
    pub gtid: Gtid,
    pub commit_time: UnixMicros,
    pub changes: u64,
    pub schemas: Vec<SchemaId>,
}

/// What an event asks of the stream.
pub enum Step {
    Taken,
    /// The chunk is to be taken before the rest of the event's rows: [`super::Assembly::take_rest`].
    Full {
        left: usize,
    },
    /// The event describes a table: what it is to us is to be seen to before its rows come.
    Table(u64),
    /// DDL: what it does to tables is to be seen to, then [`super::Assembly::end_of_definition`].
    Define(Definition),
    /// A statement that changed rows, and is logged as such; the same is to follow. In tables of these databases only, where
    /// that is known.
    Changes(Option<Vec<String>>),
    /// A transaction ended of whose changes some were undone: these tables are not what its rows tell.
    Undone(Gtid, Vec<SchemaId>),
    /// A statement that is not known; the same is to follow.
    Unknown(Mentions),
    /// The last chunk, then the transaction.
    Commit(Completed),
    /// What was taken of a transaction does not count: it is prepared only, or was never written to its end.
    Dropped(Gtid),
    /// The server says that it lost events. The same as for DDL is to follow, with [`super::Assembly::end_of_incident`].
    Lost,
    /// Such a transaction committed; the same is to follow.
    Decided(Decision),
    /// A transaction ended that holds nothing to journal.
    Nothing,
    /// What follows is in this file.
    Rotate {
        file: String,
        offset: u64,
    },
}
