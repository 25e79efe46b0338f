//! What the notes of an entity hold. Private protobuf messages; tags are append-only.

use prost::Message;

/// A table's row: its columns that are needed.
#[derive(Clone, PartialEq, Message)]
pub struct Row {
    /// The transaction that it was last heard of in.
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    /// The version of the table that `row` is written in.
    #[prost(uint32, tag = "2")]
    pub schema: u32,
    #[prost(bytes = "vec", tag = "3")]
    pub row: Vec<u8>,
}

/// What a system says of an entity.
#[derive(Clone, PartialEq, Message)]
pub struct Side {
    /// The entity that it is a side of.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The root's key, for people.
    #[prost(string, tag = "2")]
    pub key: String,
    /// Of each field, in the order of the contract, the parts of its owner; see [`super::cell::Cell`].
    #[prost(message, repeated, tag = "3")]
    pub cells: Vec<SideCell>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SideCell {
    /// `None`: null, or the system has no column for it.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub cell: Option<Vec<u8>>,
    /// What it is compared by with another system's: the same for the same value, whatever their types.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub same: Option<Vec<u8>>,
}

/// One entity: its roots.
#[derive(Clone, PartialEq, Message)]
pub struct One {
    #[prost(message, repeated, tag = "1")]
    pub roots: Vec<Root>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Root {
    #[prost(uint32, tag = "1")]
    pub source: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub key: Vec<u8>,
}

/// Where an entity stands.
#[derive(Clone, PartialEq, Message)]
pub struct State {
    /// Of the contract that everything was made by.
    #[prost(bytes = "vec", tag = "1")]
    pub fingerprint: Vec<u8>,
    /// 1: its tables are copied; 2: it is published; 3: halted.
    #[prost(uint32, tag = "2")]
    pub phase: u32,
    #[prost(string, tag = "3")]
    pub code: String,
    #[prost(string, tag = "4")]
    pub message: String,
    /// In the order of the rule.
    #[prost(message, repeated, tag = "5")]
    pub tables: Vec<Table>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Table {
    /// 1: waits for a copy; 2: is copied; 3: whole.
    #[prost(uint32, tag = "1")]
    pub phase: u32,
    /// While it is copied, also when it was whole before: the copy's begin.
    #[prost(uint64, tag = "2")]
    pub begin: u64,
    /// Its version last heard of.
    #[prost(uint32, tag = "3")]
    pub schema: u32,
    /// The copy under way is of another table of that name: rows that are not here may be in it.
    #[prost(bool, tag = "4")]
    pub anew: bool,
}

/// How far a transaction has come whose notes were made durable in parts.
#[derive(Clone, PartialEq, Message)]
pub struct Part {
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    #[prost(uint64, tag = "2")]
    pub chunks: u64,
}

/// The entities that are governed. What was left out meanwhile missed changes.
#[derive(Clone, PartialEq, Message)]
pub struct Governed {
    #[prost(string, repeated, tag = "1")]
    pub entities: Vec<String>,
}

/// What came of the changes, since the contract was made.
#[derive(Clone, PartialEq, Message)]
pub struct Counts {
    #[prost(message, repeated, tag = "1")]
    pub verdicts: Vec<Verdicts>,
    /// The last that were withheld, oldest first.
    #[prost(message, repeated, tag = "2")]
    pub withheld: Vec<Withheld>,
    /// Entities, and those of them that are in more than one system.
    #[prost(uint64, tag = "3")]
    pub entities: u64,
    #[prost(uint64, tag = "4")]
    pub linked: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Verdicts {
    #[prost(string, tag = "1")]
    pub field: String,
    #[prost(string, tag = "2")]
    pub system: String,
    #[prost(uint64, tag = "3")]
    pub owned: u64,
    #[prost(uint64, tag = "4")]
    pub foreign: u64,
    #[prost(uint64, tag = "5")]
    pub noop: u64,
}

/// A change of a field by a system that does not own it.
#[derive(Clone, PartialEq, Message)]
pub struct Withheld {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub system: String,
    /// As the system calls it.
    #[prost(string, tag = "3")]
    pub key: String,
    #[prost(string, tag = "4")]
    pub field: String,
    #[prost(uint64, tag = "5")]
    pub sequence: u64,
    #[prost(sint64, tag = "6")]
    pub commit_time: i64,
}
