//! What may have happened to a table's rows between two looks at the catalogue. Pure.
//!
//! The rule: what is not provably the same is another. Value-preserving are a dropped column, a wider limit of the same type,
//! a label added to an enum, a column added without a default, a partition that was born as one, and a table (no partition)
//! that was only moved to another file.
//!
//! Surprise: two looks cannot tell ALTER COLUMN … TYPE bigint USING c * 100 of a bigint from a TRUNCATE by the file alone, and
//! not from SET STATISTICS by the column's row alone. It is the only statement that leaves another one of both.

use super::entry::{ColumnEntry, Entry, PartitionEntry, TypeEntry};

/// Why a table is to be copied again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// For metrics.
    pub kind: Kind,
    /// For people.
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is kept of it, or nothing that this version reads.
    Unknown,
    /// It was not captured before.
    Joined,
    /// Another table has its name.
    Replaced,
    Column,
    Type,
    Partition,
    /// Its rows were written anew.
    Rewritten,
    Publication,
    Identity,
    /// A value of it cannot be passed on.
    Unreadable,
}

impl Kind {
    /// A metric's label: append-only.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Joined => "joined",
            Self::Replaced => "replaced",
            Self::Column => "column",
            Self::Type => "type",
            Self::Partition => "partition",
            Self::Rewritten => "rewritten",
            Self::Publication => "publication",
            Self::Identity => "identity",
            Self::Unreadable => "unreadable",
        }
    }
}

fn suspicion(kind: Kind, why: impl Into<String>) -> Option<Suspicion> {
    Some(Suspicion { kind, why: why.into() })
}

/// `None`: every row of the table that was there and is there has the values that it had, but for what the stream tells.
pub fn between(kept: &Entry, now: &Entry) -> Option<Suspicion> {
    if kept.relation != now.relation {
        return suspicion(Kind::Replaced, "another table has its name now");
    }
    if kept.away {
        return suspicion(Kind::Replaced, "it had another name for a while");
    }
    if kept.carriers != now.carriers {
        return suspicion(Kind::Publication, "its publication was altered, or left it out for a while");
    }
    if now.untold < kept.untold {
        return suspicion(
            Kind::Identity,
            "the server counts its updates and deletes anew, and the stream tells of none",
        );
    }
    columns(kept, now)
        .or_else(|| types(&kept.types, &now.types))
        .or_else(|| partitions(&kept.partitions, &now.partitions))
        .or_else(|| files(kept, now))
        .or_else(|| identity(kept, now))
}

fn columns(kept: &Entry, now: &Entry) -> Option<Suspicion> {
    let column = |why: String| suspicion(Kind::Column, why);
    for before in &kept.columns {
        let name = &before.name;
        let Some(after) = now.columns.iter().find(|after| after.number == before.number) else {
            if now.columns.iter().any(|after| after.name == *name) {
                return column(format!("column {name:?} was dropped and added again"));
            }
            continue;
        };
        if after.name != *name {
            return column(format!("column {name:?} was renamed to {:?}", after.name));
        }
        if !is_kept(before, after) {
            return column(format!("column {name:?} has another type"));
        }
    }
    let is_new = |after: &&ColumnEntry| !kept.columns.iter().any(|before| before.number == after.number);
    // A default that was dropped again has left its values in files that were rewritten for it.
    // One that is not new was generated, and is so no more.
    let was_there = |after: &ColumnEntry| after.number <= kept.columns_ever;
    let has_values = |after: &&ColumnEntry| !after.null_before || was_there(after) || kept.file != now.file;
    let added = now.columns.iter().filter(is_new).find(has_values);
    added.and_then(|added| column(format!("column {:?} was added", added.name)))
}

/// Whether each value has the same text under the later type as under the earlier one.
fn is_kept(before: &ColumnEntry, after: &ColumnEntry) -> bool {
    const NUMERIC: u32 = 1700;
    const LIMITED: [u32; 6] = [1043, 1562, 1114, 1184, 1083, 1266]; // varchar, varbit, timestamp(tz), time(tz)
    if before.type_oid != after.type_oid {
        return before.type_oid == 1043 && after.type_oid == 25; // varchar as text
    }
    if before.modifier == after.modifier {
        return true;
    }
    match (before.type_oid, before.modifier, after.modifier) {
        (NUMERIC, 0.., -1) => true,
        // Precision in the high half, scale in the low one.
        (NUMERIC, 0.., 0..) => before.modifier & 0xFFFF == after.modifier & 0xFFFF && after.modifier > before.modifier,
        (oid, 0.., after) if LIMITED.contains(&oid) => after == -1 || after > before.modifier,
        _ => false,
    }
}

