//! What the changes of a transaction come to: for every entity that they were about, what it was and what it is.

use super::Fault;
use super::crosswalk::{Crosswalk, identities};
use super::event::{self, EntityRow};
use super::images::Images;
use super::memory::Memory;
use super::note::{Names, last_parts};
use super::record::{Counts, One, Side};
use super::verdict::{self, Changed, Moment};
use crate::model::schema::TableSchema;
use crate::wire::api::v1::Change;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// One that the changes were about, as it was before them.
struct Before {
    row: Option<EntityRow>,
    one: One,
}

/// A root that something changed of.
struct Dirty {
    source: u8,
    root: Vec<u8>,
    before: Option<Side>,
    after: Option<Side>,
}

/// Settles roots that were marked, `roots_max` of them at most, and gives what changed of the entities. `moment`: of the
/// transaction; `None` while entities are made for the first time, which changes nothing of theirs.
pub fn settle(
    images: &mut Images<'_>,
    schema: &TableSchema,
    counts: &mut Counts,
    moment: Option<&Moment>,
    roots_max: usize,
) -> Result<Vec<Change>, Fault> {
    let mut dirty = take_dirty(images, roots_max)?;
    let (rule, names) = (images.rule, images.names);
    let mut befores = BTreeMap::new();
    let crosswalk = Crosswalk { rule, names, memory: images.memory };
    for Dirty { before, .. } in &dirty {
        if let Some(before) = before {
            remember(&crosswalk, before.id, &mut befores)?;
        }
    }
    for Dirty { source, root, before, after } in &mut dirty {
        *after = images.side(*source, root)?;
        let mut crosswalk = Crosswalk { rule, names, memory: images.memory };
        if let Some(after) = after {
            after.id = crosswalk.id_of(*source, root)?;
            remember(&crosswalk, after.id, &mut befores)?;
            if before.as_ref() != Some(after) {
                crosswalk.put(*source, root, before.as_ref(), after)?;
            }
        } else if let Some(before) = before {
            crosswalk.remove(*source, root, before)?;
        }
        for (identity, value) in before.iter().chain(after.as_ref()).flat_map(|side| identities(rule, side)) {
            crosswalk.memory.put(names.touched(identity, &value), Vec::new());
        }
    }
    let mut crosswalk = Crosswalk { rule, names, memory: images.memory };
    for (identity, value) in take_touched(&mut crosswalk, roots_max)? {
        let ids = crosswalk.agreeing(identity, &value)?;
        for id in &ids {
            remember(&crosswalk, *id, &mut befores)?;
        }
        crosswalk.merge(&ids)?;
    }
    if let Some(moment) = moment {
        give_verdicts(&crosswalk, &dirty, counts, moment)?;
    }
    let mut changes = Vec::new();
    for (id, before) in befores {
        let one = crosswalk.one(id)?;
        let after = event::row(&crosswalk, id, &one)?;
        recount(counts, (&before.one, &one));
        changes.extend(event::change(schema, before.row.as_ref(), after.as_ref()));
    }
    Ok(changes)
}

fn take_dirty(images: &mut Images<'_>, max: usize) -> Result<Vec<Dirty>, Fault> {
    let prefix = images.names.all_dirty();
    let mut dirty = Vec::new();
    'pages: while dirty.len() < max {
        let Some(page) = images.memory.page(&prefix, None)? else { break };
        for (name, _) in page {
            if dirty.len() == max {
                break 'pages;
            }
            if let Some([source, root]) = last_parts::<2>(&name, &prefix) {
                let source = source.first().copied().unwrap_or_default();
                let crosswalk = Crosswalk { rule: images.rule, names: images.names, memory: images.memory };
                let before = crosswalk.side(source, &root)?;
                dirty.push(Dirty { source, root, before, after: None });
            }
            images.memory.delete(name);
        }
    }
    Ok(dirty)
}

/// Values that roots may agree in, once what every root says is known: who is alone with one in this step may not be in the next.
fn take_touched(crosswalk: &mut Crosswalk<'_>, max: usize) -> Result<Vec<(u8, Vec<u8>)>, Fault> {
    let mut touched = Vec::new();
    if crosswalk.memory.page(&crosswalk.names.all_dirty(), None)?.is_some() {
        return Ok(touched);
    }
    let prefix = crosswalk.names.all_touched();
    while touched.len() < max {
        let Some(page) = crosswalk.memory.page(&prefix, None)? else { break };
        for (name, _) in page {
            if let Some([identity, value]) = last_parts::<2>(&name, &prefix) {
                touched.push((identity.first().copied().unwrap_or_default(), value));
            }
            crosswalk.memory.delete(name);
        }
    }
    Ok(touched)
}

/// Whether anything is left to settle.
pub fn is_unsettled(names: &Names, memory: &Memory) -> Result<bool, Fault> {
    Ok(memory.page(&names.all_dirty(), None)?.is_some() || memory.page(&names.all_touched(), None)?.is_some())
}

fn remember(crosswalk: &Crosswalk<'_>, id: u64, befores: &mut BTreeMap<u64, Before>) -> Result<(), Fault> {
    if let Entry::Vacant(vacant) = befores.entry(id) {
        let one = crosswalk.one(id)?;
        vacant.insert(Before { row: event::row(crosswalk, id, &one)?, one });
    }
    Ok(())
}

fn give_verdicts(
    crosswalk: &Crosswalk<'_>,
    dirty: &[Dirty],
    counts: &mut Counts,
    moment: &Moment,
) -> Result<(), Fault> {
    for Dirty { source, root, before, .. } in dirty {
        // With the id that it has in the end.
        let Some(after) = crosswalk.side(*source, root)? else { continue };
        let mut sides = BTreeMap::new();
        for other in crosswalk.one(after.id)?.roots {
            let number = u8::try_from(other.source).unwrap_or_default();
            sides.extend(crosswalk.side(number, &other.key)?.map(|side| (number, side)));
        }
        let changed = Changed { source: *source, before: before.as_ref(), after: &after };
        verdict::count(crosswalk.rule, counts, &changed, |owner| sides.get(&owner), moment);
    }
    Ok(())
}

fn recount(counts: &mut Counts, (before, after): (&One, &One)) {
    let step = |count: u64, was: bool, is: bool| match (was, is) {
        (false, true) => count.saturating_add(1),
        (true, false) => count.saturating_sub(1),
        _ => count,
    };
    counts.entities = step(counts.entities, !before.roots.is_empty(), !after.roots.is_empty());
    counts.linked = step(counts.linked, before.roots.len() > 1, after.roots.len() > 1);
}
