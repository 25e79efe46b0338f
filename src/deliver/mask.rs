//! One change as a subject may see it: in, out, into or out of what it sees, and of every image the fields that it may.
//!
//! "What it last saw" is the row before, under the same grants. A row before that is not known was not seen.

use super::filter::Unreadable;
use super::view::Part;
use crate::wire::api::v1::{Change, FieldSet, Op};
use crate::wire::fields::{Fields, Malformed};
use bytes::Bytes;
use std::collections::BTreeSet;

#[cfg(test)]
mod tests;

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// The change as `part` shows it; `None` when it shows nothing of it.
///
/// # Errors
/// [`Unreadable`].
pub fn mask(change: Change, part: &Part) -> Result<Option<Change>, Unreadable> {
    match change.op() {
        Op::Insert | Op::Read => {
            let after = seen(part, change.after.as_ref(), &change.unchanged)?;
            let Some(fields) = after else { return Ok(None) };
            Ok(Some(whole(&change, change.op(), &fields)?))
        }
        Op::Update => update(change, part),
        Op::Delete => {
            let Some(fields) = seen(part, change.before.as_ref(), &change.before_unknown)? else { return Ok(None) };
            Ok(Some(Change {
                before: only(change.before.as_ref(), &fields)?,
                before_unknown: within(&change.before_unknown, &fields),
                ..bare(&change, Op::Delete)
            }))
        }
        Op::Truncate => Ok(Some(Change { truncate: change.truncate, ..bare(&change, Op::Truncate) })),
        // Nobody journals these.
        Op::Unspecified | Op::Created | Op::LeftScope => Err(Unreadable),
    }
}

fn update(mut change: Change, part: &Part) -> Result<Option<Change>, Unreadable> {
    if part.is_complete {
        fill(&mut change)?;
    }
    let before = seen(part, change.before.as_ref(), &change.before_unknown)?;
    let after = seen(part, change.after.as_ref(), &change.unchanged)?;
    match (before, after) {
        (None, None) => Ok(None),
        (None, Some(fields)) => Ok(Some(whole(&change, Op::Created, &fields)?)),
        (Some(_), None) => {
            Ok(Some(Change { before: only(change.before.as_ref(), &part.key)?, ..bare(&change, Op::LeftScope) }))
        }
        (Some(before), Some(after)) => {
            let seen = Change {
                before: only(change.before.as_ref(), &before)?,
                before_unknown: within(&change.before_unknown, &before),
                updated: updated(&change, &before, &after)?,
                ..whole(&change, Op::Update, &after)?
            };
            Ok((!is_nothing(&seen)).then_some(seen))
        }
    }
}

/// Fields that the update left out are what they were before, where that is known.
fn fill(change: &mut Change) -> Result<(), Unreadable> {
    let (Some(after), Some(before)) = (&change.after, &change.before) else { return Ok(()) };
    if change.unchanged.is_empty() {
        return Ok(());
    }
    let (row, left) = crate::wire::row::merge(after, &change.unchanged, before, &change.before_unknown)?;
    change.after = Some(row);
    change.unchanged = left;
    Ok(())
}

/// What may be seen of a row: nothing at all if no grant admits it. `missing`: fields that it does not have.
fn seen(part: &Part, row: Option<&Bytes>, missing: &[u32]) -> Result<Option<BTreeSet<u32>>, Unreadable> {
    let mut fields: Option<BTreeSet<u32>> = None;
    for grant in &part.grants {
        let admits = match (&grant.rows, row) {
            (None, _) => true,
            (Some(rows), Some(row)) => rows.admit(row, missing)?,
            (Some(_), None) => false,
        };
        if admits {
            fields.get_or_insert_with(BTreeSet::new).extend(&grant.shown);
        }
    }
    Ok(fields)
}

/// Nothing but where it stands.
fn bare(change: &Change, op: Op) -> Change {
    Change { schema_id: change.schema_id, op: op.into(), ordinal: change.ordinal, ..Change::default() }
}

/// With the row as it is afterwards.
fn whole(change: &Change, op: Op, fields: &BTreeSet<u32>) -> Result<Change, Unreadable> {
    let after = only(change.after.as_ref(), fields)?;
    Ok(Change { after, unchanged: within(&change.unchanged, fields), ..bare(change, op) })
}

fn only(row: Option<&Bytes>, fields: &BTreeSet<u32>) -> Result<Option<Bytes>, Unreadable> {
    let Some(row) = row else { return Ok(None) };
    let mut kept = Fields::of(row).collect::<Result<Vec<_>, _>>()?;
    kept.retain(|field| fields.contains(&field.number));
    // In one order, so that rows that are the same look the same.
    kept.sort_by_key(|field| field.number);
    Ok(Some(kept.iter().map(|field| field.span).collect::<Vec<_>>().concat().into()))
}

fn within(numbers: &[u32], fields: &BTreeSet<u32>) -> Vec<u32> {
    numbers.iter().copied().filter(|number| fields.contains(number)).collect()
}

/// Which fields differ between what is seen before and after: of those seen in both the ones that changed, of the others the
/// ones that have a value where they are seen. A field that is seen in neither is never named.
fn updated(change: &Change, before: &BTreeSet<u32>, after: &BTreeSet<u32>) -> Result<Option<FieldSet>, Unreadable> {
    let Some(updated) = &change.updated else { return Ok(None) };
    let mut fields: BTreeSet<u32> =
        updated.fields.iter().copied().filter(|number| before.contains(number) && after.contains(number)).collect();
    for (row, seen, other) in [(&change.before, before, after), (&change.after, after, before)] {
        for field in Fields::of(row.as_deref().unwrap_or_default()) {
            let number = field?.number;
            if seen.contains(&number) && !other.contains(&number) {
                fields.insert(number);
            }
        }
    }
    Ok(Some(FieldSet { fields: fields.into_iter().collect() }))
}

/// An update that changes nothing that is seen would tell that something else changed.
fn is_nothing(seen: &Change) -> bool {
    let is_known = seen.before.is_some() && seen.before_unknown.is_empty() && seen.unchanged.is_empty();
    let is_same = is_known && seen.before == seen.after;
    is_same || seen.updated.as_ref().is_some_and(|updated| updated.fields.is_empty())
}