fn types(kept: &[TypeEntry], now: &[TypeEntry]) -> Option<Suspicion> {
    for before in kept {
        let Some(after) = now.iter().find(|after| after.oid == before.oid) else { continue };
        if before.attributes != after.attributes {
            return suspicion(Kind::Type, format!("a composite type (oid {}) of its columns was altered", before.oid));
        }
        // Also there and back: values were shown in between.
        let renamed = before.labels.iter().find(|label| !after.labels.contains(label));
        if let Some(label) = renamed {
            return suspicion(Kind::Type, format!("label {:?} of an enum of its columns was renamed", label.label));
        }
    }
    None
}

fn partitions(kept: &[PartitionEntry], now: &[PartitionEntry]) -> Option<Suspicion> {
    let partition = |why: &str| suspicion(Kind::Partition, why);
    for before in kept {
        let Some(after) = now.iter().find(|after| after.relation == before.relation) else {
            return partition("a partition was detached or dropped");
        };
        if before.attached_by != after.attached_by {
            return partition("a partition was detached and attached again");
        }
        // Its TRUNCATE does not travel, and nothing keeps it from being unlogged for a while.
        if before.file != after.file {
            return suspicion(Kind::Rewritten, "a partition was rewritten or truncated");
        }
    }
    let is_new = |after: &&PartitionEntry| !kept.iter().any(|before| before.relation == after.relation);
    match now.iter().filter(is_new).find(|after| !is_empty_from_birth(after)) {
        Some(_) => partition("a partition was attached"),
        None => None,
    }
}

/// What was rewritten since its birth may have been unlogged until then. (A table's first file has the number of its oid.)
fn is_empty_from_birth(partition: &PartitionEntry) -> bool {
    partition.born && partition.file == partition.relation
}

fn files(kept: &Entry, now: &Entry) -> Option<Suspicion> {
    let is_wide = now.carriers.iter().any(|carrier| carrier.wide);
    if is_wide && kept.file != now.file {
        return suspicion(Kind::Rewritten, "it was rewritten, and may have been unlogged for a while");
    }
    let redefined = |before: &ColumnEntry| {
        now.columns.iter().any(|after| after.number == before.number && after.defined_by != before.defined_by)
    };
    let rewritten = kept.file != now.file && kept.columns.iter().any(redefined);
    if rewritten { suspicion(Kind::Rewritten, "its rows were rewritten") } else { None }
}

