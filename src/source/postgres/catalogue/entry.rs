//! What the catalogue says of one table, as the journal keeps it: enough to tell the table from another one of its name,
//! and a table whose rows may have changed without an event from one that is as it was.
//!
//! Kept for longer than a release lives: tags are append-only, and a golden test holds the bytes.

use crate::model::schema::Identity;
use prost::Message;

const VERSION: u8 = 2;

const FULL: u32 = 2;
const NOTHING: u32 = 3;

/// One table. Everything is what the catalogue said in one snapshot.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// Its oid.
    #[prost(uint32, tag = "1")]
    pub relation: u32,
    /// `relfilenode`: another one after a rewrite, a TRUNCATE or a VACUUM FULL. 0 for a partitioned table.
    #[prost(uint32, tag = "2")]
    pub file: u32,
    /// Those that the stream carries, by number.
    #[prost(message, repeated, tag = "3")]
    pub columns: Vec<ColumnEntry>,
    /// By what its rows are told apart in effect: 1 key, 2 full, 3 nothing.
    #[prost(uint32, tag = "4")]
    pub identity: u32,
    /// The key's columns (`attnum`), in the order of its index.
    #[prost(int32, repeated, tag = "5")]
    pub key: Vec<i32>,
    /// Every partition below it, whatever its level, by oid.
    #[prost(message, repeated, tag = "6")]
    pub partitions: Vec<PartitionEntry>,
    /// The types of its columns that can be altered, by oid.
    #[prost(message, repeated, tag = "7")]
    pub types: Vec<TypeEntry>,
    /// Through what the publications carry it, in the order of their oids.
    #[prost(message, repeated, tag = "8")]
    pub carriers: Vec<CarrierEntry>,
    /// The highest `attnum` that was ever given: a column above it was added since.
    #[prost(int32, tag = "9")]
    pub columns_ever: i32,
    /// At a look since, no table had this name, or another one had it.
    #[prost(bool, tag = "10")]
    pub away: bool,
    /// Updates and deletes that the server had counted when its last copy began, where the stream tells of none.
    #[prost(uint64, tag = "11")]
    pub untold: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ColumnEntry {
    /// `attnum`, which a column keeps for life and no other column of the table ever gets.
    #[prost(int32, tag = "1")]
    pub number: i32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(uint32, tag = "3")]
    pub type_oid: u32,
    #[prost(int32, tag = "4")]
    pub modifier: i32,
    /// `xmin` of its row in `pg_attribute`: the transaction that defined it so.
    #[prost(uint32, tag = "5")]
    pub defined_by: u32,
    /// It has, and had when it was added, no default, at the table and at each partition: rows from before hold null in it.
    #[prost(bool, tag = "6")]
    pub null_before: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct PartitionEntry {
    #[prost(uint32, tag = "1")]
    pub relation: u32,
    #[prost(uint32, tag = "2")]
    pub file: u32,
    /// It was made as a partition of its parent, and so without rows: not made as a table and attached.
    #[prost(bool, tag = "4")]
    pub born: bool,
    /// `xmin` of its row in `pg_inherits`: the transaction that attached it.
    #[prost(uint32, tag = "5")]
    pub attached_by: u32,
}

