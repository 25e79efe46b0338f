//! Verdicts: what becomes of a field that a system changed. Its owner's change is published; another's is withheld.

use super::record::{Counts, Side, Verdicts, Withheld};
use super::rule::Rule;
use crate::model::name::SystemName;
use crate::model::position::Sequence;
use crate::model::time::UnixMicros;

/// How many withheld changes are kept for people to look at.
const WITHHELD_MAX: usize = 100;

/// A system's change of a root.
pub struct Changed<'a> {
    pub source: u8,
    pub before: Option<&'a Side>,
    pub after: &'a Side,
}

/// The transaction that it is of.
pub struct Moment {
    pub sequence: Sequence,
    pub commit_time: UnixMicros,
}

/// Counts what a change comes to. `owner`: what the field's owner says of the same entity, if it knows it.
pub fn count<'s>(
    rule: &Rule,
    counts: &mut Counts,
    changed: &Changed<'_>,
    owner: impl Fn(u8) -> Option<&'s Side>,
    moment: &Moment,
) {
    let system = rule.system(changed.source);
    for (place, field) in rule.entity.fields.iter().enumerate() {
        let parts = || rule.parts.iter().enumerate().filter(move |(_, part)| part.field == place);
        let cell = |side: &Side, at: usize| side.cells.get(at).and_then(|cell| cell.cell.clone());
        let same = |side: &Side, at: usize| side.cells.get(at).and_then(|cell| cell.same.clone());
        let is_changed = |at: usize| {
            let before = changed.before.and_then(|before| cell(before, at));
            before != cell(changed.after, at)
        };
        if !parts().any(|(at, _)| is_changed(at)) {
            continue;
        }
        let verdicts = verdicts(counts, &field.name, system);
        if field.owner == *system {
            verdicts.owned += 1;
            continue;
        }
        // A part that the system has no column for is no opinion of its.
        let theirs = parts().filter(|(_, part)| part.mapped[usize::from(changed.source)].is_some());
        let agrees = |(at, part): (usize, &super::rule::OwnedPart)| {
            owner(part.owner).is_some_and(|owner| same(owner, at) == same(changed.after, at))
        };
        if theirs.into_iter().all(agrees) {
            verdicts.noop += 1;
            continue;
        }
        verdicts.foreign += 1;
        counts.withheld.push(Withheld {
            id: changed.after.id,
            system: system.to_string(),
            key: changed.after.key.clone(),
            field: field.name.clone(),
            sequence: moment.sequence.0,
            commit_time: moment.commit_time.0,
        });
        let too_many = counts.withheld.len().saturating_sub(WITHHELD_MAX);
        counts.withheld.drain(..too_many);
    }
}

fn verdicts<'c>(counts: &'c mut Counts, field: &str, system: &SystemName) -> &'c mut Verdicts {
    let is_it = |known: &Verdicts| known.field == field && known.system == system.as_str();
    let at = counts.verdicts.iter().position(is_it).unwrap_or_else(|| {
        counts.verdicts.push(Verdicts { field: field.to_owned(), system: system.to_string(), ..Default::default() });
        counts.verdicts.len() - 1
    });
    &mut counts.verdicts[at]
}