/// Of rows that were told apart in another way, some changes may have named no row, or the wrong one.
fn identity(kept: &Entry, now: &Entry) -> Option<Suspicion> {
    let is_same = kept.identity == now.identity && kept.key == now.key;
    if is_same { None } else { suspicion(Kind::Identity, "its replica identity or its key is another") }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{CarrierEntry, LabelEntry};
    use super::*;

    fn entry() -> Entry {
        let column = |(number, name, type_oid, modifier): (i32, &str, u32, i32)| ColumnEntry {
            number,
            name: name.to_owned(),
            type_oid,
            modifier,
            defined_by: 100,
            null_before: false,
        };
        Entry {
            relation: 1,
            file: 10,
            columns: [(1, "id", 20, -1), (2, "a", 1043, 14), (3, "b", 1043, 14), (4, "n", 1700, (12 << 16 | 2) + 4)]
                .map(column)
                .to_vec(),
            identity: 1,
            key: vec![1],
            partitions: vec![PartitionEntry { relation: 2, file: 20, born: true, attached_by: 4 }],
            types: vec![TypeEntry {
                oid: 7,
                labels: vec![LabelEntry { oid: 8, label: "new".into(), defined_by: 40 }],
                attributes: String::new(),
            }],
            carriers: vec![CarrierEntry {
                publication: 3,
                publication_xmin: 50,
                member: 4,
                member_xmin: 51,
                wide: false,
                placed_by: 0,
            }],
            columns_ever: 5,
            away: false,
            untold: 9,
        }
    }

    fn after(change: impl FnOnce(&mut Entry)) -> Option<Kind> {
        let mut now = entry();
        change(&mut now);
        between(&entry(), &now).map(|suspicion| suspicion.kind)
    }

    #[test]
    fn only_what_provably_keeps_every_value_is_followed() {
        assert_eq!(after(|_| {}), None);
        assert_eq!(after(|now| drop(now.columns.remove(2))), None, "a column dropped");
        assert_eq!(after(|now| now.columns[1].modifier = 24), None, "varchar(10) to varchar(20)");
        assert_eq!(after(|now| (now.columns[1].type_oid, now.columns[1].modifier) = (25, -1)), None, "to text");
        assert_eq!(after(|now| now.columns[3].modifier = (14 << 16 | 2) + 4), None, "a wider numeric");
        assert_eq!(after(|now| now.file = 11), None, "VACUUM FULL or TRUNCATE");
        assert_eq!(after(|now| now.columns[1].defined_by = 101), None, "SET STATISTICS");
        let added = LabelEntry { oid: 9, label: "newer".into(), defined_by: 41 };
        assert_eq!(after(|now| now.types[0].labels.push(added)), None, "a label added");
        let empty = ColumnEntry { number: 9, null_before: true, ..entry().columns[1].clone() };
        assert_eq!(after(|now| now.columns.push(empty.clone())), None, "a column added without a default");
        let generated = ColumnEntry { number: 5, ..empty.clone() };
        assert_eq!(after(|now| now.columns.push(generated)), Some(Kind::Column), "DROP EXPRESSION");
        let dropped = after(|now| (now.columns.push(empty), now.file = 11).1);
        assert_eq!(dropped, Some(Kind::Column), "its default may have been dropped again");
        let born = PartitionEntry { relation: 6, file: 6, born: true, attached_by: 6 };
        assert_eq!(after(|now| now.partitions.push(born.clone())), None, "a partition made as one");
        let unlogged = PartitionEntry { file: 7, ..born };
        assert_eq!(after(|now| now.partitions.push(unlogged)), Some(Kind::Partition), "unlogged at first");
    }

    #[test]
    fn everything_else_is_copied_again() {
        for (kind, change) in [
            (Kind::Replaced, Box::new(|now: &mut Entry| now.relation = 9) as Box<dyn FnOnce(&mut Entry)>),
            (Kind::Column, Box::new(|now| now.columns[1].number = 9)),
            (Kind::Column, Box::new(|now| now.columns[1].name = "c".into())),
            (Kind::Column, Box::new(|now| (now.columns[1].name, now.columns[2].name) = ("b".into(), "a".into()))),
            (Kind::Column, Box::new(|now| now.columns[1].modifier = 9)),
            (Kind::Column, Box::new(|now| now.columns[0].type_oid = 23)),
            (Kind::Column, Box::new(|now| now.columns[3].modifier = (12 << 16 | 3) + 4)),
            (Kind::Column, Box::new(|now| now.columns.push(ColumnEntry { number: 9, ..now.columns[1].clone() }))),
            (Kind::Rewritten, Box::new(|now| (now.file, now.columns[0].defined_by) = (11, 101))),
            (Kind::Rewritten, Box::new(|now| now.partitions[0].file = 21)),
            (Kind::Partition, Box::new(|now| now.partitions[0].attached_by = 9)),
            (Kind::Partition, Box::new(|now| now.partitions.clear())),
            (
                Kind::Partition,
                Box::new(|now| now.partitions.push(PartitionEntry { relation: 9, ..Default::default() })),
            ),
            (Kind::Type, Box::new(|now| now.types[0].labels[0].label = "old".into())),
            (Kind::Type, Box::new(|now| now.types[0].labels[0].defined_by = 44)),
            (Kind::Type, Box::new(|now| now.types[0].attributes = "x".into())),
            (Kind::Publication, Box::new(|now| now.carriers[0].publication_xmin = 60)),
            (Kind::Publication, Box::new(|now| now.carriers[0].member = 60)),
            (Kind::Publication, Box::new(|now| now.carriers[0].placed_by = 60)),
            (Kind::Publication, Box::new(|now| now.carriers.clear())),
            (Kind::Identity, Box::new(|now| now.untold = 3)),
            (Kind::Identity, Box::new(|now| now.identity = 2)),
            (Kind::Identity, Box::new(|now| now.key = vec![2])),
        ] {
            assert_eq!(after(change), Some(kind));
        }
        let away = Entry { away: true, ..entry() };
        assert_eq!(between(&away, &entry()).map(|suspicion| suspicion.kind), Some(Kind::Replaced), "and back");
        let mut wide = entry();
        wide.carriers[0].wide = true;
        let now = Entry { file: 11, ..wide.clone() };
        assert_eq!(between(&wide, &now).map(|suspicion| suspicion.kind), Some(Kind::Rewritten), "unlogged for a while");
    }
}
