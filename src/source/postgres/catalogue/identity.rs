//! By what a table's rows are told apart in effect. Pure.
//!
//! What the stream does not carry can be no identity: a key with a generated column is none. The rows of a partitioned table
//! are logged by its leaves, each with the replica identity of its own, but described as the root's: an identity holds for the
//! root only if every leaf logs at least that much (pgoutput.c sends the leaf's old row under the root's description).
//!
//! A partition whose rows are not in this server's log (unlogged, foreign) makes the whole table unfit: nothing tells when
//! they change.
//!
//! Surprise: since PostgreSQL 18 the server refuses an application's UPDATE where the replica identity has a generated column
//! that is not published, which FULL always has.

use super::read::Found;
use crate::model::code;
use crate::model::problem::Problem;
use crate::model::schema::Identity;

/// What a table or a partition declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// `relreplident`.
    pub setting: char,
    /// Names of the columns of the index behind it, in its order; with FULL those of the primary key.
    pub key: Vec<String>,
    pub key_is_generated: bool,
    pub has_generated: bool,
}

/// What comes of it. An unfit table whose rows are told apart has rows that the log does not tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    pub identity: Identity,
    pub key: Vec<String>,
    /// Why the table is not captured whole, with the SQL that changes that.
    pub unfit: Option<Problem>,
}

/// From this version on an UPDATE fails where the identity has an unpublished generated column.
const REFUSES_GENERATED: u32 = 180_000;

pub fn judge(found: &Found, below: &[&Found], version: u32, generated_are_published: bool) -> Fit {
    let fit = told_apart(found, below, version, generated_are_published);
    let unlogged = || below.iter().find_map(|partition| unlogged(partition));
    Fit { unfit: fit.unfit.or_else(unlogged), ..fit }
}

fn told_apart(found: &Found, below: &[&Found], version: u32, generated_are_published: bool) -> Fit {
    let refused = |declared: &Declared| {
        let full = declared.setting == 'f' && declared.has_generated;
        full && version >= REFUSES_GENERATED && !generated_are_published
    };
    let unfit = |why: String| Fit {
        identity: Identity::Nothing,
        key: Vec::new(),
        unfit: Some(Problem::new(code::IDENTITY_UNFIT, why)),
    };
    let own = effective(&found.declared);
    let key = if found.declared.key_is_generated { Vec::new() } else { found.declared.key.clone() };
    if refused(&found.declared) {
        return unfit(format!(
            "replica identity FULL has a generated column, with which this server refuses the application's UPDATE; \
             give {} a primary key without one and REPLICA IDENTITY DEFAULT",
            found.name
        ));
    }
    if found.declared.key_is_generated && found.declared.setting != 'f' {
        return unfit(format!(
            "its key has a generated column, which the log does not carry; ALTER TABLE {} REPLICA IDENTITY FULL, or give \
             it a key without one",
            found.name
        ));
    }
    for leaf in below.iter().filter(|leaf| leaf.kind == 'r') {
        let logs_enough = match (&own, effective(&leaf.declared)) {
            (Effective::Nothing, _) | (_, Effective::Full) => true,
            (Effective::Key, Effective::Key) => found.declared.key.iter().all(|name| leaf.declared.key.contains(name)),
            (Effective::Key, Effective::Nothing) | (Effective::Full, _) => false,
        };
        if !logs_enough || refused(&leaf.declared) {
            return unfit(format!(
                "its partition {} has another replica identity; make it the same as the table's: \
                 ALTER TABLE {} REPLICA IDENTITY …",
                leaf.name, leaf.name
            ));
        }
    }
    let identity = match own {
        Effective::Full => Identity::Full,
        Effective::Key => Identity::Key,
        Effective::Nothing => return Fit { identity: Identity::Nothing, key: Vec::new(), unfit: None },
    };
    Fit { identity, key, unfit: None }
}

/// Why the log says nothing of a partition's rows.
fn unlogged(partition: &Found) -> Option<Problem> {
    let name = &partition.name;
    let why = match partition.kind {
        'f' => format!(
            "its partition {name} is a foreign table, whose rows are in another server's log; DETACH it, or exclude the table"
        ),
        'r' if !partition.permanent => {
            format!("the rows of its partition {name} are not logged; ALTER TABLE {name} SET LOGGED")
        }
        _ => return None,
    };
    Some(Problem::new(code::TABLE_NOT_LOGGED, why))
}

