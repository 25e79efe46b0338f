//! Which table a Relation message of the stream speaks of, and what it gives away of things that happened between two looks.
//!
//! The message is history: it has the name, the columns and the replica identity of the moment of its rows. Before the first
//! row of a partition pgoutput describes the table that it travels as and, directly behind that, the partition itself
//! (maybe_send_schema in pgoutput.c). No row ever comes under the second.

use super::catalogue::Entry;
use super::catalogue::difference::{Kind, Suspicion};
use super::kept::Kept;
use crate::decode::postgres::message::Relation;
use crate::model::name::TableName;

/// What a message means.
#[derive(Default)]
pub struct Origin {
    /// It describes a partition of the table that was described before it.
    pub is_partition: bool,
    /// Tables whose rows may be others than their events said.
    pub suspicions: Vec<(TableName, Suspicion)>,
}

/// The table above, by what is kept of it, if the relation is no partition of it that is known.
pub fn unknown_partition(relation: &Relation<'_>, above: Option<u32>, kept: &Kept) -> Option<TableName> {
    let (name, root) = kept.of_relation(above?).filter(|(_, entry)| entry.is_partitioned())?;
    (!root.has_partition(relation.id)).then_some(name)
}

/// `above`: the relation described just before, if no row has come since.
pub fn judge(relation: &Relation<'_>, name: &TableName, above: Option<u32>, kept: &Kept) -> Origin {
    let above = above.and_then(|above| kept.of_relation(above)).filter(|(_, entry)| entry.is_partitioned());
    let mut origin = Origin::default();
    let mut suspect = |table: &TableName, kind, why: &str| {
        origin.suspicions.push((table.clone(), Suspicion { kind, why: why.to_owned() }));
    };
    match &above {
        Some((root, entry)) if entry.has_partition(relation.id) => {
            if !logs_enough(relation, entry) {
                suspect(root, Kind::Identity, "a partition had another replica identity for a while");
            }
            return Origin { is_partition: true, ..origin };
        }
        // Or both are in one TRUNCATE, after which a copy costs little.
        Some((root, _)) => suspect(root, Kind::Partition, "a partition was attached for a while"),
        None => {}
    }
    if let Some((table, _)) = kept.of_relation(relation.id).filter(|(table, _)| table != name) {
        suspect(&table, Kind::Replaced, "it had another name for a while");
    }
    if kept.get(name).is_some_and(|entry| entry.relation != relation.id) {
        suspect(name, Kind::Replaced, "another table had its name for a while");
    }
    origin
}

/// Whether old rows of a partition have all by which the rows of its table are told apart.
fn logs_enough(partition: &Relation<'_>, root: &Entry) -> bool {
    const FULL: u8 = b'f';
    let names = root.key_names();
    let has = |name: &&str| partition.columns.iter().any(|column| column.key && column.name == *name);
    partition.replica_identity == FULL || !root.is_told_apart() || !root.is_full() && names.iter().all(has)
}
