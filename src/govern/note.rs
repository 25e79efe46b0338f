//! What the notes of an entity are called: its name, a kind, and parts that each know their length.
//!
//! All but the ids are made again from copies when the contract changes.

use crate::model::name::SystemName;

const STATE: u8 = b's';
const COUNTS: u8 = b'c';
const ROW: u8 = b'r';
const CHILD: u8 = b'h';
const PARENT: u8 = b'p';
const DIRTY: u8 = b'd';
const SIDE: u8 = b'v';
const MATCH: u8 = b'm';
const TOUCHED: u8 = b't';
const ONE: u8 = b'g';
const NEXT_ID: u8 = b'n';
const ID: u8 = b'k';

/// What is made again.
const MADE: [u8; 8] = [ROW, CHILD, PARENT, DIRTY, SIDE, MATCH, TOUCHED, ONE];

/// Which entities are governed. No entity's name begins so.
pub const GOVERNED: &[u8] = b"=governed";
/// How far the transaction under way has come.
pub const PART: &[u8] = b"=part";

/// Names the notes of one entity.
#[derive(Debug, Clone)]
pub struct Names(Vec<u8>);

impl Names {
    pub fn of(entity: &str) -> Self {
        Self([entity.as_bytes(), &[0]].concat())
    }

    fn name(&self, kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut name = self.0.clone();
        name.push(kind);
        for part in parts {
            // A key is a row's, and a row is shorter than 4 GiB.
            name.extend_from_slice(&(part.len() as u32).to_be_bytes());
            name.extend_from_slice(part);
        }
        name
    }

    /// Everything that a new start makes again, by prefixes.
    pub fn made(&self) -> impl Iterator<Item = Vec<u8>> {
        MADE.into_iter().map(|kind| self.name(kind, &[]))
    }

    pub fn state(&self) -> Vec<u8> {
        self.name(STATE, &[])
    }

    pub fn counts(&self) -> Vec<u8> {
        self.name(COUNTS, &[])
    }

    /// The next id that was never given.
    pub fn next_id(&self) -> Vec<u8> {
        self.name(NEXT_ID, &[])
    }

    /// The image of a table's row.
    pub fn row(&self, table: u8, key: &[u8]) -> Vec<u8> {
        self.name(ROW, &[&[table], key])
    }

    pub fn rows(&self, table: u8) -> Vec<u8> {
        self.name(ROW, &[&[table]])
    }

    /// A joined table's row, by what it is joined on.
    pub fn child(&self, table: u8, on: &[u8], key: &[u8]) -> Vec<u8> {
        self.name(CHILD, &[&[table], on, key])
    }

    pub fn children(&self, table: u8, on: &[u8]) -> Vec<u8> {
        self.name(CHILD, &[&[table], on])
    }

    /// A root, by what it joins that table on.
    pub fn parent(&self, table: u8, on: &[u8], root: &[u8]) -> Vec<u8> {
        self.name(PARENT, &[&[table], on, root])
    }

    pub fn parents(&self, table: u8, on: &[u8]) -> Vec<u8> {
        self.name(PARENT, &[&[table], on])
    }

    /// A root that is to be looked at, because something of it changed.
    pub fn dirty(&self, source: u8, root: &[u8]) -> Vec<u8> {
        self.name(DIRTY, &[&[source], root])
    }

    pub fn all_dirty(&self) -> Vec<u8> {
        self.name(DIRTY, &[])
    }

    /// What a system says of a root.
    pub fn side(&self, source: u8, root: &[u8]) -> Vec<u8> {
        self.name(SIDE, &[&[source], root])
    }

    /// A root, by what identifies it.
    pub fn matching(&self, identity: u8, value: &[u8], source: u8, root: &[u8]) -> Vec<u8> {
        self.name(MATCH, &[&[identity], value, &[source], root])
    }

    pub fn matching_of(&self, identity: u8, value: &[u8], source: u8) -> Vec<u8> {
        self.name(MATCH, &[&[identity], value, &[source]])
    }

    /// A value that roots may agree in now, or do no more.
    pub fn touched(&self, identity: u8, value: &[u8]) -> Vec<u8> {
        self.name(TOUCHED, &[&[identity], value])
    }

    pub fn all_touched(&self) -> Vec<u8> {
        self.name(TOUCHED, &[])
    }

    /// Which roots one entity is made of.
    pub fn one(&self, id: u64) -> Vec<u8> {
        self.name(ONE, &[&id.to_be_bytes()])
    }

    pub fn all(&self) -> Vec<u8> {
        self.name(ONE, &[])
    }

    /// The id that a root has had since it was first seen.
    pub fn id(&self, system: &SystemName, root: &[u8]) -> Vec<u8> {
        self.name(ID, &[system.as_str().as_bytes(), root])
    }

    pub fn ids(&self, system: &SystemName) -> Vec<u8> {
        self.name(ID, &[system.as_str().as_bytes()])
    }
}

/// The last `N` parts of a note's name.
pub fn last_parts<const N: usize>(name: &[u8], prefix: &[u8]) -> Option<[Vec<u8>; N]> {
    let mut rest = name.strip_prefix(prefix)?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        parts.push(part.to_vec());
        rest = after;
    }
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_notes_have_one_name_and_parts_come_back() {
        let names = Names::of("customer");
        assert_ne!(names.child(1, b"ab", b"c"), names.child(1, b"a", b"bc"));
        assert!(names.child(1, b"ab", b"c").starts_with(&names.children(1, b"ab")));
        assert!(!names.child(1, b"ab", b"c").starts_with(&names.children(1, b"a")));
        assert!(!Names::of("customers").state().starts_with(&Names::of("customer").state()[..9]));
        let dirty = names.dirty(1, b"key");
        assert_eq!(last_parts(&dirty, &names.all_dirty()), Some([vec![1], b"key".to_vec()]));
    }
}