#[derive(Debug, PartialEq)]
enum Effective {
    Full,
    Key,
    Nothing,
}

fn effective(declared: &Declared) -> Effective {
    match declared.setting {
        'f' => Effective::Full,
        'd' | 'i' if !declared.key.is_empty() && !declared.key_is_generated => Effective::Key,
        _ => Effective::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::TableName;

    fn found(setting: char, key: &[&str]) -> Found {
        let key = key.iter().map(|name| (*name).to_owned()).collect();
        let declared = Declared { setting, key, key_is_generated: false, has_generated: false };
        let name = TableName::new("public", "t");
        Found {
            oid: 1,
            name,
            schema_oid: 1,
            writes: 0,
            columns_ever: 0,
            kind: 'r',
            permanent: true,
            parent: None,
            attached_by: 0,
            placed_by: 0,
            file: 1,
            declared,
        }
    }

    fn generated(setting: char, key: &[&str], in_key: bool) -> Found {
        let plain = found(setting, key);
        let declared = Declared { key_is_generated: in_key, has_generated: true, ..plain.declared.clone() };
        Found { declared, ..plain }
    }

    fn identity(found: &Found, leaves: &[Found], version: u32) -> (Identity, usize) {
        let fit = judge(found, &leaves.iter().collect::<Vec<_>>(), version, false);
        assert!(fit.unfit.is_none() || fit.identity == Identity::Nothing && fit.key.is_empty());
        (fit.identity, fit.key.len())
    }

    #[test]
    fn a_key_that_the_stream_does_not_carry_whole_is_none() {
        assert_eq!(identity(&found('d', &["id"]), &[], 150_000), (Identity::Key, 1));
        assert_eq!(identity(&found('d', &[]), &[], 150_000), (Identity::Nothing, 0));
        assert_eq!(identity(&found('f', &[]), &[], 150_000), (Identity::Full, 0));
        assert_eq!(identity(&generated('d', &["id", "g"], true), &[], 150_000), (Identity::Nothing, 0));
        assert_eq!(identity(&generated('i', &["g"], true), &[], 150_000), (Identity::Nothing, 0));
        assert_eq!(identity(&generated('f', &["id", "g"], true), &[], 150_000), (Identity::Full, 0), "whole rows");
        assert_eq!(identity(&generated('d', &["id"], false), &[], 180_000), (Identity::Key, 1));
        assert_eq!(identity(&generated('f', &["id"], false), &[], 170_000), (Identity::Full, 1));
        assert_eq!(identity(&generated('f', &["id"], false), &[], 180_000), (Identity::Nothing, 0));
    }

    #[test]
    fn an_identity_holds_for_a_partitioned_table_only_if_every_leaf_logs_as_much() {
        let of = |root: &Found, leaf: Found| identity(root, &[found('f', &["id"]), leaf], 150_000);
        let (keyed, full) = (found('d', &["id"]), found('f', &["id"]));
        assert_eq!(of(&keyed, found('d', &["id"])), (Identity::Key, 1));
        assert_eq!(of(&keyed, found('i', &["n", "id"])), (Identity::Key, 1), "more than the key");
        assert_eq!(of(&keyed, found('i', &["n"])), (Identity::Nothing, 0));
        assert_eq!(of(&keyed, found('n', &[])), (Identity::Nothing, 0));
        assert_eq!(of(&full, found('f', &[])), (Identity::Full, 1));
        assert_eq!(of(&full, found('d', &["id"])), (Identity::Nothing, 0));
        assert_eq!(of(&found('d', &[]), found('n', &[])), (Identity::Nothing, 0));
        for leaf in [Found { permanent: false, ..found('d', &["id"]) }, Found { kind: 'f', ..found('d', &[]) }] {
            let fit = judge(&keyed, &[&leaf], 150_000, false);
            assert!(fit.unfit.is_some() && fit.identity == Identity::Key, "as soon as it is logged, all is as before");
        }
    }
}