/// A type that is not built in.
#[derive(Clone, PartialEq, Message)]
pub struct TypeEntry {
    #[prost(uint32, tag = "1")]
    pub oid: u32,
    /// Of an enum.
    #[prost(message, repeated, tag = "2")]
    pub labels: Vec<LabelEntry>,
    /// Of a composite: what the catalogue says of its attributes, with the transactions that defined each, dropped ones
    /// among them.
    #[prost(string, tag = "3")]
    pub attributes: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct LabelEntry {
    #[prost(uint32, tag = "1")]
    pub oid: u32,
    #[prost(string, tag = "2")]
    pub label: String,
    /// `xmin` of its row in `pg_enum`.
    #[prost(uint32, tag = "3")]
    pub defined_by: u32,
}

/// Rows of `pg_publication` and of what puts the table into it. Whoever alters either makes another row version; who drops
/// it and makes it again, another row.
#[derive(Clone, PartialEq, Message)]
pub struct CarrierEntry {
    #[prost(uint32, tag = "1")]
    pub publication: u32,
    #[prost(uint32, tag = "2")]
    pub publication_xmin: u32,
    /// Of `pg_publication_rel` or `pg_publication_namespace`; 0 with FOR ALL TABLES.
    #[prost(uint32, tag = "3")]
    pub member: u32,
    #[prost(uint32, tag = "4")]
    pub member_xmin: u32,
    /// FOR ALL TABLES or whole schemas: the server does not keep such a table from being unlogged for a while.
    #[prost(bool, tag = "5")]
    pub wide: bool,
    /// Of a whole schema: the transaction that put the table there, as `pg_depend` has it.
    #[prost(uint32, tag = "6")]
    pub placed_by: u32,
}

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        [&[VERSION][..], &self.encode_to_vec()].concat()
    }

    /// `None`: another version wrote it, so it says nothing.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, fields) = bytes.split_first()?;
        (*version == VERSION).then(|| Message::decode(fields).ok())?
    }

    pub fn identity_number(identity: Identity) -> u32 {
        match identity {
            Identity::Key => 1,
            Identity::Full => FULL,
            Identity::Nothing => NOTHING,
        }
    }

    /// Its rows are in its partitions alone.
    pub fn is_partitioned(&self) -> bool {
        self.file == 0
    }

    pub fn has_partition(&self, relation: u32) -> bool {
        self.partitions.iter().any(|partition| partition.relation == relation)
    }

    pub fn is_full(&self) -> bool {
        self.identity == FULL
    }

    pub fn is_told_apart(&self) -> bool {
        self.identity != NOTHING
    }

    pub fn key_names(&self) -> Vec<&str> {
        let name = |number: &i32| self.columns.iter().find(|column| column.number == *number);
        self.key.iter().filter_map(name).map(|column| &*column.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_it_always_was_and_of_another_version_says_nothing() {
        let entry = Entry {
            relation: 1,
            file: 2,
            columns: vec![ColumnEntry {
                number: 1,
                name: "a".into(),
                type_oid: 20,
                modifier: -1,
                defined_by: 7,
                null_before: true,
            }],
            identity: 1,
            key: vec![1],
            partitions: vec![PartitionEntry { relation: 3, file: 4, born: true, attached_by: 16 }],
            types: vec![TypeEntry {
                oid: 6,
                labels: vec![LabelEntry { oid: 8, label: "b".into(), defined_by: 17 }],
                attributes: "c".into(),
            }],
            carriers: vec![CarrierEntry {
                publication: 9,
                publication_xmin: 10,
                member: 11,
                member_xmin: 12,
                wide: true,
                placed_by: 18,
            }],
            columns_ever: 15,
            away: true,
            untold: 19,
        };
        let bytes = entry.encode();
        let golden = b"\x02\x08\x01\x10\x02\x1a\x16\x08\x01\x12\x01a\x18\x14\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x28\x07\x30\x01\
            \x20\x01\x2a\x01\x01\x32\x08\x08\x03\x10\x04\x20\x01\x28\x10\x3a\x0e\x08\x06\x12\x07\x08\x08\x12\x01b\x18\x11\x1a\x01c\
            \x42\x0c\x08\x09\x10\x0a\x18\x0b\x20\x0c\x28\x01\x30\x12\x48\x0f\x50\x01\x58\x13";
        assert_eq!(bytes, golden);
        assert_eq!(Entry::decode(&bytes), Some(entry));
        assert_eq!((Entry::decode(b"\x01\x08\x01"), Entry::decode(b"")), (None, None));
    }
}
