//! Keys: a kind byte, then big-endian ids or names, so that byte order is log order.
//!
//! Kinds are append-only: a retired kind's number is never given again, so an old journal is never misread.

use crate::model::name::{SystemName, TableName};
use crate::model::position::Sequence;
use crate::model::schema::SchemaId;

const META: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const SCHEMA: u8 = 4;
const CHECKPOINT: u8 = 5;
const SUBSCRIPTION: u8 = 6;
const STAGED: u8 = 7;
const TABLE: u8 = 8;
const COPY: u8 = 9;
const NOTE: u8 = 10;
const CATALOGUE: u8 = 11;

/// Format version, epoch and seal key.
pub(super) const IDENTITY: [u8; 2] = [META, 1];
/// The low-water mark with the chain's anchor.
pub(super) const MARK: [u8; 2] = [META, 2];
/// How far body ids are reserved.
pub(super) const BODY_IDS: [u8; 2] = [META, 3];

pub(super) const SCHEMAS: [u8; 1] = [SCHEMA];
pub(super) const CHECKPOINTS: [u8; 1] = [CHECKPOINT];
pub(super) const SUBSCRIPTIONS: [u8; 1] = [SUBSCRIPTION];
pub(super) const STAGED_ALL: [u8; 1] = [STAGED];
pub(super) const TABLES: [u8; 1] = [TABLE];
pub(super) const COPIES: [u8; 1] = [COPY];
pub(super) const CATALOGUES: [u8; 1] = [CATALOGUE];

/// One body's number: taken when its first chunk arrives, never given again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct BodyId(pub u64);

/// `HEADER | sequence`.
pub(super) fn header(sequence: Sequence) -> [u8; 9] {
    numbered(HEADER, sequence.0)
}

/// The sequence in a header's key; `None` for any other key.
pub(super) fn header_sequence(key: &[u8]) -> Option<Sequence> {
    number(HEADER, key).map(Sequence)
}

/// `BODY | body id | chunk number`, in the column family of bodies.
pub(super) fn body(id: BodyId, chunk: u32) -> [u8; 13] {
    let mut key = [BODY; 13];
    key[1..9].copy_from_slice(&id.0.to_be_bytes());
    key[9..].copy_from_slice(&chunk.to_be_bytes());
    key
}

/// The body in a chunk's key; `None` for any other key.
pub(super) fn body_id(key: &[u8]) -> Option<BodyId> {
    let (id, _chunk) = key.split_at_checked(9)?;
    number(BODY, id).map(BodyId)
}

pub(super) fn schema(id: SchemaId) -> [u8; 5] {
    let mut key = [SCHEMA; 5];
    key[1..].copy_from_slice(&id.0.to_be_bytes());
    key
}

pub(super) fn checkpoint(system: &SystemName) -> Vec<u8> {
    named(CHECKPOINT, [system.as_str()])
}

pub(super) fn subscription(name: &str) -> Vec<u8> {
    named(SUBSCRIPTION, [name])
}

pub(super) fn staged(id: BodyId) -> [u8; 9] {
    numbered(STAGED, id.0)
}

pub(super) fn staged_body(key: &[u8]) -> Option<BodyId> {
    number(STAGED, key).map(BodyId)
}

/// `TABLE | system \0 schema \0 table`: no database lets a zero byte into an identifier.
pub(super) fn table(system: &SystemName, name: &TableName) -> Vec<u8> {
    named(TABLE, [system.as_str(), "\0", &name.schema, "\0", &name.table])
}

/// `COPY | system \0 schema \0 table`.
pub(super) fn copy(system: &SystemName, name: &TableName) -> Vec<u8> {
    named(COPY, [system.as_str(), "\0", &name.schema, "\0", &name.table])
}

/// `CATALOGUE | system \0 schema \0 table`.
pub(super) fn catalogue(system: &SystemName, name: &TableName) -> Vec<u8> {
    named(CATALOGUE, [system.as_str(), "\0", &name.schema, "\0", &name.table])
}

/// `NOTE | ` what its owner calls it.
pub(super) fn note(name: &[u8]) -> Vec<u8> {
    [&[NOTE], name].concat()
}

/// What the owner of a note calls it.
pub(super) fn note_name(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(&[NOTE])
}

/// The first key after all keys that begin with `prefix`, which is not all `0xFF`.
pub(super) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    end
}

/// The first key after all keys of a kind.
pub(super) fn after_kind(kind: [u8; 1]) -> [u8; 1] {
    kind.map(|byte| byte.saturating_add(1))
}

fn numbered(kind: u8, id: u64) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

fn number(kind: u8, key: &[u8]) -> Option<u64> {
    let (first, rest) = key.split_first()?;
    (*first == kind).then_some(())?;
    Some(u64::from_be_bytes(rest.try_into().ok()?))
}

fn named<const N: usize>(kind: u8, parts: [&str; N]) -> Vec<u8> {
    let mut key = vec![kind];
    parts.iter().for_each(|part| key.extend_from_slice(part.as_bytes()));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_they_always_were_and_sort_as_the_log_runs() {
        assert_eq!(header(Sequence(258)), [2, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(body(BodyId(1), 2), [3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(schema(SchemaId(7)), [4, 0, 0, 0, 7]);
        assert_eq!(staged(BodyId(9)), [7, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(subscription("a"), [6, b'a']);
        let crm = SystemName::new("crm").expect("a name");
        assert_eq!(checkpoint(&crm), b"\x05crm");
        assert_eq!(table(&crm, &TableName::new("public", "t")), b"\x08crm\0public\0t");
        assert_eq!(copy(&crm, &TableName::new("public", "t")), b"\x09crm\0public\0t");
        assert_eq!(note(b"ab"), b"\x0aab");
        assert_eq!(catalogue(&crm, &TableName::new("public", "t")), b"\x0bcrm\0public\0t");
        assert_eq!(after_prefix(b"\x0aa\xff\xff"), b"\x0ab");
        assert!(header(Sequence(255)) < header(Sequence(256)));
        assert!(body(BodyId(1), u32::MAX) < body(BodyId(2), 0));
        assert_eq!(header_sequence(&header(Sequence(5))), Some(Sequence(5)));
        assert_eq!(header_sequence(&staged(BodyId(5))), None);
    }
}
