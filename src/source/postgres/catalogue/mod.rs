//! What the server's catalogue says now: of the configured tables, of their partitions and types, and of our publications.
//!
//! The catalogue is the present, the stream is history. So it decides nothing about a row that the stream brings; it says how
//! a table looks before its first change, what the stream cannot say (a primary key under FULL, what a leaf logs), and, by
//! comparison with what the journal kept of the look before (`difference`), whether rows may have changed unseen.

pub mod difference;
mod entry;
mod identity;
pub mod publications;
mod read;
mod user_types;

pub use entry::{CarrierEntry, Entry};
pub use publications::Publications;
pub use read::{read, read_one};

use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::model::schema::{Identity, TableShape};

/// A table as it is on the server now.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTable {
    pub name: TableName,
    /// As the stream would describe it: without generated columns, which it does not carry.
    pub shape: TableShape,
    /// In the order of its index, which is the order in which the server finds rows fastest. Empty: no key.
    pub key: Vec<String>,
    pub partitioned: bool,
    /// It, or a partition of it.
    pub has_generated: bool,
    /// Why it is not captured whole, and what changes that.
    pub unfit: Option<Problem>,
    /// Updates and deletes that the server has counted, those that were rolled back among them.
    pub writes: u64,
    pub entry: Entry,
}

/// One look at the catalogue.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The configured ones, in the order of their names.
    pub tables: Vec<ServerTable>,
    pub publications: Publications,
}

impl ServerTable {
    pub fn identity(&self) -> Identity {
        self.shape.identity
    }

    /// Nothing of such a table is captured until it is mended, whatever its publication carries.
    pub fn is_not_told_apart(&self) -> bool {
        self.unfit.is_some() && self.identity() == Identity::Nothing
    }

    /// Its oid: a table that was made anew under the name, or got it from another, has another one.
    pub fn relation(&self) -> u32 {
        self.entry.relation
    }
}
